/* A model's chat template held against what is known of the published ones of its family.
 *
 * A template decides what the model is told besides the conversation, so a changed one can slip
 * instructions in. What is known (data/templates.json, made by tools/known_templates.py) are
 * digests of published templates and what they make of fixed conversations, not their texts. A
 * template of another text that makes the same of these conversations may still do something else
 * with others: only the same text is "known". */
#ifndef HEARTH_TEXT_TEMPLATE_KNOWN_H
#define HEARTH_TEXT_TEMPLATE_KNOWN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum template_state {
    TEMPLATE_NONE,      /* the file has none */
    TEMPLATE_NO_FAMILY, /* nothing is known to compare it with */
    TEMPLATE_KNOWN,     /* a published one, to the letter but for white space at its ends */
    TEMPLATE_SAME,      /* another text that makes the same of the fixed conversations */
    TEMPLATE_OTHER,     /* it makes something else of them */
    TEMPLATE_BROKEN,    /* it is no template */
};
/* "none", "no family", "known", "same output", "other", "broken". */
const char *template_state_name(enum template_state s);

enum { TEMPLATE_MAX_CASES = 4, TEMPLATE_MAX_WORDS = 16, TEMPLATE_NAME_SIZE = 96 };

struct template_subject {
    const char *text; /* the template; NULL = none */
    size_t len;
    const char *architecture;
    const char *names[3]; /* general.name, general.basename, the name in the store; any case; NULLs
                             are fine */
};

/* One of the fixed conversations. */
struct template_case {
    char name[32];
    char *due;  /* owned; NULL: known by its digest alone, or refused by the published template */
    char *made; /* owned; what it makes, or in words why not */
    bool same;
};

struct template_check {
    enum template_state state;
    char sha256[65]; /* of the text in its normal form; "" = none */
    char family[TEMPLATE_NAME_SIZE];
    char from[TEMPLATE_NAME_SIZE]; /* the published one that it is, or the nearest */
    struct template_case cases[TEMPLATE_MAX_CASES];
    size_t n_cases;
    /* Texts of at least 12 characters in it that no fixed conversation brought to light, owned: for
     * a person to read. Filled for TEMPLATE_SAME and TEMPLATE_OTHER. */
    char *words[TEMPLATE_MAX_WORDS];
    size_t n_words;
};
/* Any thread. ERR_NOMEM. */
enum status template_check_run(const struct template_subject *s, struct template_check *out,
                               struct error *err);
void template_check_fini(struct template_check *c);

/* The texts and quoted strings of a template that are at least `least` bytes long without white
 * space at their ends, in order: visit(ctx, text, len). Inside of module text. */
void template_words_each(const char *text, size_t len, size_t least,
                         void (*visit)(void *ctx, const char *text, size_t len), void *ctx);

#endif
