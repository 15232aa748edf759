/* Parsing statements: text, {{ }} and the tags, each tag one row of a table. */
#include <stdlib.h>
#include <string.h>

#include "text/jinja_int.h"

static void want_block_end(struct jinja_parser *p)
{
    if (p->tok->kind == T_BLOCK_END)
        p->tok++;
    else
        jinja_parse_fail(p, ERR_FORMAT, "expected the end of the tag, %%}");
}

/* At a tag that ends or divides a body. */
static bool at_closing(const struct jinja_parser *p)
{
    if (p->tok->kind != T_BLOCK_BEGIN || p->tok[1].kind != T_NAME) return false;
    struct jinja_value v = p->tok[1].v;
    return (v.len >= 3 && memcmp(v.s, "end", 3) == 0) || jinja_is(v, "elif") || jinja_is(v, "else");
}

/* A body and the tag {% name %} behind it. */
static struct jinja_node *body_until(struct jinja_parser *p, const char *name)
{
    struct jinja_node *body = jinja_parse_body(p);
    if (p->st != OK) return body;
    if (p->tok->kind == T_BLOCK_BEGIN) p->tok++;
    if (!jinja_take_name(p, name)) jinja_parse_fail(p, ERR_FORMAT, "expected {%% %s %%}", name);
    return body;
}

/* Kids are condition, body, condition, body, ...; c is the body of else. */
static struct jinja_node *parse_if(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node_new(p, NODE_IF);
    do {
        jinja_node_add(p, n, jinja_parse_tuple(p, false, false));
        want_block_end(p);
        jinja_node_add(p, n, jinja_parse_body(p));
        if (p->st != OK || p->tok->kind != T_BLOCK_BEGIN) break;
        p->tok++;
    } while (jinja_take_name(p, "elif"));
    if (p->st == OK && jinja_take_name(p, "else")) {
        want_block_end(p);
        n->c = body_until(p, "endif");
    } else if (!jinja_take_name(p, "endif")) {
        jinja_parse_fail(p, ERR_FORMAT, "expected {%% endif %%}");
    }
    return n;
}

static bool is_target(const struct jinja_node *n)
{
    if (n->kind == NODE_NAME) return true;
    if (n->kind != NODE_TUPLE && n->kind != NODE_LIST) return false;
    for (uint32_t i = 0; i < n->n; i++)
        if (!is_target(n->kids[i])) return false;
    return n->n > 0;
}

static struct jinja_node *parse_target(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_parse_tuple(p, false, true);
    if (p->st == OK && !is_target(n)) jinja_parse_fail(p, ERR_FORMAT, "expected names to assign to");
    return n;
}

/* a: target, b: what to walk, c: condition; kids: body and perhaps the body of else. */
static struct jinja_node *parse_for(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node_new(p, NODE_FOR);
    n->a = parse_target(p);
    if (!jinja_take_name(p, "in")) jinja_parse_fail(p, ERR_FORMAT, "expected 'in'");
    n->b = jinja_parse_tuple(p, false, false);
    if (jinja_take_name(p, "if")) n->c = jinja_parse_expression(p, true);
    if (jinja_at_name(p, "recursive"))
        jinja_parse_fail(p, ERR_UNSUPPORTED, "recursive loops are not supported");
    want_block_end(p);
    p->loops++;
    jinja_node_add(p, n, jinja_parse_body(p));
    p->loops--;
    if (p->st == OK && at_closing(p) && jinja_is(p->tok[1].v, "else")) {
        p->tok += 2;
        want_block_end(p);
        jinja_node_add(p, n, body_until(p, "endfor"));
        return n;
    }
    if (p->st == OK && p->tok->kind == T_BLOCK_BEGIN) p->tok++;
    if (!jinja_take_name(p, "endfor")) jinja_parse_fail(p, ERR_FORMAT, "expected {%% endfor %%}");
    return n;
}

/* a: target (a name, names, or an attribute of a namespace), b: value; or the body and c: filters. */
static struct jinja_node *parse_set(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node_new(p, NODE_SET);
    if (p->tok->kind == T_NAME && p->tok[1].kind == T_OP && strcmp(p->tok[1].op, ".") == 0) {
        n->a = jinja_node_new(p, NODE_ATTR);
        n->a->a = jinja_parse_primary(p);
        jinja_want_op(p, ".");
        if (p->tok->kind == T_NAME)
            n->a->v = p->tok++->v;
        else
            jinja_parse_fail(p, ERR_FORMAT, "expected a name");
    } else {
        n->a = parse_target(p);
    }
    if (jinja_take_op(p, "=")) {
        n->b = jinja_parse_tuple(p, true, false);
        return n;
    }
    n->kind = NODE_SET_BLOCK;
    if (jinja_at_op(p, "|")) n->c = jinja_parse_filters(p, NULL, false);
    want_block_end(p);
    n->b = body_until(p, "endset");
    return n;
}

