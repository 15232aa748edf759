/* Python's str.format and % on texts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja_int.h"

/* What both languages have in common: [[fill]align][sign][#][0][width][,][.precision][type] */
struct spec {
    char fill[5];
    size_t fill_len;
    char align, sign, type;
    bool alt, zero, comma;
    int64_t width, precision; /* precision -1: none */
};

enum { MAX_WIDTH = 1000000, MAX_PRECISION = 100 };

static const char *read_number(struct jinja *in, const char *p, const char *end, int64_t *out)
{
    *out = 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        *out = 10 * *out + *p - '0';
        if (*out > MAX_WIDTH) {
            jinja_fail(in, ERR_LIMIT, "a width of more than %d in a format", MAX_WIDTH);
            return end;
        }
    }
    return p;
}

static void pad(struct jinja *in, struct jinja_out *o, const struct spec *s, struct jinja_value text,
                size_t sign_len, char otherwise)
{
    int64_t gap = s->width - (int64_t)jinja_count_chars(text.s, text.len);
    char align = s->align ? s->align : s->zero ? '=' : otherwise;
    int64_t before = gap <= 0 ? 0 : align == '>' || align == '=' ? gap : align == '^' ? gap / 2 : 0;
    if (align == '=') jinja_out_add(in, o, text.s, sign_len);
    for (int64_t i = 0; i < before && jinja_step(in, 1); i++)
        jinja_out_add(in, o, s->align || !s->zero ? s->fill : "0", s->align || !s->zero ? s->fill_len : 1);
    size_t from = align == '=' ? sign_len : 0;
    jinja_out_add(in, o, text.s + from, text.len - from);
    for (int64_t i = before; i < gap && jinja_step(in, 1); i++) jinja_out_add(in, o, s->fill, s->fill_len);
}

/* Puts a comma between every three digits in front of the point. */
static void add_commas(char *text, size_t cap)
{
    size_t start = strspn(text, "+- "), digits = strspn(text + start, "0123456789");
    for (size_t i = digits; i > 3; i -= 3) {
        size_t at = start + i - 3, len = strlen(text);
        if (len + 2 > cap) return;
        memmove(text + at + 1, text + at, len - at + 1);
        text[at] = ',';
    }
}

static void print_double(char *dst, size_t cap, char type, int precision, double d)
{
    switch (type) {
    case 'e':
        snprintf(dst, cap, "%.*e", precision, d);
        break;
    case 'E':
        snprintf(dst, cap, "%.*E", precision, d);
        break;
    case 'g':
        snprintf(dst, cap, "%.*g", precision ? precision : 1, d);
        break;
    case 'G':
        snprintf(dst, cap, "%.*G", precision ? precision : 1, d);
        break;
    default:
        snprintf(dst, cap, "%.*f", precision, d);
    }
}

static void number(struct jinja *in, struct jinja_out *o, const struct spec *s, struct jinja_value v)
{
    char text[1024], digits[600];
    const char *sign = s->sign == '+' ? "+" : s->sign == ' ' ? " " : "";
    bool integer = v.kind != JINJA_FLOAT;
    char type = s->type;
    if (type == 0 || type == 'd' || type == 'i' || type == 'n') type = integer ? 'd' : type;
    int precision = s->precision < 0 ? 6 : s->precision > MAX_PRECISION ? MAX_PRECISION : (int)s->precision;
    if (integer && strchr("dxXoc", type)) {
        if (type == 'c') {
            size_t n = jinja_encode_char((int32_t)(jinja_as_int(v) & 0x1FFFFF), text);
            pad(in, o, s, jinja_str(text, n), 0, '<');
            return;
        }
        int64_t i = jinja_as_int(v);
        uint64_t abs = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
        const char *prefix = s->alt && type == 'x' ? "0x" : s->alt && type == 'X' ? "0X" : s->alt && type == 'o' ? "0o" : "";
        if (type == 'x')
            snprintf(digits, sizeof digits, "%" PRIx64, abs);
        else if (type == 'X')
            snprintf(digits, sizeof digits, "%" PRIX64, abs);
        else if (type == 'o')
            snprintf(digits, sizeof digits, "%" PRIo64, abs);
        else
            snprintf(digits, sizeof digits, "%" PRIu64, abs);
        snprintf(text, sizeof text, "%s%s%s", i < 0 ? "-" : sign, prefix, digits);
    } else if (type && strchr("eEfFgG%", type)) {
        double d = jinja_as_double(v) * (type == '%' ? 100 : 1);
        print_double(digits, sizeof digits, type, precision, d);
        snprintf(text, sizeof text, "%s%s%s", digits[0] == '-' ? "" : sign, digits, type == '%' ? "%" : "");
    } else if (type == 0 && s->precision < 0) {
        jinja_format_float(v.f, digits);
        snprintf(text, sizeof text, "%s%s", digits[0] == '-' ? "" : sign, digits);
    } else if (type == 0) {
        print_double(digits, sizeof digits, 'g', precision, v.f);
        snprintf(text, sizeof text, "%s%s", digits[0] == '-' ? "" : sign, digits);
    } else {
        jinja_fail(in, ERR_INVALID, "format '%c' does not fit a '%s'", type, jinja_type_name(v));
        return;
    }
    if (s->comma) add_commas(text, sizeof text);
    pad(in, o, s, jinja_cstr(text), strspn(text, "+- "), '>');
}

