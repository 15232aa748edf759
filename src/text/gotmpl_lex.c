/* Texts and actions, and the tokens of an action. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/gotmpl_int.h"

void gt_parse_fail(struct gt_parser *p, enum status st, const char *fmt, ...)
{
    char text[512];
    if (p->st != OK) return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->st = error_set(p->err, st, "template, line %u: %s", p->line, text);
}

void *gt_parse_alloc(struct gt_parser *p, size_t bytes)
{
    if (p->st != OK) return NULL;
    void *m = jinja_alloc_raw(&p->t->arena, bytes, 16);
    if (!m)
        gt_parse_fail(p, ERR_LIMIT, "it is too large");
    else
        memset(m, 0, bytes);
    return m;
}

bool gt_token_is(const struct gt_token *t, const char *word)
{
    return (t->kind == GT_OP || t->kind == GT_WORD) && t->text.len == strlen(word) &&
           memcmp(t->text.s, word, t->text.len) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static void count_lines(struct gt_parser *p, const char *from, const char *to)
{
    for (; from < to; from++) p->line += *from == '\n';
}

/* ---- constants --------------------------------------------------------------------------------
 */

static size_t put_utf8(uint32_t c, char *d)
{
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) c = 0xFFFD;
    if (c < 0x80) return d[0] = (char)c, 1;
    if (c < 0x800) return d[0] = (char)(0xC0 | c >> 6), d[1] = (char)(0x80 | (c & 63)), 2;
    if (c < 0x10000)
        return d[0] = (char)(0xE0 | c >> 12), d[1] = (char)(0x80 | (c >> 6 & 63)),
               d[2] = (char)(0x80 | (c & 63)), 3;
    return d[0] = (char)(0xF0 | c >> 18), d[1] = (char)(0x80 | (c >> 12 & 63)),
           d[2] = (char)(0x80 | (c >> 6 & 63)), d[3] = (char)(0x80 | (c & 63)), 4;
}

/* Behind a backslash; strconv.UnquoteChar. *code: its value where it is a character, not a byte.
 * False: no such escape. */
static bool read_escape(const char **at, const char *end, char quote, uint32_t *code, bool *byte)
{
    static const char names[] = "abfnrtv\\", values[] = "\a\b\f\n\r\t\v\\";
    if (*at == end) return false;
    char c = *(*at)++;
    const char *known = c ? strchr(names, c) : NULL;
    *byte = false;
    if (known || c == quote)
        return *code = (unsigned char)(known ? values[known - names] : c), true;
    int n = c == 'x'               ? 2
            : c == 'u'             ? 4
            : c == 'U'             ? 8
            : c >= '0' && c <= '7' ? 3
                                   : 0,
        base = n == 3 ? 8 : 16;
    if (n == 3) --*at;
    char digits[9] = "";
    if (n == 0 || end - *at < n) return false;
    for (int i = 0; i < n; i++) {
        digits[i] = (*at)[i];
        if (base == 8 ? digits[i] < '0' || digits[i] > '7' : !isxdigit((unsigned char)digits[i]))
            return false;
    }
    *at += n;
    unsigned long v = strtoul(digits, NULL, base);
    *code = (uint32_t)v;
    *byte = n < 4;
    return *byte ? v < 256 : v <= 0x10FFFF && !(v >= 0xD800 && v < 0xE000);
}

static const char *lex_quoted(struct gt_parser *p, const char *at, const char *end,
                              struct gt_token *t)
{
    char quote = *at++;
    const char *close = at;
    while (close < end && *close != quote && *close != '\n')
        close += *close == '\\' && close + 1 < end ? 2 : 1;
    if (close >= end || *close != quote) {
        gt_parse_fail(p, ERR_FORMAT, "a quoted text is never closed");
        return end;
    }
    char *dst = gt_parse_alloc(p, (size_t)(close - at) + 4);
    size_t n = 0;
    uint32_t code = 0;
    size_t chars = 0;
    while (dst && at < close) {
        bool byte = true;
        code = (unsigned char)*at;
        if (*at == '\\') {
            at++;
            if (!read_escape(&at, close, quote, &code, &byte)) {
                gt_parse_fail(p, ERR_FORMAT, "a quoted text has an escape that Go does not know");
                return end;
            }
        } else {
            at++;
        }
        chars++;
        n += byte ? (dst[n] = (char)code, 1) : put_utf8(code, dst + n);
    }
    if (!dst) return end;
    t->kind = GT_STRING;
    t->text = (struct gt_text){dst, n};
    if (quote != '\'') return close + 1;
    /* A character is a number. */
    t->kind = GT_INTEGER;
    t->i = chars == 1 ? (int64_t)code : jinja_decode_char(dst, n);
    if (n == 0 || (chars != 1 && jinja_char_len(dst, dst + n) != n))
        gt_parse_fail(p, ERR_FORMAT, "a character constant holds more or less than one character");
    return close + 1;
}

