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

/* Weights where none are given. */
#define EIGHT      1, 1, 1, 1, 1, 1, 1, 1
#define SIXTY_FOUR EIGHT, EIGHT, EIGHT, EIGHT, EIGHT, EIGHT, EIGHT, EIGHT
static const float ones[QUANT_SUPER_BLOCK] = {SIXTY_FOUR, SIXTY_FOUR, SIXTY_FOUR, SIXTY_FOUR};

static bool encodable(const float *x, int n)
{
    /* Scales are halves, so this is what the block formats hold with certainty. */
    const float largest = 65504;
    int bad = 0;
    for (int i = 0; i < n; i++) bad |= !(fabsf(x[i]) <= largest);
    return !bad;
}

const float *quant_prepare(const float *x, const float *weights, int n, float *w)
{
    const float least = 1e-4f;
    double sum = 0;
    if (!encodable(x, n)) return NULL;
    if (!weights) return ones;
    for (int i = 0; i < n; i++) sum += (double)weights[i];
    float scale = (float)(n / sum);
    if (!(sum > 0) || !isfinite(scale) || !isfinite(sum)) return ones;
    for (int i = 0; i < n; i++) {
        float v = weights[i] * scale;
        w[i] = v > least ? v : least;
    }
    return w;
}

float quant_store_f16(uint8_t dst[2], float f)
{
    uint16_t h = quant_f32_to_f16(f);
    dst[0] = (uint8_t)h;
    dst[1] = (uint8_t)(h >> 8);
    return quant_f16_to_f32(h);
}
