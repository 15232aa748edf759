/* The techniques that make a completion better than the model's own answer, each with a name, so
 * that what one of them adds can be measured by leaving it out (hearth complete --without). */
#ifndef HEARTH_ASSIST_TECHNIQUE_H
#define HEARTH_ASSIST_TECHNIQUE_H

#include "base/status.h"

enum technique {
    TECHNIQUE_BLANKS = 1 << 0, /* the first line's blanks are asked of the model (fit_indent) */
    TECHNIQUE_HEAL = 1 << 1, /* the cursor's line behind the middle token, its last token healed */
    TECHNIQUE_SYNTAX = 1 << 2, /* cut or extended to what parses; answers that do not come last */
    TECHNIQUE_FIT = 1 << 3,    /* answers that do not fit by lines and indentation come last */
    TECHNIQUE_CHOOSE = 1 << 4, /* several answers are compared at all */
    TECHNIQUE_FAR = 1 << 5,    /* the first answer is read on past where a hole usually ends */
    TECHNIQUE_RANKS = 1 << 6,  /* answers with other first tokens */
    TECHNIQUE_PLAIN = 1 << 7,  /* answers that are written without a look at the text below */
    TECHNIQUE_INNER = 1 << 8,  /* answers that leave the first one where the model was in doubt */
};

struct technique_name {
    const char *name;
    enum technique bit;
};
/* Ends with a NULL name. */
extern const struct technique_name technique_names[];

/* Adds a list of names with commas between to a set. ERR_INVALID names the first that is none. */
enum status technique_parse(const char *list, unsigned *set, struct error *err);

#endif
