/* What the walk does at single nodes. Only files that see tree-sitter include this. */
#ifndef HEARTH_SYNTAX_WALK_INT_H
#define HEARTH_SYNTAX_WALK_INT_H

#ifdef HEARTH_GRAMMARS
#include <tree_sitter/api.h>

#include "syntax/syntax_int.h"

struct walk_place {
    const char *scope;
    bool in_type;
    uint32_t doc_begin, doc_end; /* comments in front; equal: none */
    uint32_t head;               /* where the signature begins */
};

/* Adds the definition that a node is; -1 where it is none after all (no name, no body). */
int32_t walk_define(struct syntax_build *b, TSNode n, const struct syntax_rule *r,
                    const struct walk_place *place);
/* Adds what a call refers to, and an import where it is one of the language's import_calls. */
void walk_call(struct syntax_build *b, TSNode n, const struct syntax_rule *r);
/* Adds a leaf as a reference, unless it is the name that the last definition defines. */
void walk_leaf(struct syntax_build *b, TSNode n, enum syntax_reference_kind kind);
void walk_import(struct syntax_build *b, TSNode n, const struct syntax_rule *r);
/* "a" and "b" as "a.b"; a scope that would be over 512 bytes stays as it is. */
const char *walk_join_scope(struct syntax_build *b, const char *scope, const char *name, size_t len);
void walk_sort_references(struct syntax_build *b);

/* The node at a path of steps (struct syntax_rule tells how they are written); null where none is. */
TSNode walk_part(TSNode n, const char *path);
#endif

#endif
