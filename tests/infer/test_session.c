/* Engine and session over the fake model: prefix reuse, chunks, stops, deadlines, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fake_model.h"
#include "infer/engine.h"
#include "infer/infer_int.h"

enum { N_VOCAB = 97, N_CTX = 2048 };

struct world {
    struct model *m;
    struct engine *e;
    struct session *s;
};

static void open_world(struct world *w, struct fake_options opt, size_t n_ctx)
{
    struct error err;
    opt.n_vocab = opt.n_vocab ? opt.n_vocab : N_VOCAB;
    opt.n_ctx_train = opt.n_ctx_train ? opt.n_ctx_train : N_CTX;
    w->m = fake_model_create(&opt);
    assert_non_null(w->m);
    assert_int_equal(engine_assemble(NULL, NULL, NULL, w->m, 3, &w->e, &err), OK);
    assert_int_equal(session_create(w->e, n_ctx, &w->s, &err), OK);
}

static void close_world(struct world *w)
{
    session_destroy(w->s);
    engine_close(w->e);
}

/* Collects what a generation gives. */
struct sink {
    int32_t tokens[4096];
    size_t n, stop_after;
    int n_prefill;
    int *cancel; /* raised at the token of index cancel_at */
    size_t cancel_at;
};

static bool sink_token(void *ctx, int32_t token)
{
    struct sink *k = ctx;
    k->tokens[k->n++] = token;
    if (k->cancel && k->n == k->cancel_at) __atomic_store_n(k->cancel, 1, __ATOMIC_RELAXED);
    return !(k->stop_after && k->n == k->stop_after);
}

static void sink_prefill(void *ctx)
{
    struct sink *k = ctx;
    assert_int_equal(k->n, 0);
    k->n_prefill++;
}

static struct generate_request request(struct sink *k, const int32_t *prompt, size_t n, size_t max)
{
    memset(k, 0, sizeof *k);
    return (struct generate_request){.prompt = prompt,
                                     .n_prompt = n,
                                     .max_tokens = max,
                                     .sample = sample_params_default(),
                                     .on_token = sink_token,
                                     .on_prefill = sink_prefill,
                                     .ctx = k};
}

static void fill(int32_t *t, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        t[i] = (int32_t)((seed = seed * 1664525u + 1013904223u) >> 9) % N_VOCAB;
}

static void generates_the_models_greedy_text(void **state)
{
    (void)state;
    static const int32_t script[] = {1, 2, 3, 10, 11, 12, 13, 14};
    struct world w;
    open_world(&w, (struct fake_options){.script = script, .n_script = 8}, 0);
    assert_int_equal(session_n_ctx(w.s), N_CTX);
    assert_int_equal(engine_n_threads(w.e), 3);
    struct sink k;
    struct generate_request req = request(&k, script, 3, 4);
    struct generate_result res;
    struct error err;
    assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
    assert_int_equal(res.n_prompt, 3);
    assert_int_equal(res.n_cached, 0);
    assert_int_equal(res.n_generated, 4);
    assert_int_equal(res.finish, FINISH_LENGTH);
    assert_int_equal(k.n, 4);
    assert_memory_equal(k.tokens, script + 3, 4 * sizeof *script);
    assert_int_equal(k.n_prefill, 1);
    /* Three prompt rows in one pass with one row of logits, then one row a token; the last token
     * needs no pass. */
    struct fake_seen seen = fake_model_seen(w.m);
    assert_int_equal(seen.calls, 1 + 3);
    assert_int_equal(seen.rows, 3 + 3);
    assert_int_equal(seen.logit_rows, 1 + 3);
    close_world(&w);
}

static void stop_tokens_end_the_text_and_stay_out_of_it(void **state)
{
    (void)state;
    static const int32_t script[] = {1, 2, 3, 10, 11, 12, 13, 14};
    static const int32_t stop[] = {50, 12};
    struct world w;
    open_world(&w, (struct fake_options){.script = script, .n_script = 8}, 0);
    struct sink k;
    struct generate_request req = request(&k, script, 3, 100);
    req.stop = stop;
    req.n_stop = 2;
    struct generate_result res;
    assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
    assert_int_equal(res.finish, FINISH_STOP);
    assert_int_equal(res.n_generated, 2);
    assert_int_equal(k.n, 2);

    req = request(&k, script, 3, 100);
    k.stop_after = 3;
    assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
    assert_int_equal(res.finish, FINISH_CALLBACK);
    assert_int_equal(res.n_generated, 3);

    req = request(&k, script, 3, 0);
    assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
    assert_int_equal(res.finish, FINISH_LENGTH);
    assert_int_equal(res.n_generated, 0);
    close_world(&w);
}

