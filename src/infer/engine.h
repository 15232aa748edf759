/* Engine and session: the boundary that servers and commands see. No tensors here.
 *
 * An engine is a loaded model with its tokenizer. A session is one mutable timeline of tokens with
 * its KV cache; a new prompt reuses the longest common prefix with what the session already holds.
 * A second timeline can be prepared beside it.
 * One session is used by one thread at a time; an engine may be shared. */
#ifndef HEARTH_INFER_ENGINE_H
#define HEARTH_INFER_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "infer/sampler.h"

struct engine;
struct session;
struct tokenizer;
struct model_info;
struct gguf;
struct grammar;
struct grammar_vocab;

struct engine_options {
    int n_threads;         /* 0 = all physical cores */
    const char *cache_dir; /* packed weights; NULL = none */
    const char *kv_type;   /* of all sessions' KV caches, as in model_options; NULL = "f16" */
    /* Weights mapped from the cache move into huge pages (model.h) once the engine is a second or so
     * old: for processes that live longer than one answer. */
    bool settle;
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
};

enum status engine_open(const char *path, const struct engine_options *opt, struct engine **out,
                        struct error *err);
void engine_close(struct engine *e);
/* Waits until options.settle has done what it does, for measurements. */
void engine_settle(struct engine *e);
const struct tokenizer *engine_tokenizer(const struct engine *e);
const struct model_info *engine_model_info(const struct engine *e);
const struct gguf *engine_gguf(const struct engine *e);
/* The tokens as grammars need them: made by the first call, which takes a quarter of a second, and the
 * engine's from then on. Any thread. ERR_INVALID without a tokenizer. */
enum status engine_grammar_vocab(struct engine *e, const struct grammar_vocab **out,
                                 struct error *err);
int engine_n_threads(const struct engine *e);

/* n_ctx: positions the session can hold; 0 = min(4096, the model's own context). ERR_LIMIT above the
 * model's context. */
enum status session_create(struct engine *e, size_t n_ctx, struct session **out,
                           struct error *err);
void session_destroy(struct session *s);
size_t session_n_ctx(const struct session *s);

enum finish_reason {
    FINISH_STOP,
    FINISH_LENGTH,
    FINISH_CALLBACK,
    FINISH_DEADLINE,
    FINISH_CANCELLED,
    FINISH_SUPERSEDED, /* a newer request took its place (scheduler.h) */
    FINISH_REASONS
};
const char *finish_reason_name(enum finish_reason r); /* "stop", "length", ... */

struct token_span {
    const int32_t *ids;
    size_t n;
};

/* Several tokens from one pass over the weights: what is likely to come is drafted, and one pass
 * checks all of it. The text is the same with and without. Zeroed: off. */
enum speculate_mode {
    SPECULATE_OFF,
    SPECULATE_AUTO /* drafts where it has been paying */
};

struct speculate_options {
    enum speculate_mode mode;
    size_t max_draft; /* tokens checked by one pass at most; 0 = 47, never more than 63 */
    /* Of a smaller model with the same vocabulary (ERR_INVALID where it is another), for this call
     * alone; its timeline becomes that of the text. NULL = draft from earlier text only. */
    struct session *draft;
    /* Texts that parts of the answer may repeat, besides the prompt: other files, earlier answers. */
    const struct token_span *corpus;
    size_t n_corpus;
    bool predicts; /* the answer is expected to begin as corpus[0] */
};

struct generate_request {
    const int32_t *prompt;
    size_t n_prompt;           /* >= 1; ERR_LIMIT when n_prompt + 1 > n_ctx, nothing is cut */
    size_t max_tokens;
    struct sample_params sample;
    struct speculate_options speculate;
    /* Bytes that the generated text has to begin with (token healing): until they are written, only
     * tokens that agree with them are drawn. Needs the engine's tokenizer. */
    const char *begin;
    size_t n_begin;
    /* The generated text matches it, unless it is cut off (FINISH_LENGTH, ...): only tokens that it
     * allows are drawn, and the text ends where nothing but its end may follow. Of the engine's
     * grammar_vocab; NULL: none. Not together with `begin`. */
    struct grammar *grammar;
    /* Approximate: text behind an edit keeps the keys and values that it had before the edit, moved
     * to its new positions. Much is saved, but the answer may differ from the prompt's own. */
    bool approximate;
    const int32_t *stop;       /* tokens that end generation besides the model's end tokens */
    size_t n_stop;
    double deadline_ms;        /* from the call; 0 = none, negative = already over */
    const volatile int *cancel; /* nonzero stops within one stage; may be NULL */
    /* Called for every generated token that is not a stop token, in order; return false to stop
     * (FINISH_CALLBACK; the token counts as generated). May be NULL. */
    bool (*on_token)(void *ctx, int32_t token);
    /* Called once, right before prefill begins. May be NULL. */
    void (*on_prefill)(void *ctx);
    void *ctx;
};

struct generate_result {
    size_t n_prompt;      /* tokens of the prompt */
    size_t n_cached;      /* of them taken from the session's cache */
    size_t n_shifted;     /* of these approximately (generate_request.approximate) */
    size_t n_generated;   /* tokens given to on_token; the stop token is not one */
    enum finish_reason finish;
    double prefill_ms;    /* the prompt's evaluation */
    double first_token_ms; /* from the call to the first token's on_token */
    double decode_ms;     /* from the first token to the last */
    /* Speculation; 0 where it was off. */
    size_t n_passes;   /* forward passes after the prompt's */
    size_t n_drafted;  /* tokens that these checked ahead */
    size_t n_accepted; /* of them those that the text went on with */
    double draft_ms;   /* of decode_ms spent on drafting */
};

/* How many of a prompt's tokens session_generate would take from the session's cache. */
size_t session_cached(const struct session *s, const int32_t *tokens, size_t n);

/* A passed deadline and a raised cancel flag are no errors: they return OK and a finish reason. After
 * any outcome the session can be used again. */
enum status session_generate(struct session *s, const struct generate_request *req,
                             struct generate_result *res, struct error *err);

/* Evaluates a prompt ahead of the request for it, beside what the session holds, which stays usable:
 * session_generate takes from either, whatever holds the longer beginning. Stops within one stage
 * when *cancel is raised (may be NULL) or the deadline has passed (0 = none, as in
 * generate_request); what was evaluated by then is kept, but for the last 64 tokens at most. *ready
 * is how many tokens the session holds. A session keeps one such prompt; its pages are shared with
 * the other timeline as far as the texts agree. */
enum status session_prepare(struct session *s, const int32_t *tokens, size_t n, double deadline_ms,
                            const volatile int *cancel, size_t *ready, struct error *err);

/* Natural-log probability of each token given those before it: out[0] is NaN, out[i] = ln p(t_i |
 * t_0..t_i-1). Starts from an empty timeline. ERR_LIMIT when n > n_ctx. */
enum status session_score(struct session *s, const int32_t *tokens, size_t n, double *out,
                          struct error *err);

#endif
