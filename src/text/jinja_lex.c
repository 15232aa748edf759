/* From a template's source to tokens. White space around tags follows jinja2's lexer with trim_blocks
 * and lstrip_blocks: the first line break behind a block or comment is dropped, and the white space in
 * front of one that stands alone at the start of its line. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_int.h"

struct lexer {
    struct jinja_arena *a;
    const char *at, *end;
    uint32_t line;
    bool line_starting; /* the last tag took a line break with it */
    struct jinja_tokens *out;
    enum status st;
    struct error *err;
};

static void fail(struct lexer *l, enum status st, const char *what)
{
    if (l->st == OK) l->st = error_set(l->err, st, "line %u: %s", l->line, what);
}

static struct jinja_token *add(struct lexer *l, enum jinja_token_kind kind)
{
    struct jinja_tokens *t = l->out;
    if (t->len == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 256;
        struct jinja_token *p = jinja_alloc_raw(l->a, cap * sizeof *p, _Alignof(struct jinja_token));
        if (!p) {
            fail(l, ERR_LIMIT, "the template is too large");
            return NULL;
        }
        if (t->len) memcpy(p, t->items, t->len * sizeof *p);
        t->items = p;
        t->cap = cap;
    }
    struct jinja_token *tok = &t->items[t->len++];
    *tok = (struct jinja_token){.kind = (uint8_t)kind, .line = l->line};
    return tok;
}

