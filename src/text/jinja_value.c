/* What values are: their truth, length, items, equality and order, as Python has them. */
#include <stdlib.h>
#include <string.h>

#include "text/jinja_int.h"

struct jinja_value jinja_cstr(const char *s)
{
    return jinja_str(s, strlen(s));
}

bool jinja_is(struct jinja_value v, const char *text)
{
    return v.kind == JINJA_STR && v.len == strlen(text) && memcmp(v.s, text, v.len) == 0;
}

bool jinja_is_number(struct jinja_value v)
{
    return v.kind == JINJA_INT || v.kind == JINJA_FLOAT || v.kind == JINJA_BOOL;
}

double jinja_as_double(struct jinja_value v)
{
    return v.kind == JINJA_FLOAT ? v.f : (double)jinja_as_int(v);
}

int64_t jinja_as_int(struct jinja_value v)
{
    return v.kind == JINJA_BOOL ? v.b : v.kind == JINJA_INT ? v.i : 0;
}

const char *jinja_type_name(struct jinja_value v)
{
    static const char *const names[] = {
        [JINJA_MISSING] = "missing",     [JINJA_UNDEFINED] = "Undefined", [JINJA_NONE] = "NoneType",
        [JINJA_BOOL] = "bool",           [JINJA_INT] = "int",             [JINJA_FLOAT] = "float",
        [JINJA_STR] = "str",             [JINJA_LIST] = "list",           [JINJA_DICT] = "dict",
        [JINJA_NAMESPACE] = "Namespace", [JINJA_MACRO] = "Macro",         [JINJA_FUNCTION] = "function",
        [JINJA_METHOD] = "method",       [JINJA_LOOP] = "LoopContext",    [JINJA_OBJECT] = "object",
    };
    static const char *const forms[] = {
        [FORM_LIST] = "list",        [FORM_TUPLE] = "tuple",         [FORM_RANGE] = "range",
        [FORM_VIEW] = "dict_items",  [FORM_GENERATOR] = "generator",
    };
    return v.kind == JINJA_LIST ? forms[v.list->form] : names[v.kind];
}

static void undefined_used(struct jinja *in, struct jinja_value v)
{
    if (v.len)
        jinja_fail(in, ERR_INVALID, "'%.*s' is undefined", (int)v.len, v.s);
    else
        jinja_fail(in, ERR_INVALID, "a value is undefined");
}

bool jinja_want_int(struct jinja *in, struct jinja_value v, int64_t *out)
{
    *out = 0;
    if (v.kind == JINJA_INT || v.kind == JINJA_BOOL) {
        *out = jinja_as_int(v);
        return true;
    }
    if (v.kind == JINJA_UNDEFINED)
        undefined_used(in, v);
    else
        jinja_fail(in, ERR_INVALID, "'%s' object cannot be interpreted as an integer",
                   jinja_type_name(v));
    return false;
}

bool jinja_want_str(struct jinja *in, struct jinja_value v)
{
    if (v.kind == JINJA_STR) return true;
    if (v.kind == JINJA_UNDEFINED)
        undefined_used(in, v);
    else
        jinja_fail(in, ERR_INVALID, "expected a text, not '%s'", jinja_type_name(v));
    return false;
}

bool jinja_truth(const struct jinja *in, struct jinja_value v)
{
    (void)in;
    switch ((enum jinja_kind)v.kind) {
    case JINJA_MISSING:
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return v.b;
    case JINJA_INT:
        return v.i != 0;
    case JINJA_FLOAT:
        return v.f != 0;
    case JINJA_STR:
        return v.len != 0;
    case JINJA_LIST:
        return v.list->len != 0 || v.list->form == FORM_GENERATOR;
    case JINJA_DICT:
        return v.dict->len != 0;
    default:
        return true;
    }
}

struct jinja_value jinja_list_new(struct jinja *in, enum jinja_form form)
{
    struct jinja_list *l = jinja_alloc(in, sizeof *l);
    if (!l) return jinja_undefined("", 0);
    *l = (struct jinja_list){.form = form};
    return (struct jinja_value){.kind = JINJA_LIST, .list = l};
}

