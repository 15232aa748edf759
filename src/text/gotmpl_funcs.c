/* The functions that templates may call: Go's own that make sense here, and Ollama's. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "text/gotmpl_int.h"

static struct gt_value call_logic(struct gt_state *in, const struct gt_value *a, size_t n)
{
    (void)in;
    return a[n - 1]; /* the others did not decide */
}

static struct gt_value call_not(struct gt_state *in, const struct gt_value *a, size_t n)
{
    (void)in, (void)n;
    return gt_bool(!gt_truth(&a[0]));
}

/* ---- comparisons ------------------------------------------------------------------------------
 */

static int compare_texts(const struct gt_value *a, const struct gt_value *b)
{
    int c = memcmp(a->s, b->s, a->len < b->len ? a->len : b->len);
    return c ? c : a->len < b->len ? -1 : a->len > b->len;
}

static bool equal(struct gt_state *in, const struct gt_value *a, const struct gt_value *b)
{
    if (a->kind == GT_NIL || b->kind == GT_NIL) return a->kind == b->kind;
    if (a->kind != b->kind) {
        gt_fail(in, ERR_INVALID, "error calling eq: incompatible types for comparison");
        return false;
    }
    switch (a->kind) {
    case GT_BOOL:
        return a->b == b->b;
    case GT_INT:
        return a->i == b->i;
    case GT_FLOAT:
        return a->f == b->f;
    case GT_STR:
        return gt_step(in, a->len / 32) && compare_texts(a, b) == 0;
    default:
        gt_fail(in, ERR_INVALID, "error calling eq: uncomparable type %s", gt_type_name(b));
        return false;
    }
}

static struct gt_value call_eq(struct gt_state *in, const struct gt_value *a, size_t n)
{
    if (a[0].kind >= GT_LIST)
        gt_fail(in, ERR_INVALID, "error calling eq: uncomparable type %s", gt_type_name(&a[0]));
    if (n < 2) gt_fail(in, ERR_INVALID, "error calling eq: missing argument for comparison");
    for (size_t i = 1; i < n && in->st == OK; i++)
        if (equal(in, &a[0], &a[i])) return gt_bool(true);
    return gt_bool(false);
}

static struct gt_value call_ne(struct gt_state *in, const struct gt_value *a, size_t n)
{
    return gt_bool(!call_eq(in, a, n).b);
}

/* <0, 0, >0; NAN: neither. */
static double order(struct gt_state *in, const struct gt_value *a, const struct gt_value *b)
{
    bool basic = a->kind >= GT_INT && a->kind <= GT_STR && b->kind >= GT_INT && b->kind <= GT_STR;
    if (!basic)
        gt_fail(in, ERR_INVALID, "error calling lt: invalid type for comparison");
    else if (a->kind != b->kind)
        gt_fail(in, ERR_INVALID, "error calling lt: incompatible types for comparison");
    if (in->st != OK || a->kind != b->kind) return NAN;
    if (a->kind == GT_INT) return a->i < b->i ? -1 : a->i > b->i;
    if (a->kind == GT_STR) return compare_texts(a, b);
    return isnan(a->f) || isnan(b->f) ? NAN : a->f < b->f ? -1 : a->f > b->f;
}

static struct gt_value call_lt(struct gt_state *in, const struct gt_value *a, size_t n)
{
    return (void)n, gt_bool(order(in, &a[0], &a[1]) < 0);
}
static struct gt_value call_le(struct gt_state *in, const struct gt_value *a, size_t n)
{
    return (void)n, gt_bool(order(in, &a[0], &a[1]) <= 0);
}
static struct gt_value call_gt(struct gt_state *in, const struct gt_value *a, size_t n)
{
    return (void)n, gt_bool(order(in, &a[0], &a[1]) > 0);
}
static struct gt_value call_ge(struct gt_state *in, const struct gt_value *a, size_t n)
{
    return (void)n, gt_bool(order(in, &a[0], &a[1]) >= 0);
}

/* ---- parts ------------------------------------------------------------------------------------
 */

static int64_t length_of(const struct gt_value *v)
{
    return v->kind == GT_STR                     ? (int64_t)v->len
           : v->kind == GT_LIST                  ? (int64_t)v->list->n
           : v->kind == GT_MAP && !v->map->fixed ? (int64_t)v->map->n
                                                 : -1;
}

static struct gt_value call_len(struct gt_state *in, const struct gt_value *a, size_t n)
{
    (void)n;
    int64_t len = length_of(&a[0]);
    if (len < 0) gt_fail(in, ERR_INVALID, "error calling len: len of type %s", gt_type_name(&a[0]));
    return gt_int(len);
}

