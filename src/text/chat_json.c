#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "text/chat_json_int.h"
#include "text/chat_syntax_int.h"

void chat_json_init(struct chat_json *j)
{
    *j = (struct chat_json){0};
}

/* Strings, with their escapes; true where the byte was part of one. */
static bool in_string(struct chat_json *j, char c)
{
    if (j->in_string) {
        if (j->escaped)
            j->escaped = false;
        else if (c == '\\')
            j->escaped = true;
        else if (c == '"')
            j->in_string = false;
        return true;
    }
    j->in_string = c == '"';
    return j->in_string;
}

size_t chat_json_scan(struct chat_json *j, const char *s, size_t n, bool *done)
{
    *done = false;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        bool scalar = j->begun && j->depth == 0 && !j->in_string;
        if (scalar && strchr(",}] \t\r\n", c)) {
            *done = true;
            return i;
        }
        if (in_string(j, c)) {
            j->begun = true;
            if (!j->in_string && j->depth == 0) {
                *done = true;
                return i + 1;
            }
            continue;
        }
        if (c == '{' || c == '[') j->depth++;
        if ((c == '}' || c == ']') && j->depth > 0) {
            j->depth--;
            if (j->depth == 0) {
                *done = true;
                return i + 1;
            }
        }
        j->begun = j->begun || !strchr(" \t\r\n", c);
    }
    return n;
}

size_t chat_json_tail(struct chat_json *j, unsigned *depth, const char *s, size_t n, bool *done)
{
    *done = false;
    for (size_t i = 0; i < n; i++) {
        if (in_string(j, s[i])) continue;
        if (s[i] == '{' || s[i] == '[') ++*depth;
        if ((s[i] == '}' || s[i] == ']') && --*depth == 0) {
            *done = true;
            return i + 1;
        }
    }
    return n;
}

struct reader {
    const char *s;
    size_t n, at;
};

static char skip_space(struct reader *r)
{
    while (r->at < r->n && r->s[r->at] && strchr(" \t\r\n", r->s[r->at])) r->at++;
    return r->at < r->n ? r->s[r->at] : 0;
}

static enum chat_json_result read_value(struct reader *r, struct text_str *out)
{
    struct chat_json j = {0};
    bool done;
    skip_space(r);
    size_t used = chat_json_scan(&j, r->s + r->at, r->n - r->at, &done);
    *out = (struct text_str){r->s + r->at, used};
    r->at += used;
    return !done ? CHAT_JSON_MORE : used ? CHAT_JSON_DONE : CHAT_JSON_BAD;
}

static bool is_key(struct text_str v, const char *name)
{
    return v.len == strlen(name) + 2 && memcmp(v.data + 1, name, v.len - 2) == 0;
}

static struct text_str unquoted(struct text_str v)
{
    return (struct text_str){v.data + 1, v.len - 2};
}

/* At a member's value. DONE: the head is read; MORE with *on: the next member follows. */
static enum chat_json_result member(struct reader *r, struct text_str key, struct chat_json_head *out, bool *on)
{
    *on = false;
    char c = skip_space(r);
    if (!c) return CHAT_JSON_MORE;
    bool arguments = is_key(key, "arguments") || is_key(key, "parameters");
    if (is_key(key, "function") && c == '{') {
        r->at++;
        out->depth++;
        *on = true;
        return CHAT_JSON_MORE;
    }
    if (arguments && out->name.data) {
        *out = (struct chat_json_head){.name = out->name, .has_arguments = true, .streams = true,
                                       .used = r->at, .depth = out->depth};
        return CHAT_JSON_DONE;
    }
    struct text_str value;
    enum chat_json_result res = read_value(r, &value);
    if (res != CHAT_JSON_DONE) return res;
    if ((is_key(key, "name") || is_key(key, "function")) && *value.data == '"' && value.len > 2)
        out->name = unquoted(value);
    if (arguments) {
        out->buffered = value;
        out->has_arguments = true;
    }
    *on = true;
    return CHAT_JSON_MORE;
}

enum chat_json_result chat_json_head(const char *s, size_t n, struct chat_json_head *out)
{
    struct reader r = {s, n, 0};
    *out = (struct chat_json_head){.depth = 1};
    if (n == 0) return CHAT_JSON_MORE;
    if (*s != '{') return CHAT_JSON_BAD;
    r.at = 1;
    for (;;) {
        char c = skip_space(&r);
        if (c == '}') {
            r.at++;
            if (--out->depth == 0 || (out->name.data && out->has_arguments)) break;
            continue;
        }
        if (c == ',') {
            r.at++;
            continue;
        }
        if (c != '"') return c ? CHAT_JSON_BAD : CHAT_JSON_MORE;
        struct text_str key;
        enum chat_json_result res = read_value(&r, &key);
        if (res != CHAT_JSON_DONE) return res;
        c = skip_space(&r);
        if (c != ':') return c ? CHAT_JSON_BAD : CHAT_JSON_MORE;
        r.at++;
        bool on;
        res = member(&r, key, out, &on);
        if (!on) return res;
    }
    out->used = r.at;
    return out->name.data ? CHAT_JSON_DONE : CHAT_JSON_BAD;
}

static enum status add_string(struct buf *out, struct text_str s)
{
    json_t *j = json_stringn(s.data, s.len);
    if (!j) j = json_string("\xEF\xBF\xBD"); /* no UTF-8 */
    char *text = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
    enum status st = text ? buf_append_str(out, text) : ERR_NOMEM;
    free(text);
    json_decref(j);
    return st;
}

enum status chat_json_member(struct buf *out, bool first, struct text_str key, struct text_str value)
{
    enum status st = buf_append_str(out, first ? "{" : ", ");
    if (st == OK) st = add_string(out, key);
    if (st == OK) st = buf_append_str(out, ": ");
    if (value.len && *value.data == '\n') value.data++, value.len--;
    if (value.len && value.data[value.len - 1] == '\n') value.len--;
    struct text_str trimmed = chat_trim(value);
    json_t *j = trimmed.len ? json_loadb(trimmed.data, trimmed.len, JSON_DECODE_ANY, NULL) : NULL;
    bool as_it_is = j && !json_is_string(j);
    json_decref(j);
    if (st == OK) st = as_it_is ? buf_append(out, trimmed.data, trimmed.len) : add_string(out, value);
    return st;
}
