/* Inside of module infer: what engine, session and sampler share. */
#ifndef HEARTH_INFER_INFER_INT_H
#define HEARTH_INFER_INFER_INT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "infer/engine.h"
#include "infer/pass_times.h"
#include "model/model.h"

struct gguf_tensor;
struct tokenizer;
struct vocab;

/* ---- engine ---------------------------------------------------------------------------------- */

/* Rows of one forward pass: prefill goes in chunks of this many tokens. */
#define INFER_CHUNK 512

struct engine {
    struct gguf *g;
    struct vocab *vocab;
    const struct tokenizer *tok; /* of vocab; NULL: no token ends the text by itself */
    struct model *model;
    struct grammar_vocab *grammar_vocab; /* under grammar_lock; NULL before it is asked for */
    pthread_mutex_t grammar_lock;
    struct forward *fwd;
    const struct gguf_tensor *embedding; /* in g; NULL: none */
    size_t rows_since_trim;              /* changed by whose turn it is */
    /* Sessions take turns at the forward pass in the order in which they asked: a long prompt and a
     * stream of single tokens get every other pass. */
    pthread_mutex_t lock;
    pthread_cond_t turn;
    uint64_t next_ticket, now_serving;
    struct settling *settling; /* NULL: nothing moves */
};

/* Makes an engine of its parts, which it then owns (on failure too); g and vocab may be NULL. */
enum status engine_assemble(struct gguf *g, struct vocab *vocab, const struct tokenizer *tok,
                            struct model *m, int n_threads, struct engine **out, struct error *err);

/* forward_run on the engine's forward object, in turn with other sessions. */
enum status engine_forward(struct engine *e, const struct forward_row *rows, size_t n_rows,
                           float *logits, const volatile int *cancel, struct error *err);

/* forward_observe on it; no session may run meanwhile. */
void engine_observe(struct engine *e, forward_observer fn, void *ctx);

/* ERR_INVALID where two models' tokens differ in number or text; `other` is what the message calls b. The
 * numbers of logits may differ: some files pad them. */
enum status engine_same_vocab(const struct engine *a, const struct engine *b, const char *other,
                              struct error *err);
/* Moves the engine's weights into huge pages while it is open (model.h), on a thread of its own that
 * takes only what others leave of the processor. Without a thread nothing moves. */
void settle_start(struct engine *e);
/* Ends the thread wherever it is. */
void settle_stop(struct engine *e);
/* Runs fn in turn with the forward passes. */
void engine_turn(struct engine *e, void (*fn)(void *ctx), void *ctx);

/* The same with forward_hidden. */
enum status engine_hidden(struct engine *e, const struct forward_row *rows, size_t n_rows,
                          float *hidden, const volatile int *cancel, struct error *err);

/* ---- watch: a deadline and a caller's cancel flag as one flag ---------------------------------
 */

enum watch_cause { WATCH_NONE, WATCH_DEADLINE, WATCH_CANCELLED };

