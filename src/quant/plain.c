/* F32, F16 and BF16: one element a block. */
#include <math.h>
#include <string.h>

#include "quant/blocks.h"
#include "quant/quant_int.h"

static void decode_f32(const void *src, float *dst, size_t n_blocks)
{
    if (n_blocks) memcpy(dst, src, n_blocks * sizeof *dst);
}

static void decode_f16(const void *src, float *dst, size_t n_blocks)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n_blocks; i++) dst[i] = quant_load_f16(p + 2 * i);
}

static void decode_bf16(const void *src, float *dst, size_t n_blocks)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n_blocks; i++) dst[i] = quant_bf16_to_f32(quant_load_u16(p + 2 * i));
}

static bool encode_f32(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    (void)weights;
    for (size_t i = 0; i < n_blocks; i++)
        if (!isfinite(src[i])) return false;
    if (n_blocks) memcpy(dst, src, n_blocks * sizeof *src);
    return true;
}

static void store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static bool encode_f16(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    (void)weights;
    uint8_t *p = dst;
    for (size_t i = 0; i < n_blocks; i++) {
        uint16_t h = quant_f32_to_f16(src[i]);
        if ((h & 0x7c00) == 0x7c00) return false;
        store_u16(p + 2 * i, h);
    }
    return true;
}

static bool encode_bf16(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    (void)weights;
    uint8_t *p = dst;
    for (size_t i = 0; i < n_blocks; i++) {
        uint16_t b = quant_f32_to_bf16(src[i]);
        if ((b & 0x7f80) == 0x7f80) return false;
        store_u16(p + 2 * i, b);
    }
    return true;
}

const struct quant_traits quant_f32 = {QUANT_F32, "F32", 1, 4, decode_f32, encode_f32};
const struct quant_traits quant_f16 = {QUANT_F16, "F16", 1, 2, decode_f16, encode_f16};
const struct quant_traits quant_bf16 = {QUANT_BF16, "BF16", 1, 2, decode_bf16, encode_bf16};
