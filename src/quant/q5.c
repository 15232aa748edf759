/* Q5_0 and Q5_1: as Q4_0 and Q4_1, with the fifth bits in a word of their own. */
#include "quant/blocks.h"
#include "quant/quant_int.h"

/* Element i (0..31) as 0..31. */
static int element(const uint8_t qs[16], uint32_t high_bits, int i)
{
    int low = i < 16 ? qs[i] & 15 : qs[i - 16] >> 4;
    return low | (int)(high_bits >> i & 1) << 4;
}

static void decode_q5_0(const void *src, float *dst, size_t n_blocks)
{
    const struct block_q5_0 *b = src;
    for (; n_blocks--; b++, dst += QUANT_SMALL_BLOCK) {
        float d = quant_load_f16(b->d);
        uint32_t high_bits = quant_load_u32(b->qh);
        for (int i = 0; i < QUANT_SMALL_BLOCK; i++)
            dst[i] = d * (float)(element(b->qs, high_bits, i) - 16);
    }
}

static void decode_q5_1(const void *src, float *dst, size_t n_blocks)
{
    const struct block_q5_1 *b = src;
    for (; n_blocks--; b++, dst += QUANT_SMALL_BLOCK) {
        float d = quant_load_f16(b->d), m = quant_load_f16(b->m);
        uint32_t high_bits = quant_load_u32(b->qh);
        for (int i = 0; i < QUANT_SMALL_BLOCK; i++)
            dst[i] = d * (float)element(b->qs, high_bits, i) + m;
    }
}

const struct quant_traits quant_q5_0 = {QUANT_Q5_0,        "Q5_0",
                                        QUANT_SMALL_BLOCK, sizeof(struct block_q5_0),
                                        decode_q5_0,       quant_encode_q5_0};
const struct quant_traits quant_q5_1 = {QUANT_Q5_1,        "Q5_1",
                                        QUANT_SMALL_BLOCK, sizeof(struct block_q5_1),
                                        decode_q5_1,       quant_encode_q5_1};
