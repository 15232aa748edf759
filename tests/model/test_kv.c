/* KV pages against a plain reference: every position of every sequence holds a value that nobody
 * else writes, so a page shared wrongly, lost or handed out twice shows as a wrong value or count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/model_int.h"

#define N_SEQ  12
#define N_PAGE 40
#define N_OPS  100000

static const struct model small = {
    .info = {.n_layer = 2, .n_head_kv = 1, .head_dim = 16, .v_dim = 16},
};

/* What a sequence should be. */
struct ref_seq {
    struct kv_seq *seq; /* NULL: not alive */
    uint32_t *want;     /* [len], the value at each position */
    size_t len;
    size_t held; /* pages */
};

static uint64_t rng_state = 0x9e3779b97f4a7c15u;

static uint32_t rnd(uint32_t n)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 33) % n;
}

static size_t ceil_pages(size_t n)
{
    return (n + KERN_KV_PAGE - 1) / KERN_KV_PAGE;
}

static uint32_t *slot(const struct kv_seq *s, size_t pos)
{
    uint8_t *page = kv_seq_pages(s)[pos / KERN_KV_PAGE];
    return (uint32_t *)page + pos % KERN_KV_PAGE;
}

/* How many sequences hold this page. */
static int holders(const struct ref_seq *r, const uint8_t *page)
{
    int n = 0;
    for (int i = 0; i < N_SEQ; i++)
        for (size_t k = 0; r[i].seq && k < r[i].held; k++) n += kv_seq_pages(r[i].seq)[k] == page;
    return n;
}

static void check_counts(const struct kv_pool *p, const struct ref_seq *r)
{
    const uint8_t *seen[N_PAGE];
    size_t n = 0;
    for (int i = 0; i < N_SEQ; i++) {
        for (size_t k = 0; r[i].seq && k < r[i].held; k++) {
            const uint8_t *page = kv_seq_pages(r[i].seq)[k];
            assert_int_equal((uintptr_t)page % 64, 0);
            size_t j = 0;
            while (j < n && seen[j] != page) j++;
            if (j < n) continue;
            assert_true(n < N_PAGE);
            seen[n++] = page;
        }
    }
    assert_int_equal(kv_pool_pages_free(p), N_PAGE - n);
}

static void check_values(const struct ref_seq *r)
{
    for (int i = 0; i < N_SEQ; i++) {
        if (!r[i].seq) continue;
        assert_int_equal(kv_seq_len(r[i].seq), r[i].len);
        for (size_t k = 0; k < r[i].len; k++) assert_int_equal(*slot(r[i].seq, k), r[i].want[k]);
    }
}

static void op_append(struct kv_pool *p, struct ref_seq *all, struct ref_seq *r, uint32_t *value)
{
    size_t n = 1 + rnd(rnd(2) ? 4 : 100);
    size_t need = ceil_pages(r->len + n);
    size_t cost = need > r->held ? need - r->held : 0;
    size_t tail = r->len / KERN_KV_PAGE;
    if (tail < r->held && holders(all, kv_seq_pages(r->seq)[tail]) > 1) cost++;
    bool fits = need <= N_PAGE && cost <= kv_pool_pages_free(p);

    struct error err;
    enum status st = kv_seq_reserve(r->seq, n, &err);
    assert_int_equal(st, fits ? OK : ERR_LIMIT);
    if (st) return;
    if (need > r->held) r->held = need;
    if (rnd(8) == 0) return; /* an aborted forward pass: reserved, perhaps written, not advanced */
    r->want = realloc(r->want, (r->len + n) * sizeof *r->want);
    assert_non_null(r->want);
    for (size_t k = 0; k < n; k++) *slot(r->seq, r->len + k) = r->want[r->len + k] = ++*value;
    kv_seq_advance(r->seq, n);
    r->len += n;
}

static void op_fork(struct ref_seq *from, struct ref_seq *to)
{
    struct error err;
    size_t n = rnd((uint32_t)from->len + 1);
    assert_int_equal(kv_seq_fork(from->seq, n, &to->seq, &err), OK);
    to->len = n;
    to->held = ceil_pages(n);
    to->want = malloc(n * sizeof *to->want + 1);
    assert_non_null(to->want);
    if (n) memcpy(to->want, from->want, n * sizeof *to->want);
}

