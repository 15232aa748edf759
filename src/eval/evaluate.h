/* Asking for all holes of a set and scoring the answers. */
#ifndef HEARTH_EVAL_EVALUATE_H
#define HEARTH_EVAL_EVALUATE_H

#include "eval/peer.h"
#include "eval/results.h"
#include "eval/sandbox.h"

struct evaluate_run {
    const struct eval_set *set;
    struct peer *peer;
    const struct sandbox *sandbox; /* NULL: no tests are run */
    FILE *out;                     /* each result as a line; or NULL */
    int max_tokens;                /* 0: as the kind has them */
    int jobs;                      /* programs tested at once, beside the asking; 0: 1 */
    const volatile int *cancel;
    /* Called after each answer; may be NULL. */
    void (*progress)(void *ctx, size_t done, size_t total);
    void *ctx;
};

/* Scores one answer to a hole: all cuts, each distinct text tested once. Fills r->scores,
 * r->tested. */
enum status evaluate_answer(const struct eval_hole *h, const struct sandbox *s,
                              struct eval_result *r, struct error *err);

/* Asks for those holes that `results` has no answer to, one after the other, while programs are
 * tested in threads of their own, and adds to `results`. An answer that fails is a wrong one,
 * unless three fail in a row. What was answered stays in `results` when it returns ERR_CANCELLED or
 * fails. */
enum status evaluate_run(const struct evaluate_run *run, struct eval_results *results, struct error *err);

#endif
