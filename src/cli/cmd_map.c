/* hearth map: the definitions that matter most in a project, fitted to a budget of tokens. */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "index/walk_tree.h"
#include "syntax/repo_map.h"

enum {
    MAX_MAP_FILES = 200000,
    MAX_MAP_BYTES = 64 << 20,
    BYTES_A_TOKEN = 3, /* of code, in the vocabularies of code models: 3.0 to 3.6; the lower is safe */
};

struct map_options {
    int64_t tokens;
    struct string_list focus, mention;
    bool json;
};

static const struct option options[] = {
    {"tokens", 't', OPTION_INT, "N", "Budget in tokens, by estimate (default 1024)",
     offsetof(struct map_options, tokens), 1, 10000000},
    {"focus", 'f', OPTION_LIST, "FILE", "See the project from this file, and leave the file out",
     offsetof(struct map_options, focus), 0, 0},
    {"mention", 0, OPTION_LIST, "NAME", "Weigh this identifier more",
     offsetof(struct map_options, mention), 0, 0},
    {"json", 0, OPTION_FLAG, NULL, "Print the ranked definitions as JSON",
     offsetof(struct map_options, json), 0, 0},
    {0},
};

static void set_defaults(void *p)
{
    ((struct map_options *)p)->tokens = 1024;
}

struct project {
    const char *root;
    const struct map_options *options;
    struct syntax_parser *parser;
    struct repo_map_file *files; /* owned, with paths and facts */
    size_t n, cap;
    bool *focus_found; /* one for each --focus */
    struct error *err;
};

/* A --focus may be relative to the project or to where the command runs. */
static bool in_focus(struct project *p, const char *path, const char *full)
{
    bool found = false;
    char *real = realpath(full, NULL);
    for (size_t i = 0; i < p->options->focus.len; i++) {
        const char *f = p->options->focus.items[i];
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
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 256;
        struct repo_map_file *f = realloc(p->files, cap * sizeof *f);
        if (!f) return error_set(p->err, ERR_NOMEM, "out of memory");
        p->files = f;
        p->cap = cap;
    }
    char *copy = strdup(path);
    if (!copy) return error_set(p->err, ERR_NOMEM, "out of memory");
    p->files[p->n++] = (struct repo_map_file){.path = copy, .facts = facts, .focus = focus};
    return OK;
}

static enum status add_file(void *ctx, const char *path, const struct stat *st)
{
    (void)st;
    struct project *p = ctx;
    const struct syntax_language *l = syntax_language_of(path, NULL, 0);
    if (!l) return OK;
    if (p->n >= MAX_MAP_FILES)
        return error_set(p->err, ERR_LIMIT, "more than %d files; name a smaller folder", MAX_MAP_FILES);
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

static void project_fini(struct project *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free((char *)p->files[i].path);
        syntax_facts_destroy((struct syntax_facts *)p->files[i].facts);
    }
    free(p->files);
    free(p->focus_found);
    syntax_parser_destroy(p->parser);
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

/* Names in files may be any bytes; JSON takes UTF-8 only. */
static json_t *text_value(const char *s)
{
    json_t *v = json_string(s);
    if (v) return v;
    char *copy = strdup(s);
    if (!copy) return NULL;
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    v = json_string(copy);
    free(copy);
    return v;
}

static enum status print_json(const struct repo_map *m, size_t n, struct error *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n && list; i++) {
        const struct repo_map_entry *e = &m->entries[i];
        const struct syntax_definition *d = &m->files[e->file].facts->definitions[e->definition];
        json_t *o = json_pack("{s:o?, s:i, s:s, s:o?, s:o?, s:o?, s:f}", "path",
                              text_value(m->files[e->file].path), "line", (int)d->line, "kind",
                              syntax_kind_name(d->kind), "name", text_value(d->name), "scope",
                              text_value(d->scope), "signature", text_value(d->signature), "rank",
                              e->rank);
        if (!o || json_array_append_new(list, o)) {
            json_decref(list);
            list = NULL;
        }
    }
    char *text = list ? json_dumps(list, JSON_INDENT(2)) : NULL;
    enum status st = text ? OK : error_set(err, ERR_NOMEM, "out of memory for the map's JSON");
    if (text) puts(text);
    free(text);
    json_decref(list);
    return st;
}

static enum status print_map(struct project *p, struct error *err)
{
    const struct map_options *o = p->options;
    struct repo_map m = {0};
    struct buf out;
    size_t shown = 0;
    buf_init(&out, MAX_MAP_BYTES);
    if (p->n) qsort(p->files, p->n, sizeof *p->files, by_path);
    enum status st = repo_map_init(&m, p->files, p->n, o->mention.items, o->mention.len, err);
    if (st == OK) {
        st = repo_map_print(&m, (size_t)o->tokens, estimate_tokens, NULL, &out, &shown);
        if (st) error_set(err, st, "no memory for a map of %lld tokens", (long long)o->tokens);
    }
    if (st == OK && o->json)
        st = print_json(&m, shown, err);
    else if (st == OK && out.len)
        fwrite(out.data, 1, out.len, stdout);
    if (st == OK && m.n_entries > shown)
        fprintf(stderr, "%zu of %zu definitions; --tokens for more\n", shown, m.n_entries);
    repo_map_fini(&m);
    buf_fini(&out);
    return st;
}

static int run(const void *opts, int argc, char **argv)
{
    const struct map_options *o = opts;
    struct error err = {0};
    struct project p = {.root = argc ? argv[0] : ".", .options = o, .err = &err};
    p.focus_found = calloc(o->focus.len + 1, sizeof *p.focus_found);
    enum status st = p.focus_found ? OK : error_set(&err, ERR_NOMEM, "out of memory");
    if (st == OK) st = syntax_parser_create(&p.parser, &err);
    if (st == OK) st = walk_files(p.root, NULL, add_file, &p, NULL, &err);
    for (size_t i = 0; i < o->focus.len && st == OK; i++)
        if (!p.focus_found[i])
            st = error_set(&err, ERR_NOT_FOUND, "%s is no source file of %s, or an ignored one",
                           o->focus.items[i], p.root);
    if (st == OK && p.n == 0)
        st = error_set(&err, ERR_NOT_FOUND, "no source files in %s", p.root);
    if (st == OK) st = print_map(&p, &err);
    project_fini(&p);
    return st == OK ? EXIT_OK : cli_fail(&err);
}

extern const struct command cmd_map;
const struct command cmd_map = {
    .name = "map",
    .summary = "Show a project's most important definitions",
    .usage = "map [DIR] [options]",
    .description =
        "Reads every source file under DIR (default: here) that git would not ignore, and prints the\n"
        "functions, types and macros that the rest refers to most, with their lines. With --focus, what\n"
        "matters is what those files depend on, near or far.\n"
        "\n"
        "A token is taken for 3 bytes.\n"
        "\n"
        "Examples:\n"
        "  hearth map\n"
        "  hearth map src --tokens 2000\n"
        "  hearth map --focus src/main.c --mention parse_header --json\n",
    .options = options,
    .options_size = sizeof(struct map_options),
    .init = set_defaults,
    .max_args = 1,
    .arg_metavar = "DIR",
    .run = run,
};
