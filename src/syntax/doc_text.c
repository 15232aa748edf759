/* Comments and signatures as readable text. */
#include <string.h>

#include "syntax/syntax_int.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

/* The most of len bytes up to max that does not end inside a character. */
static size_t whole_characters(const char *text, size_t len, size_t max)
{
    if (len <= max) return len;
    size_t n = max;
    for (int i = 0; i < 3 && n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80; i++) n--;
    return n;
}

char *syntax_fold(struct syntax_arena *a, const char *text, size_t len, size_t max)
{
    char *out = syntax_arena_alloc(a, (len < max ? len : max) + 1, 1);
    if (!out) return NULL;
    size_t n = 0;
    bool gap = false;
    for (size_t i = 0; i < len; i++) {
        if (is_blank(text[i]) || text[i] == '\0') {
            gap = n > 0;
            continue;
        }
        if (gap && n < max) out[n++] = ' ';
        gap = false;
        if (n == max) {
            n = i ? whole_characters(out, n, n) : n;
            break;
        }
        out[n++] = text[i];
    }
    /* A character cut in two at the end goes away as a whole. */
    size_t back = n;
    while (back > 0 && n - back < 3 && ((unsigned char)out[back - 1] & 0xC0) == 0x80) back--;
    if (back > 0 && n == max && (unsigned char)out[back - 1] >= 0xC0) {
        unsigned char lead = (unsigned char)out[back - 1];
        size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
        if (n - (back - 1) < want) n = back - 1;
    }
    out[n] = '\0';
    return out;
}

/* Marks at the beginning of a comment's line, the longest first. */
static size_t mark_length(const char *s, size_t len)
{
    static const char *const marks[] = {"<!--", "\"\"\"", "'''", "r\"\"\"", "/**", "/*!", "///",
                                        "//!",  "*/",     "/*",  "//",      "--[[", "---", "--",
                                        "-->",  "##",     "#",   "*",       NULL};
    for (const char *const *m = marks; *m; m++) {
        size_t n = strlen(*m);
        if (len >= n && memcmp(s, *m, n) == 0) return n;
    }
    return 0;
}

static size_t closing_length(const char *s, size_t len)
{
    static const char *const marks[] = {"\"\"\"", "'''", "*/", "-->", "]]", NULL};
    for (const char *const *m = marks; *m; m++) {
        size_t n = strlen(*m);
        if (len >= n && memcmp(s + len - n, *m, n) == 0) return n;
    }
    return 0;
}

char *syntax_doc_text(struct syntax_arena *a, const char *text, size_t len, size_t max)
{
    char *out = syntax_arena_alloc(a, (len < max ? len : max) + 1, 1);
    if (!out) return NULL;
    size_t n = 0;
    for (size_t at = 0; at < len && n < max;) {
        const char *nl = memchr(text + at, '\n', len - at);
        size_t end = nl ? (size_t)(nl - text) : len, begin = at;
        at = end + 1;
        while (begin < end && is_blank(text[begin])) begin++;
        while (end > begin && is_blank(text[end - 1])) end--;
        /* Attributes between a comment and its definition. */
        if (end - begin > 1 && text[begin] == '#' && text[begin + 1] == '[') continue;
        begin += mark_length(text + begin, end - begin);
        end -= closing_length(text + begin, end - begin);
        while (begin < end && is_blank(text[begin])) begin++;
        while (end > begin && is_blank(text[end - 1])) end--;
        /* Quotes of a one-line docstring. */
        if (end > begin + 1 && n == 0 && !nl && (text[begin] == '"' || text[begin] == '\'') &&
            text[end - 1] == text[begin])
            begin++, end--;
        if (begin == end) continue;
        if (n && n < max) out[n++] = '\n';
        size_t take = whole_characters(text + begin, end - begin, max - n);
        for (size_t i = 0; i < take; i++) out[n++] = text[begin + i] ? text[begin + i] : ' ';
    }
    out[n] = '\0';
    return out;
}
