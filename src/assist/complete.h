/* One completion: the text around a hole in, the text that belongs into it out.
 *
 * A completer binds a session to its model's fill-in-the-middle template. Used by one thread at a
 * time, as the session is; a later request that shares the beginning of its prompt with the one
 * before reuses the session's cache. */
#ifndef HEARTH_ASSIST_COMPLETE_H
#define HEARTH_ASSIST_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

#include "assist/fim.h"
#include "assist/trim.h"
#include "base/status.h"
#include "infer/engine.h"

struct completer {
    const struct tokenizer *tokenizer; /* borrowed */
    struct session *session;           /* borrowed */
    struct fim_template fim;
};

/* ERR_UNSUPPORTED where the model cannot fill in; `model_name` is for that message. */
enum status completer_init(struct completer *c, const struct tokenizer *t, struct session *s,
                           const char *model_name, struct error *err);

struct complete_request {
    const char *prefix; /* text before the cursor, UTF-8; lines end with \n or \r\n */
    size_t prefix_len;
    const char *suffix;
    size_t suffix_len;
    const char *file_name; /* tells the model what is edited, where it can be told; or NULL */
    size_t max_tokens;     /* to generate, >= 1 */
    double deadline_ms;    /* from the call; 0 = none */
    struct sample_params sample;
    enum trim_mode mode;
    const volatile int *cancel;    /* nonzero: stop soon with finish "cancelled"; may be NULL */
    void (*on_prefill)(void *ctx); /* right before the model reads the prompt; may be NULL */
    void *ctx;
};

struct complete_result {
    char *text; /* owned, NUL-terminated, valid UTF-8; line ends as in the file */
    size_t len;
    size_t prompt_tokens, cached_tokens, completion_tokens;
    enum finish_reason finish; /* never FINISH_CALLBACK */
    const char *stopped_by; /* "end_token", a trim rule's name, "length", "deadline", "cancelled" */
    bool truncated;         /* not all of the text around the hole fitted into the context */
    size_t prefix_tokens_dropped, suffix_tokens_dropped;
    size_t prefix_lines_dropped, suffix_lines_dropped;
    double prepare_ms;                            /* building the prompt */
    double prefill_ms, first_token_ms, decode_ms; /* first_token_ms counts from the call */
};

/* ERR_LIMIT when the context cannot hold max_tokens and some text; a passed deadline and a raised
 * cancel flag are no errors: what there is so far is the result. */
enum status complete_run(struct completer *c, const struct complete_request *req,
                         struct complete_result *res, struct error *err);
void complete_result_fini(struct complete_result *res);

#endif
