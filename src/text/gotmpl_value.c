/* Values: from JSON, as text in fmt's way, and as encoding/json's JSON. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/gotmpl_int.h"

enum { MAX_DEPTH = 256 };

bool gt_truth(const struct gt_value *v)
{
    switch (v->kind) {
    case GT_NIL:
        return false;
    case GT_BOOL:
        return v->b;
    case GT_INT:
        return v->i != 0;
    case GT_FLOAT:
        return v->f != 0;
    case GT_STR:
        return v->len > 0;
    case GT_LIST:
        return v->list->n > 0;
    case GT_MAP:
        return v->map->fixed || v->map->n > 0;
    }
    return false;
}

const char *gt_type_name(const struct gt_value *v)
{
    static const char *const names[] = {
        "<nil>", "bool", "int", "float64", "string", "[]interface {}", "map[string]interface {}"};
    if (v->kind == GT_LIST && v->list->type) return v->list->type;
    if (v->kind == GT_MAP && v->map->type) return v->map->type;
    return names[v->kind];
}

static int order(struct gt_text a, struct gt_text b)
{
    int c = memcmp(a.s, b.s, a.len < b.len ? a.len : b.len);
    return c ? c : a.len < b.len ? -1 : a.len > b.len;
}

const struct gt_value *gt_map_get(const struct gt_map *m, struct gt_text key)
{
    if (m->fixed) {
        for (size_t i = 0; i < m->n; i++)
            if (order(m->pairs[i].key, key) == 0) return &m->pairs[i].value;
        return NULL;
    }
    size_t from = 0, to = m->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int c = order(m->pairs[mid].key, key);
        if (c == 0) return &m->pairs[mid].value;
        if (c < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}

static int by_key(const void *a, const void *b)
{
    return order(((const struct gt_pair *)a)->key, ((const struct gt_pair *)b)->key);
}

static struct gt_value from_object(struct gt_state *in, const json_t *j, unsigned depth)
{
    size_t n = json_object_size(j), i = 0;
    struct gt_map *m = gt_alloc(in, sizeof *m);
    struct gt_pair *pairs = m ? gt_alloc(in, (n + 1) * sizeof *pairs) : NULL;
    const char *key;
    json_t *item;
    if (!pairs) return gt_nil();
    json_object_foreach((json_t *)j, key, item)
    {
        if (in->st != OK) return gt_nil();
        pairs[i++] =
            (struct gt_pair){.key = {key, strlen(key)}, .value = gt_from_json(in, item, depth + 1)};
    }
    if (i) qsort(pairs, i, sizeof *pairs, by_key);
    *m = (struct gt_map){.pairs = pairs, .n = i};
    struct gt_value v = {.kind = GT_MAP};
    v.map = m;
    return v;
}

/* encoding/json makes all numbers float64. */
struct gt_value gt_from_json(struct gt_state *in, const json_t *j, unsigned depth)
{
    struct gt_value v = gt_nil();
    if (!gt_step(in, 1)) return v;
    if (depth > MAX_DEPTH) {
        gt_fail(in, ERR_LIMIT, "the conversation's data nest too deeply");
        return v;
    }
    if (json_is_string(j)) return gt_str(json_string_value(j), json_string_length(j), true);
    if (json_is_boolean(j)) return gt_bool(json_is_true(j));
    if (json_is_number(j)) return v.kind = GT_FLOAT, v.f = json_number_value(j), v;
    if (json_is_object(j)) return from_object(in, j, depth);
    if (!json_is_array(j)) return v;
    struct gt_list *l = gt_alloc(in, sizeof *l);
    size_t n = json_array_size(j);
    struct gt_value *items = l ? gt_alloc(in, (n + 1) * sizeof *items) : NULL;
    if (!items) return v;
    for (size_t i = 0; i < n && in->st == OK; i++)
        items[i] = gt_from_json(in, json_array_get(j, i), depth + 1);
    *l = (struct gt_list){.items = items, .n = n};
    v.kind = GT_LIST;
    v.list = l;
    return v;
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

/* The fewest digits that read back as the same: strconv's shortest. */
static int shortest(double f)
{
    char text[40];
    for (int p = 0; p < 17; p++) {
        snprintf(text, sizeof text, "%.*e", p, f);
        if (strtod(text, NULL) == f) return p;
    }
    return 17;
}

/* strconv.FormatFloat; precision -1: the shortest. kind: 'e', 'f', 'g', 'v' (fmt's %v) or 'j'
 * (JSON). */
size_t gt_format_float(double f, char kind, int precision, char dst[400])
{
    if (isnan(f)) return (size_t)snprintf(dst, 400, "NaN");
    if (isinf(f)) return (size_t)snprintf(dst, 400, f > 0 ? "+Inf" : "-Inf");
    int digits = shortest(f), at = 0;
    char text[64];
    snprintf(text, sizeof text, "%.*e", kind == 'g' && precision > 0 ? precision - 1 : digits, f);
    at = atoi(strchr(text, 'e') + 1);
    if (kind == 'v' || kind == 'j' || (kind == 'g' && precision < 0)) {
        bool small = kind == 'j' ? f != 0 && fabs(f) < 1e-6 : at < -4,
             large = kind == 'j' ? fabs(f) >= 1e21 : at >= 6;
        bool json = kind == 'j';
        kind = small || large ? 'e' : 'f';
        precision = kind == 'e' ? digits : digits > at ? digits - at : 0;
        size_t n = (size_t)(kind == 'e' ? snprintf(dst, 400, "%.*e", precision, f)
                                        : snprintf(dst, 400, "%.*f", precision, f));
        /* JSON writes e-09 as e-9. */
        if (json && kind == 'e' && n >= 4 && dst[n - 4] == 'e' && dst[n - 3] == '-' &&
            dst[n - 2] == '0') {
            dst[n - 2] = dst[n - 1];
            dst[--n] = 0;
        }
        return n;
    }
    if (precision < 0) precision = kind == 'e' ? digits : digits > at ? digits - at : 0;
    if (precision > 300) precision = 300;
    size_t n = (size_t)(kind == 'e'   ? snprintf(dst, 400, "%.*e", precision, f)
                        : kind == 'f' ? snprintf(dst, 400, "%.*f", precision, f)
                                      : snprintf(dst, 400, "%.*g", precision, f));
    return n < 400 ? n : 399;
}

static void print_number(struct gt_state *in, struct gt_out *o, const struct gt_value *v, char kind)
{
    char text[400];
    if (!gt_step(in, v->kind == GT_INT ? 1 : 16)) return; /* the shortest form is found by trying */
    size_t n = v->kind == GT_INT ? (size_t)snprintf(text, sizeof text, "%lld", (long long)v->i)
                                 : gt_format_float(v->f, kind, -1, text);
    gt_out_add(in, o, text, n, NULL, false);
}

/* ---- as text ----------------------------------------------------------------------------------
 */

static void print_list(struct gt_state *in, struct gt_out *o, const struct gt_list *l,
                       unsigned depth)
{
    bool bare = l->form == GT_TYPES && l->n <= 1;
    if (!bare) gt_out_str(in, o, "[");
    for (size_t i = 0; i < l->n && in->st == OK; i++) {
        if (i) gt_out_str(in, o, " ");
        gt_print(in, o, &l->items[i], depth + 1);
    }
    if (!bare) gt_out_str(in, o, "]");
}

static void print_map(struct gt_state *in, struct gt_out *o, const struct gt_map *m, unsigned depth)
{
    gt_out_str(in, o, m->fixed ? "{" : "map[");
    for (size_t i = 0; i < m->n && in->st == OK; i++) {
        if (i) gt_out_str(in, o, " ");
        if (!m->fixed) {
            gt_out_add(in, o, m->pairs[i].key.s, m->pairs[i].key.len, NULL, true);
            gt_out_str(in, o, ":");
        }
        gt_print(in, o, &m->pairs[i].value, depth + 1);
    }
    gt_out_str(in, o, m->fixed ? "}" : "]");
}

void gt_print(struct gt_state *in, struct gt_out *o, const struct gt_value *v, unsigned depth)
{
    if (!gt_step(in, 1) || depth > MAX_DEPTH) return;
    enum gt_form form = v->kind == GT_LIST  ? v->list->form
                        : v->kind == GT_MAP ? v->map->form
                                            : GT_PLAIN;
    if (form == GT_JSON) {
        gt_print_json(in, o, v, depth);
        return;
    }
    switch (v->kind) {
    case GT_NIL:
        gt_out_str(in, o, "<nil>");
        break;
    case GT_BOOL:
        gt_out_str(in, o, v->b ? "true" : "false");
        break;
    case GT_INT:
    case GT_FLOAT:
        print_number(in, o, v, 'v');
        break;
    case GT_STR:
        gt_out_add(in, o, v->s, v->len, v->marks, v->foreign);
        break;
    case GT_LIST:
        print_list(in, o, v->list, depth);
        break;
    case GT_MAP:
        print_map(in, o, v->map, depth);
        break;
    }
}

/* ---- as JSON ----------------------------------------------------------------------------------
 */

/* What encoding/json escapes: quotes, controls, <, >, & and the two line ends of JavaScript. */
static size_t escape_of(const char *s, const char *end, size_t *len, char dst[8])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*s;
    *len = c < 0x80 ? 1 : jinja_char_len(s, end);
    if (c == '"' || c == '\\') return dst[0] = '\\', dst[1] = (char)c, 2;
    const char *known = c ? strchr("\b\f\n\r\t", c) : NULL;
    if (known)
        return dst[0] = '\\',
               dst[1] = "bfnrt"[c == '\b'   ? 0
                                : c == '\f' ? 1
                                : c == '\n' ? 2
                                : c == '\r' ? 3
                                            : 4],
               2;
    if (c < 0x20 || c == '<' || c == '>' || c == '&' || c == 0x7F) {
        if (c == 0x7F) return 0;
        memcpy(dst, "\\u00", 4);
        dst[4] = hex[c >> 4];
        dst[5] = hex[c & 15];
        return 6;
    }
    if (*len == 3 && (memcmp(s, "\xe2\x80\xa8", 3) == 0 || memcmp(s, "\xe2\x80\xa9", 3) == 0)) {
        memcpy(dst, "\\u202", 5);
        dst[5] = s[2] == '\xa8' ? '8' : '9';
        return 6;
    }
    if (c >= 0x80 && *len == 1) return memcpy(dst, "\\ufffd", 6), 6;
    return 0;
}

