/* Q8_0: 32 signed bytes under one scale. */
#include "quant/blocks.h"
#include "quant/quant_int.h"

static void decode_q8_0(const void *src, float *dst, size_t n_blocks)
{
    const struct block_q8_0 *b = src;
    for (; n_blocks--; b++, dst += QUANT_SMALL_BLOCK) {
        float d = quant_load_f16(b->d);
        for (int i = 0; i < QUANT_SMALL_BLOCK; i++) dst[i] = d * (float)b->qs[i];
    }
}

const struct quant_traits quant_q8_0 = {QUANT_Q8_0,        "Q8_0",
                                        QUANT_SMALL_BLOCK, sizeof(struct block_q8_0),
                                        decode_q8_0,       quant_encode_q8_0};
