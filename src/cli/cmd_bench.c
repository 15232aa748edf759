/* hearth bench: how fast a model runs here, and how near that is to what the machine can do. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/load.h"

extern const struct command cmd_bench;

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, "MODEL", "Model name, or path to a GGUF file",
     offsetof(struct bench_options, model)},
    {"synthetic", 0, OPTION_STRING, "NAME:TYPE",
     "Measure a model of that shape and tensor type with random weights",
     offsetof(struct bench_options, synthetic)},
    {"keep", 0, OPTION_STRING, "FILE", "Make the synthetic model there, and leave it there",
     offsetof(struct bench_options, keep)},
    {"prompt", 'p', OPTION_INT, "N", "Tokens of the prompt (default 512; 0: no prefill)",
     offsetof(struct bench_options, n_prompt), 0, 1e7},
    {"gen", 'n', OPTION_INT, "N", "Tokens to generate (default 64; 0: no decode)",
     offsetof(struct bench_options, n_gen), 0, 1e7},
    {"context", 'd', OPTION_INT, "N", "Measure behind N tokens of context (default 0)",
     offsetof(struct bench_options, context), 0, 1e7},
    {"rows", 0, OPTION_STRING, "LIST",
     "Time decode steps of so many rows at once too, such as 1,2,4,8",
     offsetof(struct bench_options, rows)},
    {"parallel", 0, OPTION_STRING, "LIST",
     "Measure so many clients at once too, such as 1,8,32: requests of -p tokens, answers of -n",
     offsetof(struct bench_options, parallel)},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct bench_options, threads), 1, 1024},
    OPTION_KV_TYPE(struct bench_options),
    {"repeat", 'r', OPTION_INT, "N", "Measure N times and tell the median (default 5)",
     offsetof(struct bench_options, repeats), 1, BENCH_MAX_REPEATS},
    {"json", 0, OPTION_FLAG, NULL, "Print the result as JSON",
     offsetof(struct bench_options, json)},
    {0},
};

static void init(void *p)
{
    struct bench_options *o = p;
    o->n_prompt = 512;
    o->n_gen = 64;
    o->repeats = 5;
}

/* Only the file, for other programs. */
static enum status make_only(const struct bench *b, struct error *err)
{
    char *path;
    enum status st = bench_synthetic(b->o->synthetic, b->o->keep, b->cancel, &path, err);
    free(path);
    return st;
}

static enum status measure_and_print(struct bench *b, struct error *err)
{
    enum status st = bench_run(b, err);
    if (st == OK && b->o->json)
        st = bench_print_json(b, err);
    else if (st == OK)
        bench_print_table(b);
    return st;
}

static int run(const void *p, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct bench_options *o = p;
    bool nothing = o->n_prompt == 0 && o->n_gen == 0 && !o->rows;
    if (nothing && !o->keep)
        return cli_usage_error(&cmd_bench, "-p 0 -n 0 leaves nothing to measure");
    if (o->model && o->synthetic)
        return cli_usage_error(&cmd_bench, "--model and --synthetic name two models; choose one");
    if (o->keep && !o->synthetic)
        return cli_usage_error(&cmd_bench, "--keep is for the file of a --synthetic model");
    if (o->parallel && (o->n_prompt == 0 || o->n_gen == 0))
        return cli_usage_error(&cmd_bench, "--parallel needs tokens to read and to write");
    struct error err = {0};
    struct bench *b = calloc(1, sizeof *b);
    enum status st = b ? OK : error_set(&err, ERR_NOMEM, "out of memory");
    if (st == OK) {
        b->o = o;
        b->cancel = cli_catch_interrupt();
        if (o->rows) st = bench_parse_rows(o->rows, b, &err);
        if (st == OK && o->parallel) st = bench_parse_parallel(o->parallel, b, &err);
    }
    if (st == OK) st = nothing ? make_only(b, &err) : measure_and_print(b, &err);
    int code = st == OK ? EXIT_OK : cli_fail(&err);
    if (b) bench_close(b);
    free(b);
    return code;
}

const struct command cmd_bench = {
    .name = "bench",
    .summary = "Measure how fast a model runs on this machine",
    .usage = "bench [options]",
    .description =
        "Times the evaluation of a prompt (prefill) and the generation of tokens (decode), each "
        "several times after a warm-up, and compares with two limits measured in the same run: "
        "decode reads all weights for each token, so memory bandwidth bounds it; prefill is bound "
        "by the rate of int8 multiplications. Random tokens with a fixed seed are used.\n"
        "\n"
        "--synthetic measures models too large to fetch: it makes a file with the shape of a real "
        "model (llama-1b, deepseek-coder-6.7b, codellama-13b, qwen2.5-coder-7b and others; a wrong "
        "name lists them) and random weights of a type (q4_0, q8_0, q4_k and others), and deletes "
        "it afterwards unless --keep names its place. -p 0 -n 0 with --keep only makes the file.\n"
        "\n"
        "--rows tells what a step costs that serves several requests, or checks several drafted "
        "tokens, at once. --parallel keeps so many clients busy, each with one request after the "
        "other, whose prompts share their first two thirds; it tells the tokens that all of them "
        "get per second, and how long each waits for its first.\n"
        "\n"
        "Examples:\n"
        "  hearth bench\n"
        "  hearth bench -m qwen2.5-coder:0.5b -t 2 --json\n"
        "  hearth bench -m qwen2.5-coder:0.5b --context 4096 --rows 1,2,4,8\n"
        "  hearth bench --synthetic codellama-13b:q4_0 -p 128 -n 16\n",
    .options = options,
    .options_size = sizeof(struct bench_options),
    .init = init,
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
