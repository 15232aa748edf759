/* fmt.Sprintf for the kinds of values that templates have. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "text/gotmpl_int.h"

struct verb {
    bool minus, plus, sharp, space, zero, has_precision;
    size_t width, precision;
    char name;
};

enum { MAX_WIDTH = 1000000 }; /* fmt's own limit */

static void pad(struct gt_state *in, struct gt_out *o, size_t n, char c)
{
    char some[64];
    memset(some, c, sizeof some);
    for (; n && in->st == OK; n -= n < 64 ? n : 64)
        gt_out_add(in, o, some, n < 64 ? n : 64, NULL, false);
}

/* A text in its width, which counts characters. */
static void put_padded(struct gt_state *in, struct gt_out *o, const struct verb *v,
                       const struct gt_value *text, bool number)
{
    size_t chars = jinja_count_chars(text->s, text->len),
           fill = v->width > chars ? v->width - chars : 0;
    const char *s = text->s;
    size_t len = text->len;
    const char *marks = text->marks;
    if (!v->minus && fill && v->zero && number && len && (*s == '-' || *s == '+')) {
        gt_out_add(in, o, s, 1, NULL, false); /* zeros go behind the sign */
        s++, len--;
        marks = marks ? marks + 1 : NULL;
    }
    if (!v->minus) pad(in, o, fill, v->zero ? '0' : ' ');
    gt_out_add(in, o, s, len, marks, text->foreign);
    if (v->minus) pad(in, o, fill, ' ');
}

static void put_bad(struct gt_state *in, struct gt_out *o, char verb, const struct gt_value *v)
{
    char head[8] = {'%', '!', verb, '('};
    gt_out_str(in, o, head);
    if (v->kind == GT_NIL) {
        gt_out_str(in, o, "<nil>");
    } else {
        gt_out_str(in, o, gt_type_name(v));
        gt_out_str(in, o, "=");
        gt_print(in, o, v, 0);
    }
    gt_out_str(in, o, ")");
}

