/* Scale and minimum of a group: alternating least squares from several starts. Compiled once for
 * each instruction set, as the table SEARCH. */
#include "quant/encode_int.h"
#include "quant/encode_lanes.h"

INLINE struct quant_pass pass(const float *x, const float *w, int n, float d, float m, int lo,
                              int hi)
{
    lanes err = {0}, sq = {0}, sqq = {0}, se = {0}, seq = {0};
    lanes low = (lanes){0} + (float)lo, high = (lanes){0} + (float)hi;
    float inv = inverse(d);
    for (int i = 0; i < n; i += LANES) {
        lanes v = load(x + i) - m, weight = load(w + i);
        lanes q = (smaller(larger(v * inv, low), high) + rounder) - rounder;
        lanes e = v - q * d;
        lanes we = weight * e, wq = weight * q;
        err += we * e;
        sq += wq;
        sqq += wq * q;
        se += we;
        seq += we * q;
    }
    return (struct quant_pass){total(err), total(sq), total(sqq), total(se), total(seq)};
}

static void search_pass(const float *x, const float *w, int n, float d, float m, int lo, int hi,
                        struct quant_pass *out)
{
    *out = pass(x, w, n, d, m, lo, hi);
}

static void search_codes(const float *x, int n, float d, float m, int lo, int hi, int8_t *codes)
{
    lanes_mask whole[QUANT_MAX_GROUP / LANES];
    float inv = inverse(d);
    lanes low = (lanes){0} + (float)lo, high = (lanes){0} + (float)hi;
    for (int i = 0; i < n; i += LANES) {
        lanes q = smaller(larger((load(x + i) - m) * inv, low), high) + rounder - rounder;
        whole[i / LANES] = __builtin_convertvector(q, lanes_mask);
    }
    for (int i = 0; i < n; i++) codes[i] = (int8_t)whole[i / LANES][i % LANES];
}

/* ---- eight at once -----------------------------------------------------------------------------
 * The searches follow eight scales side by side, one a lane: no sums across lanes, and no scale
 * waits for another. */

struct sums {
    lanes err, q, qq, e, eq; /* as in struct quant_pass */
};

INLINE struct sums pass_8(const float *x, const float *w, int n, lanes d, lanes m, int lo, int hi)
{
    struct sums s = {{0}, {0}, {0}, {0}, {0}};
    lanes low = (lanes){0} + (float)lo, high = (lanes){0} + (float)hi, inv = 1 / d;
    for (int i = 0; i < n; i++) {
        lanes v = x[i] - m;
        lanes q = (smaller(larger(v * inv, low), high) + rounder) - rounder;
        lanes e = v - q * d;
        lanes we = w[i] * e, wq = w[i] * q;
        s.err += we * e;
        s.q += wq;
        s.qq += wq * q;
        s.e += we;
        s.eq += we * q;
    }
    return s;
}

/* a where the mask is set, else b. */
INLINE lanes choose(lanes_mask m, lanes a, lanes b)
{
    return (lanes)(((lanes_mask)a & m) | ((lanes_mask)b & ~m));
}

INLINE lanes divide(lanes a, lanes b)
{
    return choose(b > 0, a / b, (lanes){0});
}

INLINE struct quant_fit least(lanes d, lanes m, lanes err, struct quant_fit best)
{
    for (int l = 0; l < LANES; l++)
        if (err[l] < best.err) best = (struct quant_fit){d[l], m[l], err[l]};
    return best;
}

/* What the largest element is divided by in the starts of a set: codes around the last one. Where
 * both ends may take it, half of the lanes go to each. */
INLINE lanes reaches(const struct quant_effort *f, int set, float up, float down, bool both)
{
    lanes r = {0};
    int a_set = both ? LANES / 2 : LANES;
    for (int l = 0; l < LANES; l++) {
        float offset = f->step * (float)(l % a_set + set * a_set - f->below);
        r[l] = l < a_set ? up + offset : down - offset;
    }
    return r;
}

/* Smaller than any half: their blocks decode to zero. */
static const float nothing = 1e-20f;

/* ---- one scale -------------------------------------------------------------------------------
 */

static struct quant_fit search_fit_scale(const float *x, const float *w, int n, int lo, int hi,
                                         const struct quant_effort *effort)
{
    struct quant_fit best = {0, 0, squares(x, w, n)};
    float top = extreme(x, n);
    if (!(fabsf(top) > nothing)) return best;
    for (int set = 0; set < effort->sets; set++) {
        lanes d = top / reaches(effort, set, (float)hi, (float)lo, lo < 0 && lo != -hi);
        lanes err = {0};
        for (int i = 0; i < effort->passes; i++) {
            struct sums s = pass_8(x, w, n, d, (lanes){0}, lo, hi);
            lanes step = divide(s.eq, s.qq);
            d += step;
            err = s.err - step * s.eq;
        }
        best = least(d, (lanes){0}, err, best);
    }
    return best;
}

/* ---- scale and minimum ------------------------------------------------------------------------
 */

