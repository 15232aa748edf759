/* The Jinja that models carry as their chat template, as Python's jinja2 renders it in the environment
 * that `transformers` sets up: a sandbox with trim_blocks, lstrip_blocks, loop controls, the
 * {% generation %} tag, its own `tojson`, and the functions raise_exception and strftime_now.
 *
 * Templates come from files of strangers. One can compute and write text, and nothing else; how much of
 * it is limited, and past a limit rendering ends with an error. What is not here: inheritance, includes,
 * imports, recursive loops, integers of more than 64 bits.
 *
 * Language: https://jinja.palletsprojects.com/en/stable/templates/ (version 3.1). */
#ifndef HEARTH_TEXT_JINJA_H
#define HEARTH_TEXT_JINJA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

struct jinja_template; /* immutable: any thread may render it */

/* A zero means the default, which grows with the size of the variables. */
struct jinja_limits {
    uint64_t steps;  /* evaluations and loop rounds, plus bytes copied / 32; 400,000 + 64 per byte */
    size_t memory;   /* bytes allocated while rendering; 24 MiB + 24 per byte of variables */
    size_t output;   /* bytes written in all, also into blocks; 4 MiB + 8 per byte of variables */
    unsigned depth;  /* of nested evaluation; 600 */
};

struct jinja_options {
    struct jinja_limits limits;
    int64_t now; /* seconds since 1970 that strftime_now takes for the present; 0 = the clock's */
    /* Gets one byte for each byte of text that is appended to `out`: 1 where it came in with the
     * variables, through whatever filters, 0 where the template has it as a literal. NULL: not wanted. */
    struct buf *marks;
    /* Whether a text of the variables counts as the template's own; `depth` is 0 for a variable, one more
     * inside of each list or object, and `key` that of the object that holds it, or "". May be NULL. */
    bool (*own)(const char *key, const char *text, unsigned depth);
};

/* What a rendering took. */
struct jinja_cost {
    uint64_t steps;
    size_t memory;
};

/* Copies the source. ERR_FORMAT tells the line and what was expected; ERR_LIMIT for a source of more
 * than a mebibyte or one that nests too deeply. */
enum status jinja_compile(const char *source, size_t len, struct jinja_template **out,
                          struct error *err);
void jinja_destroy(struct jinja_template *t); /* NULL is fine */

/* Appends the text to `out`. `vars` is a JSON object of the variables (borrowed). opt and cost may be
 * NULL. ERR_INVALID: the template refused the conversation (raise_exception), with its words, or did
 * something that is an error in Jinja; ERR_LIMIT names the limit. On failure `out` and the marks are unchanged. */
enum status jinja_render(const struct jinja_template *t, const json_t *vars,
                         const struct jinja_options *opt, struct buf *out, struct jinja_cost *cost,
                         struct error *err);

/* Whether the source mentions this variable anywhere outside of texts: "tools", "enable_thinking". */
bool jinja_uses(const struct jinja_template *t, const char *name);

#endif
