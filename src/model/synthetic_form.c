/* Random blocks of every tensor type. All bits are random but those that say how large the values
 * are; which factor gives the wanted size is found by decoding a sample. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "model/synthetic_int.h"
#include "quant/blocks.h"

#define SCALE(block) offsetof(struct block, d), -1
#define SCALE_AND_MIN(block, min, ratio)                                                           \
    offsetof(struct block, d), offsetof(struct block, min), ratio

#define BYTE_SCALES(block, member, n, max, decode)                                                 \
    offsetof(struct block, member), -1, .n_byte_scales = n, .max_byte_scale = max,                 \
                                        .byte_scale = decode

/* The top four bits of each two bytes of scales, the half's lowest first. */
static void put_iq1_m(uint8_t *block, uint16_t half)
{
    uint8_t *scales = ((struct block_iq1_m *)block)->scales;
    for (int k = 0; k < 4; k++)
        scales[2 * k + 1] = (uint8_t)((scales[2 * k + 1] & 15) | (half >> 4 * k & 15) << 4);
}

static const struct synthetic_form forms[] = {
    {QUANT_F32, 0, QUANT_F32, QUANT_F32, -1, -1, .exponent_at = 23, .exponent_bias = 127,
     .keep = 0x807fffff807fffff},
    {QUANT_F16, 1, QUANT_F16, QUANT_F16, -1, -1, .exponent_at = 10, .exponent_bias = 15,
     .keep = 0x83ff83ff83ff83ff},
    {QUANT_BF16, 32, QUANT_BF16, QUANT_BF16, -1, -1, .exponent_at = 7, .exponent_bias = 127,
     .keep = 0x807f807f807f807f},
    {QUANT_Q4_0, 2, QUANT_Q6_K, QUANT_Q4_0, SCALE(block_q4_0)},
    {QUANT_Q4_1, 3, QUANT_Q6_K, QUANT_Q4_1, SCALE_AND_MIN(block_q4_1, m, -7.5f)},
    {QUANT_Q5_0, 8, QUANT_Q6_K, QUANT_Q5_0, SCALE(block_q5_0)},
    {QUANT_Q5_1, 9, QUANT_Q6_K, QUANT_Q5_1, SCALE_AND_MIN(block_q5_1, m, -15.5f)},
    {QUANT_Q8_0, 7, QUANT_Q8_0, QUANT_Q8_0, SCALE(block_q8_0)},
    {QUANT_Q2_K, 10, QUANT_Q6_K, QUANT_Q4_0, SCALE_AND_MIN(block_q2_k, dmin, 1.5f)},
    {QUANT_Q3_K, 11, QUANT_Q6_K, QUANT_Q4_0, SCALE(block_q3_k)},
    {QUANT_Q4_K, 14, QUANT_Q6_K, QUANT_Q5_0, SCALE_AND_MIN(block_q4_k, dmin, 7.5f)},
    {QUANT_Q5_K, 16, QUANT_Q6_K, QUANT_Q5_1, SCALE_AND_MIN(block_q5_k, dmin, 15.5f)},
    {QUANT_Q6_K, 18, QUANT_Q6_K, QUANT_Q8_0, SCALE(block_q6_k)},
    {QUANT_IQ1_S, 24, QUANT_Q6_K, QUANT_IQ4_NL, SCALE(block_iq1_s)},
    {QUANT_IQ1_M, 31, QUANT_Q6_K, QUANT_IQ4_NL, offsetof(struct block_iq1_m, scales), -1,
     .put_half = put_iq1_m},
    {QUANT_IQ2_XXS, 19, QUANT_Q6_K, QUANT_IQ4_NL, SCALE(block_iq2_xxs)},
    {QUANT_IQ2_XS, 20, QUANT_Q6_K, QUANT_IQ4_NL, SCALE(block_iq2_xs)},
    {QUANT_IQ2_S, 28, QUANT_Q6_K, QUANT_IQ4_NL, SCALE(block_iq2_s)},
    {QUANT_IQ3_XXS, 23, QUANT_Q6_K, QUANT_IQ4_NL, SCALE(block_iq3_xxs)},
    {QUANT_IQ3_S, 26, QUANT_Q6_K, QUANT_IQ4_NL, SCALE(block_iq3_s)},
    {QUANT_IQ4_NL, 25, QUANT_Q6_K, QUANT_IQ4_NL, SCALE(block_iq4_nl)},
    {QUANT_IQ4_XS, 30, QUANT_Q6_K, QUANT_IQ4_NL, SCALE(block_iq4_xs)},
    {QUANT_TQ1_0, 36, QUANT_Q6_K, QUANT_Q4_0, SCALE(block_tq1_0)},
    {QUANT_TQ2_0, 37, QUANT_Q6_K, QUANT_Q4_0, SCALE(block_tq2_0)},
    {QUANT_MXFP4, 38, QUANT_Q6_K, QUANT_MXFP4,
     BYTE_SCALES(block_mxfp4, e, 1, 255, quant_e8m0_half_to_f32)},
    {QUANT_NVFP4, 39, QUANT_Q6_K, QUANT_MXFP4,
     BYTE_SCALES(block_nvfp4, d, 4, 126, quant_e4m3_half_to_f32)},
    {QUANT_Q1_0, 40, QUANT_Q6_K, QUANT_Q4_0, SCALE(block_q1_0)},
    {QUANT_Q2_0, 41, QUANT_Q6_K, QUANT_Q4_0, SCALE(block_q2_0)},
};
#define N_FORMS (sizeof forms / sizeof *forms)

enum { SAMPLE_BYTES = 8192, SAMPLE_SEED = 1 };

