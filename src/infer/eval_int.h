/* Inside of eval: the run (eval.c), what is computed of each token (eval_rows.c) and the figures in the
 * end (eval_stats.c). */
#ifndef HEARTH_INFER_EVAL_INT_H
#define HEARTH_INFER_EVAL_INT_H

#include <stdatomic.h>

#include "infer/eval.h"
#include "infer/infer_int.h"

/* What is kept of each token that counts. */
struct eval_scores {
    double *nll;      /* -ln p of the model */
    double *base_nll; /* the same of what it is compared with; NULL where nothing is, as below */
    double *kl;
    bool *same;       /* whether both have the same most likely token */
};

/* Logits of successive tokens, and where their scores go. */
struct eval_rows {
    size_t n_vocab, base_n_vocab;
    const float *logits;      /* [n][n_vocab] */
    const float *base_logits; /* [n][base_n_vocab], or NULL */
    const uint16_t *base;     /* [n] rows of a logits file, or NULL; n_vocab is then both's */
    const int32_t *following; /* [n]: the tokens that came */
    uint16_t *encoded;        /* [n] rows for a logits file, to be filled; or NULL */
    float **scratch;          /* [threads][n_vocab], for `base` */
    struct eval_scores *to;
    size_t at;                /* of the first row's scores */
    size_t n;
    atomic_size_t next;
};

/* A pool function, ctx is a struct eval_rows: computes the scores of all rows. */
void eval_score_rows(void *ctx, int thread);

/* Fills in the figures; sorts s->kl. */
void eval_figures(struct eval_scores *s, size_t n, struct eval_result *out);

#endif
