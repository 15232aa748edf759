/* One pass over a tree with a cursor: definitions, references, imports, and where chunks may begin. The frames
 * of the nodes around the current one are kept in an array, so depth costs memory and not stack. */
#include <stdlib.h>
#include <string.h>

#include "syntax/syntax_int.h"

#ifdef HEARTH_GRAMMARS
#include "syntax/tree_walk_int.h"

/* Deeper nodes are left out: people do not nest so deep, and hostile texts may. */
enum { MAX_DEPTH = 2000, CHECK_EVERY = 4096, NO_BYTE = -1 };

struct frame {
    int32_t def;       /* the definition around, or -1 */
    const char *scope; /* of definitions here */
    /* What stands in front of the next definition and belongs to it; attach is NO_BYTE for nothing. */
    int64_t attach;
    uint32_t attach_row, doc_begin, doc_end;
    uint32_t head; /* in a wrapper: where it begins, and so the signature */
    int64_t last_row; /* on which the child before ended */
    bool wrapper, cut, members, in_function, in_type;
};

struct walk {
    struct syntax_build *b;
    const struct syntax_table *table;
    TSTreeCursor cursor;
    struct frame *frames;
    size_t depth, cap;
    struct syntax_deadline deadline;
};

static uint32_t last_row_of(TSNode n)
{
    TSPoint p = ts_node_end_point(n);
    return p.column == 0 && p.row > ts_node_start_point(n).row ? p.row - 1 : p.row;
}

static void forget_attached(struct frame *f)
{
    f->attach = NO_BYTE;
    f->doc_begin = f->doc_end = 0;
}

/* A comment or attribute among its siblings. */
static void attach(struct walk *w, struct frame *f, TSNode n, bool comment)
{
    uint32_t begin = ts_node_start_byte(n), end = ts_node_end_byte(n);
    uint32_t row = ts_node_start_point(n).row;
    /* Behind code on its line it belongs to that. */
    if (f->last_row == row && comment) return;
    bool follows = f->attach != NO_BYTE && (f->wrapper || row <= f->attach_row + 1);
    if (!follows) {
        forget_attached(f);
        f->attach = begin;
        if (f->cut)
            syntax_cut_add(w->b, (struct syntax_cut){.begin = begin, .owner = f->def,
                                                     .kind = SYNTAX_KIND_TEXT});
    }
    if (comment) {
        if (f->doc_end == 0) f->doc_begin = begin;
        f->doc_end = end;
    }
    f->attach_row = last_row_of(n);
}

/* The frame of a node's children. */
static struct frame child_frame(const struct frame *f, TSNode n, const struct syntax_rule *r,
                                int64_t begin, int32_t def, const struct syntax_build *b)
{
    struct frame c = {.def = f->def, .scope = f->scope, .attach = NO_BYTE, .last_row = -1,
                      .in_function = f->in_function, .in_type = f->in_type};
    uint32_t size = ts_node_end_byte(n) - (uint32_t)begin;
    bool block = r && (r->roles & SYNTAX_BLOCK);
    c.members = r && (r->flags & RULE_MEMBERS);
    c.cut = f->cut && (size > b->max_bytes || (c.members && size > b->target_bytes) ||
                       (block && f->members));
    if (block && f->members) c.members = true;
    if (r && r->act == ACT_WRAP) {
        c.wrapper = true;
        c.attach = begin;
        c.head = f->wrapper ? f->head : ts_node_start_byte(n);
        c.doc_begin = f->doc_begin;
        c.doc_end = f->doc_end;
        c.cut = f->cut;
    }
    if (r && (r->roles & SYNTAX_FUNCTION)) c.in_function = true;
    if (def >= 0) {
        const struct syntax_definition *d = &b->definitions[def];
        c.def = def;
        c.scope = NULL; /* made when something inside needs it */
        switch (d->kind) {
        case SYNTAX_KIND_CLASS: case SYNTAX_KIND_STRUCT: case SYNTAX_KIND_UNION:
        case SYNTAX_KIND_ENUM: case SYNTAX_KIND_INTERFACE: case SYNTAX_KIND_TRAIT:
        case SYNTAX_KIND_IMPL: c.in_type = true; c.in_function = false; break;
        case SYNTAX_KIND_FUNCTION: case SYNTAX_KIND_METHOD: c.in_type = false; break;
        default: break;
        }
    }
    return c;
}

static const char *scope_here(struct walk *w, struct frame *f)
{
    if (!f->scope) {
        const struct syntax_definition *d = &w->b->definitions[f->def];
        f->scope = walk_join_scope(w->b, d->scope, d->name, strlen(d->name));
    }
    return f->scope;
}

