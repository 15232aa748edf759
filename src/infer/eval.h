/* How well a model predicts a text, and how far its predictions lie from another model's.
 *
 * The text is cut into contexts of n_ctx tokens, of which only whole ones count; each is evaluated on
 * its own, with BOS in place of its first token where the model asks for BOS. In each, the tokens behind
 * position n_ctx / 2 count, so that every one is predicted from at least half a context. This is how
 * llama.cpp's tools/perplexity counts, so figures can be compared with those that it prints. */
#ifndef HEARTH_INFER_EVAL_H
#define HEARTH_INFER_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct engine;
struct logits_file;

enum {
    EVAL_DEFAULT_CTX = 512,
    EVAL_MIN_CTX = 3 /* less has no token that counts */
};

struct eval_job {
    struct engine *engine;   /* the model to be judged */
    const int32_t *tokens;   /* the text, BOS in front where the model asks for it */
    size_t n_tokens;
    size_t n_ctx;            /* 0 = EVAL_DEFAULT_CTX */
    size_t max_chunks;       /* contexts to evaluate; 0 = all */
    /* What to compare with: one of these, or neither. */
    struct engine *against;         /* another model with the same vocabulary */
    const struct logits_file *base; /* kept predictions; the text and n_ctx are then its own */
    const char *save;               /* where to keep the predictions (logits_file.h), or NULL */
    const volatile int *cancel;     /* nonzero: ERR_CANCELLED; may be NULL */
    /* Called by the caller's thread after each pass: tokens so far and in all. May be NULL. */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
};

/* A mean over the tokens that count, or what follows from one, with its standard error: NaN where a
 * single token counts. */
struct eval_mean {
    double value, error;
};

struct eval_result {
    size_t n_ctx, n_chunks;
    size_t n_counted;             /* tokens that count */
    struct eval_mean nll;         /* -ln of the probability of the token that came, in nats */
    struct eval_mean perplexity;  /* exp(nll) */
    bool compared;                /* what follows is set */
    struct eval_mean base_perplexity;
    struct eval_mean log_ratio;   /* ln(perplexity / base_perplexity); error of paired differences */
    /* Of the divergence KL(base || model) in nats, token by token. */
    struct eval_mean kl;
    double kl_median, kl_p90, kl_p99, kl_max;
    struct eval_mean same_top;    /* share of tokens whose most likely candidate is the same */
};

/* ERR_INVALID: a text shorter than a context (the message says how much is missing), another vocabulary
 * or a context that makes no sense; ERR_LIMIT: one longer than the model's; ERR_FORMAT: the model gives
 * no numbers for a token. Memory beside the models' own is bounded: logits of as many tokens at a time
 * as fit into 96 MB a model. The result does not depend on the number of threads. */
enum status eval_run(const struct eval_job *job, struct eval_result *out, struct error *err);

#endif
