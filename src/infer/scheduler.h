/* Many requests on one engine at once: continuous batching.
 *
 * A scheduler owns a thread, a pool of KV pages and a cache of prompt beginnings. Its thread makes
 * steps; each step is one forward pass over rows of many requests: first one row (or a checked
 * draft) of every text that is being written, then pieces of prompts as far as the step's time
 * allows. A row's result does not depend on the batch it came in, so a request's text is the same
 * alone and among others, whether it was put off, recomputed or found in the cache.
 *
 * After Yu et al. 2022, "Orca" (iteration-level scheduling); Kwon et al. 2023, arXiv:2309.06180
 * (paged KV cache, preemption); Agrawal et al. 2023, arXiv:2308.16369 (chunked prefill beside
 * decodes); Shreedhar, Varghese 1995 (deficit round robin). See docs/scheduling.md. */
#ifndef HEARTH_INFER_SCHEDULER_H
#define HEARTH_INFER_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "infer/engine.h"
#include "text/tokenizer.h"

struct scheduler;
struct sched_pages;
struct branch_base;

/* Classes go before each other in this order; none waits for ever (ageing_ms). */
enum sched_class {
    SCHED_COMPLETION, /* short and interactive: an editor waits */
    SCHED_CHAT,
    SCHED_BACKGROUND, /* nobody watches: indexing, evaluation */
    SCHED_CLASSES
};

enum {
    SCHED_MAX_SAMPLES = 64,
    SCHED_MAX_TOP = 20,         /* alternatives of a token */
    SCHED_MAX_STOPS = 64,       /* stop tokens, and stop texts */
    SCHED_MAX_STOP_TEXT = 1024, /* bytes of one */
    SCHED_MAX_CLIENT = 128,     /* bytes of a client's name, and of a salt */
};

/* Zeroed: all defaults. */
struct sched_options {
    size_t n_ctx;       /* positions of a request, prompt and answer; 0 = min(4096, the model's) */
    size_t kv_tokens;   /* positions of all requests and of the cache; 0 = as kv_bytes says */
    uint64_t kv_bytes;  /* 0 = eight contexts, but at most an eighth of the machine's memory */
    size_t max_running; /* texts that take part in steps at once; 0 = 64, at most 512 */
    size_t max_waiting; /* requests beyond those; 0 = 1024 */
    size_t max_rows;    /* of one step; 0 = 512, the largest */
    double step_ms;     /* a step's time while somebody's text is being written; 0 = 100 */
    double ageing_ms;   /* a class that gets nothing for so long has a part of a step; 0 = 1000 */
    bool no_cache;      /* pages are not kept for later requests */
    /* Of an ended scheduler, or NULL: its kept beginnings, where that one had the same model file
     * and options. Taken over by scheduler_create, whatever comes of it. */
    struct sched_pages *pages;
};

/* ---- requests ---------------------------------------------------------------------------------
 */

/* Which tokens may come next (a grammar). Every sample has a state of its own; all functions are
 * called on the scheduler's thread. */
struct sched_mask {
    /* `ctx` is sched_request.mask_ctx. On an error the request ends with it. */
    enum status (*create)(void *ctx, size_t sample, void **state, struct error *err);
    void (*destroy)(void *state);
    /* Sets the logits of all tokens that may not come next to -INFINITY. Tokens that end the text
     * (tokenizer_is_end) stay where it may end; with one alone left the text ends. */
    void (*mask)(void *state, float *logits, size_t n_vocab);
    /* The token became part of the text. */
    void (*accept)(void *state, int32_t token);
    /* For a request with `begin`, of which the mask knows nothing: whether the text may go on with
     * the bytes by which a token reaches beyond it, and that it does. NULL: no such requests. */
    bool (*fits)(void *state, const char *bytes, size_t n);
    void (*accept_bytes)(void *state, const char *bytes, size_t n);
};

struct sched_alternative {
    int32_t id;
    float logprob;
};

/* A token of an answer, or of the prompt. */
struct sched_token {
    int32_t id;
    /* Natural logarithm of the model's own probability, before biases, masks and the sampler; NAN
     * where none was asked for, and for a prompt's first token. */
    float logprob;
    const struct sched_alternative *top; /* the most likely tokens, best first */
    size_t n_top;
    size_t text_offset; /* in its sample's text, where its bytes begin */
};

/* A piece of a sample's text, with the tokens whose bytes begin in it or in what was given before.
 * Where no tokenizer is (tests) or a token has no text, `text` is empty. */
