/* hearth map: the definitions that matter most in a project, fitted to a budget of tokens. */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "index/project_map.h"

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

static enum status print_map(const struct project_map *p, const struct map_options *o, struct error *err)
{
    struct buf out;
    size_t shown = 0;
    buf_init(&out, PROJECT_MAP_MAX_BYTES);
    enum status st = project_map_print(p, (size_t)o->tokens, &out, &shown, err);
    if (st == OK && o->json)
        st = print_json(&p->map, shown, err);
    else if (st == OK && out.len)
        fwrite(out.data, 1, out.len, stdout);
    if (st == OK && p->map.n_entries > shown)
        fprintf(stderr, "%zu of %zu definitions; --tokens for more\n", shown, p->map.n_entries);
    buf_fini(&out);
    return st;
}

static int run(const void *opts, int argc, char **argv)
{
    const struct map_options *o = opts;
    struct error err = {0};
    struct project_map p;
    struct project_map_options opt = {o->focus.items, o->focus.len, o->mention.items, o->mention.len};
    enum status st = project_map_read(argc ? argv[0] : ".", &opt, &p, &err);
    if (st == OK) {
        st = print_map(&p, o, &err);
        project_map_fini(&p);
    }
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