static void a_common_prefix_is_evaluated_once(void **state)
{
    (void)state;
    int32_t prompt[300];
    fill(prompt, 300, 1);
    struct world w, fresh;
    open_world(&w, (struct fake_options){0}, 0);
    struct sink k, k2;
    struct generate_result res;
    struct generate_request req = request(&k, prompt, 300, 20);
    assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);

    /* The same again: only the last token is evaluated. */
    fake_model_reset_seen(w.m);
    req = request(&k, prompt, 300, 1);
    assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
    assert_int_equal(res.n_cached, 299);
    assert_int_equal(fake_model_seen(w.m).rows, 1);

    /* A prompt that leaves the old one at 200; then its text equals that of a fresh session. */
    for (uint32_t cut = 200; cut > 0; cut -= 50) {
        fill(prompt + cut, 300 - cut, 7 + cut);
        prompt[cut] = (prompt[cut] + 1) % N_VOCAB;
        fake_model_reset_seen(w.m);
        req = request(&k, prompt, 300, 20);
        assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
        assert_true(res.n_cached == cut || res.n_cached == cut + 1);
        assert_int_equal(fake_model_seen(w.m).rows, 300 - res.n_cached + 19);
        open_world(&fresh, (struct fake_options){0}, 0);
        req = request(&k2, prompt, 300, 20);
        assert_int_equal(session_generate(fresh.s, &req, &res, NULL), OK);
        assert_int_equal(res.n_cached, 0);
        assert_memory_equal(k.tokens, k2.tokens, 20 * sizeof *k.tokens);
        close_world(&fresh);
    }

    /* Prompt and generated text as the next prompt: what a chat does. */
    int32_t longer[322];
    memcpy(longer, prompt, sizeof prompt);
    memcpy(longer + 300, k.tokens, 20 * sizeof *longer);
    longer[320] = 5;
    longer[321] = 6;
    req = request(&k, longer, 322, 1);
    assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
    assert_int_equal(res.n_cached, 319); /* the last generated token was never evaluated */
    close_world(&w);
}

static void long_prompts_go_in_chunks(void **state)
{
    (void)state;
    int32_t prompt[1300];
    fill(prompt, 1300, 2);
    struct world w;
    open_world(&w, (struct fake_options){0}, 0);
    struct sink k;
    struct generate_result res;
    struct generate_request req = request(&k, prompt, 1300, 1);
    assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
    struct fake_seen seen = fake_model_seen(w.m);
    assert_int_equal(seen.calls, 3);
    assert_int_equal(seen.most_rows, 512);
    assert_int_equal(seen.logit_rows, 1);
    close_world(&w);
}

static void nothing_is_cut_silently(void **state)
{
    (void)state;
    int32_t prompt[64];
    fill(prompt, 64, 3);
    struct world w;
    open_world(&w, (struct fake_options){0}, 64);
    struct sink k;
    struct generate_result res;
    struct error err;
    struct generate_request req = request(&k, prompt, 64, 10);
    assert_int_equal(session_generate(w.s, &req, &res, &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "64 tokens"));
    assert_int_equal(fake_model_seen(w.m).calls, 0);
    /* Prompt and text together fill the context to the last position. */
    req = request(&k, prompt, 60, 10);
    assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
    assert_int_equal(res.n_generated, 4);
    assert_int_equal(res.finish, FINISH_LENGTH);
    req = request(&k, prompt, 63, 10);
    assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
    assert_int_equal(res.n_generated, 1);

    struct session *other;
    assert_int_equal(session_create(w.e, N_CTX + 1, &other, &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "2048"));
    assert_null(other);
    close_world(&w);
}

