/* Encoders of the K family: what encode_super.c finds, packed. */
#include <string.h>

#include "quant/encode_super.h"
#include "quant/quant_int.h"

enum { SUPER = QUANT_SUPER_BLOCK };

/* Two bits of each code from `shift` on: see block_q2_k. */
static void pack_pairs(const uint8_t codes[SUPER], uint8_t qs[SUPER / 4])
{
    for (int half = 0; half < 2; half++)
        for (int l = 0; l < 32; l++) {
            const uint8_t *c = codes + 128 * half + l;
            qs[32 * half + l] =
                (uint8_t)((c[0] & 3) | (c[32] & 3) << 2 | (c[64] & 3) << 4 | (c[96] & 3) << 6);
        }
}

static void pack_nibbles(const uint8_t codes[SUPER], uint8_t qs[SUPER / 2])
{
    for (int run = 0; run < 4; run++)
        for (int l = 0; l < 32; l++) {
            const uint8_t *c = codes + 64 * run + l;
            qs[32 * run + l] = (uint8_t)((c[0] & 15) | (c[32] & 15) << 4);
        }
}

/* The inverse of quant_k4_scale_min. */
static void pack_k4_scales(const int scale[8], const int min[8], uint8_t packed[12])
{
    for (int j = 0; j < 4; j++) {
        packed[j] = (uint8_t)(scale[j] | (scale[j + 4] >> 4) << 6);
        packed[j + 4] = (uint8_t)(min[j] | (min[j + 4] >> 4) << 6);
        packed[j + 8] = (uint8_t)((scale[j + 4] & 15) | (min[j + 4] & 15) << 4);
    }
}

/* The inverse of quant_q3_k_scales. */
static void pack_q3_scales(const int scale[16], uint8_t packed[12])
{
    memset(packed, 0, 12);
    for (int j = 0; j < 16; j++) {
        int v = scale[j] + 32;
        packed[j % 8] |= (uint8_t)((v & 15) << (j < 8 ? 0 : 4));
        packed[8 + j % 4] |= (uint8_t)((v >> 4) << 2 * (j / 4));
    }
}

static const struct quant_shape shape_q2_k = {
    16, 0, 3, NULL, 0, 15, {{1, 4, 0.2f, 3}, {2, 9, 0.2f, 3}}, {1, 4, 0.3f, 3}, 4};
static const struct quant_shape shape_q3_k = {
    16, -4, 3, NULL, -32, 31, {{1, 1, 0.4f, 2}, {2, 4, 0.4f, 3}}, {1, 1, 0.5f, 3}, 3};
static const struct quant_shape shape_q4_k = {
    32, 0, 15, NULL, 0, 63, {{1, 4, 0.4f, 3}, {2, 8, 0.4f, 3}}, {1, 4, 0.4f, 3}, 3};
static const struct quant_shape shape_q5_k = {
    32, 0, 31, NULL, 0, 63, {{1, 4, 0.4f, 3}, {2, 8, 0.4f, 3}}, {1, 4, 0.4f, 3}, 3};
static const struct quant_shape shape_q6_k = {
    16, -32, 31, NULL, -128, 127, {{1, 3, 1, 2}, {2, 6, 1, 3}}, {1, 1, 0.5f, 2}, 2};

bool quant_encode_q2_k(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q2_k *b = dst;
    for (; n_blocks--; b++, src += SUPER, weights = weights ? weights + SUPER : NULL) {
        struct quant_super s;
        uint8_t codes[SUPER];
        if (!quant_fit_super(&shape_q2_k, src, weights, &s, codes)) return false;
        quant_store_f16(b->d, s.d);
        quant_store_f16(b->dmin, s.dmin);
        for (int g = 0; g < 16; g++) b->scales[g] = (uint8_t)(s.scale[g] | s.min[g] << 4);
        pack_pairs(codes, b->qs);
    }
    return true;
}

bool quant_encode_q3_k(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q3_k *b = dst;
    for (; n_blocks--; b++, src += SUPER, weights = weights ? weights + SUPER : NULL) {
        struct quant_super s;
        uint8_t codes[SUPER];
        if (!quant_fit_super(&shape_q3_k, src, weights, &s, codes)) return false;
        quant_store_f16(b->d, s.d);
        pack_q3_scales(s.scale, b->scales);
        pack_pairs(codes, b->qs);
        memset(b->hmask, 0, sizeof b->hmask);
        for (int i = 0; i < SUPER; i++) b->hmask[i % 32] |= (uint8_t)((codes[i] >> 2) << i / 32);
    }
    return true;
}

bool quant_encode_q4_k(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q4_k *b = dst;
    for (; n_blocks--; b++, src += SUPER, weights = weights ? weights + SUPER : NULL) {
        struct quant_super s;
        uint8_t codes[SUPER];
        if (!quant_fit_super(&shape_q4_k, src, weights, &s, codes)) return false;
        quant_store_f16(b->d, s.d);
        quant_store_f16(b->dmin, s.dmin);
        pack_k4_scales(s.scale, s.min, b->scales);
        pack_nibbles(codes, b->qs);
    }
    return true;
}

bool quant_encode_q5_k(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q5_k *b = dst;
    for (; n_blocks--; b++, src += SUPER, weights = weights ? weights + SUPER : NULL) {
        struct quant_super s;
        uint8_t codes[SUPER];
        if (!quant_fit_super(&shape_q5_k, src, weights, &s, codes)) return false;
        quant_store_f16(b->d, s.d);
        quant_store_f16(b->dmin, s.dmin);
        pack_k4_scales(s.scale, s.min, b->scales);
        pack_nibbles(codes, b->qs);
        memset(b->qh, 0, sizeof b->qh);
        for (int i = 0; i < SUPER; i++) b->qh[i % 32] |= (uint8_t)((codes[i] >> 4) << i / 32);
    }
    return true;
}

bool quant_encode_q6_k(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q6_k *b = dst;
    for (; n_blocks--; b++, src += SUPER, weights = weights ? weights + SUPER : NULL) {
        struct quant_super s;
        uint8_t codes[SUPER];
        if (!quant_fit_super(&shape_q6_k, src, weights, &s, codes)) return false;
        quant_store_f16(b->d, s.d);
        for (int g = 0; g < 16; g++) b->scales[g] = (int8_t)s.scale[g];
        for (int half = 0; half < 2; half++)
            for (int l = 0; l < 64; l++) {
                const uint8_t *c = codes + 128 * half + l;
                b->ql[64 * half + l] = (uint8_t)((c[0] & 15) | (c[64] & 15) << 4);
            }
        uint8_t high[SUPER];
        for (int i = 0; i < SUPER; i++) high[i] = codes[i] >> 4;
        pack_pairs(high, b->qh);
    }
    return true;
}
