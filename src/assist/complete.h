/* One completion: the text around a hole in, the text that belongs into it out.
 *
 * A completer binds a session to its model's fill-in-the-middle template. Used by one thread at a
 * time, as the session is. It remembers the prompts of the requests before (see anchor.h): while
 * text is typed at the same place, a request costs what was typed and not the file. */
#ifndef HEARTH_ASSIST_COMPLETE_H
#define HEARTH_ASSIST_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

#include "assist/anchor.h"
#include "assist/fim.h"
#include "assist/ring.h"
#include "assist/trim.h"
#include "base/status.h"
#include "infer/engine.h"

/* Tokens of text that may stand between an anchor's point and the cursor. */
enum { COMPLETE_TYPED_TOKENS = 96 };

struct completer {
    const struct tokenizer *tokenizer; /* borrowed */
    struct session *session;           /* borrowed */
    struct fim_template fim;
    size_t max_typed; /* COMPLETE_TYPED_TOKENS unless changed; 0: only a fresh anchor's own */
    bool whole_line;  /* the prompt's prefix ends at the cursor, not at its line's start */
    struct anchor anchors[2]; /* the newest first */
};

/* ERR_UNSUPPORTED where the model cannot fill in; `model_name` is for that message. */
enum status completer_init(struct completer *c, const struct tokenizer *t, struct session *s,
                           const char *model_name, struct error *err);
void completer_fini(struct completer *c);

/* What a request used of those before. */
enum complete_reuse {
    REUSE_NONE,   /* its prompt was made anew; what begins like an earlier one is still cached */
    REUSE_ANCHOR, /* an earlier prompt, with what was typed since behind it */
};
const char *complete_reuse_name(enum complete_reuse r); /* "none", "anchor" */

/* How much is computed for the best answer. */
enum complete_effort {
    EFFORT_BEST, /* several answers where the first one is in doubt, compared by how well the text
                  * behind the hole follows them (choose.h) */
    EFFORT_FAST, /* the most likely tokens, one after the other */
};

struct complete_request {
    const char *prefix; /* text before the cursor, UTF-8; lines end with \n or \r\n */
    size_t prefix_len;
    const char *suffix;
    size_t suffix_len;
    const char *file_name; /* tells the model what is edited, where it can be told; or NULL */
    const char *path;      /* tells the language; is not in the prompt. NULL = file_name */
    /* Other files' text, put in front as the family marks it, whole ones while they fit into
     * context_share of the prompt. Texts and order should change rarely: what follows a change is
     * read again. */
    const struct context_item *context;
    size_t n_context;
    double context_share;   /* 0 = 0.25 */
    const char *repository; /* its name; or NULL */
    enum complete_effort effort;
    unsigned without;   /* techniques (technique.h) that are left out */
    size_t max_tokens;  /* to generate, >= 1 */
    double deadline_ms; /* from the call; 0 = none */
    struct sample_params sample;
    enum trim_mode mode;
    bool approximate;           /* see generate_request: faster after edits elsewhere, not exact */
    const volatile int *cancel; /* nonzero: stop soon with finish "cancelled"; may be NULL */
    void (*on_prefill)(void *ctx); /* right before the model reads the prompt; may be NULL */
    /* The text so far, as it would be if it ended here; it may shrink again. Not called with \r\n.
     * May be NULL. */
    void (*on_text)(void *ctx, const char *text, size_t len);
    void *ctx;
};

struct complete_result {
    char *text; /* owned, NUL-terminated, valid UTF-8; line ends as in the file */
    size_t len;
    size_t prompt_tokens, cached_tokens, completion_tokens;
    size_t shifted_tokens; /* of cached_tokens, those taken approximately */
    size_t typed_tokens;   /* of the prompt: between the anchor's point and the cursor */
    enum complete_reuse reuse;
    enum finish_reason finish; /* never FINISH_CALLBACK */
    size_t n_candidates;       /* answers that were compared; 0: there was one */
    const char *stopped_by; /* "chosen": another answer than the first, "end_token", a trim rule's
                               name, "length", "deadline", "cancelled" */
    bool truncated;         /* not all of the text around the hole fitted into the context */
    size_t prefix_tokens_dropped, suffix_tokens_dropped;
    size_t prefix_lines_dropped, suffix_lines_dropped;
    double prepare_ms;                            /* building the prompt */
    double prefill_ms, first_token_ms, decode_ms; /* first_token_ms counts from the call to
                                                   * the first text behind the cursor */
};

/* ERR_LIMIT when the context cannot hold max_tokens and some text; a passed deadline and a raised
 * cancel flag are no errors: what there is so far is the result. */
enum status complete_run(struct completer *c, const struct complete_request *req,
                         struct complete_result *res, struct error *err);
void complete_result_fini(struct complete_result *res);

struct complete_ahead {
    size_t prompt_tokens; /* of the anchor that the text will want next */
    size_t ready_tokens;  /* of them held by the session now */
    bool ready;           /* all of them */
    double ms;
};

/* Gets ready for a request at this place while nothing else is to do: evaluates the anchor that a
 * fresh request would make, which moves down as lines are typed, beside the one in use. Of the
 * request only the text, file_name, max_tokens, deadline_ms and cancel count; cancel takes effect
 * within one stage, and what was evaluated by then stays. A request before the new anchor is ready
 * still finds the old one. */
enum status complete_prepare(struct completer *c, const struct complete_request *req,
                             struct complete_ahead *res, struct error *err);

#endif
