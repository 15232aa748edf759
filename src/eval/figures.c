#include "eval/figures.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The end of a line's text without blanks, and where the next line begins. */
static size_t line_end(const char *s, size_t len, size_t at, size_t *next)
{
    const char *stop = at < len ? memchr(s + at, '\n', len - at) : NULL;
    size_t end = stop ? (size_t)(stop - s) : len;
    *next = stop ? end + 1 : len;
    while (end > at && isspace((unsigned char)s[end - 1])) end--;
    return end;
}

static size_t trimmed(const char *s, size_t len)
{
    while (len > 0 && isspace((unsigned char)s[len - 1])) len--;
    return len;
}

bool figure_exact(const char *want, size_t want_len, const char *have, size_t have_len)
{
    size_t a = 0, b = 0;
    want_len = trimmed(want, want_len);
    have_len = trimmed(have, have_len);
    while (a < want_len && b < have_len) {
        size_t next_a, next_b;
        size_t end_a = line_end(want, want_len, a, &next_a);
        size_t end_b = line_end(have, have_len, b, &next_b);
        if (end_a - a != end_b - b || memcmp(want + a, have + b, end_a - a) != 0) return false;
        a = next_a;
        b = next_b;
    }
    return a >= want_len && b >= have_len;
}

double figure_edit_similarity(const char *want, size_t want_len, const char *have, size_t have_len)
{
    size_t n = want_len < FIGURE_MAX_BYTES ? want_len : FIGURE_MAX_BYTES;
    size_t m = have_len < FIGURE_MAX_BYTES ? have_len : FIGURE_MAX_BYTES;
    size_t longer = n > m ? n : m;
    if (longer == 0) return 1;
    unsigned *row = malloc((m + 1) * sizeof *row);
    if (!row) return -1;
    for (size_t j = 0; j <= m; j++) row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = diagonal + (want[i - 1] != have[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    double similarity = 1 - (double)row[m] / (double)longer;
    free(row);
    return similarity;
}

void figure_interval(size_t k, size_t n, double *low, double *high)
{
    const double z = 1.959963984540054; /* the normal distribution's 97.5 % point */
    *low = 0;
    *high = 1;
    if (n == 0) return;
    double p = (double)k / (double)n, d = 1 + z * z / (double)n;
    double middle = (p + z * z / (2 * (double)n)) / d;
    double half = z * sqrt(p * (1 - p) / (double)n + z * z / (4 * (double)n * (double)n)) / d;
    *low = k == 0 ? 0 : middle - half;
    *high = k == n ? 1 : middle + half;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double figure_percentile(double *values, size_t n, double share)
{
    if (n == 0) return 0;
    qsort(values, n, sizeof *values, by_value);
    double rank = share * (double)(n - 1);
    size_t low = (size_t)rank;
    if (low + 1 >= n) return values[n - 1];
    return values[low] + (rank - (double)low) * (values[low + 1] - values[low]);
}
