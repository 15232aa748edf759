/* Texts by characters. What is no UTF-8 counts as one character per byte. */
#include <string.h>
#include <utf8proc.h>

#include "text/jinja_int.h"

size_t jinja_char_len(const char *s, const char *end)
{
    if ((unsigned char)*s < 0x80) return 1;
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s, end - s, &c);
    return n > 0 ? (size_t)n : 1;
}

size_t jinja_count_chars(const char *s, size_t len)
{
    size_t n = 0;
    for (const char *p = s, *end = s + len; p < end; n++) p += jinja_char_len(p, end);
    return n;
}

size_t jinja_char_offset(const char *s, size_t len, size_t n)
{
    const char *p = s, *end = s + len;
    for (; n && p < end; n--) p += jinja_char_len(p, end);
    return (size_t)(p - s);
}

int32_t jinja_decode_char(const char *s, size_t len)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)len, &c);
    return n > 0 ? c : 0xDC00 + (unsigned char)*s;
}

size_t jinja_encode_char(int32_t c, char dst[4])
{
    if (c >= 0xDC80 && c <= 0xDCFF) { /* a byte that was no UTF-8 */
        *dst = (char)(c - 0xDC00);
        return 1;
    }
    utf8proc_ssize_t n = utf8proc_encode_char(c, (utf8proc_uint8_t *)dst);
    return n > 0 ? (size_t)n : 0;
}

/* Python's str.isspace: categories Zs, and bidirectional classes WS, B, S. */
bool jinja_is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

bool jinja_is_printable(int32_t c)
{
    if (c < 0x7f) return c >= 0x20;
    utf8proc_category_t k = utf8proc_category(c);
    return k != UTF8PROC_CATEGORY_CN && k != UTF8PROC_CATEGORY_CC && k != UTF8PROC_CATEGORY_CF &&
           k != UTF8PROC_CATEGORY_CS && k != UTF8PROC_CATEGORY_CO && k != UTF8PROC_CATEGORY_ZL &&
           k != UTF8PROC_CATEGORY_ZP && k != UTF8PROC_CATEGORY_ZS;
}

static bool in_set(const char *s, size_t n, struct jinja_value set)
{
    if (set.kind != JINJA_STR) return jinja_is_space(jinja_decode_char(s, n));
    for (const char *p = set.s, *end = set.s + set.len; p < end;) {
        size_t m = jinja_char_len(p, end);
        if (m == n && memcmp(p, s, n) == 0) return true;
        p += m;
    }
    return false;
}

struct jinja_value jinja_strip(struct jinja_value s, struct jinja_value chars, bool left, bool right)
{
    const char *p = s.s, *end = s.s + s.len;
    while (left && p < end) {
        size_t n = jinja_char_len(p, end);
        if (!in_set(p, n, chars)) break;
        p += n;
    }
    while (right && p < end) {
        const char *q = end - 1;
        while (q > p && end - q < 4 && ((unsigned char)*q & 0xC0) == 0x80) q--;
        if (jinja_char_len(q, end) != (size_t)(end - q)) q = end - 1;
        if (!in_set(q, (size_t)(end - q), chars)) break;
        end = q;
    }
    struct jinja_value v = s;
    v.s = p;
    v.len = (uint32_t)(end - p);
    return v;
}

size_t jinja_find(struct jinja_value a, size_t from, struct jinja_value b)
{
    if (from > a.len) return SIZE_MAX;
    if (b.len == 0) return from;
    const char *p = a.len > from ? memmem(a.s + from, a.len - from, b.s, b.len) : NULL;
    return p ? (size_t)(p - a.s) : SIZE_MAX;
}

