/* hearth complete: the code that belongs at a position in a file. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "assist/complete.h"
#include "assist/cursor.h"
#include "assist/technique.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/complete_cache.h"
#include "cli/complete_context.h"
#include "cli/complete_json.h"
#include "cli/complete_show.h"
#include "cli/complete_stdio.h"
#include "cli/confined.h"
#include "cli/load.h"
#include "infer/engine.h"

enum { MAX_FILE_BYTES = 64 << 20 };

struct complete_options {
    const char *at, *model, *kv_type, *without, *project;
    int64_t max_tokens, ctx, threads, top_k, seed;
    double deadline, temperature, top_p, min_p, context_share, context_ms;
    bool single_line, multiline, raw, force, json, show, stdio, cache_session, forget_sessions,
        approximate;
};

extern const struct command cmd_complete;

static const struct option options[] = {
    {"at", 0, OPTION_STRING, "LINE:COL",
     "Where: lines and columns count from 1, a column is a character. Without it the file must "
     "hold " CURSOR_MARKER " once.",
     offsetof(struct complete_options, at)},
    {"model", 'm', OPTION_STRING, "MODEL", "Model name, or path to a GGUF file",
     offsetof(struct complete_options, model)},
    {"max-tokens", 'n', OPTION_INT, "N", "Generate at most N tokens (default 128)",
     offsetof(struct complete_options, max_tokens), 1, 1e9},
    {"single-line", 0, OPTION_FLAG, NULL, "Fill in the cursor's line only",
     offsetof(struct complete_options, single_line)},
    {"multiline", 0, OPTION_FLAG, NULL,
     "Fill in any number of lines (default: decided by the text around the cursor)",
     offsetof(struct complete_options, multiline)},
    {"raw", 0, OPTION_FLAG, NULL, "Keep all that the model says up to its end token",
     offsetof(struct complete_options, raw)},
    {"without", 0, OPTION_STRING, "LIST",
     "Leave techniques out, with commas between, to measure what each one adds: blanks, heal, "
     "syntax, fit, choose, far, ranks, plain, inner",
     offsetof(struct complete_options, without)},
    {"show", 0, OPTION_FLAG, NULL, "Print the lines around the cursor with the completion in them",
     offsetof(struct complete_options, show)},
    {"json", 0, OPTION_FLAG, NULL,
     "Print a JSON object: the text, why it ended, token counts, timings",
     offsetof(struct complete_options, json)},
    {"stdio", 0, OPTION_FLAG, NULL,
     "Read requests as lines of JSON and answer each with one, for editors and scripts",
     offsetof(struct complete_options, stdio)},
    {"project", 'p', OPTION_STRING, "DIR",
     "Show the model what the file uses of this project, from the index that `hearth index` keeps",
     offsetof(struct complete_options, project)},
    {"context-share", 0, OPTION_FLOAT, "P",
     "The most of a prompt that the project's other files may have (default 0.4, but 512 tokens "
     "are the file's own before others have any)",
     offsetof(struct complete_options, context_share), 0.01, 0.9},
    {"context-deadline", 0, OPTION_FLOAT, "MS",
     "Look no longer for them (default 12): what was found by then is used",
     offsetof(struct complete_options, context_ms), 0.1, 1e6},
    {"approximate-reuse", 0, OPTION_FLAG, NULL,
     "After an edit, keep what was read of the text behind it: faster, but answers may differ",
     offsetof(struct complete_options, approximate)},
    {"cache-session", 0, OPTION_FLAG, NULL,
     "Keep what was read of the file on disk, in a form that its text can be told from, for an "
     "instant start next time",
     offsetof(struct complete_options, cache_session)},
    {"forget-sessions", 0, OPTION_FLAG, NULL, "Delete all that --cache-session has kept",
     offsetof(struct complete_options, forget_sessions)},
    {"deadline", 0, OPTION_FLOAT, "MS",
     "Stop after this many milliseconds with what there is, the model's loading not counted",
     offsetof(struct complete_options, deadline), 0.001, 1e9},
    {"ctx", 'c', OPTION_INT, "N",
     "Tokens of the text around the cursor and the completion together (default: 4096, or the "
     "model's own if less)",
     offsetof(struct complete_options, ctx), 1, 1e9},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct complete_options, threads), 1, 1024},
    OPTION_KV_TYPE(struct complete_options),
    {"temperature", 0, OPTION_FLOAT, "T",
     "0 takes the most probable token (default), 1 draws as the model predicts",
     offsetof(struct complete_options, temperature), 0, 100},
    {"top-k", 0, OPTION_INT, "K", "Draw from the K most probable tokens only (0: off)",
     offsetof(struct complete_options, top_k), 0, 1e9},
    {"top-p", 0, OPTION_FLOAT, "P",
     "Draw from the fewest tokens that together reach probability P (1: off)",
     offsetof(struct complete_options, top_p), 0, 1},
    {"min-p", 0, OPTION_FLOAT, "P",
     "Drop tokens less probable than P times the most probable one (0: off)",
     offsetof(struct complete_options, min_p), 0, 1},
    {"seed", 's', OPTION_INT, "N",
     "Seed of the draw (default 0): the same seed gives the same text",
     offsetof(struct complete_options, seed), 0, 9e18},
    {"force", 0, OPTION_FLAG, NULL, "Also read files that by their name hold keys or passwords",
     offsetof(struct complete_options, force)},
    {0},
};

static void init(void *p)
{
    struct complete_options *o = p;
    struct sample_params s = sample_params_default();
    *o = (struct complete_options){.max_tokens = 128,
                                   .context_ms = 1e3 * INDEX_CONTEXT_SECONDS,
                                   .temperature = (double)s.temperature,
                                   .top_k = s.top_k,
                                   .top_p = (double)s.top_p,
                                   .min_p = (double)s.min_p};
}

/* ---- the file and the position ------------------------------------------------------------------
 */