static void wrong_requests_are_refused(void **state)
{
    (void)state;
    int32_t prompt[8];
    fill(prompt, 8, 4);
    struct world w;
    open_world(&w, (struct fake_options){0}, 64);
    struct sink k;
    struct generate_result res;
    struct error err;
    struct generate_request req = request(&k, prompt, 8, 3);
    assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
    fake_model_reset_seen(w.m);

    req = request(&k, prompt, 0, 3);
    assert_int_equal(session_generate(w.s, &req, &res, &err), ERR_INVALID);
    int32_t bad[8];
    memcpy(bad, prompt, sizeof bad);
    bad[5] = N_VOCAB;
    req = request(&k, bad, 8, 3);
    assert_int_equal(session_generate(w.s, &req, &res, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "token 5 is 97"));
    bad[5] = -1;
    assert_int_equal(session_generate(w.s, &req, &res, &err), ERR_INVALID);
    req = request(&k, prompt, 8, 3);
    req.sample.top_p = 2;
    assert_int_equal(session_generate(w.s, &req, &res, &err), ERR_INVALID);
    req = request(&k, prompt, 8, 3);
    req.deadline_ms = NAN;
    assert_int_equal(session_generate(w.s, &req, &res, &err), ERR_INVALID);

    /* None of them touched the timeline. */
    req = request(&k, prompt, 8, 3);
    assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
    assert_int_equal(res.n_cached, 7);
    assert_int_equal(fake_model_seen(w.m).rows, 1 + 2);
    close_world(&w);
}

static void after_an_error_the_session_goes_on(void **state)
{
    (void)state;
    int32_t prompt[1300];
    fill(prompt, 1300, 5);
    struct world w;
    open_world(&w, (struct fake_options){0}, 0);
    struct sink k, want;
    struct generate_result res;
    struct error err;
    struct generate_request req = request(&want, prompt, 1300, 12);
    assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
    /* Every forward pass fails once in turn; each time a second call gives the whole text. */
    for (size_t at = 1; at <= 3 + 11; at++) {
        session_destroy(w.s);
        assert_int_equal(session_create(w.e, 0, &w.s, &err), OK);
        fake_model_reset_seen(w.m);
        fake_model_set_fail(w.m, at);
        req = request(&k, prompt, 1300, 12);
        assert_int_equal(session_generate(w.s, &req, &res, &err), ERR_NOMEM);
        assert_string_equal(err.msg, "made to fail");
        assert_int_equal(k.n, at <= 3 ? 0 : at - 3);
        fake_model_set_fail(w.m, 0);
        req = request(&k, prompt, 1300, 12);
        assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
        assert_int_equal(res.n_cached, at <= 3 ? 512 * (at - 1) : 1299);
        assert_memory_equal(k.tokens, want.tokens, 12 * sizeof *k.tokens);
    }
    close_world(&w);
}

static void logits_without_a_number_are_an_error(void **state)
{
    (void)state;
    static const int32_t prompt[] = {1, 2};
    struct world w;
    open_world(&w, (struct fake_options){.nan_logits = true}, 0);
    struct sink k;
    struct generate_result res;
    struct error err;
    struct generate_request req = request(&k, prompt, 2, 3);
    assert_int_equal(session_generate(w.s, &req, &res, &err), ERR_INVALID);
    assert_int_equal(k.n, 0);
    close_world(&w);
}

static void a_deadline_interrupts_prefill_and_decode(void **state)
{
    (void)state;
    int32_t prompt[1000];
    fill(prompt, 1000, 6);
    struct world w;
    open_world(&w, (struct fake_options){.row_us = 1000}, 0);
    struct sink k;
    struct generate_result res;
    struct error err;
    struct generate_request req = request(&k, prompt, 1000, 10);
    req.deadline_ms = 30;
    double t = clock_now();
    assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
    t = clock_now() - t;
    assert_int_equal(res.finish, FINISH_DEADLINE);
    assert_int_equal(res.n_generated, 0);
    assert_true(t >= 0.03);
    assert_true(t < 0.45); /* the first chunk alone takes half a second */

    req = request(&k, prompt, 10, 1000);
    req.deadline_ms = 100;
    assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
    assert_int_equal(res.finish, FINISH_DEADLINE);
    assert_true(res.n_generated > 0 && res.n_generated < 200);
    assert_int_equal(k.n, res.n_generated);

    req = request(&k, prompt, 10, 5);
    req.deadline_ms = -1;
    assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
    assert_int_equal(res.finish, FINISH_DEADLINE);
    assert_int_equal(res.n_generated, 0);
    req.deadline_ms = INFINITY;
    assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
    assert_int_equal(res.finish, FINISH_LENGTH);
    close_world(&w);
}

