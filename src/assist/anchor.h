/* Anchors: prompts whose keys and values a session holds, to be used again while their text goes on
 * being typed.
 *
 * A fill-in-the-middle prompt holds the text after the hole behind the text before it. A character
 * typed at the hole would move all that follows and make the session compute it anew. An anchor
 * therefore ends at a point before the cursor, and what stands between this point and the cursor
 * goes behind the prompt's middle token, as the beginning of the answer: prefix and suffix stay
 * where they are. A fresh anchor's point is the start of the cursor's line, so that the prompt, and
 * with it the answer, of a position is the same however the text came to be typed. */
#ifndef HEARTH_ASSIST_ANCHOR_H
#define HEARTH_ASSIST_ANCHOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "assist/fim.h"
#include "base/status.h"

enum {
    ANCHOR_LINE_BYTES = 240,   /* in a longer line the anchor's point is the cursor */
    ANCHOR_TYPED_BYTES = 1024, /* more text than this behind an anchor is never looked at */
};

/* Zero-initialise; free with anchor_fini. */
struct anchor {
    char *text; /* owned: the parts of prefix and suffix that are in the prompt; NULL = no anchor */
    size_t head_len, tail_len;
    size_t point;      /* bytes of the whole prefix */
    size_t suffix_len; /* of the whole suffix */
    char *file_name;   /* owned; NULL = none */
    uint64_t context;  /* hash of the other files' texts */
    struct fim_prompt prompt;
    bool counted; /* the numbers of dropped tokens are known */
    size_t prefix_tokens_dropped, suffix_tokens_dropped;
};

/* The point of a fresh anchor for a prefix. */
size_t anchor_point(const char *prefix, size_t len);

/* Makes the anchor that ends at in->prefix_len, the prompt at most in->max_tokens long. */
enum status anchor_init(struct anchor *a, const struct fim_template *f, const struct tokenizer *t,
                        const struct fim_input *in, struct error *err);
void anchor_fini(struct anchor *a);

/* Whether the text is the anchor's with at most ANCHOR_TYPED_BYTES behind its point; *typed is how
 * many. */
bool anchor_fits(const struct anchor *a, const struct fim_input *in, size_t *typed);

/* Appends the ids of what is typed behind an anchor's point (at most ANCHOR_TYPED_BYTES), but for
 * the last token, whose bytes *begin points at: the cursor may stand inside what the model would
 * write as one token ("retu" and not "ret", "u"), so it is left to the model. *n_begin is 0 where
 * nothing is typed or the last token's bytes are not those that end the text. */
enum status anchor_follow(const struct fim_template *f, const struct tokenizer *t,
                          const char *typed, size_t len, struct token_list *out, const char **begin,
                          size_t *n_begin, struct error *err);

/* Counts the tokens that did not fit, once; `in` is a text that the anchor fits. */
enum status anchor_count_dropped(struct anchor *a, const struct fim_template *f,
                                 const struct tokenizer *t, const struct fim_input *in,
                                 struct error *err);

#endif
