/* Whether a text fits into its hole, judged by lines, indentation and brackets alone: for languages
 * without a grammar, for files that do not parse, and where a parse would not tell (code behind a
 * return parses). */
#ifndef HEARTH_ASSIST_FIT_H
#define HEARTH_ASSIST_FIT_H

#include "assist/trim.h"

enum {
    FIT_EMPTY = 1,     /* nothing but blanks (or comments), where no text follows on the line */
    FIT_INDENT = 2,    /* the first line is not where the line above wants it */
    FIT_BODY = 4,      /* an opener without its block, or a block without its opener */
    FIT_DEAD = 8,      /* the text below could never be reached */
    FIT_HEAD = 16,     /* an else or the like without what it belongs to */
    FIT_BRACKETS = 32, /* brackets without partners */
    FIT_REPEATS = 64,  /* says what the line above or below says */
};

/* Whether indentation makes the blocks here (Python), by the file's name, else by the text. */
bool fit_by_indent(const struct trim_hole *h, const char *file_name);

/* A set of the above; 0: it fits as far as can be seen. */
unsigned fit_misfits(const struct trim_hole *h, bool by_indent, const char *text, size_t len);

enum { FIT_MAX_INDENT = 128 };
/* The blanks that the hole's first line has to begin with, where the lines around it leave no
 * choice; 0 where they do, or where the cursor's line has blanks already. */
size_t fit_indent(const struct trim_hole *h, bool by_indent, char out[FIT_MAX_INDENT]);

#endif
