/* How long forward passes take, by their number of rows, as seen lately. Decides speed only. */
#ifndef HEARTH_INFER_PASS_TIMES_H
#define HEARTH_INFER_PASS_TIMES_H

#include <stddef.h>

#include "infer/draft.h"

enum { PASS_ROWS = DRAFT_MAX + 1 };

/* Zeroed: nothing is known. */
struct pass_times {
    struct {
        double ms;   /* 0: not measured */
        unsigned at; /* the pass that it was measured at last */
    } rows[PASS_ROWS + 1];
    unsigned n; /* passes noted */
    bool fixed; /* notes change nothing: for runs that can be repeated */
};

void pass_times_note(struct pass_times *t, size_t rows, double ms);
/* Of 1 to PASS_ROWS rows; what was not measured, or long ago, is drawn between its neighbours.
 * Before the first measurement one row takes 1. */
double pass_times_get(const struct pass_times *t, size_t rows);

#endif
