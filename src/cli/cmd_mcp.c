/* hearth mcp: a project's index as tools for agents. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/load.h"
#include "cli/mcp.h"
#include "cli/index_store.h"
#include "cli/project_search.h"
#include "index/answer_json.h"
#include "index/project_file.h"
#include "index/project_map.h"

enum { HIT_LINES = 60, READ_LINES = 400, MAX_READ_LINES = 2000, MAX_LINE_BYTES = 2000, FIRST_INDEX_SECONDS = 20 };

struct mcp_options {
    const char *embed_model, *store;
    int64_t threads;
    bool words, no_update;
};

static const struct option options[] = {
    {"words", 0, OPTION_FLAG, NULL, "Search by words and names alone, without the embedding model",
     offsetof(struct mcp_options, words), 0, 0},
    {"embed-model", 'e', OPTION_STRING, "MODEL", "The embedding model, where it moved since indexing",
     offsetof(struct mcp_options, embed_model), 0, 0},
    {"store", 0, OPTION_STRING, "URL", CLI_STORE_HELP, offsetof(struct mcp_options, store), 0, 0},
    {"no-update", 0, OPTION_FLAG, NULL, "Take the index as it is; do not follow changes",
     offsetof(struct mcp_options, no_update), 0, 0},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct mcp_options, threads), 1, 1024},
    {0},
};

struct tools {
    struct project_search search;
    bool follows;
    atomic_bool current; /* the first update is over */
    volatile int stop;
    pthread_t thread;
};

/* ---- arguments ---- */

static enum status arg_text(const json_t *args, const char *key, const char **out, bool needed, struct error *err)
{
    const json_t *v = json_object_get(args, key);
    if (!v || json_is_null(v)) return needed ? error_set(err, ERR_INVALID, "\"%s\" is missing", key) : OK;
    if (!json_is_string(v)) return error_set(err, ERR_INVALID, "\"%s\" is not a string", key);
    if (strlen(json_string_value(v)) != json_string_length(v)) return error_set(err, ERR_INVALID, "\"%s\" has a NUL", key);
    if (json_string_length(v) > 8192) return error_set(err, ERR_INVALID, "\"%s\" has more than 8192 bytes", key);
    *out = json_string_value(v);
    return OK;
}

static enum status arg_number(const json_t *args, const char *key, int64_t max, int64_t *out, struct error *err)
{
    const json_t *v = json_object_get(args, key);
    if (!v || json_is_null(v)) return OK;
    double x = json_number_value(v);
    if (!json_is_number(v) || !(x >= 1 && x <= (double)max) || x != (double)(int64_t)x)
        return error_set(err, ERR_INVALID, "\"%s\" is no whole number from 1 to %lld", key, (long long)max);
    *out = (int64_t)x;
    return OK;
}

/* Up to 64 strings, borrowed. */
static enum status arg_list(const json_t *args, const char *key, struct string_list *out, struct error *err)
{
    const json_t *v = json_object_get(args, key);
    if (!v || json_is_null(v)) return OK;
    if (!json_is_array(v) || json_array_size(v) > 64) return error_set(err, ERR_INVALID, "\"%s\" is no list of up to 64 strings", key);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *s = json_string_value(json_array_get(v, i));
        if (!s) return error_set(err, ERR_INVALID, "\"%s\" is no list of up to 64 strings", key);
        out->items[out->len++] = s;
    }
    return OK;
}

/* ---- answers ---- */

/* The index; a first update in the background is waited for, for a while. */
static enum status ready(struct tools *t, struct error *err)
{
    for (int i = 0; t->follows && !atomic_load(&t->current) && i < 20 * FIRST_INDEX_SECONDS; i++) usleep(50000);
    enum status st = project_search_open(&t->search, err);
    if (st && t->follows && !atomic_load(&t->current)) return error_set(err, ERR_BUSY, "the project is being indexed; ask again in a while");
    return st;
}

/* `n` lines of a text, each with its number; *shown of them went in before the answer was full. */
static enum status append_lines(struct buf *out, const char *p, const char *end, uint32_t line, size_t n, size_t *shown)
{
    enum status st = OK;
    for (*shown = 0; st == OK && *shown < n && p < end; ++*shown) {
        const char *e = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((e ? e : end) - p);
        bool cut = len > MAX_LINE_BYTES;
        if (out->len + len + 256 > out->max) break;
        st = buf_printf(out, "%6u  ", line + (uint32_t)*shown);
        if (st == OK) st = buf_append(out, p, cut ? MAX_LINE_BYTES : len);
        if (st == OK) st = buf_append_str(out, cut ? "...\n" : "\n");
        p = e ? e + 1 : end;
    }
    return st;
}

