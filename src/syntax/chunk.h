/* Chunks: the pieces of a file that are indexed and shown, cut along definitions where a grammar parses
 * the file, and along blank lines and indentation elsewhere.
 *
 * Chunks of a file are in order, do not overlap, and together hold every byte that is not white space.
 * A definition is one chunk, with the comment in front of it; one larger than the limit is cut between
 * its members or statements, and its parts tell the same name. */
#ifndef HEARTH_SYNTAX_CHUNK_H
#define HEARTH_SYNTAX_CHUNK_H

#include <stddef.h>
#include <stdint.h>

/* What a definition is; also the kind of a symbol. */
enum syntax_kind {
    SYNTAX_KIND_TEXT,     /* chunks only: code or text outside of definitions */
    SYNTAX_KIND_IMPORTS,  /* chunks only: a run of imports or includes */
    SYNTAX_KIND_FUNCTION,
    SYNTAX_KIND_METHOD,
    SYNTAX_KIND_CLASS,    /* class, struct, union, interface, trait, enum ... */
    SYNTAX_KIND_STRUCT,
    SYNTAX_KIND_UNION,
    SYNTAX_KIND_ENUM,
    SYNTAX_KIND_INTERFACE,
    SYNTAX_KIND_TRAIT,
    SYNTAX_KIND_IMPL,
    SYNTAX_KIND_TYPE,     /* typedef, alias */
    SYNTAX_KIND_MODULE,   /* module, namespace, package */
    SYNTAX_KIND_MACRO,
    SYNTAX_KIND_VARIABLE, /* at file or class level */
    SYNTAX_KIND_CONSTANT,
    SYNTAX_KIND_FIELD,
    SYNTAX_KIND_PROPERTY, /* a key of JSON, YAML, TOML; a custom property of CSS */
    SYNTAX_KIND_RULE,     /* of CSS */
    SYNTAX_KIND_TABLE,    /* of SQL or TOML */
    SYNTAX_KIND_ELEMENT,  /* of HTML */
    SYNTAX_KIND_SECTION,  /* of Markdown */
    SYNTAX_N_KINDS,
};
/* "function"; never NULL. */
const char *syntax_kind_name(enum syntax_kind k);

struct syntax_chunk {
    uint32_t begin, end;           /* bytes; whole lines wherever the file's lines allow */
    uint32_t begin_line, end_line; /* from 1, both inclusive */
    enum syntax_kind kind;
    uint16_t part, n_parts;        /* of a definition that was cut: 0 of 1 for a whole one */
    const char *name;      /* "" for text outside of definitions; of a part, that of the whole */
    const char *scope;     /* enclosing names, outermost first, joined by "."; "" at file level */
    const char *signature; /* the head up to the body, white space folded, "" without; <= 512 bytes */
    const char *doc;       /* doc comment or docstring without its marks, "" without; <= 1024 bytes */
};

struct syntax_chunk_options {
    uint32_t target_bytes; /* small neighbours are joined up to here; 0 = 1024 */
    uint32_t max_bytes;    /* larger ones are cut; 0 = 2048. A line longer than this is cut inside */
};

#endif
