/* What a decode step costs that serves several sequences at once, or checks several drafted tokens:
 * both read the weights once for all their rows. */
#ifndef HEARTH_INFER_STEP_COST_H
#define HEARTH_INFER_STEP_COST_H

#include <stddef.h>

#include "base/status.h"

struct engine;

enum { STEP_COST_MAX_ROWS = 512 };

/* For each of n counts of rows: the median milliseconds of `repeats` forward passes, after one that
 * does not count, over that many rows, each with logits and each of a sequence of its own that
 * holds `depth` positions. The counts take turns. Sequences are made for the call and share their
 * positions. ERR_INVALID for a count of 0 or above STEP_COST_MAX_ROWS, ERR_CANCELLED. */
enum status step_cost_measure(struct engine *e, const size_t *counts, size_t n, size_t depth,
                              size_t repeats, const volatile int *cancel, double *ms,
                              struct error *err);

#endif
