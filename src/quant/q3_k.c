/* Q3_K: 3 bits, 16 groups of 16 with a 6-bit scale each. */
#include "quant/blocks.h"
#include "quant/quant_int.h"

static void decode_q3_k(const void *src, float *dst, size_t n_blocks)
{
    const struct block_q3_k *b = src;
    for (; n_blocks--; b++) {
        float d = quant_load_f16(b->d);
        int8_t scales[16];
        quant_q3_k_scales(b->scales, scales);
        for (int g = 0; g < 16; g++) {
            const uint8_t *q = b->qs + 32 * (g / 8) + 16 * (g % 2);
            const uint8_t *high = b->hmask + 16 * (g % 2);
            int shift = g % 8 / 2 * 2, high_shift = g / 2;
            float scale = d * (float)scales[g];
            for (int l = 0; l < 16; l++) {
                int v = (q[l] >> shift & 3) | (high[l] >> high_shift & 1) << 2;
                *dst++ = scale * (float)(v - 4);
            }
        }
    }
}

const struct quant_traits quant_q3_k = {QUANT_Q3_K,        "Q3_K",
                                        QUANT_SUPER_BLOCK, sizeof(struct block_q3_k),
                                        decode_q3_k,       quant_encode_q3_k};
