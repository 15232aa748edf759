/* hearth search: finds code in an indexed folder. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/embed_texts.h"
#include "cli/index_embed.h"
#include "cli/index_store.h"
#include "cli/load.h"
#include "index/answer_json.h"
#include "index/index.h"

struct search_cli_options {
    const char *dir, *embed_model, *store, *language, *under, *from, *file;
    struct string_list kinds;
    int64_t limit, threads;
    bool json, literal, words, definition, references;
};

extern const struct command cmd_search;

static const struct option options[] = {
    {"dir", 'C', OPTION_STRING, "DIR", "The folder that was indexed (default: here)",
     offsetof(struct search_cli_options, dir), 0, 0},
    {"file", 'f', OPTION_STRING, "FILE", "Each line of FILE is a query, and its answer a line of JSON",
     offsetof(struct search_cli_options, file), 0, 0},
    {"limit", 'n', OPTION_INT, "N", "Answers at most (default 10)", offsetof(struct search_cli_options, limit), 1, 200},
    {"kind", 'k', OPTION_LIST, "KIND", "Only these: function, method, class, struct, type, text and the like",
     offsetof(struct search_cli_options, kinds), 0, 0},
    {"lang", 'l', OPTION_STRING, "LANGUAGE", "Only this language, such as c or python",
     offsetof(struct search_cli_options, language), 0, 0},
    {"under", 'u', OPTION_STRING, "PATH", "Only below this folder of the project",
     offsetof(struct search_cli_options, under), 0, 0},
    {"from", 0, OPTION_STRING, "FILE", "Prefer what is near this file of the project",
     offsetof(struct search_cli_options, from), 0, 0},
    {"literal", 'F', OPTION_FLAG, NULL, "Find this very piece of code", offsetof(struct search_cli_options, literal), 0, 0},
    {"definition", 0, OPTION_FLAG, NULL, "QUERY is a name: where is it defined?",
     offsetof(struct search_cli_options, definition), 0, 0},
    {"references", 0, OPTION_FLAG, NULL, "QUERY is a name: where is it used?",
     offsetof(struct search_cli_options, references), 0, 0},
    {"words", 0, OPTION_FLAG, NULL, "By words and names alone, without the embedding model",
     offsetof(struct search_cli_options, words), 0, 0},
    {"embed-model", 'e', OPTION_STRING, "MODEL", "The embedding model, where it moved since indexing",
     offsetof(struct search_cli_options, embed_model), 0, 0},
    {"store", 0, OPTION_STRING, "URL", CLI_STORE_HELP, offsetof(struct search_cli_options, store), 0, 0},
    {"json", 0, OPTION_FLAG, NULL, "Print one JSON object", offsetof(struct search_cli_options, json), 0, 0},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct search_cli_options, threads), 1, 1024},
    {0},
};

static bool find_kinds(const struct string_list *list, uint64_t *out, struct error *err)
{
    *out = 0;
    for (size_t i = 0; i < list->len; i++)
        if (index_json_kind(list->items[i], out, err)) return false;
    return true;
}

/* Control characters in names and texts would steer the terminal. */
static void print_safe(const char *s, size_t n, bool lines)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        putchar(c >= 32 ? (c == 127 ? '?' : c) : c == '\t' || (c == '\n' && lines) ? c : '?');
    }
}

static enum status print_hits(const struct index_hits *h, bool json, struct error *err)
{
    if (json) return cli_print_json(index_json_hits(h), 0, err);
    if (*h->note) fprintf(stderr, "hearth: %s\n", h->note);
    bool color = cli_color(1);
    for (size_t i = 0; i < h->n; i++) {
        const struct index_hit *x = &h->list[i];
        if (color) fputs("\033[1m", stdout);
        print_safe(x->path, strlen(x->path), false);
        printf(":%u", x->line);
        if (color) fputs("\033[0m", stdout);
        printf("  %s%s", syntax_kind_name(x->kind), *x->name ? " " : "");
        print_safe(x->name, strlen(x->name), false);
        putchar('\n');
        const char *p = x->text, *end = x->text + x->text_len;
        for (int line = 0; line < 5 && p < end; line++) {
            const char *e = memchr(p, '\n', (size_t)(end - p));
            size_t n = (size_t)((e ? e : end) - p);
            fputs("    ", stdout);
            print_safe(p, n < 160 ? n : 160, false);
            putchar('\n');
            p = e ? e + 1 : end;
        }
        putchar('\n');
    }
    if (h->n == 0) printf("nothing found\n");
    return OK;
}

static enum status print_symbols(const struct index_symbols *s, bool json, struct error *err)
{
    if (json) return cli_print_json(index_json_symbols(s), 0, err);
    for (size_t i = 0; i < s->n; i++) {
        const struct index_symbol *x = &s->list[i];
        print_safe(x->path, strlen(x->path), false);
        printf(":%u:%u  ", x->line, x->column + 1);
        const char *what = *x->signature ? x->signature : x->name;
        print_safe(what, strlen(what), false);
        putchar('\n');
    }
    if (s->n == 0) printf("nothing found\n");
    if (s->more) printf("... and more\n");
    return OK;
}

