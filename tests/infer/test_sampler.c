/* Each rule of the sampler against values worked out by hand, the draw against its distribution,
 * and the fast selection against a plain one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/infer_int.h"
#include "infer/sampler.h"

static struct sampler *make(struct sample_params p, size_t n_vocab)
{
    struct sampler *s;
    struct error err;
    assert_int_equal(sampler_create(&p, n_vocab, &s, &err), OK);
    return s;
}

static int32_t draw(struct sampler *s, const float *logits, size_t n)
{
    float copy[2048];
    memcpy(copy, logits, n * sizeof *copy);
    return sampler_draw(s, copy);
}

/* One draw by a sampler of its own. */
static int32_t draw_once(struct sample_params p, const float *logits, size_t n)
{
    struct sampler *s = make(p, n);
    int32_t id = draw(s, logits, n);
    sampler_destroy(s);
    return id;
}

/* ---- greedy, bias -----------------------------------------------------------------------------
 */

static void greedy_takes_the_largest_and_the_lowest_id_among_equals(void **state)
{
    (void)state;
    float x[100];
    for (int at = 0; at < 100; at++) {
        for (int i = 0; i < 100; i++) x[i] = -5;
        x[at] = -1;
        assert_int_equal(draw_once(sample_params_default(), x, 100), at);
        for (int twin = at + 1; twin < 100; twin += 13) x[twin] = -1;
        assert_int_equal(draw_once(sample_params_default(), x, 100), at);
    }
    assert_int_equal(draw_once(sample_params_default(), (float[]){0}, 1), 0);
}

static void what_is_no_number_is_never_drawn(void **state)
{
    (void)state;
    const float x[] = {NAN, -3, NAN, 2, NAN, -INFINITY};
    struct sample_params p = sample_params_default();
    assert_int_equal(draw_once(p, x, 6), 3);
    struct sample_params variants[] = {p, p, p, p};
    variants[1].top_k = 4;
    variants[2].top_p = 0.999f;
    variants[3].min_p = 1e-6f;
    for (size_t v = 0; v < 4; v++) {
        variants[v].temperature = 20;
        int seen[6] = {0};
        for (uint64_t seed = 0; seed < 200; seed++) {
            variants[v].seed = seed;
            seen[draw_once(variants[v], x, 6)]++;
        }
        assert_int_equal(seen[1] + seen[3], 200);
        assert_true(seen[1] > 0 && seen[3] > 0);
    }
    const float none[] = {NAN, -INFINITY, NAN};
    assert_int_equal(draw_once(p, none, 3), -1);
    p.temperature = 1;
    assert_int_equal(draw_once(p, none, 3), -1);
    p.top_p = 0.5f;
    assert_int_equal(draw_once(p, none, 3), -1);
    p.top_k = 2;
    assert_int_equal(draw_once(p, none, 3), -1);
}

static void infinite_logits_take_everything(void **state)
{
    (void)state;
    const float x[] = {3, INFINITY, 80, INFINITY, -INFINITY};
    struct sample_params p = sample_params_default();
    assert_int_equal(draw_once(p, x, 5), 1);
    for (int variant = 0; variant < 4; variant++) {
        p = sample_params_default();
        p.temperature = 1;
        p.top_k = variant == 1 ? 3 : 0;
        p.top_p = variant == 2 ? 0.99f : 1;
        p.min_p = variant == 3 ? 0.1f : 0;
        int seen[5] = {0};
        for (p.seed = 0; p.seed < 100; p.seed++) seen[draw_once(p, x, 5)]++;
        assert_int_equal(seen[1] + seen[3], 100);
        assert_true(seen[1] > 20 && seen[3] > 20);
    }
}

static void a_bias_is_added_and_can_ban(void **state)
{
    (void)state;
    const float x[] = {1.0f, 2.0f, 0.5f};
    struct logit_bias bias[] = {{0, 1.25f}, {2, -1}};
    struct sample_params p = sample_params_default();
    p.bias = bias;
    p.n_bias = 2;
    assert_int_equal(draw_once(p, x, 3), 0); /* 2.25 against 2 */
    bias[0].bias = 0.75f;
    assert_int_equal(draw_once(p, x, 3), 1); /* 1.75 against 2 */
    bias[0] = (struct logit_bias){1, -INFINITY};
    assert_int_equal(draw_once(p, x, 3), 0);
    struct logit_bias all[] = {{0, -INFINITY}, {1, -INFINITY}, {2, -INFINITY}};
    p.bias = all;
    p.n_bias = 3;
    assert_int_equal(draw_once(p, x, 3), -1);
    p.temperature = 1;
    assert_int_equal(draw_once(p, x, 3), -1);
    struct logit_bias twice[] = {{0, 0.6f}, {0, 0.6f}};
    p = sample_params_default();
    p.bias = twice;
    p.n_bias = 2;
    assert_int_equal(draw_once(p, x, 3), 0); /* 1 + 0.6 + 0.6 */
}

