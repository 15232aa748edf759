/* Positions in texts: characters, line ends, marks, and what lies outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "assist/cursor.h"

static void inside(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t line, column;
        size_t offset;
    } list[] = {
        {"", 1, 1, 0},       {"abc", 1, 1, 0},           {"abc", 1, 4, 3},
        {"abc\n", 1, 4, 3},  {"abc\n", 2, 1, 4},         {"a\n\nb", 2, 1, 2},
        {"a\n\nb", 3, 2, 4}, {"\t\tx", 1, 3, 2},         {"é€😀x", 1, 4, 9},
        {"é\né", 2, 2, 5},   {"ab\r\ncd\r\n", 1, 3, 2},  {"ab\r\ncd\r\n", 2, 3, 6},
        {"a\rb", 1, 4, 3},   {"\xEF\xBB\xBFx", 1, 1, 3}, {"\xEF\xBB\xBFx\ny", 2, 1, 5},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        size_t at = 999;
        struct error err = {0};
        if (cursor_find(list[i].text, strlen(list[i].text), list[i].line, list[i].column, "f", &at,
                        &err))
            fail_msg("case %zu: %s", i, err.msg);
        assert_int_equal(at, list[i].offset);
        uint64_t line, column;
        cursor_locate(list[i].text, at, &line, &column);
        assert_int_equal(line, list[i].line);
        assert_int_equal(column, list[i].column);
    }
}

static void outside(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t line, column;
        const char *says;
    } list[] = {
        {"", 2, 1, "1 line"},
        {"", 1, 2, "0 characters"},
        {"a\nb\n", 4, 1, "which has 2 lines"},
        {"a\nb\nc", 4, 1, "which has 3 lines"},
        {"a\n", 18446744073709551615u, 1, "no line 18446744073709551615"},
        {"abc\n", 1, 5, "3 characters (its end is column 4)"},
        {"é\n", 1, 3, "1 character (its end is column 2)"},
        {"ab\r\n", 1, 4, "2 characters"},
        {"a\n", 2, 2, "0 characters"},
        {"a", 0, 1, "no line 0"},
        {"a", 1, 0, "no column 0"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        size_t at;
        struct error err = {0};
        assert_int_equal(cursor_find(list[i].text, strlen(list[i].text), list[i].line,
                                     list[i].column, "f.c", &at, &err),
                         ERR_INVALID);
        if (!strstr(err.msg, list[i].says)) fail_msg("'%s' without '%s'", err.msg, list[i].says);
        assert_non_null(strstr(err.msg, "f.c"));
    }
}

static void markers(void **state)
{
    (void)state;
    size_t at;
    struct error err = {0};
    assert_int_equal(cursor_find_marker("ab<|cursor|>c", 13, "f", &at, &err), OK);
    assert_int_equal(at, 2);
    assert_int_equal(cursor_find_marker("", 0, "f", &at, &err), ERR_INVALID);
    assert_int_equal(cursor_find_marker("<|cursor|", 9, "f", &at, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "--at LINE:COL"));
    assert_int_equal(cursor_find_marker("<|cursor|><|cursor|>", 20, "f", &at, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "more than one"));
}

static void text_checks(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(cursor_check_text("é\n", 3, "f", &err), OK);
    assert_int_equal(cursor_check_text("", 0, "f", &err), OK);
    assert_int_equal(cursor_check_text("a\nb\xE9z", 5, "latin.c", &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "latin.c is not UTF-8: byte 3 (line 2) is 0xE9"));
    assert_int_equal(cursor_check_text("a\n\nb\0", 5, "bin", &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "byte 4 (line 3)"));
    assert_int_equal(cursor_check_text("a\xE2\x82", 3, "cut", &err), ERR_FORMAT);
}

static void secrets(void **state)
{
    (void)state;
    static const char *const yes[] = {
        ".env",       "a/.env",  ".env.local", "/x/server.pem",
        "SERVER.PEM", "tls.key", "id_rsa",     "/home/a/.ssh/id_ed25519",
        ".netrc"};
    static const char *const no[] = {"env.c", "main.c",         "keys.py",      "id_rsa.pub", "pem",
                                     "key.c", "environment.ts", "a.env/main.c", "monkey.go"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) assert_true(cursor_is_secret(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) assert_false(cursor_is_secret(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inside),      cmocka_unit_test(outside), cmocka_unit_test(markers),
        cmocka_unit_test(text_checks), cmocka_unit_test(secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
