/* The parts of `hearth doctor`: the command in cmd_doctor.c, facts about the machine in
 * doctor_machine.c, models and verdicts in doctor_models.c, output in doctor_print.c and
 * doctor_json.c, predictions against measurements in doctor_check.c. */
#ifndef HEARTH_CLI_DOCTOR_H
#define HEARTH_CLI_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/machine.h"
#include "base/status.h"
#include "infer/estimate.h"
#include "store/store.h"

struct probe;

/* The rules of the verdicts and recommendations; docs/doctor.md tells them. */
enum {
    DOCTOR_PROMPT = 1500,  /* tokens of the prompt whose first token is foretold */
    DOCTOR_CONTEXT = 4096, /* positions of the KV cache that has to fit: a session's default */
    DOCTOR_STEP_AT = 512,  /* tokens behind which decoding is foretold */
};
#define DOCTOR_COMPLETION_SECONDS                                                                  \
    5.0                             /* to the first token of a prompt that nothing is known of     \
                                     */
#define DOCTOR_COMPLETION_RATE 15.0 /* tokens a second */
#define DOCTOR_CHAT_SECONDS    20.0
#define DOCTOR_CHAT_RATE       10.0 /* about as fast as one reads */

struct doctor_options {
    bool json, quick, check;
    int64_t threads, rounds;
};

enum { DOCTOR_MAX_GPUS = 16 };

struct doctor_machine {
    char cpu[128];
    int cores, threads; /* threads: what is measured with */
    const char *kernels;
    struct machine_limits limits;
    uint64_t usable; /* memory that a model can have */
    struct machine_gpu gpus[DOCTOR_MAX_GPUS];
    size_t n_gpus;
    char *store, *cache;             /* folders, malloc'd; cache NULL: none */
    uint64_t store_free, cache_free; /* of their disks; 0: unknown */
    bool one_disk;
    double bandwidth, int8_peak; /* 0: not measured */
    struct estimate_machine rates;
};

enum doctor_verdict {
    DOCTOR_RUNS_WELL,
    DOCTOR_SLOW,
    DOCTOR_TOO_LARGE,
    DOCTOR_UNSUPPORTED,
    DOCTOR_UNKNOWN
};

struct doctor_model {
    char *name;                          /* as it would be typed */
    char *path;                          /* of its file, or NULL */
    const struct catalogue_model *entry; /* or NULL */
    bool installed, named, is_file, fim, chat;
    uint64_t bytes; /* of the file; 0: unknown */
    bool bytes_exact;
    bool has_shape;
    struct estimate_shape shape;
    double n_params, quality;
    /* what comes of it; 0 where there is no estimate */
    double memory, kv_bytes, step, prompt, first_token; /* bytes; seconds */
    enum doctor_verdict verdict;
    char why[192]; /* "" where the verdict says it all */
};

/* A prediction and what was measured in the same rounds. */
struct doctor_ratio {
    double predicted, measured,
        ratio; /* medians; ratio: of each round's own predicted / measured */
};
struct doctor_check {
    const struct doctor_model *model;
    struct doctor_ratio decode, prefill; /* tokens a second */
    struct doctor_ratio resident;        /* bytes */
};

struct doctor {
    const struct doctor_options *o;
    const volatile int *cancel;
    struct store *store;
    struct store_models installed;
    struct doctor_machine machine;
    struct probe *probe;
    uint64_t resident; /* bytes of the program itself, before it measured or opened anything */
    struct doctor_model *models;
    size_t n_models;
    const struct doctor_model *completion, *chat; /* recommended; NULL: none */
    struct doctor_check *checks;
    size_t n_checks;
};

/* Everything but what is measured. */
enum status doctor_look_at_machine(struct doctor *d, struct error *err);
/* Rates for all tensor types of the models, then the limits of memory and arithmetic. */
enum status doctor_measure_machine(struct doctor *d, struct error *err);
void doctor_machine_fini(struct doctor_machine *m);

/* The named models and files, or without any the catalogue and all that is installed. */
enum status doctor_collect_models(struct doctor *d, int argc, char **argv, struct error *err);
/* Estimates and verdicts of all models, then the recommendations. */
void doctor_judge(struct doctor *d);
void doctor_models_fini(struct doctor *d);

/* Measures the named models, or all that are installed, and predicts them in the same rounds. */
enum status doctor_check_models(struct doctor *d, struct error *err);

const char *doctor_verdict_name(enum doctor_verdict v); /* "runs well" */
/* What to type to have the model, or to use it where it is there; returns dst. */
const char *doctor_command(const struct doctor_model *m, bool completion, char *dst, size_t cap);
void doctor_print(const struct doctor *d);
enum status doctor_print_json(const struct doctor *d, struct error *err);

#endif
