/* Q5_K: as Q4_K with a fifth bit. */
#include "quant/blocks.h"
#include "quant/quant_int.h"

static void decode_q5_k(const void *src, float *dst, size_t n_blocks)
{
    const struct block_q5_k *b = src;
    for (; n_blocks--; b++) {
        float d = quant_load_f16(b->d), dmin = quant_load_f16(b->dmin);
        for (int g = 0; g < 8; g++) {
            const uint8_t *q = b->qs + 32 * (g / 2);
            int shift = 4 * (g % 2);
            uint8_t s, m;
            quant_k4_scale_min(b->scales, g, &s, &m);
            float scale = d * (float)s, min = dmin * (float)m;
            for (int l = 0; l < 32; l++) {
                int v = (q[l] >> shift & 15) | (b->qh[l] >> g & 1) << 4;
                *dst++ = scale * (float)v - min;
            }
        }
    }
}

const struct quant_traits quant_q5_k = {QUANT_Q5_K,        "Q5_K",
                                        QUANT_SUPER_BLOCK, sizeof(struct block_q5_k),
                                        decode_q5_k,       quant_encode_q5_k};
