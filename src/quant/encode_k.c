/* Encoders of the K family: super-blocks of 256 whose groups' scales (and minima) are small whole
 * numbers under one half each.
 *
 * First each group is fitted by itself; then the halves are fitted to the groups' scales and
 * minima, each weighted by how much the error minds; then every group tries the whole numbers
 * around its own, and the halves are fitted again to what came out. */
#include <math.h>
#include <string.h>

#include "quant/encode_int.h"
#include "quant/quant_int.h"

enum {
    SUPER = QUANT_SUPER_BLOCK,
    MAX_GROUPS = 16,
};

struct shape {
    int group;              /* elements of a group */
    int lo, hi;             /* codes */
    int scale_lo, scale_hi; /* whole-number scales, and minima from 0 */
    struct quant_effort effort, super_effort;
    int rounds; /* of whole numbers, then halves */
};

struct super {
    const float *x;
    float w[SUPER];
    int n_groups;
    float weight[MAX_GROUPS]; /* sums of w */
    float d, dmin;            /* of the halves */
    int scale[MAX_GROUPS], min[MAX_GROUPS];
    struct quant_pass pass[MAX_GROUPS]; /* at these numbers */
};

static float clamped(float v, int lo, int hi)
{
    v = roundf(v);
    return v < (float)lo ? (float)lo : v > (float)hi ? (float)hi : v;
}

static void group_pass(const struct super *s, const struct shape *k, int g, float d, float m,
                       struct quant_pass *out)
{
    quant_pass(s->x + g * k->group, s->w + g * k->group, k->group, d, m, k->lo, k->hi, out);
}

static void load_super(struct super *s, const struct shape *k, const float *x)
{
    s->x = x;
    s->n_groups = SUPER / k->group;
    for (int g = 0; g < s->n_groups; g++) {
        s->weight[g] = 0;
        for (int i = 0; i < k->group; i++) s->weight[g] += s->w[g * k->group + i];
    }
}

static float half_value(float f)
{
    return quant_f16_to_f32(quant_f32_to_f16(f));
}

/* Takes on whole numbers for one group where they lower its error. */
static void offer(struct super *s, const struct shape *k, int g, int scale, int min)
{
    if (scale < k->scale_lo || scale > k->scale_hi || min < 0 || min > k->scale_hi) return;
    struct quant_pass p;
    group_pass(s, k, g, s->d * (float)scale, -s->dmin * (float)min, &p);
    if (!(p.err < s->pass[g].err)) return;
    s->pass[g] = p;
    s->scale[g] = scale;
    s->min[g] = min;
}

static float total_error(const struct super *s)
{
    float err = 0;
    for (int g = 0; g < s->n_groups; g++) err += s->pass[g].err;
    return err;
}

static void all_passes(struct super *s, const struct shape *k)
{
    for (int g = 0; g < s->n_groups; g++)
        group_pass(s, k, g, s->d * (float)s->scale[g], -s->dmin * (float)s->min[g], &s->pass[g]);
}

/* The halves that suit the whole numbers and the present codes; taken on where that lowers the
 * error. */
static bool refit_halves(struct super *s, const struct shape *k)
{
    double aa = 0, ab = 0, bb = 0, ea = 0, eb = 0;
    for (int g = 0; g < s->n_groups; g++) {
        const struct quant_pass *p = &s->pass[g];
        double a = s->scale[g], b = -s->min[g];
        aa += a * a * p->qq;
        ab += a * b * p->q;
        bb += b * b * s->weight[g];
        ea += a * p->eq;
        eb += b * p->e;
    }
    double det = aa * bb - ab * ab, dd, dm;
    if (det > 1e-9 * aa * bb) {
        dd = (bb * ea - ab * eb) / det;
        dm = (aa * eb - ab * ea) / det;
    } else {
        dd = aa > 0 ? ea / aa : 0;
        dm = 0;
    }
    struct super next = *s;
    next.d = half_value((float)(s->d + dd));
    next.dmin = half_value((float)(s->dmin + dm));
    if (next.dmin < 0 || !isfinite(next.d) || !isfinite(next.dmin) ||
        (next.d == s->d && next.dmin == s->dmin))
        return false;
    all_passes(&next, k);
    if (!(total_error(&next) < total_error(s))) return false;
    *s = next;
    return true;
}

/* ---- scales and minima: Q2_K, Q4_K, Q5_K ------------------------------------------------------
 */

/* With another scale the best minimum is another one as well. */
static void try_affine(struct super *s, const struct shape *k, int g, int scale)
{
    if (scale < 0 || scale > k->scale_hi) return;
    float d = s->d * (float)scale, m = -s->dmin * (float)s->min[g];
    struct quant_pass p;
    group_pass(s, k, g, d, m, &p);
    int min = 0;
    if (s->dmin > 0) min = (int)clamped(-(m + p.e / s->weight[g]) / s->dmin, 0, k->scale_hi);
    offer(s, k, g, scale, min);
}

