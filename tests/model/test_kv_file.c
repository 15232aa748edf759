/* What is kept of a sequence's pages: the same bytes for the same text and version of the
 * arithmetic, and nothing of any other text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "golden_kit.h"
#include "kern/kern.h"
#include "model/kv_file.h"
#include "model/model.h"

enum { N_IDS = 80, N_TOKENS = 75 }; /* two pages and some */

/* ---- one arithmetic, one version ---------------------------------------------------------------
 */

/* Where a digest is no longer what it was, files that an earlier build kept must not be taken for
 * this build's: raise KERN_NUMERIC_VERSION in kern.h, then put it and the digests here. */
enum { VERSION_OF_DIGESTS = 1 };
static const struct {
    const char *kv_type, *digest;
} digests[] = {
    {"f16", "6a6b832df46c0f877c1bd203303149cccbbed476606371daf93db68c165a4fe0"},
    {"q8_0", "f3114dc55188d6bcde15a5da68d4f51e8924859811c88b2ade8198a903af1133"},
    {"q8_0/q4_0", "128bc1ce9e191fb38016721a23fb25ed06bc3d26d12fd417f85f3ce3a0158e44"},
    {"q4_0", "24c5d4cece2524c499acf22a006fd04b934eee7f05a181fa335578d6f7af43e1"},
};
enum { N_DIGESTS = sizeof digests / sizeof *digests };

/* Each kind of weights and of heads; the first N_SMALL have heads too small for blocks. */
static const char *const fixtures[] = {
    "llama-mha",   "llama-gqa",    "qwen2",      "bf16",         "q8_0",          "q4_0",
    "q4_1",        "q5_0",         "q5_1",       "q2_k",         "q3_k",          "q4_k",
    "q5_k",        "q6_k",         "llama-tied", "llama-keylen", "llama-partial", "llama-yarn",
    "llama-freqs", "qwen2-untied", "qwen2-yarn", "mixed"};
enum { N_FIXTURES = sizeof fixtures / sizeof *fixtures, N_SMALL = 14 };

struct fed {
    struct loaded l;
    struct kv_pool *pool;
    struct forward *f;
    struct kv_form form;
};

static struct fed fed_open(const char *fixture, const char *table, const char *kv_type)
{
    struct fed x = {.l = golden_open(fixture, table, kv_type)};
    struct error err = {0};
    golden_assert_ok(kv_pool_create(x.l.m, 4 * N_TOKENS, &x.pool, &err), &err);
    golden_assert_ok(forward_create(x.l.m, 1, N_IDS, &x.f, &err), &err);
    return x;
}

static void fed_close(struct fed *x)
{
    forward_destroy(x->f);
    kv_pool_destroy(x->pool);
    golden_close(&x->l);
}

static struct kv_seq *fed_seq(struct fed *x, const int32_t *ids, size_t n)
{
    struct kv_seq *s;
    struct error err = {0};
    golden_assert_ok(kv_seq_create(x->pool, &s, &err), &err);
    golden_feed(x->f, s, ids, n, NULL);
    golden_assert_ok(kv_file_form(x->l.m, s, &x->form, &err), &err);
    return s;
}

/* Pages of the first n positions, one behind the other. The caller frees. */
static uint8_t *pages_of(const struct fed *x, const struct kv_seq *s, size_t n)
{
    struct error err = {0};
    size_t bytes = (size_t)x->form.page_bytes, n_pages = kv_file_pages(n);
    uint8_t *out = aligned_alloc(64, n_pages * bytes);
    assert_non_null(out);
    for (size_t i = 0; i < n_pages; i++)
        golden_assert_ok(kv_file_copy(s, n, i, out + i * bytes, &err), &err);
    return out;
}

static void add_fixture(struct sha256 *sha, const char *fixture, const char *table,
                        const char *kv_type)
{
    struct golden g = golden_load(fixture);
    struct fed x = fed_open(fixture, table, kv_type);
    struct kv_seq *s = fed_seq(&x, g.ids, N_TOKENS);
    uint8_t *pages = pages_of(&x, s, N_TOKENS);
    assert_string_equal(x.form.type, kv_type);
    sha256_update(sha, pages, kv_file_pages(N_TOKENS) * (size_t)x.form.page_bytes);
    free(pages);
    kv_seq_destroy(s);
    fed_close(&x);
    free(g.file);
}

static void test_digests(void **state)
{
    const struct kern_ops *tables[16];
    size_t n_tables = kern_available(tables, 16), wrong = 0;
    (void)state;
    assert_int_equal(KERN_NUMERIC_VERSION, VERSION_OF_DIGESTS);
    for (size_t d = 0; d < N_DIGESTS; d++)
        for (size_t t = 0; t < n_tables; t++) {
            if (strcmp(tables[t]->name, "sse2") == 0) continue; /* last bits of its own */
            struct sha256 sha;
            uint8_t digest[SHA256_BYTES];
            char hex[SHA256_HEX_SIZE];
            assert_int_equal(sha256_init(&sha), OK);
            for (size_t i = d == 0 ? 0 : N_SMALL; i < N_FIXTURES; i++)
                add_fixture(&sha, fixtures[i], tables[t]->name, digests[d].kv_type);
            assert_int_equal(sha256_final(&sha, digest), OK);
            sha256_hex(digest, hex);
            if (strcmp(hex, digests[d].digest) == 0) continue;
            print_message("%s, %s: %s\n", digests[d].kv_type, tables[t]->name, hex);
            wrong++;
        }
    if (wrong) fail_msg("keys and values have changed: raise KERN_NUMERIC_VERSION");
}

/* ---- nothing of another text -------------------------------------------------------------------
 */

static void test_nothing_else_is_kept(void **state)
{
    static const size_t lengths[] = {1, 31, 32, 33, 64, 74, N_TOKENS};
    struct golden g = golden_load("llama-tied");
    int32_t other[N_IDS];
    (void)state;
    for (size_t i = 0; i < N_IDS; i++) other[i] = (g.ids[i] + 7) % g.n_vocab;
    for (size_t d = 0; d < N_DIGESTS; d++) {
        struct fed x = fed_open("llama-tied", NULL, digests[d].kv_type);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            size_t n = lengths[i];
            struct kv_seq *a = fed_seq(&x, g.ids, n);
            uint8_t *want = pages_of(&x, a, n);
            kv_seq_destroy(a);
            struct kv_seq *b = fed_seq(&x, other, N_TOKENS); /* in the same memory */
            kv_seq_truncate(b, 0);
            golden_feed(x.f, b, g.ids, n, NULL);
            uint8_t *got = pages_of(&x, b, n);
            size_t bytes = kv_file_pages(n) * (size_t)x.form.page_bytes;
            assert_memory_equal(got, want, bytes);
            free(got);
            golden_feed(x.f, b, other, N_IDS - n, NULL);
            got = pages_of(&x, b, n); /* of a longer text, only its beginning */
            assert_memory_equal(got, want, bytes);
            free(got);
            free(want);
            kv_seq_destroy(b);
        }
        fed_close(&x);
    }
    free(g.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_nothing_else_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
