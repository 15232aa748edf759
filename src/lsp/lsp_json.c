#include "lsp/lsp_json.h"

#include <string.h>

/* The four hexadecimal digits behind "\u", or -1. */
static int hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0) return -1;
        v = v * 16 + d;
    }
    return v;
}

/* p is at "\u": mends a lone half in place; returns how far to go on. */
static size_t mend_escape(char *p, const char *end)
{
    int v = hex4(p + 2, end);
    if (v < 0xD800 || v > 0xDFFF) return 2;
    if (v < 0xDC00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
        int low = hex4(p + 8, end);
        if (low >= 0xDC00 && low <= 0xDFFF) return 12;
    }
    memcpy(p + 2, "fffd", 4);
    return 6;
}

/* Mends escapes; false where brackets nest too deep. */
static bool prepare(char *data, size_t len)
{
    char *p = data, *end = data + len;
    size_t depth = 0;
    bool in_string = false;
    while (p < end) {
        if (in_string) {
            if (*p == '\\' && end - p >= 2) {
                p += p[1] == 'u' ? mend_escape(p, end) : 2;
                continue;
            }
            in_string = *p != '"';
        } else if (*p == '"') {
            in_string = true;
        } else if (*p == '{' || *p == '[') {
            if (++depth > LSP_MAX_DEPTH) return false;
        } else if (*p == '}' || *p == ']') {
            if (depth) depth--;
        }
        p++;
    }
    return true;
}

json_t *lsp_json_parse(char *data, size_t len)
{
    if (!prepare(data, len)) return NULL;
    return json_loadb(data, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
}

json_t *lsp_json_at(const json_t *root, const char *path)
{
    char name[64];
    while (root && *path) {
        size_t n = strcspn(path, ".");
        if (n >= sizeof name) return NULL;
        memcpy(name, path, n);
        name[n] = 0;
        root = json_object_get(root, name);
        path += n + (path[n] == '.');
    }
    return (json_t *)root;
}

const char *lsp_json_text(const json_t *root, const char *path)
{
    return json_string_value(lsp_json_at(root, path));
}

long long lsp_json_int(const json_t *root, const char *path, long long otherwise)
{
    const json_t *v = lsp_json_at(root, path);
    if (json_is_integer(v)) return json_integer_value(v);
    if (json_is_real(v) && json_real_value(v) >= -1e15 && json_real_value(v) <= 1e15)
        return (long long)json_real_value(v);
    return otherwise;
}

bool lsp_json_true(const json_t *root, const char *path)
{
    return json_is_true(lsp_json_at(root, path));
}