static enum status write_hits(const struct tools *t, const struct index_hits *h, struct buf *out)
{
    enum status st = OK;
    for (size_t i = 0; st == OK && i < h->n; i++) {
        const struct index_hit *x = &h->list[i];
        size_t shown, lines = x->end_line - x->line + 1;
        if (out->len + strlen(x->path) + strlen(x->name) + 512 > out->max)
            return buf_append_str(out, "(the rest is left out: ask for fewer)\n");
        st = buf_printf(out, "%s:%u-%u  %s%s%s\n", x->path, x->line, x->end_line, syntax_kind_name(x->kind), *x->name ? " " : "",
                        x->name);
        if (st == OK) st = append_lines(out, x->text, x->text + x->text_len, x->line, lines < HIT_LINES ? lines : HIT_LINES, &shown);
        if (st == OK) st = buf_append_str(out, shown < lines ? "        ... (read shows the rest)\n\n" : "\n");
    }
    if (st == OK && h->n == 0) st = buf_append_str(out, "nothing found\n");
    if (st == OK && *t->search.note && out->len + 600 < out->max) st = buf_printf(out, "(%s)\n", t->search.note);
    return st;
}

static enum status call_search(void *ctx, const json_t *args, struct mcp_answer *out, struct error *err)
{
    struct tools *t = ctx;
    struct index_hits hits = {0};
    struct string_list kinds = {0};
    struct index_query q = {.text = ""};
    int64_t limit = 8;
    q.literal = json_is_true(json_object_get(args, "literal"));
    enum status st = arg_text(args, "query", &q.text, true, err);
    if (st == OK) st = arg_text(args, "language", &q.language, false, err);
    if (st == OK) st = arg_text(args, "under", &q.under, false, err);
    if (st == OK) st = arg_number(args, "limit", 50, &limit, err);
    if (st == OK) st = arg_list(args, "kinds", &kinds, err);
    for (size_t i = 0; st == OK && i < kinds.len; i++) st = index_json_kind(kinds.items[i], &q.kinds, err);
    if (st == OK) st = ready(t, err);
    q.limit = (size_t)limit;
    if (st == OK) st = project_search_find(&t->search, &q, &hits, err);
    if (st == OK && (st = write_hits(t, &hits, &out->text)) != OK) error_set(err, st, "no memory for the answer");
    if (st == OK) out->data = index_json_hits(&hits);
    /* The text holds the code already. */
    for (size_t i = 0; i < json_array_size(json_object_get(out->data, "hits")); i++)
        json_object_del(json_array_get(json_object_get(out->data, "hits"), i), "text");
    index_hits_fini(&hits);
    return st;
}

static enum status call_symbols(void *ctx, const json_t *args, bool definition, struct mcp_answer *out, struct error *err)
{
    struct tools *t = ctx;
    struct index_symbols s = {0};
    const char *name = NULL;
    int64_t limit = 50;
    enum status st = arg_text(args, "name", &name, true, err);
    if (st == OK) st = arg_number(args, "limit", 500, &limit, err);
    if (st == OK) st = ready(t, err);
    if (st == OK) st = (definition ? index_definitions : index_references)(t->search.ix, name, (size_t)limit, &s, err);
    enum status w = OK;
    for (size_t i = 0; st == OK && w == OK && i < s.n; i++) {
        const struct index_symbol *x = &s.list[i];
        const char *what = *x->signature ? x->signature : x->name;
        if (out->text.len + strlen(x->path) + strlen(what) + 200 > out->text.max) break;
        w = buf_printf(&out->text, "%s:%u:%u  %s%s%s\n", x->path, x->line, x->column + 1, definition ? syntax_kind_name(x->kind) : "",
                       definition ? "  " : "", what);
    }
    if (st == OK && w == OK && s.n == 0) w = buf_append_str(&out->text, "nothing found\n");
    if (st == OK && w == OK && s.more) w = buf_append_str(&out->text, "... and more\n");
    if (w) st = error_set(err, w, "no memory for the answer");
    if (st == OK) out->data = index_json_symbols(&s);
    index_symbols_fini(&s);
    return st;
}

