/* Fill-in-the-middle prompts: which template a model was trained with, and the prompt's token ids
 * for the text before and after a hole, cut to fit where it must be.
 *
 * Control tokens enter the prompt by id only. The user's text is encoded so that it never becomes
 * one, even where the file being edited spells a control token out. */
#ifndef HEARTH_ASSIST_FIM_H
#define HEARTH_ASSIST_FIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "assist/fim_families.h"
#include "assist/ring.h"
#include "base/status.h"
#include "text/tokenizer.h"

enum { FIM_MAX_STOP = 16 };

/* A family bound to one model's vocabulary. */
struct fim_template {
    const char *name; /* the family's, or "metadata" where only the ids are known */
    enum fim_order order;
    int32_t bos;                                /* put in front, or TOKEN_NONE */
    int32_t prefix, suffix, middle, repo, file; /* TOKEN_NONE where there is none */
    int32_t stop[FIM_MAX_STOP];                 /* any of them ends the hole */
    size_t n_stop;
};

/* Finds the template: by the registry's token texts, else by the ids that the model file names.
 * ERR_UNSUPPORTED, naming the model and what to use instead, where it has none. */
enum status fim_detect(const struct tokenizer *t, const char *model_name, struct fim_template *out,
                       struct error *err);

struct fim_input {
    const char *prefix; /* text before the hole; any bytes */
    size_t prefix_len;
    const char *suffix;
    size_t suffix_len;
    const char *file_name; /* header, for families that have one; NULL = none */
    size_t max_tokens;     /* the whole prompt's limit */
    /* Other files' text in front: those that fit into context_tokens, the last ones first, in their
     * order. NULL = none. */
    const struct context_item *context;
    size_t n_context, context_tokens;
    const char *repository; /* header, for families that have one; NULL = none */
};

/* Zero-initialise; free with fim_prompt_fini. */
struct fim_prompt {
    struct token_list tokens;
    size_t prefix_tokens, suffix_tokens; /* of the user's text, without control tokens */
    size_t context_tokens;               /* of other files */
    size_t prefix_at; /* where the prefix's tokens end: a text that goes on from there is what the
                       * model would write without a look at the suffix */
    bool truncated;
    size_t prefix_start; /* bytes of the prefix that were left out, from its start */
    size_t suffix_end;   /* bytes of the suffix that were kept, from its start */
    size_t prefix_lines_dropped, suffix_lines_dropped; /* line ends in what was left out */
};

/* Appends the prompt's ids. What does not fit in max_tokens is cut off the prefix's start (at a
 * line start) and the suffix's end (at a line end); inside a line only where the line itself does
 * not fit. The suffix gets what the prefix leaves, at least a quarter. ERR_LIMIT when not even
 * FIM_MIN_TEXT tokens of text fit. */
enum { FIM_MIN_TEXT = 16 };
enum status fim_build(const struct fim_template *f, const struct tokenizer *t,
                      const struct fim_input *in, struct fim_prompt *out, struct error *err);
void fim_prompt_fini(struct fim_prompt *p);

/* Appends the ids of text that goes on behind a prompt, which holds no control token whatever it
 * spells out. */
enum status fim_encode(const struct fim_template *f, const struct tokenizer *t, const char *text,
                       size_t len, struct token_list *out, struct error *err);

/* How many tokens were left out on each side. Counted, but for texts longer than a MiB, of which
 * the first MiB is counted and the rest estimated from it. Costs as much as encoding them. */
enum status fim_count_dropped(const struct fim_template *f, const struct tokenizer *t,
                              const struct fim_input *in, const struct fim_prompt *p,
                              size_t *prefix_tokens, size_t *suffix_tokens, struct error *err);

#endif
