/* hearth list [--all] */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "model/model.h"
#include "store/store.h"

struct list_options {
    bool all, json;
};

/* A line of the list: an installed model, an entry of the catalogue, or both. */
struct row {
    const char *name;
    const struct catalogue_model *info;
    const struct store_model *installed; /* or NULL */
    bool is_default;
};

struct rows {
    struct row *items;
    size_t len;
};

static const struct store_model *find_installed(const struct store_models *list, const char *name)
{
    for (size_t i = 0; i < list->len; i++)
        if (strcmp(list->items[i].name, name) == 0) return &list->items[i];
    return NULL;
}

/* Catalogue order first (its author's order of preference), then models of the user's own. */
static enum status collect(const struct store *s, const struct store_models *installed, bool all,
                           struct rows *out, struct error *err)
{
    const struct catalogue *c = store_catalogue(s);
    const struct catalogue_model *standard = catalogue_default(c);
    size_t n = catalogue_n_models(c);
    out->items = calloc(n + installed->len + 1, sizeof *out->items);
    out->len = 0;
    if (!out->items) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const struct catalogue_model *m = catalogue_at(c, i);
        const struct store_model *own = find_installed(installed, m->name);
        if (own || all) out->items[out->len++] = (struct row){m->name, m, own, m == standard};
    }
    for (size_t i = 0; i < installed->len; i++) {
        const struct store_model *own = &installed->items[i];
        const struct catalogue_model *m = catalogue_find(c, own->name);
        if (!m || strcmp(m->name, own->name) != 0)
            out->items[out->len++] = (struct row){own->name, &own->info, own, false};
    }
    return OK;
}

static json_t *text_or_null(const char *s)
{
    return s ? json_string(s) : json_null();
}

static json_t *count_or_null(uint64_t n)
{
    return n ? json_integer((json_int_t)n) : json_null();
}

static json_t *row_json(const struct row *r)
{
    const struct catalogue_model *m = r->info;
    const struct store_model *own = r->installed;
    json_t *tags = json_array();
    for (size_t i = 0; i < m->n_tags; i++) json_array_append_new(tags, json_string(m->tags[i]));
    return json_pack(
        "{s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "name",
        r->name, "default", r->is_default, "installed", own != NULL, "title",
        text_or_null(m->title), "tags", tags, "architecture", text_or_null(m->architecture),
        "parameters", text_or_null(m->parameters), "quantization", text_or_null(m->quantization),
        "license", text_or_null(m->license), "context", count_or_null(m->context), "bytes",
        count_or_null(own ? own->bytes : m->bytes), "fim", m->fim, "sha256",
        text_or_null(own ? own->sha256 : m->sha256), "path", text_or_null(own ? own->path : NULL),
        "pulled_at", text_or_null(own ? own->pulled_at : NULL), "problem",
        text_or_null(own ? own->problem : NULL));
}

static int print_json(const struct rows *rows)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rows->len; i++) json_array_append_new(list, row_json(&rows->items[i]));
    json_t *root = json_pack("{s:o}", "models", list);
    int rc = root ? json_dumpf(root, stdout, JSON_INDENT(2)) : -1;
    putchar('\n');
    json_decref(root);
    return rc == 0 ? EXIT_OK : EXIT_FAILED;
}

static const char *size_text(const struct row *r, char *dst, size_t cap)
{
    char exact[32];
    uint64_t n = r->installed ? r->installed->bytes : r->info->bytes;
    if (n) return cli_format_bytes(n, dst, cap);
    if (!r->info->approx_bytes) return "?";
    snprintf(dst, cap, "~%s", cli_format_bytes(r->info->approx_bytes, exact, sizeof exact));
    return dst;
}

/* '?' for what neither the catalogue nor the file told. */
static const char *or_unknown(const char *s)
{
    return s ? s : "?";
}

/* Of a file of one's own only a yes is certain. */
static const char *fim_text(const struct row *r)
{
    bool own = r->installed && r->info == &r->installed->info;
    return r->info->fim ? "yes" : own ? "?" : "-";
}

static const char *state_text(const struct row *r, bool all)
{
    if (r->installed && r->installed->problem) return "damaged";
    if (r->info->architecture && !model_knows_arch(r->info->architecture)) return "can't run";
    return all && r->installed ? "installed" : "";
}

