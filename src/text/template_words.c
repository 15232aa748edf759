/* What stands in a template to be written: what is outside of its tags, and the quoted strings
 * inside of them. */
#include <string.h>

#include "text/template_known.h"

struct words {
    size_t least;
    void (*visit)(void *ctx, const char *text, size_t len);
    void *ctx;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void tell(const struct words *w, const char *text, size_t len)
{
    while (len && is_space(text[0])) text++, len--;
    while (len && is_space(text[len - 1])) len--;
    if (len && len >= w->least) w->visit(w->ctx, text, len);
}

/* From behind "{{" or "{%" to behind its end. */
static size_t inside_tag(const struct words *w, const char *text, size_t at, size_t len)
{
    while (at < len) {
        char c = text[at];
        if ((c == '}' || c == '%') && at + 1 < len && text[at + 1] == '}') return at + 2;
        if (c != '"' && c != '\'') {
            at++;
            continue;
        }
        size_t start = ++at;
        while (at < len && text[at] != c) at += text[at] == '\\' && at + 1 < len ? 2 : 1;
        tell(w, text + start, (at < len ? at : len) - start);
        at++;
    }
    return len;
}

void template_words_each(const char *text, size_t len, size_t least,
                         void (*visit)(void *ctx, const char *text, size_t len), void *ctx)
{
    const struct words w = {least, visit, ctx};
    size_t at = 0, start = 0;
    while (at < len) {
        bool tag = text[at] == '{' && at + 1 < len &&
                   (text[at + 1] == '{' || text[at + 1] == '%' || text[at + 1] == '#');
        if (!tag) {
            at++;
            continue;
        }
        tell(&w, text + start, at - start);
        if (text[at + 1] == '#') {
            const char *end = memmem(text + at, len - at, "#}", 2);
            at = end ? (size_t)(end - text) + 2 : len;
        } else {
            at = inside_tag(&w, text, at + 2, len);
        }
        start = at;
    }
    if (start < len) tell(&w, text + start, len - start);
}
