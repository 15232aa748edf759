/* Evaluating expressions. */
#include <string.h>

#include "text/jinja_int.h"

static struct jinja_value name(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_value v = jinja_scope_get(in->scope, n->v.s, n->v.len);
    if (v.kind != JINJA_MISSING) return v;
    const struct jinja_function *f = jinja_global_find(n->v.s, n->v.len);
    if (f) return (struct jinja_value){.kind = JINJA_FUNCTION, .function = f};
    return jinja_undefined(n->v.s, n->v.len);
}

static struct jinja_value sequence(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_value l = jinja_list_new(in, n->kind == NODE_TUPLE ? FORM_TUPLE : FORM_LIST);
    for (uint32_t i = 0; i < n->n && in->st == OK; i++) jinja_list_add(in, l, jinja_eval(in, n->kids[i]));
    return l;
}

static struct jinja_value dict(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_value d = jinja_dict_new(in);
    for (uint32_t i = 0; i + 1 < n->n && in->st == OK; i += 2) {
        struct jinja_value key = jinja_eval(in, n->kids[i]);
        jinja_dict_set(in, d, key, jinja_eval(in, n->kids[i + 1]));
    }
    return d;
}

static struct jinja_value item(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_value x = jinja_eval(in, n->a);
    if (n->b->kind != NODE_SLICE) return jinja_item(in, x, jinja_eval(in, n->b));
    struct jinja_value part[3] = {jinja_none(), jinja_none(), jinja_none()};
    if (n->b->a) part[0] = jinja_eval(in, n->b->a);
    if (n->b->b) part[1] = jinja_eval(in, n->b->b);
    if (n->b->c) part[2] = jinja_eval(in, n->b->c);
    return jinja_slice(in, x, part[0], part[1], part[2]);
}

static struct jinja_value apply(struct jinja *in, const struct jinja_node *n, const char *what)
{
    in->line = n->line;
    if (!n->function)
        return jinja_fail(in, ERR_UNSUPPORTED, "no %s named '%.*s'", what, (int)n->v.len, n->v.s);
    struct jinja_value x = jinja_eval(in, n->a);
    struct jinja_args args;
    jinja_eval_args(in, n, &args);
    return in->st == OK ? jinja_call_function(in, n->function, x, &args) : x;
}

static struct jinja_value compare(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_value a = jinja_eval(in, n->a);
    for (uint32_t i = 0; i < n->n && in->st == OK; i++) {
        struct jinja_value b = jinja_eval(in, n->kids[i]->a);
        if (!jinja_compare(in, n->kids[i]->op, a, b)) return jinja_bool(false);
        a = b;
    }
    return jinja_bool(true);
}

static struct jinja_value concat(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_value s = jinja_str("", 0);
    for (uint32_t i = 0; i < n->n && in->st == OK; i++)
        s = jinja_join2(in, s, jinja_to_str(in, jinja_eval(in, n->kids[i])));
    return s;
}

static struct jinja_value call(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_value f = jinja_eval(in, n->a);
    struct jinja_args args;
    jinja_eval_args(in, n, &args);
    in->line = n->line;
    return jinja_call(in, f, &args);
}

static struct jinja_value evaluate(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_value x;
    switch ((enum jinja_node_kind)n->kind) {
    case NODE_CONST:
        return n->v;
    case NODE_NAME:
        return name(in, n);
    case NODE_LIST:
    case NODE_TUPLE:
        return sequence(in, n);
    case NODE_DICT:
        return dict(in, n);
    case NODE_ATTR:
        x = jinja_eval(in, n->a);
        in->line = n->line;
        return jinja_attr(in, x, n->v.s, n->v.len);
    case NODE_ITEM:
        return item(in, n);
    case NODE_CALL:
        return call(in, n);
    case NODE_FILTER:
        return apply(in, n, "filter");
    case NODE_TEST:
        return apply(in, n, "test");
    case NODE_UNARY:
        return jinja_unary(in, n->op, jinja_eval(in, n->a));
    case NODE_BINARY:
        x = jinja_eval(in, n->a);
        return jinja_binary(in, n->op, x, jinja_eval(in, n->b));
    case NODE_CONCAT:
        return concat(in, n);
    case NODE_COMPARE:
        return compare(in, n);
    case NODE_AND:
        x = jinja_eval(in, n->a);
        return jinja_truth(in, x) ? jinja_eval(in, n->b) : x;
    case NODE_OR:
        x = jinja_eval(in, n->a);
        return jinja_truth(in, x) ? x : jinja_eval(in, n->b);
    case NODE_NOT:
        return jinja_bool(!jinja_truth(in, jinja_eval(in, n->a)));
    case NODE_COND:
        if (jinja_truth(in, jinja_eval(in, n->a))) return jinja_eval(in, n->b);
        return n->c ? jinja_eval(in, n->c) : jinja_undefined("else", 4);
    default:
        return jinja_fail(in, ERR_INVALID, "a slice outside of [ ]");
    }
}

struct jinja_value jinja_eval(struct jinja *in, const struct jinja_node *n)
{
    if (!jinja_enter(in)) return jinja_undefined("", 0);
    struct jinja_value v = evaluate(in, n);
    jinja_leave(in);
    return v;
}