static void search_affine(struct super *s, const struct shape *k)
{
    float scales[MAX_GROUPS], mins[MAX_GROUPS], care[MAX_GROUPS];
    for (int g = 0; g < s->n_groups; g++) {
        const float *x = s->x + g * k->group, *w = s->w + g * k->group;
        struct quant_fit fit = quant_fit_affine(x, w, k->group, k->hi, true, &k->effort);
        struct quant_pass p;
        group_pass(s, k, g, fit.d, fit.m, &p);
        scales[g] = fit.d;
        mins[g] = -fit.m;
        care[g] = p.qq;
    }
    s->d =
        half_value(quant_fit_scale(scales, care, s->n_groups, 0, k->scale_hi, &k->super_effort).d);
    s->dmin = half_value(
        quant_fit_scale(mins, s->weight, s->n_groups, 0, k->scale_hi, &k->super_effort).d);
    for (int g = 0; g < s->n_groups; g++) {
        s->scale[g] = s->d > 0 ? (int)clamped(scales[g] / s->d, 0, k->scale_hi) : 0;
        s->min[g] = s->dmin > 0 ? (int)clamped(mins[g] / s->dmin, 0, k->scale_hi) : 0;
    }
    all_passes(s, k);
    for (int round = 0; round < k->rounds; round++) {
        for (int g = 0; g < s->n_groups; g++) {
            int scale = s->scale[g];
            for (int step = -1; step <= 1; step++) try_affine(s, k, g, scale + step);
        }
        if (!refit_halves(s, k)) break;
    }
}

/* ---- scales alone: Q3_K, Q6_K -----------------------------------------------------------------
 */

static void search_scales(struct super *s, const struct shape *k)
{
    float scales[MAX_GROUPS], care[MAX_GROUPS];
    for (int g = 0; g < s->n_groups; g++) {
        const float *x = s->x + g * k->group, *w = s->w + g * k->group;
        struct quant_fit fit = quant_fit_scale(x, w, k->group, k->lo, k->hi, &k->effort);
        struct quant_pass p;
        group_pass(s, k, g, fit.d, 0, &p);
        scales[g] = fit.d;
        care[g] = p.qq;
        s->min[g] = 0;
    }
    s->dmin = 0;
    s->d = half_value(
        quant_fit_scale(scales, care, s->n_groups, k->scale_lo, k->scale_hi, &k->super_effort).d);
    for (int g = 0; g < s->n_groups; g++)
        s->scale[g] = s->d != 0 ? (int)clamped(scales[g] / s->d, k->scale_lo, k->scale_hi) : 0;
    all_passes(s, k);
    for (int round = 0; round < k->rounds; round++) {
        for (int g = 0; g < s->n_groups; g++) {
            int scale = s->scale[g];
            offer(s, k, g, scale - 1, 0);
            offer(s, k, g, scale + 1, 0);
        }
        if (!refit_halves(s, k)) break;
    }
}

/* ---- packing ----------------------------------------------------------------------------------
 */

/* The codes that go with the scales found, from 0. */
static void super_codes(const struct super *s, const struct shape *k, uint8_t codes[SUPER])
{
    int8_t q[QUANT_MAX_GROUP];
    for (int g = 0; g < s->n_groups; g++) {
        quant_codes(s->x + g * k->group, k->group, s->d * (float)s->scale[g],
                    -s->dmin * (float)s->min[g], k->lo, k->hi, q);
        for (int i = 0; i < k->group; i++) codes[g * k->group + i] = (uint8_t)(q[i] - k->lo);
    }
}

/* Two bits of each code from `shift` on: see block_q2_k. */
static void pack_pairs(const uint8_t codes[SUPER], uint8_t qs[SUPER / 4])
{
    for (int half = 0; half < 2; half++)
        for (int l = 0; l < 32; l++) {
            const uint8_t *c = codes + 128 * half + l;
            qs[32 * half + l] =
                (uint8_t)((c[0] & 3) | (c[32] & 3) << 2 | (c[64] & 3) << 4 | (c[96] & 3) << 6);
        }
}

static void pack_nibbles(const uint8_t codes[SUPER], uint8_t qs[SUPER / 2])
{
    for (int run = 0; run < 4; run++)
        for (int l = 0; l < 32; l++) {
            const uint8_t *c = codes + 64 * run + l;
            qs[32 * run + l] = (uint8_t)((c[0] & 15) | (c[32] & 15) << 4);
        }
}

/* The inverse of quant_k4_scale_min. */
static void pack_k4_scales(const int scale[8], const int min[8], uint8_t packed[12])
{
    for (int j = 0; j < 4; j++) {
        packed[j] = (uint8_t)(scale[j] | (scale[j + 4] >> 4) << 6);
        packed[j + 4] = (uint8_t)(min[j] | (min[j + 4] >> 4) << 6);
        packed[j + 8] = (uint8_t)((scale[j + 4] & 15) | (min[j + 4] & 15) << 4);
    }
}

