/* Methods of texts, as Python's str has them. */
#include <string.h>
#include <utf8proc.h>

#include "text/jinja_families.h"

static struct jinja_value strip(struct jinja *in, struct jinja_value x, struct jinja_value chars, bool left, bool right)
{
    if (chars.kind != JINJA_MISSING && chars.kind != JINJA_NONE && !jinja_want_str(in, chars)) return x;
    uint64_t cost = ((uint64_t)x.len / 32 + 1) * (chars.kind == JINJA_STR ? chars.len / 8 + 1 : 1);
    return jinja_step(in, cost) ? jinja_strip(x, chars, left, right) : x;
}

static struct jinja_value m_strip(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return strip(in, x, a[0], true, true);
}

static struct jinja_value m_lstrip(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return strip(in, x, a[0], true, false);
}

static struct jinja_value m_rstrip(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return strip(in, x, a[0], false, true);
}

/* The part between characters a[1] and a[2], as find, count, startswith take it; false: failed. */
static bool window(struct jinja *in, struct jinja_value x, const struct jinja_value *a, size_t *from, size_t *to)
{
    int64_t start = 0, stop = INT64_MAX, n = 0;
    *from = 0, *to = x.len;
    if (!jinja_step(in, x.len / 32)) return false;
    bool has_start = a[1].kind != JINJA_MISSING && a[1].kind != JINJA_NONE;
    bool has_stop = a[2].kind != JINJA_MISSING && a[2].kind != JINJA_NONE;
    if (!has_start && !has_stop) return true;
    if (has_start && !jinja_want_int(in, a[1], &start)) return false;
    if (has_stop && !jinja_want_int(in, a[2], &stop)) return false;
    n = jinja_length(in, x);
    if (start < 0) start = start + n < 0 ? 0 : start + n;
    if (stop < 0) stop = stop + n < 0 ? 0 : stop + n;
    *to = stop >= n ? x.len : jinja_char_offset(x.s, x.len, (size_t)stop);
    *from = start > n ? SIZE_MAX : jinja_char_offset(x.s, x.len, (size_t)start);
    return true;
}

static bool has_end(struct jinja_value x, size_t from, size_t to, struct jinja_value part, bool front)
{
    if (from > to || part.len > to - from) return false;
    return part.len == 0 || memcmp(x.s + (front ? from : to - part.len), part.s, part.len) == 0;
}

static struct jinja_value starts_or_ends(struct jinja *in, struct jinja_value x, const struct jinja_value *a, bool front)
{
    size_t from, to;
    if (!window(in, x, a, &from, &to)) return x;
    if (a[0].kind != JINJA_LIST || a[0].list->form != FORM_TUPLE)
        return jinja_bool(jinja_want_str(in, a[0]) && has_end(x, from, to, a[0], front));
    for (uint32_t i = 0; i < a[0].list->len && jinja_step(in, 1); i++)
        if (jinja_want_str(in, a[0].list->items[i]) && has_end(x, from, to, a[0].list->items[i], front))
            return jinja_bool(true);
    return jinja_bool(false);
}

static struct jinja_value m_startswith(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return starts_or_ends(in, x, a, true);
}

static struct jinja_value m_endswith(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return starts_or_ends(in, x, a, false);
}

/* The byte where it is found, or SIZE_MAX. */
static size_t find_in(struct jinja *in, struct jinja_value x, const struct jinja_value *a, bool last)
{
    size_t from, to, found = SIZE_MAX;
    if (!jinja_want_str(in, a[0]) || !window(in, x, a, &from, &to) || from > to) return SIZE_MAX;
    x.len = (uint32_t)to;
    if (!last) return jinja_find(x, from, a[0]);
    for (size_t i = to + 1; found == SIZE_MAX && i > from && jinja_step(in, 1); i--)
        if (a[0].len <= to - (i - 1) && (a[0].len == 0 || memcmp(x.s + i - 1, a[0].s, a[0].len) == 0)) found = i - 1;
    return found;
}

static struct jinja_value place(struct jinja *in, struct jinja_value x, size_t at, bool must)
{
    if (at == SIZE_MAX && must) return jinja_fail(in, ERR_INVALID, "substring not found");
    return jinja_int(at == SIZE_MAX ? -1 : (int64_t)jinja_count_chars(x.s, at));
}

