/* hearth perplexity: how well a model predicts a text, and what it lost against another. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/load.h"
#include "infer/engine.h"
#include "infer/eval.h"
#include "infer/logits_file.h"
#include "infer/text_io.h"

enum { MAX_TEXT_BYTES = 64 << 20 };

struct perplexity_options {
    const char *model, *against, *kl_base, *save_logits, *kv_type;
    int64_t ctx, chunks, threads;
    bool json;
};

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, "MODEL", "Model name, or path to a GGUF file",
     offsetof(struct perplexity_options, model)},
    {"against", 0, OPTION_STRING, "MODEL", "Compare with this model's predictions, the reference",
     offsetof(struct perplexity_options, against)},
    {"kl-base", 0, OPTION_STRING, "FILE", "Compare with kept predictions; they bring the text",
     offsetof(struct perplexity_options, kl_base)},
    {"save-logits", 0, OPTION_STRING, "FILE", "Keep the predictions for a later --kl-base",
     offsetof(struct perplexity_options, save_logits)},
    {"ctx", 'c', OPTION_INT, "N", "Tokens of a context (default 512)",
     offsetof(struct perplexity_options, ctx), EVAL_MIN_CTX, 1e7},
    {"chunks", 0, OPTION_INT, "N", "Evaluate the first N contexts only",
     offsetof(struct perplexity_options, chunks), 1, 1e9},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct perplexity_options, threads), 1, 1024},
    OPTION_KV_TYPE(struct perplexity_options),
    {"json", 0, OPTION_FLAG, NULL, "Print the result as JSON",
     offsetof(struct perplexity_options, json)},
    {0},
};

/* ---- evaluating -------------------------------------------------------------------------------
 */

struct work {
    const struct perplexity_options *o;
    struct engine *engine, *against;
    struct logits_file *base;
    struct token_list tokens;
    struct eval_result r;
};

static enum status load(struct work *w, const char *file, struct error *err)
{
    const struct perplexity_options *o = w->o;
    struct buf text;
    buf_init(&text, MAX_TEXT_BYTES);
    enum status st = file ? cli_read_text(file, &text, err) : OK;
    if (st == OK && o->kl_base) st = logits_file_open(o->kl_base, &w->base, err);
    if (st == OK) st = cli_load_engine_kv(o->model, (int)o->threads, o->kv_type, &w->engine, err);
    if (st == OK && o->against)
        st = cli_load_engine_kv(o->against, (int)o->threads, o->kv_type, &w->against, err);
    if (st == OK && file)
        st = prompt_encode(engine_tokenizer(w->engine), text.data ? text.data : "", text.len,
                           false, &w->tokens, err);
    buf_fini(&text);
    return st;
}

static void show(void *bar, uint64_t done, uint64_t total)
{
    progress_update(bar, done, total);
}

static enum status evaluate(struct work *w, struct error *err)
{
    struct progress *bar = progress_start("Reading the text", false);
    struct eval_job job = {.engine = w->engine,
                           .tokens = w->tokens.ids,
                           .n_tokens = w->tokens.len,
                           .n_ctx = (size_t)w->o->ctx,
                           .max_chunks = (size_t)w->o->chunks,
                           .against = w->against,
                           .base = w->base,
                           .save = w->o->save_logits,
                           .cancel = cli_catch_interrupt(),
                           .progress = show,
                           .progress_ctx = bar};
    enum status st = eval_run(&job, &w->r, err);
    progress_end(bar);
    return st;
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *with_error(struct eval_mean m)
{
    return json_pack("{s:o, s:o}", "value", number(m.value), "error", number(m.error));
}

static enum status print_json(const struct eval_result *r, struct error *err)
{
    json_t *root = json_pack(
        "{s:I, s:I, s:I, s:o, s:o}", "context", (json_int_t)r->n_ctx, "chunks",
        (json_int_t)r->n_chunks, "tokens_counted", (json_int_t)r->n_counted, "nll",
        with_error(r->nll), "perplexity", with_error(r->perplexity));
    if (root && r->compared) {
        json_t *kl = json_pack("{s:o, s:o, s:o, s:o, s:o}", "mean", with_error(r->kl), "median",
                               number(r->kl_median), "p90", number(r->kl_p90), "p99",
                               number(r->kl_p99), "max", number(r->kl_max));
        json_t *compared = json_pack("{s:o, s:o, s:o, s:o}", "base_perplexity",
                                     with_error(r->base_perplexity), "ln_perplexity_ratio",
                                     with_error(r->log_ratio), "kl_divergence", kl, "same_top",
                                     with_error(r->same_top));
        if (!compared || json_object_update_new(root, compared) != 0) {
            json_decref(root);
            root = NULL;
        }
    }
    return cli_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9), err);
}

