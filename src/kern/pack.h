/* The packed layout: how 16 rows of a quantized matrix interleave into a panel.
 *
 * A panel is a sequence of units of 32, 64 or 256 columns. Most types have a form of their own, whose
 * unit holds the same bits as the 16 blocks it came from. A type without one is carried by the form of
 * another type, or by one that exists for that: its blocks are taken apart when they are packed, into
 * numbers that are exactly the same. The parts of a unit, in this order, where the form has them:
 *
 *   scales   16 halves d, then 16 halves of the minimum (m or dmin); or 16 floats d
 *   codes    sub-block scales: see below
 *   table    16 bytes: what nibble n stands for, plus 64
 *   planes   for each 32 columns: high bits, then low bits
 *
 * "Group" g of 32 columns is 64 bytes: lane (row) r, byte b is column 4g + b, which is what one
 * 4-way dot product instruction consumes. The planes store several groups in 64 bytes:
 *
 *   nibbles  4 x 64 bytes: low nibbles of number i are group 2i, high nibbles group 2i + 1
 *   pairs    2 x 64 bytes: bits 2j, 2j+1 of number i are group 4i + j
 *   bits     1 x 64 bytes: bit g is group g
 *   bytes    8 x 64 bytes
 *
 * Codes are bytes, [n][16] of them; or six bits each. 16 vectors V of 16 rows: 128 bytes [8][16] of
 * V[s] & 15 | (V[s + 8] & 15) << 4, then 64 bytes [4][16] whose bits 2j, 2j+1 of number t are
 * V[t + 4j] >> 4. 8 vectors: 64 bytes [4][16] of V[s] & 15 | (V[s + 4] & 15) << 4, then 32 bytes
 * [2][16] whose bits 2j, 2j+1 of number t are V[t + 4 * (j % 2) + 2 * (j / 2)] >> 4.
 *
 *   form      scales   codes                            high   low
 *   Q4_0      d                                                nibbles (value - 8)
 *   Q4_1      d, m                                             nibbles
 *   Q5_0      d                                         bits   nibbles (value - 16)
 *   Q5_1      d, m                                      bits   nibbles
 *   Q8_0      d                                                bytes, each + 128
 *   Q2_K      d, dmin  16 bytes, scale | min << 4              pairs
 *   Q3_K      d        six-bit, scale + 32              bits   pairs (value - 4)
 *   Q4_K      d, dmin  six-bit, V[0..7] scales, rest mins      nibbles
 *   Q5_K      d, dmin  the same                         bits   nibbles
 *   Q6_K      d        16 signed bytes                  pairs  nibbles (value - 32)
 *   IQ4_NL    d                                                nibbles
 *   IQ4_XS    d        8 of six bits, scale + 32               nibbles
 *   MXFP4              1 byte, E8M0                            nibbles
 *   NVFP4              4 bytes, E4M3                           nibbles
 *   TABLE_32  float d  8 bytes                                 nibbles, with a table
 *   TABLE_16  float d  16 bytes                                nibbles, with a table
 *   F32, F16, BF16: [n_cols][16] values */
#ifndef HEARTH_KERN_PACK_H
#define HEARTH_KERN_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "kern/kern.h"

/* What of the layout above a form uses. */
enum pack_scales { SCALES_NONE, SCALES_HALF, SCALES_HALF_MIN, SCALES_FLOAT };
enum pack_codes {
    CODES_NONE,
    CODES_1 = 1, /* bytes */
    CODES_4 = 4,
    CODES_8 = 8,
    CODES_16 = 16,
    CODES_SIX, /* 16 of six bits */
    CODES_SIX_8,
};
enum pack_plane { PLANE_NONE, PLANE_BITS, PLANE_PAIRS, PLANE_NIBBLES, PLANE_BYTES };

/* Forms that are no type of a file: w = d * code * table[nibble], a code for each 32 or 16 columns. */
enum pack_carrier { PACK_TABLE_32 = 0x10000, PACK_TABLE_16 };

/* Their units as if they were the blocks of 16 rows. */
struct block_table_32 {
    uint8_t d[4], codes[8], table[1], qs[128];
};
struct block_table_16 {
    uint8_t d[4], codes[16], table[1], qs[128];
};

/* One block of one row taken apart. */
struct pack_row {
    uint16_t d, m;     /* halves */
    float scale;       /* SCALES_FLOAT */
    uint8_t codes[16]; /* as the layout stores them */
    uint8_t q[256];    /* unsigned values */
};

struct pack_format {
    uint32_t type;       /* enum quant_id or enum pack_carrier */
    uint32_t elem_bytes; /* of float types; 0 for quantized ones, which use all that follows */
    uint32_t unit;       /* columns of a unit */
    enum pack_scales scales;
    enum pack_codes codes;
    enum pack_plane high, low;
    enum kern_act_format act; /* what its kernels multiply with */
    void (*split)(const uint8_t *block, struct pack_row *out);
    bool has_table;
    /* Of a type that another form carries, which makes all above but `type` and `split` that form's: the
     * form, and the 16 values of its table where it has one. A block may be several units: they share
     * its scales, and `q` follows on. */
    uint32_t carrier;     /* 0: none */
    const int8_t *values;
};

/* NULL for a type without kernels. */
const struct pack_format *pack_format_find(uint32_t type);
/* The form that a type with kernels is packed in: what its kernels are found by. */
const struct pack_format *pack_form_of(uint32_t type);

#endif
