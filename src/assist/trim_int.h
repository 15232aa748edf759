/* Inside of the trim rules: lines, indentation, brackets. */
#ifndef HEARTH_ASSIST_TRIM_INT_H
#define HEARTH_ASSIST_TRIM_INT_H

#include "assist/trim.h"

/* A run of bytes; borrowed. */
struct span {
    const char *data;
    size_t len;
};

struct span span_of(const char *data, size_t len);
struct span span_strip(struct span s); /* without blanks (space, tab, CR, FF) at both ends */
struct span span_rstrip(struct span s);
bool span_blank(struct span s);
bool span_eq(struct span a, struct span b);
/* The same but for blanks, and but for a sixteenth of b's bytes at most. */
bool span_nearly_eq(struct span a, struct span b);
bool span_starts(struct span s, struct span with);
bool span_ends(struct span s, struct span with);
/* Up to the next '\n' from `from` on, without it. */
struct span span_line(struct span s, size_t from);

/* Columns of the leading blanks, a tab to the next multiple of 8. */
int line_indent(struct span line);
/* Ends with a character that opens a block: { ( [ : */
bool line_opens(struct span line);
bool is_closer(char c);
bool is_opener(char c);
char closer_of(char opener);
/* Letters, digits, underscores and bytes of multi-byte characters. */
bool is_word(char c);
/* At least `n` word characters. */
bool has_words(struct span s, size_t n);

/* Brackets of a piece of code, those in string literals left out. A quote without a partner is
 * taken as a character. */
struct brackets {
    size_t unmatched_close;
    size_t unmatched_open;
    size_t open_of[3];  /* unmatched openers by kind: ( [ { */
    size_t first_close; /* offset of the first unmatched closing bracket, if there is one */
};
struct brackets brackets_count(struct span code);
/* Offset of the (skip + 1)-th closing bracket `c` that `code` does not open itself, or code.len. */
size_t brackets_find_close(struct span code, char c, size_t skip);

/* Where a finished text begins to repeat the rest of the cursor's line, or text.len. `line_ended`:
 * the model went on past the line. */
size_t trim_overlap(const struct trim_hole *h, struct span text, bool line_ended);
/* Where it closes brackets that the line below closes, or text.len. */
size_t trim_closers(const struct trim_hole *h, struct span text);

#endif
