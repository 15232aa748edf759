/* Every allocation and every thread's start fails once in turn, from opening a model to a score:
 * each time there is an error or the right result, and nothing leaks (the leak checker's part). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "hearth.h"

#define TINY GOLDEN_DIR "/tiny/llama-gqa.gguf"

/* Calls until one fails; 0 = none fails. Threads allocate too. */
static int until_failure;
static bool failed;

static bool fails_now(void)
{
    int left = __atomic_load_n(&until_failure, __ATOMIC_RELAXED);
    if (left == 0) return false;
    if (__atomic_sub_fetch(&until_failure, 1, __ATOMIC_RELAXED) != 0) return false;
    failed = true;
    return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
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

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return fails_now() ? NULL : __real_aligned_alloc(align, n);
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
    return fails_now() ? 11 /* EAGAIN */ : __real_pthread_create(t, a, fn, arg);
}

/* What a run gives, compared with a run without failures. */
struct outcome {
    int32_t ids[64];
    size_t n_ids;
    char text[512];
    size_t len;
    double logprobs[64];
};

static bool on_text(void *ctx, const char *text, size_t len)
{
    struct outcome *o = ctx;
    assert_true(o->len + len < sizeof o->text);
    memcpy(o->text + o->len, text, len);
    o->len += len;
    return true;
}

static enum hearth_status generate(struct hearth_session *s, struct outcome *o,
                                   struct hearth_error *err)
{
    static const struct hearth_logit_bias bias = {99, -1000};
    static const char prompt[] = "for (every item) in";
    struct hearth_request req;
    hearth_request_init(&req);
    req.prompt = prompt;
    req.prompt_len = strlen(prompt);
    req.max_tokens = 12;
    req.temperature = 0.9f;
    req.seed = 5;
    req.repeat_penalty = 1.1f;
    req.bias = &bias;
    req.n_bias = 1;
    req.deadline_ms = 60000;
    req.on_text = on_text;
    req.ctx = o;
    o->len = 0;
    return hearth_generate(s, &req, NULL, err);
}

static enum hearth_status run(struct outcome *o, struct hearth_error *err)
{
    static const char code[] = "while (1) return the value";
    struct hearth_engine_options opt = {.n_threads = 2};
    struct hearth_engine *e;
    struct hearth_session *s = NULL;
    memset(o, 0, sizeof *o);
    enum hearth_status st = hearth_engine_open(TINY, &opt, &e, err);
    if (st != HEARTH_OK) {
        assert_null(e);
        return st;
    }
    st = hearth_tokenize(e, code, strlen(code), HEARTH_ADD_BOS, o->ids, 64, &o->n_ids, err);
    if (st == HEARTH_OK) st = hearth_session_create(e, 256, &s, err);
    if (st == HEARTH_OK) {
        st = generate(s, o, err);
        /* A session that failed once goes on. */
        if (st != HEARTH_OK) assert_int_equal(generate(s, o, NULL), HEARTH_OK);
    }
    if (st == HEARTH_OK) st = hearth_score(s, o->ids, o->n_ids, o->logprobs, err);
    hearth_session_destroy(s);
    hearth_engine_close(e);
    return st;
}

static void every_failure_is_an_error(void **state)
{
    (void)state;
    static struct outcome want, got;
    struct hearth_error err;
    assert_int_equal(run(&want, &err), HEARTH_OK);
    assert_true(want.len > 0 && want.n_ids > 10);
    int at = 1, errors = 0;
    for (;; at++) {
        failed = false;
        err = (struct hearth_error){0};
        __atomic_store_n(&until_failure, at, __ATOMIC_RELAXED);
        enum hearth_status st = run(&got, &err);
        __atomic_store_n(&until_failure, 0, __ATOMIC_RELAXED);
        if (!failed) break;
        if (st == HEARTH_OK) { /* done without, as the watching thread can be */
            got.logprobs[0] = want.logprobs[0] = 0;
            assert_memory_equal(&got, &want, sizeof got);
            continue;
        }
        errors++;
        assert_int_equal(err.code, st);
        if (st != HEARTH_ERR_NOMEM) fail_msg("call %d: status %d: %s", at, (int)st, err.message);
        assert_true(strlen(err.message) > 5);
    }
    assert_true(errors > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_failure_is_an_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
