#include "syntax/tree.h"

#include <stdlib.h>
#include <string.h>

#include "syntax/syntax_int.h"

#ifdef HEARTH_GRAMMARS
#include <tree_sitter/api.h>

enum { MAX_ERRORS = 100000, MAX_DEPTH = 1000 };

struct syntax_parser {
    TSParser *ts;
};

enum status syntax_parser_create(struct syntax_parser **out, struct error *err)
{
    struct syntax_parser *p = malloc(sizeof *p);
    if (p) p->ts = ts_parser_new();
    if (!p || !p->ts) {
        free(p);
        return error_set(err, ERR_NOMEM, "out of memory for a parser");
    }
    *out = p;
    return OK;
}

void syntax_parser_destroy(struct syntax_parser *p)
{
    if (!p) return;
    ts_parser_delete(p->ts);
    free(p);
}

struct parse {
    const char *text;
    size_t len;
    const struct syntax_limits *limits;
    struct syntax_deadline deadline;
    unsigned calls;
    enum status stop;
};

static const char *read_text(void *payload, uint32_t at, TSPoint point, uint32_t *n)
{
    (void)point;
    const struct parse *p = payload;
    *n = at < p->len ? (uint32_t)(p->len - at) : 0;
    return at < p->len ? p->text + at : "";
}

static bool check_limits(TSParseState *state)
{
    struct parse *p = state->payload;
    if (p->limits && p->limits->cancelled && p->limits->cancelled(p->limits->ctx))
        p->stop = ERR_CANCELLED;
    else if (syntax_deadline_over(&p->deadline))
        p->stop = ERR_LIMIT;
    return p->stop != OK;
}

static enum status parse(struct syntax_parser *p, const struct syntax_language *l,
                         const TSTree *old, const char *text, size_t len,
                         const struct syntax_limits *limits, struct syntax_tree **out,
                         struct error *err)
{
    size_t max = limits && limits->max_bytes ? limits->max_bytes : SYNTAX_DEFAULT_BYTES;
    if (max > SYNTAX_MAX_BYTES) max = SYNTAX_MAX_BYTES;
    const struct syntax_table *table = syntax_table_of(l);
    if (!table || !ts_parser_set_language(p->ts, table->grammar))
        return error_set(err, ERR_UNSUPPORTED, "no grammar of %s in this build", l->name);
    if (len > max)
        return error_set(err, ERR_LIMIT, "the text has %zu bytes, %zu are parsed at most", len, max);
    /* Scanners take a NUL for the text's end; the one of Bash never comes back from one inside. */
    if (len && memchr(text, 0, len))
        return error_set(err, ERR_UNSUPPORTED, "the text holds NUL bytes: it is not parsed");
    if (l->unfit && l->unfit(text, len))
        return error_set(err, ERR_LIMIT, "the text is nested too deep to be parsed");
    struct syntax_tree *t = malloc(sizeof *t);
    if (!t) return error_set(err, ERR_NOMEM, "out of memory for a syntax tree");
    struct parse state = {.text = text, .len = len, .limits = limits,
                          .deadline = syntax_deadline_of(limits), .stop = OK};
    TSInput input = {.payload = &state, .read = read_text, .encoding = TSInputEncodingUTF8};
    TSParseOptions options = {.payload = &state, .progress_callback = check_limits};
    *t = (struct syntax_tree){.language = l, .table = table, .len = len};
    t->ts = ts_parser_parse_with_options(p->ts, old, input, options);
    if (!t->ts) {
        free(t);
        /* A parser that was stopped is not to be trusted with another text, reset or not. */
        TSParser *fresh = ts_parser_new();
        if (!fresh) return error_set(err, ERR_NOMEM, "out of memory for a parser");
        ts_parser_delete(p->ts);
        p->ts = fresh;
        if (state.stop == ERR_CANCELLED) return error_set(err, state.stop, "parsing was cancelled");
        return error_set(err, ERR_LIMIT, "parsing took longer than %.1f s",
                         limits && limits->seconds > 0 ? limits->seconds : SYNTAX_DEFAULT_SECONDS);
    }
    *out = t;
    return OK;
}

enum status syntax_tree_parse(struct syntax_parser *p, const struct syntax_language *l,
                              const char *text, size_t len, const struct syntax_limits *limits,
                              struct syntax_tree **out, struct error *err)
{
    return parse(p, l, NULL, text, len, limits, out, err);
}

static TSPoint point_in(const char *text, size_t len, size_t offset)
{
    TSPoint p = {0, 0};
    size_t from = 0, n = offset < len ? offset : len;
    const char *nl;
    while (from < n && (nl = memchr(text + from, '\n', n - from)) != NULL) {
        p.row++;
        from = (size_t)(nl - text) + 1;
    }
    p.column = (uint32_t)(n - from);
    return p;
}

/* The point of an offset in the old text, which is gone: the smallest node around it tells its own place,
 * and only rows within that node are lost. The points of the new tree come from the new text. */