static struct jinja_value m_find(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return place(in, x, find_in(in, x, a, false), false);
}

static struct jinja_value m_rfind(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return place(in, x, find_in(in, x, a, true), false);
}

static struct jinja_value m_index(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return place(in, x, find_in(in, x, a, false), true);
}

static struct jinja_value m_rindex(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return place(in, x, find_in(in, x, a, true), true);
}

static struct jinja_value m_count(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    size_t from, to;
    int64_t n = 0;
    if (!jinja_want_str(in, a[0]) || !window(in, x, a, &from, &to)) return x;
    if (from > to) return jinja_int(0);
    x.len = (uint32_t)to;
    if (a[0].len == 0) return jinja_int((int64_t)jinja_count_chars(x.s + from, to - from) + 1);
    for (size_t at = from; jinja_step(in, 1) && (at = jinja_find(x, at, a[0])) != SIZE_MAX; at += a[0].len) n++;
    return jinja_int(n);
}

static struct jinja_value m_replace(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    int64_t count = -1;
    if (!jinja_want_str(in, a[0]) || !jinja_want_str(in, a[1])) return x;
    if (a[2].kind != JINJA_MISSING && !jinja_want_int(in, a[2], &count)) return x;
    return jinja_replace(in, x, a[0], a[1], count);
}

static struct jinja_value m_removeprefix(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    if (!jinja_want_str(in, a[0]) || !has_end(x, 0, x.len, a[0], true)) return x;
    return jinja_str(x.s + a[0].len, x.len - a[0].len);
}

static struct jinja_value m_removesuffix(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    if (!jinja_want_str(in, a[0]) || !has_end(x, 0, x.len, a[0], false)) return x;
    return jinja_str(x.s, x.len - a[0].len);
}

static struct jinja_value m_upper(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_case(in, x, CASE_UPPER);
}

static struct jinja_value m_lower(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_case(in, x, CASE_LOWER);
}

static struct jinja_value m_title(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_case(in, x, CASE_TITLE);
}

static struct jinja_value m_capitalize(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_case(in, x, CASE_CAPITAL);
}

static struct jinja_value m_swapcase(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_case(in, x, CASE_SWAP);
}

static struct jinja_value m_format(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return jinja_format_braces(in, x, raw);
}

static struct jinja_value m_join(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    struct jinja_out o = {0};
    struct jinja_list *l = jinja_iter(in, a[0]);
    for (uint32_t i = 0; l && i < l->len && jinja_step(in, 1); i++) {
        if (!jinja_want_str(in, l->items[i])) break;
        if (i) jinja_out_add(in, &o, x.s, x.len);
        jinja_out_add(in, &o, l->items[i].s, l->items[i].len);
    }
    return jinja_out_value(&o);
}

static struct jinja_value m_zfill(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    int64_t width = 0;
    if (!jinja_want_int(in, a[0], &width)) return x;
    struct jinja_out o = {0};
    size_t sign = x.len && (x.s[0] == '-' || x.s[0] == '+');
    jinja_out_add(in, &o, x.s, sign);
    for (int64_t n = width - jinja_length(in, x); n > 0 && jinja_step(in, 1); n--) jinja_out_str(in, &o, "0");
    jinja_out_add(in, &o, x.s + sign, x.len - sign);
    return jinja_out_value(&o);
}

/* ljust, rjust: `left` is how the padding is shared. */
static struct jinja_value justify(struct jinja *in, struct jinja_value x, const struct jinja_value *a, bool before)
{
    int64_t width = 0;
    struct jinja_value fill = jinja_or(a[1], jinja_str(" ", 1));
    if (!jinja_want_int(in, a[0], &width) || !jinja_want_str(in, fill)) return x;
    if (jinja_count_chars(fill.s, fill.len) != 1)
        return jinja_fail(in, ERR_INVALID, "the fill character must be exactly one character long");
    struct jinja_out o = {0};
    if (!before) jinja_out_add(in, &o, x.s, x.len);
    for (int64_t n = width - jinja_length(in, x); n > 0 && jinja_step(in, 1); n--) jinja_out_add(in, &o, fill.s, fill.len);
    if (before) jinja_out_add(in, &o, x.s, x.len);
    return jinja_out_value(&o);
}

