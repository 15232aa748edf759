/* Q2_K: 2 bits, 16 groups of 16 with a 4-bit scale and a 4-bit minimum each. */
#include "quant/blocks.h"
#include "quant/quant_int.h"

static void decode_q2_k(const void *src, float *dst, size_t n_blocks)
{
    const struct block_q2_k *b = src;
    for (; n_blocks--; b++) {
        float d = quant_load_f16(b->d), dmin = quant_load_f16(b->dmin);
        for (int g = 0; g < 16; g++) {
            const uint8_t *q = b->qs + 32 * (g / 8) + 16 * (g % 2);
            int shift = g % 8 / 2 * 2;
            float scale = d * (float)(b->scales[g] & 15), min = dmin * (float)(b->scales[g] >> 4);
            for (int l = 0; l < 16; l++) *dst++ = scale * (float)(q[l] >> shift & 3) - min;
        }
    }
}

const struct quant_traits quant_q2_k = {QUANT_Q2_K,        "Q2_K",
                                        QUANT_SUPER_BLOCK, sizeof(struct block_q2_k),
                                        decode_q2_k,       quant_encode_q2_k};
