/* Errors as values: one line whatever goes in, cut at a character. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/status.h"

static void set_formats_and_returns_its_code(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(error_set(&err, ERR_FORMAT, "%s: %d", "file", 7), ERR_FORMAT);
    assert_int_equal(err.code, ERR_FORMAT);
    assert_string_equal(err.msg, "file: 7");
}

static void a_null_error_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, ERR_BUSY, "x"), ERR_BUSY);
    assert_int_not_equal(error_prefix(NULL, "x"), OK);
}

static void control_characters_cannot_break_the_line(void **state)
{
    (void)state;
    struct error err;
    error_set(&err, ERR_FORMAT, "key '%s'", "a\nb\x1b[31m\x7f\t");
    assert_string_equal(err.msg, "key 'a?b?[31m?" "?'");
}

static void a_long_message_is_cut_between_characters(void **state)
{
    (void)state;
    struct error err;
    const size_t room = sizeof err.msg - 1;
    /* Every position of the cut inside a four-byte character. */
    for (size_t lead = 0; lead < 4; lead++) {
        char text[2048];
        memset(text, 'x', lead);
        for (size_t i = lead; i + 4 < sizeof text; i += 4) memcpy(text + i, "\xF0\x9F\x94\xA5", 4);
        text[lead + 4 * ((sizeof text - lead - 1) / 4)] = 0;
        error_set(&err, ERR_FORMAT, "%s", text);
        size_t len = strlen(err.msg);
        assert_true(len > room - 4 && len <= room);
        assert_int_equal((len - lead) % 4, 0);
    }
}

static void a_prefix_goes_in_front_and_keeps_the_code(void **state)
{
    (void)state;
    struct error err;
    error_set(&err, ERR_NOT_FOUND, "no tensor 'x'");
    assert_int_equal(error_prefix(&err, "%s", "model.gguf"), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "model.gguf: no tensor 'x'");
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void a_prefix_never_overflows(void **state)
{
    (void)state;
    struct error err;
    char big[2000];
    memset(big, 'p', sizeof big - 1);
    big[sizeof big - 1] = 0;
    error_set(&err, ERR_IO, "%s", big);
    error_prefix(&err, "%s", big);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    error_set(&err, ERR_IO, "%s", big);
    error_prefix(&err, "short");
    assert_memory_equal(err.msg, "short: ppp", 10);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

static void every_status_has_a_name(void **state)
{
    (void)state;
    for (int code = OK; code <= ERR_CANCELLED; code++) {
        const char *name = status_name((enum status)code);
        assert_non_null(name);
        assert_string_not_equal(name, "unknown error");
    }
    assert_string_equal(status_name((enum status)9999), "unknown error");
    assert_string_equal(status_name((enum status)(-1)), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_formats_and_returns_its_code),
        cmocka_unit_test(a_null_error_is_allowed),
        cmocka_unit_test(control_characters_cannot_break_the_line),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(a_prefix_goes_in_front_and_keeps_the_code),
        cmocka_unit_test(a_prefix_never_overflows),
        cmocka_unit_test(every_status_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
