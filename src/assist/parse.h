/* Whether a file with an answer in its hole parses, by its language's grammar. */
#ifndef HEARTH_ASSIST_PARSE_H
#define HEARTH_ASSIST_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct syntax_parser;
struct syntax_tree;
struct syntax_language;

enum {
    PARSE_MAX_BYTES = 1 << 20, /* of a longer file nothing is known */
    PARSE_TRIES = 24,          /* cuts that are looked at */
};

/* The file around a hole. Zeroed: nothing is known of any answer. */
struct parse {
    struct syntax_parser *parser;
    const struct syntax_language *language;
    struct syntax_tree *base; /* of prefix and suffix alone */
    struct buf text;
    size_t prefix_len, suffix_len, errors; /* errors: places that did not fit before */
};

/* By the file's name; texts are copied. Where there is no grammar, no memory or no time (the limits
 * are short: somebody waits) nothing is known. */
void parse_init(struct parse *p, const char *file_name, const char *prefix, size_t prefix_len,
                const char *suffix, size_t suffix_len);
void parse_fini(struct parse *p);

bool parse_knows(const struct parse *p);
/* Places that do not fit with this answer in the hole; SIZE_MAX where it is not known. */
size_t parse_errors(struct parse *p, const char *text, size_t len);

/* How much of an answer to keep: of the whole and its beginnings (to a line's end; of a single
 * line, to a word's or bracket's end) the longest of those that leave the fewest errors. */
size_t parse_longest(struct parse *p, const char *text, size_t len);

/* Where text[0..keep) leaves errors: the end of the first of the next PARSE_MORE_LINES lines of the
 * text with which it leaves none; else `keep`. A hole may lack more than its line: the brace behind
 * it.
 */
enum { PARSE_MORE_LINES = 5 };
size_t parse_extend(struct parse *p, const char *text, size_t len, size_t keep);

#endif
