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

/* How much of an answer to keep: all of it where it makes no new error, else the longest of its
 * beginnings (to a line's end, or without its last brackets) that makes none, else all of it. */
size_t parse_longest(struct parse *p, const char *text, size_t len);

#endif