static void put(struct jinja *in, struct jinja_out *o, const struct spec *s, struct jinja_value v)
{
    if (jinja_is_number(v) && v.kind != JINJA_BOOL && s->type != 's') {
        number(in, o, s, v);
        return;
    }
    if (jinja_is_number(v) && s->type && s->type != 's') {
        number(in, o, s, v);
        return;
    }
    if (s->type && s->type != 's') {
        jinja_fail(in, ERR_INVALID, "format '%c' does not fit a '%s'", s->type, jinja_type_name(v));
        return;
    }
    struct jinja_value text = jinja_to_str(in, v);
    if (s->precision >= 0) text.len = (uint32_t)jinja_char_offset(text.s, text.len, (size_t)s->precision);
    pad(in, o, s, text, 0, '<');
}

static void read_spec(struct jinja *in, const char *p, const char *end, struct spec *s)
{
    *s = (struct spec){.fill = " ", .fill_len = 1, .precision = -1};
    size_t n = p < end ? jinja_char_len(p, end) : 0;
    if (n && p + n < end && strchr("<>^=", p[n])) {
        memcpy(s->fill, p, n);
        s->fill_len = n;
        s->align = p[n];
        p += n + 1;
    } else if (p < end && strchr("<>^=", *p)) {
        s->align = *p++;
    }
    if (p < end && strchr("+- ", *p)) s->sign = *p++;
    if (p < end && *p == '#') s->alt = p++ != NULL;
    if (p < end && *p == '0') s->zero = p++ != NULL;
    p = read_number(in, p, end, &s->width);
    if (p < end && *p == ',') s->comma = p++ != NULL;
    if (p < end && *p == '.') p = read_number(in, p + 1, end, &s->precision);
    if (p < end) s->type = *p++;
    if (p < end) jinja_fail(in, ERR_INVALID, "a format that is not understood");
}

static struct jinja_value named(struct jinja *in, const struct jinja_args *args, struct jinja_value name)
{
    for (size_t i = 0; i < args->n_named && jinja_step(in, 1); i++)
        if (jinja_equal(in, args->named[i].key, name)) return args->named[i].value;
    return jinja_fail(in, ERR_INVALID, "format: no argument named '%.*s'", (int)name.len, name.s);
}

/* "0", "name", "0.attr", "0[item]". */
static struct jinja_value field(struct jinja *in, const char *p, const char *end, const struct jinja_args *args,
                                size_t *automatic)
{
    const char *q = p;
    while (q < end && *q != '.' && *q != '[') q++;
    struct jinja_value v;
    int64_t i = 0;
    if (q == p || (*p >= '0' && *p <= '9')) {
        if (q == p)
            i = (int64_t)(*automatic)++;
        else
            read_number(in, p, q, &i);
        if (in->st == OK && i >= (int64_t)args->n_pos)
            return jinja_fail(in, ERR_INVALID, "format: argument %d was not given", (int)i);
        v = in->st == OK ? args->pos[i] : jinja_none();
    } else {
        v = named(in, args, jinja_str(p, (size_t)(q - p)));
    }
    while (q < end && in->st == OK) {
        bool item = *q == '[';
        const char *from = ++q;
        while (q < end && (item ? *q != ']' : *q != '.' && *q != '[')) q++;
        struct jinja_value key = jinja_str(from, (size_t)(q - from));
        if (item && key.len && *from >= '0' && *from <= '9') {
            read_number(in, from, q, &i);
            key = jinja_int(i);
        }
        v = item ? jinja_item(in, v, key) : jinja_attr(in, v, key.s, key.len);
        if (item) q += q < end;
    }
    return v;
}

