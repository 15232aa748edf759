/* Filters of sequences and dictionaries. */
#include <string.h>

#include "text/jinja_families.h"

static struct jinja_value f_length(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_int(jinja_length(in, x));
}

static struct jinja_value f_first(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    if (x.kind == JINJA_STR) return x.len ? jinja_str(x.s, jinja_char_len(x.s, x.s + x.len)) : jinja_undefined("first", 5);
    struct jinja_list *l = jinja_iter(in, x);
    return l && l->len ? l->items[0] : jinja_undefined("first", 5);
}

static struct jinja_value f_last(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    if (x.kind == JINJA_LIST && x.list->form == FORM_GENERATOR)
        return jinja_fail(in, ERR_INVALID, "'generator' object is not reversible");
    struct jinja_list *l = jinja_iter(in, x);
    return l && l->len ? l->items[l->len - 1] : jinja_undefined("last", 4);
}

static struct jinja_value as_list(struct jinja *in, struct jinja_value x, enum jinja_form form)
{
    struct jinja_value out = jinja_list_new(in, form);
    struct jinja_list *l = jinja_iter(in, x);
    for (uint32_t i = 0; l && i < l->len && in->st == OK; i++) jinja_list_add(in, out, l->items[i]);
    return out;
}

static struct jinja_value f_list(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return as_list(in, x, FORM_LIST);
}

static struct jinja_value f_reverse(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_out o = {0};
    struct jinja_list *l = jinja_iter(in, x);
    struct jinja_value out = jinja_list_new(in, FORM_GENERATOR);
    for (uint32_t i = l ? l->len : 0; i > 0 && jinja_step(in, 1); i--)
        if (x.kind == JINJA_STR)
            jinja_out_add(in, &o, l->items[i - 1].s, l->items[i - 1].len);
        else
            jinja_list_add(in, out, l->items[i - 1]);
    return x.kind == JINJA_STR ? jinja_out_value(&o) : out;
}

static struct jinja_value f_join(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value sep = jinja_to_str(in, jinja_or(a[0], jinja_str("", 0)));
    struct jinja_value path = jinja_or(a[1], jinja_none());
    struct jinja_out o = {0};
    struct jinja_list *l = jinja_iter(in, x);
    for (uint32_t i = 0; l && i < l->len && jinja_step(in, 1); i++) {
        struct jinja_value v = l->items[i];
        if (path.kind != JINJA_NONE) v = jinja_attr_path(in, v, path);
        v = jinja_to_str(in, v);
        if (i) jinja_out_add(in, &o, sep.s, sep.len);
        jinja_out_add(in, &o, v.s, v.len);
    }
    return jinja_out_value(&o);
}

static struct jinja_value f_items(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value out = jinja_list_new(in, FORM_GENERATOR);
    if (x.kind == JINJA_UNDEFINED) return out;
    if (x.kind != JINJA_DICT) return jinja_fail(in, ERR_INVALID, "items: can only get item pairs from a mapping");
    for (uint32_t i = 0; i < x.dict->len && jinja_step(in, 1); i++)
        jinja_list_add(in, out, jinja_tuple2(in, x.dict->pairs[i].key, x.dict->pairs[i].value));
    return out;
}

/* Sorts a copy by an attribute, or several separated by commas, or by itself. */
static struct jinja_value sorted(struct jinja *in, struct jinja_value x, struct jinja_value path,
                                 bool reverse, bool ignore_case)
{
    struct jinja_value out = as_list(in, x, FORM_LIST), keys = as_list(in, out, FORM_LIST);
    if (in->st != OK) return out;
    uint32_t n = out.list->len;
    if (path.kind == JINJA_STR && memchr(path.s, ',', path.len)) {
        /* From the last to the first: the sort is stable. */
        for (const char *end = path.s + path.len, *p; end && in->st == OK; end = p > path.s ? p - 1 : NULL) {
            p = memrchr(path.s, ',', (size_t)(end - path.s));
            p = p ? p + 1 : path.s;
            out = sorted(in, out, jinja_str(p, (size_t)(end - p)), reverse, ignore_case);
        }
        return out;
    }
    for (uint32_t i = 0; i < n && path.kind != JINJA_NONE && jinja_step(in, 1); i++)
        keys.list->items[i] = jinja_attr_path(in, out.list->items[i], path);
    jinja_sort(in, keys.list->items, out.list->items, n, reverse, ignore_case);
    return out;
}

