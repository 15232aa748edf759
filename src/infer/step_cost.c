#include "infer/step_cost.h"

#include <stdlib.h>

#include "base/clock.h"
#include "infer/infer_int.h"
#include "kern/kern.h"

struct steps {
    struct engine *e;
    const volatile int *cancel;
    struct kv_pool *pool;
    struct kv_seq *seqs[STEP_COST_MAX_ROWS];
    size_t n_seqs, depth;
    struct forward_row rows[STEP_COST_MAX_ROWS];
    float *logits;
    double *samples; /* [n][repeats] */
};

/* Ids without a pattern; which ones does not matter. */
static int32_t token_at(const struct steps *s, size_t i)
{
    return (int32_t)((i * 2654435761u + 12345) % model_info(s->e->model)->n_vocab);
}

static enum status fill(struct steps *s, struct error *err)
{
    enum status st = OK;
    size_t chunk = forward_max_rows(s->e->fwd);
    if (chunk > STEP_COST_MAX_ROWS) chunk = STEP_COST_MAX_ROWS;
    for (size_t at = 0; at < s->depth && !st; at += chunk) {
        size_t n = s->depth - at < chunk ? s->depth - at : chunk;
        for (size_t i = 0; i < n; i++)
            s->rows[i] = (struct forward_row){s->seqs[0], token_at(s, at + i), false};
        st = engine_forward(s->e, s->rows, n, NULL, s->cancel, err);
    }
    return st;
}

static enum status prepare(struct steps *s, size_t max_rows, struct error *err)
{
    const struct model_info *info = model_info(s->e->model);
    /* Besides what they share, a copy of the last page and a new one each. */
    size_t positions = s->depth + KERN_KV_PAGE + max_rows * 2 * KERN_KV_PAGE;
    s->logits = calloc(max_rows * (size_t)info->n_vocab, sizeof *s->logits);
    if (!s->logits) return error_set(err, ERR_NOMEM, "no memory for %zu rows", max_rows);
    enum status st = kv_pool_create(s->e->model, positions, &s->pool, err);
    if (!st) st = kv_seq_create(s->pool, &s->seqs[0], err);
    if (!st) s->n_seqs = 1;
    if (!st) st = fill(s, err);
    while (!st && s->n_seqs < max_rows) {
        st = kv_seq_fork(s->seqs[0], s->depth, &s->seqs[s->n_seqs], err);
        if (!st) s->n_seqs++;
    }
    return st;
}

static enum status time_step(struct steps *s, size_t n, double *ms, struct error *err)
{
    for (size_t i = 0; i < n; i++)
        s->rows[i] = (struct forward_row){s->seqs[i], token_at(s, s->depth + i), true};
    double t = clock_now();
    enum status st = engine_forward(s->e, s->rows, n, s->logits, s->cancel, err);
    *ms = 1e3 * (clock_now() - t);
    for (size_t i = 0; i < n && !st; i++) kv_seq_truncate(s->seqs[i], s->depth);
    return st;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum status measure(struct steps *s, const size_t *counts, size_t n, size_t repeats,
                           double *ms, struct error *err)
{
    double unused;
    s->samples = calloc(n * repeats, sizeof *s->samples);
    if (!s->samples) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    for (size_t k = 0; k < n && !st; k++) st = time_step(s, counts[k], &unused, err);
    for (size_t r = 0; r < repeats && !st; r++)
        for (size_t k = 0; k < n && !st; k++)
            st = time_step(s, counts[k], &s->samples[k * repeats + r], err);
    for (size_t k = 0; k < n && !st; k++) {
        double *v = s->samples + k * repeats;
        qsort(v, repeats, sizeof *v, compare);
        ms[k] = (v[(repeats - 1) / 2] + v[repeats / 2]) / 2;
    }
    return st;
}

enum status step_cost_measure(struct engine *e, const size_t *counts, size_t n, size_t depth,
                              size_t repeats, const volatile int *cancel, double *ms,
                              struct error *err)
{
    size_t max_rows = 0;
    for (size_t k = 0; k < n; k++) {
        if (counts[k] < 1 || counts[k] > STEP_COST_MAX_ROWS)
            return error_set(err, ERR_INVALID, "a step of %zu rows; 1 to %d can be measured",
                             counts[k], STEP_COST_MAX_ROWS);
        if (counts[k] > max_rows) max_rows = counts[k];
    }
    if (n == 0 || repeats == 0) return error_set(err, ERR_INVALID, "no step to measure");
    struct steps *s = calloc(1, sizeof *s);
    if (!s) return error_set(err, ERR_NOMEM, "out of memory");
    s->e = e;
    s->cancel = cancel;
    s->depth = depth;
    enum status st = prepare(s, max_rows, err);
    if (!st) st = measure(s, counts, n, repeats, ms, err);
    for (size_t i = 0; i < s->n_seqs; i++) kv_seq_destroy(s->seqs[i]);
    kv_pool_destroy(s->pool);
    free(s->logits);
    free(s->samples);
    free(s);
    return st;
}