/* An index: a whole number within 0 and `most`. */
static bool want_index(struct gt_state *in, const struct gt_value *v, size_t most, size_t *out)
{
    if (v->kind != GT_INT) {
        gt_fail(in, ERR_INVALID, "cannot index slice/array with type %s", gt_type_name(v));
        return false;
    }
    if (v->i < 0 || (uint64_t)v->i > most) {
        gt_fail(in, ERR_INVALID, "index out of range: %lld", (long long)v->i);
        return false;
    }
    *out = (size_t)v->i;
    return true;
}

static struct gt_value index_one(struct gt_state *in, const struct gt_value *x,
                                 const struct gt_value *key)
{
    size_t at;
    if (x->kind == GT_MAP && !x->map->fixed) {
        if (key->kind == GT_STR) {
            const struct gt_value *v = gt_map_get(x->map, (struct gt_text){key->s, key->len});
            return v ? *v : gt_nil();
        }
        gt_fail(in, ERR_INVALID, "error calling index: value has type %s; should be string",
                gt_type_name(key));
        return gt_nil();
    }
    if (x->kind != GT_LIST && x->kind != GT_STR) {
        gt_fail(in, ERR_INVALID, "error calling index: can't index item of type %s",
                gt_type_name(x));
        return gt_nil();
    }
    size_t n = x->kind == GT_LIST ? x->list->n : x->len;
    if (!want_index(in, key, n, &at)) return gt_nil();
    if (at == n) {
        gt_fail(in, ERR_INVALID, "error calling index: index out of range: %zu", at);
        return gt_nil();
    }
    return x->kind == GT_LIST ? x->list->items[at] : gt_int((unsigned char)x->s[at]);
}

static struct gt_value call_index(struct gt_state *in, const struct gt_value *a, size_t n)
{
    struct gt_value x = a[0];
    if (x.kind == GT_NIL) gt_fail(in, ERR_INVALID, "error calling index: index of untyped nil");
    for (size_t i = 1; i < n && in->st == OK; i++) x = index_one(in, &x, &a[i]);
    return x;
}

static struct gt_value call_slice(struct gt_state *in, const struct gt_value *a, size_t n)
{
    struct gt_value x = a[0];
    size_t at[3] = {0}, most = x.kind == GT_LIST ? x.list->n : x.kind == GT_STR ? x.len : 0;
    if (x.kind != GT_LIST && x.kind != GT_STR)
        gt_fail(in, ERR_INVALID, "error calling slice: can't slice item of type %s",
                gt_type_name(&x));
    if (x.kind == GT_STR && n > 3)
        gt_fail(in, ERR_INVALID, "error calling slice: cannot 3-index slice a string");
    at[1] = most;
    for (size_t i = 1; i < n && in->st == OK; i++)
        if (!want_index(in, &a[i], most, &at[i - 1])) return gt_nil();
    if (in->st != OK) return gt_nil();
    if (at[0] > at[1] || (n > 3 && at[1] > at[2])) {
        gt_fail(in, ERR_INVALID, "error calling slice: invalid slice index: %zu > %zu", at[0],
                at[1]);
        return gt_nil();
    }
    if (x.kind == GT_STR) {
        x.s += at[0];
        x.marks = x.marks ? x.marks + at[0] : NULL;
        x.len = at[1] - at[0];
        return x;
    }
    struct gt_list *l = gt_alloc(in, sizeof *l);
    if (!l) return gt_nil();
    *l = *x.list;
    l->items += at[0];
    l->n = at[1] - at[0];
    x.list = l;
    return x;
}

/* ---- texts ------------------------------------------------------------------------------------
 */

/* fmt.Sprint puts spaces between what is no text; Sprintln between all. */
static struct gt_value join(struct gt_state *in, const struct gt_value *a, size_t n, bool line)
{
    struct gt_out o = {0};
    for (size_t i = 0; i < n && in->st == OK; i++) {
        if (i && (line || (a[i].kind != GT_STR && a[i - 1].kind != GT_STR)))
            gt_out_str(in, &o, " ");
        gt_print(in, &o, &a[i], 0);
    }
    if (line) gt_out_str(in, &o, "\n");
    return gt_out_value(&o);
}

static struct gt_value call_print(struct gt_state *in, const struct gt_value *a, size_t n)
{
    return join(in, a, n, false);
}
static struct gt_value call_println(struct gt_state *in, const struct gt_value *a, size_t n)
{
    return join(in, a, n, true);
}

static struct gt_value call_printf(struct gt_state *in, const struct gt_value *a, size_t n)
{
    if (a[0].kind != GT_STR) {
        gt_fail(in, ERR_INVALID, "wrong type for value; expected string; got %s",
                gt_type_name(&a[0]));
        return gt_nil();
    }
    return gt_sprintf(in, (struct gt_text){a[0].s, a[0].len}, a[0].marks, a[0].foreign, a + 1,
                      n - 1);
}