/* ---- penalties --------------------------------------------------------------------------------
 */

/* The greedy choice after `history` between token 0 with logit x0 and token 1 with x1, which is
 * never in the history. */
static int32_t choose(struct sample_params p, float x0, float x1, const char *history)
{
    struct sampler *s = make(p, 3);
    for (; *history; history++) assert_int_equal(sampler_accept(s, *history - '0'), OK);
    const float x[] = {x0, x1, -50};
    int32_t id = draw(s, x, 3);
    sampler_destroy(s);
    return id;
}

static void repetition_divides_positive_and_multiplies_negative_logits(void **state)
{
    (void)state;
    struct sample_params p = sample_params_default();
    p.repeat_penalty = 1.25f;
    assert_int_equal(choose(p, 2, 1.61f, "0"), 1); /* 2 / 1.25 = 1.6 */
    assert_int_equal(choose(p, 2, 1.59f, "0"), 0);
    assert_int_equal(choose(p, 2, 1.61f, "2"), 0);
    assert_int_equal(choose(p, -2, -2.49f, "0"), 1); /* -2 * 1.25 = -2.5 */
    assert_int_equal(choose(p, -2, -2.51f, "0"), 0);
    assert_int_equal(choose(p, 2, 1.59f, "0000"), 0); /* once, however often it was seen */
}

static void presence_counts_once_and_frequency_each_time(void **state)
{
    (void)state;
    struct sample_params p = sample_params_default();
    p.presence_penalty = 0.5f;
    assert_int_equal(choose(p, 2, 1.51f, "000"), 1);
    assert_int_equal(choose(p, 2, 1.49f, "000"), 0);
    p.presence_penalty = 0;
    p.frequency_penalty = 0.25f;
    assert_int_equal(choose(p, 2, 1.01f, "0202020"), 1); /* 2 - 4 * 0.25 = 1 */
    assert_int_equal(choose(p, 2, 0.99f, "0202020"), 0);
    p.presence_penalty = 0.125f;
    assert_int_equal(choose(p, 2, 0.88f, "0202020"), 1); /* 2 - 4 * 0.25 - 0.125 = 0.875 */
    assert_int_equal(choose(p, 2, 0.87f, "0202020"), 0);
    p.presence_penalty = 0;
    p.frequency_penalty = -0.25f; /* a negative one rewards */
    assert_int_equal(choose(p, 2, 2.4f, "00"), 0);
}

static void penalties_see_only_the_last_n_tokens(void **state)
{
    (void)state;
    struct sample_params p = sample_params_default();
    p.frequency_penalty = 1;
    p.penalty_last_n = 3;
    assert_int_equal(choose(p, 2, 1.5f, "0222"), 0);
    assert_int_equal(choose(p, 2, 1.5f, "0022"), 1);
    assert_int_equal(choose(p, 2, 0.5f, "000022"), 0); /* one left in the window: 2 - 1 */
    assert_int_equal(choose(p, 2, 0.5f, "022020"), 1); /* two */
    assert_int_equal(choose(p, 2, 1.5f, "0002222020222"), 0);
    p.penalty_last_n = 0;
    assert_int_equal(choose(p, 2, 1.9f, "000"), 0);
    p.penalty_last_n = -1;
    assert_int_equal(choose(p, 2, 1.5f, "0222222222222222222222222222222222222222"), 1);

    struct sampler *s = make(p, 3);
    assert_int_equal(sampler_accept(s, 3), ERR_INVALID);
    assert_int_equal(sampler_accept(s, -1), ERR_INVALID);
    sampler_destroy(s);
}

static uint32_t noise(uint32_t *state)
{
    return (*state = *state * 1664525u + 1013904223u) >> 8;
}

