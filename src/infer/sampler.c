/* Candidates are always put in the order (larger logit, then lower id), so that the result does not
 * depend on how they were found. The generator is xoshiro256** 1.0 (Blackman, Vigna:
 * prng.di.unimi.it), its state filled from the seed by SplitMix64, one output per drawn token of
 * which the upper 53 bits make a number in [0, 1). */
#include "infer/sampler.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "infer/infer_int.h"
#include "text/tokenizer.h"

enum { MAX_WINDOW = 1 << 20 };

struct candidate {
    float logit;
    int32_t id;
    double weight; /* exp((logit - largest) / temperature), not normalised */
};

struct sampler {
    struct sample_params p;
    size_t n_vocab;
    uint64_t rng[4];
    /* Penalties; NULL where they are off. */
    int32_t *count;  /* [n_vocab]: occurrences in the window */
    int32_t *slot;   /* [n_vocab]: index in `active`, valid where count > 0 */
    int32_t *active; /* [n_vocab]: the distinct tokens of the window */
    size_t n_active;
    int32_t *window; /* ring of the last penalty_last_n tokens; NULL: all count */
    size_t n_window, at;
    struct candidate *cand; /* [n_vocab]; NULL for greedy */
};

struct sample_params sample_params_default(void)
{
    return (struct sample_params){.top_p = 1, .repeat_penalty = 1, .penalty_last_n = 64};
}

/* ---- parameters ------------------------------------------------------------------------------ */

static enum status check_range(const char *name, double v, double min, double max,
                               struct error *err)
{
    if (v >= min && v <= max) return OK; /* false for NaN */
    return error_set(err, ERR_INVALID, "%s is %g, but must lie between %g and %g", name, v, min,
                     max);
}

