/* IQ1_S and IQ1_M: eight elements of -1, 0, 1 an entry of a codebook of 2048, all of them moved by an
 * eighth up or down. The values here are eight times that. */
#include "quant/iq.h"
#include "quant/quant_int.h"

const int8_t quant_iq1_values[16] = {[0] = -7, 1, 9, [8] = -9, -1, 7};

/* Per 32 elements: low bits of four entries, and a u16 of their high bits, three each, the scale and
 * the direction of the offset. */
void quant_iq1_s_split(const struct block_iq1_s *b, struct quant_coded *o)
{
    o->d = quant_load_f16(b->d) * 0.125f;
    for (int g = 0; g < 8; g++) {
        unsigned high = quant_load_u16(b->qh + 2 * g);
        o->scales[g] = (uint8_t)(2 * (high >> 12 & 7) + 1);
        for (int l = 0; l < 4; l++)
            quant_entry8(quant_grid_iq1[b->qs[4 * g + l] | (high >> 3 * l & 7) << 8],
                         high >> 15 ? 0xff : 0, o->index + 32 * g + 8 * l);
    }
}

/* Three high bits and the direction for each entry; the scales are three bits for each 16 elements in
 * four u16, whose top bits are the half d. */
void quant_iq1_m_split(const struct block_iq1_m *b, struct quant_coded *o)
{
    unsigned half = 0;
    for (int k = 0; k < 4; k++) {
        unsigned word = quant_load_u16(b->scales + 2 * k);
        half |= word >> 12 << 4 * k;
        for (int j = 0; j < 4; j++) o->scales[4 * k + j] = (uint8_t)(2 * (word >> 3 * j & 7) + 1);
    }
    o->d = quant_f16_to_f32((uint16_t)half) * 0.125f;
    for (int e = 0; e < 32; e++) {
        unsigned high = b->qh[e / 2] >> 4 * (e % 2) & 15;
        quant_entry8(quant_grid_iq1[b->qs[e] | (high & 7) << 8], high >> 3 ? 0xff : 0,
                     o->index + 8 * e);
    }
}

static void decode_iq1_s(const void *src, float *dst, size_t n_blocks)
{
    const struct block_iq1_s *b = src;
    for (struct quant_coded c; n_blocks--; b++, dst += QUANT_SUPER_BLOCK) {
        quant_iq1_s_split(b, &c);
        quant_coded_decode(&c, 32, quant_iq1_values, dst);
    }
}

static void decode_iq1_m(const void *src, float *dst, size_t n_blocks)
{
    const struct block_iq1_m *b = src;
    for (struct quant_coded c; n_blocks--; b++, dst += QUANT_SUPER_BLOCK) {
        quant_iq1_m_split(b, &c);
        quant_coded_decode(&c, 16, quant_iq1_values, dst);
    }
}

const struct quant_traits quant_iq1_s = {QUANT_IQ1_S, "IQ1_S", QUANT_SUPER_BLOCK,
                                         sizeof(struct block_iq1_s), decode_iq1_s};
const struct quant_traits quant_iq1_m = {QUANT_IQ1_M, "IQ1_M", QUANT_SUPER_BLOCK,
                                         sizeof(struct block_iq1_m), decode_iq1_m};