struct canceller {
    int *flag;
    int after_us;
};

static void *cancel_later(void *arg)
{
    struct canceller *c = arg;
    usleep((useconds_t)c->after_us);
    __atomic_store_n(c->flag, 1, __ATOMIC_RELAXED);
    return NULL;
}

/* With and without a deadline, since that decides which flag the forward pass sees. */
static void a_raised_flag_cancels_within_a_stage(void **state)
{
    (void)state;
    int32_t prompt[1000];
    fill(prompt, 1000, 7);
    for (int deadline = 0; deadline < 2; deadline++) {
        struct world w;
        open_world(&w, (struct fake_options){.row_us = 1000}, 0);
        struct sink k;
        struct generate_result res;
        struct generate_request req = request(&k, prompt, 1000, 10);
        int flag = 0;
        req.cancel = &flag;
        req.deadline_ms = deadline ? 60000 : 0;
        pthread_t thread;
        struct canceller c = {&flag, 20000};
        assert_int_equal(pthread_create(&thread, NULL, cancel_later, &c), 0);
        double t = clock_now();
        assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
        t = clock_now() - t;
        pthread_join(thread, NULL);
        assert_int_equal(res.finish, FINISH_CANCELLED);
        assert_true(t < 0.45);

        flag = 0;
        req = request(&k, prompt, 10, 1000);
        req.cancel = &flag;
        k.cancel = &flag;
        k.cancel_at = 4;
        assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
        assert_int_equal(res.finish, FINISH_CANCELLED);
        assert_int_equal(res.n_generated, 4);

        flag = 0; /* and what was evaluated before serves again */
        req = request(&k, prompt, 10, 2);
        assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
        assert_int_equal(res.n_cached, 9);
        close_world(&w);
    }
}

static void penalties_see_the_prompt(void **state)
{
    (void)state;
    /* The script repeats token 9; a bar to what was seen makes the model take another one. */
    static const int32_t script[] = {1, 9, 9, 9};
    struct world w;
    open_world(&w, (struct fake_options){.script = script, .n_script = 4}, 0);
    struct sink k;
    struct generate_result res;
    struct generate_request req = request(&k, script, 2, 1);
    assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
    assert_int_equal(k.tokens[0], 9);
    req = request(&k, script, 2, 1);
    req.sample.presence_penalty = 50;
    assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
    assert_int_not_equal(k.tokens[0], 9);
    close_world(&w);
}

/* ln p by the plain formula over one row of logits. */
static double naive_log_probability(const float *x, size_t n, int32_t token)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp((double)x[i]);
    return (double)x[token] - log(sum);
}

static void scores_equal_the_plain_formula(void **state)
{
    (void)state;
    int32_t tokens[200];
    fill(tokens, 200, 8);
    double got[200];
    struct world w;
    open_world(&w, (struct fake_options){0}, 256);
    struct error err;
    /* Leave something in the timeline: a score starts from nothing. */
    struct sink k;
    struct generate_result res;
    struct generate_request req = request(&k, tokens + 20, 50, 5);
    assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
    fake_model_reset_seen(w.m);
    assert_int_equal(session_score(w.s, tokens, 200, got, &err), OK);
    struct fake_seen seen = fake_model_seen(w.m);
    assert_true(seen.most_rows <= 64);
    assert_int_equal(seen.rows, 199);
    assert_true(isnan(got[0]));

    struct kv_pool *pool;
    struct kv_seq *seq;
    struct forward *fwd;
    assert_int_equal(kv_pool_create(w.m, 200, &pool, &err), OK);
    assert_int_equal(kv_seq_create(pool, &seq, &err), OK);
    assert_int_equal(forward_create(w.m, 1, 1, &fwd, &err), OK);
    float logits[N_VOCAB];
    for (size_t i = 0; i < 199; i++) {
        struct forward_row row = {seq, tokens[i], true};
        assert_int_equal(forward_run(fwd, &row, 1, logits, NULL, &err), OK);
        double want = naive_log_probability(logits, N_VOCAB, tokens[i + 1]);
        assert_true(fabs(got[i + 1] - want) < 1e-12);
    }
    forward_destroy(fwd);
    kv_seq_destroy(seq);
    kv_pool_destroy(pool);

    double one;
    assert_int_equal(session_score(w.s, tokens, 1, &one, &err), OK);
    assert_true(isnan(one));
    assert_int_equal(session_score(w.s, tokens, 0, NULL, &err), OK);
    assert_int_equal(session_score(w.s, tokens, 257, got, &err), ERR_LIMIT);
    fake_model_reset_seen(w.m);
    fake_model_set_fail(w.m, 2);
    assert_int_equal(session_score(w.s, tokens, 200, got, &err), ERR_NOMEM);
    fake_model_set_fail(w.m, 0);
    req = request(&k, tokens, 100, 1); /* the first chunk of the failed score is reused */
    assert_int_equal(session_generate(w.s, &req, &res, &err), OK);
    assert_int_equal(res.n_cached, 64);
    close_world(&w);
}

