/* hearth bench: how fast a model runs here, and how near that is to what the machine can do. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/machine.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "gguf/gguf.h"
#include "infer/engine.h"
#include "model/model.h"
#include "text/tokenizer.h"

enum { MAX_REPEATS = 1000 };

struct bench_options {
    const char *model;
    int64_t n_prompt, n_gen, threads, repeats;
    bool json;
};

extern const struct command cmd_bench;

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, "MODEL", "Model name, or path to a GGUF file",
     offsetof(struct bench_options, model)},
    {"prompt", 'p', OPTION_INT, "N", "Tokens of the prompt (default 512; 0: no prefill)",
     offsetof(struct bench_options, n_prompt), 0, 1e7},
    {"gen", 'n', OPTION_INT, "N", "Tokens to generate (default 64; 0: no decode)",
     offsetof(struct bench_options, n_gen), 0, 1e7},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct bench_options, threads), 1, 1024},
    {"repeat", 'r', OPTION_INT, "N", "Measure N times and tell the median (default 5)",
     offsetof(struct bench_options, repeats), 1, MAX_REPEATS},
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

/* Tokens per second of the repeats. */
struct rates {
    double sample[MAX_REPEATS];
    int n;
    double median, min, max;
};

struct bench {
    const struct bench_options *o;
    struct engine *engine;
    struct session *session;
    int32_t *prompt;
    struct logit_bias *bias; /* bans the tokens that would end the text */
    size_t n_bias;
    uint64_t rng;
    double load_ms, start_to_prefill_ms;
    struct rates prefill, decode;
    uint64_t resident;
    double bandwidth, int8_peak; /* of the machine */
    double prefill_ops;          /* of one whole prompt */
};

/* ---- measuring --------------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void summarize(struct rates *r)
{
    if (r->n == 0) return;
    double sorted[MAX_REPEATS];
    memcpy(sorted, r->sample, (size_t)r->n * sizeof *sorted);
    qsort(sorted, (size_t)r->n, sizeof *sorted, compare);
    r->min = sorted[0];
    r->max = sorted[r->n - 1];
    r->median = (sorted[(r->n - 1) / 2] + sorted[r->n / 2]) / 2;
}

/* Any token that is no control token: a model may treat those in its own way. */
static void random_prompt(struct bench *b, size_t n)
{
    const struct tokenizer *tok = engine_tokenizer(b->engine);
    size_t n_vocab = tokenizer_n_tokens(tok);
    for (size_t i = 0; i < n; i++) {
        int32_t id = 0;
        for (int tries = 0; tries < 100; tries++) {
            b->rng = b->rng * 6364136223846793005u + 1442695040888963407u;
            id = (int32_t)((b->rng >> 33) % n_vocab);
            if (tokenizer_type(tok, id) == TOKEN_NORMAL) break;
        }
        b->prompt[i] = id;
    }
}

static void on_prefill(void *ctx)
{
    struct bench *b = ctx;
    if (b->start_to_prefill_ms == 0) b->start_to_prefill_ms = 1e3 * clock_since_process_start();
}

static enum status generate(struct bench *b, size_t n_prompt, size_t max_tokens,
                            struct generate_result *res, struct error *err)
{
    enum status st = session_score(b->session, NULL, 0, NULL, err); /* forget everything */
    if (st != OK) return st;
    random_prompt(b, n_prompt);
    struct sample_params sample = sample_params_default();
    sample.bias = b->bias;
    sample.n_bias = b->n_bias;
    struct generate_request req = {.prompt = b->prompt,
                                   .n_prompt = n_prompt,
                                   .max_tokens = max_tokens,
                                   .sample = sample,
                                   .on_prefill = on_prefill,
                                   .ctx = b};
    return session_generate(b->session, &req, res, err);
}

/* Prefill is the prompt's evaluation. Decode is timed between the first and the last of n + 1
 * tokens after a prompt of one: n passes over all weights. */
static enum status measure(struct bench *b, bool keep, struct error *err)
{
    struct generate_result res;
    size_t p = (size_t)b->o->n_prompt, n = (size_t)b->o->n_gen;
    enum status st;
    if (p > 0) {
        if ((st = generate(b, p, 0, &res, err)) != OK) return st;
        if (keep) b->prefill.sample[b->prefill.n++] = 1e3 * (double)p / res.prefill_ms;
    }
    if (n > 0) {
        if ((st = generate(b, 1, n + 1, &res, err)) != OK) return st;
        if (keep)
            b->decode.sample[b->decode.n++] = 1e3 * (double)(res.n_generated - 1) / res.decode_ms;
    }
    return OK;
}