struct document {
    const char *name; /* for messages and for the model */
    char *full;       /* owned: its absolute path; NULL = standard input */
    struct buf text;
    size_t prefix_len;   /* the cursor */
    size_t suffix_start; /* after the marker, where there is one */
    uint64_t line, column;
};

static enum status parse_position(const char *at, uint64_t *line, uint64_t *column,
                                  struct error *err)
{
    unsigned long long l = 0, c = 0;
    int end = 0;
    size_t digits = strspn(at, "0123456789:");
    if (digits != strlen(at) || digits > 40 || sscanf(at, "%18llu:%18llu%n", &l, &c, &end) != 2 ||
        at[end] || !l || !c)
        return error_set(err, ERR_INVALID,
                         "--at %s: expected LINE:COL, both counted from 1, as in --at 12:5", at);
    *line = l;
    *column = c;
    return OK;
}

static enum status read_document(const struct complete_options *o, const char *path,
                                 struct document *d, struct error *err)
{
    bool standard_input = strcmp(path, "-") == 0;
    d->name = standard_input ? "standard input" : path;
    d->full = standard_input ? NULL : realpath(path, NULL);
    if (!o->force && cursor_is_secret(path))
        return error_set(err, ERR_INVALID,
                         "%s looks like a file of keys or passwords and was not read; pass --force "
                         "if it is not",
                         path);
    if (o->at) {
        enum status st = parse_position(o->at, &d->line, &d->column, err);
        if (st) return st;
    }
    enum status st = file_read_all(path, &d->text, err);
    if (st == ERR_LIMIT)
        return error_set(err, st, "%s is larger than %d MB, the most that is completed", d->name,
                         MAX_FILE_BYTES >> 20);
    if (st == OK) st = buf_reserve(&d->text, 1); /* data is not NULL from here on */
    if (st == ERR_LIMIT) st = OK;
    if (st == OK) st = cursor_check_text(d->text.data, d->text.len, d->name, err);
    if (st != OK) return st;
    if (o->at) {
        st = cursor_find(d->text.data, d->text.len, d->line, d->column, d->name, &d->prefix_len,
                         err);
        d->suffix_start = d->prefix_len;
        return st;
    }
    st = cursor_find_marker(d->text.data, d->text.len, d->name, &d->prefix_len, err);
    if (st != OK) return st;
    d->suffix_start = d->prefix_len + strlen(CURSOR_MARKER);
    cursor_locate(d->text.data, d->prefix_len, &d->line, &d->column);
    return OK;
}

/* ---- one completion -----------------------------------------------------------------------------
 */

struct job {
    const struct complete_options *o;
    const char *model; /* as named on the command line; NULL = the default */
    struct engine *engine;
    struct session *session;
    struct completer completer;
    struct complete_context context;
    bool first;   /* of the files */
    bool compact; /* one line of JSON for each */
    double load_ms, start_to_prefill_ms, total_ms;
    struct document doc;
    struct complete_result res;
};

static void on_prefill(void *ctx)
{
    struct job *j = ctx;
    if (j->first) j->start_to_prefill_ms = 1e3 * clock_since_process_start();
}

