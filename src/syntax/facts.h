/* Everything that is read out of one file at once: chunks, definitions, references, imports.
 *
 * One walk over the tree, no recursion; results depend on nothing but the text, the language and the
 * options. All memory belongs to the facts and is freed by one call; the text is not needed after. */
#ifndef HEARTH_SYNTAX_FACTS_H
#define HEARTH_SYNTAX_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "syntax/chunk.h"
#include "syntax/symbols.h"
#include "syntax/tree.h"

enum {
    SYNTAX_MAX_CHUNKS = 200000,
    SYNTAX_MAX_DEFINITIONS = 200000,
    SYNTAX_MAX_REFERENCES = 400000,
    SYNTAX_MAX_IMPORTS = 20000,
    SYNTAX_MAX_NAME = 256, /* bytes; longer names are left out */
};

struct syntax_facts {
    const struct syntax_language *language; /* NULL: plain text */
    bool parsed;     /* false: by the plain splitter alone, for want of a grammar or past a limit */
    bool truncated;  /* a maximum above was reached; what is there is right */
    size_t n_errors; /* error nodes, where parsed */
    const struct syntax_chunk *chunks;
    size_t n_chunks;
    const struct syntax_definition *definitions; /* by begin */
    size_t n_definitions;
    const struct syntax_reference *references; /* by begin */
    size_t n_references;
    const struct syntax_import *imports; /* by begin */
    size_t n_imports;
};

enum syntax_want {
    SYNTAX_WANT_CHUNKS = 1,
    SYNTAX_WANT_SYMBOLS = 2,     /* definitions, references (calls and types), imports */
    SYNTAX_WANT_IDENTIFIERS = 4, /* with symbols: every other identifier as a reference, too */
};

struct syntax_facts_options {
    unsigned want; /* of enum syntax_want; 0 = chunks and symbols */
    struct syntax_chunk_options chunk;
    struct syntax_limits limits;
};

/* `l` may be NULL. A text too large or too slow to parse falls to the plain splitter and is no error;
 * texts over SYNTAX_MAX_BYTES are ERR_LIMIT. ERR_CANCELLED, ERR_NOMEM. NULL options are the defaults. */
enum status syntax_facts_read(struct syntax_parser *p, const struct syntax_language *l,
                              const char *text, size_t len,
                              const struct syntax_facts_options *options, struct syntax_facts **out,
                              struct error *err);
/* The same out of a tree that the caller has of this text. */
enum status syntax_facts_of_tree(const struct syntax_tree *t, const char *text, size_t len,
                                 const struct syntax_facts_options *options,
                                 struct syntax_facts **out, struct error *err);
void syntax_facts_destroy(struct syntax_facts *f); /* NULL is fine */

/* The last definition that holds the offset, or NULL. */
const struct syntax_definition *syntax_facts_definition_at(const struct syntax_facts *f,
                                                           size_t offset);

#endif
