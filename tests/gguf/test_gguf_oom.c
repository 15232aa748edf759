/* Opening with each allocation failing in turn: ERR_NOMEM, nothing leaked. The linker routes the
 * allocators through here (--wrap); OpenSSL's go through its own hooks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "base/sha256.h"
#include "gguf/gguf_int.h"
#include "gguf_build.h"
#include "gguf_exercise.h"
#include "gguf_files.h"

static long fail_at; /* 1 fails the next allocation; 0 never */
static long live;    /* allocations less frees, while counting */
static long calls;
static bool in_crypto; /* the allocation that failed was OpenSSL's */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
void __wrap_free(void *p);

static bool fails(void)
{
    calls++;
    return fail_at > 0 && --fail_at == 0;
}

static bool crypto_fails(void)
{
    if (!fails()) return false;
    in_crypto = true;
    return true;
}

static void *counted(void *p)
{
    if (p) live++;
    return p;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : counted(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (fails()) return NULL;
    void *out = __real_realloc(p, n);
    if (out && !p) live++;
    return out;
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : counted(__real_strdup(s));
}

char *__wrap_strndup(const char *s, size_t n)
{
    return fails() ? NULL : counted(__real_strndup(s, n));
}

void __wrap_free(void *p)
{
    if (p) live--;
    __real_free(p);
}

static void *crypto_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return crypto_fails() ? NULL : __real_malloc(n);
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return crypto_fails() ? NULL : __real_realloc(p, n);
}

static void crypto_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    __real_free(p);
}

/* The number of allocations that a run without failures makes. */
static long torture(const char *path, const void *data, size_t size)
{
    for (long n = 1;; n++) {
        struct gguf *g = (struct gguf *)&n;
        struct error err = {0};
        long live_before = live;
        calls = 0;
        in_crypto = false;
        fail_at = n;
        enum status st =
            data ? gguf_open_memory(data, size, path, &g, &err) : gguf_open(path, &g, &err);
        bool reached = fail_at == 0;
        fail_at = 0;
        /* OpenSSL can do without some of its allocations. */
        if (!reached || (in_crypto && st == OK)) {
            assert_int_equal(st, OK);
            assert_null(gguf_exercise(g, data, size));
            gguf_close(g);
            assert_int_equal(live, live_before);
            if (!reached) return calls;
            continue;
        }
        if (st != ERR_NOMEM || g || !strstr(err.msg, "out of memory"))
            fail_msg("allocation %ld: status %d, message: %s", n, st, err.msg);
        if (live != live_before)
            fail_msg("allocation %ld failing leaks %ld", n, live - live_before);
    }
}

static void one_file(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    build_sample(3, &b);
    assert_true(torture("sample.gguf", b.data, b.len) >= 9);
    buf_fini(&b);
}

static void several_files(void **state)
{
    (void)state;
    struct files f;
    assert_true(files_init(&f));
    assert_true(files_write_shards(&f, "m", 3, 2));
    char path[128];
    strcpy(path, files_path(&f, "m-00001-of-00003.gguf"));
    assert_true(torture(path, NULL, 0) >= 20);
    files_fini(&f);
}

/* Failing to build a message's path must not lose the message. */
static void the_hint_to_the_first_shard(void **state)
{
    (void)state;
    struct files f;
    assert_true(files_init(&f));
    assert_true(files_write_shards(&f, "m", 2, 1));
    char path[128];
    strcpy(path, files_path(&f, "m-00002-of-00002.gguf"));
    int hints = 0;
    for (long n = 1; n < 30; n++) {
        struct gguf *g;
        struct error err = {0};
        long live_before = live;
        fail_at = n;
        enum status st = gguf_open(path, &g, &err);
        fail_at = 0;
        assert_null(g);
        assert_int_equal(live, live_before);
        if (st == ERR_INVALID && strstr(err.msg, "open the first"))
            hints++;
        else
            assert_int_equal(st, ERR_NOMEM);
    }
    assert_true(hints > 10);
    files_fini(&f);
}

int main(void)
{
    if (!CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free)) return 99;
    uint8_t digest[SHA256_BYTES]; /* OpenSSL's start-up, which it does once, is not the subject */
    if (sha256_of("", 0, digest)) return 99;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_file),
        cmocka_unit_test(several_files),
        cmocka_unit_test(the_hint_to_the_first_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
