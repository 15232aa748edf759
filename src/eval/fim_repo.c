/* Holes in the source files of a folder. */
#include <ctype.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "eval/fim_holes.h"

const char *const fim_repo_kinds[] = {"line", "column1", "rest",  "word",
                                      "mid",  "block",   "lines", NULL};

enum {
    LINES_BEFORE = 60,
    LINES_AFTER = 30,
    MIN_LINES = 20,
    MAX_TRIES = 20000,
    MAX_FILE_BYTES = 1 << 20,
    MAX_SOURCES = 20000,
    MAX_WORDS = 512,
};

struct line {
    size_t start, code, end; /* of the text: where it begins, where its indentation ends, its end */
};

struct source {
    const char *path, *text;
    struct line *lines; /* owned */
    size_t len, n;
};

struct sources {
    struct source *v;
    size_t n, cap;
};

static const char *const endings[] = {".py", ".c",  ".h",  ".js",   ".ts",
                                      ".go", ".rs", ".sh", ".java", NULL};

static bool is_source(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; endings[i]; i++) {
        size_t n = strlen(endings[i]);
        if (len > n && strcmp(name + len - n, endings[i]) == 0) return true;
    }
    return false;
}

static size_t indent(const struct line *l)
{
    return l->code - l->start;
}

static bool is_blank(const struct line *l)
{
    return l->code == l->end;
}

/* Long enough to say something, and no comment. */
static bool is_code(const struct source *s, const struct line *l)
{
    static const char *const comments[] = {"#", "//", "/*", "*", "\"\"\"", "'''", NULL};
    if (l->end - l->code < 8) return false;
    for (size_t i = 0; comments[i]; i++)
        if (strncmp(s->text + l->code, comments[i], strlen(comments[i])) == 0) return false;
    return true;
}

static enum status split(struct source *s, struct error *err)
{
    for (size_t i = 0; i < s->len; i++) s->n += s->text[i] == '\n';
    s->n++;
    s->lines = calloc(s->n, sizeof *s->lines);
    if (!s->lines) return error_set(err, ERR_NOMEM, "out of memory");
    size_t at = 0;
    for (size_t i = 0; i < s->n; i++) {
        const char *stop = memchr(s->text + at, '\n', s->len - at);
        size_t end = stop ? (size_t)(stop - s->text) : s->len, code = at;
        while (code < end && (s->text[code] == ' ' || s->text[code] == '\t')) code++;
        while (end > code && isspace((unsigned char)s->text[end - 1])) end--;
        s->lines[i] = (struct line){at, code, end};
        at = stop ? (size_t)(stop - s->text) + 1 : s->len;
    }
    return OK;
}