static struct gt_value call_html(struct gt_state *in, const struct gt_value *a, size_t n)
{
    static const struct {
        char c;
        const char *text;
    } escapes[] = {{'"', "&#34;"}, {'\'', "&#39;"}, {'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}};
    struct gt_value t = join(in, a, n, false);
    struct gt_out o = {0};
    for (size_t i = 0; i < t.len && in->st == OK; i++) {
        const char *instead = NULL;
        for (size_t k = 0; k < 5; k++)
            if (escapes[k].c == t.s[i]) instead = escapes[k].text;
        bool foreign = t.marks && t.marks[i];
        gt_out_add(in, &o, instead ? instead : t.s + i, instead ? strlen(instead) : 1, NULL,
                   foreign);
        gt_step(in, 1);
    }
    return gt_out_value(&o);
}

/* ---- Ollama's ---------------------------------------------------------------------------------
 */

static struct gt_value call_json(struct gt_state *in, const struct gt_value *a, size_t n)
{
    struct gt_out o = {0};
    (void)n;
    gt_print_json(in, &o, &a[0], 0);
    return gt_out_value(&o);
}

static struct gt_value date(struct gt_state *in, int days)
{
    char text[40];
    time_t t = (time_t)(in->now ? in->now : time(NULL));
    struct tm tm;
    if (!localtime_r(&t, &tm)) return gt_str("", 0, false);
    tm.tm_mday += days;
    tm.tm_isdst = -1;
    mktime(&tm);
    size_t len = strftime(text, sizeof text, "%Y-%m-%d", &tm);
    struct gt_out o = {0};
    gt_out_add(in, &o, text, len, NULL, false);
    return gt_out_value(&o);
}

static struct gt_value call_today(struct gt_state *in, const struct gt_value *a, size_t n)
{
    return (void)a, (void)n, date(in, 0);
}
static struct gt_value call_yesterday(struct gt_state *in, const struct gt_value *a, size_t n)
{
    return (void)a, (void)n, date(in, -1);
}

static const char *typescript_of(const struct gt_value *name)
{
    static const char *const types[][2] = {{"string", "string"},  {"number", "number"},
                                           {"integer", "number"}, {"boolean", "boolean"},
                                           {"array", "any[]"},    {"object", "Record<string, any>"},
                                           {"null", "null"}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (name->kind == GT_STR && name->len == strlen(types[i][0]) &&
            memcmp(name->s, types[i][0], name->len) == 0)
            return types[i][1];
    return "any";
}

static void put_typescript(struct gt_state *in, struct gt_out *o, const struct gt_value *property,
                           unsigned depth)
{
    const struct gt_value *any = NULL, *type = NULL;
    if (!gt_step(in, 1) || depth > 64) return;
    if (property->kind == GT_MAP && property->map->type &&
        strcmp(property->map->type, "api.ToolProperty") == 0) {
        any = gt_map_get(property->map, (struct gt_text){"AnyOf", 5});
        type = gt_map_get(property->map, (struct gt_text){"Type", 4});
    }
    if (any && any->kind == GT_LIST && any->list->n) {
        for (size_t i = 0; i < any->list->n; i++) {
            if (i) gt_out_str(in, o, " | ");
            put_typescript(in, o, &any->list->items[i], depth + 1);
        }
    } else if (type && type->kind == GT_LIST && type->list->n) {
        for (size_t i = 0; i < type->list->n; i++) {
            if (i) gt_out_str(in, o, " | ");
            gt_out_str(in, o, typescript_of(&type->list->items[i]));
        }
    } else {
        gt_out_str(in, o, "any");
    }
}

static struct gt_value call_typescript(struct gt_state *in, const struct gt_value *a, size_t n)
{
    struct gt_out o = {0};
    (void)n;
    put_typescript(in, &o, &a[0], 0);
    return gt_out_value(&o);
}

const struct gt_function *gt_function_find(struct gt_text name)
{
    static const struct gt_function functions[] = {
        {"and", 1, SIZE_MAX, call_logic},
        {"or", 1, SIZE_MAX, call_logic},
        {"not", 1, 1, call_not},
        {"eq", 1, SIZE_MAX, call_eq},
        {"ne", 2, 2, call_ne},
        {"lt", 2, 2, call_lt},
        {"le", 2, 2, call_le},
        {"gt", 2, 2, call_gt},
        {"ge", 2, 2, call_ge},
        {"len", 1, 1, call_len},
        {"index", 1, SIZE_MAX, call_index},
        {"slice", 1, 4, call_slice},
        {"print", 0, SIZE_MAX, call_print},
        {"println", 0, SIZE_MAX, call_println},
        {"printf", 1, SIZE_MAX, call_printf},
        {"html", 0, SIZE_MAX, call_html},
        {"json", 1, 1, call_json},
        {"currentDate", 0, SIZE_MAX, call_today},
        {"yesterdayDate", 0, SIZE_MAX, call_yesterday},
        {"toTypeScriptType", 1, 1, call_typescript},
    };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (name.len == strlen(functions[i].name) &&
            memcmp(name.s, functions[i].name, name.len) == 0)
            return &functions[i];
    return NULL;
}
