/* Methods that cut a text into a list. */
#include <string.h>

#include "text/jinja_families.h"

static void add_part(struct jinja *in, struct jinja_value list, const char *p, const char *end)
{
    jinja_list_add(in, list, jinja_str(p, (size_t)(end - p)));
}

/* At runs of white space, from the left; the rest behind `max` cuts stays whole. */
static struct jinja_value split_space(struct jinja *in, struct jinja_value x, int64_t max)
{
    struct jinja_value out = jinja_list_new(in, FORM_LIST);
    const char *p = x.s, *end = x.s + x.len;
    while (jinja_step(in, 1)) {
        struct jinja_value left = jinja_strip(jinja_str(p, (size_t)(end - p)), jinja_none(), true, false);
        p = left.s;
        if (p == end) break;
        if (max == 0) {
            add_part(in, out, p, end);
            break;
        }
        const char *q = p;
        while (q < end && !jinja_is_space(jinja_decode_char(q, (size_t)(end - q)))) q += jinja_char_len(q, end);
        if (!jinja_step(in, (uint64_t)(q - p) / 8)) break;
        add_part(in, out, p, q);
        p = q;
        max -= max > 0;
    }
    return out;
}

static struct jinja_value split_at(struct jinja *in, struct jinja_value x, struct jinja_value sep, int64_t max)
{
    struct jinja_value out = jinja_list_new(in, FORM_LIST);
    size_t at = 0, next;
    while (max != 0 && jinja_step(in, 1) && (next = jinja_find(x, at, sep)) != SIZE_MAX) {
        if (!jinja_step(in, (next - at) / 32)) break;
        add_part(in, out, x.s + at, x.s + next);
        at = next + sep.len;
        max -= max > 0;
    }
    add_part(in, out, x.s + at, x.s + x.len);
    return out;
}

static void reverse(struct jinja_list *l)
{
    for (uint32_t i = 0; i < l->len / 2; i++) {
        struct jinja_value t = l->items[i];
        l->items[i] = l->items[l->len - 1 - i];
        l->items[l->len - 1 - i] = t;
    }
}

static struct jinja_value rsplit_at(struct jinja *in, struct jinja_value x, struct jinja_value sep, int64_t max)
{
    struct jinja_value out = jinja_list_new(in, FORM_LIST);
    if (in->st != OK) return out;
    size_t end = x.len;
    for (size_t i = x.len + 1; i > sep.len && max != 0 && jinja_step(in, 1); i--) {
        size_t at = i - 1 - sep.len;
        if (at + sep.len > end || memcmp(x.s + at, sep.s, sep.len) != 0) continue;
        add_part(in, out, x.s + at + sep.len, x.s + end);
        end = at;
        max -= max > 0;
    }
    add_part(in, out, x.s, x.s + end);
    reverse(out.list);
    return out;
}

static struct jinja_value rsplit_space(struct jinja *in, struct jinja_value x, int64_t max)
{
    struct jinja_value all = split_space(in, x, -1), out = jinja_list_new(in, FORM_LIST);
    if (in->st != OK || max < 0 || (int64_t)all.list->len <= max + 1) return all;
    uint32_t keep = all.list->len - (uint32_t)max;
    struct jinja_value last = all.list->items[keep - 1];
    add_part(in, out, x.s, last.s + last.len); /* the white space in front stays */
    for (uint32_t i = keep; i < all.list->len; i++) jinja_list_add(in, out, all.list->items[i]);
    return out;
}

static struct jinja_value split(struct jinja *in, struct jinja_value x, const struct jinja_value *a, bool right)
{
    int64_t max = -1;
    struct jinja_value sep = jinja_or(a[0], jinja_none());
    if (a[1].kind != JINJA_MISSING && !jinja_want_int(in, a[1], &max)) return x;
    if (max < 0) max = -1;
    if (sep.kind == JINJA_NONE) return right ? rsplit_space(in, x, max) : split_space(in, x, max);
    if (!jinja_want_str(in, sep)) return x;
    if (sep.len == 0) return jinja_fail(in, ERR_INVALID, "empty separator");
    return right && max >= 0 ? rsplit_at(in, x, sep, max) : split_at(in, x, sep, max);
}

static struct jinja_value m_split(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return split(in, x, a, false);
}

static struct jinja_value m_rsplit(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return split(in, x, a, true);
}

/* Line ends of str.splitlines. */
static size_t line_end(const char *p, const char *end)
{
    if (*p == '\r') return p + 1 < end && p[1] == '\n' ? 2 : 1;
    if (*p == '\n' || *p == '\v' || *p == '\f' || (*p >= 0x1c && *p <= 0x1e)) return 1;
    if ((unsigned char)*p < 0x80) return 0;
    size_t n = jinja_char_len(p, end);
    int32_t c = jinja_decode_char(p, n);
    return c == 0x85 || c == 0x2028 || c == 0x2029 ? n : 0;
}

static struct jinja_value m_splitlines(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    bool keep = jinja_truth(in, a[0]);
    struct jinja_value out = jinja_list_new(in, FORM_LIST);
    const char *from = x.s, *end = x.s + x.len;
    if (!jinja_step(in, x.len / 8)) return out;
    for (const char *p = from; p < end && in->st == OK;) {
        size_t n = line_end(p, end);
        if (n) {
            add_part(in, out, from, keep ? p + n : p);
            from = p + n;
        }
        p += n ? n : jinja_char_len(p, end);
    }
    if (from < end) add_part(in, out, from, end);
    return out;
}

static struct jinja_value partition(struct jinja *in, struct jinja_value x, struct jinja_value sep, bool right)
{
    if (!jinja_want_str(in, sep)) return x;
    if (sep.len == 0) return jinja_fail(in, ERR_INVALID, "empty separator");
    struct jinja_value two = right ? rsplit_at(in, x, sep, 1) : split_at(in, x, sep, 1);
    struct jinja_value out = jinja_list_new(in, FORM_TUPLE), none = jinja_str("", 0);
    if (in->st != OK) return out;
    bool found = two.list->len == 2;
    jinja_list_add(in, out, found || !right ? two.list->items[0] : none);
    /* The text's own separator, with its marks. */
    struct jinja_value first = two.list->items[0];
    jinja_list_add(in, out, found ? jinja_str(first.s + first.len, sep.len) : none);
    jinja_list_add(in, out, found ? two.list->items[1] : right ? two.list->items[0] : none);
    return out;
}

static struct jinja_value m_partition(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return partition(in, x, a[0], false);
}

static struct jinja_value m_rpartition(JINJA_FUNCTION_ARGS)
{
    JINJA_UNUSED;
    return partition(in, x, a[0], true);
}

const struct jinja_function jinja_methods_split[] = {
    {"split", m_split, "sep maxsplit"},
    {"rsplit", m_rsplit, "sep maxsplit"},
    {"splitlines", m_splitlines, "keepends"},
    {"partition", m_partition, "sep!"},
    {"rpartition", m_rpartition, "sep!"},
    {0},
};
