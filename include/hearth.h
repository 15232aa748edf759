/* Hearth: run a local language model from C or C++.
 *
 *     struct hearth_error err;
 *     struct hearth_engine *engine;
 *     struct hearth_session *session;
 *     if (hearth_engine_open("model.gguf", NULL, &engine, &err) != HEARTH_OK ||
 *         hearth_session_create(engine, 0, &session, &err) != HEARTH_OK) {
 *         fprintf(stderr, "%s\n", err.message);
 *         return 1;
 *     }
 *     struct hearth_request req;
 *     hearth_request_init(&req);
 *     req.prompt = "def fibonacci(n):";
 *     req.prompt_len = strlen(req.prompt);
 *     req.on_text = print_text;
 *     hearth_generate(session, &req, NULL, &err);
 *     hearth_session_destroy(session);
 *     hearth_engine_close(engine);
 *
 * An engine is a loaded model with its tokenizer; any number of threads may share it. A session is
 * one timeline of tokens; one thread uses it at a time. A session keeps what it has evaluated: a
 * prompt that begins like the last one costs only the rest. Sessions end before their engine.
 *
 * Nothing here prints, exits, or keeps a pointer to an argument after the call, unless it says so.
 */
#ifndef HEARTH_H
#define HEARTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hearth_status {
    HEARTH_OK = 0,
    HEARTH_ERR_NOMEM,       /* out of memory */
    HEARTH_ERR_IO,          /* the operating system refused */
    HEARTH_ERR_FORMAT,      /* a file breaks its format's rules */
    HEARTH_ERR_UNSUPPORTED, /* well-formed, but not implemented here */
    HEARTH_ERR_INVALID,     /* an argument makes no sense */
    HEARTH_ERR_NOT_FOUND,   /* no such file */
    HEARTH_ERR_LIMIT,       /* larger than the context or than a documented maximum */
    HEARTH_ERR_OTHER
};

/* Filled by a function that does not return HEARTH_OK, where the pointer to it is not NULL. */
struct hearth_error {
    enum hearth_status code;
    char message[768]; /* one line of UTF-8: what, where, and what to do */
};

/* "0.1.0" */
const char *hearth_version(void);

/* ---- engine ---------------------------------------------------------------------------------- */

struct hearth_engine;

struct hearth_engine_options {
    int n_threads;         /* 0: all physical cores */
    const char *cache_dir; /* keeps weights in the layout of this machine's processor, so that the
                              next start is quick; NULL: nowhere */
    /* Called now and then while weights are brought into that layout; may be NULL. */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
};

struct hearth_model_info {
    const char *architecture; /* lives as long as the engine */
    uint64_t n_params;
    uint64_t weight_bytes;
    size_t n_vocab;
    size_t n_ctx_train; /* longest context the model was made for */
    int n_threads;      /* that the engine computes with */
};

/* Opens a GGUF file. `options` may be NULL. On failure *out is NULL. */
enum hearth_status hearth_engine_open(const char *path, const struct hearth_engine_options *options,
                                      struct hearth_engine **out, struct hearth_error *err);
void hearth_engine_close(struct hearth_engine *engine); /* NULL is fine */
void hearth_engine_info(const struct hearth_engine *engine, struct hearth_model_info *info);

enum {
    HEARTH_PARSE_SPECIAL = 1, /* control tokens' text becomes the token; else it stays text */
    HEARTH_ADD_BOS = 2        /* begin with BOS where the model asks for it */
};

/* Writes the text's token ids to ids[0 .. cap-1] and their number to *n. With more tokens than cap
 * HEARTH_ERR_LIMIT is returned, *n is set, and nothing is written (cap 0: only count). */
enum hearth_status hearth_tokenize(const struct hearth_engine *engine, const char *text, size_t len,
                                   unsigned flags, int32_t *ids, size_t cap, size_t *n,
                                   struct hearth_error *err);

/* Writes the bytes that a token stands for to dst and returns their number; where that exceeds cap
 * nothing is written. They need not be whole UTF-8 characters. Control tokens give their text only
 * if `special`. */
size_t hearth_token_text(const struct hearth_engine *engine, int32_t token, bool special, char *dst,
                         size_t cap);

/* ---- session --------------------------------------------------------------------------------- */

struct hearth_session;

/* n_ctx: tokens of prompt and answer together; 0: 4096, or the model's own context if smaller.
 * HEARTH_ERR_LIMIT above the model's own. */
enum hearth_status hearth_session_create(struct hearth_engine *engine, size_t n_ctx,
                                         struct hearth_session **out, struct hearth_error *err);
void hearth_session_destroy(struct hearth_session *session); /* NULL is fine */

struct hearth_logit_bias {
    int32_t token;
    float bias; /* added to the logit; -INFINITY bans the token */
};

enum hearth_finish {
    HEARTH_FINISH_STOP,     /* the model ended the text, or a stop token did */
    HEARTH_FINISH_LENGTH,   /* max_tokens or the context is used up */
    HEARTH_FINISH_CALLBACK, /* on_text or on_token returned false */
    HEARTH_FINISH_DEADLINE,
    HEARTH_FINISH_CANCELLED
};

struct hearth_request {
    /* Either text, which is tokenized with BOS where the model asks for it, ... */
    const char *prompt;
    size_t prompt_len;
    bool parse_special;
    /* ... or, where not NULL, tokens as they are. */
    const int32_t *tokens;
    size_t n_tokens;

    size_t max_tokens;
    float temperature;       /* 0: always the most probable token */
    int32_t top_k;           /* 0: off */
    float top_p;             /* 1: off */
    float min_p;             /* 0: off */
    float repeat_penalty;    /* 1: off */
    float presence_penalty;  /* 0: off */
    float frequency_penalty; /* 0: off */
    int32_t penalty_last_n;  /* -1: all tokens */
    uint64_t seed; /* the same seed gives the same text on every machine and thread count */
    const struct hearth_logit_bias *bias;
    size_t n_bias;
    const int32_t *stop; /* tokens that end the text besides the model's own */
    size_t n_stop;

    double deadline_ms;         /* from the call; 0: none */
    const volatile int *cancel; /* set it from anywhere to nonzero to stop; may be NULL */

    /* Called with the new text as soon as it is whole UTF-8 characters, not NUL-terminated, and for
     * each generated token; return false to stop. May be NULL. */
    bool (*on_text)(void *ctx, const char *text, size_t len);
    bool (*on_token)(void *ctx, int32_t token);
    void *ctx;
};

struct hearth_result {
    size_t n_prompt;    /* tokens of the prompt */
    size_t n_cached;    /* of them already evaluated by an earlier call */
    size_t n_generated; /* without the stop token */
    enum hearth_finish finish;
    double prefill_ms, first_token_ms, decode_ms;
};

/* Greedy, 128 tokens, everything else off or empty. */
void hearth_request_init(struct hearth_request *req);

/* Continues the prompt. A prompt that does not fit the context is HEARTH_ERR_LIMIT; nothing is ever
 * cut. A deadline or a cancellation is a result, no error. `res` may be NULL. */
enum hearth_status hearth_generate(struct hearth_session *session, const struct hearth_request *req,
                                   struct hearth_result *res, struct hearth_error *err);

/* logprobs[i] = ln p(tokens[i] | tokens[0 .. i-1]); logprobs[0] is NaN. Forgets what the session
 * held. */
enum hearth_status hearth_score(struct hearth_session *session, const int32_t *tokens, size_t n,
                                double *logprobs, struct hearth_error *err);

#ifdef __cplusplus
}
#endif

#endif
