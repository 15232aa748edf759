/* Encoders of the 4-bit types whose codes stand for unevenly spaced values: IQ4_NL, IQ4_XS, MXFP4.
 */
#include <math.h>
#include <string.h>

#include "quant/encode_super.h"
#include "quant/quant_int.h"

enum { N = QUANT_SMALL_BLOCK };

static const struct quant_levels iq4 = {16, {QUANT_IQ4_VALUES(0)}};
/* E2M1 in ascending order; -0 is left out. */
static const struct quant_levels fp4 = {15, {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12}};
static const uint8_t fp4_codes[15] = {15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7};

static const struct quant_effort effort_nl[2] = {{1, 1, 6, 2}, {2, 4, 4, 3}};

static void pack_nibbles(const uint8_t codes[N], uint8_t qs[N / 2])
{
    for (int i = 0; i < N / 2; i++) qs[i] = (uint8_t)(codes[i] | codes[i + N / 2] << 4);
}

bool quant_encode_iq4_nl(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_iq4_nl *b = dst;
    for (; n_blocks--; b++, src += N, weights = weights ? weights + N : NULL) {
        float w[N];
        uint8_t codes[N];
        if (!quant_prepare(src, weights, N, w)) return false;
        struct quant_fit fit =
            quant_search()->fit_levels(src, w, N, &iq4, &effort_nl[weights != NULL]);
        quant_search()->level_codes(src, N, &iq4, quant_store_f16(b->d, fit.d), codes);
        pack_nibbles(codes, b->qs);
    }
    return true;
}

static const struct quant_shape shape_iq4_xs = {
    N, 0, 15, &iq4, -32, 31, {{1, 1, 6, 2}, {2, 4, 4, 3}}, {1, 1, 0.5f, 3}, 3};

bool quant_encode_iq4_xs(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_iq4_xs *b = dst;
    for (; n_blocks--; b++, src += QUANT_SUPER, weights = weights ? weights + QUANT_SUPER : NULL) {
        struct quant_super s;
        uint8_t codes[QUANT_SUPER];
        if (!quant_fit_super(&shape_iq4_xs, src, weights, &s, codes)) return false;
        quant_store_f16(b->d, s.d);
        memset(b->scales_l, 0, sizeof b->scales_l);
        memset(b->scales_h, 0, sizeof b->scales_h);
        for (int g = 0; g < 8; g++) {
            int scale = s.scale[g] + 32;
            b->scales_l[g / 2] |= (uint8_t)((scale & 15) << 4 * (g % 2));
            b->scales_h[g / 4] |= (uint8_t)((scale >> 4) << 2 * (g % 4));
            pack_nibbles(codes + N * g, b->qs + N / 2 * g);
        }
    }
    return true;
}

/* The scale is a power of two: the one that brings the largest element to the last values, and its
 * neighbours. */
static uint8_t fit_exponent(const float *x, const float *w)
{
    float top = 0, least = INFINITY;
    for (int i = 0; i < N; i++) top = fmaxf(top, fabsf(x[i]));
    if (!(top > 0)) return 0;
    int first = ilogbf(top) - 3 + 128, best = 0;
    for (int e = first - 1; e <= first + 1; e++) {
        struct quant_pass p;
        if (e < 0 || e > 254) continue;
        quant_search()->level_pass(x, w, N, &fp4, quant_e8m0_half_to_f32((uint8_t)e), &p);
        if (!(p.err < least)) continue;
        least = p.err;
        best = e;
    }
    return (uint8_t)best;
}

bool quant_encode_mxfp4(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_mxfp4 *b = dst;
    for (; n_blocks--; b++, src += N, weights = weights ? weights + N : NULL) {
        float w[N];
        uint8_t codes[N];
        if (!quant_prepare(src, weights, N, w)) return false;
        b->e = fit_exponent(src, w);
        quant_search()->level_codes(src, N, &fp4, quant_e8m0_half_to_f32(b->e), codes);
        for (int i = 0; i < N; i++) codes[i] = fp4_codes[codes[i]];
        pack_nibbles(codes, b->qs);
    }
    return true;
}