/* Moves d and m to where the codes of a pass have them; returns the error there. */
INLINE lanes improve(const struct sums *s, float weight, bool below_zero, lanes *d, lanes *m)
{
    lanes det = weight * s->qq - s->q * s->q;
    lanes dd = divide(weight * s->eq - s->q * s->e, det);
    lanes dm = divide(s->qq * s->e - s->q * s->eq, det);
    if (below_zero) {
        lanes_mask above = *m + dm > 0;
        dm = choose(above, -*m, dm);
        dd = choose(above, divide(s->eq - dm * s->q, s->qq), dd);
    }
    lanes_mask good = *d + dd > nothing;
    dd = choose(good, dd, (lanes){0});
    dm = choose(good, dm, (lanes){0});
    *d += dd;
    *m += dm;
    return s->err - dd * (2 * s->eq - dd * s->qq) - dm * (2 * s->e - dm * weight) +
           2 * dd * dm * s->q;
}

static struct quant_fit search_fit_affine(const float *x, const float *w, int n, int hi,
                                          bool below_zero, const struct quant_effort *effort)
{
    float low = x[0], high = x[0], weight = 0;
    for (int i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        weight += w[i];
    }
    if (below_zero && low > 0) low = 0;
    /* All the same, or nothing above a minimum that must not be positive. */
    if (!(high - low > nothing))
        return (struct quant_fit){0, low, pass(x, w, n, 0, low, 0, hi).err};
    struct quant_fit best = {0, 0, INFINITY};
    for (int set = 0; set < effort->sets; set++) {
        lanes d = (high - low) / reaches(effort, set, (float)hi, 0, false);
        lanes m = (lanes){0} + low, err = {0};
        for (int i = 0; i < effort->passes; i++) {
            struct sums s = pass_8(x, w, n, d, m, 0, hi);
            err = improve(&s, weight, below_zero, &d, &m);
        }
        best = least(d, m, err, best);
    }
    return best;
}

/* ---- codes that stand for values --------------------------------------------------------------
 */

/* The value nearest to each lane: a step up for each midpoint that it lies beyond. */
INLINE lanes nearest(const struct quant_levels *t, lanes v)
{
    lanes q = (lanes){0} + t->value[0];
    for (int k = 0; k + 1 < t->n; k++) {
        lanes middle = (lanes){0} + (t->value[k] + t->value[k + 1]) / 2;
        lanes step = (lanes){0} + (t->value[k + 1] - t->value[k]);
        q += (lanes)((v > middle) & (lanes_mask)step);
    }
    return q;
}

INLINE struct quant_pass level_pass(const float *x, const float *w, int n,
                                    const struct quant_levels *t, float d)
{
    lanes err = {0}, sqq = {0}, seq = {0};
    float inv = inverse(d);
    for (int i = 0; i < n; i += LANES) {
        lanes v = load(x + i), weight = load(w + i);
        lanes q = nearest(t, v * inv);
        lanes e = v - q * d;
        err += weight * e * e;
        sqq += weight * q * q;
        seq += weight * e * q;
    }
    return (struct quant_pass){.err = total(err), .qq = total(sqq), .eq = total(seq)};
}

static void search_level_pass(const float *x, const float *w, int n, const struct quant_levels *t,
                              float d, struct quant_pass *out)
{
    *out = level_pass(x, w, n, t, d);
}

static void search_level_codes(const float *x, int n, const struct quant_levels *t, float d,
                               uint8_t *codes)
{
    float inv = inverse(d);
    for (int i = 0; i < n; i += LANES) {
        lanes v = load(x + i) * inv;
        lanes_mask code = {0};
        for (int k = 0; k + 1 < t->n; k++)
            code -= v > (lanes){0} + (t->value[k] + t->value[k + 1]) / 2;
        for (int l = 0; l < LANES; l++) codes[i + l] = (uint8_t)code[l];
    }
}

static struct quant_fit search_fit_levels(const float *x, const float *w, int n,
                                          const struct quant_levels *t,
                                          const struct quant_effort *effort)
{
    struct quant_fit best = {0, 0, squares(x, w, n)};
    float top = extreme(x, n);
    if (!(fabsf(top) > nothing)) return best;
    for (int set = 0; set < effort->sets; set++) {
        lanes d = top / reaches(effort, set, t->value[t->n - 1], t->value[0], true), err = {0};
        for (int pass = 0; pass < effort->passes; pass++) {
            lanes inv = 1 / d, sqq = {0}, seq = {0};
            err = (lanes){0};
            for (int i = 0; i < n; i++) {
                lanes q = nearest(t, x[i] * inv), e = x[i] - q * d;
                err += w[i] * e * e;
                sqq += w[i] * q * q;
                seq += w[i] * e * q;
            }
            lanes step = divide(seq, sqq);
            d += step;
            err -= step * seq;
        }
        best = least(d, (lanes){0}, err, best);
    }
    return best;
}

const struct quant_search SEARCH = {
    search_pass,       search_codes,       search_fit_scale,  search_fit_affine,
    search_level_pass, search_level_codes, search_fit_levels,
};