static enum status ban_ends(struct bench *b, struct error *err)
{
    const struct tokenizer *tok = engine_tokenizer(b->engine);
    for (int pass = 0; pass < 2; pass++) {
        b->n_bias = 0;
        for (size_t i = 0; i < tokenizer_n_tokens(tok); i++) {
            if (!tokenizer_is_end(tok, (int32_t)i)) continue;
            if (pass) b->bias[b->n_bias] = (struct logit_bias){(int32_t)i, -1e9f};
            b->n_bias++;
        }
        if (pass == 0 && !(b->bias = calloc(b->n_bias + 1, sizeof *b->bias)))
            return error_set(err, ERR_NOMEM, "out of memory");
    }
    return OK;
}

/* Multiplications and additions in matrices for a prompt of n tokens: those of the blocks for every
 * token, the output's for the last one only. Attention's own products are left out. */
static double count_prefill_ops(const struct gguf *g, double n)
{
    double blocks = 0, head = 0, table = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        double elements = (double)t->ne[0] * (double)t->ne[1];
        if (t->n_dims != 2) continue;
        if (t->name.len > 4 && memcmp(t->name.data, "blk.", 4) == 0)
            blocks += elements;
        else if (gguf_str_eq(t->name, "output.weight"))
            head = elements;
        else if (gguf_str_eq(t->name, "token_embd.weight"))
            table = elements;
    }
    return 2 * (blocks * n + (head > 0 ? head : table));
}

static enum status run_bench(struct bench *b, struct error *err)
{
    const struct bench_options *o = b->o;
    double t = clock_now();
    enum status st = cli_load_engine(o->model, (int)o->threads, &b->engine, err);
    if (st != OK) return st;
    b->load_ms = 1e3 * (clock_now() - t);
    size_t need = (size_t)(o->n_prompt > o->n_gen + 1 ? o->n_prompt : o->n_gen + 1) + 1;
    st = session_create(b->engine, need, &b->session, err);
    if (st != OK) return st;
    b->prompt = calloc((size_t)o->n_prompt + 1, sizeof *b->prompt);
    if (!b->prompt) return error_set(err, ERR_NOMEM, "out of memory");
    if ((st = ban_ends(b, err)) != OK) return st;
    b->rng = 1;
    if ((st = measure(b, false, err)) != OK) return st; /* warm-up */
    for (int64_t i = 0; i < o->repeats; i++)
        if ((st = measure(b, true, err)) != OK) return st;
    summarize(&b->prefill);
    summarize(&b->decode);
    b->resident = machine_resident_bytes();
    int threads = engine_n_threads(b->engine);
    b->bandwidth = machine_read_bandwidth(threads);
    b->int8_peak = machine_int8_ops_per_second(threads);
    b->prefill_ops = count_prefill_ops(engine_gguf(b->engine), (double)o->n_prompt);
    return OK;
}

/* Bytes of weights read per second of decode. */
static double decode_bytes(const struct bench *b)
{
    return b->decode.median * (double)engine_model_info(b->engine)->bytes_per_token;
}

static double prefill_ops_rate(const struct bench *b)
{
    return b->o->n_prompt ? b->prefill.median * b->prefill_ops / (double)b->o->n_prompt : 0;
}

static double share(double of, double whole)
{
    return whole > 0 ? of / whole : 0;
}

static const char *model_label(const struct bench *b)
{
    const char *path = gguf_path(engine_gguf(b->engine)), *slash = strrchr(path, '/');
    return b->o->model ? b->o->model : slash ? slash + 1 : path;
}

/* ---- output -----------------------------------------------------------------------------------
 */

static json_t *json_rates(const struct rates *r, int64_t tokens)
{
    json_t *samples = json_array();
    for (int i = 0; i < r->n; i++) json_array_append_new(samples, json_real(r->sample[i]));
    return json_pack("{s:I, s:f, s:f, s:f, s:i, s:o}", "tokens", (json_int_t)tokens,
                     "tokens_per_second", r->median, "min", r->min, "max", r->max, "n", r->n,
                     "samples", samples);
}

