/* Fitting super-blocks: super-blocks of 256 whose groups' scales (and minima) are small whole
 * numbers under one half each.
 *
 * First each group is fitted by itself; then the halves are fitted to the groups' scales and
 * minima, each weighted by how much the error minds; then every group tries the whole numbers
 * around its own, and the halves are fitted again to what came out. */
#include <math.h>
#include <string.h>

#include "quant/encode_super.h"

static float clamped(float v, int lo, int hi)
{
    v = roundf(v);
    return v < (float)lo ? (float)lo : v > (float)hi ? (float)hi : v;
}

static void group_pass(const struct quant_super *s, const struct quant_shape *k, int g, float d,
                       float m, struct quant_pass *out)
{
    const float *x = s->x + g * k->group, *w = s->w + g * k->group;
    if (k->levels)
        quant_search()->level_pass(x, w, k->group, k->levels, d, out);
    else
        quant_search()->pass(x, w, k->group, d, m, k->lo, k->hi, out);
}

static void load_super(struct quant_super *s, const struct quant_shape *k, const float *x)
{
    s->x = x;
    s->n_groups = QUANT_SUPER / k->group;
    for (int g = 0; g < s->n_groups; g++) {
        s->weight[g] = 0;
        for (int i = 0; i < k->group; i++) s->weight[g] += s->w[g * k->group + i];
    }
}

static float half_value(float f)
{
    uint8_t half[2];
    return quant_store_f16(half, f);
}

/* Takes on whole numbers for one group where they lower its error. */
static void offer(struct quant_super *s, const struct quant_shape *k, int g, int scale, int min)
{
    if (scale < k->scale_lo || scale > k->scale_hi || min < 0 || min > k->scale_hi) return;
    struct quant_pass p;
    group_pass(s, k, g, s->d * (float)scale, -s->dmin * (float)min, &p);
    if (!(p.err < s->pass[g].err)) return;
    s->pass[g] = p;
    s->scale[g] = scale;
    s->min[g] = min;
}

static float total_error(const struct quant_super *s)
{
    float err = 0;
    for (int g = 0; g < s->n_groups; g++) err += s->pass[g].err;
    return err;
}

static void all_passes(struct quant_super *s, const struct quant_shape *k)
{
    for (int g = 0; g < s->n_groups; g++)
        group_pass(s, k, g, s->d * (float)s->scale[g], -s->dmin * (float)s->min[g], &s->pass[g]);
}

/* The halves that suit the whole numbers and the present codes; taken on where that lowers the
 * error. */
static bool refit_halves(struct quant_super *s, const struct quant_shape *k)
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
    float d = half_value((float)(s->d + dd)), dmin = half_value((float)(s->dmin + dm));
    if (dmin < 0 || !isfinite(d) || !isfinite(dmin) || (d == s->d && dmin == s->dmin)) return false;
    struct quant_pass before[QUANT_MAX_GROUPS];
    float old_d = s->d, old_dmin = s->dmin, err = total_error(s);
    memcpy(before, s->pass, sizeof before);
    s->d = d;
    s->dmin = dmin;
    all_passes(s, k);
    if (total_error(s) < err) return true;
    s->d = old_d;
    s->dmin = old_dmin;
    memcpy(s->pass, before, sizeof before);
    return false;
}

/* ---- scales and minima: Q2_K, Q4_K, Q5_K ------------------------------------------------------
 */

/* With another scale the best minimum is another one as well. */
static void try_affine(struct quant_super *s, const struct quant_shape *k, int g, int scale)
{
    if (scale < 0 || scale > k->scale_hi) return;
    float d = s->d * (float)scale, m = -s->dmin * (float)s->min[g];
    struct quant_pass p;
    group_pass(s, k, g, d, m, &p);
    int min = 0;
    if (s->dmin > 0) min = (int)clamped(-(m + p.e / s->weight[g]) / s->dmin, 0, k->scale_hi);
    offer(s, k, g, scale, min);
}

static void search_affine(struct quant_super *s, const struct quant_shape *k)
{
    float scales[QUANT_MAX_GROUPS], mins[QUANT_MAX_GROUPS], care[QUANT_MAX_GROUPS];
    for (int g = 0; g < s->n_groups; g++) {
        const float *x = s->x + g * k->group, *w = s->w + g * k->group;
        struct quant_fit fit =
            quant_search()->fit_affine(x, w, k->group, k->hi, true, &k->effort[s->weighted]);
        struct quant_pass p;
        group_pass(s, k, g, fit.d, fit.m, &p);
        scales[g] = fit.d;
        mins[g] = -fit.m;
        care[g] = p.qq;
    }
    s->d = half_value(
        quant_search()->fit_scale(scales, care, s->n_groups, 0, k->scale_hi, &k->super_effort).d);
    s->dmin =
        half_value(quant_search()
                       ->fit_scale(mins, s->weight, s->n_groups, 0, k->scale_hi, &k->super_effort)
                       .d);
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

static void search_scales(struct quant_super *s, const struct quant_shape *k)
{
    float scales[QUANT_MAX_GROUPS], care[QUANT_MAX_GROUPS];
    for (int g = 0; g < s->n_groups; g++) {
        const float *x = s->x + g * k->group, *w = s->w + g * k->group;
        struct quant_fit fit =
            k->levels
                ? quant_search()->fit_levels(x, w, k->group, k->levels, &k->effort[s->weighted])
                : quant_search()->fit_scale(x, w, k->group, k->lo, k->hi, &k->effort[s->weighted]);
        struct quant_pass p;
        group_pass(s, k, g, fit.d, 0, &p);
        scales[g] = fit.d;
        care[g] = p.qq;
        s->min[g] = 0;
    }
    s->dmin = 0;
    s->d = half_value(
        quant_search()
            ->fit_scale(scales, care, s->n_groups, k->scale_lo, k->scale_hi, &k->super_effort)
            .d);
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

/* The codes that go with the scales found, from 0. */
static void super_codes(const struct quant_super *s, const struct quant_shape *k,
                        uint8_t codes[QUANT_SUPER])
{
    int8_t q[QUANT_MAX_GROUP];
    for (int g = 0; g < s->n_groups; g++) {
        if (k->levels) {
            quant_search()->level_codes(s->x + g * k->group, k->group, k->levels,
                                        s->d * (float)s->scale[g], codes + g * k->group);
            continue;
        }
        quant_search()->codes(s->x + g * k->group, k->group, s->d * (float)s->scale[g],
                              -s->dmin * (float)s->min[g], k->lo, k->hi, q);
        for (int i = 0; i < k->group; i++) codes[g * k->group + i] = (uint8_t)(q[i] - k->lo);
    }
}

bool quant_fit_super(const struct quant_shape *k, const float *x, const float *weights,
                     struct quant_super *s, uint8_t codes[QUANT_SUPER])
{
    if (!quant_prepare(x, weights, QUANT_SUPER, s->w)) return false;
    s->weighted = weights != NULL;
    load_super(s, k, x);
    if (k->scale_lo < 0)
        search_scales(s, k);
    else
        search_affine(s, k);
    super_codes(s, k, codes);
    return true;
}
