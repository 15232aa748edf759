/* Scale and minimum of a group: alternating least squares from several starts. */
#include <math.h>
#include <string.h>

#include "quant/encode_int.h"

/* Eight lanes, summed in a fixed order and without fused multiply-add: every machine gets the same
 * bytes. The clones only do more lanes in one instruction. aligned(4): rows lie anywhere. */
typedef float lanes __attribute__((vector_size(32)));
typedef float lanes_any __attribute__((vector_size(32), aligned(4), may_alias));
typedef int lanes_mask __attribute__((vector_size(32)));
enum { LANES = 8 };

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) &&                 \
    !defined(QUANT_NO_CLONES)
#define EACH_CPU __attribute__((target_clones("avx2", "default")))
#else
#define EACH_CPU
#endif
#define INLINE static inline __attribute__((always_inline))
/* Vectors never cross a real call. */
#pragma GCC diagnostic ignored "-Wpsabi"

INLINE lanes load(const float *p)
{
    return *(const lanes_any *)p;
}

INLINE lanes larger(lanes a, lanes b)
{
    lanes_mask m = a > b;
    return (lanes)(((lanes_mask)a & m) | ((lanes_mask)b & ~m));
}

INLINE lanes smaller(lanes a, lanes b)
{
    lanes_mask m = a < b;
    return (lanes)(((lanes_mask)a & m) | ((lanes_mask)b & ~m));
}

INLINE float total(lanes a)
{
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* Adding and taking away 1.5 * 2^23 rounds to the nearest whole number, ties to even. */
static const float rounder = 0x1.8p23f;

/* The inverse, 0 where there is none (0, and subnormal numbers whose inverse is infinite). */
INLINE float inverse(float d)
{
    float inv = d != 0 ? 1 / d : 0;
    return isfinite(inv) ? inv : 0;
}

INLINE struct quant_pass pass(const float *x, const float *w, int n, float d, float m, int lo,
                              int hi)
{
    lanes err = {0}, sq = {0}, sqq = {0}, se = {0}, seq = {0};
    lanes low = (lanes){0} + (float)lo, high = (lanes){0} + (float)hi;
    float inv = inverse(d);
    for (int i = 0; i < n; i += LANES) {
        lanes v = load(x + i) - m, weight = load(w + i);
        lanes q = (smaller(larger(v * inv, low), high) + rounder) - rounder;
        lanes e = v - q * d;
        lanes we = weight * e, wq = weight * q;
        err += we * e;
        sq += wq;
        sqq += wq * q;
        se += we;
        seq += we * q;
    }
    return (struct quant_pass){total(err), total(sq), total(sqq), total(se), total(seq)};
}

EACH_CPU void quant_pass(const float *x, const float *w, int n, float d, float m, int lo, int hi,
                         struct quant_pass *out)
{
    *out = pass(x, w, n, d, m, lo, hi);
}

EACH_CPU void quant_codes(const float *x, int n, float d, float m, int lo, int hi, int8_t *codes)
{
    float inv = inverse(d);
    lanes low = (lanes){0} + (float)lo, high = (lanes){0} + (float)hi;
    for (int i = 0; i < n; i += LANES) {
        lanes q = smaller(larger((load(x + i) - m) * inv, low), high) + rounder - rounder;
        for (int l = 0; l < LANES; l++) codes[i + l] = (int8_t)q[l];
    }
}

/* ---- one scale -------------------------------------------------------------------------------
 */

/* The element of largest magnitude, with its sign. */
INLINE float extreme(const float *x, int n)
{
    float top = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(top)) top = x[i];
    return top;
}

INLINE float squares(const float *x, const float *w, int n)
{
    lanes s = {0};
    for (int i = 0; i < n; i += LANES) s += load(w + i) * load(x + i) * load(x + i);
    return total(s);
}

/* Tries d and where its codes lead: `best` gets the scale that suits them, with the error that
 * they have under it, which is never larger than with the codes of that scale. */
INLINE void try_scale(const float *x, const float *w, int n, int lo, int hi, float d,
                      struct quant_fit *best)
{
    struct quant_pass p = pass(x, w, n, d, 0, lo, hi);
    if (!(p.qq > 0)) return;
    float step = p.eq / p.qq, err = p.err - step * p.eq;
    if (err < best->err) *best = (struct quant_fit){d + step, 0, err};
}

