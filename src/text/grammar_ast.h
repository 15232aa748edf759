/* An expression over sets of code points and rules, as GBNF and regular expressions write them. */
#ifndef HEARTH_TEXT_GRAMMAR_AST_H
#define HEARTH_TEXT_GRAMMAR_AST_H

#include <stddef.h>
#include <stdint.h>

#include "text/grammar_fa.h"

enum ast_type { AST_EMPTY, AST_SET, AST_CALL, AST_SEQ, AST_ALT, AST_REPEAT };

#define AST_MANY UINT32_MAX /* as the most of a repetition: without end */

struct ast_node {
    enum ast_type type;
    uint32_t child, last; /* of SEQ and ALT: a list; of REPEAT: one; else FA_NONE */
    uint32_t next;        /* in the list that holds it */
    uint32_t a, b;        /* SET: ranges [a, a + b); CALL: rule a; REPEAT: from a to b times */
};

/* Zero-initialise but for the budget. A node of a failed tree is 0. */
struct ast {
    struct fa_budget *budget;
    struct ast_node *nodes;
    size_t n, cap;
    struct fa_range *ranges;
    size_t n_ranges, cap_ranges;
};
void ast_fini(struct ast *t);
uint32_t ast_node(struct ast *t, enum ast_type type, uint32_t a, uint32_t b);
void ast_append(struct ast *t, uint32_t list, uint32_t child);
uint32_t ast_point(struct ast *t, uint32_t c);
/* The ranges put, since there were `first` of them, as a set; `not`: all others. */
void ast_range(struct ast *t, uint32_t lo, uint32_t hi);
uint32_t ast_set(struct ast *t, size_t first, bool not);

/* How an expression becomes states: as UTF-8, or one symbol per code point; and what stands for a
 * rule: its own expression (FA_NONE: the rule is called). */
struct ast_emit {
    const struct ast *tree;
    struct nfa *nfa;
    bool utf8;
    const uint32_t *inlined; /* [rules] or NULL */
};
void ast_emit(const struct ast_emit *e, uint32_t node, uint32_t from, uint32_t to);

#endif
