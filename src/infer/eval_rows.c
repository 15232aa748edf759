/* What is computed of each token's logits. */
#include <math.h>

#include "infer/eval_int.h"
#include "infer/logits_file.h"

/* One model's prediction: ln of a token's probability is x[token] - lse. */
struct prediction {
    const float *x;
    size_t n;
    double lse;
    size_t top;
};

static size_t find(const float *x, size_t n, float value)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] == value) return i;
    return 0;
}

static struct prediction predict(const float *x, size_t n)
{
    float max = infer_max(x, n);
    return (struct prediction){
        x, n, (double)max + log(infer_sum_exp(x, n, max)), find(x, n, max)};
}

static struct prediction base_prediction(const struct eval_rows *r, size_t row, float *scratch)
{
    if (r->base_logits)
        return predict(r->base_logits + row * r->base_n_vocab, r->base_n_vocab);
    const uint16_t *kept = r->base + row * logits_row_words(r->n_vocab);
    struct prediction p = {.x = scratch, .n = r->n_vocab};
    p.top = logits_row_decode(kept, r->n_vocab, scratch);
    return p;
}

static double nll(const struct prediction *p, int32_t token)
{
    return p->lse - (double)p->x[token];
}

static void score(struct eval_rows *r, size_t row, float *scratch)
{
    struct prediction own = predict(r->logits + row * r->n_vocab, r->n_vocab);
    int32_t token = r->following[row];
    r->to->nll[r->at + row] = nll(&own, token);
    if (r->encoded)
        logits_row_encode(own.x, own.n, own.lse, r->encoded + row * logits_row_words(own.n));
    if (!r->base_logits && !r->base) return;
    struct prediction base = base_prediction(r, row, scratch);
    r->to->base_nll[r->at + row] =
        r->base ? logits_row_nll(r->base + row * logits_row_words(own.n), token)
                : nll(&base, token);
    r->to->kl[r->at + row] =
        infer_divergence(base.x, base.lse, own.x, own.lse, own.n < base.n ? own.n : base.n);
    r->to->same[r->at + row] = own.top == base.top;
}

void eval_score_rows(void *ctx, int thread)
{
    struct eval_rows *r = ctx;
    float *scratch = r->scratch ? r->scratch[thread] : NULL;
    for (size_t row; (row = atomic_fetch_add(&r->next, 1)) < r->n;) score(r, row, scratch);
}