struct jinja_value jinja_format_braces(struct jinja *in, struct jinja_value fmt, const struct jinja_args *args)
{
    struct jinja_out o = {0};
    size_t automatic = 0;
    const char *p = fmt.s, *end = fmt.s + fmt.len;
    while (p < end && jinja_step(in, 1)) {
        const char *q = p;
        while (q < end && *q != '{' && *q != '}') q++;
        jinja_out_add(in, &o, p, (size_t)(q - p));
        if (q == end) break;
        if (q + 1 < end && q[1] == *q) {
            jinja_out_add(in, &o, q, 1);
            p = q + 2;
            continue;
        }
        const char *close = *q == '{' ? memchr(q, '}', (size_t)(end - q)) : NULL;
        if (!close) return jinja_fail(in, ERR_INVALID, "format: a single brace");
        const char *colon = memchr(q, ':', (size_t)(close - q)), *bang = memchr(q, '!', (size_t)(close - q));
        if (bang && colon && bang > colon) bang = NULL;
        const char *name_end = bang ? bang : colon ? colon : close;
        struct jinja_value v = field(in, q + 1, name_end, args, &automatic);
        if (bang) {
            struct jinja_out r = {0};
            if (bang[1] == 'r') jinja_repr(in, &r, v);
            v = bang[1] == 'r' ? jinja_out_value(&r) : jinja_to_str(in, v);
        }
        struct spec s;
        read_spec(in, colon ? colon + 1 : close, close, &s);
        if (in->st == OK) put(in, &o, &s, v);
        p = close + 1;
    }
    return jinja_out_value(&o);
}

/* Behind a %: flags, width, precision, type. Returns where it ends. */
static const char *read_percent(struct jinja *in, const char *p, const char *end, struct spec *s)
{
    *s = (struct spec){.fill = " ", .fill_len = 1, .precision = -1};
    for (; p < end && *p && strchr("-+ #0", *p); p++) {
        if (*p == '-') s->align = '<';
        if (*p == '+' || (*p == ' ' && !s->sign)) s->sign = *p;
        if (*p == '#') s->alt = true;
        if (*p == '0') s->zero = true;
    }
    p = read_number(in, p, end, &s->width);
    if (p < end && *p == '.') p = read_number(in, p + 1, end, &s->precision);
    if (p < end) s->type = *p++;
    if (s->type == 'i' || s->type == 'u') s->type = 'd';
    return p;
}

struct jinja_value jinja_format_percent(struct jinja *in, struct jinja_value fmt, const struct jinja_args *args)
{
    struct jinja_out o = {0};
    size_t at = 0;
    const char *p = fmt.s, *end = fmt.s + fmt.len;
    bool by_name = false;
    while (p < end && jinja_step(in, 1)) {
        const char *q = memchr(p, '%', (size_t)(end - p));
        if (!q) q = end;
        jinja_out_add(in, &o, p, (size_t)(q - p));
        if (q == end) break;
        p = q + 1;
        struct jinja_value v = {.kind = JINJA_MISSING};
        if (p < end && *p == '(') {
            const char *close = memchr(p, ')', (size_t)(end - p));
            if (!close) return jinja_fail(in, ERR_INVALID, "incomplete format key");
            v = named(in, args, jinja_str(p + 1, (size_t)(close - p - 1)));
            by_name = true;
            p = close + 1;
        }
        struct spec s;
        p = read_percent(in, p, end, &s);
        if (s.type == '%') {
            jinja_out_str(in, &o, "%");
            continue;
        }
        if (v.kind == JINJA_MISSING && at < args->n_pos) v = args->pos[at++];
        if (v.kind == JINJA_MISSING) return jinja_fail(in, ERR_INVALID, "not enough arguments for format string");
        if (s.type == 0 || !strchr("sradxXoceEfFgG", s.type))
            return jinja_fail(in, ERR_INVALID, "unsupported format character");
        if (s.type == 'r' || s.type == 'a') {
            struct jinja_out r = {0};
            jinja_repr(in, &r, v);
            v = jinja_out_value(&r);
            s.type = 's';
        }
        if (s.type == 'd' && v.kind == JINJA_FLOAT && v.f > -9.2e18 && v.f < 9.2e18) v = jinja_int((int64_t)v.f);
        if (!s.align && !s.zero) s.align = '>';
        if (in->st == OK) put(in, &o, &s, v);
    }
    if (in->st == OK && at < args->n_pos && !by_name)
        return jinja_fail(in, ERR_INVALID, "not all arguments converted during string formatting");
    return jinja_out_value(&o);
}