static TSPoint old_point(const struct syntax_tree *t, size_t offset)
{
    TSNode root = ts_tree_root_node(t->ts);
    TSNode n = ts_node_descendant_for_byte_range(root, (uint32_t)offset, (uint32_t)offset);
    if (ts_node_is_null(n)) return ts_node_end_point(root);
    if (offset >= ts_node_end_byte(n)) return ts_node_end_point(n);
    TSPoint p = ts_node_start_point(n);
    if (offset > ts_node_start_byte(n)) p.column += (uint32_t)offset - ts_node_start_byte(n);
    return p;
}

enum status syntax_tree_reparse(struct syntax_parser *p, const struct syntax_tree *old,
                                const struct syntax_edit *edit, const char *text, size_t len,
                                const struct syntax_limits *limits, struct syntax_tree **out,
                                struct error *err)
{
    if (edit->begin > edit->old_end || edit->begin > edit->new_end || edit->old_end > old->len ||
        edit->new_end > len || len - edit->new_end != old->len - edit->old_end)
        return error_set(err, ERR_INVALID, "the edit does not fit the texts");
    TSTree *copy = ts_tree_copy(old->ts);
    if (!copy) return error_set(err, ERR_NOMEM, "out of memory for a syntax tree");
    TSInputEdit e = {.start_byte = (uint32_t)edit->begin,
                     .old_end_byte = (uint32_t)edit->old_end,
                     .new_end_byte = (uint32_t)edit->new_end,
                     .start_point = point_in(text, len, edit->begin),
                     .old_end_point = old_point(old, edit->old_end),
                     .new_end_point = point_in(text, len, edit->new_end)};
    /* The guess must not be before the beginning, or unsigned differences wrap. */
    if (e.old_end_point.row < e.start_point.row ||
        (e.old_end_point.row == e.start_point.row && e.old_end_point.column < e.start_point.column))
        e.old_end_point = e.start_point;
    ts_tree_edit(copy, &e);
    enum status st = parse(p, old->language, copy, text, len, limits, out, err);
    ts_tree_delete(copy);
    return st;
}

void syntax_tree_destroy(struct syntax_tree *t)
{
    if (!t) return;
    ts_tree_delete(t->ts);
    free(t);
}

bool syntax_tree_has_error(const struct syntax_tree *t)
{
    return ts_node_has_error(ts_tree_root_node(t->ts));
}

size_t syntax_tree_errors(const struct syntax_tree *t, struct syntax_error *out, size_t max)
{
    if (!syntax_tree_has_error(t)) return 0;
    size_t n = 0;
    unsigned depth = 0;
    TSTreeCursor c = ts_tree_cursor_new(ts_tree_root_node(t->ts));
    for (bool more = true; more && n < MAX_ERRORS;) {
        TSNode node = ts_tree_cursor_current_node(&c);
        bool missing = ts_node_is_missing(node), error = ts_node_is_error(node);
        if (missing || error) {
            TSPoint p = ts_node_start_point(node);
            if (n < max)
                out[n] = (struct syntax_error){.begin = ts_node_start_byte(node),
                                               .end = ts_node_end_byte(node),
                                               .line = p.row + 1,
                                               .column = p.column,
                                               .missing = missing,
                                               .kind = ts_node_type(node)};
            n++;
        }
        /* What an error node holds is not counted again; clean subtrees hold none. */
        if (!error && !missing && ts_node_has_error(node) && depth < MAX_DEPTH &&
            ts_tree_cursor_goto_first_child(&c)) {
            depth++;
            continue;
        }
        while (!ts_tree_cursor_goto_next_sibling(&c)) {
            if (!ts_tree_cursor_goto_parent(&c)) {
                more = false;
                break;
            }
            depth--;
        }
    }
    ts_tree_cursor_delete(&c);
    return n;
}

static void describe(const struct syntax_tree *t, TSNode n, struct syntax_node *out)
{
    TSPoint a = ts_node_start_point(n), z = ts_node_end_point(n);
    TSSymbol s = ts_node_symbol(n);
    const struct syntax_rule *r = s < t->table->n_symbols ? t->table->by_symbol[s] : NULL;
    *out = (struct syntax_node){.kind = ts_node_type(n),
                                .roles = r ? r->roles : 0,
                                .begin = ts_node_start_byte(n),
                                .end = ts_node_end_byte(n),
                                .begin_line = a.row + 1,
                                .begin_column = a.column,
                                .end_line = z.row + 1,
                                .end_column = z.column,
                                .named = ts_node_is_named(n)};
    if (ts_node_is_error(n)) out->roles |= SYNTAX_ERROR_ROLE;
}