/* Kids: a NODE_NAME per parameter, its default in a. */
static void parse_params(struct jinja_parser *p, struct jinja_node *n)
{
    jinja_want_op(p, "(");
    bool defaults = false;
    while (p->st == OK && !jinja_at_op(p, ")")) {
        if (n->n) jinja_want_op(p, ",");
        if (jinja_at_op(p, ")")) break;
        struct jinja_node *x = jinja_node_new(p, NODE_NAME);
        if (p->tok->kind != T_NAME) {
            jinja_parse_fail(p, ERR_FORMAT, "expected a parameter's name");
            return;
        }
        x->v = p->tok++->v;
        if (jinja_take_op(p, "=")) {
            x->a = jinja_parse_expression(p, true);
            defaults = true;
        } else if (defaults) {
            jinja_parse_fail(p, ERR_FORMAT, "a parameter without a default behind one that has one");
        }
        jinja_node_add(p, n, x);
    }
    jinja_want_op(p, ")");
}

/* Whether a body mentions a name, which gives its macro varargs, kwargs or caller. */
static bool mentions(const struct jinja_node *n, const char *name)
{
    if (!n) return false;
    if (n->kind == NODE_NAME && jinja_is(n->v, name)) return true;
    if (mentions(n->a, name) || mentions(n->b, name) || mentions(n->c, name)) return true;
    for (uint32_t i = 0; i < n->n; i++)
        if (mentions(n->kids[i], name)) return true;
    return false;
}

enum { MACRO_VARARGS = 1, MACRO_KWARGS = 2, MACRO_CALLER = 4 };

static struct jinja_node *finish_macro(struct jinja_parser *p, struct jinja_node *n, const char *end)
{
    want_block_end(p);
    unsigned loops = p->loops;
    p->loops = 0; /* break does not leave a macro */
    n->b = body_until(p, end);
    p->loops = loops;
    if (p->st == OK)
        n->op = (uint8_t)(mentions(n->b, "varargs") * MACRO_VARARGS +
                          mentions(n->b, "kwargs") * MACRO_KWARGS +
                          mentions(n->b, "caller") * MACRO_CALLER);
    return n;
}

static struct jinja_node *parse_macro(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node_new(p, NODE_MACRO);
    if (p->tok->kind == T_NAME)
        n->v = p->tok++->v;
    else
        jinja_parse_fail(p, ERR_FORMAT, "expected the macro's name");
    parse_params(p, n);
    return finish_macro(p, n, "endmacro");
}

/* a: the call, c: a macro with the body. */
static struct jinja_node *parse_call(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node_new(p, NODE_CALL_BLOCK);
    n->c = jinja_node_new(p, NODE_MACRO);
    n->c->v = jinja_str("caller", 6);
    if (jinja_at_op(p, "(")) parse_params(p, n->c);
    n->a = jinja_parse_expression(p, true);
    if (p->st == OK && n->a->kind != NODE_CALL) jinja_parse_fail(p, ERR_FORMAT, "expected a call");
    finish_macro(p, n->c, "endcall");
    return n;
}

static struct jinja_node *parse_filter_block(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node_new(p, NODE_FILTER_BLOCK);
    n->c = jinja_parse_filters(p, NULL, true);
    want_block_end(p);
    n->b = body_until(p, "endfilter");
    return n;
}

static struct jinja_node *parse_generation(struct jinja_parser *p)
{
    /* A call block in transformers: the body has a scope of its own. */
    struct jinja_node *n = jinja_node_new(p, NODE_WITH);
    want_block_end(p);
    n->b = body_until(p, "endgeneration");
    return n;
}

/* Kids: target, value, target, value, ... */
static struct jinja_node *parse_with(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node_new(p, NODE_WITH);
    while (p->st == OK && p->tok->kind != T_BLOCK_END) {
        if (n->n) jinja_want_op(p, ",");
        struct jinja_node *t = jinja_parse_primary(p);
        if (p->st == OK && !is_target(t)) jinja_parse_fail(p, ERR_FORMAT, "expected a name");
        jinja_node_add(p, n, t);
        jinja_want_op(p, "=");
        jinja_node_add(p, n, jinja_parse_expression(p, true));
    }
    want_block_end(p);
    n->b = body_until(p, "endwith");
    return n;
}

