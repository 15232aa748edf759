/* Eight floats at a time for the encoders' searches, in plain C with vector types.
 *
 * Sums are taken in a fixed order and without fused multiply-add, so that every machine writes the
 * same bytes: the clones of EACH_CPU only do more lanes in one instruction. Private to encode_*.c.
 */
#ifndef HEARTH_QUANT_ENCODE_LANES_H
#define HEARTH_QUANT_ENCODE_LANES_H

#include <math.h>

/* aligned(4): rows lie anywhere. */
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

/* The element of largest magnitude, with its sign. */
INLINE float extreme(const float *x, int n)
{
    float top = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(top)) top = x[i];
    return top;
}

/* sum w*x*x; n is a multiple of LANES. */
INLINE float squares(const float *x, const float *w, int n)
{
    lanes s = {0};
    for (int i = 0; i < n; i += LANES) s += load(w + i) * load(x + i) * load(x + i);
    return total(s);
}

#endif
