/* Encoders: what their blocks decode to is near the original, on ordinary and on extreme values,
 * the importance of columns is heeded, and every compilation of the searches writes the same bytes.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quant/encode_int.h"
#include "quant/quant.h"

enum { ELEMS = 16 * 256 };

static uint64_t seed;

static float uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(seed >> 40) * 0x1p-24f;
}

/* Twelve uniform numbers make a normal one. */
static float normal(void)
{
    float sum = -6;
    for (int i = 0; i < 12; i++) sum += uniform();
    return sum;
}

/* Largest mean squared error on normal values, relative to their mean square. Behind each: what
 * llama.cpp's encoders (ggml_quantize_chunk without weights) reach on the same values. */
static const struct {
    const char *name;
    double most;
} bounds[] = {
    {"F32", 0},         {"F16", 5e-08}, {"BF16", 3e-06}, {"Q4_0", 0.0067}, /* 0.00718 */
    {"Q4_1", 0.0048},                                                      /* 0.00596 */
    {"Q5_0", 0.0016},                                                      /* 0.00174 */
    {"Q5_1", 0.00114},                                                     /* 0.00138 */
    {"Q8_0", 2.19e-05},                                                    /* 2.75e-05 */
    {"Q2_K", 0.071},                                                       /* 0.0836 */
    {"Q3_K", 0.0215},                                                       /* 0.0227 */
    {"Q4_K", 0.00485},                                                     /* 0.00492 */
    {"Q5_K", 0.0012},                                                      /* 0.00129 */
    {"Q6_K", 0.00028},                                                     /* 0.000312 */
    {"IQ4_NL", 0.0055},                                                    /* 0.00572 */
    {"IQ4_XS", 0.0056},                                                    /* 0.00581 */
    {"MXFP4", 0.0125},                                                     /* 0.0127 */
};

static double bound_of(const char *name)
{
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (strcmp(bounds[i].name, name) == 0) return bounds[i].most;
    fail_msg("%s has no bound", name);
    return 0;
}

/* Encodes and decodes; false where the encoder refuses. */
static bool there_and_back(const struct quant_traits *t, const float *x, const float *w, float *y,
                           size_t n)
{
    uint8_t *blocks = malloc(n / t->block_elems * t->block_bytes);
    assert_non_null(blocks);
    bool ok = t->encode(x, w, blocks, n / t->block_elems);
    if (ok) t->decode(blocks, y, n / t->block_elems);
    free(blocks);
    return ok;
}

static double error_of(const float *x, const float *y, const float *w, size_t n)
{
    double err = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - (double)y[i], weight = w ? (double)w[i] : 1;
        err += weight * d * d;
        squares += weight * (double)x[i] * (double)x[i];
    }
    return err / squares;
}

#define EACH_ENCODER(t)                                                                            \
    for (const struct quant_traits *const *t = quant_all(); *t; t++)                               \
        if ((*t)->encode)

static void errors_are_small(void **state)
{
    (void)state;
    static float x[ELEMS], y[ELEMS];
    int n = 0;
    seed = 1;
    for (int i = 0; i < ELEMS; i++) x[i] = normal() * 0.02f;
    EACH_ENCODER(t)
    {
        assert_true(there_and_back(*t, x, NULL, y, ELEMS));
        double err = error_of(x, y, NULL, ELEMS);
        if (!(err <= bound_of((*t)->name)))
            fail_msg("%s: error %g, expected %g at most", (*t)->name, err, bound_of((*t)->name));
        n++;
    }
    assert_int_equal(n, sizeof bounds / sizeof *bounds);
}

static void weights_move_the_error(void **state)
{
    (void)state;
    static float x[ELEMS], w[ELEMS], plain[ELEMS], weighted[ELEMS];
    seed = 2;
    for (int i = 0; i < ELEMS; i++) {
        x[i] = normal();
        w[i] = expf(2 * normal());
    }
    EACH_ENCODER(t)
    {
        if ((*t)->block_elems == 1) continue;
        assert_true(there_and_back(*t, x, NULL, plain, ELEMS));
        assert_true(there_and_back(*t, x, w, weighted, ELEMS));
        double before = error_of(x, plain, w, ELEMS), after = error_of(x, weighted, w, ELEMS);
        if (!(after < 0.97 * before))
            fail_msg("%s: weighted error %g with weights, %g without", (*t)->name, after, before);
    }
}

