/* MXFP4 and NVFP4: 4-bit floats (E2M1) under a power of two, or under an 8-bit float for each 16.
 */
#include "quant/blocks.h"
#include "quant/quant_int.h"

static const int8_t values[16] = {QUANT_FP4_VALUES(0)};

static void decode_mxfp4(const void *src, float *dst, size_t n_blocks)
{
    const struct block_mxfp4 *b = src;
    for (; n_blocks--; b++, dst += QUANT_SMALL_BLOCK) {
        float d = quant_e8m0_half_to_f32(b->e);
        for (int i = 0; i < 16; i++) {
            dst[i] = d * (float)values[b->qs[i] & 15];
            dst[i + 16] = d * (float)values[b->qs[i] >> 4];
        }
    }
}

static void decode_nvfp4(const void *src, float *dst, size_t n_blocks)
{
    const struct block_nvfp4 *b = src;
    for (; n_blocks--; b++)
        for (int g = 0; g < 4; g++, dst += 16) {
            float d = quant_e4m3_half_to_f32(b->d[g]);
            for (int i = 0; i < 8; i++) {
                dst[i] = d * (float)values[b->qs[8 * g + i] & 15];
                dst[i + 8] = d * (float)values[b->qs[8 * g + i] >> 4];
            }
        }
}

const struct quant_traits quant_mxfp4 = {QUANT_MXFP4,       "MXFP4",
                                         QUANT_SMALL_BLOCK, sizeof(struct block_mxfp4),
                                         decode_mxfp4,      quant_encode_mxfp4};
const struct quant_traits quant_nvfp4 = {QUANT_NVFP4, "NVFP4", 64, sizeof(struct block_nvfp4),
                                         decode_nvfp4};
