/* The 16-lane vector vocabulary of the kernel templates on AVX2 with FMA and F16C; with V_VNNI the
 * dot product is AVX-VNNI's. v_scalar.h documents each operation; results are equal to it bit for
 * bit. */
#ifndef HEARTH_KERN_CPU_V_AVX2_H
#define HEARTH_KERN_CPU_V_AVX2_H

#include <immintrin.h>
#include <stdint.h>

typedef struct { __m256 a, b; } vf;
typedef struct { __m256i a, b; } vi;
typedef struct { __m256i a, b; } vb;

/* Tiles whose accumulators nearly fit the 16 registers. */
#define V_PANELS 1
#define V_ROWS_MAX 4
#define V_FLOAT_ROWS 4
#define V_FEW_MAX 4
#define V_FEW_ROWS 8
#define V_FEW_LAZY 0

#define VF2(expr_a, expr_b) ((vf){expr_a, expr_b})
static inline vf vf_zero(void) { return VF2(_mm256_setzero_ps(), _mm256_setzero_ps()); }
static inline vf vf_set1(float x) { return VF2(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
static inline vf vf_load(const float *p) { return VF2(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
static inline void vf_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
static inline vf vf_add(vf x, vf y) { return VF2(_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)); }
static inline vf vf_sub(vf x, vf y) { return VF2(_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)); }
static inline vf vf_mul(vf x, vf y) { return VF2(_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)); }
static inline vf vf_div(vf x, vf y) { return VF2(_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)); }
static inline vf vf_fma(vf x, vf y, vf z)
{
    return VF2(_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b));
}
static inline vf vf_max(vf x, vf y) { return VF2(_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)); }
static inline vf vf_min(vf x, vf y) { return VF2(_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)); }
static inline vf vf_abs(vf x)
{
    const __m256 m = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    return VF2(_mm256_and_ps(x.a, m), _mm256_and_ps(x.b, m));
}
static inline vf vf_zero_below(vf r, vf x, float limit)
{
    const __m256 l = _mm256_set1_ps(limit);
    return VF2(_mm256_and_ps(r.a, _mm256_cmp_ps(x.a, l, _CMP_GE_OQ)),
               _mm256_and_ps(r.b, _mm256_cmp_ps(x.b, l, _CMP_GE_OQ)));
}
static inline vf vf_pick(vf x, float limit, vf a, vf b)
{
    const __m256 l = _mm256_set1_ps(limit);
    return VF2(_mm256_blendv_ps(b.a, a.a, _mm256_cmp_ps(x.a, l, _CMP_GE_OQ)),
               _mm256_blendv_ps(b.b, a.b, _mm256_cmp_ps(x.b, l, _CMP_GE_OQ)));
}
static inline vf vf_sign(vf x, vf s)
{
    const __m256 m = _mm256_set1_ps(-0.0f);
    return VF2(_mm256_or_ps(_mm256_andnot_ps(m, x.a), _mm256_and_ps(m, s.a)),
               _mm256_or_ps(_mm256_andnot_ps(m, x.b), _mm256_and_ps(m, s.b)));
}
static inline vf vf_scale2(vf x, vi n)
{
    return VF2(_mm256_castsi256_ps(
                   _mm256_add_epi32(_mm256_castps_si256(x.a), _mm256_slli_epi32(n.a, 23))),
               _mm256_castsi256_ps(
                   _mm256_add_epi32(_mm256_castps_si256(x.b), _mm256_slli_epi32(n.b, 23))));
}
static inline vf vf_load_f16(const uint16_t *p)
{
    return VF2(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
               _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8))));
}
static inline void vf_store_f16(uint16_t *p, vf x)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
static inline __m256 vf_half_bf16(const uint16_t *p)
{
    __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(w, 16));
}
static inline vf vf_load_bf16(const uint16_t *p)
{
    return VF2(vf_half_bf16(p), vf_half_bf16(p + 8));
}
static inline vf vf_load_u8(const uint8_t *p)
{
    return VF2(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p))),
               _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8)))));
}
static inline vf vf_load_i8(const uint8_t *p)
{
    return VF2(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p))),
               _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8)))));
}
static inline __m256i v_widen8(const uint8_t *p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
/* 2^(e - 128) as the product of two powers, so that the smallest are right too. */
static inline __m256 v_half_e8m0(const uint8_t *p)
{
    const __m256i bias = _mm256_set1_epi32(127 - 64);
    __m256i e = v_widen8(p), a = _mm256_srli_epi32(e, 1), b = _mm256_sub_epi32(e, a);
    return _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(a, bias), 23)),
                         _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(b, bias), 23)));
}
static inline vf vf_load_e8m0_half(const uint8_t *p)
{
    return VF2(v_half_e8m0(p), v_half_e8m0(p + 8));
}
static inline __m256 v_half_e4m3(const uint8_t *p)
{
    __m128i w = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)p));
    return _mm256_mul_ps(_mm256_cvtph_ps(_mm_slli_epi16(w, 7)), _mm256_set1_ps(128.0f));
}
static inline vf vf_load_e4m3_half(const uint8_t *p)
{
    return VF2(v_half_e4m3(p), v_half_e4m3(p + 8));
}
static inline vf vf_load_lo4(const uint8_t *p)
{
    const __m256i m = _mm256_set1_epi32(15);
    return VF2(_mm256_cvtepi32_ps(_mm256_and_si256(v_widen8(p), m)),
               _mm256_cvtepi32_ps(_mm256_and_si256(v_widen8(p + 8), m)));
}
static inline vf vf_load_hi4(const uint8_t *p)
{
    return VF2(_mm256_cvtepi32_ps(_mm256_srli_epi32(v_widen8(p), 4)),
               _mm256_cvtepi32_ps(_mm256_srli_epi32(v_widen8(p + 8), 4)));
}
static inline float vf_hsum(vf x)
{
    __m256 t = _mm256_add_ps(x.a, x.b);
    __m128 u = _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
    u = _mm_add_ps(u, _mm_movehl_ps(u, u));
    return _mm_cvtss_f32(_mm_add_ss(u, _mm_shuffle_ps(u, u, 1)));
}
static inline float vf_hmax(vf x)
{
    __m256 t = _mm256_max_ps(x.a, x.b);
    __m128 u = _mm_max_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1));
    u = _mm_max_ps(u, _mm_movehl_ps(u, u));
    return _mm_cvtss_f32(_mm_max_ss(u, _mm_shuffle_ps(u, u, 1)));
}