/* A long random text, with the counts of the window taken anew at every step. */
static void the_window_moves_on_correctly(void **state)
{
    (void)state;
    enum { N = 20, STEPS = 600 };
    int32_t text[STEPS];
    struct sample_params p = sample_params_default();
    p.penalty_last_n = 9;
    p.repeat_penalty = 1.5f;
    p.frequency_penalty = 0.5f;
    p.presence_penalty = 0.25f;
    struct sampler *s = make(p, N);
    uint32_t rnd = 3;
    for (int step = 0; step < STEPS; step++) {
        float x[N], want[N];
        int32_t best = 0;
        for (int i = 0; i < N; i++) {
            want[i] = x[i] = (float)(noise(&rnd) % 1000) * 0.004f - 1.0f;
            int count = 0;
            for (int j = step < 9 ? 0 : step - 9; j < step; j++) count += text[j] == i;
            if (count) {
                want[i] = want[i] > 0 ? want[i] / 1.5f : want[i] * 1.5f;
                want[i] -= (float)count * 0.5f + 0.25f;
            }
            if (want[i] > want[best]) best = i;
        }
        assert_int_equal(draw(s, x, N), best);
        text[step] = (int32_t)(noise(&rnd) % N);
        assert_int_equal(sampler_accept(s, text[step]), OK);
    }
    sampler_destroy(s);
}

/* ---- top-k, top-p, min-p ----------------------------------------------------------------------
 */

/* Which tokens ever come up in many draws, as a bit mask. */
static unsigned reachable(struct sample_params p, const float *logits, size_t n)
{
    unsigned mask = 0;
    p.seed = 99;
    struct sampler *s = make(p, n);
    for (int i = 0; i < 4000; i++) mask |= 1u << draw(s, logits, n);
    sampler_destroy(s);
    return mask;
}

static void probabilities(float *x, const double *p, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = (float)log(p[i]) + 3.0f;
}

static void top_k_keeps_the_k_best(void **state)
{
    (void)state;
    const float x[] = {1.0f, 1.5f, 1.0f, 1.2f, 1.0f, 0.9f};
    struct sample_params p = sample_params_default();
    p.temperature = 1;
    p.top_k = 1;
    assert_int_equal(reachable(p, x, 6), 0x2);
    p.top_k = 2;
    assert_int_equal(reachable(p, x, 6), 0xa);
    p.top_k = 3; /* of three equals the lowest id */
    assert_int_equal(reachable(p, x, 6), 0xb);
    p.top_k = 4;
    assert_int_equal(reachable(p, x, 6), 0xf);
    p.top_k = 6;
    assert_int_equal(reachable(p, x, 6), 0x3f);
    p.top_k = 1000;
    assert_int_equal(reachable(p, x, 6), 0x3f);
    p.top_k = 0;
    assert_int_equal(reachable(p, x, 6), 0x3f);
}

static void top_p_keeps_the_smallest_set_that_reaches_it(void **state)
{
    (void)state;
    float x[5];
    probabilities(x, (double[]){0.125, 0.5, 0.0625, 0.25, 0.0625}, 5);
    struct sample_params p = sample_params_default();
    p.temperature = 1;
    p.top_p = 0;
    assert_int_equal(reachable(p, x, 5), 0x2);
    p.top_p = 0.49f;
    assert_int_equal(reachable(p, x, 5), 0x2);
    p.top_p = 0.51f;
    assert_int_equal(reachable(p, x, 5), 0xa);
    p.top_p = 0.74f;
    assert_int_equal(reachable(p, x, 5), 0xa);
    p.top_p = 0.76f;
    assert_int_equal(reachable(p, x, 5), 0xb);
    p.top_p = 0.9f; /* of two equals the lower id */
    assert_int_equal(reachable(p, x, 5), 0xf);
    p.top_p = 0.95f;
    assert_int_equal(reachable(p, x, 5), 0x1f);
}

static void min_p_is_a_share_of_the_best(void **state)
{
    (void)state;
    float x[4];
    probabilities(x, (double[]){0.125, 0.5, 0.05, 0.25}, 4);
    struct sample_params p = sample_params_default();
    p.temperature = 1;
    p.min_p = 1;
    assert_int_equal(reachable(p, x, 4), 0x2);
    p.min_p = 0.51f;
    assert_int_equal(reachable(p, x, 4), 0x2);
    p.min_p = 0.49f;
    assert_int_equal(reachable(p, x, 4), 0xa);
    p.min_p = 0.24f;
    assert_int_equal(reachable(p, x, 4), 0xb);
    p.min_p = 0.09f;
    assert_int_equal(reachable(p, x, 4), 0xf);
}