const struct synthetic_form *synthetic_form_find(uint32_t type)
{
    for (size_t i = 0; i < N_FORMS; i++)
        if (forms[i].type == type) return &forms[i];
    return NULL;
}

const struct synthetic_form *synthetic_form_named(const char *name)
{
    for (size_t i = 0; i < N_FORMS; i++)
        if (strcasecmp(quant_find(forms[i].type)->name, name) == 0) return &forms[i];
    return NULL;
}

const char *synthetic_form_names(char *dst, size_t cap)
{
    size_t at = 0;
    dst[0] = 0;
    for (size_t i = 0; i < N_FORMS && at < cap; i++)
        at += (size_t)snprintf(dst + at, cap - at, "%s%s", i ? ", " : "",
                               quant_find(forms[i].type)->name);
    return dst;
}

const struct synthetic_form *synthetic_form_for(const struct synthetic_form *f, uint64_t n_cols)
{
    return n_cols % quant_find(f->type)->block_elems ? synthetic_form_find(f->small) : f;
}

/* Steele et al. 2014, "Fast splittable pseudorandom number generators". */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void fill_bits(uint64_t seed, uint64_t keep, uint64_t set, uint8_t *dst, size_t n)
{
    uint64_t state = mix(seed);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t r = (mix(state += 0x9e3779b97f4a7c15u) & keep) | set;
        memcpy(dst + i, &r, sizeof r);
    }
}

static void store_half(uint8_t *dst, float value)
{
    uint16_t h = quant_f32_to_f16(value);
    dst[0] = (uint8_t)h;
    dst[1] = (uint8_t)(h >> 8);
}

/* Some blocks get the next smaller scale, the others the next larger, so many of each that the mean
 * of the squares is right. */
static void set_byte_scales(const struct synthetic_form *f, float scale, uint64_t seed,
                            uint8_t *dst, size_t n_blocks)
{
    size_t block_bytes = quant_find(f->type)->block_bytes;
    uint8_t low = 0;
    while (low + 1 < f->max_byte_scale && f->byte_scale((uint8_t)(low + 1)) <= scale) low++;
    double a = (double)f->byte_scale(low), b = (double)f->byte_scale((uint8_t)(low + 1));
    double share = ((double)scale * (double)scale - a * a) / (b * b - a * a);
    uint32_t limit = (uint32_t)(fmin(fmax(share, 0), 1) * UINT32_MAX);
    for (size_t i = 0; i < n_blocks; i++, dst += block_bytes)
        for (unsigned k = 0; k < f->n_byte_scales; k++)
            dst[f->scale_at + (int)k] =
                (uint8_t)(low + (mix(seed ^ (i * f->n_byte_scales + k) << 1) >> 32 < limit));
}

/* Types without a minimum count from a little below their middle: a scale of either sign keeps that
 * from adding up. */
static void set_scales(const struct synthetic_form *f, float scale, uint64_t seed, uint8_t *dst,
                       size_t n_blocks)
{
    if (f->byte_scale) {
        set_byte_scales(f, scale, seed, dst, n_blocks);
        return;
    }
    size_t block_bytes = quant_find(f->type)->block_bytes;
    bool symmetric = f->min_at < 0;
    for (size_t i = 0; i < n_blocks; i++, dst += block_bytes) {
        float s = symmetric && mix(seed ^ (i << 1 | 1)) >> 63 ? -scale : scale;
        if (f->put_half)
            f->put_half(dst, quant_f32_to_f16(s));
        else
            store_half(dst + f->scale_at, s);
        if (!symmetric) store_half(dst + f->min_at, s * f->min_ratio);
    }
}

static void fill_floats(const struct synthetic_form *f, double deviation, uint64_t seed,
                        uint8_t *dst, size_t bytes)
{
    /* A mantissa between 1 and 2 with either sign has a deviation of sqrt(7/3). */
    int exponent = (int)lround(log2(deviation / sqrt(7.0 / 3.0))) + f->exponent_bias;
    uint64_t set = (uint64_t)(exponent < 1 ? 1 : exponent) << f->exponent_at;
    set |= f->exponent_at == 23 ? set << 32 : set << 16 | set << 32 | set << 48;
    fill_bits(seed, f->keep, set, dst, bytes);
}

/* Deviation of the form's values where the scale is 1. */
static double unit_deviation(const struct synthetic_form *f)
{
    const struct quant_traits *q = quant_find(f->type);
    uint8_t blocks[SAMPLE_BYTES + 8];
    float values[QUANT_SUPER_BLOCK];
    size_t n = SAMPLE_BYTES / q->block_bytes;
    double sum = 0;
    fill_bits(SAMPLE_SEED, ~(uint64_t)0, 0, blocks, n * q->block_bytes);
    set_scales(f, 1, SAMPLE_SEED, blocks, n);
    for (size_t i = 0; i < n; i++) {
        q->decode(blocks + i * q->block_bytes, values, 1);
        for (uint32_t k = 0; k < q->block_elems; k++) sum += (double)values[k] * (double)values[k];
    }
    return sqrt(sum / (double)(n * q->block_elems));
}

void synthetic_form_fill(const struct synthetic_form *f, double deviation, uint64_t seed, void *dst,
                         size_t n_blocks)
{
    size_t bytes = n_blocks * quant_find(f->type)->block_bytes;
    if (f->scale_at < 0) {
        fill_floats(f, deviation, seed, dst, bytes);
        return;
    }
    fill_bits(seed, ~(uint64_t)0, 0, dst, bytes);
    set_scales(f, (float)(deviation / unit_deviation(f)), seed, dst, n_blocks);
}