static void op_truncate(struct ref_seq *r)
{
    size_t n = rnd((uint32_t)r->len + 3); /* sometimes past the end: then only reserved pages go */
    kv_seq_truncate(r->seq, n);
    if (n < r->len) r->len = n;
    r->held = ceil_pages(r->len);
}

static void op_destroy(struct ref_seq *r)
{
    kv_seq_destroy(r->seq);
    free(r->want);
    memset(r, 0, sizeof *r);
}

static void test_random_operations(void **state)
{
    (void)state;
    struct kv_pool *p;
    struct error err;
    struct ref_seq r[N_SEQ] = {0};
    uint32_t value = 0;
    assert_int_equal(kv_pool_create(&small, N_PAGE * KERN_KV_PAGE, &p, &err), OK);
    assert_int_equal(kv_pool_pages(p), N_PAGE);
    for (int op = 0; op < N_OPS; op++) {
        struct ref_seq *a = &r[rnd(N_SEQ)], *b = &r[rnd(N_SEQ)];
        uint32_t what = rnd(100);
        if (!a->seq) {
            if (b->seq && what < 60)
                op_fork(b, a);
            else
                assert_int_equal(kv_seq_create(p, &a->seq, &err), OK);
        } else if (what < 60) {
            op_append(p, r, a, &value);
        } else if (what < 85) {
            op_truncate(a);
        } else if (what < 95) {
            op_destroy(a);
        } else if (!b->seq) {
            op_fork(a, b);
        }
        check_counts(p, r);
        if (op % 16 == 0) check_values(r);
    }
    check_values(r);
    for (int i = 0; i < N_SEQ; i++) op_destroy(&r[i]);
    assert_int_equal(kv_pool_pages_free(p), N_PAGE);
    kv_pool_destroy(p);
}

/* Type, and bytes of K and V of one head of 64 in a page. */
static const struct {
    const char *name;
    size_t k, v;
} sizes[] = {
    {"f16", 4096, 4096}, {"q8_0", 2176, 2176}, {"q8_0/q4_0", 2176, 1152}, {"q4_0", 1152, 1152}};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static void test_layout(void **state)
{
    (void)state;
    struct model_info info = {.n_layer = 3, .n_head_kv = 2, .head_dim = 64, .v_dim = 64};
    struct error err;
    for (size_t i = 0; i < N_SIZES; i++) {
        struct kv_layout l;
        size_t at = 0;
        assert_int_equal(kv_layout_init(&l, &info, sizes[i].name, &err), OK);
        assert_string_equal(l.type->name, sizes[i].name);
        assert_string_equal(kv_type_name(i), sizes[i].name);
        for (uint32_t layer = 0; layer < 3; layer++) {
            for (uint32_t h = 0; h < 2; h++) {
                assert_int_equal(kv_k_offset(&l, layer, h), at);
                assert_int_equal(kv_v_offset(&l, layer, h), at + sizes[i].k);
                at += sizes[i].k + sizes[i].v;
            }
        }
        assert_int_equal(l.page_bytes, at);
    }
    assert_null(kv_type_name(N_SIZES));
}

static void test_layout_errors(void **state)
{
    (void)state;
    struct model_info info = {.n_layer = 3, .n_head_kv = 2, .head_dim = 80, .v_dim = 80};
    struct kv_layout l;
    struct error err;
    assert_int_equal(kv_layout_init(&l, &info, NULL, &err), OK);
    assert_string_equal(l.type->name, "f16");
    assert_int_equal(kv_layout_init(&l, &info, "q8", &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "q8_0/q4_0"));
    assert_int_equal(kv_layout_init(&l, &info, "", &err), ERR_INVALID);
    assert_int_equal(kv_layout_init(&l, &info, "q4_0", &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "80"));
}

