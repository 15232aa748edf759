/* The scheduler over the fake model: what a request gets does not depend on who else is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "infer/infer_int.h"
#include "sched_world.h"

/* ---- many at once ---------------------------------------------------------------------------- */

struct mixed {
    struct sched_request r;
    struct got g;
    int32_t prompt[400];
    char client[8];
};

/* Requests of every kind: greedy, drawn, penalised, with several samples, with shared beginnings.
 */
static void make_mixed(struct mixed *m, uint64_t seed)
{
    uint64_t x = seed + 77;
    size_t n = 1 + kit_random(&x) % 300, shared = kit_random(&x) % 3 * 70;
    kit_tokens(m->prompt, n, seed + 1000, N_VOCAB);
    kit_tokens(m->prompt, shared < n ? shared : n, seed % 3, N_VOCAB);
    m->r = kit_request(m->prompt, n, 1 + kit_random(&x) % 40);
    m->r.cls = (enum sched_class)(kit_random(&x) % SCHED_CLASSES);
    snprintf(m->client, sizeof m->client, "c%d", (int)(kit_random(&x) % 5));
    m->r.client = m->client;
    m->r.speculate = kit_random(&x) % 2;
    m->r.sample.seed = seed;
    if (kit_random(&x) % 2) m->r.sample.temperature = 0.8f;
    if (kit_random(&x) % 3 == 0) m->r.sample.repeat_penalty = 1.2f;
    if (kit_random(&x) % 4 == 0) m->r.sample.top_p = 0.9f;
    if (kit_random(&x) % 4 == 0) m->r.n = 1 + kit_random(&x) % 4;
}

static void run_mixed(struct world *w, size_t n, uint64_t seed, size_t longer)
{
    struct mixed *all = calloc(n, sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < n; i++) {
        make_mixed(&all[i], seed + i);
        all[i].r.max_tokens += longer;
        submit(w, &all[i].r, &all[i].g);
    }
    for (size_t i = 0; i < n; i++) got_wait(&all[i].g);
    for (size_t i = 0; i < n; i++) {
        size_t samples = all[i].r.n ? all[i].r.n : 1;
        assert_int_equal(all[i].g.result.n_samples, samples);
        for (size_t k = 0; k < samples; k++)
            kit_expect_same(w->e, w->opt.n_ctx, &all[i].r, k, &all[i].g, k);
        got_fini(&all[i].g);
    }
    free(all);
}

static void test_same_alone_and_among_others(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, (struct fake_options){0}, (struct sched_options){.kv_tokens = 64 * 512});
    for (uint64_t seed = 0; seed < 20; seed++) run_mixed(&w, 1, 5000 + 40 * seed, 0);
    for (uint64_t seed = 0; seed < 5; seed++) run_mixed(&w, 65, 5000 + 40 * seed, 0);
    assert_true(stats_of(&w).step_rows.n > 0);
    close_world(&w);
}

static void test_256_at_once(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, (struct fake_options){0},
               (struct sched_options){.kv_tokens = 16 * 512, .max_running = 64});
    run_mixed(&w, 256, 1, 0);
    struct sched_stats st = stats_of(&w);
    assert_int_equal(st.requests, 256);
    assert_int_equal(st.finished[FINISH_LENGTH], 256);
    assert_true(fake_model_seen(w.m).most_rows > 64);
    close_world(&w);
}

/* Pages for little more than one context: requests take them from each other all the time. */
static void test_preempted_texts_are_the_same(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, (struct fake_options){0}, (struct sched_options){.kv_tokens = N_CTX + 64});
    run_mixed(&w, 60, 900, 100);
    assert_true(stats_of(&w).preemptions > 10);
    close_world(&w);
    open_world(&w, (struct fake_options){0},
               (struct sched_options){.kv_tokens = N_CTX, .no_cache = true, .max_rows = 24});
    run_mixed(&w, 40, 901, 100);
    assert_true(stats_of(&w).preemptions > 10);
    close_world(&w);
}