static void the_rules_apply_in_their_order(void **state)
{
    (void)state;
    float x[4];
    probabilities(x, (double[]){0.4, 0.3, 0.2, 0.1}, 4);
    struct sample_params p = sample_params_default();
    p.temperature = 1;
    p.top_p = 0.5f;
    assert_int_equal(reachable(p, x, 4), 0x3);
    p.top_k = 2; /* leaves shares of 4/7 and 3/7: the first alone reaches a half */
    assert_int_equal(reachable(p, x, 4), 0x1);
    p.top_k = 0;
    p.temperature = 30; /* flattens what was kept, not what is kept */
    assert_int_equal(reachable(p, x, 4), 0x3);
    p.top_k = 3; /* 4/9 and 3/9 reach 0.75, where flattened shares would need the third */
    p.top_p = 0.75f;
    assert_int_equal(reachable(p, x, 4), 0x3);
    p.top_k = 0;
    p.top_p = 1;
    p.min_p = 0.6f;
    assert_int_equal(reachable(p, x, 4), 0x3);
    /* Penalties come before the cuts. */
    p.temperature = 1;
    p.min_p = 0;
    p.top_k = 1;
    p.presence_penalty = 1;
    struct sampler *s = make(p, 4);
    assert_int_equal(sampler_accept(s, 0), OK);
    assert_int_equal(draw(s, x, 4), 1);
    sampler_destroy(s);
}

/* ---- the draw ---------------------------------------------------------------------------------
 */

/* Pearson's statistic of n draws against expected shares. */
static double chi_square(struct sample_params p, const float *x, const double *share, size_t k,
                         int n)
{
    int seen[16] = {0};
    struct sampler *s = make(p, k);
    for (int i = 0; i < n; i++) seen[draw(s, x, k)]++;
    sampler_destroy(s);
    double sum = 0;
    for (size_t i = 0; i < k; i++) {
        if (share[i] == 0) {
            assert_int_equal(seen[i], 0);
            continue;
        }
        double want = share[i] * n;
        sum += (seen[i] - want) * (seen[i] - want) / want;
    }
    return sum;
}

static void draws_follow_the_distribution(void **state)
{
    (void)state;
    const float x[] = {0.3f, 2.0f, -1.0f, 1.1f, 0.0f, -0.4f, 1.9f, 0.8f};
    static const float temperatures[] = {0.5f, 1, 2.5f};
    for (size_t t = 0; t < 3; t++) {
        double share[8], sum = 0;
        for (int i = 0; i < 8; i++) sum += share[i] = exp((double)x[i] / (double)temperatures[t]);
        for (int i = 0; i < 8; i++) share[i] /= sum;
        struct sample_params p = sample_params_default();
        p.temperature = temperatures[t];
        p.seed = 1234 + t;
        /* 7 degrees of freedom: 24.3 is passed once in a thousand. The seeds are fixed. */
        assert_true(chi_square(p, x, share, 8, 40000) < 24.3);
        /* The statistic does tell: a tenth more or less of one share is far outside. */
        share[1] *= 0.9;
        share[6] += share[1] / 9;
        assert_true(chi_square(p, x, share, 8, 40000) > 24.3);
    }
    /* After a cut the rest keeps its proportions. */
    double cut[8] = {0}, sum = 0;
    for (int i = 0; i < 8; i++)
        if (x[i] >= 0.8f) sum += cut[i] = exp((double)x[i]);
    for (int i = 0; i < 8; i++) cut[i] /= sum;
    struct sample_params p = sample_params_default();
    p.temperature = 1;
    p.top_k = 4;
    assert_true(chi_square(p, x, cut, 8, 40000) < 16.3); /* 3 degrees */
    p.top_k = 0;
    p.min_p = 0.29f; /* exp(0.8 - 2) = 0.30, exp(0.3 - 2) = 0.18 */
    assert_true(chi_square(p, x, cut, 8, 40000) < 16.3);
}

/* Equal logits over 1,000 tokens show the generator's own numbers: floor(1000 u). The expected ones
 * come from an independent implementation of SplitMix64 and xoshiro256**. */
static void a_seed_gives_the_same_draws_everywhere(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed;
        int32_t want[12];
    } cases[] = {
        {0, {601, 747, 103, 416, 732, 999, 422, 535, 855, 918, 114, 67}},
        {42, {83, 378, 680, 924, 991, 769, 719, 850, 761, 583, 682, 290}},
        {UINT64_MAX, {559, 767, 507, 747, 567, 731, 370, 767, 626, 614, 257, 43}},
    };
    float x[1000];
    for (int i = 0; i < 1000; i++) x[i] = 0.5f;
    for (size_t c = 0; c < 3; c++) {
        struct sample_params p = sample_params_default();
        p.temperature = 0.7f;
        p.seed = cases[c].seed;
        struct sampler *s = make(p, 1000);
        for (int i = 0; i < 12; i++) assert_int_equal(draw(s, x, 1000), cases[c].want[i]);
        sampler_destroy(s);
    }
}

