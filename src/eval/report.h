/* Figures of results, as tables and as JSON. */
#ifndef HEARTH_EVAL_REPORT_H
#define HEARTH_EVAL_REPORT_H

#include <jansson.h>

#include "base/buf.h"
#include "eval/results.h"

/* Of the answers to one kind of hole, cut in one way. */
struct eval_row {
    size_t n, tested, passed, exact, timed_out;
    double edit; /* mean similarity */
};

struct eval_summary {
    const char *kind; /* borrowed from the results */
    size_t failed;    /* questions without an answer; they count as wrong */
    struct eval_row rows[EVAL_N_CUTS];
    double first_p50, first_p95, total_p50, total_p95; /* milliseconds */
    double tokens;                                     /* mean, of those answers that tell */
};

/* One summary for each kind in order of appearance; at most EVAL_MAX_KINDS. */
enum status eval_summarize(const struct eval_results *r, struct eval_summary *out, size_t *n,
                           struct error *err);

/* Appends a table for people. `all_cuts`: also what cutting would make of the answers. */
enum status eval_report_text(const struct eval_results *r, bool all_cuts, struct buf *out,
                             struct error *err);
/* One object, new; NULL with a reason in err. */
json_t *eval_report_json(const struct eval_results *r, struct error *err);

/* How much more (or less) often `a`'s answers pass than `b`'s, each cut its way, over the holes of
 * one kind that both have: difference of the shares, with the 95 % confidence interval of paired
 * answers. */
struct eval_difference {
    size_t n;
    double mean, low, high;
};
struct eval_difference eval_compare(const struct eval_results *a, int cut_a,
                                    const struct eval_results *b, int cut_b, const char *kind);

/* Appends a table of several files' results side by side, and each one's difference to the first.
 */
enum status eval_compare_text(const struct eval_results *files, const char *const *names, size_t n,
                              struct buf *out, struct error *err);

#endif
