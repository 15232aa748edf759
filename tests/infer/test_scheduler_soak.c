/* Thousands of random requests, ended in every way and at every phase, with passes that fail: each
 * is told exactly one end, and in the end every page is back. HEARTH_SOAK_REQUESTS sets how many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_model.h"
#include "infer/infer_int.h"
#include "sched_kit.h"

enum { N_VOCAB = 61, N_CTX = 256, WINDOW = 120, DEFAULT_REQUESTS = 10000 };

struct slot {
    struct got g;
    bool used, cancel;
    int32_t prompt[N_CTX];
    char client[8];
};

struct soak {
    struct model *m;
    struct engine *e;
    struct scheduler *s;
    struct slot slots[WINDOW];
    uint64_t x;
    size_t ends[FINISH_REASONS], failed;
};

static void settle(struct soak *k, struct slot *t)
{
    if (!t->used) return;
    if (t->cancel) scheduler_cancel(k->s, t->g.ticket);
    got_wait(&t->g);
    if (t->g.result.status != OK) {
        k->failed++;
        assert_string_equal(t->g.error.msg, "made to fail");
    } else {
        k->ends[t->g.result.finish]++;
    }
    got_fini(&t->g);
    t->used = false;
}

static void start(struct soak *k, struct slot *t)
{
    struct error err;
    size_t n = 1 + kit_random(&k->x) % 200, shared = kit_random(&k->x) % 4 * 50;
    uint64_t kind = kit_random(&k->x) % 16;
    kit_tokens(t->prompt, n, kit_random(&k->x), N_VOCAB);
    kit_tokens(t->prompt, shared < n ? shared : n, kit_random(&k->x) % 5, N_VOCAB);
    struct sched_request r = kit_request(t->prompt, n, kit_random(&k->x) % 40);
    snprintf(t->client, sizeof t->client, "c%d", (int)(kit_random(&k->x) % 7));
    r.client = t->client;
    r.salt = t->client;
    r.n_salt = kit_random(&k->x) % 2 * 2;
    r.cls = (enum sched_class)(kit_random(&k->x) % SCHED_CLASSES);
    r.sample.temperature = kit_random(&k->x) % 2 ? 1.0f : 0;
    r.sample.seed = kit_random(&k->x);
    r.supersedes = kind == 0;
    r.speculate = kind & 1;
    r.n = kind == 2 ? 4 : 0;
    r.best_of = kind == 3 ? 3 : 0;
    r.logprobs = kind == 4;
    r.prompt_logprobs = kind == 5;
    if (kind == 6) r.deadline_ms = (double)(kit_random(&k->x) % 30) - 1;
    got_init(&t->g, &r);
    t->g.s = k->s;
    if (kind == 7) t->g.give_up_at = 1 + kit_random(&k->x) % 20;
    t->cancel = kind == 8 || kind == 9;
    t->used = true;
    assert_int_equal(scheduler_submit(k->s, &r, &t->g.ticket, &err), OK);
    if (kind == 9) scheduler_cancel(k->s, t->g.ticket);
    if (kind == 10) scheduler_drop_cache(k->s);
    if (kind == 11) fake_model_set_fail(k->m, fake_model_calls(k->m) + 5);
}

static void soak(uint64_t seed, size_t n_requests, struct sched_options opt)
{
    struct soak *k = calloc(1, sizeof *k);
    struct error err;
    assert_non_null(k);
    k->x = seed;
    k->m = fake_model_create(&(struct fake_options){.n_vocab = N_VOCAB, .n_ctx_train = N_CTX});
    opt.n_ctx = N_CTX;
    assert_int_equal(engine_assemble(NULL, NULL, NULL, k->m, 1, &k->e, &err), OK);
    assert_int_equal(scheduler_create(k->e, &opt, &k->s, &err), OK);
    for (size_t i = 0; i < n_requests; i++) {
        struct slot *t = &k->slots[kit_random(&k->x) % WINDOW];
        settle(k, t);
        start(k, t);
    }
    for (size_t i = 0; i < WINDOW; i++) settle(k, &k->slots[i]);
    kit_expect_no_pages(k->s);
    struct sched_stats st;
    scheduler_stats(k->s, &st);
    assert_int_equal(st.requests, n_requests);
    assert_int_equal(st.failed, k->failed);
    for (int i = 0; i < FINISH_REASONS; i++) assert_int_equal(st.finished[i], k->ends[i]);
    assert_true(k->ends[FINISH_LENGTH] > n_requests / 4);
    assert_true(k->ends[FINISH_CANCELLED] > 0 && k->ends[FINISH_CALLBACK] > 0);
    assert_true(k->failed > 0);
    scheduler_destroy(k->s); /* the fake's pool ends the program where a page is missing */
    engine_close(k->e);
    free(k);
}

static size_t requests(void)
{
    const char *n = getenv("HEARTH_SOAK_REQUESTS");
    return n ? strtoul(n, NULL, 10) : DEFAULT_REQUESTS;
}

static void test_soak(void **state)
{
    (void)state;
    size_t n = requests() / 4;
    soak(1, n, (struct sched_options){.kv_tokens = 32 * N_CTX});
    soak(2, n, (struct sched_options){.kv_tokens = N_CTX, .max_rows = 40});
    soak(3, n, (struct sched_options){.kv_tokens = 2 * N_CTX, .no_cache = true});
    soak(4, n, (struct sched_options){.kv_tokens = 3 * N_CTX, .max_running = 5, .ageing_ms = 1});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_soak)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