/* ---- the fast selection against a plain one ----------------------------------------------------
 */

enum { BIG = 151936 };

struct plain {
    double logit;
    int32_t id;
};

static int plain_order(const void *a, const void *b)
{
    const struct plain *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* The set that the rules leave, as a count of the sorted list, and the draw for a given u, with
 * libm's exp and full sorting. */
static int32_t plain_draw(struct plain *c, size_t n, const struct sample_params *p, double u)
{
    qsort(c, n, sizeof *c, plain_order);
    if (p->top_k > 0 && (size_t)p->top_k < n) n = (size_t)p->top_k;
    double max = c[0].logit, total = 0, sum = 0;
    for (size_t i = 0; i < n; i++) total += exp(c[i].logit - max);
    size_t keep = n;
    for (size_t i = 0; p->top_p < 1 && i < keep; i++) {
        sum += exp(c[i].logit - max) / total;
        if (sum >= (double)p->top_p) keep = i + 1;
    }
    while (keep > 1 && exp(c[keep - 1].logit - max) < (double)p->min_p) keep--;
    total = sum = 0;
    for (size_t i = 0; i < keep; i++) total += exp((c[i].logit - max) / (double)p->temperature);
    for (size_t i = 0; i < keep; i++) {
        sum += exp((c[i].logit - max) / (double)p->temperature) / total;
        if (u < sum) return c[i].id;
    }
    return c[keep - 1].id;
}

static void selection_from_a_large_vocabulary_equals_plain_sorting(void **state)
{
    (void)state;
    static const struct {
        int32_t top_k;
        float top_p, min_p, temperature;
    } cases[] = {
        {40, 1, 0, 1},     {40, 0.95f, 0.05f, 0.8f}, {1, 1, 0, 1},       {5000, 0.9f, 0, 1},
        {0, 0.5f, 0, 1},   {0, 0.95f, 0, 0.7f},      {0, 0.999f, 0, 1},  {0, 0.999999f, 0, 2},
        {0, 1, 0.05f, 1},  {0, 1, 1e-4f, 1.5f},      {0, 0.9f, 0.2f, 1}, {0, 0.99f, 1e-7f, 3},
        {BIG, 0.9f, 0, 1}, {0, 1, 1e-38f, 1},
    };
    float *x = malloc(BIG * sizeof *x), *copy = malloc(BIG * sizeof *copy);
    struct plain *c = malloc(BIG * sizeof *c);
    assert_true(x && copy && c);
    uint32_t rnd = 5;
    for (int shape = 0; shape < 3; shape++) {
        for (size_t i = 0; i < BIG; i++) {
            /* A bell; nearly flat with many equals; and a steep one with bans. */
            float bell = 0;
            for (int j = 0; j < 6; j++) bell += (float)noise(&rnd) * 0x1p-24f - 0.5f;
            x[i] = shape == 0 ? 4 * bell : shape == 1 ? floorf(bell * 2) * 0.25f : 40 * bell;
            if (shape == 2 && i % 3 == 0) x[i] = -INFINITY;
        }
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
            struct sample_params p = sample_params_default();
            p.top_k = cases[k].top_k;
            p.top_p = cases[k].top_p;
            p.min_p = cases[k].min_p;
            p.temperature = cases[k].temperature;
            p.seed = 7;
            static const double first_u = 0.7005764821796896; /* seed 7's first number */
            struct sampler *s = make(p, BIG);
            memcpy(copy, x, BIG * sizeof *x);
            int32_t got = sampler_draw(s, copy);
            sampler_destroy(s);
            size_t n = 0;
            for (size_t i = 0; i < BIG; i++)
                if (x[i] > -INFINITY) c[n++] = (struct plain){(double)x[i], (int32_t)i};
            int32_t want = plain_draw(c, n, &p, first_u);
            if (got != want)
                fail_msg("shape %d case %zu: %d, plain sorting %d", shape, k, got, want);
        }
    }
    free(x);
    free(copy);
    free(c);
}

/* ---- exponentials -----------------------------------------------------------------------------
 */

