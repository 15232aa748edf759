#include "index/project_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "index/walk_tree.h"

enum { BYTES_A_TOKEN = 3 }; /* of code, in the vocabularies of code models: 3.0 to 3.6; the lower is safe */

struct project {
    const char *root;
    const struct project_map_options *options;
    struct syntax_parser *parser;
    struct project_map *map;
    bool *focus_found; /* one for each file in focus */
    struct error *err;
};

/* A file in focus may be named from the project or from where the program runs. */
static bool in_focus(struct project *p, const char *path, const char *full)
{
    bool found = false;
    char *real = realpath(full, NULL);
    for (size_t i = 0; i < p->options->n_focus; i++) {
        const char *f = p->options->focus[i];
        char *other = realpath(f, NULL);
        if (strcmp(f, path) == 0 || (real && other && strcmp(real, other) == 0))
            found = p->focus_found[i] = true;
        free(other);
    }
    free(real);
    return found;
}

static enum status keep(struct project *p, const char *path, struct syntax_facts *facts, bool focus)
{
    struct project_map *m = p->map;
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 256;
        struct repo_map_file *f = realloc(m->files, cap * sizeof *f);
        if (!f) return error_set(p->err, ERR_NOMEM, "out of memory");
        m->files = f;
        m->cap = cap;
    }
    char *copy = strdup(path);
    if (!copy) return error_set(p->err, ERR_NOMEM, "out of memory");
    m->files[m->n++] = (struct repo_map_file){.path = copy, .facts = facts, .focus = focus};
    return OK;
}

static enum status add_file(void *ctx, const char *path, const struct stat *st)
{
    (void)st;
    struct project *p = ctx;
    const struct syntax_language *l = syntax_language_of(path, NULL, 0);
    if (!l) return OK;
    if (p->map->n >= PROJECT_MAP_MAX_FILES)
        return error_set(p->err, ERR_LIMIT, "more than %d files; name a smaller folder", PROJECT_MAP_MAX_FILES);
    char *full = NULL;
    if (asprintf(&full, "%s/%s", p->root, path) < 0) return error_set(p->err, ERR_NOMEM, "out of memory");
    struct file_map m;
    struct error ignored = {0};
    struct syntax_facts *facts = NULL;
    const struct syntax_facts_options o = {.want = SYNTAX_WANT_SYMBOLS};
    enum status s = OK;
    /* A file that went away or cannot be read is no part of the map. */
    if (file_map_open(full, &m, &ignored) == OK) {
        s = syntax_facts_read(p->parser, l, (const char *)m.data, m.size, &o, &facts, p->err);
        file_map_close(&m);
        if (s == OK) s = keep(p, path, facts, in_focus(p, path, full));
        if (s) syntax_facts_destroy(facts);
    }
    free(full);
    return s;
}

void project_map_fini(struct project_map *m)
{
    repo_map_fini(&m->map);
    for (size_t i = 0; i < m->n; i++) {
        free((char *)m->files[i].path);
        syntax_facts_destroy((struct syntax_facts *)m->files[i].facts);
    }
    free(m->files);
    *m = (struct project_map){0};
}

static int by_path(const void *x, const void *y)
{
    const struct repo_map_file *a = x, *b = y;
    return strcmp(a->path, b->path);
}

static size_t estimate_tokens(void *ctx, const char *text, size_t len)
{
    (void)ctx, (void)text;
    return (len + BYTES_A_TOKEN - 1) / BYTES_A_TOKEN;
}

enum status project_map_read(const char *root, const struct project_map_options *opt, struct project_map *out,
                             struct error *err)
{
    struct project p = {.root = root, .options = opt, .map = out, .err = err};
    *out = (struct project_map){0};
    p.focus_found = calloc(opt->n_focus + 1, sizeof *p.focus_found);
    enum status st = p.focus_found ? OK : error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK) st = syntax_parser_create(&p.parser, err);
    if (st == OK) st = walk_files(root, NULL, add_file, &p, NULL, err);
    for (size_t i = 0; i < opt->n_focus && st == OK; i++)
        if (!p.focus_found[i])
            st = error_set(err, ERR_NOT_FOUND, "%s is no source file of %s, or an ignored one", opt->focus[i], root);
    if (st == OK && out->n == 0) st = error_set(err, ERR_NOT_FOUND, "no source files in %s", root);
    if (st == OK) {
        qsort(out->files, out->n, sizeof *out->files, by_path);
        st = repo_map_init(&out->map, out->files, out->n, opt->mention, opt->n_mention, err);
    }
    free(p.focus_found);
    syntax_parser_destroy(p.parser);
    if (st) project_map_fini(out);
    return st;
}

enum status project_map_print(const struct project_map *m, size_t tokens, struct buf *out, size_t *n_shown,
                              struct error *err)
{
    enum status st = repo_map_print(&m->map, tokens, estimate_tokens, NULL, out, n_shown);
    return st ? error_set(err, st, "no memory for a map of %zu tokens", tokens) : OK;
}
