#include "index/ignore.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- matching --------------------------------------------------------------------------------- */

/* ABORT_ALL: no later start of the star before it can help (git's wildmatch.c knows the same). */
enum wild { WILD_NO, WILD_YES, WILD_ABORT_ALL, WILD_ABORT_TO_STARSTAR };

struct wild_state {
    const char *start; /* of the pattern */
    bool path;
    unsigned steps;
};
enum { WILD_MAX_STEPS = 100000, WILD_MAX_DEPTH = 200 };

static bool class_has(const char *name, size_t len, unsigned char c)
{
    static const struct {
        const char *name;
        int (*test)(int);
    } classes[] = {{"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank}, {"cntrl", iscntrl},
                   {"digit", isdigit}, {"graph", isgraph}, {"lower", islower}, {"print", isprint},
                   {"punct", ispunct}, {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strlen(classes[i].name) == len && memcmp(classes[i].name, name, len) == 0)
            return classes[i].test(c) != 0;
    return false;
}

/* `p` stands behind '['. Returns the place behind ']', or NULL for a class without an end. */
static const unsigned char *match_class(const unsigned char *p, unsigned char c, bool *hit)
{
    bool negated = *p == '!' || *p == '^';
    if (negated) p++;
    bool found = false, first = true;
    unsigned char before = 0;
    for (;; first = false, p++) {
        unsigned char k = *p;
        if (!k) return NULL;
        if (k == ']' && !first) break;
        if (k == '\\') {
            k = *++p;
            if (!k) return NULL;
            if (k == c) found = true;
        } else if (k == '-' && before && p[1] && p[1] != ']') {
            unsigned char to = *++p;
            if (to == '\\' && !(to = *++p)) return NULL;
            if (c >= before && c <= to) found = true;
            k = 0; /* no range starts at the end of one */
        } else if (k == '[' && p[1] == ':') {
            const unsigned char *name = p + 2, *end = name;
            while (*end && *end != ']') end++;
            if (!*end) return NULL;
            if (end - name < 1 || end[-1] != ':') { /* "[:" and no class: the bracket itself */
                if (c == '[') found = true;
            } else {
                if (class_has((const char *)name, (size_t)(end - name - 1), c)) found = true;
                p = end;
                k = 0;
            }
        } else if (k == c) {
            found = true;
        }
        before = k;
    }
    *hit = found != negated;
    return p + 1;
}

static enum wild dowild(struct wild_state *w, const unsigned char *p, const unsigned char *t, int depth);

/* `p` stands on the first star. */
static enum wild match_star(struct wild_state *w, const unsigned char *p, const unsigned char *t, int depth)
{
    const unsigned char *first = p;
    bool slashes = !w->path; /* whether the star may swallow them */
    if (*++p == '*') {
        while (*++p == '*') continue;
        bool open = (const char *)first == w->start || first[-1] == '/';
        if (w->path && open && (!*p || *p == '/' || (*p == '\\' && p[1] == '/'))) {
            if (*p == '/' && dowild(w, p + 1, t, depth + 1) == WILD_YES) return WILD_YES; /* "a/" + "**" + "/b": no folder */
            slashes = true;
        }
    }
    if (!*p) return slashes || !strchr((const char *)t, '/') ? WILD_YES : WILD_ABORT_TO_STARSTAR;
    if (!slashes && *p == '/') { /* one star and a slash: the next slash or none */
        const char *slash = strchr((const char *)t, '/');
        if (!slash) return WILD_ABORT_ALL;
        return dowild(w, p, (const unsigned char *)slash, depth + 1);
    }
    for (; *t; t++) {
        enum wild m = dowild(w, p, t, depth + 1);
        if (m != WILD_NO && (!slashes || m != WILD_ABORT_TO_STARSTAR)) return m;
        if (!slashes && *t == '/') return WILD_ABORT_TO_STARSTAR;
    }
    return WILD_ABORT_ALL;
}

static enum wild dowild(struct wild_state *w, const unsigned char *p, const unsigned char *t, int depth)
{
    if (depth > WILD_MAX_DEPTH) return WILD_ABORT_ALL;
    for (; *p; p++, t++) {
        if (++w->steps > WILD_MAX_STEPS) return WILD_ABORT_ALL;
        if (!*t && *p != '*') return WILD_ABORT_ALL;
        switch (*p) {
        case '*': return match_star(w, p, t, depth);
        case '?':
            if (w->path && *t == '/') return WILD_NO;
            break;
        case '[': {
            bool hit;
            const unsigned char *end = match_class(p + 1, *t, &hit);
            if (!end) return WILD_ABORT_ALL;
            if (!hit || (w->path && *t == '/')) return WILD_NO;
            p = end - 1;
            break;
        }
        case '\\':
            p++; /* a backslash at the end fits nothing: *t is no NUL here */
            if (*p != *t) return WILD_NO;
            break;
        default:
            if (*p != *t) return WILD_NO;
        }
    }
    return *t ? WILD_NO : WILD_YES;
}

bool ignore_wildmatch(const char *pattern, const char *text, bool path)
{
    struct wild_state w = {.start = pattern, .path = path};
    return dowild(&w, (const unsigned char *)pattern, (const unsigned char *)text, 0) == WILD_YES;
}

enum ignore_verdict ignore_match(const struct ignore_rules *r, const char *path, const char *name,
                                 bool is_folder)
{
    for (size_t i = r->n; i-- > 0;) {
        const struct ignore_rule *rule = &r->list[i];
        if (rule->folder_only && !is_folder) continue;
        const char *text = rule->anchored ? path : name;
        if (rule->plain ? strcmp(rule->pattern, text) == 0
                        : ignore_wildmatch(rule->pattern, text, rule->anchored))
            return rule->negated ? IGNORE_IN : IGNORE_OUT;
    }
    return IGNORE_SILENT;
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* Spaces at the end do not count unless a backslash stands before one. */
static size_t trim_spaces(const char *line, size_t len)
{
    size_t keep = 0;
    for (size_t i = 0; i < len; i++) {
        if (line[i] == '\\' && i + 1 < len) keep = ++i + 1;
        else if (line[i] != ' ') keep = i + 1;
    }
    return keep;
}

static void parse_line(char *line, size_t len, struct ignore_rules *out)
{
    if (len && line[len - 1] == '\r') len--;
    if (!len || line[0] == '#') return;
    len = trim_spaces(line, len);
    struct ignore_rule rule = {0};
    if (len && line[0] == '!') {
        rule.negated = true;
        line++;
        len--;
    }
    if (len && line[len - 1] == '/') {
        rule.folder_only = true;
        len--;
    }
    line[len] = 0;
    if (memchr(line, '/', len)) rule.anchored = true;
    if (line[0] == '/') line++;
    if (!*line) return;
    rule.pattern = line;
    rule.plain = !strpbrk(line, "*?[\\");
    out->list[out->n++] = rule;
}

enum status ignore_parse(const char *data, size_t len, struct ignore_rules *out)
{
    *out = (struct ignore_rules){0};
    if (len >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0) {
        data += 3;
        len -= 3;
    }
    if (len > IGNORE_MAX_FILE) len = IGNORE_MAX_FILE;
    size_t lines = 1;
    for (size_t i = 0; i < len; i++) lines += data[i] == '\n';
    if (lines > IGNORE_MAX_RULES) lines = IGNORE_MAX_RULES;
    out->text = malloc(len + 1);
    out->list = calloc(lines, sizeof *out->list);
    if (!out->text || !out->list) {
        ignore_fini(out);
        return ERR_NOMEM;
    }
    memcpy(out->text, data, len);
    out->text[len] = 0;
    for (size_t at = 0; at < len && lines; lines--) {
        char *end = memchr(out->text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - out->text) - at : len - at;
        parse_line(out->text + at, n, out);
        at += n + 1;
    }
    return OK;
}

void ignore_fini(struct ignore_rules *r)
{
    free(r->text);
    free(r->list);
    *r = (struct ignore_rules){0};
}