void jinja_list_add(struct jinja *in, struct jinja_value list, struct jinja_value v)
{
    if (in->st != OK || list.kind != JINJA_LIST) return;
    struct jinja_list *l = list.list;
    if (l->len == l->cap) {
        uint32_t cap = l->cap ? 2 * l->cap : 4;
        struct jinja_value *p = jinja_alloc(in, cap * sizeof *p);
        if (!p) return;
        if (l->len) memcpy(p, l->items, l->len * sizeof *p);
        l->items = p;
        l->cap = cap;
    }
    l->items[l->len++] = v;
}

struct jinja_value jinja_tuple2(struct jinja *in, struct jinja_value a, struct jinja_value b)
{
    struct jinja_value t = jinja_list_new(in, FORM_TUPLE);
    jinja_list_add(in, t, a);
    jinja_list_add(in, t, b);
    return t;
}

struct jinja_list *jinja_iter(struct jinja *in, struct jinja_value v)
{
    if (in->st != OK) return NULL;
    if (v.kind == JINJA_LIST) {
        if (!jinja_step(in, v.list->len)) return NULL;
        if (v.list->form != FORM_GENERATOR) return v.list;
        /* A generator is walked once. */
        struct jinja_value once = jinja_list_new(in, FORM_LIST);
        if (in->st != OK) return NULL;
        once.list->items = v.list->items;
        once.list->len = once.list->cap = v.list->len;
        v.list->len = v.list->cap = 0;
        return once.list;
    }
    struct jinja_value l = jinja_list_new(in, FORM_LIST);
    if (in->st != OK) return NULL;
    if (v.kind == JINJA_STR) {
        for (const char *p = v.s, *end = v.s + v.len; p < end && jinja_step(in, 1);) {
            size_t n = jinja_char_len(p, end);
            jinja_list_add(in, l, jinja_str(p, n));
            p += n;
        }
    } else if (v.kind == JINJA_DICT) {
        for (uint32_t i = 0; i < v.dict->len && jinja_step(in, 1); i++)
            jinja_list_add(in, l, v.dict->pairs[i].key);
    } else if (v.kind != JINJA_UNDEFINED) {
        jinja_fail(in, ERR_INVALID, "'%s' object is not iterable", jinja_type_name(v));
    }
    return in->st == OK ? l.list : NULL;
}

int64_t jinja_length(struct jinja *in, struct jinja_value v)
{
    if (v.kind == JINJA_STR)
        return jinja_step(in, v.len / 32) ? (int64_t)jinja_count_chars(v.s, v.len) : -1;
    if (v.kind == JINJA_LIST && v.list->form != FORM_GENERATOR) return v.list->len;
    if (v.kind == JINJA_DICT) return v.dict->len;
    if (v.kind == JINJA_UNDEFINED) return 0;
    jinja_fail(in, ERR_INVALID, "object of type '%s' has no len()", jinja_type_name(v));
    return -1;
}

static bool equal_lists(struct jinja *in, const struct jinja_list *a, const struct jinja_list *b)
{
    if (a == b) return true;
    if (a->form != b->form || a->form == FORM_GENERATOR || a->len != b->len) return false;
    for (uint32_t i = 0; i < a->len && in->st == OK; i++)
        if (!jinja_equal(in, a->items[i], b->items[i])) return false;
    return true;
}

static bool equal_dicts(struct jinja *in, const struct jinja_dict *a, const struct jinja_dict *b)
{
    if (a == b) return true;
    if (a->len != b->len) return false;
    for (uint32_t i = 0; i < a->len && in->st == OK; i++) {
        struct jinja_pair *p = jinja_dict_find(in, b, a->pairs[i].key);
        if (!p || !jinja_equal(in, a->pairs[i].value, p->value)) return false;
    }
    return true;
}

bool jinja_equal(struct jinja *in, struct jinja_value a, struct jinja_value b)
{
    if (jinja_is_number(a) && jinja_is_number(b)) {
        if (a.kind == JINJA_FLOAT || b.kind == JINJA_FLOAT)
            return jinja_as_double(a) == jinja_as_double(b);
        return jinja_as_int(a) == jinja_as_int(b);
    }
    if (a.kind != b.kind) return false;
    switch ((enum jinja_kind)a.kind) {
    case JINJA_NONE:
    case JINJA_UNDEFINED:
        return true;
    case JINJA_STR:
        return a.len == b.len && jinja_step(in, a.len / 64) &&
               (a.len == 0 || memcmp(a.s, b.s, a.len) == 0);
    case JINJA_LIST:
    case JINJA_DICT: {
        if (!jinja_enter(in)) return false;
        bool same = a.kind == JINJA_LIST ? equal_lists(in, a.list, b.list)
                                         : equal_dicts(in, a.dict, b.dict);
        jinja_leave(in);
        return same;
    }
    default:
        return a.s == b.s; /* the same object */
    }
}