static enum status find_symbols(struct index *ix, const struct search_cli_options *o, const char *name, struct error *err)
{
    struct index_symbols s = {0};
    enum status st = (o->definition ? index_definitions : index_references)(ix, name, (size_t)o->limit, &s, err);
    if (st == OK) st = print_symbols(&s, o->json, err);
    index_symbols_fini(&s);
    return st;
}

/* The model of the index's vectors. Without it the search goes on by words, and says so. */
static bool open_model(struct index *ix, const struct search_cli_options *o, struct index_embed *e,
                       struct index_embedder *embedder)
{
    struct index_info info;
    struct error err = {0};
    *e = (struct index_embed){0};
    if (o->words || o->literal || index_info_brief(ix, &info, &err) || info.vectors == 0) return false;
    if (index_embed_open(e, o->embed_model ? o->embed_model : info.model, (int)o->threads, embedder, &err) == OK) return true;
    fprintf(stderr, "hearth: by words alone: %s\n", err.msg);
    return false;
}

static enum status search_one(struct index *ix, struct index_query *q, const struct index_embedder *embedder, bool json,
                              struct error *err)
{
    struct index_hits hits = {0};
    struct index_text text = {q->text, strlen(q->text)};
    float *v = embedder ? malloc(embedder->dim * sizeof *v) : NULL;
    enum status st = OK;
    if (embedder && !v) st = error_set(err, ERR_NOMEM, "out of memory");
    if (v && text.len) st = embedder->embed(embedder->ctx, &text, 1, v, err);
    q->vector = text.len ? v : NULL;
    q->dim = embedder ? embedder->dim : 0;
    if (st == OK) st = index_search(ix, q, &hits, err);
    if (st == OK) st = print_hits(&hits, json, err);
    index_hits_fini(&hits);
    free(v);
    return st;
}

static enum status search_lines(struct index *ix, struct index_query *q, const struct index_embedder *embedder,
                                const char *path, struct error *err)
{
    struct embed_texts lines;
    enum status st = embed_texts_read(&lines, path, 0, NULL, err);
    for (size_t i = 0; st == OK && i < lines.n; i++) {
        char *line = strndup(lines.list[i].data, lines.list[i].len);
        q->text = line;
        st = line ? search_one(ix, q, embedder, true, err) : error_set(err, ERR_NOMEM, "out of memory");
        free(line);
    }
    embed_texts_fini(&lines);
    return st;
}

static int run(const void *opts, int argc, char **argv)
{
    const struct search_cli_options *o = opts;
    struct error err = {0};
    struct index *ix = NULL;
    struct index_query q = {.text = argc ? argv[0] : "", .literal = o->literal, .limit = (size_t)o->limit,
                            .language = o->language, .under = o->under, .from = o->from};
    if (!argc && !o->file) return cli_usage_error(&cmd_search, "missing QUERY; usage: hearth search QUERY");
    if (!find_kinds(&o->kinds, &q.kinds, &err)) return cli_fail(&err);
    char *cache = cli_index_cache(&err);
    enum status st = cache ? index_open(o->dir ? o->dir : ".", cache, &ix, &err) : err.code;
    if (st == OK && (o->definition || o->references)) {
        st = find_symbols(ix, o, q.text, &err);
    } else if (st == OK) {
        struct index_embed e;
        struct index_embedder embedder, *use = open_model(ix, o, &e, &embedder) ? &embedder : NULL;
        if (use) st = cli_store_open(o->store, true, NULL, &q.store, &err);
        if (st == OK) st = o->file ? search_lines(ix, &q, use, o->file, &err) : search_one(ix, &q, use, o->json, &err);
        index_embed_close(&e);
        cli_store_close(q.store);
    }
    index_close(ix);
    free(cache);
    return st == OK ? EXIT_OK : cli_fail(&err);
}

const struct command cmd_search = {
    .name = "search",
    .summary = "Find code in an indexed project",
    .usage = "search QUERY [options]",
    .description =
        "Finds the pieces of code that fit QUERY best: by words (identifiers whole and in parts), by\n"
        "names, and by meaning where the index has vectors. Run `hearth index` first.\n"
        "\n"
        "Examples:\n"
        "  hearth search 'where are requests parsed'\n"
        "  hearth search --kind function --lang c 'read file'\n"
        "  hearth search -F 'errno == EINTR'\n"
        "  hearth search --definition http_server_create\n",
    .options = options,
    .options_size = sizeof(struct search_cli_options),
    .max_args = 1,
    .arg_metavar = "QUERY",
    .run = run,
};
