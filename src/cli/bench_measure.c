/* Measuring: prompts of random tokens, timed by the session itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/machine.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/confined.h"
#include "cli/load.h"
#include "gguf/gguf.h"
#include "infer/engine.h"
#include "infer/step_cost.h"
#include "model/model.h"
#include "text/tokenizer.h"

static enum status parse_list(const char *name, const char *list, int *out, size_t *count,
                              struct error *err)
{
    const char *p = list;
    *count = 0;
    do {
        char *end;
        long n = strtol(p, &end, 10);
        if (end == p || (*end && *end != ',') || n < 1 || n > BENCH_MAX_BATCH ||
            *count == BENCH_MAX_ROWS)
            return error_set(err, ERR_INVALID,
                             "%s takes up to %d numbers from 1 to %d, such as 1,2,4,8, not '%.80s'",
                             name, BENCH_MAX_ROWS, BENCH_MAX_BATCH, list);
        out[(*count)++] = (int)n;
        p = *end ? end + 1 : end;
    } while (*p);
    return OK;
}

enum status bench_parse_rows(const char *list, struct bench *b, struct error *err)
{
    int n[BENCH_MAX_ROWS];
    enum status st = parse_list("--rows", list, n, &b->n_steps, err);
    for (size_t i = 0; i < b->n_steps; i++) b->steps[i].n_rows = n[i];
    return st;
}

enum status bench_parse_parallel(const char *list, struct bench *b, struct error *err)
{
    int n[BENCH_MAX_ROWS];
    enum status st = parse_list("--parallel", list, n, &b->n_loads, err);
    for (size_t i = 0; i < b->n_loads; i++) b->loads[i].n_clients = n[i];
    return st;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void summarize(struct bench_rates *r)
{
    if (r->n == 0) return;
    double sorted[BENCH_MAX_REPEATS];
    memcpy(sorted, r->sample, (size_t)r->n * sizeof *sorted);
    qsort(sorted, (size_t)r->n, sizeof *sorted, compare);
    r->min = sorted[0];
    r->max = sorted[r->n - 1];
    r->median = (sorted[(r->n - 1) / 2] + sorted[r->n / 2]) / 2;
}

/* Any token that is no control token: a model may treat those in its own way. */
void bench_random_tokens(struct bench *b, int32_t *dst, size_t n)
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
        dst[i] = id;
    }
}

static void on_prefill(void *ctx)
{
    struct bench *b = ctx;
    if (b->start_to_prefill_ms == 0) b->start_to_prefill_ms = 1e3 * clock_since_process_start();
}

/* Evaluates n_prompt new tokens behind the context, which the session holds already but for the
 * first time, and generates. */
