/* IQ4_NL and IQ4_XS: 4 bits that stand for unevenly spaced values. */
#include "quant/blocks.h"
#include "quant/quant_int.h"

static const int8_t values[16] = {QUANT_IQ4_VALUES(0)};

static void decode_32(float scale, const uint8_t qs[16], float *dst)
{
    for (int i = 0; i < 16; i++) {
        dst[i] = scale * (float)values[qs[i] & 15];
        dst[i + 16] = scale * (float)values[qs[i] >> 4];
    }
}

static void decode_iq4_nl(const void *src, float *dst, size_t n_blocks)
{
    const struct block_iq4_nl *b = src;
    for (; n_blocks--; b++, dst += QUANT_SMALL_BLOCK) decode_32(quant_load_f16(b->d), b->qs, dst);
}

static void decode_iq4_xs(const void *src, float *dst, size_t n_blocks)
{
    const struct block_iq4_xs *b = src;
    for (; n_blocks--; b++) {
        float d = quant_load_f16(b->d);
        uint8_t scales[8];
        quant_iq4_xs_scales(b, scales);
        for (int g = 0; g < 8; g++, dst += 32)
            decode_32(d * (float)(scales[g] - 32), b->qs + 16 * g, dst);
    }
}

const struct quant_traits quant_iq4_nl = {QUANT_IQ4_NL,      "IQ4_NL",
                                          QUANT_SMALL_BLOCK, sizeof(struct block_iq4_nl),
                                          decode_iq4_nl,     quant_encode_iq4_nl};
const struct quant_traits quant_iq4_xs = {QUANT_IQ4_XS,      "IQ4_XS",
                                          QUANT_SUPER_BLOCK, sizeof(struct block_iq4_xs),
                                          decode_iq4_xs,     quant_encode_iq4_xs};
