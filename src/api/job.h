/* A request for text: one or several prompts, each continued by one or several choices, written as
 * one dialect's answer, whole or as a stream.
 *
 * An endpoint creates a job, fills it from the request's JSON and starts it; the scheduler's thread
 * then calls the job's format, which writes. A client that leaves cancels it within one step. */
#ifndef HEARTH_API_JOB_H
#define HEARTH_API_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api_int.h"
#include "api/read.h"
#include "infer/scheduler.h"
#include "text/tokenizer.h"

struct job;
struct fill_hole;

enum { JOB_MAX_PARTS = 64, JOB_MAX_CHOICES = 128, JOB_MAX_TOOLS = 64 };

struct job_token {
    int32_t id;
    float logprob;
    size_t offset; /* in the choice's text */
    size_t n_top;
    struct sched_alternative *top; /* owned */
};

struct job_tool {
    char id[48];
    char *name;           /* owned */
    struct buf arguments; /* JSON text */
};

enum piece_kind { PIECE_TEXT, PIECE_REASONING, PIECE_TOOL_BEGIN, PIECE_TOOL_ARGS };

struct job_choice {
    struct buf text, reasoning; /* whole so far; without tool calls */
    struct job_tool *tools;
    size_t n_tools;
    struct job_token *tokens; /* where the job keeps them */
    size_t n_tokens, cap_tokens;
    enum finish_reason finish;
    int stop_text;      /* index into job.stops, or -1 */
    int32_t stop_token; /* or TOKEN_NONE */
    size_t n_generated;
    size_t said; /* the format's own: bytes or events so far */
    /* Where the text is taken apart: */
    struct chat_parser *parser;
    struct buf filled; /* of a hole: what the model wrote so far */
    bool full;         /* a rule ended it */
    size_t near_end;   /* bytes of `filled` when a hole's own rules had ended it; 0 = not yet */
    bool led;          /* the job's lead went in */
    struct job *job;
    size_t given_tokens; /* of `tokens`, those that pieces had */
    char held[8];        /* the beginning of a character */
    size_t n_held;
    enum piece_kind held_kind;
};

/* News of one choice, for streams. */
struct job_piece {
    size_t choice;
    enum piece_kind kind;
    const char *text; /* valid UTF-8; arguments' JSON for PIECE_TOOL_ARGS */
    size_t len;
    size_t tool; /* which of the choice's tools */
    const struct job_token *tokens;
    size_t n_tokens;
};

/* All are called on the scheduler's thread. */
struct job_format {
    void (*begin)(struct job *j); /* a stream's first words; may be NULL */
    void (*piece)(struct job *j, const struct job_piece *p); /* streams only */
    void (*part_done)(struct job *j, size_t first,
                      size_t n); /* streams: choices that ended; may be NULL */
    void (*end)(struct job *j);  /* all ended well: the answer, or the stream's last words */
};

struct job_part {
    struct job *job;
    struct token_list prompt;
    size_t first;            /* of its choices */
    _Atomic uint64_t ticket; /* 0: not submitted yet */
    double queue_ms, prefill_ms, first_token_ms, decode_ms;
    size_t n_cached;
};

struct job {
    struct call *c;
    struct http_request *r; /* a reference */
    struct loaded_model *m; /* held */
    const struct job_format *format;
    void *state;                     /* the format's */
    void (*state_free)(void *state); /* NULL: free() */
    char id[64];
    int64_t created; /* seconds since 1970 */
    double started;  /* clock_now() */
    bool stream;
    double keep_alive; /* NAN: unchanged */