static const char *lex_number(struct gt_parser *p, const char *at, const char *end,
                              struct gt_token *t)
{
    char digits[80], *stop = digits;
    size_t n = 0;
    const char *from = at;
    while (at < end &&
           (isalnum((unsigned char)*at) || *at == '.' || *at == '_' ||
            ((*at == '+' || *at == '-') && (at == from || strchr("eEpP", at[-1])))) &&
           n + 1 < sizeof digits) {
        if (*at != '_') digits[n++] = *at;
        at++;
    }
    digits[n] = 0;
    const char *d = digits + (*digits == '+' || *digits == '-');
    bool hex = d[0] == '0' && (d[1] == 'x' || d[1] == 'X');
    bool real = strpbrk(d, ".pP") || (!hex && strpbrk(d, "eE"));
    int base = d[0] == '0' && (d[1] == 'b' || d[1] == 'B')   ? 2
               : d[0] == '0' && (d[1] == 'o' || d[1] == 'O') ? 8
                                                             : 0;
    errno = 0;
    t->kind = real ? GT_REAL : GT_INTEGER;
    if (real) {
        t->f = strtod(digits, &stop);
    } else if (base) {
        t->i = strtoll(d + 2, &stop, base);
        if (*digits == '-') t->i = -t->i;
    } else {
        t->i = strtoll(digits, &stop, 0);
    }
    if (*stop || stop == digits || errno || d[0] == 0)
        gt_parse_fail(p, ERR_FORMAT, "bad number syntax: %.60s", digits);
    return at;
}

/* ---- an action --------------------------------------------------------------------------------
 */

static const char *lex_word(const char *at, const char *end, struct gt_token *t)
{
    const char *from = at;
    at += *at == '$' || *at == '.';
    while (at < end && is_letter(*at)) at++;
    t->text = (struct gt_text){from, (size_t)(at - from)};
    t->kind = *from == '$' ? GT_VARIABLE : *from == '.' ? GT_FIELD : GT_WORD;
    if (t->kind == GT_FIELD) t->text.s++, t->text.len--;
    if (t->kind == GT_FIELD && t->text.len == 0) t->kind = GT_DOT;
    return at;
}

static const char *lex_token(struct gt_parser *p, const char *at, const char *end,
                             struct gt_token *t)
{
    char next = at + 1 < end ? at[1] : 0;
    t->text = (struct gt_text){at, 1};
    t->line = p->line;
    if (is_space(*at)) {
        const char *from = at;
        while (at < end && is_space(*at)) at++;
        count_lines(p, from, at);
        t->kind = GT_SPACE;
        return at;
    }
    if (*at == '"' || *at == '\'') return lex_quoted(p, at, end, t);
    if (*at == '`') {
        const char *close = memchr(at + 1, '`', (size_t)(end - at - 1));
        if (!close) {
            gt_parse_fail(p, ERR_FORMAT, "a text in backquotes is never closed");
            return end;
        }
        count_lines(p, at, close);
        t->kind = GT_STRING;
        t->text = (struct gt_text){at + 1, (size_t)(close - at - 1)};
        return close + 1;
    }
    if (isdigit((unsigned char)*at) ||
        ((*at == '+' || *at == '-' || *at == '.') && isdigit((unsigned char)next)) ||
        ((*at == '+' || *at == '-') && next == '.'))
        return lex_number(p, at, end, t);
    if (*at == '$' || *at == '.' || (is_letter(*at) && !isdigit((unsigned char)*at))) {
        const char *to = lex_word(at, end, t);
        if (to < end && !is_space(*to) && !strchr(".,|:()=", *to))
            gt_parse_fail(p, ERR_FORMAT, "unexpected bad character '%c' behind %.*s",
                          isprint((unsigned char)*to) ? *to : '?',
                          (int)(to - at < 60 ? to - at : 60), at);
        return to;
    }
    t->kind = GT_OP;
    if (*at == ':' && next == '=')
        t->text.len = 2;
    else if (!strchr("|=,()", *at))
        gt_parse_fail(p, ERR_FORMAT, "unexpected character '%c'",
                      isprint((unsigned char)*at) ? *at : '?');
    return at + t->text.len;
}

