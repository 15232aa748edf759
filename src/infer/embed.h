/* Texts to vectors and scores: embedding models and rerankers.
 *
 * A call takes any number of texts and evaluates them in batches of texts of similar length. A
 * text's result is the same, bit for bit, whatever else is in the call, and whatever the number of
 * threads. Calls for one engine may come from several threads; their batches take turns with each
 * other and with sessions. */
#ifndef HEARTH_INFER_EMBED_H
#define HEARTH_INFER_EMBED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "text/tokenizer.h"

struct engine;

/* What becomes of the hidden states of a text's tokens. */
enum embed_pooling {
    EMBED_POOL_MODEL, /* what the model file says; without a word the mean where tokens see those
                         behind them, else the last token's */
    EMBED_POOL_MEAN,
    EMBED_POOL_FIRST,
    EMBED_POOL_LAST,
    EMBED_POOL_NONE, /* a vector for each token, those around the text included */
};

struct embed_options {
    enum embed_pooling pooling; /* engine_embed */
    bool raw;                   /* engine_embed: vectors as they come, not brought to length 1 */
    /* A text that is longer than the model's context loses its end (of a pair: the document does);
     * otherwise it is ERR_LIMIT. */
    bool truncate;
    size_t batch_tokens;        /* of a batch, unless a text alone has more; 0 = 512 */
    const volatile int *cancel; /* nonzero gives ERR_CANCELLED within one stage; may be NULL */
};

struct embeddings {
    float *data; /* [first[n_texts]][dim] */
    size_t dim;
    size_t n_texts;
    size_t *first;   /* [n_texts + 1]: text i has vectors first[i] .. first[i + 1] - 1, which is one
                      * unless the pooling is NONE */
    size_t n_tokens; /* of all texts */
    size_t n_truncated; /* texts that lost their end */
};

/* In the texts' order. `opt` may be NULL. ERR_UNSUPPORTED for a reranker, unless a pooling is
 * named; ERR_INVALID for a text without tokens; ERR_LIMIT for one that is too long, or where the
 * vectors would need more memory than can be addressed. On failure there is nothing to free. */
enum status engine_embed(struct engine *e, const struct text_str *texts, size_t n,
                         const struct embed_options *opt, struct embeddings *out,
                         struct error *err);
void embeddings_fini(struct embeddings *v); /* zeroed is fine */

/* scores[i]: how well document i answers the query, as the model's head gives it: larger is better,
 * and most models mean the logit of a probability. A model with several scores: the first.
 * ERR_UNSUPPORTED for a model without a score head. */
enum status engine_rerank(struct engine *e, struct text_str query, const struct text_str *documents,
                          size_t n, const struct embed_options *opt, float *scores,
                          struct error *err);

#endif