    /* What is asked for; prompts are in the parts. `q` is completed by job_start. */
    struct sched_request q;
    struct text_str *stops;       /* owned texts */
    size_t n_stops, n_own_stops;  /* the last ones are not the request's, but the model's */
    struct logit_bias *bias;      /* owned */
    struct grammar *grammar;      /* a reference, or NULL */
    struct token_list prediction; /* what the answer is expected to repeat */
    struct token_span predicted;  /* of it */
    /* Answers are taken apart where this is not NULL; calls of tools only with `tools`. */
    const struct chat_syntax *syntax;
    bool tools;
    struct fill_hole *hole; /* owned: the answer is cut to fit (fill.h); or NULL */
    const char *chat_stop;  /* ends the answer besides the stops; borrowed; or NULL */
    struct buf lead;        /* what the answer begins with, at the prompt's end */
    struct buf prompt_end;  /* of the rendered conversation */
    bool explicit_max;
    size_t n_ctx; /* of prompt and answer: the model's, or less where the request says so */
    bool keep_tokens;
    bool echo;
    size_t n; /* choices of each part */

    struct job_part parts[JOB_MAX_PARTS];
    size_t n_parts;
    atomic_size_t n_pending;    /* parts that are not over */
    struct job_choice *choices; /* [n_parts * n] */
    size_t n_choices;

    atomic_int refs;
    atomic_bool gone;
    bool begun;
    pthread_mutex_t lock; /* of the next two */
    struct error error;   /* the first of a part */
    atomic_bool failed;
    size_t n_prompt, n_cached, n_generated; /* of all parts */
    size_t n_drafted, n_accepted;           /* tokens checked ahead, and of them right ones */
};

/* Acquires the model that the request names (NULL: none named) for a job of this call. On failure
 * the call has been answered and the result is NULL. */
struct job *job_create(struct call *c, const char *model, const struct job_format *format);
void job_unref(struct job *j);

/* Sampling, stop texts, logit biases and the seed by the names that OpenAI, Ollama's options and
 * llama.cpp share. */
void job_read_sampling(struct job *j, struct reader *rd);
/* num_ctx and num_predict of the model's name, before the request's own are read; for job.c. */
void job_apply_limits(struct job *j);
void job_read_stops(struct job *j, struct reader *rd, const char *key);
/* OpenAI's `prediction`: a text that much of the answer is expected to repeat, to draft from. */
void job_read_prediction(struct job *j, struct reader *rd);

/* Adds a part; its prompt is filled by the caller. NULL past JOB_MAX_PARTS. */
struct job_part *job_add_part(struct job *j);
/* Adds a text as a prompt. */
enum status job_add_prompt(struct job *j, const char *text, size_t len, bool parse_special,
                           struct error *err);
/* The same for a rendered conversation and its marks (talk_render). */
enum status job_add_marked(struct job *j, const char *text, size_t len, const char *marks,
                           struct error *err);
/* A prompt as OpenAI and llama.cpp take it: a string, an array of token ids, an array of either
 * (several prompts). */
enum status job_add_prompts(struct job *j, const json_t *prompt, struct error *err);

/* Submits all parts; answers the call where that fails. Takes the caller's reference. */
void job_start(struct job *j);
/* Answers with an error and drops the caller's reference. */
void job_fail(struct job *j, const struct error *err);

/* ---- job_text.c: from a choice's text to pieces; for job.c, the last for fill.c */
enum status job_make_parsers(struct job *j);
enum status job_take_text(struct job *j, struct job_choice *ch, const char *text, size_t len);
enum status job_end_text(struct job *j, struct job_choice *ch);
enum status job_put_text(struct job *j, struct job_choice *ch, const char *text, size_t len);

/* "stop", "length": OpenAI's words. */
const char *job_finish_word(const struct job_choice *ch);
/* Milliseconds of all parts: the slowest prompt, the longest text. */
struct job_times {
    double queue_ms, prefill_ms, first_token_ms, decode_ms, total_ms;
};
struct job_times job_times(const struct job *j);

/* Writes a JSON event of a stream and frees it. */
void job_sse(struct job *j, const char *event, json_t *data);
void job_ndjson(struct job *j, json_t *line);
/* A token's text as JSON, and as an array of bytes. */
json_t *job_token_text(const struct job *j, int32_t id);
json_t *job_token_bytes(const struct job *j, int32_t id);

#endif
