/* Functions that are there without being defined. */
#include <string.h>
#include <time.h>

#include "text/jinja_families.h"

static struct jinja_value g_raise(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value s = jinja_to_str(in, a[0]);
    return jinja_fail(in, ERR_INVALID, "%.*s", s.len < 400 ? (int)s.len : 400, s.s);
}

static struct jinja_value g_strftime(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    if (!jinja_want_str(in, a[0])) return x;
    if (a[0].len > 256) return jinja_fail(in, ERR_LIMIT, "strftime_now: a format of more than 256 bytes");
    char format[258], text[2048];
    /* A last character tells an empty result from one that did not fit. */
    memcpy(format, a[0].s, a[0].len);
    memcpy(format + a[0].len, ".", 2);
    time_t now = in->now ? (time_t)in->now : time(NULL);
    struct tm tm;
    if (!localtime_r(&now, &tm)) return jinja_fail(in, ERR_INVALID, "strftime_now: no local time");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* strftime's formats reach no memory but tm */
    size_t n = strftime(text, sizeof text, format, &tm);
#pragma GCC diagnostic pop
    if (n == 0) return jinja_fail(in, ERR_LIMIT, "strftime_now: the result is too long");
    return jinja_copy(in, text, n - 1);
}

static struct jinja_value g_range(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    enum { MAX_RANGE = 100000 }; /* jinja2.sandbox.MAX_RANGE */
    int64_t start = 0, stop = 0, step = 1;
    if (!jinja_want_int(in, a[0], &stop)) return x;
    if (a[1].kind != JINJA_MISSING) {
        start = stop;
        if (!jinja_want_int(in, a[1], &stop)) return x;
    }
    if (a[2].kind != JINJA_MISSING && !jinja_want_int(in, a[2], &step)) return x;
    if (step == 0) return jinja_fail(in, ERR_INVALID, "range: the step must not be zero");
    struct jinja_value l = jinja_list_new(in, FORM_RANGE);
    int64_t i = start;
    for (uint32_t n = 0; step > 0 ? i < stop : i > stop; n++) {
        if (n == MAX_RANGE) return jinja_fail(in, ERR_LIMIT, "a range of more than %d numbers", MAX_RANGE);
        if (!jinja_step(in, 1)) break;
        jinja_list_add(in, l, jinja_int(i));
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    return l;
}

static void merge(struct jinja *in, struct jinja_value to, const struct jinja_args *raw, bool named_only)
{
    if (!named_only && raw->n_pos) {
        struct jinja_value from = raw->pos[0];
        if (from.kind == JINJA_DICT) {
            for (uint32_t i = 0; i < from.dict->len && jinja_step(in, 1); i++)
                jinja_dict_set(in, to, from.dict->pairs[i].key, from.dict->pairs[i].value);
        } else {
            struct jinja_list *l = jinja_iter(in, from);
            for (uint32_t i = 0; l && i < l->len && in->st == OK; i++) {
                struct jinja_list *pair = jinja_iter(in, l->items[i]);
                if (pair && pair->len == 2)
                    jinja_dict_set(in, to, pair->items[0], pair->items[1]);
                else
                    jinja_fail(in, ERR_INVALID, "dict: an element is no pair");
            }
        }
    }
    for (size_t i = 0; i < raw->n_named && jinja_step(in, 1); i++)
        jinja_dict_set(in, to, raw->named[i].key, raw->named[i].value);
}

static struct jinja_value g_dict(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value d = jinja_dict_new(in);
    merge(in, d, raw, false);
    return d;
}

static struct jinja_value g_namespace(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value d = jinja_dict_new(in);
    merge(in, d, raw, false);
    if (d.kind == JINJA_DICT) d.kind = JINJA_NAMESPACE;
    return d;
}

static struct jinja_value object(struct jinja *in, const struct jinja_function *methods)
{
    struct jinja_object *o = jinja_alloc(in, sizeof *o);
    if (!o) return jinja_undefined("", 0);
    *o = (struct jinja_object){.methods = methods, .text = jinja_str("", 0)};
    return (struct jinja_value){.kind = JINJA_OBJECT, .object = o};
}

/* joiner(", "): nothing the first time, then the separator. */
static struct jinja_value joiner_call(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return x.object->at++ ? x.object->items->items[0] : jinja_str("", 0);
}

static const struct jinja_function joiner_methods[] = {{"", joiner_call, ""}, {0}};

static struct jinja_value g_joiner(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value o = object(in, joiner_methods), l = jinja_list_new(in, FORM_LIST);
    jinja_list_add(in, l, jinja_or(a[0], jinja_cstr(", ")));
    if (in->st == OK) o.object->items = l.list;
    return o;
}

static struct jinja_value cycler_next(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return x.object->items->items[x.object->at++ % x.object->items->len];
}

static struct jinja_value cycler_reset(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    x.object->at = 0;
    return jinja_none();
}

static const struct jinja_function cycler_methods[] = {{"next", cycler_next, ""}, {"reset", cycler_reset, ""}, {0}};

static struct jinja_value g_cycler(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value o = object(in, cycler_methods), l = jinja_list_new(in, FORM_LIST);
    if (raw->n_pos == 0) return jinja_fail(in, ERR_INVALID, "cycler needs at least one item");
    for (size_t i = 0; i < raw->n_pos; i++) jinja_list_add(in, l, raw->pos[i]);
    if (in->st == OK) o.object->items = l.list;
    return o;
}

static struct jinja_value loop_cycle(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    if (raw->n_pos == 0) return jinja_fail(in, ERR_INVALID, "no items for cycling given");
    return raw->pos[x.loop->at % raw->n_pos];
}

static struct jinja_value loop_changed(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value now = jinja_list_new(in, FORM_TUPLE);
    for (size_t i = 0; i < raw->n_pos; i++) jinja_list_add(in, now, raw->pos[i]);
    bool same = x.loop->changed.kind == JINJA_LIST && jinja_equal(in, now, x.loop->changed);
    x.loop->changed = now;
    return jinja_bool(!same);
}

const struct jinja_function jinja_methods_loop[] = {
    {"cycle", loop_cycle, NULL},
    {"changed", loop_changed, NULL},
    {0},
};

const struct jinja_function jinja_globals[] = {
    {"raise_exception", g_raise, "message!"},
    {"strftime_now", g_strftime, "format!"},
    {"range", g_range, "start! stop step"},
    {"dict", g_dict, NULL},
    {"namespace", g_namespace, NULL},
    {"joiner", g_joiner, "sep"},
    {"cycler", g_cycler, NULL},
    {0},
};