#define VI2(expr_a, expr_b) ((vi){expr_a, expr_b})
static inline vi vi_zero(void) { return VI2(_mm256_setzero_si256(), _mm256_setzero_si256()); }
static inline vi vi_set1(int32_t x) { return VI2(_mm256_set1_epi32(x), _mm256_set1_epi32(x)); }
static inline vi vi_add(vi x, vi y)
{
    return VI2(_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b));
}
static inline vi vi_shl(vi x, int n)
{
    return VI2(_mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n));
}
static inline vf vi_to_vf(vi x) { return VF2(_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)); }
static inline vi vf_round(vf x) { return VI2(_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)); }
static inline int32_t vi_hsum(vi x)
{
    __m256i t = _mm256_add_epi32(x.a, x.b);
    __m128i u = _mm_add_epi32(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1));
    u = _mm_add_epi32(u, _mm_shuffle_epi32(u, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(u, _mm_shuffle_epi32(u, 0xb1)));
}
static inline void vi_store_i8(int8_t *p, vi x)
{
    __m256i w = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xd8);
    _mm_storeu_si128((__m128i *)p, _mm_packs_epi16(_mm256_castsi256_si128(w),
                                                   _mm256_extracti128_si256(w, 1)));
}
static inline vi vi_load4(const int8_t *p)
{
    int32_t w;
    __builtin_memcpy(&w, p, 4);
    return vi_set1(w);
}

