#include "text/grammar_ast.h"

#include <stdlib.h>

void ast_fini(struct ast *t)
{
    free(t->nodes);
    free(t->ranges);
}

uint32_t ast_node(struct ast *t, enum ast_type type, uint32_t a, uint32_t b)
{
    if (!fa_spend(t->budget, 1) || !fa_grow(t->budget, &t->nodes, t->n, &t->cap, sizeof *t->nodes))
        return 0;
    t->nodes[t->n] = (struct ast_node){type, FA_NONE, FA_NONE, FA_NONE, a, b};
    return (uint32_t)t->n++;
}

void ast_append(struct ast *t, uint32_t list, uint32_t child)
{
    if (t->budget->st != OK) return;
    struct ast_node *l = &t->nodes[list];
    if (l->child == FA_NONE)
        l->child = child;
    else
        t->nodes[l->last].next = child;
    l->last = child;
}

void ast_range(struct ast *t, uint32_t lo, uint32_t hi)
{
    if (lo > hi) return;
    if (!fa_grow(t->budget, &t->ranges, t->n_ranges, &t->cap_ranges, sizeof *t->ranges)) return;
    t->ranges[t->n_ranges++] = (struct fa_range){lo, hi};
}

uint32_t ast_point(struct ast *t, uint32_t c)
{
    size_t first = t->n_ranges;
    ast_range(t, c, c);
    return ast_set(t, first, false);
}

static int by_low(const void *a, const void *b)
{
    const struct fa_range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

uint32_t ast_set(struct ast *t, size_t first, bool not)
{
    if (t->budget->st != OK) return 0;
    size_t n = t->n_ranges - first, kept = 0;
    struct fa_range *r = n ? t->ranges + first : NULL;
    if (n) qsort(r, n, sizeof *r, by_low);
    for (size_t i = 0; i < n; i++) {
        if (kept && r[i].lo <= r[kept - 1].hi + 1) {
            if (r[i].hi > r[kept - 1].hi) r[kept - 1].hi = r[i].hi;
        } else {
            r[kept++] = r[i];
        }
    }
    t->n_ranges = first + kept;
    if (not) {
        uint32_t from = 0;
        size_t end = t->n_ranges;
        for (size_t i = first; i < end; i++) {
            struct fa_range at = t->ranges[i];
            if (from < at.lo) ast_range(t, from, at.lo - 1);
            from = at.hi + 1;
        }
        if (from <= FA_MAX_POINT) ast_range(t, from, FA_MAX_POINT);
        first = end;
    }
    return ast_node(t, AST_SET, (uint32_t)first, (uint32_t)(t->n_ranges - first));
}

static void emit_set(const struct ast_emit *e, const struct ast_node *n, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < n->b; i++) {
        struct fa_range r = e->tree->ranges[n->a + i];
        if (e->utf8 && r.hi <= FA_MAX_POINT) {
            nfa_utf8(e->nfa, from, r.lo, r.hi, to);
        } else if (r.lo <= FA_MAX_POINT) {
            if (r.lo <= 0xD7FF) nfa_edge(e->nfa, from, r.lo, r.hi < 0xD7FF ? r.hi : 0xD7FF, to);
            if (r.hi >= 0xE000) nfa_edge(e->nfa, from, r.lo > 0xE000 ? r.lo : 0xE000, r.hi, to);
        } else {
            nfa_edge(e->nfa, from, r.lo, r.hi, to);
        }
    }
}

static void emit_repeat(const struct ast_emit *e, const struct ast_node *n, uint32_t from,
                        uint32_t to)
{
    for (uint32_t i = 0; i < n->a; i++) {
        uint32_t next = nfa_state(e->nfa);
        if (e->nfa->budget->st != OK) return;
        ast_emit(e, n->child, from, next);
        from = next;
    }
    if (n->b == AST_MANY) {
        uint32_t loop = nfa_state(e->nfa);
        nfa_skip(e->nfa, from, loop);
        ast_emit(e, n->child, loop, loop);
        nfa_skip(e->nfa, loop, to);
        return;
    }
    for (uint32_t i = n->a; i < n->b; i++) {
        uint32_t next = nfa_state(e->nfa);
        if (e->nfa->budget->st != OK) return;
        nfa_skip(e->nfa, from, to);
        ast_emit(e, n->child, from, next);
        from = next;
    }
    nfa_skip(e->nfa, from, to);
}

/* A loop back to a state that others share would let it be taken after them: every expression gets
 * states of its own at both ends. */
void ast_emit(const struct ast_emit *e, uint32_t node, uint32_t from, uint32_t to)
{
    if (e->nfa->budget->st != OK) return;
    const struct ast_node *n = &e->tree->nodes[node];
    switch (n->type) {
    case AST_EMPTY: nfa_skip(e->nfa, from, to); break;
    case AST_SET: emit_set(e, n, from, to); break;
    case AST_CALL:
        if (e->inlined && e->inlined[n->a] != FA_NONE)
            ast_emit(e, e->inlined[n->a], from, to);
        else
            nfa_call(e->nfa, from, n->a, to);
        break;
    case AST_SEQ:
        for (uint32_t c = n->child; c != FA_NONE; c = e->tree->nodes[c].next) {
            uint32_t next = nfa_state(e->nfa);
            ast_emit(e, c, from, next);
            from = next;
        }
        nfa_skip(e->nfa, from, to);
        break;
    case AST_ALT:
        for (uint32_t c = n->child; c != FA_NONE; c = e->tree->nodes[c].next) {
            uint32_t begin = nfa_state(e->nfa), end = nfa_state(e->nfa);
            nfa_skip(e->nfa, from, begin);
            ast_emit(e, c, begin, end);
            nfa_skip(e->nfa, end, to);
        }
        break;
    case AST_REPEAT: emit_repeat(e, n, from, to); break;
    }
}