/* ---- samples --------------------------------------------------------------------------------- */

static void test_samples_share_the_prompt(void **state)
{
    (void)state;
    struct world w;
    struct got g;
    int32_t prompt[100];
    open_world(&w, (struct fake_options){0}, (struct sched_options){.kv_tokens = 8192});
    kit_tokens(prompt, 100, 1, N_VOCAB);
    struct sched_request r = kit_request(prompt, 100, 20);
    r.n = 5;
    r.sample.temperature = 1;
    r.sample.seed = 3;
    submit(&w, &r, &g);
    got_wait(&g);
    for (size_t k = 0; k < 5; k++) kit_expect_same(w.e, N_CTX, &r, k, &g, k);
    assert_int_equal(g.result.n_generated, 100);
    assert_true(memcmp(g.ids[0], g.ids[1], 20 * sizeof **g.ids) != 0);
    assert_int_equal(stats_of(&w).prefill_rows, 100);
    got_fini(&g);
    close_world(&w);
}

static void test_best_of_gives_the_likeliest(void **state)
{
    (void)state;
    struct world w;
    struct got all, best;
    int32_t prompt[40];
    open_world(&w, (struct fake_options){0}, (struct sched_options){.kv_tokens = 8192});
    kit_tokens(prompt, 40, 2, N_VOCAB);
    struct sched_request r = kit_request(prompt, 40, 12);
    r.sample.temperature = 1.5f;
    r.logprobs = true;
    r.n = 6;
    submit(&w, &r, &all);
    got_wait(&all);
    struct sched_request b = r;
    b.n = 2;
    b.best_of = 6;
    submit(&w, &b, &best);
    got_wait(&best);
    assert_int_equal(best.result.n_samples, 2);
    assert_int_equal(best.result.n_generated, 72);
    size_t order[6] = {0, 1, 2, 3, 4, 5};
    for (size_t i = 0; i < 6; i++)
        for (size_t k = i + 1; k < 6; k++)
            if (all.samples[order[k]].logprob > all.samples[order[i]].logprob) {
                size_t t = order[i];
                order[i] = order[k];
                order[k] = t;
            }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(best.n[i], 12);
        assert_memory_equal(best.ids[i], all.ids[order[i]], 12 * sizeof **best.ids);
        assert_true(best.samples[i].logprob == all.samples[order[i]].logprob);
    }
    got_fini(&all);
    got_fini(&best);
    close_world(&w);
}

/* ---- logprobs -------------------------------------------------------------------------------- */

static void test_logprobs_are_those_of_a_score(void **state)
{
    (void)state;
    struct world w;
    struct got g;
    struct error err;
    struct session *s;
    int32_t text[230];
    double expected[230];
    open_world(&w, (struct fake_options){0}, (struct sched_options){.kv_tokens = 8192});
    kit_tokens(text, 200, 5, N_VOCAB);
    struct sched_request r = kit_request(text, 200, 30);
    r.logprobs = r.prompt_logprobs = true;
    r.n_top = 3;
    for (int run = 0; run < 2; run++) { /* the second time the prompt is in the cache */
        submit(&w, &r, &g);
        got_wait(&g);
        assert_int_equal(g.n[0], 30);
        assert_int_equal(g.result.n_cached, 0);
        assert_int_equal(g.n_prompt_logprobs, 200);
        memcpy(text + 200, g.ids[0], 30 * sizeof *text);
        assert_int_equal(session_create(w.e, N_CTX, &s, &err), OK);
        assert_int_equal(session_score(s, text, 230, expected, &err), OK);
        session_destroy(s);
        assert_true(isnan(g.prompt_logprob[0]));
        for (size_t i = 1; i < 200; i++)
            assert_true(fabs((double)g.prompt_logprob[i] - expected[i]) < 1e-5);
        for (size_t i = 0; i < 30; i++)
            assert_true(fabs((double)g.logprob[0][i] - expected[200 + i]) < 1e-5);
        got_fini(&g);
    }
    r.max_tokens = 0;
    submit(&w, &r, &g);
    got_wait(&g);
    assert_int_equal(g.n_prompt_logprobs, 200);
    assert_int_equal(g.n[0], 0);
    assert_int_equal(g.samples[0].finish, FINISH_LENGTH);
    got_fini(&g);
    close_world(&w);
}