static enum status check_params(const struct sample_params *p, size_t n_vocab, struct error *err)
{
    enum status st;
    if ((st = check_range("temperature", p->temperature, 0, 100, err)) != OK) return st;
    if ((st = check_range("top_p", p->top_p, 0, 1, err)) != OK) return st;
    if ((st = check_range("min_p", p->min_p, 0, 1, err)) != OK) return st;
    if ((st = check_range("presence_penalty", p->presence_penalty, -100, 100, err)) != OK)
        return st;
    if ((st = check_range("frequency_penalty", p->frequency_penalty, -100, 100, err)) != OK)
        return st;
    if ((st = check_range("repeat_penalty", p->repeat_penalty, 0, 100, err)) != OK) return st;
    if (p->repeat_penalty == 0)
        return error_set(err, ERR_INVALID, "repeat_penalty is 0, but must be larger (1 is off)");
    if (p->top_k < 0)
        return error_set(err, ERR_INVALID, "top_k is %d, but must be 0 (off) or more", p->top_k);
    if (p->penalty_last_n < -1 || p->penalty_last_n > MAX_WINDOW)
        return error_set(err, ERR_INVALID,
                         "penalty_last_n is %d, but must be -1 (all) or lie between 0 and %d",
                         p->penalty_last_n, MAX_WINDOW);
    for (size_t i = 0; i < p->n_bias; i++) {
        const struct logit_bias *b = &p->bias[i];
        if (b->token < 0 || (size_t)b->token >= n_vocab)
            return error_set(err, ERR_INVALID,
                             "logit_bias names token %d, but the vocabulary has 0 to %zu", b->token,
                             n_vocab - 1);
        if (isnan(b->bias) || b->bias == INFINITY)
            return error_set(err, ERR_INVALID, "logit_bias of token %d is no finite number",
                             b->token);
    }
    return OK;
}

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t rotate_left(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

static uint64_t rng_next(uint64_t s[4])
{
    uint64_t result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

static bool has_penalties(const struct sample_params *p)
{
    return p->penalty_last_n != 0 &&
           (p->repeat_penalty != 1 || p->presence_penalty != 0 || p->frequency_penalty != 0);
}

enum status sampler_create(const struct sample_params *p, size_t n_vocab, struct sampler **out,
                           struct error *err)
{
    *out = NULL;
    if (n_vocab == 0 || n_vocab > INT32_MAX)
        return error_set(err, ERR_INVALID, "a vocabulary of %zu tokens cannot be sampled from",
                         n_vocab);
    enum status st = check_params(p, n_vocab, err);
    if (st != OK) return st;
    struct sampler *s = calloc(1, sizeof *s);
    if (!s) goto nomem;
    s->p = *p;
    s->n_vocab = n_vocab;
    uint64_t seed = p->seed;
    for (int i = 0; i < 4; i++) s->rng[i] = splitmix64(&seed);
    if (has_penalties(p)) {
        s->count = calloc(n_vocab, sizeof *s->count);
        s->slot = calloc(n_vocab, sizeof *s->slot);
        s->active = calloc(n_vocab, sizeof *s->active);
        if (!s->count || !s->slot || !s->active) goto nomem;
        if (p->penalty_last_n > 0) {
            s->n_window = (size_t)p->penalty_last_n;
            s->window = malloc(s->n_window * sizeof *s->window);
            if (!s->window) goto nomem;
            for (size_t i = 0; i < s->n_window; i++) s->window[i] = TOKEN_NONE;
        }
    }
    if (p->temperature > 0) {
        s->cand = malloc(n_vocab * sizeof *s->cand);
        if (!s->cand) goto nomem;
    }
    *out = s;
    return OK;
nomem:
    sampler_destroy(s);
    return error_set(err, ERR_NOMEM, "no memory for a sampler of %zu tokens", n_vocab);
}

void sampler_destroy(struct sampler *s)
{
    if (!s) return;
    free(s->count);
    free(s->slot);
    free(s->active);
    free(s->window);
    free(s->cand);
    free(s);
}

/* ---- bias and penalties ---------------------------------------------------------------------- */

static void forget(struct sampler *s, int32_t token)
{
    if (--s->count[token] > 0) return;
    int32_t last = s->active[--s->n_active];
    s->active[s->slot[token]] = last;
    s->slot[last] = s->slot[token];
}

enum status sampler_accept(struct sampler *s, int32_t token)
{
    if (token < 0 || (size_t)token >= s->n_vocab) return ERR_INVALID;
    if (!s->count) return OK;
    if (s->window) {
        int32_t old = s->window[s->at];
        if (old != TOKEN_NONE) forget(s, old);
        s->window[s->at] = token;
        s->at = (s->at + 1) % s->n_window;
    }
    if (s->count[token] == INT32_MAX) return OK;
    if (s->count[token]++ == 0) {
        s->slot[token] = (int32_t)s->n_active;
        s->active[s->n_active++] = token;
    }
    return OK;
}

/* Repetition as in Keskar et al. 2019 (CTRL) with the fix for negative logits; presence and
 * frequency as OpenAI's API defines them. */
static void adjust(const struct sampler *s, float *logits)
{
    for (size_t i = 0; i < s->p.n_bias; i++) logits[s->p.bias[i].token] += s->p.bias[i].bias;
    for (size_t i = 0; i < s->n_active; i++) {
        int32_t id = s->active[i];
        float x = logits[id];
        x = x <= 0 ? x * s->p.repeat_penalty : x / s->p.repeat_penalty;
        x -= (float)s->count[id] * s->p.frequency_penalty + s->p.presence_penalty;
        logits[id] = x;
    }
}

/* ---- candidates ------------------------------------------------------------------------------ */

static bool before(const struct candidate *a, const struct candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

/* Restores the heap whose root is the candidate that comes last. */
static void sift_down(struct candidate *c, size_t n, size_t i)
{
    struct candidate x = c[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && before(&c[child], &c[child + 1])) child++;
        if (!before(&x, &c[child])) break;
        c[i] = c[child];
        i = child;
    }
    c[i] = x;
}

static void heapify(struct candidate *c, size_t n)
{
    for (size_t i = n / 2; i-- > 0;) sift_down(c, n, i);
}

/* Turns a heap into a list in order. */
static void sort_heap(struct candidate *c, size_t n)
{
    for (; n > 1; n--) {
        struct candidate x = c[0];
        c[0] = c[n - 1];
        c[n - 1] = x;
        sift_down(c, n - 1, 0);
    }
}

/* The k first candidates in order: a heap of the k best so far whose root is the bar that a
 * newcomer must pass, which few of a large vocabulary do. */
static size_t select_k(struct sampler *s, const float *logits, size_t k)
{
    size_t n = 0, i = 0;
    struct candidate *c = s->cand;
    for (; i < s->n_vocab && n < k; i++)
        if (logits[i] > -INFINITY) c[n++] = (struct candidate){logits[i], (int32_t)i, 0};
    heapify(c, n);
    for (; i < s->n_vocab; i++) {
        if (!(logits[i] > c[0].logit)) continue; /* among equals the lower id is there already */
        c[0] = (struct candidate){logits[i], (int32_t)i, 0};
        sift_down(c, n, 0);
    }
    sort_heap(c, n);
    return n;
}

static double sum_weights(struct candidate *c, size_t n, float max, double temperature)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        /* An infinite logit takes everything, shared by its equals. */
        c[i].weight =
            c[i].logit == max ? 1.0 : infer_exp(((double)c[i].logit - (double)max) / temperature);
        sum += c[i].weight;
    }
    return sum;
}