static struct jinja_value f_sort(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return sorted(in, x, jinja_or(a[2], jinja_none()), jinja_truth(in, a[0]), !jinja_truth(in, a[1]));
}

static struct jinja_value f_dictsort(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value by = jinja_or(a[1], jinja_cstr("key"));
    if (x.kind != JINJA_DICT) return jinja_fail(in, ERR_INVALID, "dictsort needs a dict, not '%s'", jinja_type_name(x));
    if (!jinja_is(by, "key") && !jinja_is(by, "value"))
        return jinja_fail(in, ERR_INVALID, "dictsort sorts by \"key\" or \"value\"");
    struct jinja_value out = jinja_list_new(in, FORM_LIST);
    for (uint32_t i = 0; i < x.dict->len && jinja_step(in, 1); i++)
        jinja_list_add(in, out, jinja_tuple2(in, x.dict->pairs[i].key, x.dict->pairs[i].value));
    return sorted(in, out, jinja_int(jinja_is(by, "value")), jinja_truth(in, a[2]), !jinja_truth(in, a[0]));
}

/* What unique and groupby compare: texts without their case unless asked. */
static struct jinja_value folded(struct jinja *in, struct jinja_value v, bool case_sensitive)
{
    return v.kind == JINJA_STR && !case_sensitive ? jinja_case(in, v, CASE_LOWER) : v;
}

static struct jinja_value f_unique(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value out = jinja_list_new(in, FORM_GENERATOR), seen = jinja_dict_new(in);
    struct jinja_value path = jinja_or(a[1], jinja_none());
    struct jinja_list *l = jinja_iter(in, x);
    for (uint32_t i = 0; l && i < l->len && jinja_step(in, 1); i++) {
        struct jinja_value key = l->items[i];
        if (path.kind != JINJA_NONE) key = jinja_attr_path(in, key, path);
        key = folded(in, key, jinja_truth(in, a[0]));
        if (in->st != OK || jinja_dict_find(in, seen.dict, key)) continue;
        jinja_dict_set(in, seen, key, jinja_none());
        jinja_list_add(in, out, l->items[i]);
    }
    return out;
}

static struct jinja_value f_groupby(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value all = as_list(in, x, FORM_LIST), out = jinja_list_new(in, FORM_LIST), group = {0}, last = {0};
    bool cased = jinja_truth(in, a[2]);
    if (in->st != OK) return out;
    struct jinja_value keys = jinja_list_new(in, FORM_LIST);
    for (uint32_t i = 0; i < all.list->len && jinja_step(in, 1); i++) {
        struct jinja_value key = jinja_attr_path(in, all.list->items[i], a[0]);
        jinja_list_add(in, keys, key.kind == JINJA_UNDEFINED && a[1].kind != JINJA_MISSING ? a[1] : key);
    }
    if (in->st != OK) return out;
    jinja_sort(in, keys.list->items, all.list->items, all.list->len, false, !cased);
    for (uint32_t i = 0; i < all.list->len && jinja_step(in, 1); i++) {
        struct jinja_value key = folded(in, keys.list->items[i], cased);
        if (i == 0 || !jinja_equal(in, key, last)) {
            group = jinja_list_new(in, FORM_LIST);
            jinja_list_add(in, out, jinja_tuple2(in, keys.list->items[i], group));
        }
        jinja_list_add(in, group, all.list->items[i]);
        last = key;
    }
    return out;
}

