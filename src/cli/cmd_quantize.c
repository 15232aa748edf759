/* hearth quantize IN OUT TYPE */
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/machine.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "convert/quantize.h"
#include "quant/quant.h"

struct quantize_options {
    const char *imatrix, *output_type, *embedding_type;
    struct string_list tensor_types;
    int64_t threads;
    bool pure, leave_output, allow_requantize, dry_run, verbose, quiet, json;
};

/* ---- what was asked for -----------------------------------------------------------------------
 */

/* A type that tensors can be written in, by its name in any case. */
static enum status find_type(const char *name, uint32_t *type, struct error *err)
{
    for (const struct quant_traits *const *t = quant_all(); *t; t++) {
        if (strcasecmp((*t)->name, name) != 0) continue;
        *type = (*t)->id;
        if ((*t)->encode) return OK;
        return error_set(err, ERR_UNSUPPORTED, "Hearth reads %s but does not write it", (*t)->name);
    }
    char known[512] = "";
    for (const struct quant_traits *const *t = quant_all(); *t; t++) {
        size_t len = strlen(known);
        if ((*t)->encode)
            snprintf(known + len, sizeof known - len, "%s%s", len ? ", " : "", (*t)->name);
    }
    return error_set(err, ERR_INVALID, "'%s' is no tensor type; there are %s", name, known);
}

static enum status find_mix(const char *name, const struct quantize_mix **mix, struct error *err)
{
    *mix = quantize_mix_find(name);
    if (*mix) return OK;
    char known[512] = "";
    for (const struct quantize_mix *m = quantize_mix_all(); m->name; m++) {
        size_t len = strlen(known);
        snprintf(known + len, sizeof known - len, "%s%s", len ? ", " : "", m->name);
    }
    return error_set(err, ERR_INVALID, "'%s' is no type; there are %s", name, known);
}

/* Takes PATTERN=TYPE apart. The pattern is *copy's, which the caller frees. */
static enum status read_override(const char *text, char **copy, struct quantize_override *o,
                                 struct error *err)
{
    const char *equals = strrchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return error_set(err, ERR_INVALID,
                         "--tensor-type takes PATTERN=TYPE, such as attn_v=q8_0, not '%s'", text);
    *copy = strndup(text, (size_t)(equals - text));
    if (!*copy) return error_set(err, ERR_NOMEM, "out of memory");
    o->pattern = *copy;
    return find_type(equals + 1, &o->type, err);
}

struct asked {
    struct quantize_override overrides[64];
    char *patterns[64];
    struct quantize_request rq;
    struct column_weights *imatrix;
    char *in;
};

static void asked_fini(struct asked *a)
{
    for (size_t i = 0; i < 64; i++) free(a->patterns[i]);
    column_weights_close(a->imatrix);
    free(a->in);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static enum status read_request(const struct quantize_options *o, char **argv, struct asked *a,
                                struct error *err)
{
    struct quantize_choices *c = &a->rq.choices;
    uint32_t type = 0;
    *c = (struct quantize_choices){.pure = o->pure,
                                   .leave_output = o->leave_output,
                                   .output = -1,
                                   .token_embd = -1,
                                   .overrides = a->overrides};
    enum status st = find_mix(argv[2], &c->mix, err);
    if (!st && o->output_type) {
        st = find_type(o->output_type, &type, err);
        if (!st) c->output = type;
    }
    if (!st && o->embedding_type) {
        st = find_type(o->embedding_type, &type, err);
        if (!st) c->token_embd = type;
    }
    for (; !st && c->n_overrides < o->tensor_types.len; c->n_overrides++)
        st = read_override(o->tensor_types.items[c->n_overrides], &a->patterns[c->n_overrides],
                           &a->overrides[c->n_overrides], err);
    if (!st) st = cli_resolve_model(argv[0], &a->in, err);
    if (!st && o->imatrix) st = column_weights_open(o->imatrix, &a->imatrix, err);
    a->rq.in = a->in;
    a->rq.out = argv[1];
    a->rq.imatrix = a->imatrix;
    a->rq.imatrix_name = o->imatrix ? file_name(o->imatrix) : NULL;
    a->rq.allow_requantize = o->allow_requantize;
    a->rq.dry_run = o->dry_run;
    a->rq.n_threads = o->threads ? (int)o->threads : machine_physical_cores();
    return st;
}

/* ---- while it runs ----------------------------------------------------------------------------
 */

struct screen {
    struct progress *bar;
    const volatile int *interrupted;
};

static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct screen *sc = ctx;
    progress_update(sc->bar, done, total);
    return !*sc->interrupted;
}

