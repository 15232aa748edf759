/* The forward pass against logits that PyTorch computed (tools/golden/make_tiny.py), and against
 * itself: whatever the batch, the threads and the kernels, the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_kit.h"
#include "kern/kern.h"
#include "model/model.h"

enum weights { FLOAT_WEIGHTS, HALF_WEIGHTS, QUANT_WEIGHTS };

/* Largest allowed difference as a share of the logits' range: from float32 throughout, and from
 * PyTorch rounding where Hearth's formats round. The first is the promise made to users for float
 * weights; for quantized ones it says little, since int8 activations move the logits of random
 * layers by a percent. The second finds mistakes: the fixtures' tokens are chosen so that no
 * rounding to int8 is close to call, which leaves the order of float sums and the last bit of a few
 * F16 keys; the int16 that F16 and BF16 weights are multiplied in has so many steps that some are
 * always close. */
static const struct {
    double exact, rounded;
} tolerance[] = {
    [FLOAT_WEIGHTS] = {1e-3, 2e-4}, [HALF_WEIGHTS] = {1e-3, 8e-4}, [QUANT_WEIGHTS] = {5e-2, 1e-3}};

struct fixture {
    const char *name;
    enum weights weights;
};

static void test_fixture(void **state)
{
    const struct fixture *fx = *state;
    struct golden g = golden_load(fx->name);
    const struct kern_ops *tables[16];
    size_t n_tables = kern_available(tables, 16);
    float *base = NULL;
    assert_in_range(n_tables, 1, 16);
    for (size_t t = 0; t < n_tables; t++) {
        /* sse2 has no fused multiply-add, and so its own last bits. */
        bool alone = strcmp(tables[t]->name, "sse2") == 0;
        float *mine = golden_run_table(fx->name, &g, tables[t]->name, alone ? NULL : base);
        double exact = golden_max_rel(&g, g.exact, mine),
               rounded = golden_max_rel(&g, g.rounded, mine);
        print_message("%-14s %-8s from float32 %.1e, from the same formats %.1e\n", fx->name,
                      tables[t]->name, exact, rounded);
        assert_true(exact <= tolerance[fx->weights].exact);
        assert_true(rounded <= tolerance[fx->weights].rounded);
        if (alone)
            free(mine);
        else
            base = mine;
    }
    free(base);
    free(g.file);
}

/* ---- sequences that share pages ------------------------------------------------------------- */

struct shared {
    struct loaded l;
    struct golden g;
    struct kv_pool *pool;
    struct forward *f;
    size_t n_vocab;
    int32_t other[80]; /* the golden's ids up to a fork, then different ones */
    float *logits;     /* room for 80 rows */
};

static void shared_init(struct shared *s, size_t n_tokens)
{
    struct error err = {0};
    memset(s, 0, sizeof *s);
    s->l = golden_open("llama-gqa", NULL, NULL);
    s->g = golden_load("llama-gqa");
    s->n_vocab = (size_t)s->g.n_vocab;
    assert_int_equal(s->g.n_ids, 80);
    golden_assert_ok(kv_pool_create(s->l.m, n_tokens, &s->pool, &err), &err);
    golden_assert_ok(forward_create(s->l.m, 2, 80, &s->f, &err), &err);
    s->logits = malloc(80 * s->n_vocab * sizeof(float));
    assert_non_null(s->logits);
}

static void shared_fini(struct shared *s)
{
    free(s->logits);
    forward_destroy(s->f);
    kv_pool_destroy(s->pool);
    free(s->g.file);
    golden_close(&s->l);
}

static void shared_diverge(struct shared *s, size_t at)
{
    for (size_t i = 0; i < 80; i++)
        s->other[i] = i < at ? s->g.ids[i] : (s->g.ids[i] + 17) % s->g.n_vocab;
}

/* The rows of ids[from..80) computed in a fresh pool. */
static void assert_from_scratch(struct shared *s, const int32_t *ids, size_t from, const char *what)
{
    float *want = golden_run(s->l.m, 1, 80, ids, 80);
    golden_assert_same(s->logits, want + from * s->n_vocab, 80 - from, s->n_vocab, what);
    free(want);
}

