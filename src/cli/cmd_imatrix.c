/* hearth imatrix: which columns of a model's matrices matter, for quantizing it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "gguf/imatrix.h"
#include "infer/engine.h"
#include "infer/importance.h"
#include "infer/text_io.h"

enum { MAX_TEXT_BYTES = 64 << 20 };

#define SAVE_SECONDS 60.0 /* what is lost at most where the power goes */

struct imatrix_options {
    const char *model, *out;
    struct string_list merge;
    int64_t ctx, chunks, threads;
    bool resume, force, json;
};

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, "MODEL", "Model name, or path to a GGUF file",
     offsetof(struct imatrix_options, model)},
    {"out", 'o', OPTION_STRING, "FILE", "Where to write the importance matrix (GGUF)",
     offsetof(struct imatrix_options, out)},
    {"ctx", 'c', OPTION_INT, "N", "Tokens of a context (default 512)",
     offsetof(struct imatrix_options, ctx), 1, 1e7},
    {"chunks", 0, OPTION_INT, "N", "Read the first N contexts only",
     offsetof(struct imatrix_options, chunks), 1, 1e9},
    {"merge", 0, OPTION_LIST, "FILE", "Add this importance matrix (may be given several times)",
     offsetof(struct imatrix_options, merge)},
    {"resume", 0, OPTION_FLAG, NULL, "Go on with the file that an earlier run began",
     offsetof(struct imatrix_options, resume)},
    {"force", 'f', OPTION_FLAG, NULL, "Replace the file where there is one",
     offsetof(struct imatrix_options, force)},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct imatrix_options, threads), 1, 1024},
    {"json", 0, OPTION_FLAG, NULL, "Print the result as JSON",
     offsetof(struct imatrix_options, json)},
    {0},
};

struct work {
    const struct imatrix_options *o;
    struct engine *engine;
    struct token_list tokens;
    struct imatrix *m;
    struct imatrix_info info;
    struct importance_job job;
    size_t done, total; /* contexts of the text */
    double saved_at;
    struct progress *bar;
};

/* ---- reading ----------------------------------------------------------------------------------
 */

static enum status load_text(struct work *w, const char *file, struct error *err)
{
    struct buf text;
    buf_init(&text, MAX_TEXT_BYTES);
    enum status st = cli_read_text(file, &text, err);
    if (st == OK) st = cli_load_engine(w->o->model, (int)w->o->threads, &w->engine, err);
    if (st == OK)
        st = prompt_encode(engine_tokenizer(w->engine), text.data ? text.data : "", text.len,
                           false, &w->tokens, err);
    buf_fini(&text);
    return st;
}

static enum status merge_files(struct work *w, struct error *err)
{
    enum status st = OK;
    for (size_t i = 0; st == OK && i < w->o->merge.len; i++) {
        struct imatrix_info info;
        st = imatrix_read(w->m, w->o->merge.items[i], &info, err);
        if (st == OK && w->info.chunk_size == 0) w->info.chunk_size = info.chunk_size;
    }
    return st;
}

/* What the earlier run has read, if there is any. */
static enum status take_up(struct work *w, struct error *err)
{
    if (!w->o->resume || !file_exists(w->o->out)) return OK;
    struct imatrix_info earlier;
    enum status st = imatrix_read(w->m, w->o->out, &earlier, err);
    if (st != OK) return st;
    if (strcmp(earlier.run, w->info.run) != 0)
        return error_set(err, ERR_INVALID,
                         "%s was begun with another text, model or --ctx: name these, or another "
                         "file and add this one with --merge",
                         w->o->out);
    w->job.first_chunk = w->done = (size_t)earlier.run_chunks;
    return OK;
}

/* ---- collecting -------------------------------------------------------------------------------
 */

static enum status save(struct work *w, struct error *err)
{
    w->info.run_chunks = w->done;
    w->saved_at = clock_now();
    return imatrix_write(w->m, &w->info, w->o->out, err);
}

static enum status after_chunk(void *ctx, size_t done, size_t total, struct error *err)
{
    struct work *w = ctx;
    w->done = done;
    w->total = total;
    progress_update(w->bar, done * w->info.chunk_size, total * w->info.chunk_size);
    return clock_now() - w->saved_at > SAVE_SECONDS ? save(w, err) : OK;
}

