/* What the encoders share: fits of a scale (and a minimum) to a group of weights.
 *
 * An encoder minimises sum w * (x - decoded)^2 over a block. The error is quadratic in scale and
 * minimum for given codes, and the codes that go with a scale and a minimum are found by rounding:
 * all searches alternate between the two ("passes") from several starts and keep the best. Groups
 * have at most QUANT_MAX_GROUP elements, a multiple of eight. */
#ifndef HEARTH_QUANT_ENCODE_INT_H
#define HEARTH_QUANT_ENCODE_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quant/blocks.h"

enum { QUANT_MAX_GROUP = 32 };

/* One pass: the error at (d, m) with the codes q that suit it, and what improves d and m while the
 * codes stay. e is the rest x - d*q - m. */
struct quant_pass {
    float err; /* sum w*e*e */
    float q;   /* sum w*q */
    float qq;  /* sum w*q*q */
    float e;   /* sum w*e */
    float eq;  /* sum w*e*q */
};

/* Codes are whole numbers of lo..hi. d = 0 gives codes of lo..hi next to 0. */
void quant_pass(const float *x, const float *w, int n, float d, float m, int lo, int hi,
                struct quant_pass *out);
/* The codes that quant_pass counts with. */
void quant_codes(const float *x, int n, float d, float m, int lo, int hi, int8_t *codes);

struct quant_fit {
    float d, m; /* x is about d*q + m */
    float err;
};

/* The search's effort: starts from scales that reach this many steps below and above the last code
 * with the largest element, a step in units of codes; then refines the best one this often. */
struct quant_effort {
    int below, above;
    float step;
    int refinements;
};

/* The d that minimises sum w*(x - d*q)^2; m is 0. d may be negative where lo < 0. */
struct quant_fit quant_fit_scale(const float *x, const float *w, int n, int lo, int hi,
                                 const struct quant_effort *effort);
/* The d >= 0 and m that minimise sum w*(x - d*q - m)^2 for q of 0..hi; m <= 0 where `below_zero`.
 */
struct quant_fit quant_fit_affine(const float *x, const float *w, int n, int hi, bool below_zero,
                                  const struct quant_effort *effort);

/* Readies `n` elements for a search: false where one is not finite or too large for the block
 * formats, whose scales are halves. w gets `weights` with their mean made 1 and none below a
 * small fraction of it (a column that the importance matrix never saw still wants codes); without
 * weights, 1 each. */
bool quant_prepare(const float *x, const float *weights, int n, float *w);

/* The half nearest to f, stored; returns its value. */
float quant_store_f16(uint8_t dst[2], float f);

#endif
