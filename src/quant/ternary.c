/* TQ1_0 and TQ2_0: -1, 0 and 1 under one scale for 256 elements, five or four a byte. */
#include "quant/blocks.h"
#include "quant/quant_int.h"

/* Digit n (0 is the highest) of the base 3 fraction byte / 256. Multiplying by 3^n drops the digits
 * before it; three times what is left carries it above the byte. */
static uint8_t digit(uint8_t byte, int n)
{
    static const uint8_t power[5] = {1, 3, 9, 27, 81};
    uint8_t rest = (uint8_t)(byte * power[n]);
    return (uint8_t)(rest * 3 >> 8);
}

/* n bytes: all their first digits, then all their second ones ... */
static uint8_t *digits(const uint8_t *bytes, int n, int n_digits, uint8_t *q)
{
    for (int k = 0; k < n_digits; k++)
        for (int i = 0; i < n; i++) *q++ = digit(bytes[i], k);
    return q;
}

void quant_tq1_0_elements(const struct block_tq1_0 *b, uint8_t q[256])
{
    q = digits(b->qs, 32, 5, q);
    q = digits(b->qs + 32, 16, 5, q);
    digits(b->qh, 4, 4, q);
}

void quant_tq2_0_elements(const struct block_tq2_0 *b, uint8_t q[256])
{
    for (int i = 0; i < QUANT_SUPER_BLOCK; i++)
        q[i] = b->qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

#define DECODE(NAME)                                                                               \
    static void decode_##NAME(const void *src, float *dst, size_t n_blocks)                        \
    {                                                                                              \
        const struct block_##NAME *b = src;                                                        \
        for (; n_blocks--; b++) {                                                                  \
            float d = quant_load_f16(b->d);                                                        \
            uint8_t q[QUANT_SUPER_BLOCK];                                                          \
            quant_##NAME##_elements(b, q);                                                         \
            for (int i = 0; i < QUANT_SUPER_BLOCK; i++) *dst++ = d * (float)(q[i] - 1);            \
        }                                                                                          \
    }
DECODE(tq1_0)
DECODE(tq2_0)

const struct quant_traits quant_tq1_0 = {QUANT_TQ1_0, "TQ1_0", QUANT_SUPER_BLOCK,
                                         sizeof(struct block_tq1_0), decode_tq1_0};
const struct quant_traits quant_tq2_0 = {QUANT_TQ2_0, "TQ2_0", QUANT_SUPER_BLOCK,
                                         sizeof(struct block_tq2_0), decode_tq2_0};
