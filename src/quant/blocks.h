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