static enum status call_definition(void *ctx, const json_t *args, struct mcp_answer *out, struct error *err)
{
    return call_symbols(ctx, args, true, out, err);
}

static enum status call_references(void *ctx, const json_t *args, struct mcp_answer *out, struct error *err)
{
    return call_symbols(ctx, args, false, out, err);
}

static enum status write_range(const struct buf *text, const char *path, int64_t from, int64_t to, struct mcp_answer *out,
                               struct error *err)
{
    const char *p = text->data ? text->data : "", *end = p + text->len;
    int64_t total = 0;
    const char *start = end;
    for (const char *q = p; q < end; total++) {
        if (total + 1 == from) start = q;
        const char *e = memchr(q, '\n', (size_t)(end - q));
        q = e ? e + 1 : end;
    }
    if (from > total && total)
        return error_set(err, ERR_INVALID, "%.200s has %lld lines", path, (long long)total);
    if (to > total) to = total;
    if (to - from >= MAX_READ_LINES) to = from + MAX_READ_LINES - 1;
    size_t shown = 0;
    enum status st = buf_printf(&out->text, "%s (%lld lines)\n", path, (long long)total);
    if (st == OK && total) st = append_lines(&out->text, start, end, (uint32_t)from, (size_t)(to - from + 1), &shown);
    int64_t last = from + (int64_t)shown - 1;
    if (st == OK && last < total) st = buf_printf(&out->text, "(lines %lld to %lld of %lld)\n", (long long)from, (long long)last, (long long)total);
    return st ? error_set(err, st, "no memory for the answer") : OK;
}

static enum status call_read(void *ctx, const json_t *args, struct mcp_answer *out, struct error *err)
{
    struct tools *t = ctx;
    const char *path = NULL;
    char *inside = NULL;
    struct buf text;
    int64_t from = 1, to = 0;
    buf_init(&text, PROJECT_FILE_MAX);
    enum status st = arg_text(args, "path", &path, true, err);
    if (st == OK) st = arg_number(args, "start_line", 1 << 30, &from, err);
    if (st == OK) st = arg_number(args, "end_line", 1 << 30, &to, err);
    if (st == OK && to == 0) to = from + READ_LINES - 1;
    if (st == OK && to < from) st = error_set(err, ERR_INVALID, "\"end_line\" comes before \"start_line\"");
    if (st == OK) st = project_file_path(t->search.root, path, &inside, err);
    if (st == OK) st = project_file_read(t->search.root, inside, &text, err);
    if (st == OK) st = write_range(&text, inside, from, to, out, err);
    buf_fini(&text);
    free(inside);
    return st;
}

static enum status call_map(void *ctx, const json_t *args, struct mcp_answer *out, struct error *err)
{
    struct tools *t = ctx;
    struct string_list focus = {0}, mention = {0};
    struct project_map m;
    int64_t tokens = 1024;
    size_t shown = 0;
    enum status st = arg_number(args, "tokens", 16384, &tokens, err);
    if (st == OK) st = arg_list(args, "focus", &focus, err);
    if (st == OK) st = arg_list(args, "mention", &mention, err);
    if (st) return st;
    struct project_map_options o = {focus.items, focus.len, mention.items, mention.len};
    if ((st = project_map_read(t->search.root, &o, &m, err)) != OK) return st;
    st = project_map_print(&m, (size_t)tokens, &out->text, &shown, err);
    if (st == OK && shown < m.map.n_entries && out->text.len + 100 < out->text.max)
        buf_printf(&out->text, "(%zu of %zu definitions)\n", shown, m.map.n_entries);
    project_map_fini(&m);
    return st;
}

#define TEXT(name, what) "\"" name "\":{\"type\":\"string\",\"description\":\"" what "\"}"
#define NUMBER(name, max, what) "\"" name "\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":" max ",\"description\":\"" what "\"}"
#define LIST(name, what) "\"" name "\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":64,\"description\":\"" what "\"}"
#define OBJECT(members, needed) "{\"type\":\"object\",\"properties\":{" members "},\"required\":[" needed "]}"