static enum status print_json(const struct bench *b, struct error *err)
{
    const struct model_info *info = engine_model_info(b->engine);
    char cpu[128];
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:i, s:o, s:o, s:I, s:I, s:I, s:I, s:{s:f, s:f}, s:{s:f, s:f}, s:f, s:f}",
        "model", model_label(b), "architecture", info->arch, "cpu",
        machine_cpu_name(cpu, sizeof cpu), "threads", engine_n_threads(b->engine), "prefill",
        json_rates(&b->prefill, b->o->n_prompt), "decode", json_rates(&b->decode, b->o->n_gen),
        "resident_bytes", (json_int_t)b->resident, "file_bytes",
        (json_int_t)gguf_file_bytes(engine_gguf(b->engine)), "bytes_per_token",
        (json_int_t)info->bytes_per_token, "params", (json_int_t)info->n_params, "bandwidth",
        "measured_bytes_per_second", b->bandwidth, "share", share(decode_bytes(b), b->bandwidth),
        "int8_peak", "ops_per_second", b->int8_peak, "share",
        share(prefill_ops_rate(b), b->int8_peak), "load_ms", cli_round(b->load_ms),
        "start_to_prefill_ms", cli_round(b->start_to_prefill_ms));
    char *out = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    enum status st = OK;
    if (!out)
        st = error_set(err, ERR_NOMEM, "no memory for the result");
    else if ((st = cli_write(out, strlen(out), err)) == OK)
        st = cli_write("\n", 1, err);
    free(out);
    json_decref(root);
    return st;
}

static void print_row(const char *name, int64_t tokens, const struct rates *r, const char *limit)
{
    if (r->n > 0)
        printf("%-8s %6lld %10.1f %10.1f %10.1f   %s\n", name, (long long)tokens, r->median, r->min,
               r->max, limit);
}

static void print_table(const struct bench *b)
{
    const struct model_info *info = engine_model_info(b->engine);
    char a[32], c[32], name[128], limit[128];
    printf("model    %s (%s, %.0f M parameters, %s)\n", model_label(b), info->arch,
           1e-6 * (double)info->n_params,
           cli_format_bytes(gguf_file_bytes(engine_gguf(b->engine)), a, sizeof a));
    printf("cpu      %s, %d thread%s\n\n", machine_cpu_name(name, sizeof name),
           engine_n_threads(b->engine), engine_n_threads(b->engine) == 1 ? "" : "s");
    printf("%-8s %6s %10s %10s %10s   %s\n", "", "tokens", "tokens/s", "min", "max",
           "share of the machine's limit");
    snprintf(limit, sizeof limit, "no int8 limit known here");
    if (b->int8_peak > 0)
        snprintf(limit, sizeof limit, "%.0f %% of %.0f Gop/s int8",
                 100 * share(prefill_ops_rate(b), b->int8_peak), 1e-9 * b->int8_peak);
    print_row("prefill", b->o->n_prompt, &b->prefill, limit);
    snprintf(limit, sizeof limit, "bandwidth could not be measured");
    if (b->bandwidth > 0)
        snprintf(limit, sizeof limit, "%.0f %% of %s/s, %s a token",
                 100 * share(decode_bytes(b), b->bandwidth),
                 cli_format_bytes((uint64_t)b->bandwidth, a, sizeof a),
                 cli_format_bytes(info->bytes_per_token, c, sizeof c));
    print_row("decode", b->o->n_gen, &b->decode, limit);
    printf("\nstart    %.0f ms from process start to prefill, %.0f of them loading\n",
           b->start_to_prefill_ms, b->load_ms);
    printf("memory   %s resident\n", cli_format_bytes(b->resident, a, sizeof a));
}

static int run(const void *p, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct bench_options *o = p;
    if (o->n_prompt == 0 && o->n_gen == 0)
        return cli_usage_error(&cmd_bench, "-p 0 -n 0 leaves nothing to measure");
    struct error err = {0};
    struct bench *b = calloc(1, sizeof *b);
    enum status st = b ? OK : error_set(&err, ERR_NOMEM, "out of memory");
    if (st == OK) {
        b->o = o;
        st = run_bench(b, &err);
    }
    if (st == OK && o->json)
        st = print_json(b, &err);
    else if (st == OK)
        print_table(b);
    int code = st == OK ? EXIT_OK : cli_fail(&err);
    if (b) {
        session_destroy(b->session);
        engine_close(b->engine);
        free(b->prompt);
        free(b->bias);
    }
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
        "Examples:\n"
        "  hearth bench\n"
        "  hearth bench -m qwen2.5-coder:0.5b -t 2 --json\n",
    .options = options,
    .options_size = sizeof(struct bench_options),
    .init = init,
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