static void exponentials_agree_with_libm(void **state)
{
    (void)state;
    double worst = 0;
    for (double x = 0; x > -700; x -= 0.0137) {
        double want = exp(x), got = infer_exp(x);
        double e = fabs(got - want) / want;
        if (e > worst) worst = e;
    }
    assert_true(worst < 2 * 2.220446049250313e-16);
    assert_true(infer_exp(0) == 1.0);
    assert_true(infer_exp(-INFINITY) == 0.0);
    assert_true(infer_exp(-1e300) == 0.0);
    assert_true(infer_exp((double)NAN) == 0.0);
    float x[37];
    for (int n = 1; n <= 37; n++) {
        double want = 0;
        float max = -INFINITY;
        for (int i = 0; i < n; i++) {
            x[i] = (float)((i * 29) % 37) * -0.3f + 2;
            if (x[i] > max) max = x[i];
        }
        for (int i = 0; i < n; i++) want += exp((double)x[i] - (double)max);
        assert_true(infer_max(x, (size_t)n) == max);
        assert_true(fabs(infer_sum_exp(x, (size_t)n, max) - want) < 1e-14 * want);
    }
    x[0] = NAN;
    assert_true(infer_max(x, 1) == -INFINITY);
}

/* ---- parameters -------------------------------------------------------------------------------
 */

static void refused(struct sample_params p, const char *name)
{
    struct sampler *s;
    struct error err;
    assert_int_equal(sampler_create(&p, 10, &s, &err), ERR_INVALID);
    assert_null(s);
    if (!strstr(err.msg, name)) fail_msg("'%s' does not name %s", err.msg, name);
}

static void parameters_out_of_range_are_named(void **state)
{
    (void)state;
    static const float odd[] = {-0.01f, 100.5f, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct sample_params p = sample_params_default();
        p.temperature = odd[i];
        refused(p, "temperature");
        p = sample_params_default();
        p.top_p = odd[i];
        refused(p, "top_p");
        p = sample_params_default();
        p.min_p = odd[i];
        refused(p, "min_p");
        p = sample_params_default();
        p.repeat_penalty = odd[i];
        refused(p, "repeat_penalty");
        if (i == 0) continue;
        p = sample_params_default();
        p.presence_penalty = odd[i];
        refused(p, "presence_penalty");
        p = sample_params_default();
        p.frequency_penalty = odd[i];
        refused(p, "frequency_penalty");
    }
    struct sample_params p = sample_params_default();
    p.repeat_penalty = 0;
    refused(p, "repeat_penalty");
    p = sample_params_default();
    p.top_k = -1;
    refused(p, "top_k");
    p = sample_params_default();
    p.penalty_last_n = -2;
    refused(p, "penalty_last_n");
    p.penalty_last_n = INT32_MAX;
    refused(p, "penalty_last_n");
    struct logit_bias bias = {10, 1};
    p = sample_params_default();
    p.bias = &bias;
    p.n_bias = 1;
    refused(p, "logit_bias");
    bias = (struct logit_bias){-1, 1};
    refused(p, "logit_bias");
    bias = (struct logit_bias){3, NAN};
    refused(p, "logit_bias");
    bias = (struct logit_bias){3, INFINITY};
    refused(p, "logit_bias");
    struct sampler *s;
    struct error err;
    p = sample_params_default();
    assert_int_equal(sampler_create(&p, 0, &s, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_largest_and_the_lowest_id_among_equals),
        cmocka_unit_test(what_is_no_number_is_never_drawn),
        cmocka_unit_test(infinite_logits_take_everything),
        cmocka_unit_test(a_bias_is_added_and_can_ban),
        cmocka_unit_test(repetition_divides_positive_and_multiplies_negative_logits),
        cmocka_unit_test(presence_counts_once_and_frequency_each_time),
        cmocka_unit_test(penalties_see_only_the_last_n_tokens),
        cmocka_unit_test(the_window_moves_on_correctly),
        cmocka_unit_test(top_k_keeps_the_k_best),
        cmocka_unit_test(top_p_keeps_the_smallest_set_that_reaches_it),
        cmocka_unit_test(min_p_is_a_share_of_the_best),
        cmocka_unit_test(the_rules_apply_in_their_order),
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(a_seed_gives_the_same_draws_everywhere),
        cmocka_unit_test(selection_from_a_large_vocabulary_equals_plain_sorting),
        cmocka_unit_test(exponentials_agree_with_libm),
        cmocka_unit_test(parameters_out_of_range_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
