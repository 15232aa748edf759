/* Inside of assist: from a request to the tokens that the session is asked to continue. */
#ifndef HEARTH_ASSIST_COMPLETE_INT_H
#define HEARTH_ASSIST_COMPLETE_INT_H

#include "assist/complete.h"

struct complete_plan {
    struct anchor *anchor; /* of the completer */
    enum complete_reuse reuse;
    struct token_list tokens; /* the anchor's prompt and what was typed behind it */
    const char *begin;        /* the last typed token's bytes, left to the model; borrowed */
    size_t n_begin;
};

/* The cheapest prompt for a text (line ends are \n): an earlier anchor with what was typed since,
 * where the session holds it, else a fresh one, which the completer then remembers. */
enum status complete_plan_make(struct completer *c, const struct fim_input *in, size_t max_tokens,
                               struct complete_plan *out, struct error *err);
/* The fresh anchor for a text, remembered; *out belongs to the completer. */
enum status complete_plan_ahead(struct completer *c, const struct fim_input *in, size_t max_tokens,
                                struct anchor **out, struct error *err);
void complete_plan_fini(struct complete_plan *p);

#endif