/* Takes a file in, unless it is short, large or not plain text. */
static enum status take(const char *path, struct eval_set *set, struct sources *out,
                        struct error *err)
{
    struct buf b;
    buf_init(&b, MAX_FILE_BYTES);
    bool fit = file_read_all(path, &b, NULL) == OK && b.data && !memchr(b.data, '\r', b.len) &&
               strlen(b.data) == b.len;
    if (!fit || out->n >= MAX_SOURCES) {
        buf_fini(&b);
        return OK;
    }
    if (out->n == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 64;
        struct source *v = reallocarray(out->v, cap, sizeof *v);
        if (!v) {
            buf_fini(&b);
            return error_set(err, ERR_NOMEM, "out of memory");
        }
        out->v = v;
        out->cap = cap;
    }
    struct source s = {.text = b.data, .len = b.len};
    enum status st = eval_set_keep(set, b.data, err); /* the buffer's memory changes hands */
    char *name = st == OK ? strdup(path) : NULL;
    if (st == OK) st = eval_set_keep(set, name, err);
    s.path = name;
    if (st == OK) st = split(&s, err);
    if (st == OK && s.n >= MIN_LINES)
        out->v[out->n++] = s;
    else
        free(s.lines);
    return st;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_skipped(const FTSENT *e)
{
    static const char *const names[] = {"__pycache__", "node_modules", "test", "tests", NULL};
    if (e->fts_level == 0) return false;
    for (size_t i = 0; names[i]; i++)
        if (strcmp(e->fts_name, names[i]) == 0) return true;
    return e->fts_name[0] == '.';
}

static enum status find(const char *path, struct eval_set *set, struct sources *out,
                        struct error *err)
{
    char *roots[] = {(char *)path, NULL};
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    enum status st = fts ? OK : error_set(err, ERR_IO, "cannot read %s", path);
    for (FTSENT *e; st == OK && (e = fts_read(fts));) {
        if (e->fts_info == FTS_D && is_skipped(e)) fts_set(fts, e, FTS_SKIP);
        if (e->fts_info == FTS_F && is_source(e->fts_name)) st = take(e->fts_path, set, out, err);
    }
    if (fts) fts_close(fts);
    if (st == OK && out->n == 0)
        st = error_set(err, ERR_NOT_FOUND, "no source file of %d lines or more under %s", MIN_LINES,
                       path);
    return st;
}

/* ---- cutting ----------------------------------------------------------------------------------
 * Each returns false where the random place is not fit; the caller tries again. */

struct span {
    size_t row, last; /* first and last line */
    size_t start, end;
};

typedef bool cut_fn(const struct source *s, struct eval_rng *rng, struct span *out);

/* A random line with code that has five lines before it and three after. */
static bool pick_line(const struct source *s, struct eval_rng *rng, struct span *out)
{
    out->row = out->last = 5 + eval_rng_below(rng, s->n - 8);
    const struct line *l = &s->lines[out->row];
    out->start = l->code;
    out->end = l->end;
    return is_code(s, l);
}

static bool cut_column1(const struct source *s, struct eval_rng *rng, struct span *out)
{
    bool fit = pick_line(s, rng, out);
    out->start = s->lines[out->row].start;
    return fit;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Where words and other characters begin, after the first of the line. */
static size_t find_words(const struct source *s, const struct line *l, size_t *at)
{
    size_t n = 0;
    for (size_t i = l->code + 1; i < l->end && n < MAX_WORDS; i++) {
        char c = s->text[i];
        bool begins = is_word(c) ? !is_word(s->text[i - 1])
                                 : !isspace((unsigned char)c) && (c & 0xc0) != 0x80;
        if (begins) at[n++] = i;
    }
    return n;
}

static bool cut_rest(const struct source *s, struct eval_rng *rng, struct span *out)
{
    size_t at[MAX_WORDS], n = 0;
    if (!pick_line(s, rng, out)) return false;
    size_t found = find_words(s, &s->lines[out->row], at);
    while (n < found && out->end - at[n] >= 4) n++;
    if (n == 0) return false;
    out->start = at[eval_rng_below(rng, n)];
    return true;
}

/* Inside of a word of five letters or more, one to three behind its beginning. */
static bool cut_word(const struct source *s, struct eval_rng *rng, struct span *out)
{
    size_t at[MAX_WORDS], n = 0;
    if (!pick_line(s, rng, out)) return false;
    for (size_t i = out->start; i < out->end && n < MAX_WORDS;) {
        size_t len = 0;
        while (i + len < out->end &&
               (isalpha((unsigned char)s->text[i + len]) || s->text[i + len] == '_'))
            len++;
        if (len >= 5) at[n++] = i + 1 + eval_rng_below(rng, 3);
        i += len ? len : 1;
    }
    if (n == 0) return false;
    out->start = at[eval_rng_below(rng, n)];
    return true;
}

static bool cut_mid(const struct source *s, struct eval_rng *rng, struct span *out)
{
    size_t at[MAX_WORDS];
    if (!pick_line(s, rng, out)) return false;
    size_t end = out->end, n = find_words(s, &s->lines[out->row], at);
    if (n < 4) return false;
    size_t first = eval_rng_below(rng, n - 2);
    size_t last = first + 1 + eval_rng_below(rng, n - 2 - first);
    out->start = at[first];
    out->end = at[last];
    return out->end - out->start >= 3 && end - out->end >= 2;
}

static bool cut_block(const struct source *s, struct eval_rng *rng, struct span *out)
{
    size_t row = 5 + eval_rng_below(rng, s->n - 8), end = row;
    const struct line *before = &s->lines[row - 1], *first = &s->lines[row];
    if (!is_code(s, before) || is_blank(first) || indent(first) <= indent(before)) return false;
    if (!strchr(":{", s->text[before->end - 1])) return false;
    while (end < s->n - 2 && (is_blank(&s->lines[end]) || indent(&s->lines[end]) >= indent(first)))
        end++;
    while (is_blank(&s->lines[end - 1])) end--;
    *out = (struct span){row, end - 1, first->code, s->lines[end - 1].end};
    return end - row >= 2 && end - row <= 6;
}

static bool cut_lines(const struct source *s, struct eval_rng *rng, struct span *out)
{
    size_t row = 5 + eval_rng_below(rng, s->n - 13), n = 2 + eval_rng_below(rng, 3);
    for (size_t i = row - 1; i <= row + n; i++)
        if (!is_code(s, &s->lines[i]) || indent(&s->lines[i]) != indent(&s->lines[row]))
            return false;
    *out = (struct span){row, row + n - 1, s->lines[row].code, s->lines[row + n - 1].end};
    return true;
}

static cut_fn *const cuts[] = {pick_line, cut_column1, cut_rest, cut_word,
                               cut_mid,   cut_block,   cut_lines};

static enum status add(struct eval_set *set, const struct source *s, const struct span *c,
                       const char *kind, const char *root, struct error *err)
{
    size_t first = c->row > LINES_BEFORE ? c->row - LINES_BEFORE : 0;
    size_t last = c->last + LINES_AFTER < s->n ? c->last + LINES_AFTER : s->n - 1;
    size_t skip = strncmp(s->path, root, strlen(root)) == 0 ? strlen(root) : 0;
    const char *name = s->path + skip;
    while (*name == '/') name++;
    char *id;
    if (asprintf(&id, "%s/%s:%zu:%zu-%zu", kind, *name ? name : s->path, c->row + 1, c->start,
                 c->end) < 0)
        id = NULL;
    if (id && eval_set_find(set, id)) {
        free(id);
        return OK;
    }
    size_t to = last + 1 < s->n ? s->lines[last + 1].start : s->len;
    return eval_set_add(set,
                        (struct eval_hole){.id = id,
                                           .kind = kind,
                                           .text = s->text,
                                           .from = s->lines[first].start,
                                           .start = c->start,
                                           .end = c->end,
                                           .to = to,
                                           .path = *name ? name : s->path},
                        err);
}

enum status fim_holes_of_folder(const char *path, const char *kinds, size_t per_kind, uint64_t seed,
                                struct eval_set *set, struct error *err)
{
    struct sources found = {0};
    enum status st = find(path, set, &found, err);
    for (size_t k = 0; fim_repo_kinds[k] && st == OK; k++) {
        struct eval_rng rng = {seed * 31 + k};
        size_t before = set->n_holes;
        if (!eval_kind_wanted(kinds, fim_repo_kinds[k])) continue;
        for (int t = 0; t < MAX_TRIES && set->n_holes - before < per_kind && st == OK; t++) {
            const struct source *s = &found.v[eval_rng_below(&rng, found.n)];
            struct span c;
            if (cuts[k](s, &rng, &c)) st = add(set, s, &c, fim_repo_kinds[k], path, err);
        }
    }
    for (size_t i = 0; i < found.n; i++) free(found.v[i].lines);
    free(found.v);
    return st;
}