/* ---- for people -------------------------------------------------------------------------------
 */

/* A line of the table: a figure with so many digits behind the point, and how far it may be off. */
static void line(const char *name, int digits, double value, double error, const char *unit)
{
    char figure[48], off[48] = "";
    bool color = cli_color(STDOUT_FILENO);
    const char *dim = color ? "\033[90m" : "", *plain = color ? "\033[0m" : "";
    snprintf(figure, sizeof figure, "%.*f", digits, value);
    if (isfinite(error))
        snprintf(off, sizeof off, " %s %.*f", cli_utf8() ? "±" : "+-", digits, error);
    printf("%-21s %s%11s%s", name, color ? "\033[1m" : "", figure, plain);
    if (*off || *unit) printf("%s%s%s%s%s", dim, off, *unit ? " " : "", unit, plain);
    putchar('\n');
}

static void print_table(const struct eval_result *r)
{
    printf("%zu context%s of %zu tokens, %zu tokens counted\n\n", r->n_chunks,
           r->n_chunks == 1 ? "" : "s", r->n_ctx, r->n_counted);
    line("perplexity", 4, r->perplexity.value, r->perplexity.error, "");
    line("nats a token", 5, r->nll.value, r->nll.error, "");
    if (!r->compared) return;
    double ratio = exp(r->log_ratio.value);
    printf("\n");
    line("reference perplexity", 4, r->base_perplexity.value, r->base_perplexity.error, "");
    line("change", 3, 100 * (ratio - 1), 100 * ratio * r->log_ratio.error, "%");
    printf("\n");
    line("KL divergence, mean", 6, r->kl.value, r->kl.error, "nats");
    line("  median", 6, r->kl_median, NAN, "");
    line("  90 %", 6, r->kl_p90, NAN, "");
    line("  99 %", 6, r->kl_p99, NAN, "");
    line("  largest", 6, r->kl_max, NAN, "");
    line("same first choice", 2, 100 * r->same_top.value, 100 * r->same_top.error, "%");
}

extern const struct command cmd_perplexity;

static int run(const void *p, int argc, char **argv)
{
    const struct perplexity_options *o = p;
    if (o->kl_base && (argc > 0 || o->ctx > 0))
        return cli_usage_error(&cmd_perplexity,
                               "--kl-base brings its text and context: leave out FILE and --ctx");
    if (o->kl_base && o->against)
        return cli_usage_error(&cmd_perplexity, "choose one of --against and --kl-base");
    if (!o->kl_base && argc == 0 && isatty(STDIN_FILENO))
        return cli_usage_error(&cmd_perplexity, "no FILE: name one, or pipe a text in");
    struct work w = {.o = o};
    struct error err = {0};
    enum status st = load(&w, o->kl_base ? NULL : argc ? argv[0] : "-", &err);
    if (st == OK) st = evaluate(&w, &err);
    if (st == OK && o->json)
        st = print_json(&w.r, &err);
    else if (st == OK)
        print_table(&w.r);
    int code = st == OK ? EXIT_OK : cli_fail(&err);
    engine_close(w.engine);
    engine_close(w.against);
    logits_file_close(w.base);
    token_list_fini(&w.tokens);
    return code;
}

const struct command cmd_perplexity = {
    .name = "perplexity",
    .summary = "Measure how well a model predicts a text, or what it lost against another",
    .usage = "perplexity [FILE|-] [options]",
    .description =
        "Cuts the text into contexts of --ctx tokens and prints the perplexity of the second half "
        "of each, with its standard error: 1 would be a model that knows the text, the size of "
        "the vocabulary one that knows nothing. It counts as llama.cpp's llama-perplexity does. "
        "The rest behind the last whole context is left out.\n"
        "\n"
        "--against compares with the predictions of another model with the same vocabulary, "
        "usually the one a file was quantized from: the change of perplexity, the "
        "Kullback-Leibler divergence of the model's predictions from the reference's (0: nothing "
        "was lost), and how often both have the same first choice. Both models are loaded; where "
        "memory is short, --save-logits keeps the predictions of the first in a file (about 2 "
        "bytes for each token and candidate), and --kl-base compares the second with them. The "
        "file's format is that of llama-perplexity's --kl-divergence-base.\n"
        "\n"
        "Examples:\n"
        "  hearth perplexity -m qwen2.5-coder:0.5b notes.txt\n"
        "  hearth perplexity -m small.gguf --against large.gguf src/main.c\n"
        "  hearth perplexity -m large.gguf --save-logits large.logits notes.txt\n"
        "  hearth perplexity -m small.gguf --kl-base large.logits --json\n",
    .options = options,
    .options_size = sizeof(struct perplexity_options),
    .min_args = 0,
    .max_args = 1,
    .arg_metavar = "FILE|-",
    .run = run,
};
