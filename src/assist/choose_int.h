/* Inside of choosing: the list of answers, what writes others, what scores them. */
#ifndef HEARTH_ASSIST_CHOOSE_INT_H
#define HEARTH_ASSIST_CHOOSE_INT_H

#include "assist/choose.h"

struct choose_list {
    const struct choose_input *in;
    struct choose_result *out;
    bool by_indent;
};

/* Adds a text without the blanks at its end, unless it is there or there is no room. */
void choose_add(struct choose_list *l, const char *text, size_t len);

/* Adds the text up to each place where the rest of the cursor's line stands, at most `max`. */
void choose_add_rests(struct choose_list *l, const char *text, size_t len, int max);

/* The ids of text as it stands behind the cursor's line. */
enum status choose_encode(const struct choose_list *l, const char *text, size_t len,
                          struct token_list *out, struct error *err);

/* How likely the first answer's tokens are, and what else each could have been. */
enum { DOUBT_TOKENS = 96 };
struct choose_doubt {
    struct token_list own; /* what is typed, and the answer */
    size_t n;              /* of them looked at */
    size_t typed;          /* of them before the answer's second token, about */
    float logprobs[DOUBT_TOKENS], other_logprobs[DOUBT_TOKENS];
    int32_t others[DOUBT_TOKENS];
};
enum status choose_doubt_init(const struct choose_list *l, struct choose_doubt *d,
                              struct error *err);
void choose_doubt_fini(struct choose_doubt *d);

/* Other answers than the first one: written by the model, cut by the rules. */
enum status choose_grow(struct choose_list *l, const struct choose_doubt *d, struct error *err);

/* Scores the answers that nothing speaks against; all of them where something speaks against each
 * one. */
enum status choose_score(struct choose_list *l, struct error *err);

/* Nothing speaks against it; what is not known does not. */
bool choose_fits(const struct choose_list *l, const struct choice *c);

#endif
