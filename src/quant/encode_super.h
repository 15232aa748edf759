/* Super-blocks of 256 elements: groups whose scales (and minima) are small whole numbers under one
 * half each. Private to encode_*.c. */
#ifndef HEARTH_QUANT_ENCODE_SUPER_H
#define HEARTH_QUANT_ENCODE_SUPER_H

#include "quant/encode_int.h"

enum {
    QUANT_SUPER = QUANT_SUPER_BLOCK,
    QUANT_MAX_GROUPS = 16,
};

/* What a type offers. w = d * scale * q, or d * scale * q - dmin * min where `lo` is 0. */
struct quant_shape {
    int group;                         /* elements of a group */
    int lo, hi;                        /* codes */
    const struct quant_levels *levels; /* what the codes stand for; NULL: themselves */
    int scale_lo, scale_hi;            /* whole-number scales, and minima from 0 */
    struct quant_effort effort[2];     /* for a group: without weights, with */
    struct quant_effort super_effort;  /* for the halves */
    int rounds;                        /* of whole numbers, then halves */
};

struct quant_super {
    const float *x;
    float w[QUANT_SUPER];
    bool weighted;
    int n_groups;
    float weight[QUANT_MAX_GROUPS]; /* sums of w */
    float d, dmin;                  /* values of the halves */
    int scale[QUANT_MAX_GROUPS], min[QUANT_MAX_GROUPS];
    struct quant_pass pass[QUANT_MAX_GROUPS]; /* at these numbers */
};

/* Fits a super-block, with its codes counted from 0. False where a value cannot be encoded. */
bool quant_fit_super(const struct quant_shape *k, const float *x, const float *weights,
                     struct quant_super *s, uint8_t codes[QUANT_SUPER]);

#endif