/* ---- the cache ------------------------------------------------------------------------------- */

static size_t cached(struct world *w, const int32_t *prompt, size_t n, const char *salt)
{
    struct got g;
    struct sched_request r = kit_request(prompt, n, 3);
    r.salt = salt;
    r.n_salt = strlen(salt);
    submit(w, &r, &g);
    got_wait(&g);
    size_t found = g.result.n_cached;
    kit_expect_same(w->e, w->opt.n_ctx, &r, 0, &g, 0);
    got_fini(&g);
    return found;
}

static void test_beginnings_are_found_again(void **state)
{
    (void)state;
    struct world w;
    int32_t prompt[200];
    open_world(&w, (struct fake_options){0}, (struct sched_options){.kv_tokens = 4096});
    kit_tokens(prompt, 200, 9, N_VOCAB);
    assert_int_equal(cached(&w, prompt, 200, ""), 0);
    assert_int_equal(cached(&w, prompt, 200, ""), 192);
    assert_int_equal(cached(&w, prompt, 192, ""), 160); /* the last token is always computed */
    assert_int_equal(cached(&w, prompt, 193, ""), 192);
    assert_int_equal(cached(&w, prompt, 31, ""), 0);
    prompt[70]++;
    prompt[70] %= N_VOCAB;
    assert_int_equal(cached(&w, prompt, 200, ""), 64);
    assert_int_equal(cached(&w, prompt, 200, "a"), 0); /* another salt, another cache */
    assert_int_equal(cached(&w, prompt, 200, "b"), 0);
    assert_int_equal(cached(&w, prompt, 200, "a"), 192);
    assert_int_equal(cached(&w, prompt, 200, "b"), 192);
    struct sched_stats st = stats_of(&w);
    assert_int_equal(st.cached_tokens, 192 + 160 + 192 + 64 + 192 + 192);
    assert_int_equal(st.pages_free + st.pages_cached, st.pages);
    assert_true(st.pages_cached > 20);
    close_world(&w);
}

/* An answer's pages are kept too: the next turn of a chat begins with them. */
static void test_answers_are_found_again(void **state)
{
    (void)state;
    struct world w;
    struct got g;
    int32_t prompt[200];
    open_world(&w, (struct fake_options){0}, (struct sched_options){.kv_tokens = 4096});
    kit_tokens(prompt, 50, 9, N_VOCAB);
    struct sched_request r = kit_request(prompt, 50, 100);
    submit(&w, &r, &g);
    got_wait(&g);
    memcpy(prompt + 50, g.ids[0], 100 * sizeof *prompt);
    got_fini(&g);
    assert_int_equal(cached(&w, prompt, 150, ""), 128);
    close_world(&w);
}

/* Of texts not used for longest, the last pages go first. */
static void test_the_oldest_pages_go_first(void **state)
{
    (void)state;
    struct world w;
    int32_t a[320], b[320], c[320];
    open_world(&w, (struct fake_options){0}, (struct sched_options){.kv_tokens = 22 * 32});
    kit_tokens(a, 320, 1, N_VOCAB);
    kit_tokens(b, 320, 2, N_VOCAB);
    kit_tokens(c, 320, 3, N_VOCAB);
    cached(&w, a, 300, "");
    cached(&w, b, 300, "");
    assert_int_equal(cached(&w, a, 300, ""), 288);
    cached(&w, c, 200, ""); /* seven pages, of b's */
    assert_int_equal(cached(&w, a, 300, ""), 288);
    size_t left = cached(&w, b, 300, "");
    assert_true(left > 0 && left < 288);
    close_world(&w);
}

