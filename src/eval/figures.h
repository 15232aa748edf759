/* How near an answer is to what was there, and what figures of many answers are worth. */
#ifndef HEARTH_EVAL_FIGURES_H
#define HEARTH_EVAL_FIGURES_H

#include <stdbool.h>
#include <stddef.h>

/* Equal but for blanks at the ends of lines and at the end of the text. */
bool figure_exact(const char *want, size_t want_len, const char *have, size_t have_len);

enum { FIGURE_MAX_BYTES = 16384 };

/* 1 - edits / length of the longer: edits are inserted, deleted or changed bytes (Levenshtein). 1
 * for equal texts, 0 for nothing in common. Of longer texts only the first FIGURE_MAX_BYTES count.
 * Negative: out of memory. */
double figure_edit_similarity(const char *want, size_t want_len, const char *have, size_t have_len);

/* The 95 % confidence interval of a share seen k times in n (Wilson 1927); 0 to 1 for n = 0. */
void figure_interval(size_t k, size_t n, double *low, double *high);

/* The value that `share` (0..1) of n values do not exceed, by linear interpolation between ranks.
 * Sorts the values; 0 for n = 0. */
double figure_percentile(double *values, size_t n, double share);

#endif
