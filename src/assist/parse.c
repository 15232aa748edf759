#include "assist/parse.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "syntax/tree.h"

#define MAX_SECONDS 0.25

static const struct syntax_limits limits = {.max_bytes = PARSE_MAX_BYTES + (64 << 10),
                                            .seconds = MAX_SECONDS};

void parse_init(struct parse *p, const char *file_name, const char *prefix, size_t prefix_len,
                const char *suffix, size_t suffix_len)
{
    struct error err;
    *p = (struct parse){.prefix_len = prefix_len, .suffix_len = suffix_len};
    buf_init(&p->text, 2 * PARSE_MAX_BYTES);
    p->language = file_name ? syntax_language_of(file_name, prefix, prefix_len) : NULL;
    if (!p->language || !syntax_language_has_grammar(p->language) ||
        prefix_len + suffix_len > PARSE_MAX_BYTES)
        return;
    if (buf_append(&p->text, prefix, prefix_len) != OK ||
        buf_append(&p->text, suffix, suffix_len) != OK ||
        syntax_parser_create(&p->parser, &err) != OK ||
        syntax_tree_parse(p->parser, p->language, p->text.data ? p->text.data : "", p->text.len,
                          &limits, &p->base, &err) != OK)
        return;
    p->errors = syntax_tree_errors(p->base, NULL, 0);
}

void parse_fini(struct parse *p)
{
    syntax_tree_destroy(p->base);
    syntax_parser_destroy(p->parser);
    buf_fini(&p->text);
    *p = (struct parse){0};
}

bool parse_knows(const struct parse *p)
{
    return p->base != NULL;
}

size_t parse_errors(struct parse *p, const char *text, size_t len)
{
    if (!p->base) return SIZE_MAX;
    if (len == 0) return p->errors;
    struct error err;
    if (buf_reserve(&p->text, len) != OK) return SIZE_MAX;
    char *hole = p->text.data + p->prefix_len;
    memmove(hole + len, hole, p->suffix_len);
    memcpy(hole, text, len);
    struct syntax_edit edit = {p->prefix_len, p->prefix_len, p->prefix_len + len};
    struct syntax_tree *t = NULL;
    size_t n = SIZE_MAX;
    if (syntax_tree_reparse(p->parser, p->base, &edit, p->text.data, p->text.len + len, &limits, &t,
                            &err) == OK)
        n = syntax_tree_errors(t, NULL, 0);
    syntax_tree_destroy(t);
    memmove(hole, hole + len, p->suffix_len);
    return n;
}

/* The next shorter beginning to look at: to the line end before, or, within the last line, to the
 * place before where a word or a bracket ends. */
static size_t shorter(const char *text, size_t len, bool in_line)
{
    size_t at = len;
    while (at && strchr(" \t\r\n;,", text[at - 1])) at--;
    if (at && strchr(")]}", text[at - 1])) return at - 1;
    if (in_line && at) {
        at--;
        while (
            at && (isalnum((unsigned char)text[at]) || text[at] == '_' || (text[at] & 0x80)) &&
            (isalnum((unsigned char)text[at - 1]) || text[at - 1] == '_' || (text[at - 1] & 0x80)))
            at--;
        return at;
    }
    while (at && text[at - 1] != '\n') at--;
    while (at && strchr(" \t\r\n", text[at - 1])) at--;
    return at;
}

size_t parse_longest(struct parse *p, const char *text, size_t len)
{
    size_t fewest = parse_errors(p, text, len), best = len;
    if (fewest == SIZE_MAX || fewest == 0) return len;
    bool in_line = !memchr(text, '\n', len);
    size_t at = len;
    for (int i = 0; i < PARSE_TRIES && fewest; i++) {
        at = shorter(text, at, in_line);
        if (at == 0) break;
        size_t n = parse_errors(p, text, at);
        if (n >= fewest) continue;
        fewest = n;
        best = at;
    }
    return best;
}

size_t parse_extend(struct parse *p, const char *text, size_t len, size_t keep)
{
    size_t errors = parse_errors(p, text, keep);
    if (errors == 0 || errors == SIZE_MAX) return keep;
    size_t at = keep;
    for (int i = 0; i <= PARSE_MORE_LINES && at < len; i++) {
        const char *stop = memchr(text + at, '\n', len - at);
        size_t end = stop ? (size_t)(stop - text) : len;
        if (end > keep && parse_errors(p, text, end) == 0) return end;
        at = end + 1;
    }
    return keep;
}