static void print_table(const struct rows *rows, bool all)
{
    size_t width = strlen("NAME");
    for (size_t i = 0; i < rows->len; i++) {
        size_t len = strlen(rows->items[i].name) + (rows->items[i].is_default ? 10 : 0);
        if (len > width) width = len;
    }
    bool color = cli_color(1);
    printf("%s%-*s  %8s  %-6s  %-7s  %7s  FIM%s%s\n", color ? "\033[1m" : "", (int)width, "NAME",
           "SIZE", "PARAMS", "QUANT", "CONTEXT", all ? "  STATE" : "", color ? "\033[0m" : "");
    for (size_t i = 0; i < rows->len; i++) {
        const struct row *r = &rows->items[i];
        char size[40], context[24] = "?", name[STORE_NAME_SIZE + 16];
        if (r->info->context)
            snprintf(context, sizeof context, "%llu", (unsigned long long)r->info->context);
        snprintf(name, sizeof name, "%s%s", r->name, r->is_default ? " (default)" : "");
        const char *state = state_text(r, all);
        printf("%-*s  %8s  %-6s  %-7s  %7s  %s", (int)width, name, size_text(r, size, sizeof size),
               or_unknown(r->info->parameters), or_unknown(r->info->quantization), context,
               fim_text(r));
        /* Only what follows is padded: lines do not end in blanks. */
        if (*state) printf("%*s%s", r->info->fim ? 2 : 4, "", state);
        putchar('\n');
    }
}

static void print_remarks(const struct store *s, const struct rows *rows, bool all)
{
    size_t count;
    uint64_t bytes;
    char size[32];
    for (size_t i = 0; i < rows->len; i++)
        if (rows->items[i].installed && rows->items[i].installed->problem)
            printf("\n%s: %s\nTo repair it: hearth pull %s\n", rows->items[i].name,
                   rows->items[i].installed->problem, rows->items[i].name);
    if (store_unfinished(s, &count, &bytes, NULL) == OK && count > 0)
        printf(
            "%s%zu unfinished download%s, %s: hearth pull goes on with it, hearth rm --unfinished "
            "deletes it\n",
            rows->len ? "\n" : "", count, count == 1 ? "" : "s",
            cli_format_bytes(bytes, size, sizeof size));
    if (!all && rows->len == 0)
        printf(
            "No model is installed. 'hearth pull' gets the default one, 'hearth list --all' shows "
            "the rest.\n");
}

static int run(const void *options, int argc, char **argv)
{
    (void)argc, (void)argv;
    const struct list_options *o = options;
    struct error err = {0};
    struct store *s = NULL;
    struct store_models installed = {0};
    struct rows rows = {0};
    int code = EXIT_OK;
    if (store_open(NULL, &s, &err) || store_list(s, &installed, &err) ||
        collect(s, &installed, o->all, &rows, &err)) {
        code = cli_fail(&err);
    } else if (o->json) {
        code = print_json(&rows);
    } else {
        if (rows.len > 0) print_table(&rows, o->all);
        print_remarks(s, &rows, o->all);
    }
    free(rows.items);
    store_models_fini(&installed);
    store_close(s);
    return code;
}

static const struct option options[] = {
    {"all", 'a', OPTION_FLAG, NULL, "The whole catalogue, installed or not",
     offsetof(struct list_options, all), 0, 0},
    {"json", 0, OPTION_FLAG, NULL, "Print JSON", offsetof(struct list_options, json), 0, 0},
    {0},
};

const struct command cmd_list = {
    .name = "list",
    .summary = "Show installed models, or all that can be pulled",
    .usage = "list [--all] [--json]",
    .description =
        "Sizes with a '~' are approximate: the exact one is known once the hub is asked.\n"
        "A file catalogue.json in HEARTH_HOME adds models of your own, in the format of the one "
        "that\n"
        "comes with Hearth.\n"
        "\n"
        "Examples:\n"
        "  hearth list\n"
        "  hearth list --all\n"
        "  hearth list --json\n",
    .options = options,
    .options_size = sizeof(struct list_options),
    .run = run,
};
