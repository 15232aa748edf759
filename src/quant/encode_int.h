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

struct quant_fit {
    float d, m; /* x is about d*q + m */
    float err;
};

/* A search's effort. It starts from 8 * sets scales, which bring the largest element to codes
 * `step` apart around the last one, from `below` steps below on; each is improved by `passes`
 * passes. */
struct quant_effort {
    int sets, below;
    float step;
    int passes;
};

/* Codes that stand for values: code i for value[i], which ascend. */
struct quant_levels {
    int n; /* at most 16 */
    float value[16];
};

/* The searches, over whole-number codes of lo..hi (d = 0 gives those next to 0) or over the codes
 * of values. All compilations give the same bytes. */
struct quant_search {
    void (*pass)(const float *x, const float *w, int n, float d, float m, int lo, int hi,
                 struct quant_pass *out);
    /* The codes that a pass counts with. */
    void (*codes)(const float *x, int n, float d, float m, int lo, int hi, int8_t *codes);
    /* The d that minimises sum w*(x - d*q)^2; m is 0. d may be negative where lo < 0. */
    struct quant_fit (*fit_scale)(const float *x, const float *w, int n, int lo, int hi,
                                  const struct quant_effort *effort);
    /* The d >= 0 and m that minimise sum w*(x - d*q - m)^2 for q of 0..hi; m <= 0 where
     * `below_zero`. */
    struct quant_fit (*fit_affine)(const float *x, const float *w, int n, int hi, bool below_zero,
                                   const struct quant_effort *effort);
    /* As pass, codes and fit_scale for x of about d * value[code]. q and e of the pass are 0; the
     * effort's step is in units of the values. */
    void (*level_pass)(const float *x, const float *w, int n, const struct quant_levels *t, float d,
                       struct quant_pass *out);
    void (*level_codes)(const float *x, int n, const struct quant_levels *t, float d,
                        uint8_t *codes);
    struct quant_fit (*fit_levels)(const float *x, const float *w, int n,
                                   const struct quant_levels *t, const struct quant_effort *effort);
};

extern const struct quant_search quant_search_base, quant_search_avx2;
/* The one for this CPU. */
const struct quant_search *quant_search(void);

/* Readies n elements (a multiple of eight) for a search: false where one is not finite or too large
 * for the block formats, whose scales are halves. w gets their weights: `weights` with their mean
 * made 1 and none below a small fraction of it (a column that the importance matrix never saw still
 * wants codes). Without, sqrt(1 + x*x / mean of x*x): large elements tend to lie in columns with
 * large activations. Measured on SmolLM2-135M, this lowers the divergence of predictions by a tenth
 * in Q4_0 for two hundredths more of squared error; on top of an importance matrix it does harm. */
bool quant_prepare(const float *x, const float *weights, int n, float *w);

/* The half nearest to f, stored; returns its value. */
float quant_store_f16(uint8_t dst[2], float f);

#endif
