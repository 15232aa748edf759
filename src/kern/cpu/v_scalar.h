/* The 16-lane vector vocabulary of the kernel templates in plain C: the reference that the other
 * instruction sets are compared with.
 *
 * A vector has 16 lanes of 32 bits: vf floats, vi integers, vb four bytes a lane (lane r holds the
 * four weights of matrix row r). Without V_FUSED the multiply-add rounds twice, which SSE2 does at
 * speed but which differs in the last bits from all others. */
#ifndef HEARTH_KERN_CPU_V_SCALAR_H
#define HEARTH_KERN_CPU_V_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "quant/quant.h"

typedef struct { float v[16]; } vf;
typedef struct { int32_t v[16]; } vi;
typedef struct { uint8_t v[64]; } vb;

/* What v_dot_full takes off each weight of eight bits: callers that mean w - 128 start their sums at
 * -V_FULL_OFFSET times the sum of the activations. */
#define V_FULL_OFFSET 0
/* Panels and rows of an integer tile, rows of a float tile; rows of one call straight from the panels,
 * and the most that are done in such calls; whether those take a block of weights apart piece by piece
 * (see gemv_tmpl.h). */
#define V_PANELS 1
#define V_ROWS_MAX 1
#define V_FLOAT_ROWS 1
#define V_FEW_MAX 1
#define V_FEW_ROWS 1
#define V_FEW_LAZY 0

#define V_EACH for (int l = 0; l < 16; l++)
#define V_MAP(type, expr)                                                                          \
    type r;                                                                                        \
    V_EACH r.v[l] = (expr);                                                                        \
    return r

static inline vf vf_zero(void) { V_MAP(vf, 0.0f); }
static inline vf vf_set1(float x) { V_MAP(vf, x); }
static inline vf vf_load(const float *p) { V_MAP(vf, p[l]); }
static inline void vf_store(float *p, vf a) { memcpy(p, a.v, sizeof a.v); }
static inline vf vf_add(vf a, vf b) { V_MAP(vf, a.v[l] + b.v[l]); }
static inline vf vf_sub(vf a, vf b) { V_MAP(vf, a.v[l] - b.v[l]); }
static inline vf vf_mul(vf a, vf b) { V_MAP(vf, a.v[l] * b.v[l]); }
static inline vf vf_div(vf a, vf b) { V_MAP(vf, a.v[l] / b.v[l]); }
#ifdef V_FUSED
static inline vf vf_fma(vf a, vf b, vf c) { V_MAP(vf, fmaf(a.v[l], b.v[l], c.v[l])); }
#else
static inline vf vf_fma(vf a, vf b, vf c) { V_MAP(vf, a.v[l] * b.v[l] + c.v[l]); }
#endif
/* The second operand where either is NaN, as maxps and minps have it. */
static inline vf vf_max(vf a, vf b) { V_MAP(vf, a.v[l] > b.v[l] ? a.v[l] : b.v[l]); }
static inline vf vf_min(vf a, vf b) { V_MAP(vf, a.v[l] < b.v[l] ? a.v[l] : b.v[l]); }
static inline vf vf_abs(vf a) { V_MAP(vf, fabsf(a.v[l])); }
/* r where x >= limit, else 0. */
static inline vf vf_zero_below(vf r0, vf x, float limit) { V_MAP(vf, x.v[l] >= limit ? r0.v[l] : 0.0f); }
/* a where x >= limit, else b. */
static inline vf vf_pick(vf x, float limit, vf a, vf b) { V_MAP(vf, x.v[l] >= limit ? a.v[l] : b.v[l]); }
/* The magnitude of a with the sign of s. */
static inline vf vf_sign(vf a, vf s) { V_MAP(vf, copysignf(a.v[l], s.v[l])); }
/* a * 2^n for results in the normal range. */
static inline vf vf_scale2(vf a, vi n)
{
    vf r;
    V_EACH
    {
        uint32_t u;
        memcpy(&u, &a.v[l], 4);
        u += (uint32_t)n.v[l] << 23;
        memcpy(&r.v[l], &u, 4);
    }
    return r;
}
static inline vf vf_load_f16(const uint16_t *p) { V_MAP(vf, quant_f16_to_f32(p[l])); }
static inline void vf_store_f16(uint16_t *p, vf a) { V_EACH p[l] = quant_f32_to_f16(a.v[l]); }
static inline vf vf_load_bf16(const uint16_t *p) { V_MAP(vf, quant_bf16_to_f32(p[l])); }
static inline vf vf_load_u8(const uint8_t *p) { V_MAP(vf, (float)p[l]); }
static inline vf vf_load_i8(const uint8_t *p) { V_MAP(vf, (float)(int8_t)p[l]); }
/* Scales of the FP4 types, halved: quant_e8m0_half_to_f32, and quant_e4m3_half_to_f32 of bytes below
 * 127. */
static inline vf vf_load_e8m0_half(const uint8_t *p) { V_MAP(vf, quant_e8m0_half_to_f32(p[l])); }
static inline vf vf_load_e4m3_half(const uint8_t *p)
{
    V_MAP(vf, quant_f16_to_f32((uint16_t)(p[l] << 7)) * 128.0f);
}
/* The low or high four bits of 16 bytes. */
static inline vf vf_load_lo4(const uint8_t *p) { V_MAP(vf, (float)(p[l] & 15)); }
static inline vf vf_load_hi4(const uint8_t *p) { V_MAP(vf, (float)(p[l] >> 4)); }
/* Lanes i and i+8, then i+4, i+2, i+1. */
static inline float vf_hsum(vf a)
{
    for (int n = 8; n > 0; n /= 2)
        for (int i = 0; i < n; i++) a.v[i] += a.v[i + n];
    return a.v[0];
}
static inline float vf_hmax(vf a)
{
    for (int n = 8; n > 0; n /= 2)
        for (int i = 0; i < n; i++) a.v[i] = a.v[i] > a.v[i + n] ? a.v[i] : a.v[i + n];
    return a.v[0];
}

