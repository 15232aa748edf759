/* The IQ1, IQ2 and IQ3 types: groups of 4 or 8 elements are entries of a codebook, with signs beside
 * it. Taken apart, all of them have one form. */
#ifndef HEARTH_QUANT_IQ_H
#define HEARTH_QUANT_IQ_H

#include "quant/blocks.h"

/* A block of 256 elements: w[i] = d * scales[i / group] * values[index[i]], where the type says how
 * large a group is (32 or 16) and which its 16 values are. d is exact: a half times a power of two. */
struct quant_coded {
    float d;
    uint8_t scales[16]; /* odd, at most 31 */
    uint8_t index[QUANT_SUPER_BLOCK];
};

/* Index 8 and above are the negative values (IQ2, IQ3), or those with the lower offset (IQ1). */
extern const int8_t quant_iq1_values[16], quant_iq2_values[16];
extern const int8_t quant_iq3_xxs_values[16], quant_iq3_s_values[16];

void quant_iq2_xxs_split(const struct block_iq2_xxs *b, struct quant_coded *o);
void quant_iq2_xs_split(const struct block_iq2_xs *b, struct quant_coded *o);
void quant_iq2_s_split(const struct block_iq2_s *b, struct quant_coded *o);
void quant_iq3_xxs_split(const struct block_iq3_xxs *b, struct quant_coded *o);
void quant_iq3_s_split(const struct block_iq3_s *b, struct quant_coded *o);
void quant_iq1_s_split(const struct block_iq1_s *b, struct quant_coded *o);
void quant_iq1_m_split(const struct block_iq1_m *b, struct quant_coded *o);

/* ---- for the families' own files -------------------------------------------------------------- */

void quant_coded_decode(const struct quant_coded *c, int group, const int8_t values[16],
                        float dst[QUANT_SUPER_BLOCK]);

/* Indices of the 8 elements of an entry of eight levels, where bit j of `high` goes to index 8. */
static inline void quant_entry8(uint16_t entry, unsigned high, uint8_t *index)
{
    for (int j = 0; j < 8; j++) index[j] = (uint8_t)((entry >> 2 * j & 3) | (high >> j & 1) << 3);
}

/* The same for the 4 elements of an entry of three-bit levels. */
static inline void quant_entry4(uint16_t entry, unsigned high, uint8_t *index)
{
    for (int j = 0; j < 4; j++) index[j] = (uint8_t)((entry >> 3 * j & 7) | (high >> j & 1) << 3);
}

/* Seven sign bits and the eighth, which makes their number even (ksigns_iq2xs of ggml-common.h). */
static inline unsigned quant_even_signs(unsigned seven)
{
    return seven | (unsigned)__builtin_parity(seven) << 7;
}

/* Codebooks (iq_grids.c): the first level of an entry in the lowest bits. */
extern const uint16_t quant_grid_iq2_xxs[256], quant_grid_iq2_xs[512], quant_grid_iq2_s[1024];
extern const uint16_t quant_grid_iq3_xxs[256], quant_grid_iq3_s[512];
extern const uint16_t quant_grid_iq1[2048];

#endif
