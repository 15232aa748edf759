/* Values as text: Python's str() and repr(), and json.dumps. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_int.h"

/* Python's repr of a float: the shortest digits that read back the same; an exponent below 1e-4 and
 * from 1e16 on. */
size_t jinja_format_float(double f, char dst[32])
{
    if (isnan(f)) return (size_t)sprintf(dst, "nan");
    if (isinf(f)) return (size_t)sprintf(dst, f < 0 ? "-inf" : "inf");
    char e[32];
    int digits = 1;
    for (; digits < 17; digits++) {
        snprintf(e, sizeof e, "%.*e", digits - 1, f);
        if (strtod(e, NULL) == f) break;
    }
    snprintf(e, sizeof e, "%.*e", digits - 1, f);
    int exp = atoi(strchr(e, 'e') + 1);
    if (exp < -4 || exp >= 16) {
        *strchr(e, 'e') = 0;
        return (size_t)snprintf(dst, 32, "%se%c%02d", e, exp < 0 ? '-' : '+', abs(exp));
    }
    int decimals = digits - 1 - exp;
    return (size_t)snprintf(dst, 32, "%.*f", decimals > 1 ? decimals : 1, f);
}

static void add_escaped_char(struct jinja *in, struct jinja_out *o, int32_t c, const char *from)
{
    char text[12];
    int n = snprintf(text, sizeof text, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
    jinja_out_like(in, o, text, (size_t)n, from);
}

static void repr_text(struct jinja *in, struct jinja_out *o, struct jinja_value v)
{
    if (!jinja_step(in, v.len / 8)) return;
    bool single = v.len && memchr(v.s, '\'', v.len), twice = v.len && memchr(v.s, '"', v.len);
    char quote = single && !twice ? '"' : '\'';
    jinja_out_add(in, o, &quote, 1);
    for (const char *p = v.s, *end = v.s + v.len; p < end && in->st == OK;) {
        size_t n = jinja_char_len(p, end);
        int32_t c = jinja_decode_char(p, n);
        if (c == quote || c == '\\') jinja_out_like(in, o, "\\", 1, p);
        if (c == '\n' || c == '\r' || c == '\t')
            jinja_out_like(in, o, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t", 2, p);
        else if (!jinja_is_printable(c))
            add_escaped_char(in, o, c, p);
        else
            jinja_out_add(in, o, p, n);
        p += n;
    }
    jinja_out_add(in, o, &quote, 1);
}

static void repr_list(struct jinja *in, struct jinja_out *o, const struct jinja_list *l)
{
    if (l->form == FORM_RANGE) {
        char text[80];
        int64_t first = l->len ? l->items[0].i : 0;
        int64_t step = l->len > 1 ? l->items[1].i - first : 1;
        snprintf(text, sizeof text, step == 1 ? "range(%" PRId64 ", %" PRId64 ")"
                                              : "range(%" PRId64 ", %" PRId64 ", %" PRId64 ")",
                 first, first + step * (int64_t)l->len, step);
        jinja_out_str(in, o, text);
        return;
    }
    if (l->form == FORM_GENERATOR) {
        jinja_out_str(in, o, "<generator object>");
        return;
    }
    jinja_out_str(in, o, l->form == FORM_TUPLE ? "(" : l->form == FORM_VIEW ? "dict_items([" : "[");
    for (uint32_t i = 0; i < l->len && jinja_step(in, 1); i++) {
        if (i) jinja_out_str(in, o, ", ");
        jinja_repr(in, o, l->items[i]);
    }
    if (l->form == FORM_TUPLE && l->len == 1) jinja_out_str(in, o, ",");
    jinja_out_str(in, o, l->form == FORM_TUPLE ? ")" : l->form == FORM_VIEW ? "])" : "]");
}

static void repr_dict(struct jinja *in, struct jinja_out *o, const struct jinja_dict *d)
{
    jinja_out_str(in, o, "{");
    for (uint32_t i = 0; i < d->len && jinja_step(in, 1); i++) {
        if (i) jinja_out_str(in, o, ", ");
        jinja_repr(in, o, d->pairs[i].key);
        jinja_out_str(in, o, ": ");
        jinja_repr(in, o, d->pairs[i].value);
    }
    jinja_out_str(in, o, "}");
}

void jinja_repr(struct jinja *in, struct jinja_out *o, struct jinja_value v)
{
    char text[96];
    if (!jinja_enter(in)) return;
    switch ((enum jinja_kind)v.kind) {
    case JINJA_MISSING:
    case JINJA_UNDEFINED:
        jinja_out_str(in, o, "Undefined");
        break;
    case JINJA_NONE:
        jinja_out_str(in, o, "None");
        break;
    case JINJA_BOOL:
        jinja_out_str(in, o, v.b ? "True" : "False");
        break;
    case JINJA_INT:
        jinja_out_add(in, o, text, (size_t)snprintf(text, sizeof text, "%" PRId64, v.i));
        break;
    case JINJA_FLOAT:
        jinja_out_add(in, o, text, jinja_format_float(v.f, text));
        break;
    case JINJA_STR:
        if (v.safe) jinja_out_str(in, o, "Markup(");
        repr_text(in, o, v);
        if (v.safe) jinja_out_str(in, o, ")");
        break;
    case JINJA_LIST:
        repr_list(in, o, v.list);
        break;
    case JINJA_NAMESPACE:
        jinja_out_str(in, o, "<Namespace ");
        repr_dict(in, o, v.dict);
        jinja_out_str(in, o, ">");
        break;
    case JINJA_DICT:
        repr_dict(in, o, v.dict);
        break;
    default:
        snprintf(text, sizeof text, "<%s>", jinja_type_name(v));
        jinja_out_str(in, o, text);
    }
    jinja_leave(in);
}

struct jinja_value jinja_to_str(struct jinja *in, struct jinja_value v)
{
    if (v.kind == JINJA_STR) return jinja_str(v.s, v.len);
    if (v.kind == JINJA_UNDEFINED || v.kind == JINJA_MISSING) return jinja_str("", 0);
    if (v.kind == JINJA_OBJECT) return v.object->text;
    struct jinja_out o = {0};
    jinja_repr(in, &o, v);
    return jinja_out_value(&o);
}

/* ---- JSON ---- */

struct dump {
    struct jinja *in;
    struct jinja_out *o;
    const struct jinja_json_style *style;
    unsigned level;
};

static void dump_text(struct dump *d, struct jinja_value v)
{
    if (!jinja_step(d->in, v.len / 8)) return;
    jinja_out_str(d->in, d->o, "\"");
    for (const char *p = v.s, *end = v.s + v.len; p < end && d->in->st == OK;) {
        /* What needs no escape goes in one piece. */
        const char *q = p;
        while (q < end && *q != '"' && *q != '\\' && (unsigned char)*q >= 0x20 &&
               (!d->style->ascii || (unsigned char)*q < 0x7f))
            q++;
        jinja_out_add(d->in, d->o, p, (size_t)(q - p));
        if (q == end) break;
        size_t n = jinja_char_len(q, end);
        int32_t c = jinja_decode_char(q, n);
        static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
        const char *which = c && c < 0x80 ? strchr(from, c) : NULL;
        char text[16];
        if (which)
            snprintf(text, sizeof text, "\\%c", to[which - from]);
        else if (c < 0x10000)
            snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
        else
            snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xD800 + (((unsigned)c - 0x10000) >> 10),
                     0xDC00 + (((unsigned)c - 0x10000) & 0x3FF));
        jinja_out_like(d->in, d->o, text, strlen(text), q);
        p = q + n;
    }
    jinja_out_str(d->in, d->o, "\"");
}

static void new_line(struct dump *d)
{
    struct jinja_value indent = d->style->indent;
    if (indent.kind == JINJA_NONE) return;
    jinja_out_str(d->in, d->o, "\n");
    for (unsigned i = 0; i < d->level && jinja_step(d->in, 1); i++)
        if (indent.kind == JINJA_STR)
            jinja_out_add(d->in, d->o, indent.s, indent.len);
        else
            for (int64_t k = jinja_as_int(indent); k > 0 && jinja_step(d->in, 1); k--)
                jinja_out_str(d->in, d->o, " ");
}

static void dump(struct dump *d, struct jinja_value v);

static void dump_list(struct dump *d, const struct jinja_list *l)
{
    jinja_out_str(d->in, d->o, "[");
    d->level++;
    for (uint32_t i = 0; i < l->len && jinja_step(d->in, 1); i++) {
        if (i) jinja_out_add(d->in, d->o, d->style->item, d->style->item_len);
        new_line(d);
        dump(d, l->items[i]);
    }
    d->level--;
    if (l->len) new_line(d);
    jinja_out_str(d->in, d->o, "]");
}

/* json.dumps takes texts, numbers and None as keys. */
static void dump_key(struct dump *d, struct jinja_value key)
{
    char text[32];
    if (key.kind == JINJA_STR) {
        dump_text(d, key);
    } else if (key.kind == JINJA_NONE || key.kind == JINJA_BOOL) {
        jinja_out_str(d->in, d->o,
                      key.kind == JINJA_NONE ? "\"null\"" : key.b ? "\"true\"" : "\"false\"");
    } else if (key.kind == JINJA_INT || key.kind == JINJA_FLOAT) {
        if (key.kind == JINJA_INT)
            snprintf(text, sizeof text, "%" PRId64, key.i);
        else
            jinja_format_float(key.f, text);
        dump_text(d, jinja_cstr(text));
    } else {
        jinja_fail(d->in, ERR_INVALID, "keys of JSON must be texts, not %s", jinja_type_name(key));
    }
}

static void dump_dict(struct dump *d, const struct jinja_dict *m)
{
    const struct jinja_pair *pairs = m->pairs;
    struct jinja_value *keys = NULL, *at = NULL;
    if (d->style->sort && m->len) {
        keys = jinja_alloc(d->in, m->len * sizeof *keys);
        at = jinja_alloc(d->in, m->len * sizeof *at);
        if (!keys || !at) return;
        for (uint32_t i = 0; i < m->len; i++) {
            keys[i] = pairs[i].key;
            at[i] = jinja_int(i);
        }
        jinja_sort(d->in, keys, at, m->len, false, false);
    }
    jinja_out_str(d->in, d->o, "{");
    d->level++;
    for (uint32_t i = 0; i < m->len && jinja_step(d->in, 1); i++) {
        if (i) jinja_out_add(d->in, d->o, d->style->item, d->style->item_len);
        new_line(d);
        const struct jinja_pair *p = &pairs[at ? (uint32_t)at[i].i : i];
        dump_key(d, p->key);
        jinja_out_add(d->in, d->o, d->style->key, d->style->key_len);
        dump(d, p->value);
    }
    d->level--;
    if (m->len) new_line(d);
    jinja_out_str(d->in, d->o, "}");
}

static void dump(struct dump *d, struct jinja_value v)
{
    if (!jinja_enter(d->in)) return;
    if (v.kind == JINJA_STR)
        dump_text(d, v);
    else if (v.kind == JINJA_LIST && v.list->form <= FORM_TUPLE)
        dump_list(d, v.list);
    else if (v.kind == JINJA_DICT)
        dump_dict(d, v.dict);
    else if (v.kind == JINJA_NONE)
        jinja_out_str(d->in, d->o, "null");
    else if (v.kind == JINJA_BOOL)
        jinja_out_str(d->in, d->o, v.b ? "true" : "false");
    else if (v.kind == JINJA_FLOAT && !isfinite(v.f))
        jinja_out_str(d->in, d->o, isnan(v.f) ? "NaN" : v.f < 0 ? "-Infinity" : "Infinity");
    else if (v.kind == JINJA_INT || v.kind == JINJA_FLOAT)
        jinja_repr(d->in, d->o, v);
    else
        jinja_fail(d->in, ERR_INVALID, "an object of type %s is no JSON", jinja_type_name(v));
    jinja_leave(d->in);
}

void jinja_dump_json(struct jinja *in, struct jinja_out *o, struct jinja_value v,
                     const struct jinja_json_style *style)
{
    struct dump d = {.in = in, .o = o, .style = style};
    dump(&d, v);
}