/* Where the action ends: "}}" outside of texts. NULL: nowhere. */
static const char *action_end(const char *at, const char *end)
{
    while (at + 1 < end) {
        if (at[0] == '}' && at[1] == '}') return at;
        if (*at == '`') {
            at = memchr(at + 1, '`', (size_t)(end - at - 1));
            if (!at) return NULL;
        } else if (*at == '"' || *at == '\'') {
            char quote = *at++;
            while (at < end && *at != quote && *at != '\n')
                at += *at == '\\' && at + 1 < end ? 2 : 1;
        }
        at++;
    }
    return NULL;
}

static void lex_action(struct gt_parser *p, const char *from, const char *to)
{
    struct gt_token small[64], *tok = small, *grown;
    size_t n = 0, cap = 64;
    while (p->st == OK && from < to) {
        if (n + 1 == cap) {
            cap *= 2;
            if (cap > GT_MAX_TOKENS) {
                gt_parse_fail(p, ERR_LIMIT, "an action has too many parts");
                return;
            }
            grown = gt_parse_alloc(p, cap * sizeof *grown);
            if (!grown) return;
            memcpy(grown, tok, n * sizeof *tok);
            tok = grown;
        }
        tok[n] = (struct gt_token){0};
        from = lex_token(p, from, to, &tok[n]);
        n++;
    }
    if (p->st != OK) return;
    tok[n++] = (struct gt_token){.kind = GT_END, .line = p->line};
    p->tok = gt_parse_alloc(p, n * sizeof *tok);
    if (p->tok) memcpy(p->tok, tok, n * sizeof *tok);
}

static bool is_comment(const char *at, const char *end)
{
    return end - at >= 2 && at[0] == '/' && at[1] == '*';
}

bool gt_lex_next(struct gt_parser *p, struct gt_text *text)
{
    const char *open = memmem(p->at, (size_t)(p->end - p->at), "{{", 2), *from = p->at,
               *to = open ? open : p->end;
    uint32_t line = p->line;
    count_lines(p, from, to);
    if (p->trim)
        while (from < to && is_space(*from)) from++;
    p->trim = false;
    (void)line;
    if (!open) {
        *text = (struct gt_text){from, (size_t)(to - from)};
        p->at = p->end;
        return false;
    }
    const char *in = open + 2;
    if (p->end - in >= 2 && in[0] == '-' && is_space(in[1])) {
        in += 1; /* the white space belongs to the action */
        while (to > from && is_space(to[-1])) to--;
    }
    *text = (struct gt_text){from, (size_t)(to - from)};
    const char *word = in;
    if (in > open + 2)
        while (word < p->end && is_space(*word)) word++;
    const char *close;
    if (is_comment(word, p->end)) {
        const char *stop = memmem(word, (size_t)(p->end - word), "*/", 2);
        close = stop ? stop + 2 : NULL;
        if (close && p->end - close >= 2 && memcmp(close, "}}", 2) == 0) {
        } else if (close && p->end - close >= 4 && is_space(close[0]) && close[1] == '-' &&
                   memcmp(close + 2, "}}", 2) == 0) {
            p->trim = true;
            close += 2;
        } else {
            gt_parse_fail(p, ERR_FORMAT, "%s",
                          close ? "comment ends before closing delimiter" : "unclosed comment");
            return false;
        }
        count_lines(p, open, close);
        p->tok = NULL; /* nothing to do */
        p->at = close + 2;
        return true;
    }
    close = action_end(in, p->end);
    if (!close) {
        gt_parse_fail(p, ERR_FORMAT, "unclosed action");
        return false;
    }
    const char *last = close;
    if (last - in >= 2 && last[-1] == '-' && is_space(last[-2])) {
        p->trim = true;
        last--;
    }
    lex_action(p, in, last);
    p->at = close + 2;
    return true;
}
