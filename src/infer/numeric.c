/* Exponentials for probabilities: deterministic, and written so that compilers vectorize them. */
#include <math.h>
#include <string.h>

#include "infer/infer_int.h"

/* exp(x) = 2^k * exp(r), k = round(x / ln 2), |r| <= ln 2 / 2: Cody and Waite's reduction (ln 2 in
 * two parts, the first exact when multiplied by k) and the Taylor series to degree 13. */
static inline double exp_nonpositive(double x)
{
    const double shift = 0x1.8p52; /* adding it rounds to an integer, left in the low bits */
    const double ln2_hi = 0x1.62e42fee00000p-1, ln2_lo = 0x1.a39ef35793c76p-33;
    double keep = x >= -708.0 ? 1.0 : 0.0;
    x = x >= -708.0 ? x : -708.0;
    double t = x * 0x1.71547652b82fep0 + shift;
    double k = t - shift;
    double r = (x - k * ln2_hi) - k * ln2_lo;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    uint64_t bits;
    double scale;
    memcpy(&bits, &t, sizeof bits);
    bits = (bits + 1023) << 52;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale * keep;
}

double infer_exp(double x)
{
    return exp_nonpositive(x);
}

enum { LANES = 8 };

double infer_sum_exp(const float *x, size_t n, float max)
{
    double acc[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            acc[j] += exp_nonpositive((double)x[i + j] - (double)max);
    for (size_t j = 0; i < n; i++, j++) acc[j] += exp_nonpositive((double)x[i] - (double)max);
    return ((acc[0] + acc[4]) + (acc[1] + acc[5])) + ((acc[2] + acc[6]) + (acc[3] + acc[7]));
}

float infer_max(const float *x, size_t n)
{
    float best[2 * LANES];
    for (size_t j = 0; j < 2 * LANES; j++) best[j] = -INFINITY;
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES)
        for (size_t j = 0; j < 2 * LANES; j++) best[j] = x[i + j] > best[j] ? x[i + j] : best[j];
    for (; i < n; i++) best[0] = x[i] > best[0] ? x[i] : best[0];
    for (size_t j = 1; j < 2 * LANES; j++) best[0] = best[j] > best[0] ? best[j] : best[0];
    return best[0];
}

/* What one token adds. */
static inline double divergence_term(double log_p, double log_q)
{
    double p = exp_nonpositive(log_p);
    return p > 0 ? p * (log_p - log_q) : 0;
}

double infer_divergence(const float *a, double lse_a, const float *b, double lse_b, size_t n)
{
    double acc[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            acc[j] += divergence_term((double)a[i + j] - lse_a, (double)b[i + j] - lse_b);
    for (size_t j = 0; i < n; i++, j++)
        acc[j] += divergence_term((double)a[i] - lse_a, (double)b[i] - lse_b);
    return ((acc[0] + acc[4]) + (acc[1] + acc[5])) + ((acc[2] + acc[6]) + (acc[3] + acc[7]));
}