static void test_the_same_prompt_is_computed_once(void **state)
{
    (void)state;
    struct world w;
    struct got g[8];
    struct sched_request r[8];
    int32_t prompt[8][400];
    open_world(&w, (struct fake_options){.row_us = 100},
               (struct sched_options){.kv_tokens = 16384, .max_rows = 64});
    for (size_t i = 0; i < 8; i++) {
        kit_tokens(prompt[i], 400, 100 + i, N_VOCAB);
        kit_tokens(prompt[i], 330, 7, N_VOCAB);
        r[i] = kit_request(prompt[i], 400, 5);
        submit(&w, &r[i], &g[i]);
    }
    for (size_t i = 0; i < 8; i++) {
        got_wait(&g[i]);
        kit_expect_same(w.e, N_CTX, &r[i], 0, &g[i], 0);
        assert_int_equal(g[i].result.n_cached, i == 0 ? 0 : 320);
        got_fini(&g[i]);
    }
    assert_int_equal(stats_of(&w).prefill_rows, 8 * 400 - 7 * 320);
    close_world(&w);
}

/* A background request computes what a completion waits for, at the completion's place. */
static void test_who_computes_for_others_is_not_put_off(void **state)
{
    (void)state;
    struct world w;
    struct got low, busy[6], high;
    int32_t prompt[400], other[6][400];
    open_world(&w, (struct fake_options){.row_us = 200},
               (struct sched_options){.kv_tokens = 16384, .max_rows = 32, .ageing_ms = 1e9});
    kit_tokens(prompt, 400, 7, N_VOCAB);
    struct sched_request r = kit_request(prompt, 400, 1), b;
    r.cls = SCHED_BACKGROUND;
    submit(&w, &r, &low);
    wait_running(&w, SCHED_BACKGROUND, 1);
    for (size_t i = 0; i < 6; i++) {
        kit_tokens(other[i], 400, 20 + i, N_VOCAB);
        b = kit_request(other[i], 400, 1);
        submit(&w, &b, &busy[i]);
    }
    r.cls = SCHED_COMPLETION;
    submit(&w, &r, &high);
    got_wait(&high);
    assert_int_equal(high.result.n_cached, 384);
    for (size_t i = 0; i < 6; i++) {
        got_wait(&busy[i]);
        assert_true(high.done_at < busy[i].done_at || i == 0);
        got_fini(&busy[i]);
    }
    got_wait(&low);
    got_fini(&low);
    got_fini(&high);
    close_world(&w);
}

/* ---- drafts ---------------------------------------------------------------------------------- */

