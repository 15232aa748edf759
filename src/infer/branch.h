/* Several continuations of one text at once, for choosing between them: they share the keys and
 * values of what they have in common, and one pass over the weights serves all of them. */
#ifndef HEARTH_INFER_BRANCH_H
#define HEARTH_INFER_BRANCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "infer/engine.h"

struct kv_seq;

enum {
    BRANCH_MAX = 48,     /* in one call */
    BRANCH_TOKENS = 256, /* of one branch, what it is given and what it writes */
    BRANCH_MAX_RANK = 16,
};

/* What branches leave from: a text whose keys and values are held, by a session or by a scheduler's
 * text that is about to end. Borrowed; valid until its holder goes on. */
struct branch_base {
    struct engine *e;
    const struct kv_seq *seq;
    const int32_t *tokens; /* that seq holds */
    size_t n;              /* of them, those whose keys and values are exact */
    size_t n_vocab;
    uint16_t **first_bytes; /* the holder's table for beginnings */
};
void session_branch_base(struct session *s, struct branch_base *out);

/* A continuation of the first `at` tokens of the prompt, 1 <= at <= n_prompt: `tokens` come behind
 * them. */
struct branch {
    size_t at;
    const int32_t *tokens; /* n <= BRANCH_TOKENS; borrowed */
    size_t n;
    /* branch_grow: bytes that the written text has to begin with (token healing), and which of the
     * tokens that may come first to take, 0 the most likely. What comes behind it is the most
     * likely text. */
    const char *begin;
    size_t n_begin;
    size_t rank;
    /* Out. branch_score: [n], natural logarithms of the tokens' probabilities; the caller's.
     * branch_grow: the sum over what it wrote, the end token included (where the writer asks for
     * it), and whether it came to one.
     */
    float *logprobs;
    /* branch_score: [n] or NULL: the most likely token besides the given one, and its logarithm.
     */
    int32_t *others;
    float *other_logprobs;
    /* branch_score: [n] or NULL: before each token, the logarithm of the probability that one of
     * the tokens `ends` (borrowed) comes there instead. */
    float *end_logprobs;
    const int32_t *ends;
    size_t n_ends;
    double logprob;
    bool ended;
    size_t n_grown;
};

/* What ends the work early; NULL members: nothing does. */
struct branch_limit {
    const volatile int *cancel; /* nonzero: ERR_CANCELLED within one stage */
    double until;               /* clock_now() when to stop: ERR_CANCELLED; 0 = never */
};

/* The probabilities of every branch's tokens; what branches have in common is evaluated once. The
 * base must hold the prompt's first tokens, as a session does after session_generate with a prompt
 * that begins with them: ERR_INVALID otherwise. It stays as it is. ERR_LIMIT where its pool has no
 * room for so many. */
enum status branch_score(const struct branch_base *base, const int32_t *prompt, size_t n_prompt,
                         struct branch *b, size_t n, const struct branch_limit *limit,
                         struct error *err);

struct branch_writer {
    /* Every written token in order; false: this branch has come far enough (the token counts). */
    bool (*on_token)(void *ctx, size_t branch, int32_t token);
    void *ctx;
    const int32_t *stop; /* end a branch, besides the model's own end tokens */
    size_t n_stop;
    size_t max_tokens; /* of each branch */
    bool logprob;      /* each branch's is wanted; costs a look at the whole vocabulary a token */
};

/* Writes on behind every branch, all of them token by token together. */
enum status branch_grow(const struct branch_base *base, const int32_t *prompt, size_t n_prompt,
                        struct branch *b, size_t n, const struct branch_writer *w,
                        const struct branch_limit *limit, struct error *err);

#endif