static void count_lines(struct lexer *l, const char *from, const char *to)
{
    for (; from < to; from++) l->line += *from == '\n';
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

static bool starts(const char *p, const char *end, const char *s)
{
    size_t n = strlen(s);
    return (size_t)(end - p) >= n && memcmp(p, s, n) == 0;
}

/* Text up to a tag at `tag`, which begins with `sign` behind its two characters. */
static void add_data(struct lexer *l, const char *from, const char *tag, char sign, bool block)
{
    const char *to = tag;
    if (sign == '-') {
        while (to > from && is_space(to[-1])) to--;
    } else if (sign != '+' && block) {
        const char *p = to;
        while (p > from && p[-1] != '\n') p--;
        if (p > from || l->line_starting) {
            const char *q = p;
            while (q < to && is_space(*q)) q++;
            if (q == to) to = p;
        }
    }
    if (to > from) {
        struct jinja_token *t = add(l, T_DATA);
        if (t) t->v = jinja_str(from, (size_t)(to - from));
    }
    count_lines(l, from, tag);
}

/* Behind a tag's end: `sign` is the character before it, `block` whether one line break goes. */
static void after_tag(struct lexer *l, char sign, bool block)
{
    const char *from = l->at;
    if (sign == '-')
        while (l->at < l->end && is_space(*l->at)) l->at++;
    else if (block && sign != '+' && l->at < l->end && *l->at == '\n')
        l->at++;
    count_lines(l, from, l->at);
    l->line_starting = l->at[-1] == '\n';
}

static const char *find(const char *p, const char *end, const char *s)
{
    return end > p ? memmem(p, (size_t)(end - p), s, strlen(s)) : NULL;
}

static char sign_at(const char *p, const char *end)
{
    return p < end && (*p == '-' || *p == '+') ? *p : 0;
}

static void comment(struct lexer *l)
{
    const char *close = find(l->at + 2, l->end, "#}");
    if (!close) {
        fail(l, ERR_FORMAT, "a comment {# has no end #}");
        return;
    }
    count_lines(l, l->at, close);
    char sign = close > l->at + 2 ? sign_at(close - 1, close) : 0;
    l->at = close + 2;
    after_tag(l, sign, true);
}

/* {% raw %}: true where there was one, which has been read to its end. */
static bool raw(struct lexer *l)
{
    const char *p = l->at + 2;
    if (sign_at(p, l->end)) p++;
    while (p < l->end && is_space(*p)) p++;
    if (!starts(p, l->end, "raw")) return false;
    p += 3;
    while (p < l->end && is_space(*p)) p++;
    bool strip = p < l->end && *p == '-';
    if (strip) p++;
    if (!starts(p, l->end, "%}")) return false;
    count_lines(l, l->at, p);
    l->at = p + 2;
    /* No line break is dropped here, unlike behind other blocks. */
    after_tag(l, strip ? '-' : '+', true);
    const char *from = l->at;
    for (const char *q = from; (q = find(q, l->end, "{%")) != NULL; q += 2) {
        const char *r = q + 2;
        char sign = sign_at(r, l->end);
        if (sign) r++;
        while (r < l->end && is_space(*r)) r++;
        if (!starts(r, l->end, "endraw")) continue;
        r += 6;
        while (r < l->end && is_space(*r)) r++;
        char close = sign_at(r, l->end);
        if (close) r++;
        if (!starts(r, l->end, "%}")) continue;
        add_data(l, from, q, sign, true);
        count_lines(l, q, r);
        l->at = r + 2;
        after_tag(l, close, true);
        return true;
    }
    fail(l, ERR_FORMAT, "{% raw %} has no {% endraw %}");
    return true;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* One escape of Python's strings at *p, behind the backslash; writes at most 4 bytes. */
static size_t unescape(struct lexer *l, const char **p, const char *end, char *dst)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    char c = *(*p)++;
    const char *which = c ? strchr(from, c) : NULL;
    if (which) {
        *dst = to[which - from];
        return 1;
    }
    if (c == '\n') return 0;
    if (c >= '0' && c <= '7') {
        int v = c - '0';
        for (int i = 0; i < 2 && *p < end && **p >= '0' && **p <= '7'; i++) v = 8 * v + *(*p)++ - '0';
        return jinja_encode_char(v, dst);
    }
    int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (!digits) {
        dst[0] = '\\';
        dst[1] = c;
        return 2;
    }
    int64_t v = 0;
    for (int i = 0; i < digits; i++) {
        int h = *p < end ? hex(**p) : -1;
        if (h < 0) {
            fail(l, ERR_FORMAT, "a text has an incomplete \\x, \\u or \\U");
            return 0;
        }
        v = 16 * v + h;
        ++*p;
    }
    if (v > 0x10FFFF) {
        fail(l, ERR_FORMAT, "a text has an escape past U+10FFFF");
        return 0;
    }
    return jinja_encode_char((int32_t)v, dst);
}

static void string(struct lexer *l)
{
    char quote = *l->at;
    const char *p = l->at + 1, *q = p;
    while (q < l->end && *q != quote) q += *q == '\\' ? 2 : 1;
    if (q >= l->end) {
        fail(l, ERR_FORMAT, "a text has no closing quote");
        return;
    }
    struct jinja_token *t = add(l, T_STRING);
    if (!t) return;
    l->at = q + 1;
    if (!memchr(p, '\\', (size_t)(q - p))) {
        t->v = jinja_str(p, (size_t)(q - p));
    } else {
        char *dst = jinja_alloc_raw(l->a, (size_t)(q - p) + 4, 1);
        if (!dst) {
            fail(l, ERR_LIMIT, "the template is too large");
            return;
        }
        size_t n = 0;
        for (const char *r = p; r < q && l->st == OK;)
            if (*r == '\\') {
                r++;
                n += unescape(l, &r, q, dst + n);
            } else {
                dst[n++] = *r++;
            }
        t->v = jinja_str(dst, n);
    }
    count_lines(l, p, q);
}

/* Digits with single underscores between them. */
static const char *digits(const char *p, const char *end)
{
    while (p < end && (isdigit((unsigned char)*p) ||
                       (*p == '_' && p + 1 < end && isdigit((unsigned char)p[1]))))
        p++;
    return p;
}

static void number(struct lexer *l)
{
    const char *p = l->at, *q;
    int base = 10;
    bool real = false;
    if (*p == '0' && p + 2 < l->end && strchr("xXoObB", p[1]) && hex(p[2]) >= 0) {
        base = (p[1] | 32) == 'x' ? 16 : (p[1] | 32) == 'o' ? 8 : 2;
        for (q = p += 2; q < l->end && (hex(*q) >= 0 || *q == '_');) q++;
    } else {
        q = digits(p, l->end);
        /* In "x.0.1" the dots are not decimal points. */
        bool index = l->out->len && l->out->items[l->out->len - 1].kind == T_OP &&
                     strcmp(l->out->items[l->out->len - 1].op, ".") == 0;
        if (!index && q + 1 < l->end && *q == '.' && isdigit((unsigned char)q[1])) {
            q = digits(q + 1, l->end);
            real = true;
        }
        if (!index && q + 1 < l->end && (*q == 'e' || *q == 'E')) {
            const char *r = q + 1 + (q[1] == '-' || q[1] == '+');
            if (r < l->end && isdigit((unsigned char)*r)) {
                q = digits(r, l->end);
                real = true;
            }
        }
    }
    char text[64];
    size_t n = 0;
    for (const char *r = p; r < q; r++)
        if (*r != '_') {
            if (n + 1 == sizeof text) {
                fail(l, ERR_FORMAT, "a number is too long");
                return;
            }
            text[n++] = *r;
        }
    text[n] = 0;
    struct jinja_token *t = add(l, real ? T_FLOAT : T_INT);
    if (!t) return;
    if (real) {
        t->v = jinja_float(strtod(text, NULL));
    } else {
        unsigned long long v = strtoull(text, NULL, base);
        if (n > 19 || v > INT64_MAX) fail(l, ERR_FORMAT, "a number is larger than 64 bits hold");
        t->v = jinja_int((int64_t)v);
    }
    l->at = q;
}

static bool name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static void operator(struct lexer *l)
{
    static const char *const two[] = {"==", "!=", "<=", ">=", "**", "//"};
    struct jinja_token *t = add(l, T_OP);
    if (!t) return;
    for (size_t i = 0; i < sizeof two / sizeof two[0]; i++)
        if (starts(l->at, l->end, two[i])) {
            memcpy(t->op, two[i], 2);
            l->at += 2;
            return;
        }
    if (!*l->at || !strchr("+-*/%~[](){}<>=.:|,;", *l->at))
        fail(l, ERR_FORMAT, "a character that no expression has");
    t->op[0] = *l->at++;
}

/* The inside of {{ }} or {% %}, whose end is `close` outside of brackets. */
static void inside(struct lexer *l, const char *close, bool block)
{
    int open = 0;
    while (l->st == OK) {
        const char *from = l->at;
        while (l->at < l->end && is_space(*l->at)) l->at++;
        count_lines(l, from, l->at);
        if (l->at >= l->end) {
            fail(l, ERR_FORMAT, block ? "a tag {% has no end %}" : "an expression {{ has no end }}");
            return;
        }
        char sign = *l->at == '-' || (block && *l->at == '+') ? *l->at : 0;
        if (open == 0 && starts(l->at + (sign != 0), l->end, close)) {
            add(l, block ? T_BLOCK_END : T_VAR_END);
            l->at += 2 + (sign != 0);
            after_tag(l, sign, block);
            return;
        }
        char c = *l->at;
        if (isdigit((unsigned char)c)) {
            number(l);
        } else if (name_char(c)) {
            const char *p = l->at;
            while (l->at < l->end && name_char(*l->at)) l->at++;
            struct jinja_token *t = add(l, T_NAME);
            if (t) t->v = jinja_str(p, (size_t)(l->at - p));
        } else if (c == '"' || c == '\'') {
            string(l);
        } else {
            open += c == '(' || c == '[' || c == '{';
            if (c == ')' || c == ']' || c == '}') open -= open > 0;
            operator(l);
        }
    }
}

static void lex(struct lexer *l)
{
    while (l->st == OK && l->at < l->end) {
        const char *tag = l->at;
        do {
            tag = memchr(tag, '{', (size_t)(l->end - tag));
        } while (tag && !(tag + 1 < l->end && strchr("{%#", tag[1]) && tag[1]) && ++tag < l->end);
        if (!tag || tag >= l->end) {
            struct jinja_token *t = add(l, T_DATA);
            if (t) t->v = jinja_str(l->at, (size_t)(l->end - l->at));
            l->at = l->end;
            break;
        }
        char sign = sign_at(tag + 2, l->end);
        add_data(l, l->at, tag, sign, tag[1] != '{');
        l->at = tag;
        if (tag[1] == '#') {
            comment(l);
        } else if (tag[1] == '%' && raw(l)) {
            continue;
        } else {
            bool block = tag[1] == '%';
            add(l, block ? T_BLOCK_BEGIN : T_VAR_BEGIN);
            l->at = tag + 2 + (sign != 0);
            inside(l, block ? "%}" : "}}", block);
        }
    }
    add(l, T_END);
}

enum status jinja_lex(struct jinja_arena *a, const char *source, size_t len,
                      struct jinja_tokens *out, struct error *err)
{
    char *copy = jinja_alloc_raw(a, len + 1, 1);
    if (!copy) return error_set(err, ERR_NOMEM, "no memory for the template");
    /* Line ends become \n, and the last one is not part of the text. */
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        if (source[i] == '\r') {
            copy[n++] = '\n';
            i += i + 1 < len && source[i + 1] == '\n';
        } else {
            copy[n++] = source[i];
        }
    if (n && copy[n - 1] == '\n') n--;
    struct lexer l = {.a = a, .at = copy, .end = copy + n, .line = 1, .line_starting = true,
                      .out = out, .err = err};
    lex(&l);
    return l.st;
}