static enum status load(struct job *j, struct error *err)
{
    double t = clock_now();
    enum status st =
        cli_load_engine_kv(j->o->model, (int)j->o->threads, j->o->kv_type, &j->engine, err);
    if (st == OK) st = session_create(j->engine, (size_t)j->o->ctx, &j->session, err);
    if (st == OK)
        st = completer_init(&j->completer, engine_tokenizer(j->engine), j->session,
                            j->o->model ? j->o->model : "the default model", err);
    /* Further files are read when their turn comes, and a project's index is opened with the first. */
    if (st == OK && !j->o->cache_session && !j->o->project) st = confined_seal(!j->compact, err);
    if (st == OK) j->context.n_ctx = session_n_ctx(j->session);
    j->load_ms = 1e3 * (clock_now() - t);
    return st;
}

static enum trim_mode mode_of(const struct complete_options *o)
{
    if (o->raw) return TRIM_RAW;
    if (o->single_line) return TRIM_SINGLE;
    return o->multiline ? TRIM_MULTI : TRIM_AUTO;
}

/* What the options say of a request. */
static struct complete_request request_of(const struct complete_options *o)
{
    struct sample_params sample = sample_params_default();
    sample.temperature = (float)o->temperature;
    sample.top_k = o->top_k > INT32_MAX ? INT32_MAX : (int32_t)o->top_k;
    sample.top_p = (float)o->top_p;
    sample.min_p = (float)o->min_p;
    sample.seed = (uint64_t)o->seed;
    unsigned without = 0;
    struct error err;
    if (o->without) (void)technique_parse(o->without, &without, &err); /* check_options did */
    return (struct complete_request){.without = without,
                                     .max_tokens = (size_t)o->max_tokens,
                                     .deadline_ms = o->deadline,
                                     .sample = sample,
                                     .mode = mode_of(o),
                                     .approximate = o->approximate};
}

static enum status complete(struct job *j, struct error *err)
{
    const struct document *d = &j->doc;
    struct complete_request req = request_of(j->o);
    req.prefix = d->text.data;
    req.prefix_len = d->prefix_len;
    req.suffix = d->text.data + d->suffix_start;
    req.suffix_len = d->text.len - d->suffix_start;
    req.path = d->name;
    req.cancel = cli_catch_interrupt();
    req.on_prefill = on_prefill;
    req.ctx = j;
    double t = clock_now();
    complete_context_take(&j->context, d->full, &req);
    enum status st = complete_run(&j->completer, &req, &j->res, err);
    j->total_ms = 1e3 * (clock_now() - t);
    return st;
}

/* ---- output -------------------------------------------------------------------------------------
 */

/* Adds what the command knows besides. */
static bool add_job(json_t *root, const struct job *j)
{
    const struct document *d = &j->doc;
    json_t *times = json_object_get(root, "timings");
    json_t *more = json_pack("{s:s, s:I, s:I, s:I, s:s, s:i}", "file", d->name, "line",
                             (json_int_t)d->line, "column", (json_int_t)d->column, "context_tokens",
                             (json_int_t)session_n_ctx(j->session), "template",
                             j->completer.fim.name, "threads", engine_n_threads(j->engine));
    bool ok = more && json_object_update(root, more) == 0;
    json_decref(more);
    if (!ok || !j->first) return ok; /* the model was there already */
    return json_object_set_new(times, "load_ms", json_real(cli_round(j->load_ms))) == 0 &&
           json_object_set_new(times, "start_to_prefill_ms",
                               json_real(cli_round(j->start_to_prefill_ms))) == 0;
}

static enum status print_json(const struct job *j, struct error *err)
{
    json_t *root = complete_json(&j->res, j->total_ms);
    if (root && (!add_job(root, j) || !complete_context_json(&j->context, root))) {
        json_decref(root);
        return error_set(err, ERR_NOMEM,
                         "no memory for the result, or a file name that is not UTF-8");
    }
    return cli_print_json(
        root, JSON_REAL_PRECISION(12) | (j->compact ? JSON_COMPACT : JSON_INDENT(2)), err);
}

static void note_truncation(const struct job *j)
{
    const struct complete_result *r = &j->res;
    if (!r->truncated) return;
    fprintf(
        stderr,
        "hearth: %s does not fit into a context of %zu tokens: %zu lines (%zu tokens) at its start "
        "and %zu lines (%zu tokens) at its end were left out; --ctx makes room for more\n",
        j->doc.name, session_n_ctx(j->session), r->prefix_lines_dropped, r->prefix_tokens_dropped,
        r->suffix_lines_dropped, r->suffix_tokens_dropped);
}

static enum status print(const struct job *j, struct error *err)
{
    const struct complete_result *r = &j->res;
    note_truncation(j);
    if (j->o->json) return print_json(j, err);
    if (j->o->show) {
        const struct document *d = &j->doc;
        struct complete_shown shown = {d->name, d->text.data, d->text.len, d->prefix_len,
                                       d->suffix_start};
        return complete_show(&shown, r, err);
    }
    enum status st = cli_write(r->text, r->len, err);
    if (st == OK && (j->compact || isatty(STDOUT_FILENO))) st = cli_write("\n", 1, err);
    return st;
}