static const struct mcp_tool tool_list[] = {
    {"search", "Search the code",
     "Finds the pieces of this project's code that fit a question or words best: by words, names and meaning. Answers with "
     "path:first-last line, kind, name and the code.",
     OBJECT(TEXT("query", "Words or a question; with literal, a piece of code") "," NUMBER("limit", "50", "Answers at most (8)") ","
            LIST("kinds", "Only these: function, method, class, struct, type, text, ...") ","
            TEXT("language", "Only this language: c, python, ...") "," TEXT("under", "Only below this folder") ","
            "\"literal\":{\"type\":\"boolean\",\"description\":\"Find the query letter by letter\"}", "\"query\""),
     call_search},
    {"definition", "Where a name is defined", "Lists the places that define exactly this name, with their signatures.",
     OBJECT(TEXT("name", "A name, or scope.name") "," NUMBER("limit", "500", "Answers at most (50)"), "\"name\""), call_definition},
    {"references", "Where a name is used", "Lists the places that call or mention exactly this name.",
     OBJECT(TEXT("name", "A name") "," NUMBER("limit", "500", "Answers at most (50)"), "\"name\""), call_references},
    {"read", "Read a file", "Shows lines of a file of this project with their numbers. Ignored files and those that hold secrets are refused.",
     OBJECT(TEXT("path", "Relative to the project") "," NUMBER("start_line", "1073741824", "The first line (1)") ","
            NUMBER("end_line", "1073741824", "The last line (400 lines from the first; at most 2000)"), "\"path\""),
     call_read},
    {"map", "Map of the project", "Lists the definitions that matter most in this project, by file.",
     OBJECT(NUMBER("tokens", "16384", "Length at most (1024)") "," LIST("focus", "See the project from these files") ","
            LIST("mention", "Weigh these identifiers more"), ""),
     call_map},
    {0},
};

/* ---- the index in the background ---- */

static void updated(void *ctx, const struct index_counts *counts)
{
    (void)counts;
    struct tools *t = ctx;
    atomic_store(&t->current, true);
}

/* Where another process writes the index, its turn is waited for; it keeps the index current meanwhile. */
static void *follow(void *ctx)
{
    struct tools *t = ctx;
    struct index_update_options opt = {.cache = t->search.cache, .background = true, .cancel = &t->stop, .ctx = t};
    while (!t->stop) {
        struct error err = {0};
        enum status st = index_watch(t->search.root, &opt, updated, &err);
        if (st != OK && st != ERR_CANCELLED && st != ERR_BUSY) fprintf(stderr, "hearth: the index is not kept current: %s\n", err.msg);
        atomic_store(&t->current, true);
        for (int i = 0; i < 50 && !t->stop; i++) usleep(100000);
    }
    return NULL;
}

static int run(const void *opts, int argc, char **argv)
{
    const struct mcp_options *o = opts;
    struct error err = {0};
    struct tools t = {.search = {.root = argc ? argv[0] : ".", .embed_model = o->embed_model, .store_url = o->store, .words = o->words,
                                 .threads = (int)o->threads}};
    struct mcp_server server = {.tools = tool_list, .ctx = &t, .version = HEARTH_VERSION,
                                .instructions = "Tools over one project's source code, on this machine. search finds code by words or "
                                                "meaning, definition and references find names, read shows files, map gives an overview."};
    signal(SIGPIPE, SIG_IGN);
    if (access(t.search.root, R_OK | X_OK) != 0) {
        error_set(&err, ERR_NOT_FOUND, "there is no folder %s", t.search.root);
        return cli_fail(&err);
    }
    enum status st = project_search_init(&t.search, &err);
    if (st == OK && !o->no_update) t.follows = pthread_create(&t.thread, NULL, follow, &t) == 0;
    if (st == OK) st = mcp_serve(&server, stdin, &err);
    t.stop = 1;
    if (t.follows) pthread_join(t.thread, NULL);
    project_search_fini(&t.search);
    return st == OK ? EXIT_OK : cli_fail(&err);
}

extern const struct command cmd_mcp;
const struct command cmd_mcp = {
    .name = "mcp",
    .summary = "Give agents a project's code as tools (MCP)",
    .usage = "mcp [DIR] [options]",
    .description =
        "Speaks the Model Context Protocol over standard input and output, for agents and editors that start\n"
        "tool servers: search, definition, references, read and map over the project DIR (default: here).\n"
        "Everything is read-only and stays below DIR; ignored files and those that by their names hold\n"
        "secrets are not shown. The project is indexed at the start and followed as it changes.\n"
        "\n"
        "Examples:\n"
        "  hearth mcp ~/src/project\n"
        "  claude mcp add hearth -- hearth mcp .\n",
    .options = options,
    .options_size = sizeof(struct mcp_options),
    .max_args = 1,
    .arg_metavar = "DIR",
    .run = run,
};