static struct jinja_node *parse_do(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node_new(p, NODE_DO);
    n->a = jinja_parse_tuple(p, true, false);
    return n;
}

static struct jinja_node *parse_break(struct jinja_parser *p)
{
    if (!p->loops) jinja_parse_fail(p, ERR_FORMAT, "break outside of a loop");
    return jinja_node_new(p, NODE_BREAK);
}

static struct jinja_node *parse_continue(struct jinja_parser *p)
{
    if (!p->loops) jinja_parse_fail(p, ERR_FORMAT, "continue outside of a loop");
    return jinja_node_new(p, NODE_CONTINUE);
}

static const struct {
    const char *name;
    struct jinja_node *(*parse)(struct jinja_parser *p);
} tags[] = {
    {"if", parse_if},         {"for", parse_for},       {"set", parse_set},
    {"macro", parse_macro},   {"call", parse_call},     {"filter", parse_filter_block},
    {"break", parse_break},   {"continue", parse_continue},
    {"generation", parse_generation},
    {"with", parse_with},     {"do", parse_do},
};

static struct jinja_node *parse_tag(struct jinja_parser *p)
{
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        if (jinja_take_name(p, tags[i].name)) {
            uint32_t line = p->tok->line;
            struct jinja_node *n = tags[i].parse(p);
            n->line = line;
            want_block_end(p);
            return n;
        }
    if (p->tok->kind == T_NAME)
        jinja_parse_fail(p, ERR_FORMAT, "the tag {%% %.*s %%} is not known", (int)p->tok->v.len,
                         p->tok->v.s);
    else
        jinja_parse_fail(p, ERR_FORMAT, "a tag without a name");
    return jinja_node_new(p, NODE_BODY);
}

struct jinja_node *jinja_parse_body(struct jinja_parser *p)
{
    struct jinja_node *body = jinja_node_new(p, NODE_BODY);
    if (p->nesting >= JINJA_MAX_NESTING)
        jinja_parse_fail(p, ERR_LIMIT, "more than %d levels of nesting", JINJA_MAX_NESTING);
    p->nesting++;
    while (p->st == OK && p->tok->kind != T_END && !at_closing(p)) {
        struct jinja_node *n;
        if (p->tok->kind == T_DATA) {
            n = jinja_node_new(p, NODE_TEXT);
            n->v = p->tok++->v;
        } else if (p->tok->kind == T_VAR_BEGIN) {
            p->tok++;
            n = jinja_node_new(p, NODE_OUTPUT);
            n->a = jinja_parse_tuple(p, true, false);
            if (p->tok->kind == T_VAR_END)
                p->tok++;
            else
                jinja_parse_fail(p, ERR_FORMAT, "expected the end of the expression, }}");
        } else {
            p->tok++;
            n = parse_tag(p);
        }
        jinja_node_add(p, body, n);
    }
    p->nesting--;
    return body;
}

enum { MAX_SOURCE = 1 << 20, MAX_TEMPLATE_MEMORY = 48 << 20 };

enum status jinja_compile(const char *source, size_t len, struct jinja_template **out,
                          struct error *err)
{
    *out = NULL;
    if (len > MAX_SOURCE)
        return error_set(err, ERR_LIMIT, "a template of %zu bytes; %d are the most", len, MAX_SOURCE);
    struct jinja_template *t = calloc(1, sizeof *t);
    if (!t) return error_set(err, ERR_NOMEM, "no memory for the template");
    t->arena.max = MAX_TEMPLATE_MEMORY;
    enum status st = jinja_lex(&t->arena, source, len, &t->tokens, err);
    if (st == OK) {
        struct jinja_parser p = {.arena = &t->arena, .tok = t->tokens.items, .err = err};
        t->body = jinja_parse_body(&p);
        if (p.st == OK && p.tok->kind != T_END)
            jinja_parse_fail(&p, ERR_FORMAT, "a closing tag that closes nothing");
        st = p.st;
    }
    if (st != OK) {
        jinja_destroy(t);
        return error_prefix(err, "chat template"), st;
    }
    *out = t;
    return OK;
}

void jinja_destroy(struct jinja_template *t)
{
    if (!t) return;
    jinja_arena_fini(&t->arena);
    free(t);
}

bool jinja_uses(const struct jinja_template *t, const char *name)
{
    for (size_t i = 0; i < t->tokens.len; i++)
        if (t->tokens.items[i].kind == T_NAME && jinja_is(t->tokens.items[i].v, name)) return true;
    return false;
}