/* strconv.Quote. */
static void put_quoted(struct gt_state *in, struct gt_out *o, const struct gt_value *v)
{
    static const char names[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
    const char *s = v->s, *end = s + v->len;
    bool foreign = v->foreign || v->marks;
    gt_out_str(in, o, "\"");
    while (s < end && in->st == OK) {
        size_t n = jinja_char_len(s, end);
        int32_t c = jinja_decode_char(s, n);
        const char *known = c > 0 && c < 0x20 ? strchr(values, c) : NULL;
        char text[16];
        size_t len = n;
        memcpy(text, s, n);
        if (c == '"' || c == '\\')
            len = (size_t)snprintf(text, sizeof text, "\\%c", (char)c);
        else if (known)
            len = (size_t)snprintf(text, sizeof text, "\\%c", names[known - values]);
        else if (c >= 0xDC80 && c <= 0xDCFF && n == 1)
            len = (size_t)snprintf(text, sizeof text, "\\x%02x", (unsigned)(unsigned char)*s);
        else if (c < 0x20 || c == 0x7F)
            len = (size_t)snprintf(text, sizeof text, "\\x%02x", (unsigned)c);
        else if (!jinja_is_printable(c))
            len = (size_t)snprintf(text, sizeof text, c < 0x10000 ? "\\u%04x" : "\\U%08x",
                                   (unsigned)c);
        gt_out_add(in, o, text, len, NULL, foreign);
        s += n;
    }
    gt_out_str(in, o, "\"");
}

static bool put_integer(struct gt_out *o, struct gt_state *in, const struct verb *v, int64_t i)
{
    char text[80];
    size_t n = 0;
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    const char *sign = i < 0 ? "-" : v->plus ? "+" : v->space ? " " : "";
    const char *lead = v->sharp && v->name == 'x'   ? "0x"
                       : v->sharp && v->name == 'X' ? "0X"
                       : v->sharp && v->name == 'o' ? "0"
                       : v->name == 'O'             ? "0o"
                                                    : "";
    char digits[72];
    if (v->name == 'b') {
        size_t at = sizeof digits;
        do digits[--at] = (char)('0' + (u & 1));
        while (u >>= 1);
        memmove(digits, digits + at, sizeof digits - at);
        digits[sizeof digits - at] = 0;
    } else if (v->name == 'c') {
        n = jinja_encode_char(i >= 0 && i <= 0x10FFFF ? (int32_t)i : 0xFFFD, text);
    } else {
        snprintf(digits, sizeof digits,
                 v->name == 'x'                     ? "%llx"
                 : v->name == 'X'                   ? "%llX"
                 : v->name == 'o' || v->name == 'O' ? "%llo"
                                                    : "%llu",
                 (unsigned long long)u);
    }
    if (v->name != 'c') n = (size_t)snprintf(text, sizeof text, "%s%s%s", sign, lead, digits);
    struct gt_value t = gt_str(text, n, false);
    put_padded(in, o, v, &t, true);
    return true;
}

static void put_float(struct gt_state *in, struct gt_out *o, const struct verb *v, double f)
{
    char text[402];
    char kind = v->name == 'F' ? 'f' : v->name == 'E' ? 'e' : v->name == 'G' ? 'g' : v->name;
    int precision = v->has_precision             ? (int)(v->precision < 300 ? v->precision : 300)
                    : kind == 'v' || kind == 'g' ? -1
                                                 : 6;
    if (kind == 'v' && precision >= 0) kind = 'g';
    size_t n = gt_format_float(f, kind, precision, text + 1);
    char *s = text + 1;
    if (*s != '-' && *s != '+' && (v->plus || v->space)) {
        text[0] = v->plus ? '+' : ' ';
        s = text, n++;
    }
    for (size_t i = 0; i < n && (v->name == 'E' || v->name == 'G'); i++)
        s[i] = (char)toupper((unsigned char)s[i]);
    struct gt_value t = gt_str(s, n, false);
    put_padded(in, o, v, &t, true);
}

static void put_text(struct gt_state *in, struct gt_out *o, const struct verb *v,
                     const struct gt_value *arg)
{
    struct gt_value t = *arg;
    struct gt_out quoted = {0};
    if (v->has_precision) t.len = jinja_char_offset(t.s, t.len, v->precision);
    if (v->name == 'q') {
        put_quoted(in, &quoted, &t);
        t = gt_out_value(&quoted);
    } else if (v->name == 'x' || v->name == 'X') {
        for (size_t i = 0; i < t.len && in->st == OK; i++) {
            char two[3];
            snprintf(two, sizeof two, v->name == 'x' ? "%02x" : "%02X",
                     (unsigned)(unsigned char)t.s[i]);
            gt_out_add(in, &quoted, two, 2, NULL, false);
        }
        t = gt_out_value(&quoted);
    }
    put_padded(in, o, v, &t, false);
}

static void put_any(struct gt_state *in, struct gt_out *o, const struct verb *v,
                    const struct gt_value *arg);

/* The verb goes to the elements. */
static void put_elements(struct gt_state *in, struct gt_out *o, const struct verb *v,
                         const struct gt_value *arg)
{
    bool list = arg->kind == GT_LIST, fixed = !list && arg->map->fixed;
    size_t n = list ? arg->list->n : arg->map->n;
    gt_out_str(in, o, list ? "[" : fixed ? "{" : "map[");
    for (size_t i = 0; i < n && gt_step(in, 1); i++) {
        if (i) gt_out_str(in, o, " ");
        if (!list && !fixed) {
            struct gt_value key =
                gt_str(arg->map->pairs[i].key.s, arg->map->pairs[i].key.len, true);
            put_any(in, o, v, &key);
            gt_out_str(in, o, ":");
        }
        const struct gt_value *e = list ? &arg->list->items[i] : &arg->map->pairs[i].value;
        if (e->kind == GT_NIL)
            gt_out_str(in, o, "<nil>");
        else
            put_any(in, o, v, e);
    }
    gt_out_str(in, o, list ? "]" : fixed ? "}" : "]");
}

/* False: the verb does not fit the kind. */
static bool put_value(struct gt_state *in, struct gt_out *o, const struct verb *v,
                      const struct gt_value *arg)
{
    struct gt_value t;
    struct gt_out text = {0};
    if (v->name == 'T') {
        t = gt_str(gt_type_name(arg), strlen(gt_type_name(arg)), false);
        put_padded(in, o, v, &t, false);
        return true;
    }
    switch (arg->kind) {
    case GT_BOOL:
        if (!strchr("tv", v->name)) return false;
        t = gt_str(arg->b ? "true" : "false", arg->b ? 4 : 5, false);
        put_padded(in, o, v, &t, false);
        return true;
    case GT_INT:
        return strchr("vdboOxXc", v->name) && put_integer(o, in, v, arg->i);
    case GT_FLOAT:
        if (!strchr("veEfFgG", v->name)) return false;
        put_float(in, o, v, arg->f);
        return true;
    case GT_STR:
        if (!strchr("vsqxX", v->name)) return false;
        put_text(in, o, v, arg);
        return true;
    default:
        break;
    }
    if (arg->kind == GT_NIL) {
        if (v->name != 'v') return false;
        t = gt_str("<nil>", 5, false);
        put_padded(in, o, v, &t, false);
        return true;
    }
    enum gt_form form = arg->kind == GT_LIST ? arg->list->form : arg->map->form;
    if (form < GT_JSON || !strchr("vsqxX", v->name)) {
        put_elements(in, o, v, arg);
    } else { /* it has a String method */
        gt_print(in, &text, arg, 0);
        t = gt_out_value(&text);
        put_text(in, o, v, &t);
    }
    return true;
}

static void put_any(struct gt_state *in, struct gt_out *o, const struct verb *v,
                    const struct gt_value *arg)
{
    if (!put_value(in, o, v, arg)) put_bad(in, o, v->name, arg);
}

/* A number or a star; *given where there is one. */
static size_t read_count(const char **at, const char *end, const struct gt_value *args, size_t n,
                         size_t *used, bool *given, bool *minus)
{
    size_t v = 0;
    *given = false;
    if (*at < end && **at == '*') {
        ++*at;
        const struct gt_value *a = *used < n ? &args[*used] : NULL;
        ++*used;
        if (!a || a->kind != GT_INT || a->i > MAX_WIDTH || a->i < -MAX_WIDTH) return 0;
        *given = true;
        *minus = a->i < 0;
        return (size_t)(a->i < 0 ? -a->i : a->i);
    }
    while (*at < end && isdigit((unsigned char)**at)) {
        *given = true;
        if (v <= MAX_WIDTH) v = v * 10 + (size_t)(**at - '0');
        ++*at;
    }
    return v <= MAX_WIDTH ? v : 0;
}

static struct verb read_verb(const char **at, const char *end, const struct gt_value *args,
                             size_t n, size_t *used)
{
    struct verb v = {0};
    bool given, minus = false;
    for (; *at < end && strchr("-+# 0", **at); ++*at) {
        v.minus |= **at == '-';
        v.plus |= **at == '+';
        v.sharp |= **at == '#';
        v.space |= **at == ' ';
        v.zero |= **at == '0';
    }
    v.width = read_count(at, end, args, n, used, &given, &minus);
    v.minus |= minus;
    if (*at < end && **at == '.') {
        ++*at;
        v.has_precision = true;
        v.precision = read_count(at, end, args, n, used, &given, &minus);
    }
    if (v.minus) v.zero = false;
    if (*at < end) v.name = *(*at)++;
    return v;
}

struct gt_value gt_sprintf(struct gt_state *in, struct gt_text format, const char *marks,
                           bool foreign, const struct gt_value *args, size_t n)
{
    struct gt_out o = {0};
    const char *at = format.s, *end = at + format.len;
    size_t used = 0;
    while (at < end && in->st == OK) {
        const char *percent = memchr(at, '%', (size_t)(end - at)), *to = percent ? percent : end;
        gt_out_add(in, &o, at, (size_t)(to - at), marks ? marks + (at - format.s) : NULL, foreign);
        if (!percent) break;
        at = percent + 1;
        struct verb v = read_verb(&at, end, args, n, &used);
        if (!v.name) {
            gt_out_str(in, &o, "%!(NOVERB)");
        } else if (v.name == '%') {
            gt_out_str(in, &o, "%");
        } else if (used >= n) {
            char text[16] = {'%', '!', v.name};
            gt_out_str(in, &o, text);
            gt_out_str(in, &o, "(MISSING)");
            used++;
        } else {
            put_any(in, &o, &v, &args[used++]);
        }
    }
    if (used < n && in->st == OK) {
        gt_out_str(in, &o, "%!(EXTRA ");
        for (size_t i = used; i < n && in->st == OK; i++) {
            if (i > used) gt_out_str(in, &o, ", ");
            if (args[i].kind != GT_NIL) {
                gt_out_str(in, &o, gt_type_name(&args[i]));
                gt_out_str(in, &o, "=");
            }
            gt_print(in, &o, &args[i], 0);
        }
        gt_out_str(in, &o, ")");
    }
    return gt_out_value(&o);
}
