/* The growable buffer keeps to its cap, and a failed append changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void appends_accumulate_and_end_with_nul(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(buf_append_str(&b, "ab"), OK);
    assert_int_equal(buf_append(&b, "\0c", 2), OK);
    assert_int_equal(buf_printf(&b, "%d-%s", 42, "x"), OK);
    assert_int_equal(b.len, 8);
    assert_memory_equal(b.data, "ab\0c42-x", 9);
    buf_fini(&b);
    assert_null(b.data);
}

static void the_cap_is_exact(void **state)
{
    (void)state;
    for (size_t max = 1; max < 300; max++) {
        struct buf b;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++) assert_int_equal(buf_append(&b, "x", 1), OK);
        assert_int_equal(buf_append(&b, "y", 1), ERR_LIMIT);
        assert_int_equal(buf_printf(&b, "%s", "y"), ERR_LIMIT);
        assert_int_equal(b.len, max);
        assert_int_equal(b.data[max - 1], 'x');
        assert_int_equal(b.data[max], 0);
        assert_true(b.cap <= max + 1); /* room that a reader may fill by itself */
        buf_fini(&b);
    }
}

static void huge_lengths_do_not_wrap(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(buf_append_str(&b, "abc"), OK);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), ERR_LIMIT);
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 2), ERR_LIMIT);
    assert_int_equal(buf_append(&b, b.data, 98), ERR_LIMIT);
    assert_string_equal(b.data, "abc");
    buf_fini(&b);
    /* No cap at all: the length plus its NUL must still not wrap to a small allocation. */
    buf_init(&b, SIZE_MAX);
    assert_int_not_equal(buf_reserve(&b, SIZE_MAX), OK);
    assert_int_not_equal(buf_reserve(&b, SIZE_MAX - 1), OK);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

static void clear_keeps_the_memory(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    buf_clear(&b);
    assert_int_equal(buf_append_str(&b, "abc"), OK);
    char *data = b.data;
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    assert_int_equal(buf_append_str(&b, "de"), OK);
    assert_ptr_equal(b.data, data);
    assert_string_equal(b.data, "de");
    buf_fini(&b);
}

static void reserve_gives_room_without_moving(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10000);
    assert_int_equal(buf_reserve(&b, 5000), OK);
    char *data = b.data;
    for (int i = 0; i < 5000; i++) assert_int_equal(buf_append(&b, "z", 1), OK);
    assert_ptr_equal(b.data, data);
    buf_fini(&b);
}

static void an_empty_append_is_fine(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_int_equal(buf_append(&b, NULL, 0), OK);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_accumulate_and_end_with_nul),
        cmocka_unit_test(the_cap_is_exact),
        cmocka_unit_test(huge_lengths_do_not_wrap),
        cmocka_unit_test(clear_keeps_the_memory),
        cmocka_unit_test(reserve_gives_room_without_moving),
        cmocka_unit_test(an_empty_append_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
