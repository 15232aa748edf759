/* The block formats of ggml tensors, byte for byte. Every member is made of bytes, so the structs
 * have alignment 1 and may be laid over any address of a mapped file. Two-byte scales are
 * little-endian IEEE halves: read them with quant_load_f16.
 *
 * Source: ggml-common.h and the dequantize_row_* functions of ggml. */
#ifndef HEARTH_QUANT_BLOCKS_H
#define HEARTH_QUANT_BLOCKS_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "quant/quant.h"

enum {
    QUANT_SMALL_BLOCK = 32,  /* elements in a block of Q4_0 ... Q8_0 */
    QUANT_SUPER_BLOCK = 256, /* elements in a block of the K family */
};

/* w = d * (q - 8). Byte i holds element i in its low half, element i + 16 in its high half. */
struct block_q4_0 {
    uint8_t d[2];
    uint8_t qs[16];
};

/* w = d * q + m */
struct block_q4_1 {
    uint8_t d[2];
    uint8_t m[2];
    uint8_t qs[16];
};

/* w = d * (q - 16). Nibbles as in Q4_0; bit i of qh, a little-endian u32, is element i's fifth. */
struct block_q5_0 {
    uint8_t d[2];
    uint8_t qh[4];
    uint8_t qs[16];
};

/* w = d * q + m */
struct block_q5_1 {
    uint8_t d[2];
    uint8_t m[2];
    uint8_t qh[4];
    uint8_t qs[16];
};

/* w = d * q */
struct block_q8_0 {
    uint8_t d[2];
    int8_t qs[32];
};

/* 16 groups of 16. w = d * (scale & 15) * q - dmin * (scale >> 4). In each half of 128 elements,
 * byte l of 32 holds elements l, l + 32, l + 64 and l + 96, lowest bits first. */
struct block_q2_k {
    uint8_t scales[16];
    uint8_t qs[64];
    uint8_t d[2];
    uint8_t dmin[2];
};

/* 16 groups of 16. w = d * (scale - 32) * (q - 4), where q's low two bits lie as in Q2_K and its
 * third is bit j of hmask[l] for element 32 * j + l. The 6-bit scales: see quant_q3_k_scales. */
struct block_q3_k {
    uint8_t hmask[32];
    uint8_t qs[64];
    uint8_t scales[12];
    uint8_t d[2];
};

/* 8 groups of 32. w = d * scale * q - dmin * min. In each run of 64 elements, byte l of 32 holds
 * element l low and l + 32 high. Scales and minima: see quant_k4_scale_min. */
struct block_q4_k {
    uint8_t d[2];
    uint8_t dmin[2];
    uint8_t scales[12];
    uint8_t qs[128];
};

/* As Q4_K; the fifth bit of element 32 * j + l is bit j of qh[l]. */
struct block_q5_k {
    uint8_t d[2];
    uint8_t dmin[2];
    uint8_t scales[12];
    uint8_t qh[32];
    uint8_t qs[128];
};

/* 16 groups of 16. w = d * scale * (q - 32). In each half of 128 elements, ql[l] of 64 holds the
 * low four bits of elements l (low) and l + 64 (high); qh[l] of 32 the high two bits of elements l,
 * l + 32, l + 64 and l + 96, lowest bits first. */
struct block_q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint8_t d[2];
};

/* w = d * v for the 16 values v of quant_iq4_values. Nibbles as in Q4_0. */
struct block_iq4_nl {
    uint8_t d[2];
    uint8_t qs[16];
};

/* 8 groups of 32, each laid out as in IQ4_NL. w = d * (scale - 32) * v, where scale has its low four
 * bits in the halves of scales_l, its top two in scales_h, a little-endian u16: group 0 lowest. */
struct block_iq4_xs {
    uint8_t d[2];
    uint8_t scales_h[2];
    uint8_t scales_l[4];
    uint8_t qs[128];
};

/* w = 2^(e - 128) * v for the 16 values v of quant_fp4_values, twice those of E2M1. Nibbles as in
 * Q4_0. Source: OCP Microscaling Formats (MX) v1.0. */
struct block_mxfp4 {
    uint8_t e;
    uint8_t qs[16];
};

/* 4 groups of 16. w = d * v with v as in MXFP4 and d half of what the group's E4M3 byte says (see
 * fp4.c). Byte i of a group's 8 holds elements i (low) and i + 8 (high). */
struct block_nvfp4 {
    uint8_t d[4];
    uint8_t qs[32];
};

/* w = d where the element's bit is set, otherwise -d; lowest bits first. */
struct block_q1_0 {
    uint8_t d[2];
    uint8_t qs[16];
};

/* w = d * (q - 1), four elements a byte, lowest bits first. */
struct block_q2_0 {
    uint8_t d[2];
    uint8_t qs[16];
};

/* w = d * (q - 1) for q of 0, 1, 2. A byte holds five elements (qh: four) as the digits in base 3 of a
 * fraction of 256, the first digit the highest: see ternary.c. */
struct block_tq1_0 {
    uint8_t qs[48];
    uint8_t qh[4];
    uint8_t d[2];
};

/* w = d * (q - 1). In each half of 128 elements, byte l of 32 holds elements l, l + 32, l + 64 and
 * l + 96, lowest bits first. */
struct block_tq2_0 {
    uint8_t qs[64];
    uint8_t d[2];
};