/* Calls visit for the nodes around offset, from the root's child inwards. */
static void descend(const struct syntax_tree *t, size_t offset,
                    void (*visit)(const struct syntax_tree *t, TSNode n, void *ctx), void *ctx)
{
    if (offset > t->len) return;
    if (offset == t->len && offset > 0) offset--;
    TSTreeCursor c = ts_tree_cursor_new(ts_tree_root_node(t->ts));
    while (ts_tree_cursor_goto_first_child_for_byte(&c, (uint32_t)offset) >= 0) {
        TSNode n = ts_tree_cursor_current_node(&c);
        /* The child found is the first that ends behind the offset; it may begin behind it too. */
        if (ts_node_start_byte(n) > offset || ts_node_end_byte(n) <= offset) break;
        visit(t, n, ctx);
    }
    ts_tree_cursor_delete(&c);
}

struct innermost {
    struct syntax_node *out;
    unsigned roles;
    bool any, found;
};

static void keep_innermost(const struct syntax_tree *t, TSNode n, void *ctx)
{
    struct innermost *i = ctx;
    struct syntax_node d;
    describe(t, n, &d);
    if (!i->any && !(d.roles & i->roles)) return;
    *i->out = d;
    i->found = true;
}

bool syntax_tree_node_at(const struct syntax_tree *t, size_t offset, struct syntax_node *out)
{
    struct innermost i = {.out = out, .any = true};
    if (offset > t->len) return false;
    describe(t, ts_tree_root_node(t->ts), out);
    descend(t, offset, keep_innermost, &i);
    return true;
}

bool syntax_tree_enclosing_role(const struct syntax_tree *t, size_t offset, unsigned roles,
                                struct syntax_node *out)
{
    struct innermost i = {.out = out, .roles = roles};
    descend(t, offset, keep_innermost, &i);
    return i.found;
}

struct ring {
    struct syntax_node *out;
    size_t max, n;
    bool all;
};

/* Keeps the last max nodes, in a ring. */
static void keep_ring(const struct syntax_tree *t, TSNode n, void *ctx)
{
    struct ring *r = ctx;
    struct syntax_node d;
    describe(t, n, &d);
    if (!r->all && !d.roles) return;
    r->out[r->n++ % r->max] = d;
}

static void reverse(struct syntax_node *a, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct syntax_node x = a[i];
        a[i] = a[n - 1 - i];
        a[n - 1 - i] = x;
    }
}

size_t syntax_tree_enclosing(const struct syntax_tree *t, size_t offset, bool all,
                             struct syntax_node *out, size_t max)
{
    if (max == 0) return 0;
    struct ring r = {.out = out, .max = max, .all = all};
    descend(t, offset, keep_ring, &r);
    size_t n = r.n < max ? r.n : max, head = r.n > max ? r.n % max : 0;
    /* Rotate the ring to its oldest, then turn it round: innermost first. */
    reverse(out, head);
    reverse(out + head, n - head);
    return n;
}

#else

struct syntax_parser {
    char unused;
};

enum status syntax_parser_create(struct syntax_parser **out, struct error *err)
{
    *out = malloc(sizeof **out);
    return *out ? OK : error_set(err, ERR_NOMEM, "out of memory for a parser");
}

void syntax_parser_destroy(struct syntax_parser *p)
{
    free(p);
}

static enum status none(const struct syntax_language *l, struct error *err)
{
    return error_set(err, ERR_UNSUPPORTED, "no grammar of %s: Hearth was built without grammars",
                     l->name);
}

enum status syntax_tree_parse(struct syntax_parser *p, const struct syntax_language *l,
                              const char *text, size_t len, const struct syntax_limits *limits,
                              struct syntax_tree **out, struct error *err)
{
    (void)p, (void)text, (void)len, (void)limits, (void)out;
    return none(l, err);
}

enum status syntax_tree_reparse(struct syntax_parser *p, const struct syntax_tree *old,
                                const struct syntax_edit *edit, const char *text, size_t len,
                                const struct syntax_limits *limits, struct syntax_tree **out,
                                struct error *err)
{
    (void)p, (void)edit, (void)text, (void)len, (void)limits, (void)out;
    return none(old->language, err);
}

/* Without grammars there is no tree to ask. */
void syntax_tree_destroy(struct syntax_tree *t)
{
    free(t);
}

bool syntax_tree_has_error(const struct syntax_tree *t)
{
    (void)t;
    return false;
}

size_t syntax_tree_errors(const struct syntax_tree *t, struct syntax_error *out, size_t max)
{
    (void)t, (void)out, (void)max;
    return 0;
}

bool syntax_tree_node_at(const struct syntax_tree *t, size_t offset, struct syntax_node *out)
{
    (void)t, (void)offset, (void)out;
    return false;
}

size_t syntax_tree_enclosing(const struct syntax_tree *t, size_t offset, bool all,
                             struct syntax_node *out, size_t max)
{
    (void)t, (void)offset, (void)all, (void)out, (void)max;
    return 0;
}

bool syntax_tree_enclosing_role(const struct syntax_tree *t, size_t offset, unsigned roles,
                                struct syntax_node *out)
{
    (void)t, (void)offset, (void)roles, (void)out;
    return false;
}

#endif

const struct syntax_language *syntax_tree_language(const struct syntax_tree *t)
{
    return t->language;
}