/* Zeros, missing or odd: the codes are some, and all values finite. */
static void any_weights_do(void **state)
{
    (void)state;
    static float x[256], w[256], y[256];
    seed = 3;
    for (int i = 0; i < 256; i++) x[i] = normal();
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < 256; i++)
            w[i] = kind == 0 ? 0 : kind == 1 ? (float)(i % 2) : kind == 2 ? 1e-38f : i ? 0 : 3e38f;
        EACH_ENCODER(t)
        {
            assert_true(there_and_back(*t, x, w, y, 256));
            for (int i = 0; i < 256; i++) assert_true(fabsf(y[i] - x[i]) < 4);
        }
    }
}

static void zeros_stay_zero(void **state)
{
    (void)state;
    static const float x[256];
    float y[256];
    EACH_ENCODER(t)
    {
        memset(y, 0xaa, sizeof y);
        assert_true(there_and_back(*t, x, NULL, y, 256));
        for (int i = 0; i < 256; i++) assert_true(y[i] == 0);
    }
}

/* One shape of values at a time, from the smallest floats to the largest that are taken. */
static void fill(float *x, int shape, float size)
{
    for (int i = 0; i < 256; i++) {
        float v[] = {
            i == 77 ? size : 0, /* one element alone */
            size,               /* all the same */
            -size,
            i % 2 ? size : -size,
            i % 32 ? size * 1e-3f : -size, /* an outlier a block */
            size * (float)i / 255,
            size * (float)(i % 16) / -15,
            i < 128 ? size : size * 1e-4f, /* half of a super-block against the other */
        };
        x[i] = v[shape];
    }
}

static void extreme_values(void **state)
{
    (void)state;
    static const float sizes[] = {1e-45f, 1e-38f, 1e-20f, 6e-8f, 1e-3f, 1, 1000, 65504};
    float x[256], y[256];
    EACH_ENCODER(t)
    {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int shape = 0; shape < 8; shape++) {
                fill(x, shape, sizes[s]);
                assert_true(there_and_back(*t, x, NULL, y, 256));
                for (int i = 0; i < 256; i++) {
                    /* A scale below the halves' range becomes 0. Half a step of a type with four
                     * codes may be a third of the range. */
                    float most = fmaxf(0.35f * sizes[s], 128 * 0x1p-25f);
                    if (!(fabsf(y[i] - x[i]) <= most))
                        fail_msg("%s: shape %d of %g: element %d is %g and became %g", (*t)->name,
                                 shape, (double)sizes[s], i, (double)x[i], (double)y[i]);
                }
            }
    }
}

static void what_cannot_be_encoded_is_refused(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    float x[512], y[512];
    EACH_ENCODER(t)
    {
        for (size_t b = 0; b < 3; b++)
            for (int at = 0; at < 512; at += 37) {
                for (int i = 0; i < 512; i++) x[i] = (float)(i % 11) - 5;
                x[at] = bad[b];
                if (there_and_back(*t, x, NULL, y, 512))
                    fail_msg("%s takes %g", (*t)->name, (double)bad[b]);
            }
        x[0] = 1e30f;
        bool wide = strcmp((*t)->name, "F32") == 0 || strcmp((*t)->name, "BF16") == 0;
        for (int i = 1; i < 512; i++) x[i] = 1;
        assert_int_equal(there_and_back(*t, x, NULL, y, 512), wide);
    }
}

/* Blocks do not influence each other, and nothing beyond them is read or written. */
static void blocks_are_independent(void **state)
{
    (void)state;
    enum { N = 1024 };
    seed = 4;
    EACH_ENCODER(t)
    {
        size_t n = N / (*t)->block_elems, bytes = (*t)->block_bytes;
        float *x = malloc(N * sizeof *x), *w = malloc(N * sizeof *w);
        uint8_t *all = malloc(n * bytes), *one = malloc(bytes);
        assert_true(x && w && all && one);
        for (int i = 0; i < N; i++) {
            x[i] = normal();
            w[i] = uniform();
        }
        assert_true((*t)->encode(x, w, all, n));
        for (size_t i = 0; i < n; i++) {
            assert_true((*t)->encode(x + i * (*t)->block_elems, w + i * (*t)->block_elems, one, 1));
            assert_memory_equal(one, all + i * bytes, bytes);
        }
        assert_true((*t)->encode(NULL, NULL, NULL, 0));
        free(x);
        free(w);
        free(all);
        free(one);
    }
}

