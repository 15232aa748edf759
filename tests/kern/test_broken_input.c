/* An activation that is no finite number must not vanish on its way through int8: the row it stands
 * in gives NaN, so that whoever reads the logits sees it, and all other rows stay as they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "kern/kern.h"

enum { COLS = 512, OUTPUTS = 16, ROWS = 11, BROKEN_ROW = 4 };

static void *zeros(size_t n)
{
    void *p = aligned_alloc(64, (n + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0, (n + 63) / 64 * 64);
    return p;
}

/* Multiplies by a matrix of which each row has the same nonzero blocks. */
static void product(const struct kern_ops *ops, const struct quant_traits *t, const float *x,
                    size_t n_rows, float *y)
{
    size_t row_bytes = COLS / t->block_elems * t->block_bytes;
    uint8_t *rows = zeros(OUTPUTS * row_bytes), *panel = zeros(kern_panel_bytes(t, COLS));
    for (size_t i = 0; i < OUTPUTS * row_bytes; i++) rows[i] = 0x11; /* halves of 0.0006 */
    kern_pack_panel(t, rows, row_bytes, OUTPUTS, COLS, panel);
    struct kern_matrix w = {.type = t, .n_rows = OUTPUTS, .n_cols = COLS, .data = panel};
    struct kern_act act = {.n_rows = n_rows, .n_cols = COLS, .f32 = x, .f32_stride = COLS};
    for (int k = 0; k < KERN_ACT_FORMATS; k++)
        act.fmt[k] = (struct kern_act_q){zeros(2 * ROWS * COLS), zeros(ROWS * COLS / 4),
                                         zeros(ROWS * COLS / 4),
                                         zeros(ROWS * COLS / 4)};
    void *scratch = zeros(KERN_MATMUL_SCRATCH);
    ops->act_quantize(&act, kern_act_format(t, COLS), 0, (n_rows + KERN_TILE_MAX - 1) / KERN_TILE_MAX);
    ops->matmul(&w, &act, y, OUTPUTS, 0, 1, scratch);
    free(scratch);
    for (int k = 0; k < KERN_ACT_FORMATS; k++) {
        free(act.fmt[k].q);
        free(act.fmt[k].scale);
        free(act.fmt[k].neg_sum);
        free(act.fmt[k].bias);
    }
    free(panel);
    free(rows);
}

static void fill(float *x)
{
    for (size_t i = 0; i < ROWS * COLS; i++) x[i] = (float)(i % 13) - 5;
}

static void check(const struct kern_ops *ops, const struct quant_traits *t, float bad, size_t at)
{
    static float x[ROWS * COLS], whole[ROWS * OUTPUTS], y[ROWS * OUTPUTS];
    fill(x);
    product(ops, t, x, ROWS, whole);
    if (at == COLS)
        for (size_t i = 0; i < COLS; i++) x[BROKEN_ROW * COLS + i] = bad;
    else
        x[BROKEN_ROW * COLS + at] = bad;
    product(ops, t, x, ROWS, y);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t o = 0; o < OUTPUTS; o++) {
            float v = y[r * OUTPUTS + o];
            if (r == BROKEN_ROW)
                assert_true(isnan(v));
            else
                assert_true(isfinite(v) && v == whole[r * OUTPUTS + o]);
        }
    product(ops, t, x + BROKEN_ROW * COLS, 1, y);
    for (size_t o = 0; o < OUTPUTS; o++) assert_true(isnan(y[o]));
}

static void a_broken_activation_shows(void **state)
{
    (void)state;
    static const uint32_t types[] = {QUANT_Q4_0, QUANT_Q4_1, QUANT_Q8_0, QUANT_Q4_K,
                                     QUANT_Q6_K, QUANT_IQ4_NL, QUANT_IQ4_XS, QUANT_MXFP4,
                                     QUANT_NVFP4, QUANT_IQ2_XXS, QUANT_IQ1_M, QUANT_TQ2_0};
    static const size_t places[] = {0, 17, COLS - 1, COLS}; /* COLS: the whole row */
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    const struct kern_ops *tables[8];
    size_t n = kern_available(tables, 8);
    for (size_t i = 0; i < n; i++)
        for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
            for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++)
                for (size_t p = 0; p < sizeof places / sizeof places[0]; p++)
                    check(tables[i], quant_find(types[t]), bad[b], places[p]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_broken_activation_shows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
