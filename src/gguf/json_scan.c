/* A JSON reader for headers: RFC 8259, values taken one after the other in the order of the text.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "gguf/safetensors_int.h"

enum { MAX_DEPTH = 64 };

enum status json_scan_fail(struct json_scan *j, const char *what)
{
    return error_set(j->err, ERR_FORMAT, "%s: its JSON has %s at byte %zu", j->path, what,
                     (size_t)(j->p - j->start));
}

static void skip_space(struct json_scan *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r'))
        j->p++;
}

bool json_scan_take(struct json_scan *j, char c)
{
    skip_space(j);
    if (j->p == j->end || *j->p != c) return false;
    j->p++;
    return true;
}

enum status json_scan_expect(struct json_scan *j, char c)
{
    if (json_scan_take(j, c)) return OK;
    char what[32];
    snprintf(what, sizeof what, "no '%c'", c);
    return json_scan_fail(j, what);
}

static bool hex4(struct json_scan *j, uint32_t *out)
{
    if (j->end - j->p < 4) return false;
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = *j->p++;
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            digit = (uint32_t)((c | 32) - 'a') + 10;
        else
            return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

/* What follows a backslash, as UTF-8; returns its length, 0 where it is no escape. */
static size_t escape(struct json_scan *j, char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (j->p == j->end) return 0;
    char c = *j->p++;
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        out[0] = to[at - from];
        return 1;
    }
    uint32_t v, low;
    if (c != 'u' || !hex4(j, &v) || v == 0) return 0;
    if (v >= 0xd800 && v < 0xdc00) {
        if (j->end - j->p < 6 || j->p[0] != '\\' || j->p[1] != 'u') return 0;
        j->p += 2;
        if (!hex4(j, &low) || low < 0xdc00 || low > 0xdfff) return 0;
        v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
    } else if (v >= 0xdc00 && v < 0xe000) {
        return 0;
    }
    size_t n = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; v >>= 6) out[i] = (char)(0x80 | (v & 63));
    out[0] = (char)(lead[n] | v);
    return n;
}

enum status json_scan_string(struct json_scan *j, char *dst, size_t cap)
{
    enum status st = json_scan_expect(j, '"');
    if (st) return st;
    size_t len = 0;
    for (;;) {
        if (j->p == j->end) return json_scan_fail(j, "a string without an end");
        char c = *j->p++, out[4];
        size_t n = 1;
        if (c == '"') break;
        if ((unsigned char)c < 32) return json_scan_fail(j, "a control character in a string");
        out[0] = c;
        if (c == '\\' && (n = escape(j, out)) == 0) return json_scan_fail(j, "a wrong escape");
        if (dst && len + n >= cap)
            return error_set(j->err, ERR_LIMIT, "%s: its JSON has a string of more than %zu bytes",
                             j->path, cap - 1);
        if (dst) memcpy(dst + len, out, n);
        len += n;
    }
    if (dst) dst[len] = 0;
    return OK;
}

enum status json_scan_u64(struct json_scan *j, uint64_t *out)
{
    skip_space(j);
    const char *first = j->p;
    uint64_t v = 0;
    for (; j->p < j->end && *j->p >= '0' && *j->p <= '9'; j->p++)
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*j->p - '0'), &v))
            return json_scan_fail(j, "a number that is too large");
    bool more = j->p < j->end && (*j->p == '.' || *j->p == 'e' || *j->p == 'E');
    if (j->p == first || more || (*first == '0' && j->p - first > 1))
        return json_scan_fail(j, "no whole number");
    *out = v;
    return OK;
}

static enum status skip_scalar(struct json_scan *j)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(j->end - j->p) >= n && memcmp(j->p, words[i], n) == 0) {
            j->p += n;
            return OK;
        }
    }
    const char *first = j->p;
    while (j->p < j->end && *j->p && strchr("+-.0123456789eE", *j->p)) j->p++;
    return j->p > first ? OK : json_scan_fail(j, "no value");
}

/* Without recursion: `open` holds the brackets that are to be closed. */
enum status json_scan_skip(struct json_scan *j)
{
    char open[MAX_DEPTH];
    size_t depth = 0;
    for (;;) {
        enum status st = OK;
        skip_space(j);
        char c = j->p < j->end ? *j->p : 0;
        if (c == '{' || c == '[') {
            if (depth == MAX_DEPTH)
                return error_set(j->err, ERR_LIMIT, "%s: its JSON is nested too deep", j->path);
            open[depth++] = c == '{' ? '}' : ']';
            j->p++;
            if (json_scan_take(j, open[depth - 1])) {
                depth--;
            } else {
                if (c == '{' &&
                    ((st = json_scan_string(j, NULL, 0)) || (st = json_scan_expect(j, ':'))))
                    return st;
                continue;
            }
        } else {
            st = c == '"' ? json_scan_string(j, NULL, 0) : skip_scalar(j);
            if (st) return st;
        }
        while (depth && json_scan_take(j, open[depth - 1])) depth--;
        if (depth == 0) return OK;
        if ((st = json_scan_expect(j, ','))) return st;
        if (open[depth - 1] == '}' &&
            ((st = json_scan_string(j, NULL, 0)) || (st = json_scan_expect(j, ':'))))
            return st;
    }
}
