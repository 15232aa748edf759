#include "infer/pass_times.h"

enum { FORGET_AFTER = 400 }; /* passes; a measurement that was disturbed must not stay for good */

#define NEW_SHARE 0.25 /* of a new sample in the average */
#define OUTLIER   2.0  /* a sample counts as this many averages at most */

/* What passes cost where memory bandwidth bounds one row, in units of that row: the weights are
 * read once, but several rows have to be multiplied with them. */
static double shape(size_t rows)
{
    return 0.85 + 0.15 * (double)rows;
}

void pass_times_note(struct pass_times *t, size_t rows, double ms)
{
    if (t->fixed) return;
    t->n++;
    if (rows < 1 || rows > PASS_ROWS || !(ms > 0)) return;
    double old = pass_times_get(t, rows);
    if (t->rows[rows].ms > 0) {
        double seen = ms < OUTLIER * old ? ms : OUTLIER * old;
        ms = old + NEW_SHARE * (seen - old);
    }
    t->rows[rows].ms = ms;
    t->rows[rows].at = t->n;
    for (size_t r = 1; r <= PASS_ROWS; r++)
        if (t->n - t->rows[r].at > FORGET_AFTER) t->rows[r].ms = 0;
}

double pass_times_get(const struct pass_times *t, size_t rows)
{
    if (t->rows[rows].ms > 0) return t->rows[rows].ms;
    size_t below = rows, above = rows;
    while (below > 0 && t->rows[below].ms == 0) below--;
    while (above <= PASS_ROWS && t->rows[above].ms == 0) above++;
    double low = below > 0 ? t->rows[below].ms / shape(below) : 0;
    double high = above <= PASS_ROWS ? t->rows[above].ms / shape(above) : 0;
    if (low == 0 && high == 0) return shape(rows);
    if (low == 0) return shape(rows) * high;
    if (high == 0) return shape(rows) * low;
    double part = (double)(rows - below) / (double)(above - below);
    return shape(rows) * (low + part * (high - low));
}