static struct jinja_value m_ljust(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return justify(in, x, a, false);
}

static struct jinja_value m_rjust(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return justify(in, x, a, true);
}

const struct jinja_function jinja_methods_text[] = {
    {"strip", m_strip, "chars"},
    {"lstrip", m_lstrip, "chars"},
    {"rstrip", m_rstrip, "chars"},
    {"startswith", m_startswith, "prefix! start end"},
    {"endswith", m_endswith, "suffix! start end"},
    {"find", m_find, "sub! start end"},
    {"rfind", m_rfind, "sub! start end"},
    {"index", m_index, "sub! start end"},
    {"rindex", m_rindex, "sub! start end"},
    {"count", m_count, "sub! start end"},
    {"replace", m_replace, "old! new! count"},
    {"removeprefix", m_removeprefix, "prefix!"},
    {"removesuffix", m_removesuffix, "suffix!"},
    {"upper", m_upper, ""},
    {"lower", m_lower, ""},
    {"casefold", m_lower, ""},
    {"title", m_title, ""},
    {"capitalize", m_capitalize, ""},
    {"swapcase", m_swapcase, ""},
    {"format", m_format, NULL},
    {"join", m_join, "iterable!"},
    {"zfill", m_zfill, "width!"},
    {"ljust", m_ljust, "width! fillchar"},
    {"rjust", m_rjust, "width! fillchar"},
    {0},
};

/* ---- isdigit and its relatives: every character has the property, and there is one ---- */

static bool every(struct jinja *in, struct jinja_value x, bool (*is)(int32_t c))
{
    if (!jinja_step(in, x.len / 8)) return false;
    for (const char *p = x.s, *end = x.s + x.len; p < end;) {
        size_t n = jinja_char_len(p, end);
        if (!is(jinja_decode_char(p, n))) return false;
        p += n;
    }
    return x.len > 0;
}

static bool is_digit(int32_t c)
{
    return utf8proc_category(c) == UTF8PROC_CATEGORY_ND;
}

static bool is_alpha(int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

static bool is_alnum(int32_t c)
{
    return is_alpha(c) || is_digit(c);
}

static bool is_ascii(int32_t c)
{
    return c < 0x80;
}

#define METHOD_IS(name, condition)                                                                 \
    static struct jinja_value name(JINJA_FUNCTION_ARGS)                                            \
    {                                                                                              \
        JINJA_UNUSED;                                                                              \
        return jinja_bool(condition);                                                              \
    }

static bool has_case(struct jinja *in, struct jinja_value x, enum jinja_case how, enum jinja_case other)
{
    return jinja_equal(in, jinja_case(in, x, how), x) && !jinja_equal(in, jinja_case(in, x, other), x);
}

METHOD_IS(m_isdigit, every(in, x, is_digit))
METHOD_IS(m_isalpha, every(in, x, is_alpha))
METHOD_IS(m_isalnum, every(in, x, is_alnum))
METHOD_IS(m_isspace, every(in, x, jinja_is_space))
METHOD_IS(m_isascii, x.len == 0 || every(in, x, is_ascii))
METHOD_IS(m_isupper, has_case(in, x, CASE_UPPER, CASE_LOWER))
METHOD_IS(m_islower, has_case(in, x, CASE_LOWER, CASE_UPPER))
METHOD_IS(m_istitle, has_case(in, x, CASE_TITLE, CASE_SWAP))

const struct jinja_function jinja_methods_is[] = {
    {"isdigit", m_isdigit, ""},
    {"isdecimal", m_isdigit, ""},
    {"isnumeric", m_isdigit, ""},
    {"isalpha", m_isalpha, ""},
    {"isalnum", m_isalnum, ""},
    {"isspace", m_isspace, ""},
    {"isascii", m_isascii, ""},
    {"isupper", m_isupper, ""},
    {"islower", m_islower, ""},
    {"istitle", m_istitle, ""},
    {0},
};