/* Takes a child in: what it is, and the cut before it. Returns the definition it is, or -1. */
static int32_t enter(struct walk *w, struct frame *f, TSNode n, const struct syntax_rule *r,
                     int64_t *begin)
{
    struct syntax_build *b = w->b;
    uint32_t row = ts_node_start_point(n).row;
    int32_t def = -1;
    if (f->attach != NO_BYTE && !f->wrapper && row > f->attach_row + 1) forget_attached(f);
    *begin = f->attach != NO_BYTE ? f->attach : (int64_t)ts_node_start_byte(n);
    struct syntax_cut cut = {.begin = (uint32_t)*begin, .owner = f->def, .kind = SYNTAX_KIND_TEXT};
    if (r && r->act == ACT_DEF && !((r->flags & RULE_OUTSIDE) && f->in_function)) {
        struct walk_place place = {.scope = scope_here(w, f), .in_type = f->in_type,
                                   .doc_begin = f->doc_begin, .doc_end = f->doc_end,
                                   .head = f->wrapper ? f->head : ts_node_start_byte(n)};
        def = walk_define(b, n, r, &place);
    } else if (r && r->act == ACT_CALL) {
        walk_call(b, n, r);
    } else if (r && r->act == ACT_TYPE) {
        walk_leaf(b, n, SYNTAX_REF_TYPE);
    } else if (r && r->act == ACT_IDENT && (b->want & SYNTAX_WANT_IDENTIFIERS)) {
        walk_leaf(b, n, SYNTAX_REF_OTHER);
    } else if (r && r->act == ACT_IMPORT) {
        walk_import(b, n, r);
        cut.kind = SYNTAX_KIND_IMPORTS;
    }
    if (!f->cut) return def;
    if (def >= 0) {
        uint32_t size = ts_node_end_byte(n) - (uint32_t)*begin;
        bool cut_inside = size > b->max_bytes || ((r->flags & RULE_MEMBERS) && size > b->target_bytes);
        cut.owner = def;
        cut.kind = b->definitions[def].kind;
        cut.own = true;
        cut.hard = !(r->flags & RULE_JOIN) || cut.kind == SYNTAX_KIND_FUNCTION ||
                   cut.kind == SYNTAX_KIND_METHOD;
        cut.whole = cut.hard && !cut_inside;
    }
    syntax_cut_add(b, cut);
    return def;
}

static bool push(struct walk *w, struct frame f)
{
    if (w->depth == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 64;
        struct frame *p = realloc(w->frames, cap * sizeof *p);
        if (!p) {
            w->b->failed = true;
            return false;
        }
        w->frames = p;
        w->cap = cap;
    }
    w->frames[w->depth++] = f;
    return true;
}

static bool stopped(struct walk *w)
{
    const struct syntax_limits *l = w->b->limits;
    if (l && l->cancelled && l->cancelled(l->ctx))
        w->b->stop = ERR_CANCELLED;
    else if (syntax_deadline_over(&w->deadline))
        w->b->stop = ERR_LIMIT;
    return w->b->stop != OK || w->b->failed || w->b->arena.failed;
}

/* Handles the current node; true where its children come next. */
static bool visit(struct walk *w)
{
    struct syntax_build *b = w->b;
    TSNode n = ts_tree_cursor_current_node(&w->cursor);
    struct frame *f = &w->frames[w->depth - 1];
    TSSymbol s = ts_node_symbol(n);
    const struct syntax_rule *r = s < w->table->n_symbols ? w->table->by_symbol[s] : NULL;
    if (ts_node_is_error(n) || ts_node_is_missing(n)) b->n_errors++;
    if (r && r->act == ACT_ATTACH) {
        attach(w, f, n, (r->roles & SYNTAX_COMMENT) != 0);
        return false;
    }
    /* Punctuation and keywords matter only as places to cut. */
    if (!ts_node_is_named(n)) {
        if (f->cut && !f->wrapper) {
            uint32_t begin = ts_node_start_byte(n);
            syntax_cut_add(b, (struct syntax_cut){.begin = begin, .owner = f->def,
                                                  .kind = SYNTAX_KIND_TEXT});
        }
        f->last_row = last_row_of(n);
        return false;
    }
    int64_t begin;
    int32_t def = enter(w, f, n, r, &begin);
    struct frame c = child_frame(f, n, r, begin, def, b);
    f->last_row = last_row_of(n);
    if (!f->wrapper) forget_attached(f);
    if (w->depth >= MAX_DEPTH) {
        b->truncated = true;
        return false;
    }
    if (!ts_tree_cursor_goto_first_child(&w->cursor)) return false;
    return push(w, c);
}

void syntax_walk(struct syntax_build *b, const struct syntax_tree *t)
{
    TSNode root = ts_tree_root_node(t->ts);
    struct walk w = {.b = b, .table = t->table, .deadline = syntax_deadline_of(b->limits)};
    w.cursor = ts_tree_cursor_new(root);
    struct frame top = {.def = -1, .scope = "", .attach = NO_BYTE, .last_row = -1,
                        .cut = (b->want & SYNTAX_WANT_CHUNKS) != 0};
    bool more = push(&w, top) && ts_tree_cursor_goto_first_child(&w.cursor);
    for (unsigned count = 1; more; count++) {
        if (count % CHECK_EVERY == 0 && stopped(&w)) break;
        if (visit(&w)) continue;
        if (b->failed) break;
        while (!ts_tree_cursor_goto_next_sibling(&w.cursor)) {
            if (--w.depth == 0 || !ts_tree_cursor_goto_parent(&w.cursor)) {
                more = false;
                break;
            }
        }
    }
    ts_tree_cursor_delete(&w.cursor);
    free(w.frames);
    walk_sort_references(b);
}

#else

void syntax_walk(struct syntax_build *b, const struct syntax_tree *t)
{
    (void)b, (void)t;
}

#endif
