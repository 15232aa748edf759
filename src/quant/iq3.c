/* IQ3_XXS and IQ3_S: four magnitudes of eight an entry of codebooks of 256 and 512, with signs. */
#include "quant/iq.h"
#include "quant/quant_int.h"

const int8_t quant_iq3_xxs_values[16] = {4,  12,  20,  28,  36,  44,  52,  62,
                                         -4, -12, -20, -28, -36, -44, -52, -62};
const int8_t quant_iq3_s_values[16] = {1,  3,  5,  7,  9,  11,  13,  15,
                                       -1, -3, -5, -7, -9, -11, -13, -15};

/* Per 32 elements: eight entries, and a u32 of seven sign bits for each two of them and the scale,
 * which is (s + 1/2) / 2 = (2 s + 1) / 4. */
void quant_iq3_xxs_split(const struct block_iq3_xxs *b, struct quant_coded *o)
{
    o->d = quant_load_f16(b->d) * 0.25f;
    for (int g = 0; g < 8; g++) {
        uint32_t word = quant_load_u32(b->scales_and_signs + 4 * g);
        o->scales[g] = (uint8_t)(2 * (word >> 28) + 1);
        for (int l = 0; l < 8; l++) {
            unsigned signs = quant_even_signs(word >> 7 * (l / 2) & 127);
            quant_entry4(quant_grid_iq3_xxs[b->qs[8 * g + l]], signs >> 4 * (l % 2),
                         o->index + 32 * g + 4 * l);
        }
    }
}

/* Byte g of qh has the ninth bits of the entries of 32 elements, first entry lowest. */
void quant_iq3_s_split(const struct block_iq3_s *b, struct quant_coded *o)
{
    o->d = quant_load_f16(b->d);
    for (int g = 0; g < 8; g++)
        o->scales[g] = (uint8_t)(2 * (b->scales[g / 2] >> 4 * (g % 2) & 15) + 1);
    for (int e = 0; e < 64; e++) {
        unsigned entry = b->qs[e] | (b->qh[e / 8] >> e % 8 & 1u) << 8;
        quant_entry4(quant_grid_iq3_s[entry], (unsigned)b->signs[e / 2] >> 4 * (e % 2),
                     o->index + 4 * e);
    }
}

#define DECODE(NAME)                                                                               \
    static void decode_##NAME(const void *src, float *dst, size_t n_blocks)                        \
    {                                                                                              \
        const struct block_##NAME *b = src;                                                        \
        for (struct quant_coded c; n_blocks--; b++, dst += QUANT_SUPER_BLOCK) {                    \
            quant_##NAME##_split(b, &c);                                                           \
            quant_coded_decode(&c, 32, quant_##NAME##_values, dst);                                \
        }                                                                                          \
    }
DECODE(iq3_xxs)
DECODE(iq3_s)

const struct quant_traits quant_iq3_xxs = {QUANT_IQ3_XXS, "IQ3_XXS", QUANT_SUPER_BLOCK,
                                           sizeof(struct block_iq3_xxs), decode_iq3_xxs};
const struct quant_traits quant_iq3_s = {QUANT_IQ3_S, "IQ3_S", QUANT_SUPER_BLOCK,
                                         sizeof(struct block_iq3_s), decode_iq3_s};
