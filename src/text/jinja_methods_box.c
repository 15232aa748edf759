/* Methods of dictionaries and lists. Those that change their object are refused by the sandbox of
 * transformers; templates written for other engines use them, and nothing outside of a rendering can see
 * the change. */
#include <string.h>

#include "text/jinja_families.h"

enum part { KEYS, VALUES, ITEMS };

static struct jinja_value view(struct jinja *in, struct jinja_value x, enum part part)
{
    struct jinja_value out = jinja_list_new(in, FORM_VIEW);
    for (uint32_t i = 0; i < x.dict->len && jinja_step(in, 1); i++) {
        const struct jinja_pair *p = &x.dict->pairs[i];
        jinja_list_add(in, out, part == KEYS     ? p->key
                                : part == VALUES ? p->value
                                                 : jinja_tuple2(in, p->key, p->value));
    }
    return out;
}

static struct jinja_value d_keys(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return view(in, x, KEYS);
}

static struct jinja_value d_values(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return view(in, x, VALUES);
}

static struct jinja_value d_items(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return view(in, x, ITEMS);
}

static struct jinja_value d_get(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_pair *p = jinja_dict_find(in, x.dict, a[0]);
    return p ? p->value : jinja_or(a[1], jinja_none());
}

static struct jinja_value d_copy(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value d = jinja_dict_new(in);
    for (uint32_t i = 0; i < x.dict->len && jinja_step(in, 1); i++)
        jinja_dict_set(in, d, x.dict->pairs[i].key, x.dict->pairs[i].value);
    return d;
}

static struct jinja_value d_update(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    if (raw->n_pos && raw->pos[0].kind != JINJA_DICT) return jinja_fail(in, ERR_INVALID, "update needs a dict");
    for (uint32_t i = 0; raw->n_pos && i < raw->pos[0].dict->len && jinja_step(in, 1); i++)
        jinja_dict_set(in, x, raw->pos[0].dict->pairs[i].key, raw->pos[0].dict->pairs[i].value);
    for (size_t i = 0; i < raw->n_named && jinja_step(in, 1); i++)
        jinja_dict_set(in, x, raw->named[i].key, raw->named[i].value);
    return jinja_none();
}

static struct jinja_value d_pop(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value v;
    if (jinja_dict_remove(in, x.dict, a[0], &v)) return v;
    if (a[1].kind == JINJA_MISSING) return jinja_fail(in, ERR_INVALID, "pop: no such key");
    return a[1];
}

static struct jinja_value d_setdefault(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_pair *p = jinja_dict_find(in, x.dict, a[0]);
    if (p) return p->value;
    jinja_dict_set(in, x, a[0], jinja_or(a[1], jinja_none()));
    return jinja_or(a[1], jinja_none());
}

const struct jinja_function jinja_methods_dict[] = {
    {"keys", d_keys, ""},
    {"values", d_values, ""},
    {"items", d_items, ""},
    {"get", d_get, "key! default"},
    {"copy", d_copy, ""},
    {"update", d_update, NULL},
    {"pop", d_pop, "key! default"},
    {"setdefault", d_setdefault, "key! default"},
    {0},
};

static struct jinja_value l_append(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    jinja_list_add(in, x, a[0]);
    return jinja_none();
}

static struct jinja_value l_extend(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_list *l = jinja_iter(in, a[0]);
    for (uint32_t i = 0, n = l ? l->len : 0; i < n && jinja_step(in, 1); i++) jinja_list_add(in, x, l->items[i]);
    return jinja_none();
}

/* Where Python's insert and pop take an index to be, among 0..n. */
static uint32_t clamp(int64_t i, uint32_t n)
{
    if (i < 0) i += n;
    return i < 0 ? 0 : i > n ? n : (uint32_t)i;
}

static struct jinja_value l_insert(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    int64_t i = 0;
    if (!jinja_want_int(in, a[0], &i) || !jinja_step(in, x.list->len / 8)) return x;
    uint32_t at = clamp(i, x.list->len);
    jinja_list_add(in, x, a[1]);
    if (in->st != OK) return x;
    memmove(x.list->items + at + 1, x.list->items + at, (x.list->len - 1 - at) * sizeof a[0]);
    x.list->items[at] = a[1];
    return jinja_none();
}

static struct jinja_value l_pop(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    int64_t i = -1;
    struct jinja_list *l = x.list;
    if (a[0].kind != JINJA_MISSING && !jinja_want_int(in, a[0], &i)) return x;
    if (i < 0) i += l->len;
    if (i < 0 || i >= (int64_t)l->len) return jinja_fail(in, ERR_INVALID, "pop: index out of range");
    if (!jinja_step(in, l->len / 8)) return x;
    struct jinja_value v = l->items[i];
    memmove(l->items + i, l->items + i + 1, (l->len - (size_t)i - 1) * sizeof v);
    l->len--;
    return v;
}

static struct jinja_value l_count(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    int64_t n = 0;
    for (uint32_t i = 0; i < x.list->len && jinja_step(in, 1); i++) n += jinja_equal(in, x.list->items[i], a[0]);
    return jinja_int(n);
}

static struct jinja_value l_index(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    for (uint32_t i = 0; i < x.list->len && jinja_step(in, 1); i++)
        if (jinja_equal(in, x.list->items[i], a[0])) return jinja_int(i);
    return jinja_fail(in, ERR_INVALID, "index: the value is not in the list");
}

static struct jinja_value l_copy(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value l = jinja_list_new(in, FORM_LIST);
    for (uint32_t i = 0; i < x.list->len && jinja_step(in, 1); i++) jinja_list_add(in, l, x.list->items[i]);
    return l;
}

static struct jinja_value l_reverse(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_list *l = x.list;
    if (!jinja_step(in, l->len / 8)) return x;
    for (uint32_t i = 0; i < l->len / 2; i++) {
        struct jinja_value t = l->items[i];
        l->items[i] = l->items[l->len - 1 - i];
        l->items[l->len - 1 - i] = t;
    }
    return jinja_none();
}

const struct jinja_function jinja_methods_list[] = {
    {"append", l_append, "object!"},
    {"extend", l_extend, "iterable!"},
    {"insert", l_insert, "index! object!"},
    {"pop", l_pop, "index"},
    {"count", l_count, "value!"},
    {"index", l_index, "value!"},
    {"copy", l_copy, ""},
    {"reverse", l_reverse, ""},
    {0},
};

const struct jinja_function jinja_methods_tuple[] = {
    {"count", l_count, "value!"},
    {"index", l_index, "value!"},
    {0},
};
