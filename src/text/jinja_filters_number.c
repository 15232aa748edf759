/* Filters of numbers. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_families.h"

static struct jinja_value f_abs(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    if (!jinja_is_number(x)) return jinja_fail(in, ERR_INVALID, "bad operand for abs: '%s'", jinja_type_name(x));
    if (x.kind == JINJA_FLOAT) return jinja_float(fabs(x.f));
    return jinja_as_int(x) < 0 ? jinja_unary(in, OP_NEG, x) : jinja_int(jinja_as_int(x));
}

/* A text of digits as Python's int() and float() take it; false: none. */
static bool parse_number(struct jinja_value s, int base, bool real, struct jinja_value *out)
{
    char text[128];
    size_t n = 0;
    s = jinja_strip(s, jinja_none(), true, true);
    if (s.len == 0 || s.len >= sizeof text) return false;
    for (uint32_t i = 0; i < s.len; i++) {
        bool joint = s.s[i] == '_' && i > 0 && i + 1 < s.len && s.s[i - 1] != '_' && s.s[i + 1] != '_';
        if (s.s[i] == '_' && !joint) return false;
        if (s.s[i] != '_') text[n++] = s.s[i];
    }
    text[n] = 0;
    if (strlen(text) != n || strpbrk(text, " \t\n\r\f\v")) return false;
    char *end;
    errno = 0;
    if (real) {
        if (strpbrk(text, "xXpP(")) return false;
        *out = jinja_float(strtod(text, &end));
        return end == text + n;
    }
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    if (digits[0] == '0' && (digits[1] | 32) == 'x' && base != 16) return false;
    *out = jinja_int(strtoll(text, &end, base));
    return end == text + n && errno == 0;
}

static struct jinja_value f_int(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    int64_t base = 10;
    struct jinja_value otherwise = jinja_or(a[0], jinja_int(0)), v;
    if (!jinja_want_int(in, jinja_or(a[1], jinja_int(10)), &base)) return x;
    if (base != 0 && (base < 2 || base > 36)) return otherwise;
    if (x.kind == JINJA_STR) {
        if (parse_number(x, (int)base, false, &v)) return v;
        if (!parse_number(x, 10, true, &v)) return otherwise;
        x = v;
    }
    if (x.kind == JINJA_FLOAT)
        return fabs(x.f) < 9.2e18 ? jinja_int((int64_t)x.f) : otherwise; /* a NaN compares false */
    return x.kind == JINJA_INT || x.kind == JINJA_BOOL ? jinja_int(jinja_as_int(x)) : otherwise;
}

static struct jinja_value f_float(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value v;
    if (jinja_is_number(x)) return jinja_float(jinja_as_double(x));
    if (x.kind == JINJA_STR && parse_number(x, 10, true, &v)) return v;
    return jinja_or(a[0], jinja_float(0));
}

static struct jinja_value f_round(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    int64_t digits = 0;
    struct jinja_value how = jinja_or(a[1], jinja_cstr("common"));
    if (!jinja_want_int(in, jinja_or(a[0], jinja_int(0)), &digits)) return x;
    if (!jinja_is_number(x)) return jinja_fail(in, ERR_INVALID, "round needs a number, not '%s'", jinja_type_name(x));
    if (digits > 400) digits = 400;
    if (digits < -400) digits = -400;
    double d = jinja_as_double(x), scale = pow(10, (double)digits);
    if (jinja_is(how, "ceil")) return jinja_float(ceil(d * scale) / scale);
    if (jinja_is(how, "floor")) return jinja_float(floor(d * scale) / scale);
    if (!jinja_is(how, "common")) return jinja_fail(in, ERR_INVALID, "round: method must be common, ceil or floor");
    if (digits >= 0) { /* printf rounds the exact value, as Python does */
        char text[800];
        snprintf(text, sizeof text, "%.*f", (int)digits, d);
        d = strtod(text, NULL);
    } else {
        double unit = pow(10, (double)-digits);
        d = nearbyint(d / unit) * unit;
    }
    return x.kind == JINJA_FLOAT ? jinja_float(d) : jinja_int(fabs(d) < 9.2e18 ? (int64_t)d : jinja_as_int(x));
}

static struct jinja_value f_filesizeformat(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    static const char *const units[2][8] = {{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"},
                                            {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}};
    const struct jinja_value none[2] = {{0}};
    struct jinja_value v = x.kind == JINJA_STR ? f_float(in, x, none, raw) : x;
    bool binary = jinja_truth(in, a[0]);
    if (!jinja_is_number(v)) return jinja_fail(in, ERR_INVALID, "filesizeformat needs a number");
    double bytes = jinja_as_double(v), base = binary ? 1024 : 1000, unit = base;
    char text[64];
    if (bytes == 1) {
        strcpy(text, "1 Byte");
    } else if (bytes < base) {
        snprintf(text, sizeof text, "%.0f Bytes", trunc(bytes));
    } else {
        size_t i = 0;
        while (i < 7 && bytes >= unit * base) {
            unit *= base;
            i++;
        }
        snprintf(text, sizeof text, "%.1f %s", bytes / unit, units[binary][i]);
    }
    return jinja_copy(in, text, strlen(text));
}

const struct jinja_function jinja_filters_number[] = {
    {"abs", f_abs, ""},
    {"int", f_int, "default base"},
    {"float", f_float, "default"},
    {"round", f_round, "precision method"},
    {"filesizeformat", f_filesizeformat, "binary"},
    {0},
};