struct jinja_value jinja_replace(struct jinja *in, struct jinja_value s, struct jinja_value old,
                                 struct jinja_value with, int64_t count)
{
    struct jinja_out o = {0};
    size_t at = 0;
    if (old.len == 0) { /* between all characters, and at both ends */
        while (count != 0 && jinja_step(in, 1)) {
            jinja_out_add(in, &o, with.s, with.len);
            count -= count > 0;
            if (at == s.len) return jinja_out_value(&o);
            size_t n = jinja_char_len(s.s + at, s.s + s.len);
            jinja_out_add(in, &o, s.s + at, n);
            at += n;
        }
    }
    for (size_t p; count != 0 && old.len && jinja_step(in, 1) &&
                   (p = jinja_find(s, at, old)) != SIZE_MAX;
         count -= count > 0) {
        if (!jinja_step(in, (p - at) / 32)) break;
        jinja_out_add(in, &o, s.s + at, p - at);
        jinja_out_add(in, &o, with.s, with.len);
        at = p + old.len;
    }
    if (at == 0) return jinja_str(s.s, s.len);
    jinja_out_add(in, &o, s.s + at, s.len - at);
    return jinja_out_value(&o);
}

/* Letters that have case, as str.title sees them. */
static bool cased(int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

static void add_cased(struct jinja *in, struct jinja_out *o, int32_t c, bool upper, const char *from)
{
    char text[4];
    if (upper && c == 0xDF) { /* the one common letter whose upper case is two */
        jinja_out_like(in, o, "SS", 2, from);
        return;
    }
    int32_t d = c >= 0xDC80 && c <= 0xDCFF ? c : upper ? utf8proc_toupper(c) : utf8proc_tolower(c);
    jinja_out_like(in, o, text, jinja_encode_char(d, text), from);
}

struct jinja_value jinja_case(struct jinja *in, struct jinja_value s, enum jinja_case how)
{
    struct jinja_out o = {0};
    bool begin = true;
    if (!jinja_step(in, s.len / 8)) return jinja_str("", 0);
    for (const char *p = s.s, *end = s.s + s.len; p < end && in->st == OK;) {
        size_t n = jinja_char_len(p, end);
        int32_t c = jinja_decode_char(p, n);
        bool upper = how == CASE_UPPER || (begin && (how == CASE_TITLE || how == CASE_CAPITAL)) ||
                     (how == CASE_SWAP && utf8proc_category(c) == UTF8PROC_CATEGORY_LL);
        add_cased(in, &o, c, upper, p);
        begin = how == CASE_TITLE && !cased(c);
        p += n;
    }
    struct jinja_value v = jinja_out_value(&o);
    v.safe = s.safe;
    return v;
}

/* jinja2 splits at [-\s({\[<] and capitalises what follows. */
struct jinja_value jinja_title_filter(struct jinja *in, struct jinja_value s)
{
    struct jinja_out o = {0};
    bool begin = true;
    for (const char *p = s.s, *end = s.s + s.len; p < end && jinja_step(in, 1);) {
        size_t n = jinja_char_len(p, end);
        int32_t c = jinja_decode_char(p, n);
        add_cased(in, &o, c, begin, p);
        begin = jinja_is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
        p += n;
    }
    return jinja_out_value(&o);
}

struct jinja_value jinja_escape(struct jinja *in, struct jinja_value x)
{
    struct jinja_value s = jinja_to_str(in, x);
    if (x.kind != JINJA_STR || !x.safe) {
        static const struct {
            char c;
            const char *text;
        } names[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&#34;"}, {'\'', "&#39;"}};
        struct jinja_out o = {0};
        size_t from = 0;
        if (!jinja_step(in, s.len / 8)) return jinja_str("", 0);
        for (size_t i = 0; i < s.len && in->st == OK; i++)
            for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
                if (s.s[i] == names[k].c) {
                    jinja_out_add(in, &o, s.s + from, i - from);
                    jinja_out_like(in, &o, names[k].text, strlen(names[k].text), s.s + i);
                    from = i + 1;
                }
        if (from) {
            jinja_out_add(in, &o, s.s + from, s.len - from);
            s = jinja_out_value(&o);
        }
    }
    s.safe = true;
    return s;
}