/* The IQ1, IQ2 and IQ3 types: see iq.h and the functions that take their blocks apart. */
struct block_iq2_xxs {
    uint8_t d[2];
    uint8_t qs[64];
};
struct block_iq2_xs {
    uint8_t d[2];
    uint8_t qs[64];
    uint8_t scales[8];
};
struct block_iq2_s {
    uint8_t d[2];
    uint8_t qs[32], signs[32];
    uint8_t qh[8];
    uint8_t scales[8];
};
struct block_iq3_xxs {
    uint8_t d[2];
    uint8_t qs[64];
    uint8_t scales_and_signs[32];
};
struct block_iq3_s {
    uint8_t d[2];
    uint8_t qs[64];
    uint8_t qh[8];
    uint8_t signs[32];
    uint8_t scales[4];
};
struct block_iq1_s {
    uint8_t d[2];
    uint8_t qs[32];
    uint8_t qh[16];
};
struct block_iq1_m {
    uint8_t qs[32];
    uint8_t qh[16];
    uint8_t scales[8];
};

static_assert(sizeof(struct block_q4_0) == 18, "Q4_0");
static_assert(sizeof(struct block_q4_1) == 20, "Q4_1");
static_assert(sizeof(struct block_q5_0) == 22, "Q5_0");
static_assert(sizeof(struct block_q5_1) == 24, "Q5_1");
static_assert(sizeof(struct block_q8_0) == 34, "Q8_0");
static_assert(sizeof(struct block_q2_k) == 84, "Q2_K");
static_assert(sizeof(struct block_q3_k) == 110, "Q3_K");
static_assert(sizeof(struct block_q4_k) == 144, "Q4_K");
static_assert(sizeof(struct block_q5_k) == 176, "Q5_K");
static_assert(sizeof(struct block_q6_k) == 210, "Q6_K");
static_assert(sizeof(struct block_iq4_nl) == 18, "IQ4_NL");
static_assert(sizeof(struct block_iq4_xs) == 136, "IQ4_XS");
static_assert(sizeof(struct block_mxfp4) == 17, "MXFP4");
static_assert(sizeof(struct block_nvfp4) == 36, "NVFP4");
static_assert(sizeof(struct block_q1_0) == 18, "Q1_0");
static_assert(sizeof(struct block_q2_0) == 18, "Q2_0");
static_assert(sizeof(struct block_tq1_0) == 54, "TQ1_0");
static_assert(sizeof(struct block_tq2_0) == 66, "TQ2_0");
static_assert(sizeof(struct block_iq2_xxs) == 66, "IQ2_XXS");
static_assert(sizeof(struct block_iq2_xs) == 74, "IQ2_XS");
static_assert(sizeof(struct block_iq2_s) == 82, "IQ2_S");
static_assert(sizeof(struct block_iq3_xxs) == 98, "IQ3_XXS");
static_assert(sizeof(struct block_iq3_s) == 110, "IQ3_S");
static_assert(sizeof(struct block_iq1_s) == 50, "IQ1_S");
static_assert(sizeof(struct block_iq1_m) == 56, "IQ1_M");

/* The values of the four-bit codes, each plus `o`. */
#define QUANT_IQ4_VALUES(o)                                                                        \
    (o) - 127, (o) - 104, (o) - 83, (o) - 65, (o) - 49, (o) - 35, (o) - 22, (o) - 10, (o) + 1,     \
        (o) + 13, (o) + 25, (o) + 38, (o) + 53, (o) + 69, (o) + 89, (o) + 113
#define QUANT_FP4_VALUES(o)                                                                        \
    (o), (o) + 1, (o) + 2, (o) + 3, (o) + 4, (o) + 6, (o) + 8, (o) + 12, (o), (o) - 1, (o) - 2,    \
        (o) - 3, (o) - 4, (o) - 6, (o) - 8, (o) - 12

static inline uint16_t quant_load_u16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline float quant_load_f16(const void *p)
{
    return quant_f16_to_f32(quant_load_u16(p));
}

static inline uint32_t quant_load_u32(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Scale and minimum (0..63) of group j (0..7) of a Q4_K or Q5_K block. The first four of each lie
 * in the low six bits of bytes 0-3 and 4-7; the last four have their low nibbles in bytes 8-11 and
 * their top two bits above the first four's. */
static inline void quant_k4_scale_min(const uint8_t scales[12], int j, uint8_t *scale, uint8_t *min)
{
    if (j < 4) {
        *scale = scales[j] & 63;
        *min = scales[j + 4] & 63;
    } else {
        *scale = (uint8_t)((scales[j + 4] & 15) | (scales[j - 4] >> 6) << 4);
        *min = (uint8_t)((scales[j + 4] >> 4) | (scales[j] >> 6) << 4);
    }
}

/* The scales of a block of IQ4_XS, 0..63; they stand for -32..31. */
static inline void quant_iq4_xs_scales(const struct block_iq4_xs *b, uint8_t scales[8])
{
    unsigned high = quant_load_u16(b->scales_h);
    for (int j = 0; j < 8; j++)
        scales[j] = (uint8_t)((b->scales_l[j / 2] >> 4 * (j % 2) & 15) | (high >> 2 * j & 3) << 4);
}

/* The 256 elements of a ternary block, as 0..2 (TQ2_0: also 3). */
void quant_tq1_0_elements(const struct block_tq1_0 *b, uint8_t q[256]);
void quant_tq2_0_elements(const struct block_tq2_0 *b, uint8_t q[256]);

/* The 16 group scales of a Q3_K block, -32..31. Scale j has its low nibble in byte j % 8 (low half
 * of the byte for j < 8), its top two bits in byte 8 + j % 4 at bit 2 * (j / 4). */
static inline void quant_q3_k_scales(const uint8_t packed[12], int8_t scales[16])
{
    for (int j = 0; j < 16; j++) {
        int low = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4;
        int high = packed[8 + j % 4] >> 2 * (j / 4) & 3;
        scales[j] = (int8_t)((low | high << 4) - 32);
    }
}

#endif
