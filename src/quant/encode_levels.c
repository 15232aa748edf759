/* The search of encode_search.c for codes that stand for unevenly spaced values. */
#include "quant/encode_int.h"
#include "quant/encode_lanes.h"

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

INLINE struct quant_pass pass(const float *x, const float *w, int n, const struct quant_levels *t,
                              float d)
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

EACH_CPU void quant_level_pass(const float *x, const float *w, int n, const struct quant_levels *t,
                               float d, struct quant_pass *out)
{
    *out = pass(x, w, n, t, d);
}

void quant_level_codes(const float *x, int n, const struct quant_levels *t, float d, uint8_t *codes)
{
    float inv = inverse(d);
    for (int i = 0; i < n; i++) {
        int code = 0;
        while (code + 1 < t->n && x[i] * inv > (t->value[code] + t->value[code + 1]) / 2) code++;
        codes[i] = (uint8_t)code;
    }
}

INLINE void try_scale(const float *x, const float *w, int n, const struct quant_levels *t, float d,
                      struct quant_fit *best)
{
    struct quant_pass p = pass(x, w, n, t, d);
    if (!(p.qq > 0)) return;
    float step = p.eq / p.qq, err = p.err - step * p.eq;
    if (err < best->err) *best = (struct quant_fit){d + step, 0, err};
}

EACH_CPU struct quant_fit quant_fit_levels(const float *x, const float *w, int n,
                                           const struct quant_levels *t,
                                           const struct quant_effort *effort)
{
    struct quant_fit best = {0, 0, squares(x, w, n)};
    float top = extreme(x, n);
    if (!(best.err > 0)) return best;
    for (int end = 0; end < 2; end++) {
        float value = t->value[end ? 0 : t->n - 1], sign = value < 0 ? -1.0f : 1.0f;
        for (int s = -effort->below; s <= effort->above; s++)
            try_scale(x, w, n, t, top / (value + sign * effort->step * (float)s), &best);
    }
    for (int i = 0; i < effort->refinements; i++) {
        float d = best.d;
        try_scale(x, w, n, t, d, &best);
        if (best.d == d) break;
    }
    return best;
}