static int sign(double d)
{
    return d > 0 ? 1 : d < 0 ? -1 : 0;
}

static int order_texts(struct jinja *in, struct jinja_value a, struct jinja_value b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    if (!jinja_step(in, n / 32)) return 0;
    int c = n ? memcmp(a.s, b.s, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

int jinja_order(struct jinja *in, struct jinja_value a, struct jinja_value b, bool ignore_case)
{
    if (jinja_is_number(a) && jinja_is_number(b)) {
        if (a.kind == JINJA_FLOAT || b.kind == JINJA_FLOAT)
            return sign(jinja_as_double(a) - jinja_as_double(b));
        return (jinja_as_int(a) > jinja_as_int(b)) - (jinja_as_int(a) < jinja_as_int(b));
    }
    if (a.kind == JINJA_STR && b.kind == JINJA_STR) {
        if (ignore_case) {
            a = jinja_case(in, a, CASE_LOWER);
            b = jinja_case(in, b, CASE_LOWER);
        }
        return order_texts(in, a, b);
    }
    if (a.kind == JINJA_LIST && b.kind == JINJA_LIST && a.list->form == b.list->form &&
        a.list->form <= FORM_TUPLE) {
        if (!jinja_enter(in)) return 0;
        int c = 0;
        for (uint32_t i = 0; c == 0 && in->st == OK && i < a.list->len && i < b.list->len; i++)
            if (!jinja_equal(in, a.list->items[i], b.list->items[i]))
                c = jinja_order(in, a.list->items[i], b.list->items[i], false);
        jinja_leave(in);
        return c ? c : (a.list->len > b.list->len) - (a.list->len < b.list->len);
    }
    if (a.kind == JINJA_UNDEFINED || b.kind == JINJA_UNDEFINED)
        undefined_used(in, a.kind == JINJA_UNDEFINED ? a : b);
    else
        jinja_fail(in, ERR_INVALID, "no order between '%s' and '%s'", jinja_type_name(a),
                   jinja_type_name(b));
    return 0;
}

bool jinja_contains(struct jinja *in, struct jinja_value box, struct jinja_value x)
{
    if (box.kind == JINJA_DICT) return jinja_dict_find(in, box.dict, x) != NULL;
    if (box.kind == JINJA_STR) {
        if (!jinja_want_str(in, x)) return false;
        return jinja_step(in, box.len / 32) && jinja_find(box, 0, x) != SIZE_MAX;
    }
    struct jinja_list *l = jinja_iter(in, box);
    for (uint32_t i = 0; l && i < l->len && jinja_step(in, 1); i++)
        if (jinja_equal(in, l->items[i], x)) return true;
    return false;
}

/* Merge sort, bottom up: stable, and no deeper than it looks. */
void jinja_sort(struct jinja *in, struct jinja_value *keys, struct jinja_value *items, size_t n,
                bool reverse, bool ignore_case)
{
    if (n < 2 || in->st != OK) return;
    struct jinja_value *k = keys, *v = items;
    struct jinja_value *k2 = jinja_alloc(in, n * sizeof *k2), *v2 = jinja_alloc(in, n * sizeof *v2);
    if (!k2 || !v2) return;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            size_t mid = lo + width < n ? lo + width : n, hi = lo + 2 * width < n ? lo + 2 * width : n;
            size_t i = lo, j = mid;
            for (size_t o = lo; o < hi && jinja_step(in, 1); o++) {
                bool right = i == mid;
                if (i < mid && j < hi) {
                    int c = jinja_order(in, k[i], k[j], ignore_case);
                    right = reverse ? c < 0 : c > 0;
                }
                size_t from = right ? j++ : i++;
                k2[o] = k[from];
                v2[o] = v[from];
            }
            if (in->st != OK) return;
        }
        struct jinja_value *t = k;
        k = k2, k2 = t;
        t = v, v = v2, v2 = t;
    }
    if (v != items) {
        memcpy(items, v, n * sizeof *v);
        memcpy(keys, k, n * sizeof *k);
    }
}