/* What stands in a page comes back, from where it was written and nowhere else. */
static void test_read_back(void **state)
{
    (void)state;
    static const float within[N_SIZES] = {0.002f, 0.05f, 0.5f, 0.5f};
    struct model_info info = {.n_layer = 2, .n_head_kv = 2, .head_dim = 64, .v_dim = 64};
    const struct kern_ops *ops;
    struct error err;
    float centre[64];
    for (int d = 0; d < 64; d++) centre[d] = (float)rnd(1000) / 2000;
    assert_int_equal(kern_select(NULL, &ops, &err), OK);
    for (size_t t = 0; t < N_SIZES; t++) {
        struct kv_layout l;
        assert_int_equal(kv_layout_init(&l, &info, sizes[t].name, &err), OK);
        uint8_t *page = aligned_alloc(64, l.page_bytes);
        assert_non_null(page);
        static float k[2 * 2 * KERN_KV_PAGE][64], v[2 * 2 * KERN_KV_PAGE][64];
        for (uint32_t i = 0; i < 2 * 2 * KERN_KV_PAGE; i++) {
            float wk[64], wv[64]; /* writing changes them */
            for (uint32_t d = 0; d < 64; d++) {
                wk[d] = k[i][d] = (float)rnd(2001) / 1000 - 1;
                wv[d] = v[i][d] = (float)rnd(2001) / 1000 - 1;
            }
            kv_write(&l, ops, page, i & 1, i >> 1 & 1, i >> 2, i & 2 ? centre : NULL, wk, wv);
        }
        for (uint32_t i = 0; i < 2 * 2 * KERN_KV_PAGE; i++) {
            float rk[64], rv[64];
            kv_read(&l, ops, page, i & 1, i >> 1 & 1, i >> 2, i & 2 ? centre : NULL, rk, rv);
            for (uint32_t d = 0; d < 64; d++) {
                assert_true(rk[d] - k[i][d] < within[t] && k[i][d] - rk[d] < within[t]);
                assert_true(rv[d] - v[i][d] < within[t] && v[i][d] - rv[d] < within[t]);
            }
        }
        free(page);
    }
}

static void test_copy_on_write(void **state)
{
    (void)state;
    struct kv_pool *p;
    struct kv_seq *a, *b;
    struct error err;
    assert_int_equal(kv_pool_create(&small, 8 * KERN_KV_PAGE, &p, &err), OK);
    assert_int_equal(kv_seq_create(p, &a, &err), OK);
    assert_int_equal(kv_seq_reserve(a, KERN_KV_PAGE + 5, &err), OK);
    kv_seq_advance(a, KERN_KV_PAGE + 5);
    assert_int_equal(kv_seq_fork(a, KERN_KV_PAGE + 3, &b, &err), OK);
    assert_int_equal(kv_pool_pages_free(p), 6); /* everything is shared */
    uint8_t *full = kv_seq_pages(a)[0], *partial = kv_seq_pages(a)[1];

    /* Whoever writes first gets the copy; the full page stays shared. */
    assert_int_equal(kv_seq_reserve(a, 1, &err), OK);
    assert_ptr_equal(kv_seq_pages(a)[0], full);
    assert_ptr_not_equal(kv_seq_pages(a)[1], partial);
    assert_ptr_equal(kv_seq_pages(b)[1], partial);
    assert_int_equal(kv_pool_pages_free(p), 5);
    /* The other is alone on its page now and keeps it. */
    assert_int_equal(kv_seq_reserve(b, 1, &err), OK);
    assert_ptr_equal(kv_seq_pages(b)[1], partial);
    assert_ptr_equal(kv_seq_pages(b)[0], full);
    assert_int_equal(kv_pool_pages_free(p), 5);

    struct kv_seq *c = (struct kv_seq *)&small;
    assert_int_equal(kv_seq_fork(b, KERN_KV_PAGE + 4, &c, &err), ERR_INVALID);
    assert_null(c);
    kv_seq_destroy(a);
    kv_seq_destroy(b);
    kv_pool_destroy(p);
}

