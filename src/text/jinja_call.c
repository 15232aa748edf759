/* Calls: arguments, functions with named parameters, macros. */
#include <string.h>

#include "text/jinja_int.h"

enum { MAX_PARAMS = 8 };
enum { MACRO_VARARGS = 1, MACRO_KWARGS = 2, MACRO_CALLER = 4 };

static void add_pos(struct jinja *in, struct jinja_args *a, size_t *cap, struct jinja_value v)
{
    if (a->n_pos == *cap) {
        *cap = *cap ? 2 * *cap : 4;
        struct jinja_value *p = jinja_alloc(in, *cap * sizeof *p);
        if (!p) return;
        if (a->n_pos) memcpy(p, a->pos, a->n_pos * sizeof *p);
        a->pos = p;
    }
    a->pos[a->n_pos++] = v;
}

void jinja_eval_args(struct jinja *in, const struct jinja_node *call, struct jinja_args *out)
{
    *out = (struct jinja_args){0};
    size_t cap = 0;
    struct jinja_value named = {.kind = JINJA_MISSING};
    for (uint32_t i = 0; i < call->n && in->st == OK; i++) {
        const struct jinja_node *n = call->kids[i];
        bool star = n->kind == NODE_STAR, dstar = n->kind == NODE_DSTAR, kw = n->kind == NODE_KWARG;
        struct jinja_value v = jinja_eval(in, star || dstar || kw ? n->a : n);
        if ((dstar || kw) && named.kind == JINJA_MISSING) named = jinja_dict_new(in);
        if (in->st != OK) return;
        if (kw) {
            jinja_dict_set(in, named, n->v, v);
        } else if (dstar) {
            if (v.kind != JINJA_DICT) {
                jinja_fail(in, ERR_INVALID, "argument after ** must be a mapping");
                return;
            }
            for (uint32_t k = 0; k < v.dict->len && jinja_step(in, 1); k++)
                if (jinja_want_str(in, v.dict->pairs[k].key))
                    jinja_dict_set(in, named, v.dict->pairs[k].key, v.dict->pairs[k].value);
        } else if (star) {
            struct jinja_list *l = jinja_iter(in, v);
            for (uint32_t k = 0; l && k < l->len && in->st == OK; k++) add_pos(in, out, &cap, l->items[k]);
        } else {
            add_pos(in, out, &cap, v);
        }
    }
    if (named.kind == JINJA_DICT && in->st == OK) {
        out->named = named.dict->pairs;
        out->n_named = named.dict->len;
    }
}

/* The next of the names separated by spaces; false at the end. */
static bool next_param(const char **p, const char **name, size_t *len, bool *required)
{
    while (**p == ' ') ++*p;
    *name = *p;
    while (**p && **p != ' ') ++*p;
    *len = (size_t)(*p - *name);
    *required = *len && (*name)[*len - 1] == '!';
    *len -= *required;
    return *len > 0;
}

struct jinja_value jinja_call_function(struct jinja *in, const struct jinja_function *f,
                                       struct jinja_value self, const struct jinja_args *args)
{
    if (!jinja_enter(in)) return jinja_undefined("", 0);
    struct jinja_value bound[MAX_PARAMS] = {{0}};
    size_t n = 0, used = 0;
    const char *p = f->params ? f->params : "", *name;
    size_t len;
    bool required, ok = true;
    while (n < MAX_PARAMS && next_param(&p, &name, &len, &required)) {
        if (n < args->n_pos) bound[n] = args->pos[n];
        for (size_t i = 0; i < args->n_named; i++) {
            const struct jinja_pair *kw = &args->named[i];
            if (kw->key.len != len || memcmp(kw->key.s, name, len) != 0) continue;
            ok = ok && n >= args->n_pos;
            bound[n] = kw->value;
            used++;
        }
        ok = ok && !(required && bound[n].kind == JINJA_MISSING);
        n++;
    }
    struct jinja_value v;
    if (f->params && (!ok || args->n_pos > n || used < args->n_named))
        v = jinja_fail(in, ERR_INVALID, "wrong arguments for %s(%s)", f->name, f->params);
    else
        v = f->call(in, self, f->params ? bound : NULL, args);
    jinja_leave(in);
    return v;
}

