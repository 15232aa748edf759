/* The 16-lane vector vocabulary of the kernel templates on AVX-512 with VNNI.
 * v_scalar.h documents each operation; results are equal to it bit for bit. */
#ifndef HEARTH_KERN_CPU_V_AVX512_H
#define HEARTH_KERN_CPU_V_AVX512_H

#include <immintrin.h>
#include <stdint.h>

typedef __m512 vf;
typedef __m512i vi;
typedef __m512i vb;

#define V_FULL_OFFSET 128
/* Tiles whose accumulators fit the 32 registers. */
#define V_PANELS 2
#define V_ROWS_MAX 6
#define V_FLOAT_ROWS 8
#define V_FEW_MAX 8
#define V_FEW_ROWS 24
#define V_FEW_LAZY 1

static inline vf vf_zero(void) { return _mm512_setzero_ps(); }
static inline vf vf_set1(float x) { return _mm512_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm512_abs_ps(a); }
static inline vf vf_zero_below(vf r, vf x, float limit)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(limit), _CMP_GE_OQ), r);
}
static inline vf vf_pick(vf x, float limit, vf a, vf b)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(limit), _CMP_GE_OQ), b, a);
}
static inline vf vf_sign(vf a, vf s)
{
    return _mm512_or_ps(vf_abs(a), _mm512_and_ps(s, _mm512_set1_ps(-0.0f)));
}
static inline vf vf_scale2(vf a, vi n)
{
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(n, 23)));
}
static inline vf vf_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
static inline void vf_store_f16(uint16_t *p, vf a)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf vf_load_bf16(const uint16_t *p)
{
    __m512i w = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
}
static inline vf vf_load_u8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
static inline vf vf_load_i8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
/* 2^(e - 128) as the product of two powers, so that the smallest are right too. */
static inline vf vf_load_e8m0_half(const uint8_t *p)
{
    const __m512i bias = _mm512_set1_epi32(127 - 64);
    __m512i e = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    __m512i a = _mm512_srli_epi32(e, 1), b = _mm512_sub_epi32(e, a);
    return _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(a, bias), 23)),
                         _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(b, bias), 23)));
}
static inline vf vf_load_e4m3_half(const uint8_t *p)
{
    __m256i w = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
    return _mm512_mul_ps(_mm512_cvtph_ps(_mm256_slli_epi16(w, 7)), _mm512_set1_ps(128.0f));
}
static inline vf vf_load_lo4(const uint8_t *p)
{
    __m512i w = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm512_cvtepi32_ps(_mm512_and_si512(w, _mm512_set1_epi32(15)));
}
static inline vf vf_load_hi4(const uint8_t *p)
{
    __m512i w = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm512_cvtepi32_ps(_mm512_srli_epi32(w, 4));
}
static inline float vf_hsum(vf a)
{
    __m256 t = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 u = _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
    u = _mm_add_ps(u, _mm_movehl_ps(u, u));
    return _mm_cvtss_f32(_mm_add_ss(u, _mm_shuffle_ps(u, u, 1)));
}
static inline float vf_hmax(vf a)
{
    __m256 t = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 u = _mm_max_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
    u = _mm_max_ps(u, _mm_movehl_ps(u, u));
    return _mm_cvtss_f32(_mm_max_ss(u, _mm_shuffle_ps(u, u, 1)));
}

static inline vi vi_zero(void) { return _mm512_setzero_si512(); }
static inline vi vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
static inline vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
#define vi_shl(a, n) _mm512_slli_epi32(a, n)
static inline vf vi_to_vf(vi a) { return _mm512_cvtepi32_ps(a); }
static inline vi vf_round(vf a) { return _mm512_cvtps_epi32(a); }
static inline int32_t vi_hsum(vi a) { return _mm512_reduce_add_epi32(a); }
static inline void vi_store_i8(int8_t *p, vi a)
{
    _mm_storeu_si128((__m128i *)p, _mm512_cvtsepi32_epi8(a));
}
static inline vi vi_load4(const int8_t *p)
{
    int32_t w;
    __builtin_memcpy(&w, p, 4);
    return _mm512_set1_epi32(w);
}
static inline vi v_dot(vi acc, vb w, vi a) { return _mm512_dpbusd_epi32(acc, w, a); }
static inline vi v_dot_full(vi acc, vb w, vi a) { return _mm512_dpbusd_epi32(acc, w, a); }

static inline vi v_dot16(vi acc, vb w, vi a) { return _mm512_dpwssd_epi32(acc, w, a); }
static inline vb v_pair16(vi low, vi high)
{
    return _mm512_mask_blend_epi16(0xaaaaaaaa, low, _mm512_slli_epi32(high, 16));
}
static inline void vi_store_i16(int16_t *p, vi a)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtsepi32_epi16(a));
}

static inline vb vb_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
static inline void vb_store(uint8_t *p, vb a) { _mm512_storeu_si512(p, a); }
static inline vb vb_set1(uint8_t x) { return _mm512_set1_epi8((char)x); }
static inline vb vb_set16(uint16_t x) { return _mm512_set1_epi16((short)x); }
static inline vb vb_max16(vb a, vb b) { return _mm512_max_epu16(a, b); }
static inline vb vb_and(vb a, vb b) { return _mm512_and_si512(a, b); }
static inline vb vb_or(vb a, vb b) { return _mm512_or_si512(a, b); }
static inline vb vb_table(const uint8_t *p)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p));
}
static inline vb vb_lookup(vb table, vb i) { return _mm512_shuffle_epi8(table, i); }
#define vb_shr(a, n) _mm512_srli_epi16(a, n)
#define vb_shl(a, n) _mm512_slli_epi16(a, n)

#endif