#ifdef V_VNNI
#define V_FULL_OFFSET 128
static inline vi v_dot(vi acc, vb w, vi a)
{
    return VI2(_mm256_dpbusd_avx_epi32(acc.a, w.a, a.a), _mm256_dpbusd_avx_epi32(acc.b, w.b, a.b));
}
static inline vi v_dot_full(vi acc, vb w, vi a) { return v_dot(acc, w, a); }
#else
#define V_FULL_OFFSET 0
/* Weights up to 127: a pair sums to at most 2 * 127 * 127 and maddubs does not saturate. */
static inline __m256i v_dot_half(__m256i acc, __m256i w, __m256i a)
{
    return _mm256_add_epi32(acc,
                            _mm256_madd_epi16(_mm256_maddubs_epi16(w, a), _mm256_set1_epi16(1)));
}
static inline vi v_dot(vi acc, vb w, vi a)
{
    return VI2(v_dot_half(acc.a, w.a, a.a), v_dot_half(acc.b, w.b, a.b));
}
/* Weights of all 8 bits stand for w - 128: the sign moves to the activation, |w - 128| <= 128 keeps
 * pairs within 2 * 128 * 127. */
static inline __m256i v_dot_full_half(__m256i acc, __m256i w, __m256i a)
{
    __m256i s = _mm256_xor_si256(w, _mm256_set1_epi8((char)0x80));
    return v_dot_half(acc, _mm256_abs_epi8(s), _mm256_sign_epi8(a, s));
}
static inline vi v_dot_full(vi acc, vb w, vi a)
{
    return VI2(v_dot_full_half(acc.a, w.a, a.a), v_dot_full_half(acc.b, w.b, a.b));
}
#endif

static inline vi v_dot16(vi acc, vb w, vi a)
{
    return VI2(_mm256_add_epi32(acc.a, _mm256_madd_epi16(w.a, a.a)),
               _mm256_add_epi32(acc.b, _mm256_madd_epi16(w.b, a.b)));
}
static inline vb v_pair16(vi low, vi high)
{
    return (vb){_mm256_blend_epi16(low.a, _mm256_slli_epi32(high.a, 16), 0xaa),
                _mm256_blend_epi16(low.b, _mm256_slli_epi32(high.b, 16), 0xaa)};
}
static inline void vi_store_i16(int16_t *p, vi x)
{
    _mm256_storeu_si256((__m256i *)p,
                        _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xd8));
}

#define VB2(expr_a, expr_b) ((vb){expr_a, expr_b})
static inline vb vb_load(const uint8_t *p)
{
    return VB2(_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 32)));
}
static inline void vb_store(uint8_t *p, vb x)
{
    _mm256_storeu_si256((__m256i *)p, x.a);
    _mm256_storeu_si256((__m256i *)(p + 32), x.b);
}
static inline vb vb_set1(uint8_t x)
{
    return VB2(_mm256_set1_epi8((char)x), _mm256_set1_epi8((char)x));
}
static inline vb vb_set16(uint16_t x)
{
    return VB2(_mm256_set1_epi16((short)x), _mm256_set1_epi16((short)x));
}
static inline vb vb_max16(vb x, vb y)
{
    return VB2(_mm256_max_epu16(x.a, y.a), _mm256_max_epu16(x.b, y.b));
}
static inline vb vb_and(vb x, vb y)
{
    return VB2(_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b));
}
static inline vb vb_or(vb x, vb y)
{
    return VB2(_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b));
}
static inline vb vb_table(const uint8_t *p)
{
    __m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
    return VB2(t, t);
}
static inline vb vb_lookup(vb table, vb i)
{
    return VB2(_mm256_shuffle_epi8(table.a, i.a), _mm256_shuffle_epi8(table.b, i.b));
}
static inline vb vb_shr(vb x, int n)
{
    return VB2(_mm256_srli_epi16(x.a, n), _mm256_srli_epi16(x.b, n));
}
static inline vb vb_shl(vb x, int n)
{
    return VB2(_mm256_slli_epi16(x.a, n), _mm256_slli_epi16(x.b, n));
}

#endif