static enum status generate(struct bench *b, size_t n_prompt, size_t max_tokens,
                            struct generate_result *res, struct error *err)
{
    size_t context = (size_t)b->o->context;
    enum status st = OK;
    if (context == 0) st = session_score(b->session, NULL, 0, NULL, err); /* forget everything */
    if (st != OK) return st;
    bench_random_tokens(b, b->prompt + context, n_prompt);
    struct sample_params sample = sample_params_default();
    sample.bias = b->bias;
    sample.n_bias = b->n_bias;
    struct generate_request req = {.prompt = b->prompt,
                                   .n_prompt = context + n_prompt,
                                   .max_tokens = max_tokens,
                                   .sample = sample,
                                   .cancel = b->cancel,
                                   .on_prefill = on_prefill,
                                   .ctx = b};
    st = session_generate(b->session, &req, res, err);
    if (st == OK && res->finish == FINISH_CANCELLED)
        st = error_set(err, ERR_CANCELLED, "interrupted");
    return st;
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
        if (keep)
            b->prefill.sample[b->prefill.n++] =
                1e3 * (double)(res.n_prompt - res.n_cached) / res.prefill_ms;
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

/* A synthetic model that nobody keeps is gone from the disk once it is mapped, and its packed
 * weights are held in memory alone. */
static enum status open_model(struct bench *b, struct error *err)
{
    const struct bench_options *o = b->o;
    char *path = NULL;
    if (o->synthetic) confined_off("the model is Hearth's own");
    enum status st = o->synthetic ? bench_synthetic(o->synthetic, o->keep, b->cancel, &path, err)
                                  : cli_resolve_model(o->model, &path, err);
    if (st == OK) st = bench_check_memory(path, err);
    double t = clock_now();
    if (st == OK && o->synthetic && !o->keep)
        st = cli_open_engine(path, NULL, (int)o->threads, o->kv_type, &b->engine, err);
    else if (st == OK)
        st = cli_load_engine_kv(o->synthetic ? path : o->model, (int)o->threads, o->kv_type,
                                &b->engine, err);
    b->load_ms = 1e3 * (clock_now() - t);
    if (path && o->synthetic && !o->keep) unlink(path);
    free(path);
    return st;
}

static enum status measure_steps(struct bench *b, struct error *err)
{
    size_t counts[BENCH_MAX_ROWS];
    double ms[BENCH_MAX_ROWS];
    if (b->n_steps == 0) return OK;
    for (size_t i = 0; i < b->n_steps; i++) counts[i] = (size_t)b->steps[i].n_rows;
    enum status st = step_cost_measure(b->engine, counts, b->n_steps, (size_t)b->o->context,
                                       (size_t)b->o->repeats, b->cancel, ms, err);
    for (size_t i = 0; i < b->n_steps && st == OK; i++) b->steps[i].ms = ms[i];
    return st;
}

static enum status open_session(struct bench *b, struct error *err)
{
    const struct bench_options *o = b->o;
    size_t context = (size_t)o->context;
    size_t need = (size_t)(o->n_prompt > o->n_gen + 1 ? o->n_prompt : o->n_gen + 1) + 1;
    enum status st = session_create(b->engine, context + need, &b->session, err);
    if (st != OK) return st;
    b->prompt = calloc(context + (size_t)o->n_prompt + 1, sizeof *b->prompt);
    if (!b->prompt) return error_set(err, ERR_NOMEM, "out of memory");
    if ((st = ban_ends(b, err)) != OK) return st;
    bench_random_tokens(b, b->prompt, context);
    return measure(b, false, err); /* warm-up */
}

enum status bench_open(struct bench *b, struct error *err)
{
    const struct bench_options *o = b->o;
    b->rng = 1;
    enum status st = open_model(b, err);
    if (st == OK && (o->n_prompt > 0 || o->n_gen > 0)) st = open_session(b, err);
    if (st == OK) engine_settle(b->engine); /* what a process sees that runs for long */
    return st;
}

enum status bench_sample(struct bench *b, struct error *err)
{
    return measure(b, true, err);
}

enum status bench_run(struct bench *b, struct error *err)
{
    enum status st = bench_open(b, err);
    if (st == OK) st = confined_seal(false, err);
    for (int64_t i = 0; i < b->o->repeats && st == OK && b->session; i++) st = bench_sample(b, err);
    summarize(&b->prefill);
    summarize(&b->decode);
    b->resident = machine_resident_bytes();
    if (st == OK) st = measure_steps(b, err);
    for (size_t i = 0; i < b->n_loads && st == OK; i++) st = bench_load(b, &b->loads[i], err);
    if (st != OK) return st;
    int threads = engine_n_threads(b->engine);
    b->bandwidth = machine_read_bandwidth(threads);
    b->int8_peak = machine_int8_ops_per_second(threads);
    b->prefill_ops = count_prefill_ops(engine_gguf(b->engine), (double)b->o->n_prompt);
    return OK;
}

void bench_close(struct bench *b)
{
    session_destroy(b->session);
    engine_close(b->engine);
    free(b->prompt);
    free(b->bias);
}

double bench_decode_bytes(const struct bench *b)
{
    return b->decode.median * (double)engine_model_info(b->engine)->bytes_per_token;
}

double bench_prefill_ops(const struct bench *b)
{
    return b->o->n_prompt ? b->prefill.median * b->prefill_ops / (double)b->o->n_prompt : 0;
}
