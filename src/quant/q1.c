/* Q1_0 and Q2_0: one bit (-1, 1) or two (-1 .. 2) under one scale, 16 bytes a block. */
#include "quant/blocks.h"
#include "quant/quant_int.h"

static void decode_q1_0(const void *src, float *dst, size_t n_blocks)
{
    const struct block_q1_0 *b = src;
    for (; n_blocks--; b++) {
        float d = quant_load_f16(b->d);
        for (int i = 0; i < 128; i++) *dst++ = b->qs[i / 8] >> i % 8 & 1 ? d : -d;
    }
}

static void decode_q2_0(const void *src, float *dst, size_t n_blocks)
{
    const struct block_q2_0 *b = src;
    for (; n_blocks--; b++) {
        float d = quant_load_f16(b->d);
        for (int i = 0; i < 64; i++) *dst++ = d * (float)((b->qs[i / 4] >> i % 4 * 2 & 3) - 1);
    }
}

const struct quant_traits quant_q1_0 = {QUANT_Q1_0, "Q1_0", 128, sizeof(struct block_q1_0),
                                        decode_q1_0};
const struct quant_traits quant_q2_0 = {QUANT_Q2_0, "Q2_0", 64, sizeof(struct block_q2_0),
                                        decode_q2_0};