static void test_limits(void **state)
{
    (void)state;
    struct kv_pool *p = (struct kv_pool *)&small;
    struct kv_seq *s;
    struct error err;
    assert_int_equal(kv_pool_create(&small, 0, &p, &err), ERR_INVALID);
    assert_null(p);
    assert_int_equal(kv_pool_create(&small, SIZE_MAX, &p, &err), ERR_LIMIT);
    assert_int_equal(kv_pool_create(&small, (size_t)1 << 36, &p, &err), ERR_LIMIT);
    const struct model huge = {
        .info = {.n_layer = 1024, .n_head_kv = 1024, .head_dim = 512, .v_dim = 512}};
    assert_int_equal(kv_pool_create(&huge, (size_t)1 << 28, &p, &err), ERR_NOMEM);
    assert_null(p);

    assert_int_equal(kv_pool_create(&small, KERN_KV_PAGE + 1, &p, &err), OK);
    assert_int_equal(kv_pool_pages(p), 2);
    assert_int_equal(kv_seq_create(p, &s, &err), OK);
    assert_int_equal(kv_seq_reserve(s, SIZE_MAX, &err), ERR_LIMIT);
    assert_int_equal(kv_seq_reserve(s, 2 * KERN_KV_PAGE + 1, &err), ERR_LIMIT);
    assert_int_equal(kv_pool_pages_free(p), 2);
    assert_int_equal(kv_seq_reserve(s, 2 * KERN_KV_PAGE, &err), OK);
    kv_seq_advance(s, 2 * KERN_KV_PAGE);
    assert_int_equal(kv_seq_reserve(s, SIZE_MAX, &err), ERR_LIMIT);
    assert_int_equal(kv_seq_reserve(s, 1, &err), ERR_LIMIT);
    kv_seq_destroy(s);
    kv_pool_destroy(p);
    kv_seq_destroy(NULL);
    kv_pool_destroy(NULL);
}

/* Pages outlive the sequence that wrote them, are given to others, and are never written to then.
 */
static void test_held_pages(void **state)
{
    (void)state;
    enum { N = 2 * KERN_KV_PAGE };
    struct error err;
    struct kv_pool *p;
    struct kv_seq *a, *b;
    assert_int_equal(kv_pool_create(&small, 6 * KERN_KV_PAGE, &p, &err), OK);
    assert_int_equal(kv_seq_create(p, &a, &err), OK);
    assert_int_equal(kv_seq_reserve(a, N + 3, &err), OK);
    for (size_t i = 0; i < N + 3; i++) *slot(a, i) = 100 + (uint32_t)i;
    kv_seq_advance(a, N + 3);
    uint32_t page[2] = {kv_seq_page(a, 0), kv_seq_page(a, 1)};
    for (int i = 0; i < 2; i++) kv_page_ref(p, page[i]);
    assert_int_equal(kv_page_refs(p, page[0]), 2);
    kv_seq_destroy(a);
    assert_int_equal(kv_page_refs(p, page[0]), 1);
    assert_int_equal(kv_pool_pages_free(p), 4);

    assert_int_equal(kv_seq_create(p, &b, &err), OK);
    assert_int_equal(kv_seq_reserve(b, 1, &err), OK); /* what is only reserved makes room */
    for (int i = 0; i < 2; i++) assert_int_equal(kv_seq_append_page(b, page[i], &err), OK);
    assert_int_equal(kv_seq_len(b), N);
    for (size_t i = 0; i < N; i++) assert_int_equal(*slot(b, i), 100 + i);
    assert_int_equal(kv_pool_pages_free(p), 4);
    kv_seq_truncate(b, N - 1);
    assert_int_equal(kv_seq_reserve(b, 1, &err), OK); /* copied: the cache's page stays as it is */
    *slot(b, N - 1) = 7;
    kv_seq_advance(b, 1);
    assert_int_equal(kv_pool_pages_free(p), 3);
    assert_int_not_equal(kv_seq_page(b, 1), page[1]);
    kv_seq_replace_page(b, 1, page[1]);
    assert_int_equal(*slot(b, N - 1), 100 + N - 1);
    assert_int_equal(kv_pool_pages_free(p), 4);
    kv_seq_destroy(b);
    for (int i = 0; i < 2; i++) kv_page_unref(p, page[i]);
    assert_int_equal(kv_pool_pages_free(p), 6);
    kv_pool_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_layout_errors),
        cmocka_unit_test(test_read_back),
        cmocka_unit_test(test_copy_on_write),
        cmocka_unit_test(test_held_pages),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