/* All candidates within `depth` of the largest logit, in no order. */
static size_t select_depth(struct sampler *s, const float *logits, float max, double depth)
{
    double bar = (double)max - depth;
    float floor = bar > -(double)INFINITY ? (float)bar : -INFINITY;
    size_t n = 0;
    for (size_t i = 0; i < s->n_vocab; i++) {
        s->cand[n] = (struct candidate){logits[i], (int32_t)i, 0};
        n += logits[i] >= floor && logits[i] > -INFINITY;
    }
    return n;
}

/* Candidates in order that hold at least the share top_p of all probability and everything that
 * min_p would keep of that. Only a few of a large vocabulary matter, so the search starts near the
 * top and goes deeper while mass is missing. */
static size_t select_mass(struct sampler *s, const float *logits, float max, double *total)
{
    bool whole = s->p.top_p >= 1;
    *total = 0;
    if (!whole && max < INFINITY) *total = infer_sum_exp(logits, s->n_vocab, max);
    size_t n = 0;
    for (double depth = 4; depth < 1500; depth *= 2) {
        n = select_depth(s, logits, max, depth);
        double sum = sum_weights(s->cand, n, max, 1);
        if (max == INFINITY) *total = sum; /* infinite logits leave nothing to the others */
        if (!whole && sum >= s->p.top_p * *total) break;
        /* min_p keeps nothing below exp(-depth); at 1500 even the smallest float is above. */
        if (s->p.min_p > 0 && infer_exp(-depth) < s->p.min_p) break;
    }
    heapify(s->cand, n);
    sort_heap(s->cand, n);
    return n;
}

/* The shortest beginning of an ordered list whose weights reach `mass`; at least one candidate. */
static size_t cut_top_p(const struct candidate *c, size_t n, double mass)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += c[i].weight;
        if (sum >= mass) return i + 1;
    }
    return n;
}

static size_t cut_min_p(const struct candidate *c, size_t n, double min_p)
{
    while (n > 1 && c[n - 1].weight < min_p) n--;
    return n;
}

static int32_t draw_candidate(struct sampler *s, float max, size_t n)
{
    double total = sum_weights(s->cand, n, max, s->p.temperature);
    double u = (double)(rng_next(s->rng) >> 11) * 0x1p-53 * total;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += s->cand[i].weight;
        if (u < sum) return s->cand[i].id;
    }
    while (n > 1 && s->cand[n - 1].weight == 0) n--;
    return s->cand[n - 1].id;
}

int32_t sampler_draw(struct sampler *s, float *logits)
{
    adjust(s, logits);
    float max = infer_max(logits, s->n_vocab);
    if (max == -INFINITY) return TOKEN_NONE;
    if (s->p.temperature == 0) {
        size_t i = 0;
        while (logits[i] != max) i++;
        return (int32_t)i;
    }
    size_t n;
    double total;
    if (s->p.top_k > 0 && (size_t)s->p.top_k < s->n_vocab) {
        n = select_k(s, logits, (size_t)s->p.top_k);
        total = sum_weights(s->cand, n, max, 1);
    } else if (s->p.top_p < 1 || s->p.min_p > 0) {
        n = select_mass(s, logits, max, &total);
    } else {
        n = select_depth(s, logits, max, INFINITY);
        return draw_candidate(s, max, n);
    }
    if (s->p.top_p < 1) n = cut_top_p(s->cand, n, s->p.top_p * total);
    if (s->p.min_p > 0) n = cut_min_p(s->cand, n, s->p.min_p);
    return draw_candidate(s, max, n);
}