static void test_fork_goes_its_own_way(void **state)
{
    /* Inside a page, on a page's edge, at the end; `from` is ahead of the fork or level with it. */
    const size_t cases[][2] = {{60, 40}, {60, 32}, {64, 64}, {40, 40}, {70, 1}, {33, 31}};
    struct shared s;
    struct error err = {0};
    (void)state;
    shared_init(&s, 400);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t len = cases[c][0], at = cases[c][1];
        struct kv_seq *a, *b;
        shared_diverge(&s, at);
        golden_assert_ok(kv_seq_create(s.pool, &a, &err), &err);
        golden_feed(s.f, a, s.g.ids, len, NULL);
        golden_assert_ok(kv_seq_fork(a, at, &b, &err), &err);
        assert_int_equal(kv_seq_len(b), at);
        golden_feed(s.f, b, s.other + at, 80 - at, s.logits);
        assert_from_scratch(&s, s.other, at, "the fork");
        golden_feed(s.f, a, s.g.ids + len, 80 - len, s.logits);
        assert_from_scratch(&s, s.g.ids, len, "the original after the fork went on");
        /* The original may go first, too. */
        kv_seq_destroy(a);
        kv_seq_truncate(b, at);
        golden_feed(s.f, b, s.g.ids + at, 80 - at, s.logits);
        assert_from_scratch(&s, s.g.ids, at, "the fork on the original's way");
        kv_seq_destroy(b);
        assert_int_equal(kv_pool_pages_free(s.pool), kv_pool_pages(s.pool));
    }
    shared_fini(&s);
}

static void test_truncate_and_go_on(void **state)
{
    const size_t cuts[] = {0, 1, 31, 32, 33, 40, 64, 79};
    struct shared s;
    struct error err = {0};
    struct kv_seq *a;
    (void)state;
    shared_init(&s, 80);
    golden_assert_ok(kv_seq_create(s.pool, &a, &err), &err);
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
        shared_diverge(&s, cuts[c]);
        golden_feed(s.f, a, s.g.ids + kv_seq_len(a), 80 - kv_seq_len(a), NULL);
        kv_seq_truncate(a, cuts[c]);
        assert_int_equal(kv_seq_len(a), cuts[c]);
        golden_feed(s.f, a, s.other + cuts[c], 80 - cuts[c], s.logits);
        assert_from_scratch(&s, s.other, cuts[c], "after a truncation");
        kv_seq_truncate(a, cuts[c]);
    }
    kv_seq_destroy(a);
    shared_fini(&s);
}

/* Rows of several sequences in one batch, some with logits and some without. */
static void test_mixed_batch(void **state)
{
    struct shared s;
    struct error err = {0};
    struct kv_seq *a, *b, *c;
    struct forward_row rows[80];
    size_t n = 0;
    (void)state;
    shared_init(&s, 400);
    shared_diverge(&s, 40);
    golden_assert_ok(kv_seq_create(s.pool, &a, &err), &err);
    golden_assert_ok(kv_seq_create(s.pool, &c, &err), &err);
    golden_feed(s.f, a, s.g.ids, 50, NULL);
    golden_assert_ok(kv_seq_fork(a, 40, &b, &err), &err);
    for (size_t i = 50; i < 75; i++)
        rows[n++] = (struct forward_row){.seq = a, .token = s.g.ids[i], .logits = i >= 72};
    for (size_t i = 40; i < 70; i++)
        rows[n++] = (struct forward_row){.seq = b, .token = s.other[i], .logits = true};
    rows[n++] = (struct forward_row){.seq = c, .token = s.g.ids[0], .logits = true};
    golden_assert_ok(forward_run(s.f, rows, n, s.logits, NULL, &err), &err);
    assert_int_equal(kv_seq_len(a), 75);
    assert_int_equal(kv_seq_len(b), 70);
    assert_int_equal(kv_seq_len(c), 1);
    float *want_a = golden_run(s.l.m, 1, 80, s.g.ids, 80),
          *want_b = golden_run(s.l.m, 1, 80, s.other, 80);
    golden_assert_same(s.logits, want_a + 72 * s.n_vocab, 3, s.n_vocab, "first sequence");
    golden_assert_same(s.logits + 3 * s.n_vocab, want_b + 40 * s.n_vocab, 30, s.n_vocab,
                       "its fork");
    golden_assert_same(s.logits + 33 * s.n_vocab, want_a, 1, s.n_vocab, "a new sequence");
    free(want_a);
    free(want_b);
    kv_seq_destroy(a);
    kv_seq_destroy(b);
    kv_seq_destroy(c);
    shared_fini(&s);
}