#ifdef HAVE_QUANT_SEARCH_AVX2
static const struct quant_levels levels = {16, {QUANT_IQ4_VALUES(0)}};

static void same_bits(struct quant_fit a, struct quant_fit b)
{
    assert_memory_equal(&a, &b, sizeof a);
}

static void every_cpu_writes_the_same(void **state)
{
    (void)state;
    if (!__builtin_cpu_supports("avx2")) skip();
    const struct quant_search *base = &quant_search_base, *avx2 = &quant_search_avx2;
    static const struct quant_effort effort = {2, 5, 0.4f, 3};
    seed = 5;
    for (int round = 0; round < 2000; round++) {
        float x[32], w[32], scale = expf(10 * normal());
        int n = round % 2 ? 16 : 32;
        int8_t a[32], b[32];
        uint8_t c[32], d[32];
        for (int i = 0; i < n; i++) {
            x[i] = normal() * scale;
            w[i] = round % 3 ? uniform() : 1;
        }
        struct quant_fit f = base->fit_scale(x, w, n, -8, 7, &effort);
        same_bits(f, avx2->fit_scale(x, w, n, -8, 7, &effort));
        same_bits(base->fit_scale(x, w, n, -127, 127, &effort),
                  avx2->fit_scale(x, w, n, -127, 127, &effort));
        base->codes(x, n, f.d, 0, -8, 7, a);
        avx2->codes(x, n, f.d, 0, -8, 7, b);
        assert_memory_equal(a, b, (size_t)n);
        f = base->fit_affine(x, w, n, 15, round % 5 > 0, &effort);
        same_bits(f, avx2->fit_affine(x, w, n, 15, round % 5 > 0, &effort));
        struct quant_pass p, q;
        base->pass(x, w, n, f.d, f.m, 0, 15, &p);
        avx2->pass(x, w, n, f.d, f.m, 0, 15, &q);
        assert_memory_equal(&p, &q, sizeof p);
        f = base->fit_levels(x, w, n, &levels, &effort);
        same_bits(f, avx2->fit_levels(x, w, n, &levels, &effort));
        base->level_codes(x, n, &levels, f.d, c);
        avx2->level_codes(x, n, &levels, f.d, d);
        assert_memory_equal(c, d, (size_t)n);
    }
}
#endif

/* The search is as good as trying every scale that the format has. */
static void near_the_best_scale(void **state)
{
    (void)state;
    const struct quant_traits *t = quant_find(QUANT_Q4_0);
    double found = 0, best_of_all = 0;
    seed = 6;
    for (int round = 0; round < 40; round++) {
        float x[32], y[32], w[32];
        for (int i = 0; i < 32; i++) {
            x[i] = normal();
            w[i] = 1;
        }
        assert_true(there_and_back(t, x, NULL, y, 32));
        for (int i = 0; i < 32; i++) found += (double)((x[i] - y[i]) * (x[i] - y[i]));
        float best = INFINITY;
        for (uint32_t h = 0x2c00; h < 0x3c00; h++)
            for (int sign = -1; sign <= 1; sign += 2) {
                struct quant_pass p;
                quant_search()->pass(x, w, 32, (float)sign * quant_f16_to_f32((uint16_t)h), 0, -8,
                                     7, &p);
                best = fminf(best, p.err);
            }
        best_of_all += (double)best;
    }
    assert_true(found < 1.02 * best_of_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_small),
        cmocka_unit_test(weights_move_the_error),
        cmocka_unit_test(any_weights_do),
        cmocka_unit_test(zeros_stay_zero),
        cmocka_unit_test(extreme_values),
        cmocka_unit_test(what_cannot_be_encoded_is_refused),
        cmocka_unit_test(blocks_are_independent),
        cmocka_unit_test(near_the_best_scale),
#ifdef HAVE_QUANT_SEARCH_AVX2
        cmocka_unit_test(every_cpu_writes_the_same),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