static void test_drafts_join_the_batch(void **state)
{
    (void)state;
    struct world w;
    struct got g[4];
    struct sched_request r[4];
    static int32_t script[400];
    int32_t prompt[4][120];
    for (size_t i = 0; i < 400; i++) script[i] = (int32_t)(i % 30 + 1);
    open_world(&w, (struct fake_options){.script = script, .n_script = 400, .pass_us = 300},
               (struct sched_options){.kv_tokens = 8192});
    for (size_t i = 0; i < 4; i++) {
        kit_tokens(prompt[i], 120, i, N_VOCAB);
        memcpy(prompt[i] + 20, script + 20, 100 * sizeof *script);
        r[i] = kit_request(prompt[i], 120, 150);
        r[i].speculate = i < 3;
        submit(&w, &r[i], &g[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        got_wait(&g[i]);
        kit_expect_same(w.e, N_CTX, &r[i], 0, &g[i], 0);
        if (i < 3) assert_true(g[i].result.n_accepted > 50);
        if (i == 3) assert_int_equal(g[i].result.n_drafted, 0);
        got_fini(&g[i]);
    }
    assert_true(stats_of(&w).draft_rows > 150);
    close_world(&w);
}

/* ---- limits and failures --------------------------------------------------------------------- */

static void expect_refused(struct world *w, struct sched_request r, enum status st)
{
    struct error err;
    struct got g;
    got_init(&g, &r);
    assert_int_equal(scheduler_submit(w->s, &r, NULL, &err), st);
    assert_int_equal(err.code, st);
    assert_int_equal(g.done, 0);
}

static void test_bad_requests(void **state)
{
    (void)state;
    struct world w;
    struct error err;
    struct scheduler *s;
    static int32_t prompt[N_CTX];
    open_world(&w, (struct fake_options){0}, (struct sched_options){.kv_tokens = 2048});
    struct sched_request r = kit_request(prompt, 10, 5), b;
    expect_refused(&w, kit_request(prompt, 0, 5), ERR_INVALID);
    expect_refused(&w, kit_request(prompt, N_CTX, 5), ERR_LIMIT);
    b = r, b.n = 65;
    expect_refused(&w, b, ERR_LIMIT);
    b = r, b.n = 3, b.best_of = 2;
    expect_refused(&w, b, ERR_INVALID);
    b = r, b.n_top = 21;
    expect_refused(&w, b, ERR_LIMIT);
    b = r, b.sample.temperature = NAN;
    expect_refused(&w, b, ERR_INVALID);
    b = r, b.adapter = 1;
    expect_refused(&w, b, ERR_UNSUPPORTED);
    b = r, b.deadline_ms = NAN;
    expect_refused(&w, b, ERR_INVALID);
    b = r, b.cls = (enum sched_class)3;
    expect_refused(&w, b, ERR_INVALID);
    b = r, b.n_stop = 1000;
    expect_refused(&w, b, ERR_LIMIT);
    b = r, b.begin = "x", b.n_begin = 1;
    expect_refused(&w, b, ERR_INVALID);
    prompt[3] = N_VOCAB;
    expect_refused(&w, r, ERR_INVALID);
    assert_int_equal(scheduler_create(w.e, &(struct sched_options){.n_ctx = 4096}, &s, &err),
                     ERR_LIMIT);
    assert_int_equal(
        scheduler_create(w.e, &(struct sched_options){.n_ctx = 512, .kv_tokens = 511}, &s, &err),
        ERR_INVALID);
    assert_int_equal(scheduler_create(w.e, &(struct sched_options){.max_rows = 513}, &s, &err),
                     ERR_LIMIT);
    assert_null(s);
    close_world(&w);
}

static void test_too_many_are_refused(void **state)
{
    (void)state;
    struct world w;
    struct got g[6];
    int32_t prompt[100];
    open_world(&w, (struct fake_options){.pass_us = 1000},
               (struct sched_options){.kv_tokens = 2048, .max_running = 2, .max_waiting = 3});
    kit_tokens(prompt, 100, 3, N_VOCAB);
    struct sched_request r = kit_request(prompt, 100, 50);
    for (int i = 0; i < 5; i++) submit(&w, &r, &g[i]);
    expect_refused(&w, r, ERR_BUSY);
    for (int i = 0; i < 5; i++) {
        got_wait(&g[i]);
        got_fini(&g[i]);
    }
    close_world(&w);
}

static void test_a_failed_step_fails_its_requests(void **state)
{
    (void)state;
    struct world w;
    struct got bad, good;
    int32_t prompt[100];
    open_world(&w, (struct fake_options){.fail_call = 5},
               (struct sched_options){.kv_tokens = 2048});
    kit_tokens(prompt, 100, 3, N_VOCAB);
    struct sched_request r = kit_request(prompt, 100, 50);
    submit(&w, &r, &bad);
    got_wait(&bad);
    assert_int_equal(bad.result.status, ERR_NOMEM);
    assert_string_equal(bad.error.msg, "made to fail");
    submit(&w, &r, &good);
    got_wait(&good);
    kit_expect_same(w.e, N_CTX, &r, 0, &good, 0);
    assert_int_equal(stats_of(&w).failed, 1);
    got_fini(&bad);
    got_fini(&good);
    close_world(&w);
    open_world(&w, (struct fake_options){.nan_logits = true}, (struct sched_options){0});
    submit(&w, &r, &bad);
    got_wait(&bad);
    assert_int_equal(bad.result.status, ERR_INVALID);
    got_fini(&bad);
    close_world(&w);
}

/* ---- masks and jobs -------------------------------------------------------------------------- */

struct even {
    size_t sample, accepted;
    int *alive;
};

static enum status even_create(void *ctx, size_t sample, void **state, struct error *err)
{
    (void)err;
    struct even *e = calloc(1, sizeof *e);
    e->sample = sample;
    e->alive = ctx;
    ++*e->alive;
    *state = e;
    return OK;
}

static void even_destroy(void *state)
{
    struct even *e = state;
    --*e->alive;
    free(e);
}

/* Token k of sample i is k + i (mod 2), modulo 3. */
static void even_mask(void *state, float *logits, size_t n)
{
    struct even *e = state;
    for (size_t t = 0; t < n; t++)
        if (t % 3 != (e->accepted + e->sample) % 2) logits[t] = -INFINITY;
}

static void even_accept(void *state, int32_t token)
{
    (void)token;
    ((struct even *)state)->accepted++;
}

static void test_masks(void **state)
{
    (void)state;
    static const struct sched_mask mask = {even_create, even_destroy, even_mask, even_accept};
    struct world w;
    struct got g;
    int alive = 0;
    int32_t prompt[100];
    open_world(&w, (struct fake_options){0}, (struct sched_options){.kv_tokens = 2048});
    kit_tokens(prompt, 100, 3, N_VOCAB);
    struct sched_request r = kit_request(prompt, 100, 30);
    r.mask = &mask;
    r.mask_ctx = &alive;
    r.n = 2;
    r.speculate = true;
    submit(&w, &r, &g);
    got_wait(&g);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(g.n[i], 30);
        for (size_t k = 0; k < 30; k++) assert_int_equal(g.ids[i][k] % 3, (int)((k + i) % 2));
    }
    got_fini(&g);
    close_world(&w);
    assert_int_equal(alive, 0);
}

struct counted {
    int run, cancelled;
};

static void count_job(void *ctx, bool cancelled)
{
    struct counted *c = ctx;
    ++*(cancelled ? &c->cancelled : &c->run);
}

static void test_jobs(void **state)
{
    (void)state;
    struct world w;
    struct got g;
    struct error err;
    struct counted c = {0, 0};
    int32_t prompt[100];
    open_world(&w, (struct fake_options){.pass_us = 200},
               (struct sched_options){.kv_tokens = 2048});
    kit_tokens(prompt, 100, 3, N_VOCAB);
    struct sched_request r = kit_request(prompt, 100, 100);
    submit(&w, &r, &g);
    for (int i = 0; i < 50; i++)
        assert_int_equal(scheduler_run_job(w.s, &(struct sched_job){count_job, &c}, &err), OK);
    got_wait(&g);
    kit_expect_no_pages(w.s);
    assert_int_equal(c.run, 50);
    got_fini(&g);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_alone_and_among_others),
        cmocka_unit_test(test_256_at_once),
        cmocka_unit_test(test_preempted_texts_are_the_same),
        cmocka_unit_test(test_samples_share_the_prompt),
        cmocka_unit_test(test_best_of_gives_the_likeliest),
        cmocka_unit_test(test_logprobs_are_those_of_a_score),
        cmocka_unit_test(test_beginnings_are_found_again),
        cmocka_unit_test(test_answers_are_found_again),
        cmocka_unit_test(test_the_oldest_pages_go_first),
        cmocka_unit_test(test_the_same_prompt_is_computed_once),
        cmocka_unit_test(test_who_computes_for_others_is_not_put_off),
        cmocka_unit_test(test_drafts_join_the_batch),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_too_many_are_refused),
        cmocka_unit_test(test_a_failed_step_fails_its_requests),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
