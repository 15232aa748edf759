/* What comes before a search and after it, and which compilation of the search this CPU runs. */
#include <math.h>

#include "quant/encode_int.h"

const struct quant_search *quant_search(void)
{
#ifdef HAVE_QUANT_SEARCH_AVX2
    if (__builtin_cpu_supports("avx2")) return &quant_search_avx2;
#endif
    return &quant_search_base;
}

static bool encodable(const float *x, int n)
{
    /* Scales are halves, so this is what the block formats hold with certainty. */
    const float largest = 65504;
    int bad = 0;
    for (int i = 0; i < n; i++) bad |= !(fabsf(x[i]) <= largest);
    return !bad;
}

/* sum / n of the values, 0 where there is none that is of use. */
static float mean(const float *v, int n, bool squared)
{
    /* Eight chains, so that the compiler may do them at once. */
    float sum[8] = {0};
    for (int i = 0; i < n; i += 8)
        for (int l = 0; l < 8; l++) sum[l] += squared ? v[i + l] * v[i + l] : v[i + l];
    float all = 0;
    for (int l = 0; l < 8; l++) all += sum[l];
    return isfinite(all) && all / (float)n > 1e-30f ? all / (float)n : 0;
}

bool quant_prepare(const float *x, const float *weights, int n, float *w)
{
    const float least = 1e-4f;
    if (!encodable(x, n)) return false;
    float weight = weights ? mean(weights, n, false) : 0, by_weight = weight > 0 ? 1 / weight : 0;
    if (by_weight > 0 && isfinite(by_weight)) {
        for (int i = 0; i < n; i++) {
            float v = weights[i] * by_weight;
            w[i] = v > least ? v : least;
        }
        return true;
    }
    float square = mean(x, n, true), by_square = square > 0 ? 1 / square : 0;
    for (int i = 0; i < n; i++) w[i] = sqrtf(1 + x[i] * x[i] * by_square);
    return true;
}

float quant_store_f16(uint8_t dst[2], float f)
{
    /* A best scale or minimum may lie a little beyond the largest element. */
    const float largest = 65504;
    f = f > largest ? largest : f < -largest ? -largest : f;
    uint16_t h = quant_f32_to_f16(f);
    dst[0] = (uint8_t)h;
    dst[1] = (uint8_t)(h >> 8);
    return quant_f16_to_f32(h);
}
