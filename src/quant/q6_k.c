/* Q6_K: 6 bits, 16 groups of 16 with a signed 8-bit scale each. */
#include "quant/blocks.h"
#include "quant/quant_int.h"

static void decode_q6_k(const void *src, float *dst, size_t n_blocks)
{
    const struct block_q6_k *b = src;
    for (; n_blocks--; b++) {
        float d = quant_load_f16(b->d);
        for (int g = 0; g < 16; g++) {
            int half = g / 8, quarter = g % 8 / 2, part = g % 2;
            const uint8_t *low = b->ql + 64 * half + 32 * (quarter % 2) + 16 * part;
            const uint8_t *high = b->qh + 32 * half + 16 * part;
            int low_shift = 4 * (quarter / 2), high_shift = 2 * quarter;
            float scale = d * (float)b->scales[g];
            for (int l = 0; l < 16; l++) {
                int v = (low[l] >> low_shift & 15) | (high[l] >> high_shift & 3) << 4;
                *dst++ = scale * (float)(v - 32);
            }
        }
    }
}

const struct quant_traits quant_q6_k = {QUANT_Q6_K,        "Q6_K",
                                        QUANT_SUPER_BLOCK, sizeof(struct block_q6_k),
                                        decode_q6_k,       quant_encode_q6_k};
