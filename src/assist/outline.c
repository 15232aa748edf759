#include "assist/outline.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "assist/trim_int.h"
#include "base/buf.h"
#include "syntax/language.h"
#include "syntax/syntax_facts.h"

#define READ_SECONDS 0.1

enum {
    SHORTEST = 3,        /* bytes of a name that is looked for */
    MAX_TEXT = 8 << 10,  /* of one file's signatures in a prompt */
    IMPORT_BYTES = 8192, /* of a text's beginning, where it imports */
};

struct definition {
    char *name, *signature; /* owned, in one piece of memory: signature */
    bool outer;             /* at file level */
};

struct outline_file {
    char *path;
    struct definition *d; /* [n] */
    size_t n;
    /* For outline_items: */
    struct buf text;
    size_t hits;
};

struct outline {
    struct outline_file *files[OUTLINE_FILES]; /* the newest last */
    size_t n;
};

static void file_free(struct outline_file *f)
{
    if (!f) return;
    for (size_t i = 0; i < f->n; i++) free(f->d[i].signature);
    free(f->d);
    free(f->path);
    buf_fini(&f->text);
    free(f);
}

enum status outline_create(struct outline **out, struct error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? OK : error_set(err, ERR_NOMEM, "no memory for what files define");
}

void outline_destroy(struct outline *o)
{
    for (size_t i = 0; o && i < o->n; i++) file_free(o->files[i]);
    free(o);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static bool is_wanted(const struct syntax_definition *d)
{
    static const bool kinds[SYNTAX_N_KINDS] = {
        [SYNTAX_KIND_FUNCTION] = true,  [SYNTAX_KIND_METHOD] = true, [SYNTAX_KIND_CLASS] = true,
        [SYNTAX_KIND_STRUCT] = true,    [SYNTAX_KIND_UNION] = true,  [SYNTAX_KIND_ENUM] = true,
        [SYNTAX_KIND_INTERFACE] = true, [SYNTAX_KIND_TRAIT] = true,  [SYNTAX_KIND_TYPE] = true,
        [SYNTAX_KIND_MACRO] = true,
    };
    return d->kind < SYNTAX_N_KINDS && kinds[d->kind] && *d->signature &&
           strlen(d->name) >= SHORTEST;
}

static bool add(struct outline_file *f, const struct syntax_definition *d)
{
    size_t n_sig = strlen(d->signature), n_name = strlen(d->name);
    char *p = malloc(n_sig + n_name + 2);
    if (!p) return false;
    memcpy(p, d->signature, n_sig + 1);
    memcpy(p + n_sig + 1, d->name, n_name + 1);
    f->d[f->n++] = (struct definition){p + n_sig + 1, p, !*d->scope};
    return true;
}

static struct outline_file *file_of(const char *path, const struct syntax_facts *facts)
{
    struct outline_file *f = calloc(1, sizeof *f);
    if (!f) return NULL;
    buf_init(&f->text, MAX_TEXT);
    f->path = strdup(path);
    f->d = calloc(OUTLINE_DEFINITIONS, sizeof *f->d);
    bool fine = f->path && f->d;
    for (size_t i = 0; fine && i < facts->n_definitions && f->n < OUTLINE_DEFINITIONS; i++)
        if (is_wanted(&facts->definitions[i])) fine = add(f, &facts->definitions[i]);
    if (fine && f->n) return f;
    file_free(f);
    return NULL;
}

struct outline_file *outline_read(const char *path, const char *text, size_t len)
{
    const struct syntax_language *l = path ? syntax_language_of(path, text, len) : NULL;
    struct syntax_parser *parser = NULL;
    struct syntax_facts *facts = NULL;
    struct outline_file *f = NULL;
    struct error err;
    if (!l || !syntax_language_has_grammar(l) || len > OUTLINE_MAX_BYTES) return NULL;
    struct syntax_facts_options opt = {
        .want = SYNTAX_WANT_SYMBOLS,
        .limits = {.max_bytes = OUTLINE_MAX_BYTES, .seconds = READ_SECONDS}};
    if (syntax_parser_create(&parser, &err) == OK &&
        syntax_facts_read(parser, l, text, len, &opt, &facts, &err) == OK)
        f = file_of(path, facts);
    syntax_facts_destroy(facts);
    syntax_parser_destroy(parser);
    return f;
}

void outline_put(struct outline *o, const char *path, struct outline_file *file)
{
    size_t at = 0;
    while (at < o->n && strcmp(o->files[at]->path, path) != 0) at++;
    if (at == o->n && o->n == OUTLINE_FILES && file) at = 0;
    if (at < o->n) {
        file_free(o->files[at]);
        memmove(o->files + at, o->files + at + 1, (o->n - at - 1) * sizeof *o->files);
        o->n--;
    }
    if (file) o->files[o->n++] = file;
}

/* ---- what a prompt can use ---------------------------------------------------------------------
 */

static bool has_word(struct span text, const char *word, size_t n)
{
    const char *at = text.data, *end = text.data + text.len;
    while (n && (size_t)(end - at) >= n && (at = memmem(at, (size_t)(end - at), word, n))) {
        bool begins = at == text.data || !is_word(at[-1]), ends = at + n == end || !is_word(at[n]);
        if (begins && ends) return true;
        at++;
    }
    return false;
}

/* A line at the text's beginning that imports names the file. */
static bool imports(struct span text, const char *path)
{
    static const char *const words[] = {"import", "from",  "#include", "use", "require",
                                        "mod",    "const", "export",   NULL};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strcspn(name, ".");
    if (text.len > IMPORT_BYTES) text.len = IMPORT_BYTES;
    for (size_t at = 0; at < text.len;) {
        struct span line = span_line(text, at), code = span_strip(line);
        at += line.len + 1;
        for (size_t i = 0; words[i]; i++)
            if (span_starts(code, span_of(words[i], strlen(words[i]))) && has_word(code, name, n))
                return true;
    }
    return false;
}

/* Fills file->text and file->hits. */
static void select_lines(struct outline_file *f, struct span near, bool imported)
{
    size_t lines = 0;
    buf_clear(&f->text);
    f->hits = 0;
    for (int pass = 0; pass < 1 + imported; pass++) /* what is named, then what may be */
        for (size_t i = 0; i < f->n && lines < OUTLINE_LINES; i++) {
            bool named = has_word(near, f->d[i].name, strlen(f->d[i].name));
            if (pass == 0 ? !named : named || !f->d[i].outer) continue;
            if (buf_printf(&f->text, "%s\n", f->d[i].signature) != OK) return;
            f->hits += pass == 0;
            lines++;
        }
}

static int by_hits(const void *a, const void *b)
{
    const struct outline_file *const *x = a, *const *y = b;
    return ((*x)->hits > (*y)->hits) - ((*x)->hits < (*y)->hits);
}

size_t outline_items(struct outline *o, const char *path, const char *text, size_t len,
                     size_t offset, size_t near, struct context_item *out, size_t cap)
{
    struct outline_file *found[OUTLINE_FILES];
    size_t n = 0, most = cap < OUTLINE_ITEMS ? cap : OUTLINE_ITEMS,
           from = offset > near ? offset - near : 0;
    size_t to = len - offset > near ? offset + near : len;
    for (size_t i = 0; i < o->n; i++) {
        struct outline_file *f = o->files[i];
        if (path && strcmp(f->path, path) == 0) continue;
        select_lines(f, span_of(text + from, to - from), imports(span_of(text, len), f->path));
        if (f->text.len) found[n++] = f;
    }
    qsort(found, n, sizeof *found, by_hits);
    size_t first = n > most ? n - most : 0;
    for (size_t i = first; i < n; i++)
        out[i - first] = (struct context_item){.path = found[i]->path,
                                               .text = found[i]->text.data,
                                               .len = found[i]->text.len,
                                               .kind = CONTEXT_SIGNATURE,
                                               .score = (double)found[i]->hits};
    return n - first;
}
