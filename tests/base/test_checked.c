/* Checked arithmetic at the edges of 64 bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/checked.h"

static void products(void **state)
{
    (void)state;
    uint64_t v;
    assert_true(checked_mul(0, UINT64_MAX, &v) && v == 0);
    assert_true(checked_mul(UINT32_MAX, UINT32_MAX, &v) && v == 0xFFFFFFFE00000001u);
    assert_true(checked_mul(UINT64_MAX, 1, &v) && v == UINT64_MAX);
    assert_false(checked_mul(UINT64_MAX, 2, &v));
    assert_false(checked_mul(UINT64_C(1) << 32, UINT64_C(1) << 32, &v));
}

static void sums(void **state)
{
    (void)state;
    uint64_t v;
    assert_true(checked_add(UINT64_MAX, 0, &v) && v == UINT64_MAX);
    assert_true(checked_add(UINT64_MAX - 5, 5, &v) && v == UINT64_MAX);
    assert_false(checked_add(UINT64_MAX, 1, &v));
    assert_false(checked_add(UINT64_MAX, UINT64_MAX, &v));
}

static void alignment(void **state)
{
    (void)state;
    uint64_t v;
    assert_true(checked_align(0, 32, &v) && v == 0);
    assert_true(checked_align(1, 32, &v) && v == 32);
    assert_true(checked_align(32, 32, &v) && v == 32);
    assert_true(checked_align(33, 32, &v) && v == 64);
    assert_true(checked_align(77, 1, &v) && v == 77);
    assert_true(checked_align(UINT64_MAX - 31, 32, &v) && v == UINT64_MAX - 31);
    assert_false(checked_align(UINT64_MAX - 30, 32, &v));
    assert_false(checked_align(UINT64_MAX, 2, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),
        cmocka_unit_test(sums),
        cmocka_unit_test(alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
