/* Answers and their scores, in memory and as JSON Lines: first what was asked of whom, then one
 * line for each answer. A file that a run was interrupted in is gone on with. */
#ifndef HEARTH_EVAL_RESULTS_H
#define HEARTH_EVAL_RESULTS_H

#include <stdio.h>

#include "eval/cut.h"
#include "eval/holes.h"

struct eval_score {
    bool passed, timed_out; /* only where the hole has tests */
    bool exact;
    double edit; /* similarity, 0..1 */
};

struct eval_result {
    char *id, *answer, *error; /* owned; error: why there is no answer, or NULL */
    const char *kind;          /* owned by the file where it was read, else the benchmark's */
    char *kind_owned;
    size_t answer_len;
    bool tested; /* scores hold verdicts of tests */
    int64_t tokens, prompt_tokens;
    double first_ms, total_ms;
    struct eval_score scores[EVAL_N_CUTS];
};

/* What was asked of whom; strings are owned. */
struct eval_head {
    char *bench, *tasks, *repo, *kinds, *target, *model;
    uint64_t seed;
    size_t limit;
    enum eval_half half;
};

struct eval_results {
    struct eval_head head;
    struct eval_result *v; /* owned */
    size_t n, cap;
};

void eval_results_fini(struct eval_results *r);
void eval_result_fini(struct eval_result *r);

/* Takes the result's strings; ERR_NOMEM leaves them with the caller. */
enum status eval_results_add(struct eval_results *r, const struct eval_result *one,
                             struct error *err);
const struct eval_result *eval_results_find(const struct eval_results *r, const char *id);

/* Reads a file of results; the last line may be cut short, as by a power cut, and is left out. */
enum status eval_results_read(const char *path, struct eval_results *out, struct error *err);

/* ERR_INVALID where a file made with `a` cannot be gone on with by `b`; says what differs. */
enum status eval_head_match(const struct eval_head *a, const struct eval_head *b,
                            struct error *err);

/* Write one line and flush. ERR_IO. */
enum status eval_head_write(const struct eval_head *h, FILE *f, struct error *err);
enum status eval_result_write(const struct eval_result *r, FILE *f, struct error *err);

#endif
