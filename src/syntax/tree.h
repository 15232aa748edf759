/* Syntax trees: a text parsed by its language's grammar (tree-sitter), and what is at an offset.
 *
 * Parsing never fails on broken code: what does not fit becomes error nodes. Offsets are bytes from
 * 0, lines count from 1, columns are bytes from 0. A tree does not need its text after parsing. A tree
 * or parser belongs to one thread at a time; different ones may be used at once. */
#ifndef HEARTH_SYNTAX_TREE_H
#define HEARTH_SYNTAX_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "syntax/language.h"

/* What one parse may cost. Zeros mean the defaults below. */
struct syntax_limits {
    size_t max_bytes; /* longer texts: ERR_LIMIT; at most SYNTAX_MAX_BYTES */
    double seconds;   /* ERR_LIMIT when they are over. The default counts the thread's own time, so that what
                       * an index holds does not depend on what else the machine does */
    bool (*cancelled)(void *ctx); /* true: ERR_CANCELLED; may be NULL */
    void *ctx;
};

#define SYNTAX_MAX_BYTES (64u << 20)    /* the most that max_bytes may say */
#define SYNTAX_DEFAULT_BYTES (4u << 20) /* code that people write is far below */
#define SYNTAX_DEFAULT_SECONDS 2.0

/* Holds a parser's memory between texts; one a thread. */
struct syntax_parser;
enum status syntax_parser_create(struct syntax_parser **out, struct error *err);
void syntax_parser_destroy(struct syntax_parser *p); /* NULL is fine */

struct syntax_tree;
/* Parses text[0..len), any bytes but NUL. NULL limits are the defaults. ERR_UNSUPPORTED without a grammar
 * and for a NUL in the text; else ERR_LIMIT (also for Markdown nested deeper than its scanner
 * can take), ERR_CANCELLED, ERR_NOMEM. */
enum status syntax_tree_parse(struct syntax_parser *p, const struct syntax_language *l,
                              const char *text, size_t len, const struct syntax_limits *limits,
                              struct syntax_tree **out, struct error *err);
/* The tree of the text after an edit that replaced old[begin..old_end) by new[begin..new_end); reuses
 * what did not change, so a keystroke in a long file costs little. old_len is the
 * length of the text that `old` was parsed from. `old` stays valid and owned by the caller. */
struct syntax_edit {
    size_t begin, old_end, new_end;
};
enum status syntax_tree_reparse(struct syntax_parser *p, const struct syntax_tree *old,
                                const struct syntax_edit *edit, const char *text, size_t len,
                                const struct syntax_limits *limits, struct syntax_tree **out,
                                struct error *err);
void syntax_tree_destroy(struct syntax_tree *t); /* NULL is fine */
const struct syntax_language *syntax_tree_language(const struct syntax_tree *t);

/* Places where the grammar did not fit: text that was skipped, or a token that is missing (then begin ==
 * end). Fast where there are none. */
bool syntax_tree_has_error(const struct syntax_tree *t);
struct syntax_error {
    size_t begin, end;
    uint32_t line, column; /* of begin */
    bool missing;
    const char *kind; /* of the missing token ("}"), else "ERROR" */
};
/* Writes the first `max` in order; returns how many there are, counted up to 100,000. */
size_t syntax_tree_errors(const struct syntax_tree *t, struct syntax_error *out, size_t max);

/* What a node is, whatever its grammar calls it; a node may have several. */
enum syntax_role {
    SYNTAX_STATEMENT = 1,
    SYNTAX_BLOCK = 2,     /* a body: braces, an indented suite, do ... end */
    SYNTAX_FUNCTION = 4,  /* with its head and body; methods, lambdas */
    SYNTAX_TYPE = 8,      /* class, struct, enum, interface, trait */
    SYNTAX_STRING = 16,
    SYNTAX_COMMENT = 32,
    SYNTAX_IMPORT = 64,
    SYNTAX_CALL = 128,
    SYNTAX_ARGUMENTS = 256, /* a parenthesized list of arguments or parameters */
    SYNTAX_ERROR_ROLE = 512,
};
struct syntax_node {
    const char *kind; /* the grammar's word ("if_statement"); static */
    unsigned roles;   /* of enum syntax_role */
    size_t begin, end;
    uint32_t begin_line, begin_column, end_line, end_column; /* lines from 1, columns from 0 */
    bool named;       /* false for punctuation and keywords */
};
/* The smallest node that holds offset (begin <= offset < end; at the text's end, the one before it).
 * False for an offset past the text. */
bool syntax_tree_node_at(const struct syntax_tree *t, size_t offset, struct syntax_node *out);
/* The nodes around an offset from the smallest outward, those without a role left out unless `all`;
 * up to `max`, returns how many were written. The root is never among them. */
size_t syntax_tree_enclosing(const struct syntax_tree *t, size_t offset, bool all,
                             struct syntax_node *out, size_t max);
/* The smallest node around the offset with one of the roles; false where there is none. */
bool syntax_tree_enclosing_role(const struct syntax_tree *t, size_t offset, unsigned roles,
                                struct syntax_node *out);

#endif
