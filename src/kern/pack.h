/* The packed layout: how 16 rows of a quantized matrix interleave into a panel.
 *
 * A panel is a sequence of units of 32 (Q4_0 ... Q8_0) or 256 (K-quants) columns; a unit holds the
 * same bits as the 16 blocks it came from. Its parts, in this order, where the type has them:
 *
 *   scales   16 halves d, then 16 halves of the minimum (m or dmin)
 *   codes    sub-block scales: see below
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
 * Six-bit codes, 16 vectors V of 16 rows: 128 bytes [8][16] of V[s] & 15 | (V[s + 8] & 15) << 4, then
 * 64 bytes [4][16] whose bits 2j, 2j+1 of number t are V[t + 4j] >> 4.
 *
 *   type   scales  codes                            high   low
 *   Q4_0   d                                               nibbles (value - 8)
 *   Q4_1   d, m                                            nibbles
 *   Q5_0   d                                        bits   nibbles (value - 16)
 *   Q5_1   d, m                                     bits   nibbles
 *   Q8_0   d                                               bytes, each + 128
 *   Q2_K   d, dmin 16 x 16 bytes, scale | min << 4         pairs
 *   Q3_K   d       six-bit, scale + 32              bits   pairs (value - 4)
 *   Q4_K   d, dmin six-bit, V[0..7] scales, rest mins      nibbles
 *   Q5_K   d, dmin the same                         bits   nibbles
 *   Q6_K   d       16 x 16 signed bytes             pairs  nibbles (value - 32)
 *   F32, F16, BF16: [n_cols][16] values */
#ifndef HEARTH_KERN_PACK_H
#define HEARTH_KERN_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "kern/kern.h"

/* What of the layout above a type uses. */
enum pack_codes { CODES_NONE, CODES_BYTES, CODES_SIX };
enum pack_plane { PLANE_NONE, PLANE_BITS, PLANE_PAIRS, PLANE_NIBBLES, PLANE_BYTES };

/* One block of one row taken apart. */
struct pack_row {
    uint16_t d, m;     /* halves */
    uint8_t codes[16]; /* as the layout stores them */
    uint8_t q[256];    /* unsigned values */
};

struct pack_format {
    uint32_t type;     /* enum quant_id */
    uint32_t elem_bytes; /* of float types; 0 for quantized ones, which use all that follows */
    uint32_t unit;     /* columns of a unit */
    bool has_min;
    enum pack_codes codes;
    enum pack_plane high, low;
    enum kern_act_format act; /* what its kernels multiply with */
    void (*split)(const uint8_t *block, struct pack_row *out);
};

/* NULL for a type without kernels. */
const struct pack_format *pack_format_find(uint32_t type);

#endif