/* batch(n): rows of n. slice(n): n columns. */
static struct jinja_value f_batch(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    int64_t n = 0;
    struct jinja_value out = jinja_list_new(in, FORM_GENERATOR), row = {0};
    struct jinja_list *l = jinja_iter(in, x);
    if (!jinja_want_int(in, a[0], &n) || !l) return out;
    for (uint32_t i = 0; i < l->len && jinja_step(in, 1); i++) {
        if (row.kind != JINJA_LIST || row.list->len == n) {
            row = jinja_list_new(in, FORM_LIST);
            jinja_list_add(in, out, row);
        }
        jinja_list_add(in, row, l->items[i]);
    }
    if (jinja_or(a[1], jinja_none()).kind != JINJA_NONE && row.kind == JINJA_LIST)
        while (row.list->len < n && jinja_step(in, 1)) jinja_list_add(in, row, a[1]);
    return out;
}

static struct jinja_value f_slice(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    int64_t n = 0;
    struct jinja_value out = jinja_list_new(in, FORM_GENERATOR);
    struct jinja_list *l = jinja_iter(in, x);
    if (!jinja_want_int(in, a[0], &n) || !l) return out;
    if (n <= 0) return jinja_fail(in, ERR_INVALID, "slice needs a positive number");
    uint32_t at = 0;
    for (int64_t i = 0; i < n && jinja_step(in, 1); i++) {
        struct jinja_value column = jinja_list_new(in, FORM_LIST);
        int64_t want = l->len / n + (i < l->len % n);
        for (int64_t k = 0; k < want && jinja_step(in, 1); k++) jinja_list_add(in, column, l->items[at++]);
        if (jinja_or(a[1], jinja_none()).kind != JINJA_NONE && i >= l->len % n) jinja_list_add(in, column, a[1]);
        jinja_list_add(in, out, column);
    }
    return out;
}

static struct jinja_value extreme(struct jinja *in, struct jinja_value x, const struct jinja_value *a, int sign)
{
    struct jinja_value path = jinja_or(a[1], jinja_none()), best = jinja_undefined("min or max", 10), best_key = best;
    struct jinja_list *l = jinja_iter(in, x);
    for (uint32_t i = 0; l && i < l->len && jinja_step(in, 1); i++) {
        struct jinja_value key = path.kind == JINJA_NONE ? l->items[i] : jinja_attr_path(in, l->items[i], path);
        if (i && sign * jinja_order(in, key, best_key, !jinja_truth(in, a[0])) <= 0) continue;
        best = l->items[i];
        best_key = key;
    }
    return best;
}

static struct jinja_value f_min(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return extreme(in, x, a, -1);
}

static struct jinja_value f_max(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return extreme(in, x, a, 1);
}

static struct jinja_value f_sum(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value path = jinja_or(a[0], jinja_none()), sum = jinja_or(a[1], jinja_int(0));
    struct jinja_list *l = jinja_iter(in, x);
    for (uint32_t i = 0; l && i < l->len && jinja_step(in, 1); i++)
        sum = jinja_binary(in, OP_ADD, sum, path.kind == JINJA_NONE ? l->items[i] : jinja_attr_path(in, l->items[i], path));
    return sum;
}

const struct jinja_function jinja_filters_list[] = {
    {"length", f_length, ""},
    {"count", f_length, ""},
    {"first", f_first, ""},
    {"last", f_last, ""},
    {"list", f_list, ""},
    {"reverse", f_reverse, ""},
    {"join", f_join, "d attribute"},
    {"items", f_items, ""},
    {"sort", f_sort, "reverse case_sensitive attribute"},
    {"dictsort", f_dictsort, "case_sensitive by reverse"},
    {"unique", f_unique, "case_sensitive attribute"},
    {"groupby", f_groupby, "attribute! default case_sensitive"},
    {"batch", f_batch, "linecount! fill_with"},
    {"slice", f_slice, "slices! fill_with"},
    {"min", f_min, "case_sensitive attribute"},
    {"max", f_max, "case_sensitive attribute"},
    {"sum", f_sum, "attribute start"},
    {0},
};
