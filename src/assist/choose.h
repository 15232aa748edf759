/* Which of several answers: the one that is most likely together with the text behind the hole.
 *
 * A model that fills a hole writes what is likely there, but a small one hardly looks at what comes
 * behind it, and does not know where the hole ends. So other answers are tried: the first one cut
 * at other places, other first tokens, other tokens where the first answer was in doubt, and what
 * the model writes where it sees the prefix alone. Each is scored by its own probability and that
 * of the next lines behind it, ln p(answer) + ln p(next lines | answer), with the suffix in sight
 * and without. That needs no other prompt than the one that is cached, and answers that cannot
 * stand there by indentation or syntax come last. */
#ifndef HEARTH_ASSIST_CHOOSE_H
#define HEARTH_ASSIST_CHOOSE_H

#include "assist/fim.h"
#include "assist/parse.h"
#include "assist/trim.h"
#include "infer/branch.h"

enum { CHOOSE_MAX = 24, CHOOSE_TEXT = 1024 };

struct choice {
    char text[CHOOSE_TEXT];
    size_t len;
    unsigned misfits; /* fit.h */
    size_t errors;    /* of the file's syntax, with it; SIZE_MAX: not known */
    bool scored;
    double joint; /* the score; only with `scored` */
};

struct choose_input {
    const struct tokenizer *tok;
    const struct fim_template *fim;
    const struct branch_base *base; /* holds the prompt */
    const int32_t *prompt;          /* and what stands on the cursor's line behind it */
    size_t n_prompt;
    size_t prefix_at;  /* tokens of it that end with the prefix */
    size_t n_asked;    /* tokens of it that end where an answer begins, before the typed ones */
    const char *begin; /* the last typed token's bytes, which an answer has to begin with */
    size_t n_begin;
    const struct trim_hole *hole;
    const char *typed; /* what stands between the anchor's point and the cursor */
    size_t n_typed;
    const char *file_name;
    const char *whole; /* the first answer as it was generated, from the cursor on */
    size_t n_whole;
    bool met;   /* the text below came again: others are looked at only if it is unlikely */
    bool ended; /* the model said that the hole is full */
    struct trim_cut cut; /* what of it the rules left */
    unsigned without;    /* techniques */
    const struct branch_limit *limit;
    struct parse *parse;
};

struct choose_result {
    struct choice *best; /* of `list`; NULL: the first answer stays */
    struct choice list[CHOOSE_MAX];
    size_t n;
};

/* Where it cannot say (no text behind the hole, a text of many lines, no time) best is NULL; that
 * is no error. */
enum status choose_best(const struct choose_input *in, struct choose_result *out,
                        struct error *err);

#endif
