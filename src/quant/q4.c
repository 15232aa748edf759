/* Q4_0 and Q4_1: 32 elements of 4 bits under one scale. */
#include "quant/blocks.h"
#include "quant/quant_int.h"

static void decode_q4_0(const void *src, float *dst, size_t n_blocks)
{
    const struct block_q4_0 *b = src;
    for (; n_blocks--; b++, dst += QUANT_SMALL_BLOCK) {
        float d = quant_load_f16(b->d);
        for (int i = 0; i < 16; i++) {
            dst[i] = d * (float)((b->qs[i] & 15) - 8);
            dst[i + 16] = d * (float)((b->qs[i] >> 4) - 8);
        }
    }
}

static void decode_q4_1(const void *src, float *dst, size_t n_blocks)
{
    const struct block_q4_1 *b = src;
    for (; n_blocks--; b++, dst += QUANT_SMALL_BLOCK) {
        float d = quant_load_f16(b->d), m = quant_load_f16(b->m);
        for (int i = 0; i < 16; i++) {
            dst[i] = d * (float)(b->qs[i] & 15) + m;
            dst[i + 16] = d * (float)(b->qs[i] >> 4) + m;
        }
    }
}

const struct quant_traits quant_q4_0 = {QUANT_Q4_0,        "Q4_0",
                                        QUANT_SMALL_BLOCK, sizeof(struct block_q4_0),
                                        decode_q4_0,       quant_encode_q4_0};
const struct quant_traits quant_q4_1 = {QUANT_Q4_1,        "Q4_1",
                                        QUANT_SMALL_BLOCK, sizeof(struct block_q4_1),
                                        decode_q4_1,       quant_encode_q4_1};
