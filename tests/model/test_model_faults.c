/* Every allocation, mapping and thread that a model or a KV cache asks for fails once in turn: the
 * answer is an error or a working model, and nothing leaks (run under AddressSanitizer). The linker
 * puts these functions in front of the C library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model/model_int.h"
#include "tiny_model.h"

static atomic_int countdown = -1; /* the call that fails when it reaches 0; negative: none */

static bool fails(void)
{
    if (atomic_load(&countdown) < 0 || atomic_fetch_sub(&countdown, 1) > 0) return false;
    errno = ENOMEM;
    return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg);
int __real_fsync(int fd);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg);
int __wrap_fsync(int fd);

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return fails() ? NULL : __real_aligned_alloc(align, n);
}

void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
    return fails() ? MAP_FAILED : __real_mmap(at, n, prot, flags, fd, off);
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg)
{
    return fails() ? EAGAIN : __real_pthread_create(t, a, f, arg);
}

int __wrap_fsync(int fd)
{
    return fails() ? -1 : __real_fsync(fd);
}

/* Opens the model with call n failing; false when there was no such call. */
static bool open_failing(const struct gguf *g, const char *cache, int threads, int n, int *errors)
{
    struct model *m;
    struct error err = {0};
    struct model_options opt = {.n_threads = threads, .cache_dir = cache};
    countdown = n;
    enum status st = model_open(g, &opt, &m, &err);
    bool reached = countdown < 0;
    countdown = -1;
    if (st) {
        assert_int_equal(st, ERR_NOMEM);
        assert_int_equal(err.code, st);
        assert_true(err.msg[0]);
        assert_null(m);
        ++*errors;
    } else {
        assert_int_equal(m->n_stages, 12);
        for (size_t i = 0; i < m->n_stages * 3; i++) {
            const struct weight *w = &m->stages[i / 3].w[i % 3];
            assert_true(!w->src == !w->mat.data);
        }
    }
    model_close(m);
    return reached;
}

static void test_open(void **state)
{
    (void)state;
    struct tiny_model t;
    struct gguf *g;
    struct error err;
    char path[512];
    char *dir = tiny_make_dir(), *cache = tiny_make_dir();
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    tiny_init(&t, "qwen2");
    tiny_tensor(&t, "blk.0.attn_v.bias", QUANT_F16, 32, 0);
    tiny_write(&t, path);
    assert_int_equal(gguf_open(path, &g, &err), OK);
    /* Without a cache, making one each time, using one; alone and with another thread. */
    for (int run = 0; run < 6; run++) {
        int n = 0, errors = 0, threads = run % 2 + 1;
        for (bool reached = true; reached; n++) {
            if (run / 2 == 1) tiny_remove_dir(cache);
            reached = open_failing(g, run / 2 ? cache : NULL, threads, n, &errors);
        }
        assert_true(n > 5);
        assert_true(errors > 5);
    }
    gguf_close(g);
    tiny_remove_dir(dir);
    tiny_remove_dir(cache);
    free(dir);
    free(cache);
}

static void test_kv(void **state)
{
    (void)state;
    static const struct model m = {.info = {.n_layer = 2, .n_head_kv = 1, .head_dim = 16, .v_dim = 16}};
    int n = 0;
    for (bool reached = true; reached; n++) {
        struct kv_pool *p = NULL;
        struct kv_seq *a = NULL, *b = NULL;
        struct error err = {0};
        countdown = n;
        enum status st = kv_pool_create(&m, 20 * KERN_KV_PAGE, &p, &err);
        if (!st) st = kv_seq_create(p, &a, &err);
        if (!st) st = kv_seq_reserve(a, 10 * KERN_KV_PAGE, &err);
        if (!st) kv_seq_advance(a, 10 * KERN_KV_PAGE - 1);
        if (!st) st = kv_seq_fork(a, 5 * KERN_KV_PAGE, &b, &err);
        if (!st) st = kv_seq_reserve(a, 9 * KERN_KV_PAGE, &err);
        reached = countdown < 0;
        countdown = -1;
        assert_int_equal(st, reached ? ERR_NOMEM : OK);
        assert_int_equal(err.code, reached ? ERR_NOMEM : OK);
        kv_seq_destroy(a);
        kv_seq_destroy(b);
        if (p) assert_int_equal(kv_pool_pages_free(p), 20);
        kv_pool_destroy(p);
    }
    assert_true(n > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_kv),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