/* ---- the command --------------------------------------------------------------------------------
 */

static enum status run_file(struct job *j, const char *path, struct error *err)
{
    buf_init(&j->doc.text, MAX_FILE_BYTES);
    enum status st = read_document(j->o, path, &j->doc, err);
    if (st == OK && !j->engine) st = load(j, err);
    bool keep = j->o->cache_session && strcmp(path, "-") != 0;
    if (st == OK && keep) complete_cache_load(j->session, path);
    if (st == OK) st = complete(j, err);
    if (st == OK) st = print(j, err);
    if (st == OK && keep) complete_cache_save(j->session, path);
    j->first = false;
    return st;
}

static int check_options(const struct complete_options *o, int argc)
{
    if (o->stdio && (argc || o->at || o->json || o->show))
        return cli_usage_error(&cmd_complete,
                               "--stdio takes its texts from the requests: no FILE, --at, --json "
                               "or --show");
    if (o->forget_sessions && (argc || o->stdio))
        return cli_usage_error(&cmd_complete, "--forget-sessions takes no FILE and no --stdio");
    if (!o->stdio && !o->forget_sessions && argc == 0)
        return cli_usage_error(&cmd_complete, "which FILE? - is standard input");
    if (o->at && argc > 1)
        return cli_usage_error(&cmd_complete, "--at is a position in one file, and %d were given",
                               argc);
    if (o->json && o->show)
        return cli_usage_error(&cmd_complete, "--json and --show exclude each other");
    if (o->single_line + o->multiline + o->raw > 1)
        return cli_usage_error(&cmd_complete,
                               "--single-line, --multiline and --raw exclude each other");
    unsigned without = 0;
    struct error err;
    if (o->without && technique_parse(o->without, &without, &err))
        return cli_usage_error(&cmd_complete, "%s", err.msg);
    return EXIT_OK;
}

static int run(const void *p, int argc, char **argv)
{
    struct job j = {.o = p, .first = true, .compact = argc > 1};
    struct error err = {0};
    int code = check_options(p, argc);
    if (code != EXIT_OK) return code;
    if (j.o->forget_sessions) return complete_cache_forget();
    enum status st = OK;
    if (j.o->project) st = complete_context_init(&j.context, j.o->project, j.o->context_share, &err);
    j.context.seconds = 1e-3 * j.o->context_ms;
    if (st == OK && j.o->stdio) {
        struct complete_request defaults = request_of(j.o);
        st = load(&j, &err);
        if (st == OK)
            st = complete_stdio(&j.completer, &defaults, j.o->force, j.o->cache_session, &j.context, &err);
    }
    for (int i = 0; i < argc && st == OK; i++) {
        st = run_file(&j, argv[i], &err);
        if (st == OK && j.res.finish == FINISH_CANCELLED) code = EXIT_INTERRUPTED;
        complete_result_fini(&j.res);
        buf_fini(&j.doc.text);
        free(j.doc.full);
        j.doc.full = NULL;
        if (code != EXIT_OK) break;
    }
    if (st != OK) code = cli_fail(&err);
    complete_context_fini(&j.context);
    completer_fini(&j.completer);
    session_destroy(j.session);
    engine_close(j.engine);
    return code;
}

const struct command cmd_complete = {
    .name = "complete",
    .summary = "Fill in the code at a position in a file",
    .usage = "complete FILE --at LINE:COL [options]",
    .description =
        "Prints the code that belongs at a position in FILE, given what stands before and after\n"
        "it. FILE is not changed; - is standard input. Instead of --at, the text may hold the\n"
        "marker " CURSOR_MARKER
        " where the completion should go. Several files with markers may be\n"
        "given: the model is loaded once. With --stdio one process answers any number of\n"
        "requests, and what was read for one is used for the next.\n"
        "\n"
        "The model must know fill-in-the-middle; its template is found from its vocabulary. What\n"
        "runs past the hole is dropped: what the text below says already, brackets that are\n"
        "closed there, the next function. A file that does not fit into the context is cut at\n"
        "both ends, at whole lines, and the command says so.\n"
        "\n"
        "Examples:\n"
        "  hearth complete main.c --at 12:5\n"
        "  hearth complete main.c --at 12:5 --show\n"
        "  hearth complete --json -m qwen2.5-coder:0.5b - < with-marker.py\n"
        "  hearth complete --stdio < requests.jsonl\n",
    .options = options,
    .options_size = sizeof(struct complete_options),
    .init = init,
    .min_args = 0,
    .max_args = -1,
    .arg_metavar = "FILE",
    .run = run,
};
