/* IQ2_XXS, IQ2_XS and IQ2_S: eight magnitudes of three an entry of codebooks of 256, 512 and 1024,
 * with eight signs. */
#include "quant/iq.h"
#include "quant/quant_int.h"

const int8_t quant_iq2_values[16] = {[0] = 8, 25, 43, [8] = -8, -25, -43};

/* d of all three: the scales are (s + 1/2) / 4 = (2 s + 1) / 8. */
static float eighth(const uint8_t d[2])
{
    return quant_load_f16(d) * 0.125f;
}

static void scales_16(const uint8_t packed[8], uint8_t scales[16])
{
    for (int g = 0; g < 16; g++) scales[g] = (uint8_t)(2 * (packed[g / 2] >> 4 * (g % 2) & 15) + 1);
}

/* Per 32 elements: four entries, then a u32 of seven sign bits for each of them and the scale. */
void quant_iq2_xxs_split(const struct block_iq2_xxs *b, struct quant_coded *o)
{
    o->d = eighth(b->d);
    for (int g = 0; g < 8; g++) {
        const uint8_t *entries = b->qs + 8 * g;
        uint32_t word = quant_load_u32(entries + 4);
        o->scales[g] = (uint8_t)(2 * (word >> 28) + 1);
        for (int l = 0; l < 4; l++)
            quant_entry8(quant_grid_iq2_xxs[entries[l]], quant_even_signs(word >> 7 * l & 127),
                         o->index + 32 * g + 8 * l);
    }
}

/* Per 8 elements a u16: entry, then seven sign bits. */
void quant_iq2_xs_split(const struct block_iq2_xs *b, struct quant_coded *o)
{
    o->d = eighth(b->d);
    scales_16(b->scales, o->scales);
    for (int e = 0; e < 32; e++) {
        unsigned word = quant_load_u16(b->qs + 2 * e);
        quant_entry8(quant_grid_iq2_xs[word & 511], quant_even_signs(word >> 9), o->index + 8 * e);
    }
}

/* Byte g of qh has the high two bits of the entries of 32 elements, first entry lowest. */
void quant_iq2_s_split(const struct block_iq2_s *b, struct quant_coded *o)
{
    o->d = eighth(b->d);
    scales_16(b->scales, o->scales);
    for (int e = 0; e < 32; e++) {
        unsigned entry = b->qs[e] | (b->qh[e / 4] >> 2 * (e % 4) & 3u) << 8;
        quant_entry8(quant_grid_iq2_s[entry], b->signs[e], o->index + 8 * e);
    }
}

#define DECODE(NAME, GROUP)                                                                        \
    static void decode_##NAME(const void *src, float *dst, size_t n_blocks)                        \
    {                                                                                              \
        const struct block_##NAME *b = src;                                                        \
        for (struct quant_coded c; n_blocks--; b++, dst += QUANT_SUPER_BLOCK) {                    \
            quant_##NAME##_split(b, &c);                                                           \
            quant_coded_decode(&c, GROUP, quant_iq2_values, dst);                                  \
        }                                                                                          \
    }
DECODE(iq2_xxs, 32)
DECODE(iq2_xs, 16)
DECODE(iq2_s, 16)

const struct quant_traits quant_iq2_xxs = {QUANT_IQ2_XXS, "IQ2_XXS", QUANT_SUPER_BLOCK,
                                           sizeof(struct block_iq2_xxs), decode_iq2_xxs};
const struct quant_traits quant_iq2_xs = {QUANT_IQ2_XS, "IQ2_XS", QUANT_SUPER_BLOCK,
                                          sizeof(struct block_iq2_xs), decode_iq2_xs};
const struct quant_traits quant_iq2_s = {QUANT_IQ2_S, "IQ2_S", QUANT_SUPER_BLOCK,
                                         sizeof(struct block_iq2_s), decode_iq2_s};