EACH_CPU struct quant_fit quant_fit_scale(const float *x, const float *w, int n, int lo, int hi,
                                          const struct quant_effort *effort)
{
    struct quant_fit best = {0, 0, squares(x, w, n)};
    float top = extreme(x, n);
    if (!(best.err > 0)) return best;
    /* The largest element may take either end of the codes; where they are alike, or all on one
     * side, only the upper. */
    int ends[2] = {hi, lo}, n_ends = lo < 0 && lo != -hi ? 2 : 1;
    for (int end = 0; end < n_ends; end++) {
        float code = (float)ends[end], sign = code < 0 ? -1.0f : 1.0f;
        for (int s = -effort->below; s <= effort->above; s++)
            try_scale(x, w, n, lo, hi, top / (code + sign * effort->step * (float)s), &best);
    }
    for (int i = 0; i < effort->refinements; i++) {
        float d = best.d;
        try_scale(x, w, n, lo, hi, d, &best);
        if (best.d == d) break;
    }
    return best;
}

/* ---- scale and minimum ------------------------------------------------------------------------
 */

/* As try_scale, for both. weight: the sum of w. */
INLINE void try_affine(const float *x, const float *w, float weight, int n, int hi, bool below_zero,
                       float d, float m, struct quant_fit *best)
{
    struct quant_pass p = pass(x, w, n, d, m, 0, hi);
    float det = weight * p.qq - p.q * p.q;
    float dd = 0, dm = 0, err = p.err;
    if (det > 0) {
        dd = (weight * p.eq - p.q * p.e) / det;
        dm = (p.qq * p.e - p.q * p.eq) / det;
    }
    if (below_zero && m + dm > 0 && p.qq > 0) {
        dm = -m;
        dd = (p.eq - dm * p.q) / p.qq;
    }
    if (d + dd > 0)
        err += dd * (dd * p.qq - 2 * p.eq) + dm * (dm * weight - 2 * p.e) + 2 * dd * dm * p.q;
    else
        dd = dm = 0;
    if (err < best->err) *best = (struct quant_fit){d + dd, m + dm, err};
}

EACH_CPU struct quant_fit quant_fit_affine(const float *x, const float *w, int n, int hi,
                                           bool below_zero, const struct quant_effort *effort)
{
    float low = x[0], high = x[0], weight = 0;
    for (int i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        weight += w[i];
    }
    if (below_zero && low > 0) low = 0;
    /* All the same, or nothing above a minimum that must not be positive. */
    if (!(high > low)) return (struct quant_fit){0, low, pass(x, w, n, 0, low, 0, hi).err};
    struct quant_fit best = {0, 0, INFINITY};
    for (int s = -effort->below; s <= effort->above; s++)
        try_affine(x, w, weight, n, hi, below_zero,
                   (high - low) / ((float)hi + effort->step * (float)s), low, &best);
    for (int i = 0; i < effort->refinements; i++) {
        struct quant_fit last = best;
        try_affine(x, w, weight, n, hi, below_zero, last.d, last.m, &best);
        if (best.d == last.d && best.m == last.m) break;
    }
    return best;
}

/* ---- before and after -------------------------------------------------------------------------
 */

bool quant_prepare(const float *x, const float *weights, int n, float *w)
{
    /* Scales are halves, so this is what the block formats hold with certainty. */
    const float largest = 65504, floor = 1e-4f;
    for (int i = 0; i < n; i++)
        if (!(fabsf(x[i]) <= largest)) return false;
    double sum = 0;
    if (weights)
        for (int i = 0; i < n; i++) sum += weights[i];
    float scale = (float)(n / sum);
    if (!(sum > 0) || !isfinite(scale) || !isfinite(sum)) scale = 0;
    for (int i = 0; i < n; i++) {
        w[i] = scale > 0 ? weights[i] * scale : 1;
        if (!(w[i] > floor)) w[i] = floor;
    }
    return true;
}

float quant_store_f16(uint8_t dst[2], float f)
{
    uint16_t h = quant_f32_to_f16(f);
    dst[0] = (uint8_t)h;
    dst[1] = (uint8_t)(h >> 8);
    return quant_f16_to_f32(h);
}