/* ---- afterwards -------------------------------------------------------------------------------
 */

static double bits_per_weight(const struct quantize_result *r)
{
    return r->elements ? 8.0 * (double)r->file_out / (double)r->elements : 0;
}

/* Root mean square of the rounding errors, relative to that of the weights. */
static double relative_error(double error, double squares)
{
    return squares > 0 ? sqrt(error / squares) : 0;
}

static double total_error(const struct quantize_result *r)
{
    double error = 0, squares = 0;
    for (size_t i = 0; i < r->n; i++) {
        error += r->tensors[i].error;
        squares += r->tensors[i].squares;
    }
    return relative_error(error, squares);
}

static json_t *tensors_json(const struct quantize_result *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const struct quantize_outcome *o = &r->tensors[i];
        json_t *j =
            json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:f, s:f}", "name", o->plan.name, "from",
                      quant_find(o->plan.from)->name, "to", quant_find(o->plan.to)->name,
                      "bytes_in", (json_int_t)o->bytes_in, "bytes_out", (json_int_t)o->bytes_out,
                      "weighted", o->weighted, "squared_error", o->error, "squares", o->squares);
        if (j && o->plan.to != o->plan.wanted)
            json_object_set_new(j, "instead_of", json_string(quant_find(o->plan.wanted)->name));
        json_array_append_new(list, j);
    }
    return list;
}

static enum status print_json(const struct asked *a, const struct quantize_result *r,
                              double seconds, struct error *err)
{
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:b, s:I, s:I, s:f, s:f, s:i, s:f, s:o}", "in", a->rq.in, "out",
                  a->rq.out, "type", a->rq.choices.mix->name, "written", !a->rq.dry_run, "bytes_in",
                  (json_int_t)r->file_in, "bytes_out", (json_int_t)r->file_out, "bits_per_weight",
                  bits_per_weight(r), "relative_error", total_error(r), "threads", a->rq.n_threads,
                  "seconds", seconds, "tensors", tensors_json(r));
    return cli_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9), err);
}

static void print_tensors(const struct quantize_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct quantize_outcome *o = &r->tensors[i];
        char size[32], note[64] = "";
        if (o->plan.to != o->plan.wanted)
            snprintf(note, sizeof note, "  (rows do not fit %s)", quant_find(o->plan.wanted)->name);
        printf("%-36s %7s -> %-7s %9s", o->plan.name, quant_find(o->plan.from)->name,
               quant_find(o->plan.to)->name, cli_format_bytes(o->bytes_out, size, sizeof size));
        if (o->squares > 0) printf("  error %6.3f%%", 100 * relative_error(o->error, o->squares));
        printf("%s%s\n", o->weighted ? "  weighted" : "", note);
    }
}

static void warn(const struct asked *a, const struct quantize_result *r)
{
    if (r->n_requantized)
        fprintf(stderr,
                "warning: %zu tensors were quantized before: the result is worse than from the "
                "original model\n",
                r->n_requantized);
    if (r->n_fallback)
        fprintf(
            stderr,
            "note: the rows of %zu tensors do not fit the type's blocks; they got a larger type "
            "(--verbose tells which)\n",
            r->n_fallback);
    if (r->n_unweighted)
        fprintf(stderr, "warning: %s lacks %zu of the matrices\n", a->rq.imatrix_name,
                r->n_unweighted);
}

static enum status report(const struct quantize_options *o, const struct asked *a,
                          const struct quantize_result *r, double seconds, struct error *err)
{
    char in[32], out[32];
    if (!o->quiet) warn(a, r);
    if (o->json) return print_json(a, r, seconds, err);
    if (o->verbose) print_tensors(r);
    cli_format_bytes(r->file_in, in, sizeof in);
    cli_format_bytes(r->file_out, out, sizeof out);
    if (o->dry_run)
        printf("%s would take %s as %s (%.2f bits per weight), now %s\n", a->rq.out, out,
               a->rq.choices.mix->name, bits_per_weight(r), in);
    else
        printf("%s: %s as %s (%.2f bits per weight), before %s; error %.3f%%, %.1f s\n", a->rq.out,
               out, a->rq.choices.mix->name, bits_per_weight(r), in, 100 * total_error(r), seconds);
    return OK;
}

extern const struct command cmd_quantize;

