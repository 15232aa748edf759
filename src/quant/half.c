#include <string.h>

#include "quant/quant.h"

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t to_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

enum {
    F16_EXP_MASK = 0x7c00,
    F32_EXP_REBIAS = (127 - 15) << 23,
    F32_QUIET = 1 << 22,
};

/* A signalling NaN becomes a quiet one, as the CPUs' own conversion has it. */
float quant_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t magnitude = h & 0x7fff;
    if (magnitude < 0x0400) {
        float f = (float)magnitude * 0x1p-24f;
        return from_bits(sign | to_bits(f));
    }
    uint32_t bits = (magnitude << 13) + F32_EXP_REBIAS;
    if (magnitude >= F16_EXP_MASK) bits += F32_EXP_REBIAS;
    if (magnitude > F16_EXP_MASK) bits |= F32_QUIET;
    return from_bits(sign | bits);
}

uint16_t quant_f32_to_f16(float f)
{
    const uint32_t inf = 0x7f800000, past_largest = 0x477ff000, smallest_normal = 0x38800000;
    uint32_t bits = to_bits(f);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t a = bits & 0x7fffffff;
    uint32_t h;
    if (a > inf) {
        h = F16_EXP_MASK | 0x0200 | (a >> 13 & 0x03ff);
    } else if (a >= past_largest) {
        h = F16_EXP_MASK;
    } else if (a < smallest_normal) {
        /* One unit in the last place of a float near 0.5 is 2^-24, the half's subnormal step: the
         * addition itself rounds to nearest even. */
        h = to_bits(from_bits(a) + 0.5f) - to_bits(0.5f);
    } else {
        h = (a - F32_EXP_REBIAS + 0x0fff + (a >> 13 & 1)) >> 13;
    }
    return (uint16_t)(sign | h);
}

float quant_bf16_to_f32(uint16_t b)
{
    return from_bits((uint32_t)b << 16);
}

uint16_t quant_f32_to_bf16(float f)
{
    uint32_t bits = to_bits(f);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x0040);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float quant_e8m0_half_to_f32(uint8_t e)
{
    return from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

/* The same bits as a half, whose bias is 15, are 2^-8 times the value. */
float quant_e4m3_half_to_f32(uint8_t e)
{
    if (e == 0x7f) return 0;
    return quant_f16_to_f32((uint16_t)((e & 0x7f) << 7)) * 0x1p7f;
}
