/* Rotary position embedding (Su et al. 2021, arXiv:2104.09864): pair i of a head turns by
 * position * freq_base^(-2i / n_dims). Ways to stretch it over more positions than were trained:
 *   linear        all frequencies / factor (Chen et al. 2023, arXiv:2306.15595)
 *   YaRN          fast pairs keep their frequency, slow ones are divided by the factor, a ramp lies
 *                 between; queries and keys grow a little (Peng et al. 2023, arXiv:2309.00071)
 *   per frequency a divisor for each pair, from a tensor (Llama 3)
 *   LongRoPE      two such tensors: one for contexts within the original one, one for longer ones
 */
#include <math.h>
#include <stdio.h>

#include "model/arch.h"

#define TWO_PI 6.283185307179586

struct scaling {
    bool yarn, unrounded, longrope;
    double base, factor;
    double original_context;
    double beta_fast, beta_slow; /* turns within the original context where the ramp begins, ends */
    double extrapolation;        /* weight of the ramp: 1 is YaRN, 0 is linear */
    double attn_factor;
};

/* The pair that makes `turns` full turns over the original context, as a fraction of n_dims / 2. */
static double pair_of_turns(const struct scaling *s, uint32_t n_dims, double turns)
{
    return n_dims * log(s->original_context / (turns * TWO_PI)) / (2 * log(s->base));
}

static void fill_frequencies(const struct scaling *s, uint32_t n_dims, const float *divisors,
                             float *out)
{
    double low = 0, high = 0;
    if (s->yarn) {
        low = pair_of_turns(s, n_dims, s->beta_fast);
        high = pair_of_turns(s, n_dims, s->beta_slow);
        low = fmax(s->unrounded ? low : floor(low), 0);
        high = fmin(s->unrounded ? high : ceil(high), n_dims - 1.0);
    }
    for (uint32_t i = 0; i < n_dims / 2; i++) {
        double keep = 0; /* how much of the unscaled frequency stays */
        if (s->yarn) {
            double ramp = (i - low) / fmax(0.001, high - low);
            keep = (1 - fmin(1, fmax(0, ramp))) * s->extrapolation;
        }
        double freq = pow(s->base, -2.0 * i / n_dims);
        freq = freq / s->factor * (1 - keep) + freq * keep;
        out[i] = (float)(divisors ? freq / divisors[i] : freq);
    }
}

static void read_scaling(struct arch_builder *b, struct scaling *s)
{
    struct gguf_str type = {"linear", 6};
    char key[96];
    if (arch_status(b)) return;
    snprintf(key, sizeof key, "%s.rope.scaling.type", b->name);
    enum status st = gguf_get_str(b->g, key, &type, b->err);
    if (st && st != ERR_NOT_FOUND) b->st = st;

    arch_f64_or(b, "rope.freq_base", 1e-3, 1e30, 10000, &s->base);
    arch_f64_or(b, "rope.scale_linear", 0, 1e6, 0, &s->factor); /* the older name */
    arch_f64_or(b, "rope.scaling.factor", 0, 1e6, s->factor, &s->factor);
    arch_f64_or(b, "rope.scaling.original_context_length", 0, INT32_MAX, 0, &s->original_context);
    arch_f64_or(b, "rope.scaling.attn_factor", 1e-6, 1e6, 1, &s->attn_factor);
    arch_f64_or(b, "rope.scaling.yarn_beta_fast", 1e-6, 1e6, 32, &s->beta_fast);
    arch_f64_or(b, "rope.scaling.yarn_beta_slow", 1e-6, 1e6, 1, &s->beta_slow);
    arch_f64_or(b, "rope.scaling.yarn_ext_factor", -1e6, 1e6, -1, &s->extrapolation);
    if (s->factor == 0) s->factor = 1; /* as written by converters that mean "none" */
    if (s->factor < 1e-3)
        arch_fail(b, ERR_FORMAT, "key %s.rope.scaling.factor is %g, expected 0.001 or more",
                  b->name, s->factor);
    if (s->original_context == 0) s->original_context = b->m->info.n_ctx_train;

    if (gguf_str_eq(type, "none")) {
        s->factor = 1;
    } else if (gguf_str_eq(type, "yarn")) {
        if (s->extrapolation < 0) s->extrapolation = 1;
        s->yarn = s->extrapolation != 0;
        if (s->yarn && s->base <= 1)
            arch_fail(b, ERR_FORMAT, "YaRN scaling with a rope base of %g", s->base);
    } else if (gguf_str_eq(type, "longrope")) {
        s->factor = 1;
        s->longrope = true;
    } else if (!gguf_str_eq(type, "linear")) {
        arch_fail(
            b, ERR_UNSUPPORTED,
            "rope scaling of type %.*s is not supported, only none, linear, yarn and longrope",
            (int)(type.len < 64 ? type.len : 64), type.data);
    }
}

