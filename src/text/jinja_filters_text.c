/* Filters of texts. */
#include <string.h>

#include "text/jinja_families.h"

/* A text as it is, safe or not; anything else as str() has it. */
static struct jinja_value soft(struct jinja *in, struct jinja_value x)
{
    return x.kind == JINJA_STR ? x : jinja_to_str(in, x);
}

static struct jinja_value f_upper(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_case(in, soft(in, x), CASE_UPPER);
}

static struct jinja_value f_lower(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_case(in, soft(in, x), CASE_LOWER);
}

static struct jinja_value f_capitalize(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_case(in, soft(in, x), CASE_CAPITAL);
}

static struct jinja_value f_title(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_title_filter(in, soft(in, x));
}

static struct jinja_value f_trim(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    if (a[0].kind != JINJA_MISSING && a[0].kind != JINJA_NONE && !jinja_want_str(in, a[0])) return x;
    x = soft(in, x);
    return jinja_step(in, x.len / 32) ? jinja_strip(x, a[0], true, true) : x;
}

static struct jinja_value f_replace(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    int64_t count = -1;
    if (a[2].kind != JINJA_MISSING && a[2].kind != JINJA_NONE && !jinja_want_int(in, a[2], &count)) return x;
    return jinja_replace(in, jinja_to_str(in, x), jinja_to_str(in, a[0]), jinja_to_str(in, a[1]), count);
}

static struct jinja_value f_string(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return soft(in, x);
}

static struct jinja_value f_safe(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value s = jinja_to_str(in, x);
    s.safe = true;
    return s;
}

static struct jinja_value f_escape(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_escape(in, x);
}

static struct jinja_value f_forceescape(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_escape(in, jinja_to_str(in, x));
}

static void add_spaces(struct jinja *in, struct jinja_out *o, int64_t n)
{
    for (; n > 0 && jinja_step(in, 1); n--) jinja_out_str(in, o, " ");
}

static struct jinja_value f_indent(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value s = soft(in, x), width = jinja_or(a[0], jinja_int(4));
    bool first = jinja_truth(in, jinja_or(a[1], jinja_bool(false)));
    bool blank = jinja_truth(in, jinja_or(a[2], jinja_bool(false)));
    int64_t n = 0;
    struct jinja_out pad = {0}, o = {0};
    if (width.kind == JINJA_STR)
        jinja_out_add(in, &pad, width.s, width.len);
    else if (jinja_want_int(in, width, &n))
        add_spaces(in, &pad, n);
    const char *end = s.s + s.len;
    bool begin = true;
    for (const char *p = s.s; jinja_step(in, 1);) {
        const char *nl = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        const char *to = nl ? nl : end;
        if (begin ? first : to > p || blank) jinja_out_add(in, &o, pad.data, pad.len);
        jinja_out_add(in, &o, p, (size_t)(to - p));
        if (!nl) break;
        jinja_out_str(in, &o, "\n");
        begin = false;
        p = nl + 1;
    }
    return jinja_out_value(&o);
}

static struct jinja_value f_center(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    int64_t width = 0;
    struct jinja_value s = soft(in, x);
    if (!jinja_want_int(in, jinja_or(a[0], jinja_int(80)), &width)) return x;
    int64_t gap = width - jinja_length(in, s);
    if (gap <= 0) return s;
    struct jinja_out o = {0};
    int64_t left = gap / 2 + (gap & width & 1); /* as CPython's str.center rounds */
    add_spaces(in, &o, left);
    jinja_out_add(in, &o, s.s, s.len);
    add_spaces(in, &o, gap - left);
    return jinja_out_value(&o);
}

static struct jinja_value f_truncate(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    int64_t length = 0, leeway = 0;
    struct jinja_value s = jinja_to_str(in, x), end = jinja_or(a[2], jinja_cstr("..."));
    if (!jinja_want_int(in, jinja_or(a[0], jinja_int(255)), &length) ||
        !jinja_want_int(in, jinja_or(a[3], jinja_int(5)), &leeway) || !jinja_want_str(in, end))
        return x;
    int64_t n = jinja_length(in, s), keep = length - jinja_length(in, end);
    if (keep < 0) return jinja_fail(in, ERR_INVALID, "truncate: the end is longer than the length");
    if (n <= length || n - length <= leeway) return s;
    struct jinja_value cut = jinja_str(s.s, jinja_char_offset(s.s, s.len, (size_t)keep));
    if (!jinja_truth(in, jinja_or(a[1], jinja_bool(false)))) {
        const char *space = memrchr(cut.s, ' ', cut.len);
        if (space) cut.len = (uint32_t)(space - cut.s);
    }
    return jinja_join2(in, cut, end);
}

static struct jinja_value f_wordcount(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_value s = jinja_to_str(in, x);
    int64_t n = 0;
    bool word = false;
    if (!jinja_step(in, s.len / 8)) return x;
    for (const char *p = s.s, *end = s.s + s.len; p < end;) {
        size_t k = jinja_char_len(p, end);
        bool is = !jinja_is_space(jinja_decode_char(p, k)) && (k > 1 || *p == '_' || (*p >= '0' && *p <= '9') ||
                                                               ((*p | 32) >= 'a' && (*p | 32) <= 'z'));
        n += is && !word;
        word = is;
        p += k;
    }
    return jinja_int(n);
}

static struct jinja_value f_format(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_format_percent(in, jinja_to_str(in, x), raw);
}

static struct jinja_value f_urlencode(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    static const char hex[] = "0123456789ABCDEF";
    struct jinja_value s = jinja_to_str(in, x);
    struct jinja_out o = {0};
    for (uint32_t i = 0; i < s.len && jinja_step(in, 1); i++) {
        unsigned char c = (unsigned char)s.s[i];
        char text[3] = {'%', hex[c >> 4], hex[c & 15]};
        bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c && strchr("_.-~/", c));
        jinja_out_like(in, &o, plain ? s.s + i : text, plain ? 1 : 3, s.s + i);
    }
    return jinja_out_value(&o);
}

const struct jinja_function jinja_filters_text[] = {
    {"upper", f_upper, ""},
    {"lower", f_lower, ""},
    {"capitalize", f_capitalize, ""},
    {"title", f_title, ""},
    {"trim", f_trim, "chars"},
    {"replace", f_replace, "old! new! count"},
    {"string", f_string, ""},
    {"safe", f_safe, ""},
    {"escape", f_escape, ""},
    {"e", f_escape, ""},
    {"forceescape", f_forceescape, ""},
    {"indent", f_indent, "width first blank"},
    {"center", f_center, "width"},
    {"truncate", f_truncate, "length killwords end leeway"},
    {"wordcount", f_wordcount, ""},
    {"format", f_format, NULL},
    {"urlencode", f_urlencode, ""},
    {0},
};
