/* Encoders of the blocks of 32 with one scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. */
#include <string.h>

#include "quant/encode_int.h"
#include "quant/quant_int.h"

enum { N = QUANT_SMALL_BLOCK };

/* Low halves of bytes: elements 0-15, high halves: 16-31. */
static void pack_nibbles(const uint8_t codes[N], uint8_t qs[N / 2])
{
    for (int i = 0; i < N / 2; i++)
        qs[i] = (uint8_t)((codes[i] & 15) | (codes[i + N / 2] & 15) << 4);
}

static void pack_fifth_bits(const uint8_t codes[N], uint8_t qh[4])
{
    memset(qh, 0, 4);
    for (int i = 0; i < N; i++) qh[i / 8] |= (uint8_t)((codes[i] >> 4 & 1) << i % 8);
}

/* Stores the best scale in `half` and the codes, from 0, in `codes`. */
static bool encode_scaled(const float *x, const float *weights, int lo, int hi,
                          const struct quant_effort *effort, uint8_t half[2], uint8_t codes[N])
{
    float w[N];
    int8_t q[N];
    if (!quant_prepare(x, weights, N, w)) return false;
    struct quant_fit fit = quant_search()->fit_scale(x, w, N, lo, hi, effort);
    quant_search()->codes(x, N, quant_store_f16(half, fit.d), 0, lo, hi, q);
    for (int i = 0; i < N; i++) codes[i] = (uint8_t)(q[i] - lo);
    return true;
}

static bool encode_affine(const float *x, const float *weights, int hi,
                          const struct quant_effort *effort, uint8_t scale[2], uint8_t min[2],
                          uint8_t codes[N])
{
    float w[N], weight = 0;
    int8_t q[N];
    if (!quant_prepare(x, weights, N, w)) return false;
    struct quant_fit fit = quant_search()->fit_affine(x, w, N, hi, false, effort);
    /* The minimum makes up for what rounding did to the scale. */
    float d = quant_store_f16(scale, fit.d);
    struct quant_pass p;
    quant_search()->pass(x, w, N, d, fit.m, 0, hi, &p);
    for (int i = 0; i < N; i++) weight += w[i];
    float m = quant_store_f16(min, fit.m + p.e / weight);
    quant_search()->codes(x, N, d, m, 0, hi, q);
    for (int i = 0; i < N; i++) codes[i] = (uint8_t)q[i];
    return true;
}

/* Without weights and with. Weights differ by orders of magnitude within a block, which leaves the
 * plain starts far from the best. */
static const struct quant_effort effort_scaled[2] = {{1, 1, 0.5f, 2}, {2, 4, 0.5f, 3}};
static const struct quant_effort effort_affine[2] = {{1, 4, 0.4f, 2}, {2, 8, 0.4f, 3}};
/* Whole steps: with this many codes it is luck which scale has the elements near its codes. */
static const struct quant_effort effort_8[2] = {{1, 7, 1, 1}, {1, 7, 1, 2}};

bool quant_encode_q4_0(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q4_0 *b = dst;
    for (; n_blocks--; b++, src += N, weights = weights ? weights + N : NULL) {
        uint8_t codes[N];
        if (!encode_scaled(src, weights, -8, 7, &effort_scaled[weights != NULL], b->d, codes))
            return false;
        pack_nibbles(codes, b->qs);
    }
    return true;
}

bool quant_encode_q4_1(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q4_1 *b = dst;
    for (; n_blocks--; b++, src += N, weights = weights ? weights + N : NULL) {
        uint8_t codes[N];
        if (!encode_affine(src, weights, 15, &effort_affine[weights != NULL], b->d, b->m, codes))
            return false;
        pack_nibbles(codes, b->qs);
    }
    return true;
}

bool quant_encode_q5_0(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q5_0 *b = dst;
    for (; n_blocks--; b++, src += N, weights = weights ? weights + N : NULL) {
        uint8_t codes[N];
        if (!encode_scaled(src, weights, -16, 15, &effort_scaled[weights != NULL], b->d, codes))
            return false;
        pack_nibbles(codes, b->qs);
        pack_fifth_bits(codes, b->qh);
    }
    return true;
}

bool quant_encode_q5_1(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q5_1 *b = dst;
    for (; n_blocks--; b++, src += N, weights = weights ? weights + N : NULL) {
        uint8_t codes[N];
        if (!encode_affine(src, weights, 31, &effort_affine[weights != NULL], b->d, b->m, codes))
            return false;
        pack_nibbles(codes, b->qs);
        pack_fifth_bits(codes, b->qh);
    }
    return true;
}

bool quant_encode_q8_0(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q8_0 *b = dst;
    for (; n_blocks--; b++, src += N, weights = weights ? weights + N : NULL) {
        uint8_t codes[N];
        /* -128 is left out: kernels take magnitudes as signed bytes. */
        if (!encode_scaled(src, weights, -127, 127, &effort_8[weights != NULL], b->d, codes))
            return false;
        for (int i = 0; i < N; i++) b->qs[i] = (int8_t)(codes[i] - 127);
    }
    return true;
}