/* The model's next rope, its frequencies to be filled; never NULL. */
static struct rope *next_rope(struct arch_builder *b)
{
    struct model *m = b->m;
    if (!b->st && m->n_ropes == MODEL_MAX_ROPES)
        arch_fail(b, ERR_UNSUPPORTED, "more than %d ways to rotate positions", MODEL_MAX_ROPES);
    struct rope *r = b->st ? &b->rope_sink : &m->ropes[m->n_ropes++];
    *r = (struct rope){.magnitude = 1};
    return r;
}

static float *make_frequencies(struct arch_builder *b, const struct rope *r,
                               const struct scaling *s, const float *divisors)
{
    if (arch_status(b)) return NULL;
    float *freq = model_alloc(b->m, r->n_dims / 2 * sizeof *freq);
    if (freq)
        fill_frequencies(s, r->n_dims, divisors, freq);
    else
        arch_fail(b, ERR_NOMEM, "out of memory");
    return freq;
}

/* The divisors in a tensor that a file may have; NULL where it has none. */
static const float *read_divisors(struct arch_builder *b, const struct rope *r, const char *name)
{
    const float *divisors = NULL;
    if (name) arch_vector_opt(b, &divisors, r->n_dims / 2, "%s", name);
    for (uint32_t i = 0; !b->st && divisors && i < r->n_dims / 2; i++)
        if (!(divisors[i] >= 1e-6f && divisors[i] <= 1e6f))
            arch_fail(b, ERR_FORMAT, "tensor %s divides a frequency by %g", name, divisors[i]);
    return divisors;
}

/* Models with LongRoPE have both tensors. */
static void make_long(struct arch_builder *b, struct rope *r, const struct scaling *s)
{
    static const char near[] = "rope_factors_short.weight", far[] = "rope_factors_long.weight";
    if (!s->longrope && !arch_has(b, near) && !arch_has(b, far)) return;
    const float *short_divisors = read_divisors(b, r, near),
                *long_divisors = read_divisors(b, r, far);
    if (!b->st && (!short_divisors || !long_divisors))
        arch_fail(b, ERR_FORMAT, "tensor %s is missing", short_divisors ? far : near);
    r->inv_freq = make_frequencies(b, r, s, short_divisors);
    r->long_inv_freq = make_frequencies(b, r, s, long_divisors);
    r->long_from = (uint32_t)s->original_context;
}

const float *rope_frequencies(const struct rope *r, const struct kv_seq *s)
{
    return r->long_inv_freq && kv_seq_context(s) > r->long_from ? r->long_inv_freq : r->inv_freq;
}

const struct rope *arch_rope(struct arch_builder *b, bool neox, const char *factors)
{
    struct rope *r = next_rope(b);
    uint32_t head_dim = b->m->info.head_dim;
    struct scaling s = {0};

    r->neox = neox;
    arch_u32_or(b, "rope.dimension_count", 2, head_dim, head_dim, &r->n_dims);
    read_scaling(b, &s);
    s.unrounded = b->yarn_unrounded;
    if (r->n_dims % 2)
        arch_fail(b, ERR_FORMAT, "key %s.rope.dimension_count is %u, expected an even number",
                  b->name, r->n_dims);
    if (arch_status(b)) return r;
    r->inv_freq = make_frequencies(b, r, &s, read_divisors(b, r, factors));
    make_long(b, r, &s);
    r->magnitude = (float)s.attn_factor;
    if (s.yarn && s.factor > 1) r->magnitude = (float)(s.attn_factor * (1 + 0.1 * log(s.factor)));
    return r;
}

const struct rope *arch_rope_plain(struct arch_builder *b, bool neox, uint32_t n_dims, double base,
                                   double factor)
{
    struct rope *r = next_rope(b);
    r->neox = neox;
    r->n_dims = n_dims;
    r->inv_freq = make_frequencies(b, r, &(struct scaling){.base = base, .factor = factor}, NULL);
    return r;
}
