#include "assist/parse.h"

#include <stdint.h>
#include <string.h>

#include "syntax/tree.h"

#define MAX_SECONDS 0.05

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

/* The next shorter beginning to look at: without the last closing bracket, or to the line end before.
 */
static size_t shorter(const char *text, size_t len)
{
    size_t at = len;
    while (at && strchr(" \t\n;,", text[at - 1])) at--;
    if (at && strchr(")]}", text[at - 1])) return at - 1;
    while (at && text[at - 1] != '\n') at--;
    while (at && strchr(" \t\r\n", text[at - 1])) at--;
    return at;
}

size_t parse_longest(struct parse *p, const char *text, size_t len)
{
    if (!p->base) return len;
    size_t all = parse_errors(p, text, len);
    if (all == SIZE_MAX || all <= p->errors) return len;
    size_t at = len;
    for (int i = 0; i < PARSE_TRIES; i++) {
        at = shorter(text, at);
        if (at == 0) break;
        if (parse_errors(p, text, at) <= p->errors) return at;
    }
    return len;
}