struct runner {
    struct engine *e;
    uint32_t seed;
    struct sink k;
};

static void *run_session(void *arg)
{
    struct runner *r = arg;
    struct session *s;
    if (session_create(r->e, 1024, &s, NULL) != OK) return NULL;
    int32_t prompt[600];
    fill(prompt, 600, r->seed);
    for (size_t n = 100; n <= 600; n += 100) {
        struct generate_request req = request(&r->k, prompt, n, 30);
        req.sample.temperature = 0.9f;
        req.sample.seed = r->seed;
        req.deadline_ms = 60000;
        struct generate_result res;
        if (session_generate(s, &req, &res, NULL) != OK) break;
    }
    session_destroy(s);
    return NULL;
}

static void sessions_of_one_engine_run_in_threads(void **state)
{
    (void)state;
    enum { N = 4 };
    struct world w;
    open_world(&w, (struct fake_options){0}, 0);
    static struct runner runs[N], alone[N];
    pthread_t threads[N];
    for (int i = 0; i < N; i++) {
        runs[i] = (struct runner){.e = w.e, .seed = (uint32_t)i};
        assert_int_equal(pthread_create(&threads[i], NULL, run_session, &runs[i]), 0);
    }
    for (int i = 0; i < N; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < N; i++) {
        alone[i] = (struct runner){.e = w.e, .seed = (uint32_t)i};
        run_session(&alone[i]);
        assert_int_equal(runs[i].k.n, 30);
        assert_memory_equal(runs[i].k.tokens, alone[i].k.tokens, 30 * sizeof(int32_t));
    }
    assert_memory_not_equal(alone[0].k.tokens, alone[1].k.tokens, 30 * sizeof(int32_t));
    assert_false(fake_model_seen(w.m).overlapped);
    close_world(&w);
}

static void every_finish_reason_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(finish_reason_name(FINISH_STOP), "stop");
    assert_string_equal(finish_reason_name(FINISH_LENGTH), "length");
    assert_string_equal(finish_reason_name(FINISH_CALLBACK), "callback");
    assert_string_equal(finish_reason_name(FINISH_DEADLINE), "deadline");
    assert_string_equal(finish_reason_name(FINISH_CANCELLED), "cancelled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generates_the_models_greedy_text),
        cmocka_unit_test(stop_tokens_end_the_text_and_stay_out_of_it),
        cmocka_unit_test(a_common_prefix_is_evaluated_once),
        cmocka_unit_test(long_prompts_go_in_chunks),
        cmocka_unit_test(nothing_is_cut_silently),
        cmocka_unit_test(wrong_requests_are_refused),
        cmocka_unit_test(after_an_error_the_session_goes_on),
        cmocka_unit_test(logits_without_a_number_are_an_error),
        cmocka_unit_test(a_deadline_interrupts_prefill_and_decode),
        cmocka_unit_test(a_raised_flag_cancels_within_a_stage),
        cmocka_unit_test(penalties_see_the_prompt),
        cmocka_unit_test(scores_equal_the_plain_formula),
        cmocka_unit_test(sessions_of_one_engine_run_in_threads),
        cmocka_unit_test(every_finish_reason_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
