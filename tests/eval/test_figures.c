/* Figures against those of Python: make_figures.py wrote the table. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "eval/figures.h"

static const struct {
    const char *want, *have;
    double edit;
    bool exact;
} pairs[] = {
#include "figures_pairs.inc"
};

static const struct {
    size_t k, n;
    double low, high;
} intervals[] = {
#include "figures_intervals.inc"
};

static void likeness(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *a = pairs[i].want, *b = pairs[i].have;
        double edit = figure_edit_similarity(a, strlen(a), b, strlen(b));
        if (fabs(edit - pairs[i].edit) > 1e-12 ||
            figure_exact(a, strlen(a), b, strlen(b)) != pairs[i].exact)
            fail_msg("'%s' and '%s': %g", a, b, edit);
        assert_true(fabs(figure_edit_similarity(b, strlen(b), a, strlen(a)) - edit) < 1e-12);
    }
}

static void shares(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++) {
        double low, high;
        figure_interval(intervals[i].k, intervals[i].n, &low, &high);
        if (fabs(low - intervals[i].low) > 1e-9 || fabs(high - intervals[i].high) > 1e-9)
            fail_msg("%zu of %zu: %g to %g", intervals[i].k, intervals[i].n, low, high);
    }
}

static void percentiles(void **state)
{
    (void)state;
    double v[] = {5, 1, 4, 2, 3}, one[] = {7};
    assert_true(figure_percentile(v, 5, 0.5) == 3);
    assert_true(fabs(figure_percentile(v, 5, 0.95) - 4.8) < 1e-12);
    assert_true(figure_percentile(v, 5, 1) == 5 && figure_percentile(v, 5, 0) == 1);
    assert_true(figure_percentile(one, 1, 0.95) == 7);
    assert_true(figure_percentile(one, 0, 0.5) == 0);
}

/* Long texts cost bounded time and memory. */
static void long_texts(void **state)
{
    (void)state;
    size_t n = (size_t)FIGURE_MAX_BYTES + 1000;
    char *a = malloc(n), *b = malloc(n);
    assert_non_null(a);
    assert_non_null(b);
    memset(a, 'x', n);
    memset(b, 'x', n);
    b[n - 1] = 'y';
    assert_true(figure_edit_similarity(a, n, b, n) == 1);
    assert_false(figure_exact(a, n, b, n));
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(likeness),
        cmocka_unit_test(shares),
        cmocka_unit_test(percentiles),
        cmocka_unit_test(long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