static void json_text(struct gt_state *in, struct gt_out *o, const char *s, size_t len,
                      bool foreign)
{
    const char *end = s + len, *from = s;
    char escape[8];
    gt_out_str(in, o, "\"");
    while (s < end) {
        size_t n, e = escape_of(s, end, &n, escape);
        if (e) {
            gt_out_add(in, o, from, (size_t)(s - from), NULL, foreign);
            gt_out_add(in, o, escape, e, NULL, foreign);
            from = s + n;
        }
        s += n;
    }
    gt_out_add(in, o, from, (size_t)(end - from), NULL, foreign);
    gt_out_str(in, o, "\"");
}

/* omitempty: what is false, zero, empty or nil. */
static bool is_empty(const struct gt_value *v)
{
    return v->kind == GT_MAP ? !v->map->fixed && v->map->n == 0 : !gt_truth(v);
}

static void json_map(struct gt_state *in, struct gt_out *o, const struct gt_map *m, unsigned depth)
{
    bool any = false;
    if (m->nil) {
        gt_out_str(in, o, depth ? "null" : "{}"); /* its String method has another opinion */
        return;
    }
    gt_out_str(in, o, "{");
    for (size_t i = 0; i < m->n && in->st == OK; i++) {
        const struct gt_pair *p = &m->pairs[i];
        struct gt_text name = p->json.s ? p->json : p->key;
        if (p->omit && is_empty(&p->value)) continue;
        if (any) gt_out_str(in, o, ",");
        any = true;
        json_text(in, o, name.s, name.len, !m->fixed);
        gt_out_str(in, o, ":");
        gt_print_json(in, o, &p->value, depth + 1);
    }
    gt_out_str(in, o, "}");
}

