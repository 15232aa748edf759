#include "assist/trim_int.h"

#include <string.h>

struct span span_of(const char *data, size_t len)
{
    return (struct span){data, len};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f';
}

struct span span_rstrip(struct span s)
{
    while (s.len && is_blank(s.data[s.len - 1])) s.len--;
    return s;
}

struct span span_strip(struct span s)
{
    s = span_rstrip(s);
    while (s.len && is_blank(*s.data)) {
        s.data++;
        s.len--;
    }
    return s;
}

bool span_blank(struct span s)
{
    return span_rstrip(s).len == 0;
}

bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool span_nearly_eq(struct span a, struct span b)
{
    a = span_strip(a);
    b = span_strip(b);
    size_t i = 0, j = 0, other = 0;
    while (i < a.len || j < b.len) {
        if (i < a.len && (a.data[i] == ' ' || a.data[i] == '\t')) {
            i++;
        } else if (j < b.len && (b.data[j] == ' ' || b.data[j] == '\t')) {
            j++;
        } else if (i < a.len && j < b.len && a.data[i] == b.data[j]) {
            i++;
            j++;
        } else {
            other++;
            i += i < a.len;
            j += j < b.len;
        }
    }
    return other * 16 <= b.len;
}

bool span_starts(struct span s, struct span with)
{
    return s.len >= with.len && span_eq(span_of(s.data, with.len), with);
}

bool span_ends(struct span s, struct span with)
{
    return s.len >= with.len && span_eq(span_of(s.data + (s.len - with.len), with.len), with);
}

struct span span_line(struct span s, size_t from)
{
    const char *start = s.data + from;
    const char *end = from < s.len ? memchr(start, '\n', s.len - from) : NULL;
    return span_of(start, end ? (size_t)(end - start) : s.len - from);
}

int line_indent(struct span line)
{
    int column = 0;
    for (size_t i = 0; i < line.len && column < 10000; i++) {
        if (line.data[i] == ' ')
            column++;
        else if (line.data[i] == '\t')
            column = (column / 8 + 1) * 8;
        else
            break;
    }
    return column;
}

bool is_closer(char c)
{
    return c == ')' || c == ']' || c == '}';
}

bool is_opener(char c)
{
    return c == '(' || c == '[' || c == '{';
}

char closer_of(char opener)
{
    return opener == '(' ? ')' : opener == '[' ? ']' : '}';
}

bool line_opens(struct span line)
{
    line = span_rstrip(line);
    if (!line.len) return false;
    char last = line.data[line.len - 1];
    return is_opener(last) || last == ':';
}

bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

bool has_words(struct span s, size_t n)
{
    size_t have = 0;
    for (size_t i = 0; i < s.len && have < n; i++) have += is_word(s.data[i]);
    return have >= n;
}

/* Offset of the quote that ends the string starting at `at`, or `at` where none does on its line.
 */
static size_t skip_string(struct span code, size_t at)
{
    char quote = code.data[at];
    for (size_t i = at + 1; i < code.len && code.data[i] != '\n'; i++) {
        if (code.data[i] == '\\')
            i++;
        else if (code.data[i] == quote)
            return i;
    }
    return at;
}

enum { MAX_DEPTH = 256 };

struct bracket_stack {
    char open[MAX_DEPTH];
    size_t depth;
};

/* Takes one bracket; true where it closes something that the stack does not hold. */
static bool stack_take(struct bracket_stack *s, char c)
{
    if (is_opener(c)) {
        if (s->depth < MAX_DEPTH) s->open[s->depth++] = c;
        return false;
    }
    size_t i = s->depth;
    while (i > 0 && closer_of(s->open[i - 1]) != c) i--;
    if (i == 0) return true;
    s->depth = i - 1;
    return false;
}

struct brackets brackets_count(struct span code)
{
    struct brackets b = {.first_close = code.len};
    struct bracket_stack s = {.depth = 0};
    for (size_t i = 0; i < code.len; i++) {
        char c = code.data[i];
        if (c == '"' || c == '\'' || c == '`') i = skip_string(code, i);
        if (!is_opener(c) && !is_closer(c)) continue;
        if (stack_take(&s, c) && b.unmatched_close++ == 0) b.first_close = i;
    }
    b.unmatched_open = s.depth;
    for (size_t i = 0; i < s.depth; i++)
        b.open_of[s.open[i] == '(' ? 0 : s.open[i] == '[' ? 1 : 2]++;
    return b;
}

size_t brackets_find_close(struct span code, char c, size_t skip)
{
    struct bracket_stack s = {.depth = 0};
    for (size_t i = 0; i < code.len; i++) {
        char x = code.data[i];
        if (x == '"' || x == '\'' || x == '`') i = skip_string(code, i);
        if (!is_opener(x) && !is_closer(x)) continue;
        if (stack_take(&s, x) && x == c && skip-- == 0) return i;
    }
    return code.len;
}

size_t trim_utf8_prefix(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t i = 0;
    while (i < len) {
        size_t n = p[i] < 0x80   ? 1
                   : p[i] < 0xC2 ? 0
                   : p[i] < 0xE0 ? 2
                   : p[i] < 0xF0 ? 3
                   : p[i] < 0xF5 ? 4
                                 : 0;
        if (n == 0 || len - i < n) break;
        if (n > 1) {
            unsigned char low = p[i] == 0xE0 ? 0xA0 : p[i] == 0xF0 ? 0x90 : 0x80;
            unsigned char high = p[i] == 0xED ? 0x9F : p[i] == 0xF4 ? 0x8F : 0xBF;
            if (p[i + 1] < low || p[i + 1] > high) break;
            if (n > 2 && (p[i + 2] & 0xC0) != 0x80) break;
            if (n > 3 && (p[i + 3] & 0xC0) != 0x80) break;
        }
        i += n;
    }
    return i;
}