struct sched_chunk {
    size_t sample;    /* 0 to n - 1 */
    const char *text; /* whole UTF-8 characters, but for bytes that can be no part of one */
    size_t n_text;
    const struct sched_token *tokens;
    size_t n_tokens;
};

struct sched_sample {
    enum finish_reason finish;
    int stop_text;      /* which of the request's stop texts ended it; -1: none */
    int32_t stop_token; /* which token ended it; TOKEN_NONE: none */
    size_t n_generated; /* tokens drawn, a stop token not counted */
    double logprob;     /* sum over its tokens; 0 where none was asked for */
};

struct sched_result {
    enum status status; /* not OK: the request failed, and `error` says why */
    const struct error *error;
    enum finish_reason finish;          /* of the whole request: that of sample 0 */
    const struct sched_sample *samples; /* [n_samples], the order of sched_chunk.sample */
    size_t n_samples;                   /* 0 where it ended before it began */
    size_t n_prompt, n_cached;          /* tokens of the prompt; of them found computed */
    size_t n_generated;                 /* of all samples, those that best_of dropped too */
    size_t n_drafted, n_accepted;       /* tokens checked ahead; of them right ones */
    size_t n_preempted;                 /* how often pages were taken away and recomputed */
    double queue_ms;                    /* from the submission to the first step with a row of it */
    double prefill_ms;                  /* from there to the prompt's end */
    double first_token_ms;              /* from the submission; 0: no token came */
    double decode_ms;                   /* from the first token to the last */
    double total_ms;                    /* from the submission to the end */
};

/* Zeroed but for the prompt, max_tokens and `sample`: one greedy completion. Everything is copied.
 */
struct sched_request {
    const char *client; /* who asks, for fairness and `supersedes`; NULL = "" */
    /* Beginnings are shared by requests of equal salt only, and how long others' take tells
     * nothing. */
    const void *salt;
    size_t n_salt;
    uint64_t adapter; /* 0 = the model itself; ERR_UNSUPPORTED for others */
    enum sched_class cls;
    /* Ends the same client's earlier requests that have this set too: FINISH_SUPERSEDED. */
    bool supersedes;

    const int32_t
        *prompt; /* >= 1 token; ERR_LIMIT where it leaves no room for one more, nothing is cut */
    size_t n_prompt;
    size_t n;          /* samples; 0 = 1. Sample i is drawn with the seed + i. */
    size_t best_of;    /* drawn, of which the n most likely per token are given at the end; 0 = n */
    size_t max_tokens; /* of each sample; cut to what the context holds. 0: the prompt alone */
    struct sample_params sample;
    bool ignore_end; /* the model's end tokens are never drawn */

    const int32_t *stop; /* tokens that end the text besides the model's own */
    size_t n_stop;
    /* Texts that end it wherever they stand, over tokens' borders; they are not given. What may be
     * the beginning of one is held back until it is known. Empty ones are refused. */
    const struct text_str *stop_text;
    size_t n_stop_text;
    bool special; /* control tokens give their text */
    /* Bytes that the text has to begin with (token healing); they are not given, no stop text
     * matches in them, and a mask holds from behind them. */
    const char *begin;
    size_t n_begin;

    bool logprobs;        /* of the tokens of the answer */
    size_t n_top;         /* alternatives of each, <= SCHED_MAX_TOP */
    bool prompt_logprobs; /* on_prompt gives the prompt's too; it is then computed anew */

    const struct sched_mask *mask; /* may be NULL; borrowed until on_done, as is mask_ctx */
    void *mask_ctx;

    /* Drafts from the prompt, the answer and `corpus` where a step has room for their rows. Same
     * text. */
    bool speculate;
    const struct token_span *corpus;
    size_t n_corpus;
    bool predicts; /* the answer is expected to begin as corpus[0] */

    double deadline_ms; /* from the submission; 0 = none, negative = already over */
    /* A soft limit: once this has passed since the first token, a sample ends with the token that has
     * its next line break (FINISH_DEADLINE). 0 = none. llama.cpp's t_max_predict_ms. */
    double lines_ms;