static int run(const void *options, int argc, char **argv)
{
    const struct quantize_options *o = options;
    struct asked a = {0};
    struct quantize_result r = {0};
    struct error err = {0};
    double started = clock_now();
    (void)argc;
    enum status st = read_request(o, argv, &a, &err);
    if (st == ERR_INVALID || st == ERR_UNSUPPORTED) {
        asked_fini(&a);
        return cli_usage_error(&cmd_quantize, "%s", err.msg);
    }
    if (!st) {
        struct screen sc = {.interrupted = cli_catch_interrupt()};
        if (!o->quiet && !o->dry_run) sc.bar = progress_start("quantizing", true);
        a.rq.progress = on_progress;
        a.rq.ctx = &sc;
        /* A file size limit is then an error of the write, which is reported, and not the end. */
        signal(SIGXFSZ, SIG_IGN);
        st = quantize_file(&a.rq, &r, &err);
        progress_end(sc.bar);
    }
    if (!st) st = report(o, &a, &r, clock_now() - started, &err);
    quantize_result_fini(&r);
    asked_fini(&a);
    return st ? cli_fail(&err) : EXIT_OK;
}

static const struct option options[] = {
    {"imatrix", 0, OPTION_STRING, "FILE",
     "Importance matrix: spend the bits where the model's activations are large",
     offsetof(struct quantize_options, imatrix), 0, 0},
    {"tensor-type", 0, OPTION_LIST, "PATTERN=TYPE",
     "Type of the tensors whose names match; may be repeated, the first match counts",
     offsetof(struct quantize_options, tensor_types), 0, 0},
    {"output-tensor-type", 0, OPTION_STRING, "TYPE", "Type of the output matrix",
     offsetof(struct quantize_options, output_type), 0, 0},
    {"token-embedding-type", 0, OPTION_STRING, "TYPE", "Type of the token embeddings",
     offsetof(struct quantize_options, embedding_type), 0, 0},
    {"leave-output-tensor", 0, OPTION_FLAG, NULL, "Keep output.weight as it is",
     offsetof(struct quantize_options, leave_output), 0, 0},
    {"pure", 0, OPTION_FLAG, NULL, "One type for all matrices, no mix",
     offsetof(struct quantize_options, pure), 0, 0},
    {"allow-requantize", 0, OPTION_FLAG, NULL, "Also take files that are quantized already",
     offsetof(struct quantize_options, allow_requantize), 0, 0},
    {"dry-run", 0, OPTION_FLAG, NULL, "Tell the size and write nothing",
     offsetof(struct quantize_options, dry_run), 0, 0},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     offsetof(struct quantize_options, threads), 1, 1024},
    {"verbose", 'v', OPTION_FLAG, NULL, "List every tensor with its type and error",
     offsetof(struct quantize_options, verbose), 0, 0},
    {"quiet", 'q', OPTION_FLAG, NULL, "No progress and no warnings",
     offsetof(struct quantize_options, quiet), 0, 0},
    {"json", 0, OPTION_FLAG, NULL, "Print the result as JSON",
     offsetof(struct quantize_options, json), 0, 0},
    {0},
};

const struct command cmd_quantize = {
    .name = "quantize",
    .summary = "Write a model file anew with smaller tensor types",
    .usage = "quantize IN OUT TYPE [options]",
    .description =
        "IN is a model's name or a GGUF file, best one in F16, BF16 or F32. OUT appears when it "
        "is\n"
        "whole. TYPE is one of Q2_K, Q3_K_S, Q3_K_M, Q3_K_L, IQ4_XS, IQ4_NL, MXFP4, MXFP4_MOE,\n"
        "Q4_0, Q4_1, Q4_K_S, Q4_K_M, Q5_0, Q5_1, Q5_K_S, Q5_K_M, Q6_K, Q8_0, F16, BF16, F32.\n"
        "Most are mixes: matrices that matter more get more bits. Q4_K_M is the usual choice.\n"
        "\n"
        "The error is the root mean square of what rounding changed, relative to the weights.\n"
        "\n"
        "Examples:\n"
        "  hearth quantize model-f16.gguf model-q4.gguf Q4_K_M\n"
        "  hearth quantize model-f16.gguf model-iq4.gguf IQ4_XS --imatrix code.imatrix\n"
        "  hearth quantize model-f16.gguf model-q4.gguf Q4_K_M --tensor-type 'attn_v=q8_0'\n"
        "  hearth quantize qwen2.5-coder:0.5b model-f32.gguf F32\n",
    .options = options,
    .options_size = sizeof(struct quantize_options),
    .min_args = 3,
    .max_args = 3,
    .arg_metavar = "FILE",
    .run = run,
};