static enum status collect(struct work *w, const char *file, struct error *err)
{
    const struct imatrix_options *o = w->o;
    w->job = (struct importance_job){.engine = w->engine,
                                     .tokens = w->tokens.ids,
                                     .n_tokens = w->tokens.len,
                                     .n_ctx = (size_t)o->ctx,
                                     .max_chunks = (size_t)o->chunks,
                                     .cancel = cli_catch_interrupt(),
                                     .on_chunk = after_chunk,
                                     .ctx = w};
    w->info.chunk_size = o->ctx ? (uint64_t)o->ctx : IMPORTANCE_DEFAULT_CTX;
    enum status st = importance_run_id(&w->job, w->info.run, err);
    if (st == OK) st = take_up(w, err);
    if (st == OK && w->done == 0) st = imatrix_add_dataset(w->m, file, strlen(file), err);
    if (st != OK) return st;
    w->saved_at = clock_now();
    w->bar = progress_start("Reading the text", false);
    st = importance_collect(&w->job, w->m, err);
    progress_end(w->bar);
    if (st == ERR_CANCELLED && w->done > w->job.first_chunk) {
        struct error failed;
        if (save(w, &failed) == OK)
            error_set(err, ERR_CANCELLED,
                      "stopped after %zu of %zu contexts; the same command with --resume%s goes on",
                      w->done, w->total, o->merge.len ? " and without --merge" : "");
    }
    return st;
}

/* ---- the result ------------------------------------------------------------------------------- */

static enum status print_result(const struct work *w, struct error *err)
{
    size_t n = imatrix_n_entries(w->m), unseen = 0;
    for (size_t i = 0; i < n; i++) {
        const struct imatrix_entry *e = imatrix_entry_at(w->m, i);
        for (size_t k = 0; k < e->n_parts; k++) unseen += e->counts[k] <= 0;
    }
    uint64_t chunks = imatrix_chunk_count(w->m, w->info.chunk_size);
    if (w->o->json)
        return cli_print_json(json_pack("{s:s, s:I, s:I, s:I, s:I}", "file", w->o->out, "matrices",
                                        (json_int_t)n, "contexts", (json_int_t)chunks, "context",
                                        (json_int_t)w->info.chunk_size, "parts_not_seen",
                                        (json_int_t)unseen),
                              JSON_INDENT(2), err);
    printf("%s: %zu matrices, %llu context%s of %llu tokens\n", w->o->out, n,
           (unsigned long long)chunks, chunks == 1 ? "" : "s",
           (unsigned long long)w->info.chunk_size);
    if (unseen)
        printf("%zu matrices of experts were never used: a longer text reaches more of them\n",
               unseen);
    return OK;
}

extern const struct command cmd_imatrix;

static int check_usage(const struct imatrix_options *o, int argc)
{
    if (!o->out) return cli_usage_error(&cmd_imatrix, "no -o FILE to write to");
    if (o->resume && o->merge.len)
        return cli_usage_error(&cmd_imatrix,
                               "--resume has what was merged before: leave --merge out");
    if (argc == 0 && o->merge.len == 0 && isatty(STDIN_FILENO))
        return cli_usage_error(&cmd_imatrix, "no FILE: name one, or pipe a text in");
    if (file_exists(o->out) && !o->resume && !o->force)
        return cli_usage_error(&cmd_imatrix,
                               "%s exists: go on with it by --resume, or replace it by --force",
                               o->out);
    return EXIT_OK;
}

static int run(const void *p, int argc, char **argv)
{
    const struct imatrix_options *o = p;
    int code = check_usage(o, argc);
    if (code != EXIT_OK) return code;
    struct work w = {.o = o};
    struct error err = {0};
    const char *file = argc ? argv[0] : o->merge.len ? NULL : "-";
    enum status st = imatrix_create(&w.m, &err);
    if (st == OK) st = merge_files(&w, &err);
    if (st == OK && file) st = load_text(&w, file, &err);
    if (st == OK && file) st = collect(&w, file, &err);
    if (st == OK) st = save(&w, &err);
    if (st == OK) st = print_result(&w, &err);
    code = st == OK ? EXIT_OK : cli_fail(&err);
    engine_close(w.engine);
    imatrix_destroy(w.m);
    token_list_fini(&w.tokens);
    return code;
}

const struct command cmd_imatrix = {
    .name = "imatrix",
    .summary = "Collect from a text which columns of a model's matrices matter",
    .usage = "imatrix [FILE|-] -o OUT [options]",
    .description =
        "Lets the model read a text and sums, for every matrix of its blocks, the squares of each "
        "column of its input: the importance matrix by which quantizing weighs its errors. The "
        "text should be like what the model will be used for; some 100 contexts are plenty. The "
        "rest behind the last whole context is left out.\n"
        "\n"
        "The file is one that llama-quantize --imatrix reads too. It is saved once a minute and "
        "on Ctrl-C; the same command with --resume goes on from there. --merge adds what other "
        "runs, or llama-imatrix, have collected; without FILE it only does that.\n"
        "\n"
        "Examples:\n"
        "  hearth imatrix -m qwen2.5-coder:0.5b code.txt -o code.imatrix.gguf\n"
        "  hearth imatrix -m qwen2.5-coder:0.5b code.txt -o code.imatrix.gguf --resume\n"
        "  hearth imatrix --merge code.imatrix.gguf --merge prose.imatrix.gguf -o both.gguf\n",
    .options = options,
    .options_size = sizeof(struct imatrix_options),
    .min_args = 0,
    .max_args = 1,
    .arg_metavar = "FILE|-",
    .run = run,
};