    /* All are called on the scheduler's thread, in order and never two at once; they must not
     * block, and may call any function of this header but destroy and drain. What they are given is
     * valid during the call. on_done comes exactly once for each request that was submitted, and
     * last. on_text: false ends the request (FINISH_CALLBACK). on_prompt: once, the prompt's
     * tokens. The first and the last may be NULL. */
    bool (*on_text)(void *ctx, const struct sched_chunk *chunk);
    void (*on_prompt)(void *ctx, const struct sched_token *tokens, size_t n);
    /* A sample's text has ended well, all of it was given, and its keys and values are still held:
     * what else could have been said can be looked at (branch.h). Everybody else waits meanwhile.
     * `how` it ended. May be NULL. */
    void (*on_held)(void *ctx, size_t sample, const struct sched_sample *how,
                    const struct branch_base *base);
    void (*on_done)(void *ctx, const struct sched_result *result);
    void *ctx;
};

/* ---- life ---------------------------------------------------------------------------------------
 */

/* `e` is borrowed; sessions of it may be used meanwhile, in turn with the steps. ERR_INVALID,
 * ERR_LIMIT for options that make no sense; ERR_NOMEM. */
enum status scheduler_create(struct engine *e, const struct sched_options *opt,
                             struct scheduler **out, struct error *err);
/* Ends all requests (FINISH_CANCELLED) and jobs; returns when all have been told. NULL is fine. */
void scheduler_destroy(struct scheduler *s);
/* As scheduler_destroy, but hands out the kept beginnings, those unused for longest left out until
 * they have at most max_bytes; NULL where nothing remains. The engine may be closed before they are
 * destroyed. */
struct sched_pages *scheduler_end(struct scheduler *s, uint64_t max_bytes);
uint64_t sched_pages_bytes(const struct sched_pages *p);
void sched_pages_destroy(struct sched_pages *p); /* NULL is fine */
/* From now on submissions are ERR_BUSY. Waits until all requests and jobs have ended, or timeout_ms
 * have passed (negative: for ever); false then. */
bool scheduler_drain(struct scheduler *s, double timeout_ms);

/* Positions of a request at most. */
size_t scheduler_n_ctx(const struct scheduler *s);

/* Any thread. *ticket names the request for scheduler_cancel; it is written before any callback.
 * ERR_BUSY: too many wait, or the scheduler drains; ERR_LIMIT, ERR_INVALID name what is wrong with
 * the request. After an error no callback comes. */
enum status scheduler_submit(struct scheduler *s, const struct sched_request *req, uint64_t *ticket,
                             struct error *err);
/* Any thread: the request ends with FINISH_CANCELLED and gives its pages back within one step.
 * False where no such request is alive (any more). */
bool scheduler_cancel(struct scheduler *s, uint64_t ticket);

/* Other work with the engine (embeddings), done on the scheduler's thread between steps: at most
 * one job a step while requests run, so it should take no longer than a step. With `cancelled` the
 * scheduler ends and nothing is to be done. */
struct sched_job {
    void (*run)(void *ctx, bool cancelled);
    void *ctx;
};
enum status scheduler_run_job(struct scheduler *s, const struct sched_job *job, struct error *err);

/* Forgets all kept beginnings that no request uses, before the next step. */
void scheduler_drop_cache(struct scheduler *s);

/* ---- figures ------------------------------------------------------------------------------------
 */

/* count[i]: values of at most bound[i], but more than bound[i - 1]; the last of count: all above.
 */
enum { SCHED_BUCKETS = 16 };
struct sched_histogram {
    double bound[SCHED_BUCKETS];
    uint64_t count[SCHED_BUCKETS + 1];
    uint64_t n;
    double sum;
};

struct sched_stats {
    size_t waiting[SCHED_CLASSES]; /* requests that have not begun, or were put off */
    size_t running[SCHED_CLASSES]; /* requests with pages */
    size_t jobs;
    size_t pages, pages_free, pages_cached; /* cached: held by the cache alone */
    size_t page_tokens;                     /* positions of a page */
    /* Since the beginning. */
    uint64_t steps, rows, decode_rows, prefill_rows, draft_rows, step_failures;
    uint64_t requests, finished[FINISH_REASONS], failed;
    uint64_t prompt_tokens, cached_tokens, generated_tokens, drafted_tokens, accepted_tokens;
    uint64_t preemptions, evictions; /* samples put off; pages dropped from the cache */
    struct sched_histogram step_rows, step_seconds;
    struct sched_histogram queue_seconds, first_token_seconds, token_seconds, total_seconds;
};
/* Any thread; as after the last step. */
void scheduler_stats(const struct scheduler *s, struct sched_stats *out);

#endif