static inline vi vi_zero(void) { V_MAP(vi, 0); }
static inline vi vi_set1(int32_t x) { V_MAP(vi, x); }
static inline vi vi_add(vi a, vi b) { V_MAP(vi, a.v[l] + b.v[l]); }
static inline vi vi_shl(vi a, int n) { V_MAP(vi, (int32_t)((uint32_t)a.v[l] << n)); }
static inline vf vi_to_vf(vi a) { V_MAP(vf, (float)a.v[l]); }
/* To nearest, ties to even; |a| < 2^31. */
static inline vi vf_round(vf a) { V_MAP(vi, (int32_t)lrintf(a.v[l])); }
static inline int32_t vi_hsum(vi a)
{
    int32_t s = 0;
    V_EACH s += a.v[l];
    return s;
}
/* 16 values within -128..127 as bytes. */
static inline void vi_store_i8(int8_t *p, vi a) { V_EACH p[l] = (int8_t)a.v[l]; }
/* The same four bytes in all lanes. */
static inline vi vi_load4(const int8_t *p)
{
    int32_t w;
    memcpy(&w, p, 4);
    V_MAP(vi, w);
}
/* acc + sum of 4 products of unsigned weights (at most 127) and signed activations a lane. */
static inline vi v_dot(vi acc, vb w, vi a)
{
    int8_t q[4];
    memcpy(q, &a.v[0], 4);
    V_EACH acc.v[l] += w.v[4 * l] * q[0] + w.v[4 * l + 1] * q[1] + w.v[4 * l + 2] * q[2] +
                       w.v[4 * l + 3] * q[3];
    return acc;
}
/* The same for weights of all eight bits, which stand for w - 128 + V_FULL_OFFSET. */
static inline vi v_dot_full(vi acc, vb w, vi a)
{
    int8_t q[4];
    memcpy(q, &a.v[0], 4);
    V_EACH for (int i = 0; i < 4; i++) acc.v[l] += ((int)w.v[4 * l + i] - 128) * q[i];
    return acc;
}

/* acc + sum of 2 products of int16 a lane. */
static inline vi v_dot16(vi acc, vb w, vi a)
{
    int16_t q[2], x[32];
    memcpy(q, &a.v[0], 4);
    memcpy(x, w.v, sizeof x);
    V_EACH acc.v[l] += x[2 * l] * q[0] + x[2 * l + 1] * q[1];
    return acc;
}
/* The low halves of two vectors of int16, `low` first. */
static inline vb v_pair16(vi low, vi high)
{
    vb r;
    V_EACH
    {
        uint32_t u = ((uint32_t)low.v[l] & 0xffff) | (uint32_t)high.v[l] << 16;
        memcpy(r.v + 4 * l, &u, 4);
    }
    return r;
}
/* 16 values within -32768..32767. */
static inline void vi_store_i16(int16_t *p, vi a) { V_EACH p[l] = (int16_t)a.v[l]; }

static inline vb vb_load(const uint8_t *p)
{
    vb r;
    memcpy(r.v, p, 64);
    return r;
}
static inline void vb_store(uint8_t *p, vb a) { memcpy(p, a.v, 64); }
static inline vb vb_set1(uint8_t x)
{
    vb r;
    memset(r.v, x, 64);
    return r;
}
/* 32 unsigned integers of 16 bits. */
static inline vb vb_set16(uint16_t x)
{
    vb r;
    for (int i = 0; i < 32; i++) memcpy(r.v + 2 * i, &x, 2);
    return r;
}
static inline vb vb_max16(vb a, vb b)
{
    uint16_t x[32], y[32];
    memcpy(x, a.v, 64);
    memcpy(y, b.v, 64);
    for (int i = 0; i < 32; i++) x[i] = x[i] > y[i] ? x[i] : y[i];
    memcpy(a.v, x, 64);
    return a;
}
static inline vb vb_and(vb a, vb b)
{
    for (int i = 0; i < 64; i++) a.v[i] &= b.v[i];
    return a;
}
static inline vb vb_or(vb a, vb b)
{
    for (int i = 0; i < 64; i++) a.v[i] |= b.v[i];
    return a;
}
/* 16 bytes, and in place of each byte of i, at most 15, the one of them that it numbers. */
static inline vb vb_table(const uint8_t *p)
{
    vb r;
    for (int i = 0; i < 64; i += 16) memcpy(r.v + i, p, 16);
    return r;
}
static inline vb vb_lookup(vb table, vb i)
{
    for (int k = 0; k < 64; k++) i.v[k] = table.v[i.v[k]];
    return i;
}
/* Shifts of each byte; bits that cross into a neighbour are unspecified and must be masked off. */
static inline vb vb_shr(vb a, int n)
{
    for (int i = 0; i < 64; i++) a.v[i] = (uint8_t)(a.v[i] >> n);
    return a;
}
static inline vb vb_shl(vb a, int n)
{
    for (int i = 0; i < 64; i++) a.v[i] = (uint8_t)(a.v[i] << n);
    return a;
}

#endif
