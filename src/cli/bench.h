/* The parts of `hearth bench`: options and the command in cmd_bench.c, a model to measure in
 * bench_synthetic.c, measuring in bench_measure.c and bench_parallel.c, output in bench_print.c,
 * and the machine it describes in bench_machine.c. */
#ifndef HEARTH_CLI_BENCH_H
#define HEARTH_CLI_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { BENCH_MAX_REPEATS = 1000, BENCH_MAX_ROWS = 16, BENCH_MAX_BATCH = 512 };

struct bench_options {
    const char *model, *synthetic, *keep, *rows, *parallel, *kv_type;
    int64_t n_prompt, n_gen, context, threads, repeats;
    bool json;
};

/* Samples of one figure, and what they come to once they are all there. */
struct bench_rates {
    double sample[BENCH_MAX_REPEATS];
    int n;
    double median, min, max;
};

/* One decode step of several rows at once. */
struct bench_step {
    int n_rows;
    double ms; /* median */
};

/* Clients that keep the scheduler busy. */
struct bench_load {
    int n_clients, n_requests;
    double tokens_per_second; /* generated, of all clients */
    double seconds, first_ms_median, first_ms_p95;
};

struct bench {
    const struct bench_options *o;
    const volatile int *cancel;
    struct engine *engine;
    struct session *session;
    int32_t *prompt;         /* [context + n_prompt + 1] */
    struct logit_bias *bias; /* bans the tokens that would end the text */
    size_t n_bias;
    uint64_t rng;
    double load_ms, start_to_prefill_ms;
    struct bench_rates prefill, decode; /* tokens per second */
    struct bench_step steps[BENCH_MAX_ROWS];
    size_t n_steps;
    struct bench_load loads[BENCH_MAX_ROWS];
    size_t n_loads;
    uint64_t resident;
    double bandwidth, int8_peak; /* of the machine */
    double prefill_ops;          /* of one whole prompt */
};

/* "1,2,4" as steps[].n_rows; ERR_INVALID where it is no list of 1 to BENCH_MAX_ROWS numbers, each
 * at most BENCH_MAX_BATCH. */
enum status bench_parse_rows(const char *list, struct bench *b, struct error *err);

/* The same for loads[].n_clients. */
enum status bench_parse_parallel(const char *list, struct bench *b, struct error *err);

/* Tokens without a pattern, none of which ends a text. */
void bench_random_tokens(struct bench *b, int32_t *dst, size_t n);
/* Clients that each send a request as soon as their last one has ended, with prompts of the
 * options' length, the first two thirds of which are the same. Fills all but n_clients. */
enum status bench_load(struct bench *b, struct bench_load *out, struct error *err);

/* The parts of a measurement, for others that take turns with it: opening the model, with a warm-up
 * that does not count, and one more sample of prefill and decode each. The caller ends with
 * bench_close in any case. */
enum status bench_open(struct bench *b, struct error *err);
enum status bench_sample(struct bench *b, struct error *err);

/* Opens the model and measures everything. The caller ends with bench_close in any case. */
enum status bench_run(struct bench *b, struct error *err);
void bench_close(struct bench *b);

/* Bytes of weights read, and operations done, per second of decode and prefill. */
double bench_decode_bytes(const struct bench *b);
double bench_prefill_ops(const struct bench *b);

enum status bench_print_json(const struct bench *b, struct error *err);
void bench_print_table(const struct bench *b);

/* The machine, the program and the date, as a new JSON object; NULL without memory. */
json_t *bench_machine_json(void);

/* ---- synthetic models -------------------------------------------------------------------------
 */

/* Makes the synthetic model's file at `keep`, or for this run in the cache folder, where it fits
 * the disk; *path is malloc'd. A file that `keep` names is left alone where it is this model's and
 * refused where it is not. */
enum status bench_synthetic(const char *spec, const char *keep, const volatile int *cancel,
                            char **path, struct error *err);

/* ERR_LIMIT where that model file, or its weights once they are packed, would not fit the memory
 * that is free. */
enum status bench_check_memory(const char *path, struct error *err);

#endif
