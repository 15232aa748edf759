/* Eight floats at a time for the encoders' searches, in plain C with vector types.
 *
 * Sums are taken in a fixed order and without fused multiply-add, so that every machine writes the
 * same bytes: a compilation for one CPU only does more lanes in one instruction. */
#ifndef HEARTH_QUANT_ENCODE_LANES_H
#define HEARTH_QUANT_ENCODE_LANES_H

#include <math.h>
#ifdef __AVX__
#include <immintrin.h>
#endif

/* aligned(4): rows lie anywhere. */
typedef float lanes __attribute__((vector_size(32)));
typedef float lanes_any __attribute__((vector_size(32), aligned(4), may_alias));
typedef int lanes_mask __attribute__((vector_size(32)));
enum { LANES = 8 };

#define INLINE static inline __attribute__((always_inline))
/* Vectors never cross a real call. */
#pragma GCC diagnostic ignored "-Wpsabi"

INLINE lanes load(const float *p)
{
    return *(const lanes_any *)p;
}

#ifdef __AVX__
INLINE lanes larger(lanes a, lanes b)
{
    return (lanes)_mm256_max_ps((__m256)a, (__m256)b);
}

INLINE lanes smaller(lanes a, lanes b)
{
    return (lanes)_mm256_min_ps((__m256)a, (__m256)b);
}
#else
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
#endif

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

/* The element of largest magnitude, with its sign; n is a multiple of LANES. */
INLINE float extreme(const float *x, int n)
{
    lanes high = load(x), low = high;
    for (int i = LANES; i < n; i += LANES) {
        high = larger(load(x + i), high);
        low = smaller(load(x + i), low);
    }
    float up = high[0], down = low[0];
    for (int l = 1; l < LANES; l++) {
        up = high[l] > up ? high[l] : up;
        down = low[l] < down ? low[l] : down;
    }
    return up > -down ? up : down;
}

/* sum w*x*x; n is a multiple of LANES. */
INLINE float squares(const float *x, const float *w, int n)
{
    lanes s = {0};
    for (int i = 0; i < n; i += LANES) s += load(w + i) * load(x + i) * load(x + i);
    return total(s);
}

#endif