static void json_list(struct gt_state *in, struct gt_out *o, const struct gt_list *l,
                      unsigned depth)
{
    bool bare = l->form == GT_TYPES && l->n == 1;
    if (l->nil && l->n == 0) {
        gt_out_str(in, o, "null");
        return;
    }
    if (!bare) gt_out_str(in, o, "[");
    for (size_t i = 0; i < l->n && in->st == OK; i++) {
        if (i) gt_out_str(in, o, ",");
        gt_print_json(in, o, &l->items[i], depth + 1);
    }
    if (!bare) gt_out_str(in, o, "]");
}

void gt_print_json(struct gt_state *in, struct gt_out *o, const struct gt_value *v, unsigned depth)
{
    if (!gt_step(in, 1) || depth > MAX_DEPTH) return;
    switch (v->kind) {
    case GT_NIL:
        gt_out_str(in, o, "null");
        break;
    case GT_BOOL:
        gt_out_str(in, o, v->b ? "true" : "false");
        break;
    case GT_INT:
    case GT_FLOAT:
        print_number(in, o, v, 'j');
        break;
    case GT_STR:
        json_text(in, o, v->s, v->len, v->foreign || v->marks);
        break;
    case GT_LIST:
        json_list(in, o, v->list, depth);
        break;
    case GT_MAP:
        json_map(in, o, v->map, depth);
        break;
    }
}