struct watch {
    const volatile int *user; /* may be NULL */
    double deadline;          /* clock_now() at which to stop; 0 = none */
    int flag;                 /* enum watch_cause, set by the thread */
    bool running;
    bool done; /* under lock */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

/* With a deadline a small thread raises the flag on time, so that it reaches the middle of a
 * forward pass; where no thread can be had, the deadline is only seen by watch_poll. */
void watch_start(struct watch *w, double deadline, const volatile int *user);
void watch_stop(struct watch *w);
/* What to hand to a forward pass; NULL where nothing can stop it. */
const volatile int *watch_flag(const struct watch *w);
/* Whether to stop now, and why. */
enum watch_cause watch_poll(const struct watch *w);

/* ---- session: one timeline of tokens, and a spare one ------------------------------------------
 */

struct session {
    struct engine *e;
    size_t n_ctx, n_vocab;
    struct kv_pool *pool;
    struct kv_seq *seq;
    int32_t *tokens;          /* [n_ctx]: what seq holds; its length is kv_seq_len(seq) */
    struct kv_seq *spare;     /* what session_prepare evaluates; NULL until it is used */
    int32_t *spare_tokens;    /* [n_ctx]: what spare holds */
    size_t exact, spare_exact; /* positions from here on are approximate; SIZE_MAX: none is */
    uint16_t *first_bytes;    /* [n_vocab], see struct forced; NULL until it is used */
    float *logits;            /* [n_vocab] */
    struct forward_row *rows; /* [INFER_CHUNK] */
    struct pass_times times;  /* of passes that gave logits for all their rows */
};

/* ERR_INVALID where a token is not of the vocabulary. */
enum status session_check_tokens(const struct session *s, const int32_t *tokens, size_t n,
                                 struct error *err);
/* Makes seq the timeline with the longest common prefix with `tokens` and forgets what it holds
 * beyond that. The last token never counts: its logits are not kept, so it is always evaluated.
 * Returns that prefix's length. */
size_t session_rewind(struct session *s, const int32_t *tokens, size_t n);
/* Makes seq a new timeline with the first n tokens of the one before, which becomes the spare. */
enum status session_branch(struct session *s, size_t n, struct error *err);
struct session_shifted {
    size_t n_shifted; /* positions of the timeline that are approximate; 0: none was taken */
    size_t n_read;    /* tokens of an edit that were evaluated on the way */
};
/* Where the session holds text that stands behind an edit in `prompt`, evaluates the edit and takes
 * that text's keys and values over, approximately. Positions from s->exact on are not exact then. */
enum status session_shift(struct session *s, const int32_t *prompt, size_t n, const struct watch *w,
                          struct session_shifted *out, struct error *err);
/* Appends n <= INFER_CHUNK tokens by one forward pass; all rows or only the last get logits. */
enum status session_feed(struct session *s, const int32_t *tokens, size_t n, bool every, bool last,
                         float *logits, const volatile int *cancel, struct error *err);
/* Appends tokens chunk by chunk; s->logits are then the last token's. Stops between chunks when `w`
 * says so, with ERR_CANCELLED. */
enum status session_extend(struct session *s, const int32_t *tokens, size_t n,
                           const struct watch *w, struct error *err);

/* ---- forced: the beginning that a text has to have ---------------------------------------------
 */

struct forced {
    const struct tokenizer *tok;
    const char *left; /* bytes still to be written; borrowed */
    size_t n_left;
    const uint16_t *first; /* [n_vocab]: each token's first byte, 256 where it has none; or NULL */
};

/* `begin` is borrowed. *first_bytes is made when it is first needed, for later calls with the same
 * vocabulary, and is the caller's to free. */
void forced_init(struct forced *f, const struct tokenizer *tok, size_t n_vocab,
                 uint16_t **first_bytes, const char *begin, size_t n);
/* Bans every token that does not agree with the bytes left: one that is a beginning of them, or that
 * they are a beginning of, stays. Does nothing once no byte is left. */
void forced_mask(const struct forced *f, float *logits, size_t n_vocab);
enum { FORCED_MAX_PIECE = 512 }; /* bytes; a longer token is never drawn while some are left */
/* The bytes by which a token reaches beyond what is left. */
size_t forced_rest(const struct forced *f, int32_t token, char rest[FORCED_MAX_PIECE]);
/* Takes the drawn token's bytes off what is left. */
void forced_take(struct forced *f, int32_t token);

/* ---- numbers that are the same on every machine -----------------------------------------------
 */

/* exp(x) for x <= 0 within two units in the last place; 0 below -708 and for NaN. Only additions
 * and multiplications, which IEEE 754 defines to the bit, where libm's exp differs between versions
 * and processors. */
double infer_exp(double x);
/* Sum of exp(x[i] - max) with terms in a fixed order; max is at least every x[i]. */
double infer_sum_exp(const float *x, size_t n, float max);
/* The sum of p[i] * ln(p[i] / q[i]) over n tokens, where ln p[i] = a[i] - lse_a and ln q[i] = b[i] -
 * lse_b: with both whole and normalised, the Kullback-Leibler divergence in nats. Tokens with p = 0 add
 * nothing. Terms in a fixed order. */
double infer_divergence(const float *a, double lse_a, const float *b, double lse_b, size_t n);
/* The largest element, ignoring NaN; -INFINITY where there is none. */
float infer_max(const float *x, size_t n);

#endif
