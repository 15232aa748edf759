/* F32, F16 and BF16: one element a block. */
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

const struct quant_traits quant_f32 = {QUANT_F32, "F32", 1, 4, decode_f32};
const struct quant_traits quant_f16 = {QUANT_F16, "F16", 1, 2, decode_f16};
const struct quant_traits quant_bf16 = {QUANT_BF16, "BF16", 1, 2, decode_bf16};
