/* Filters of any value: default, attr, tojson. */
#include "text/jinja_families.h"

static struct jinja_value f_default(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    bool falsy = a[1].kind != JINJA_MISSING && jinja_truth(in, a[1]) && !jinja_truth(in, x);
    return x.kind == JINJA_UNDEFINED || falsy ? jinja_or(a[0], jinja_str("", 0)) : x;
}

static struct jinja_value f_attr(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    if (!jinja_want_str(in, a[0])) return x;
    /* Attributes only, never the items of a dict. */
    if (x.kind == JINJA_DICT && !jinja_method_find(x, a[0].s, a[0].len)) return jinja_undefined(a[0].s, a[0].len);
    return jinja_attr(in, x, a[0].s, a[0].len);
}

/* json.dumps with ensure_ascii=False, as transformers replaces Jinja's own. */
static struct jinja_value f_tojson(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_json_style style = {.indent = jinja_or(a[1], jinja_none()),
                                     .ascii = jinja_truth(in, a[0]), .sort = jinja_truth(in, a[3]),
                                     .item = ", ", .item_len = 2, .key = ": ", .key_len = 2};
    if (style.indent.kind != JINJA_NONE) {
        style.item_len = 1; /* Python leaves the space out where a line ends */
        int64_t n;
        if (style.indent.kind != JINJA_STR && !jinja_want_int(in, style.indent, &n)) return x;
    }
    struct jinja_value sep = jinja_or(a[2], jinja_none());
    if (sep.kind != JINJA_NONE) {
        struct jinja_list *l = jinja_iter(in, sep);
        if (!l) return x;
        if (l->len != 2 || !jinja_want_str(in, l->items[0]) || !jinja_want_str(in, l->items[1]))
            return jinja_fail(in, ERR_INVALID, "tojson: separators are two texts");
        style.item = l->items[0].s, style.item_len = l->items[0].len;
        style.key = l->items[1].s, style.key_len = l->items[1].len;
    }
    struct jinja_out o = {0};
    jinja_dump_json(in, &o, x, &style);
    return jinja_out_value(&o);
}

static struct jinja_value f_pprint(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_out o = {0};
    jinja_repr(in, &o, x);
    return jinja_out_value(&o);
}

const struct jinja_function jinja_filters_value[] = {
    {"default", f_default, "default_value boolean"},
    {"d", f_default, "default_value boolean"},
    {"attr", f_attr, "name!"},
    {"tojson", f_tojson, "ensure_ascii indent separators sort_keys"},
    {"pprint", f_pprint, ""},
    {0},
};
