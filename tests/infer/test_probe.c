/* Measuring the machine: figures that can be, whatever else runs here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "infer/probe.h"
#include "kern/kern.h"
#include "quant/quant.h"

static void positive(double x)
{
    if (!(isfinite(x) && x > 0)) fail_msg("%g", x);
}

static void figures_are_possible(void **state)
{
    (void)state;
    struct probe *p;
    struct error err = {0};
    struct estimate_machine m;
    /* The same type twice, and one that no file has. */
    const uint32_t types[] = {QUANT_Q4_0, QUANT_Q6_K, QUANT_Q4_0, QUANT_F32, 9999};
    if (probe_create(2, true, &p, &err)) fail_msg("%s", err.msg);
    if (probe_measure(p, types, 5, NULL, &m, &err)) fail_msg("%s", err.msg);
    assert_int_equal(m.n_threads, 2);
    assert_int_equal(m.n_rates, 3);
    for (size_t i = 0; i < m.n_rates; i++) {
        for (int k = 0; k < ESTIMATE_SIZES; k++) positive(m.rates[i].read[k]);
        positive(m.rates[i].multiply);
    }
    for (int k = 1; k < ESTIMATE_SIZES; k++) assert_true(m.sizes[k] > m.sizes[k - 1]);
    positive(m.norm), positive(m.quantize), positive(m.activate), positive(m.move);
    positive(m.batch_norm), positive(m.batch_activate), positive(m.batch_move);
    positive(m.attend_read), positive(m.choose);
    assert_true(m.stage >= 0 && m.attend_pair >= 0 && m.attend_float >= 0);
    probe_destroy(p);
}

static void it_can_be_stopped(void **state)
{
    (void)state;
    struct probe *p;
    struct error err = {0};
    struct estimate_machine m;
    const uint32_t type = QUANT_Q4_0;
    const volatile int stop = 1;
    if (probe_create(1, true, &p, &err)) fail_msg("%s", err.msg);
    assert_int_equal(probe_measure(p, &type, 1, &stop, &m, &err), ERR_CANCELLED);
    probe_destroy(p);
    probe_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_possible),
        cmocka_unit_test(it_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
