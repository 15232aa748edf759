/* The scheduler over real (tiny) models: batches, shared pages and preemption change no text, and
 * every allocation fails once in turn without a leak. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "infer/infer_int.h"
#include "model/model.h"
#include "sched_kit.h"

enum { N_CTX = 128, N = 24 };

/* ---- failures -------------------------------------------------------------------------------- */

static int until_failure; /* calls until one fails; 0: none */
static bool failed;

static bool fails_now(void)
{
    if (__atomic_load_n(&until_failure, __ATOMIC_RELAXED) == 0) return false;
    if (__atomic_sub_fetch(&until_failure, 1, __ATOMIC_RELAXED) != 0) return false;
    __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
    return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);

void *__wrap_malloc(size_t n)
{
    return fails_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails_now() ? NULL : __real_realloc(p, n);
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
    return fails_now() ? 11 /* EAGAIN */ : __real_pthread_create(t, a, fn, arg);
}

/* ---- texts ----------------------------------------------------------------------------------- */

static struct engine *open_engine(const char *name, int n_threads)
{
    char path[512];
    struct engine *e;
    struct error err;
    snprintf(path, sizeof path, GOLDEN_DIR "/%s.gguf", name);
    enum status st = engine_open(path, &(struct engine_options){.n_threads = n_threads}, &e, &err);
    if (st != OK) fail_msg("%s", err.msg);
    return e;
}

static void run_model(const char *name, size_t kv_tokens, size_t max_rows)
{
    struct engine *e = open_engine(name, 2);
    uint32_t n_vocab = engine_model_info(e)->n_vocab;
    struct error err;
    struct scheduler *s;
    static struct got g[N];
    static struct sched_request r[N];
    static int32_t prompt[N][N_CTX];
    struct sched_options opt = {.n_ctx = N_CTX, .kv_tokens = kv_tokens, .max_rows = max_rows};
    assert_int_equal(scheduler_create(e, &opt, &s, &err), OK);
    for (size_t i = 0; i < N; i++) {
        size_t n = 5 + i * 37 % 80, shared = i % 3 * 33;
        kit_tokens(prompt[i], n, i, n_vocab);
        kit_tokens(prompt[i], shared < n ? shared : n, i % 2, n_vocab);
        r[i] = kit_request(prompt[i], n, 24);
        r[i].speculate = i % 2;
        r[i].n = i % 5 == 0 ? 3 : 1;
        r[i].sample.temperature = i % 4 == 0 ? 0.9f : 0;
        got_init(&g[i], &r[i]);
        assert_int_equal(scheduler_submit(s, &r[i], &g[i].ticket, &err), OK);
    }
    for (size_t i = 0; i < N; i++) {
        got_wait(&g[i]);
        for (size_t k = 0; k < r[i].n; k++) kit_expect_same(e, N_CTX, &r[i], k, &g[i], k);
        got_fini(&g[i]);
    }
    kit_expect_no_pages(s);
    scheduler_destroy(s);
    engine_close(e);
}

static void test_texts_are_those_of_sessions(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny/llama-gqa", "arch/hf-qwen2",  "arch/gemma3",
                                        "arch/qwen3moe",  "arch/deepseek2", "arch/phi3-long"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) run_model(names[i], 8 * N_CTX, 0);
    run_model("tiny/llama-gqa", N_CTX, 16);
    run_model("arch/gemma3", 2 * N_CTX, 0);
}

/* ---- allocations that fail ------------------------------------------------------------------- */

/* True: everything was done, and right. */
static bool try_all(struct engine *e, const int32_t *prompt, const struct got *expected)
{
    struct scheduler *s;
    struct error err;
    struct got g[3];
    bool done = true, sent[3] = {false};
    struct sched_options opt = {.n_ctx = N_CTX, .kv_tokens = N_CTX, .max_rows = 64};
    if (scheduler_create(e, &opt, &s, &err) != OK) return false;
    for (size_t i = 0; i < 3; i++) {
        struct text_str stop = {"never", 5};
        struct sched_request r = kit_request(prompt, 70, 20);
        r.n = 1 + i;
        r.speculate = true;
        r.client = i ? "a" : "b";
        r.logprobs = true;
        r.prompt_logprobs = i == 2;
        r.stop_text = &stop;
        r.n_stop_text = engine_tokenizer(e) ? 1 : 0;
        got_init(&g[i], &r);
        r.on_text = NULL; /* the kit's allocations are not to fail */
        r.on_prompt = NULL;
        sent[i] = scheduler_submit(s, &r, NULL, &err) == OK;
    }
    for (size_t i = 0; i < 3; i++) {
        if (sent[i]) got_wait(&g[i]);
        if (!sent[i] || g[i].result.status != OK) {
            done = false;
        } else {
            assert_int_equal(g[i].samples[0].n_generated, expected->samples[0].n_generated);
            assert_true(g[i].samples[0].logprob == expected->samples[0].logprob);
        }
    }
    __atomic_store_n(&until_failure, 0, __ATOMIC_RELAXED);
    kit_expect_no_pages(s);
    scheduler_destroy(s);
    return done;
}

static void test_allocations_fail(void **state)
{
    (void)state;
    struct engine *e = open_engine("tiny/llama-gqa", 1);
    struct scheduler *s;
    struct error err;
    struct got expected;
    int32_t prompt[70];
    kit_tokens(prompt, 70, 5, engine_model_info(e)->n_vocab);
    struct sched_request r = kit_request(prompt, 70, 20);
    r.logprobs = true;
    got_init(&expected, &r);
    struct sched_options opt = {.n_ctx = N_CTX};
    assert_int_equal(scheduler_create(e, &opt, &s, &err), OK);
    assert_int_equal(scheduler_submit(s, &r, NULL, &err), OK);
    got_wait(&expected);
    scheduler_destroy(s);
    size_t n = 0, whole = 0;
    for (int k = 1;; k++, n++) {
        failed = false;
        __atomic_store_n(&until_failure, k, __ATOMIC_RELAXED);
        bool done = try_all(e, prompt, &expected);
        __atomic_store_n(&until_failure, 0, __ATOMIC_RELAXED);
        if (!failed) {
            assert_true(done);
            break;
        }
        whole += done;
    }
    assert_true(n > 60);
    assert_true(whole < n / 2); /* most failures are the end of a request */
    got_fini(&expected);
    engine_close(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts_are_those_of_sessions),
                                       cmocka_unit_test(test_allocations_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