static void test_errors_leave_sequences_alone(void **state)
{
    struct shared s;
    struct error err = {0};
    struct kv_seq *a, *b;
    struct forward_row rows[80];
    const volatile int cancelled = 1;
    (void)state;
    shared_init(&s, 96);
    golden_assert_ok(kv_seq_create(s.pool, &a, &err), &err);
    golden_assert_ok(kv_seq_create(s.pool, &b, &err), &err);
    golden_feed(s.f, a, s.g.ids, 40, NULL);
    for (size_t i = 0; i < 40; i++)
        rows[i] = (struct forward_row){.seq = a, .token = s.g.ids[40 + i], .logits = true};

    assert_int_equal(forward_run(s.f, rows, 40, s.logits, &cancelled, &err), ERR_CANCELLED);
    assert_int_equal(kv_seq_len(a), 40);
    assert_int_equal(kv_pool_pages_free(s.pool), 1);

    rows[39].token = s.g.n_vocab;
    assert_int_equal(forward_run(s.f, rows, 40, s.logits, NULL, &err), ERR_INVALID);
    rows[39].token = -1;
    assert_int_equal(forward_run(s.f, rows, 40, s.logits, NULL, &err), ERR_INVALID);
    assert_int_equal(kv_seq_len(a), 40);

    /* 40 + 25 positions need three pages, all there are: none is left for b. */
    rows[25] = (struct forward_row){.seq = b, .token = 1, .logits = true};
    assert_int_equal(forward_run(s.f, rows, 26, s.logits, NULL, &err), ERR_LIMIT);
    assert_int_equal(kv_seq_len(a), 40);
    assert_int_equal(kv_seq_len(b), 0);
    assert_int_equal(kv_pool_pages_free(s.pool), 1);

    golden_feed(s.f, a, s.g.ids + 40, 40, s.logits);
    assert_from_scratch(&s, s.g.ids, 40, "after the errors");
    kv_seq_destroy(a);
    kv_seq_destroy(b);
    shared_fini(&s);
}

/* clang-format off */
#define FIXTURE(n, w) {n, test_fixture, NULL, NULL, &(struct fixture){n, w}}
/* clang-format on */
#define FLOATS(n) FIXTURE(n, FLOAT_WEIGHTS)
#define HALVES(n) FIXTURE(n, HALF_WEIGHTS)
#define QUANTS(n) FIXTURE(n, QUANT_WEIGHTS)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLOATS("llama-mha"),
        HALVES("llama-gqa"),
        HALVES("llama-mqa"),
        HALVES("llama-tied"),
        HALVES("llama-bias"),
        HALVES("llama-keylen"),
        HALVES("llama-partial"),
        HALVES("llama-linear"),
        HALVES("llama-yarn"),
        HALVES("llama-freqs"),
        HALVES("qwen2"),
        FLOATS("qwen2-untied"),
        HALVES("qwen2-linear"),
        HALVES("qwen2-yarn"),
        HALVES("bf16"),
        QUANTS("q8_0"),
        QUANTS("q4_0"),
        QUANTS("q4_1"),
        QUANTS("q5_0"),
        QUANTS("q5_1"),
        QUANTS("q2_k"),
        QUANTS("q3_k"),
        QUANTS("q4_k"),
        QUANTS("q5_k"),
        QUANTS("q6_k"),
        QUANTS("mixed"),
        cmocka_unit_test(test_fork_goes_its_own_way),
        cmocka_unit_test(test_truncate_and_go_on),
        cmocka_unit_test(test_mixed_batch),
        cmocka_unit_test(test_errors_leave_sequences_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
