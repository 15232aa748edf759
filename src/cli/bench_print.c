/* Results of bench, as JSON and as a table. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/machine.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "gguf/gguf.h"
#include "infer/engine.h"
#include "model/model.h"

static double share(double of, double whole)
{
    return whole > 0 ? of / whole : 0;
}

static const char *model_label(const struct bench *b)
{
    const char *path = gguf_path(engine_gguf(b->engine)), *slash = strrchr(path, '/');
    if (b->o->synthetic) return b->o->synthetic;
    return b->o->model ? b->o->model : slash ? slash + 1 : path;
}

/* Milliseconds of one row: those measured, or where 1 was not asked for, of the fewest rows. */
static double step_unit(const struct bench *b)
{
    const struct bench_step *least = &b->steps[0];
    for (size_t i = 1; i < b->n_steps; i++)
        if (b->steps[i].n_rows < least->n_rows) least = &b->steps[i];
    return least->ms;
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static json_t *json_rates(const struct bench_rates *r, int64_t tokens)
{
    json_t *samples = json_array();
    for (int i = 0; i < r->n; i++) json_array_append_new(samples, json_real(r->sample[i]));
    return json_pack("{s:I, s:f, s:f, s:f, s:i, s:o}", "tokens", (json_int_t)tokens,
                     "tokens_per_second", r->median, "min", r->min, "max", r->max, "n", r->n,
                     "samples", samples);
}

static json_t *json_steps(const struct bench *b)
{
    json_t *list = json_array();
    for (size_t i = 0; i < b->n_steps; i++)
        json_array_append_new(
            list, json_pack("{s:i, s:f, s:f, s:f}", "rows", b->steps[i].n_rows, "ms",
                            b->steps[i].ms, "ratio", share(b->steps[i].ms, step_unit(b)),
                            "rows_per_second", 1e3 * share(b->steps[i].n_rows, b->steps[i].ms)));
    return list;
}

static json_t *json_parallel(const struct bench *b)
{
    json_t *list = json_array();
    for (size_t i = 0; i < b->n_loads; i++) {
        const struct bench_load *l = &b->loads[i];
        json_array_append_new(list, json_pack("{s:i, s:i, s:f, s:f, s:f, s:f}", "clients",
                                              l->n_clients, "requests", l->n_requests,
                                              "tokens_per_second", l->tokens_per_second, "seconds",
                                              l->seconds, "first_token_ms", l->first_ms_median,
                                              "first_token_p95_ms", l->first_ms_p95));
    }
    return list;
}

enum status bench_print_json(const struct bench *b, struct error *err)
{
    const struct model_info *info = engine_model_info(b->engine);
    char cpu[128];
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:i, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:{s:f, s:f}, s:{s:f, "
        "s:f}, "
        "s:f, s:f, s:o}",
        "model", model_label(b), "architecture", info->arch, "cpu",
        machine_cpu_name(cpu, sizeof cpu), "threads", engine_n_threads(b->engine), "context",
        (json_int_t)b->o->context, "prefill", json_rates(&b->prefill, b->o->n_prompt), "decode",
        json_rates(&b->decode, b->o->n_gen), "steps", json_steps(b), "parallel", json_parallel(b),
        "resident_bytes", (json_int_t)b->resident, "file_bytes",
        (json_int_t)gguf_file_bytes(engine_gguf(b->engine)), "bytes_per_token",
        (json_int_t)info->bytes_per_token, "params", (json_int_t)info->n_params, "bandwidth",
        "measured_bytes_per_second", b->bandwidth, "share",
        share(bench_decode_bytes(b), b->bandwidth), "int8_peak", "ops_per_second", b->int8_peak,
        "share", share(bench_prefill_ops(b), b->int8_peak), "load_ms", cli_round(b->load_ms),
        "start_to_prefill_ms", cli_round(b->start_to_prefill_ms), "machine", bench_machine_json());
    return cli_print_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9), err);
}

/* ---- a table ----------------------------------------------------------------------------------
 */

static void print_row(const char *name, int64_t tokens, const struct bench_rates *r,
                      const char *limit)
{
    if (r->n > 0)
        printf("%-8s %6lld %10.1f %10.1f %10.1f   %s\n", name, (long long)tokens, r->median, r->min,
               r->max, limit);
}

static void print_rates(const struct bench *b)
{
    const struct model_info *info = engine_model_info(b->engine);
    char a[32], c[32], limit[128] = "no int8 limit known here";
    if (b->prefill.n == 0 && b->decode.n == 0) return;
    printf("%-8s %6s %10s %10s %10s   %s\n", "", "tokens", "tokens/s", "min", "max",
           "share of the machine's limit");
    if (b->int8_peak > 0)
        snprintf(limit, sizeof limit, "%.0f %% of %.0f Gop/s int8",
                 100 * share(bench_prefill_ops(b), b->int8_peak), 1e-9 * b->int8_peak);
    print_row("prefill", b->o->n_prompt, &b->prefill, limit);
    snprintf(limit, sizeof limit, "bandwidth could not be measured");
    if (b->bandwidth > 0)
        snprintf(limit, sizeof limit, "%.0f %% of %s/s, %s a token",
                 100 * share(bench_decode_bytes(b), b->bandwidth),
                 cli_format_bytes((uint64_t)b->bandwidth, a, sizeof a),
                 cli_format_bytes(info->bytes_per_token, c, sizeof c));
    print_row("decode", b->o->n_gen, &b->decode, limit);
    if (b->o->context > 0)
        printf("both behind a context of %lld tokens\n", (long long)b->o->context);
    printf("\n");
}

static void print_steps(const struct bench *b)
{
    if (b->n_steps == 0) return;
    printf("%-8s %6s %10s %10s   %s\n", "step of", "rows", "ms", "rows/s", "cost");
    for (size_t i = 0; i < b->n_steps; i++)
        printf("%-8s %6d %10.2f %10.1f   %.2f x\n", "", b->steps[i].n_rows, b->steps[i].ms,
               1e3 * share(b->steps[i].n_rows, b->steps[i].ms),
               share(b->steps[i].ms, step_unit(b)));
    printf("\n");
}

static void print_loads(const struct bench *b)
{
    if (b->n_loads == 0) return;
    printf("%-8s %6s %10s %10s   %s\n", "clients", "reqs", "tokens/s", "seconds",
           "first token, ms: median, 95th percentile");
    for (size_t i = 0; i < b->n_loads; i++) {
        const struct bench_load *l = &b->loads[i];
        printf("%-8d %6d %10.1f %10.1f   %.0f, %.0f\n", l->n_clients, l->n_requests,
               l->tokens_per_second, l->seconds, l->first_ms_median, l->first_ms_p95);
    }
    printf("\n");
}

void bench_print_table(const struct bench *b)
{
    const struct model_info *info = engine_model_info(b->engine);
    char a[32], name[128];
    printf("model    %s (%s, %.0f M parameters, %s)\n", model_label(b), info->arch,
           1e-6 * (double)info->n_params,
           cli_format_bytes(gguf_file_bytes(engine_gguf(b->engine)), a, sizeof a));
    printf("cpu      %s, %d thread%s\n\n", machine_cpu_name(name, sizeof name),
           engine_n_threads(b->engine), engine_n_threads(b->engine) == 1 ? "" : "s");
    print_rates(b);
    print_steps(b);
    print_loads(b);
    if (b->start_to_prefill_ms > 0)
        printf("start    %.0f ms from process start to prefill, %.0f of them loading\n",
               b->start_to_prefill_ms, b->load_ms);
    printf("memory   %s resident\n", cli_format_bytes(b->resident, a, sizeof a));
}
