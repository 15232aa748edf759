/* Filters that apply another filter or a test to each item: map, select, reject and the like. */
#include <string.h>

#include "text/jinja_families.h"

static struct jinja_value named(const struct jinja_args *args, const char *name)
{
    for (size_t i = 0; i < args->n_named; i++)
        if (jinja_is(args->named[i].key, name)) return args->named[i].value;
    return (struct jinja_value){.kind = JINJA_MISSING};
}

static struct jinja_args rest(const struct jinja_args *args, size_t from)
{
    struct jinja_args r = *args;
    r.pos += from;
    r.n_pos -= from;
    return r;
}

/* None, 0 and false have no items here, although they cannot be walked elsewhere. */
static struct jinja_list *items_of(struct jinja *in, struct jinja_value x)
{
    return jinja_truth(in, x) ? jinja_iter(in, x) : NULL;
}

static struct jinja_value f_map(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value out = jinja_list_new(in, FORM_GENERATOR);
    struct jinja_value path = named(raw, "attribute"), otherwise = named(raw, "default");
    const struct jinja_function *f = NULL;
    if (raw->n_pos == 0 && path.kind == JINJA_MISSING)
        return jinja_fail(in, ERR_INVALID, "map needs a filter's name or attribute=");
    if (raw->n_pos > 0) {
        if (!jinja_want_str(in, raw->pos[0])) return out;
        f = jinja_filter_find(raw->pos[0].s, raw->pos[0].len);
        if (!f) return jinja_fail(in, ERR_UNSUPPORTED, "no filter named '%.*s'", (int)raw->pos[0].len, raw->pos[0].s);
    }
    struct jinja_args more = raw->n_pos ? rest(raw, 1) : (struct jinja_args){0};
    struct jinja_list *l = items_of(in, x);
    for (uint32_t i = 0; l && i < l->len && jinja_step(in, 1); i++) {
        struct jinja_value v;
        if (f) {
            v = jinja_call_function(in, f, l->items[i], &more);
        } else {
            v = jinja_attr_path(in, l->items[i], path);
            if (v.kind == JINJA_UNDEFINED && otherwise.kind != JINJA_MISSING) v = otherwise;
        }
        jinja_list_add(in, out, v);
    }
    return out;
}

/* select, reject, selectattr, rejectattr. */
static struct jinja_value pick(struct jinja *in, struct jinja_value x, const struct jinja_args *raw, bool keep,
                               bool attribute)
{
    struct jinja_value out = jinja_list_new(in, FORM_GENERATOR);
    size_t at = attribute;
    if (raw->n_pos < at) return jinja_fail(in, ERR_INVALID, "selectattr and rejectattr need an attribute's name");
    const struct jinja_function *test = NULL;
    struct jinja_args more = {0};
    if (raw->n_pos > at) {
        struct jinja_value name = raw->pos[at];
        if (!jinja_want_str(in, name)) return out;
        test = jinja_test_find(name.s, name.len);
        if (!test) return jinja_fail(in, ERR_UNSUPPORTED, "no test named '%.*s'", (int)name.len, name.s);
        more = rest(raw, at + 1);
    }
    struct jinja_list *l = items_of(in, x);
    for (uint32_t i = 0; l && i < l->len && jinja_step(in, 1); i++) {
        struct jinja_value v = attribute ? jinja_attr_path(in, l->items[i], raw->pos[0]) : l->items[i];
        if (test) v = jinja_call_function(in, test, v, &more);
        if (jinja_truth(in, v) == keep) jinja_list_add(in, out, l->items[i]);
    }
    return out;
}

static struct jinja_value f_select(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return pick(in, x, raw, true, false);
}

static struct jinja_value f_reject(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return pick(in, x, raw, false, false);
}

static struct jinja_value f_selectattr(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return pick(in, x, raw, true, true);
}

static struct jinja_value f_rejectattr(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return pick(in, x, raw, false, true);
}

const struct jinja_function jinja_filters_pick[] = {
    {"map", f_map, NULL},
    {"select", f_select, NULL},
    {"reject", f_reject, NULL},
    {"selectattr", f_selectattr, NULL},
    {"rejectattr", f_rejectattr, NULL},
    {0},
};