static struct jinja_value collect_rest(struct jinja *in, const struct jinja_args *args, size_t from)
{
    struct jinja_value rest = jinja_list_new(in, FORM_TUPLE);
    for (size_t i = from; i < args->n_pos; i++) jinja_list_add(in, rest, args->pos[i]);
    return rest;
}

static bool is_param(const struct jinja_node *m, struct jinja_value key)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->kids[i]->v.len == key.len && memcmp(m->kids[i]->v.s, key.s, key.len) == 0) return true;
    return false;
}

/* Named arguments that are no parameters go to kwargs; `caller` is a parameter of its own kind. */
static void bind_extra(struct jinja *in, const struct jinja_node *m, const struct jinja_args *args)
{
    struct jinja_value kwargs = {.kind = JINJA_MISSING};
    if (m->op & MACRO_KWARGS) kwargs = jinja_dict_new(in);
    for (size_t i = 0; i < args->n_named && jinja_step(in, 1); i++) {
        struct jinja_value key = args->named[i].key;
        if (is_param(m, key)) continue;
        if (jinja_is(key, "caller") && (m->op & MACRO_CALLER))
            jinja_scope_set(in, in->scope, "caller", 6, args->named[i].value);
        else if (kwargs.kind == JINJA_DICT)
            jinja_dict_set(in, kwargs, key, args->named[i].value);
        else
            jinja_fail(in, ERR_INVALID, "macro '%.*s' takes no keyword argument '%.*s'",
                       (int)m->v.len, m->v.s, (int)key.len, key.s);
    }
    if (kwargs.kind == JINJA_DICT) jinja_scope_set(in, in->scope, "kwargs", 6, kwargs);
}

static void bind_macro(struct jinja *in, const struct jinja_node *m, const struct jinja_args *args)
{
    if (args->n_pos > m->n && !(m->op & MACRO_VARARGS)) {
        jinja_fail(in, ERR_INVALID, "macro '%.*s' takes not more than %u argument(s)", (int)m->v.len,
                   m->v.s, m->n);
        return;
    }
    for (uint32_t i = 0; i < m->n && in->st == OK; i++) {
        const struct jinja_node *param = m->kids[i];
        struct jinja_value v = {.kind = JINJA_MISSING};
        if (i < args->n_pos) v = args->pos[i];
        for (size_t k = 0; k < args->n_named; k++)
            if (args->named[k].key.len == param->v.len &&
                memcmp(args->named[k].key.s, param->v.s, param->v.len) == 0)
                v = args->named[k].value;
        if (v.kind == JINJA_MISSING)
            v = param->a ? jinja_eval(in, param->a) : jinja_undefined(param->v.s, param->v.len);
        jinja_scope_set(in, in->scope, param->v.s, param->v.len, v);
    }
    if (m->op & MACRO_VARARGS) {
        jinja_scope_set(in, in->scope, "varargs", 7, collect_rest(in, args, m->n));
    }
    bind_extra(in, m, args);
}

static struct jinja_value call_macro(struct jinja *in, const struct jinja_macro *m,
                                     const struct jinja_args *args)
{
    struct jinja_scope *caller = in->scope;
    in->scope = m->scope;
    jinja_scope_push(in);
    struct jinja_value v = jinja_undefined("", 0);
    if (in->st == OK) {
        bind_macro(in, m->node, args);
        v = jinja_capture(in, m->node->b);
    }
    in->scope = caller;
    return v;
}

struct jinja_value jinja_call(struct jinja *in, struct jinja_value f, const struct jinja_args *args)
{
    if (in->st != OK) return jinja_undefined("", 0);
    switch ((enum jinja_kind)f.kind) {
    case JINJA_FUNCTION:
        return jinja_call_function(in, f.function, f, args);
    case JINJA_METHOD:
        return jinja_call_function(in, f.bound->function, f.bound->self, args);
    case JINJA_MACRO: {
        if (!jinja_enter(in)) return f;
        struct jinja_value v = call_macro(in, f.macro, args);
        jinja_leave(in);
        return v;
    }
    case JINJA_OBJECT:
        for (const struct jinja_function *m = f.object->methods; m->name; m++)
            if (!*m->name) return jinja_call_function(in, m, f, args);
        break;
    case JINJA_UNDEFINED:
        return jinja_fail(in, ERR_INVALID, "'%.*s' is undefined", (int)f.len, f.s);
    default:
        break;
    }
    return jinja_fail(in, ERR_INVALID, "'%s' object is not callable", jinja_type_name(f));
}
