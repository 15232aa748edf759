#include "cli/cite.h"

#include <ctype.h>
#include <string.h>

void cite_init(struct cite *c, struct cite_source *sources, size_t n)
{
    *c = (struct cite){.sources = sources, .n = n};
    buf_init(&c->word, CITE_MAX_WORD);
}

void cite_fini(struct cite *c)
{
    buf_fini(&c->word);
}

static bool in_word(char ch)
{
    return isalnum((unsigned char)ch) || (unsigned char)ch >= 0x80 || (ch && strchr("_./-:+@~#", ch));
}

static const char *read_number(const char *p, const char *end, uint64_t *out)
{
    const char *start = p;
    *out = 0;
    while (p < end && isdigit((unsigned char)*p) && p - start < 10) *out = *out * 10 + (uint64_t)(*p++ - '0');
    return p > start && !(p < end && isdigit((unsigned char)*p)) ? p : NULL;
}

/* "path:12", "path:12-20", "path:12:5"; the path has a slash, or a dot with a letter behind it, and no "//". */
static bool is_citation(const char *w, size_t len, size_t *path_len, uint64_t *from, uint64_t *to)
{
    const char *end = w + len, *colon = NULL;
    for (const char *p = w; p + 1 < end; p++)
        if (*p == ':' && isdigit((unsigned char)p[1])) {
            colon = p;
            break;
        }
    if (!colon || colon == w || memmem(w, len, "//", 2)) return false;
    bool path = memchr(w, '/', (size_t)(colon - w)) != NULL;
    for (const char *p = w; p + 1 < colon; p++)
        if (*p == '.' && isalpha((unsigned char)p[1])) path = true;
    const char *p = read_number(colon + 1, end, from);
    if (!path || !p) return false;
    *to = *from;
    *path_len = (size_t)(colon - w);
    if (p < end && *p == '-') p = read_number(p + 1, end, to);
    else if (p < end && *p == ':') p = read_number(p + 1, end, &(uint64_t){0});
    return p == end;
}

/* A path may be cited by its end, from a slash on. */
static bool same_path(const char *given, const char *w, size_t len)
{
    if (len > 2 && w[0] == '.' && w[1] == '/') w += 2, len -= 2;
    size_t n = strlen(given);
    return n >= len && memcmp(given + n - len, w, len) == 0 && (n == len || given[n - len - 1] == '/' || given[n - len - 1] == ' ');
}

static enum status flush(struct cite *c, struct error *err)
{
    const char *w = c->word.data;
    size_t len = c->word.len, path_len;
    uint64_t from, to;
    if (len == 0) return OK;
    while (len && strchr(".:-", w[len - 1])) len--; /* a sentence's end */
    bool invented = !c->plain && is_citation(w, len, &path_len, &from, &to);
    for (size_t i = 0; invented && i < c->n; i++) {
        struct cite_source *s = &c->sources[i];
        if (!same_path(s->path, w, path_len) || from < s->line || to > s->end_line || from > to) continue;
        s->cited = true;
        invented = false;
    }
    c->invented += invented;
    enum status st = c->write(c->ctx, w, len, err);
    if (st == OK && invented) st = c->write(c->ctx, CITE_INVENTED, strlen(CITE_INVENTED), err);
    if (st == OK && len < c->word.len) st = c->write(c->ctx, w + len, c->word.len - len, err);
    buf_clear(&c->word);
    return st;
}

enum status cite_feed(struct cite *c, const char *text, size_t len, struct error *err)
{
    enum status st = OK;
    for (size_t i = 0; st == OK && i < len;) {
        size_t n = 0;
        bool word = in_word(text[i]);
        while (i + n < len && in_word(text[i + n]) == word && n < CITE_MAX_WORD / 2) n++;
        if (!word) {
            st = flush(c, err);
            c->plain = false;
            if (st == OK) st = c->write(c->ctx, text + i, n, err);
        } else {
            if (c->word.len + n > CITE_MAX_WORD) {
                c->plain = true;
                st = flush(c, err);
            }
            if (st == OK && (st = buf_append(&c->word, text + i, n)) != OK) error_set(err, st, "no memory for the answer");
        }
        i += n;
    }
    return st;
}

enum status cite_end(struct cite *c, struct error *err)
{
    return flush(c, err);
}