/* The inverse of quant_q3_k_scales. */
static void pack_q3_scales(const int scale[16], uint8_t packed[12])
{
    memset(packed, 0, 12);
    for (int j = 0; j < 16; j++) {
        int v = scale[j] + 32;
        packed[j % 8] |= (uint8_t)((v & 15) << (j < 8 ? 0 : 4));
        packed[8 + j % 4] |= (uint8_t)((v >> 4) << 2 * (j / 4));
    }
}

/* Fits a super-block; false where a value cannot be encoded. */
static bool fit_super(const struct shape *k, const float *x, const float *weights, struct super *s,
                      uint8_t codes[SUPER])
{
    if (!quant_prepare(x, weights, SUPER, s->w)) return false;
    load_super(s, k, x);
    if (k->lo < 0)
        search_scales(s, k);
    else
        search_affine(s, k);
    super_codes(s, k, codes);
    return true;
}

static const struct shape shape_q2_k = {16, 0, 3, 0, 15, {4, 4, 0.25f, 4}, {4, 4, 0.25f, 4}, 4};
static const struct shape shape_q3_k = {16, -4, 3, -32, 31, {2, 2, 0.4f, 3}, {3, 3, 0.3f, 4}, 3};
static const struct shape shape_q4_k = {32, 0, 15, 0, 63, {3, 3, 0.3f, 4}, {3, 3, 0.3f, 4}, 3};
static const struct shape shape_q5_k = {32, 0, 31, 0, 63, {3, 3, 0.3f, 4}, {3, 3, 0.3f, 4}, 3};
static const struct shape shape_q6_k = {16, -32, 31, -128, 127, {2, 2, 0.4f, 2}, {2, 2, 0.4f, 2},
                                        2};

bool quant_encode_q2_k(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q2_k *b = dst;
    for (; n_blocks--; b++, src += SUPER, weights = weights ? weights + SUPER : NULL) {
        struct super s;
        uint8_t codes[SUPER];
        if (!fit_super(&shape_q2_k, src, weights, &s, codes)) return false;
        quant_store_f16(b->d, s.d);
        quant_store_f16(b->dmin, s.dmin);
        for (int g = 0; g < 16; g++) b->scales[g] = (uint8_t)(s.scale[g] | s.min[g] << 4);
        pack_pairs(codes, b->qs);
    }
    return true;
}

bool quant_encode_q3_k(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q3_k *b = dst;
    for (; n_blocks--; b++, src += SUPER, weights = weights ? weights + SUPER : NULL) {
        struct super s;
        uint8_t codes[SUPER];
        if (!fit_super(&shape_q3_k, src, weights, &s, codes)) return false;
        quant_store_f16(b->d, s.d);
        pack_q3_scales(s.scale, b->scales);
        pack_pairs(codes, b->qs);
        memset(b->hmask, 0, sizeof b->hmask);
        for (int i = 0; i < SUPER; i++) b->hmask[i % 32] |= (uint8_t)((codes[i] >> 2) << i / 32);
    }
    return true;
}

bool quant_encode_q4_k(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q4_k *b = dst;
    for (; n_blocks--; b++, src += SUPER, weights = weights ? weights + SUPER : NULL) {
        struct super s;
        uint8_t codes[SUPER];
        if (!fit_super(&shape_q4_k, src, weights, &s, codes)) return false;
        quant_store_f16(b->d, s.d);
        quant_store_f16(b->dmin, s.dmin);
        pack_k4_scales(s.scale, s.min, b->scales);
        pack_nibbles(codes, b->qs);
    }
    return true;
}

bool quant_encode_q5_k(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q5_k *b = dst;
    for (; n_blocks--; b++, src += SUPER, weights = weights ? weights + SUPER : NULL) {
        struct super s;
        uint8_t codes[SUPER];
        if (!fit_super(&shape_q5_k, src, weights, &s, codes)) return false;
        quant_store_f16(b->d, s.d);
        quant_store_f16(b->dmin, s.dmin);
        pack_k4_scales(s.scale, s.min, b->scales);
        pack_nibbles(codes, b->qs);
        memset(b->qh, 0, sizeof b->qh);
        for (int i = 0; i < SUPER; i++) b->qh[i % 32] |= (uint8_t)((codes[i] >> 4) << i / 32);
    }
    return true;
}

bool quant_encode_q6_k(const float *src, const float *weights, void *dst, size_t n_blocks)
{
    struct block_q6_k *b = dst;
    for (; n_blocks--; b++, src += SUPER, weights = weights ? weights + SUPER : NULL) {
        struct super s;
        uint8_t codes[SUPER];
        if (!fit_super(&shape_q6_k, src, weights, &s, codes)) return false;
        quant_store_f16(b->d, s.d);
        for (int g = 0; g < 16; g++) b->scales[g] = (int8_t)s.scale[g];
        for (int half = 0; half < 2; half++)
            for (int l = 0; l < 64; l++) {
                const uint8_t *c = codes + 128 * half + l;
                b->ql[64 * half + l] = (uint8_t)((c[0] & 15) | (c[64] & 15) << 4);
            }
        uint8_t high[SUPER];
        for (int i = 0; i < SUPER; i++) high[i] = codes[i] >> 4;
        pack_pairs(high, b->qh);
    }
    return true;
}
