/* Whether an answer can stand in its hole, by lines, indentation and brackets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assist/fit.h"

static unsigned misfits(const char *prefix, const char *suffix, const char *text)
{
    struct trim_hole h;
    trim_hole_init(&h, prefix, strlen(prefix), suffix, strlen(suffix), TRIM_AUTO);
    return fit_misfits(&h, fit_by_indent(&h, "a.py"), text, strlen(text));
}

static void finds_what_cannot_stand_there(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *suffix, *text;
        unsigned want;
    } list[] = {
        {"def f(a):\n", "\n    return a\n", "    a += 1", 0},
        {"def f(a):\n", "\n    return a\n", "  \n", FIT_EMPTY},
        {"def f(a):\n", "\n    return a\n", "a += 1", FIT_INDENT | FIT_BODY},
        {"def f(a):\n    b = 1\n", "\n    return a\n", "    # why", FIT_EMPTY},
        {"def f(a):\n    b = 1\n", "\n        return a\n", "    if a:\n        # why", 0},
        {"def f(a):\n    b = 1\n", "\n    return a\n", "        a += 1", FIT_INDENT},
        {"def f(a):\n    b = 1\n", "\n    return a\n", "    if a:", FIT_BODY},
        {"def f(a):\n    b = 1\n", "\n        a = 2\n", "    if a:  # why", 0},
        {"def f(a):\n    b = 1\n", "\n        a = 2\n", "    a = 1", FIT_BODY},
        {"def f(a):\n    b = 1\n", "\n    return a\n", "    return b", FIT_DEAD},
        {"def f(a):\n    if a:\n", "\n    return a\n", "        return b", 0},
        {"def f(a):\n    b = 1\n", "\n    return a\n", "    else:\n        b = 2", FIT_HEAD},
        {"def f(a):\n    if a:\n        b = 1\n", "\n    return a\n", "    else:\n        b = 2",
         0},
        {"def f(a):\n", "\n        b = 1\n    else:\n        b = 2\n", "    if a:", 0},
        {"def f(a):\n    c = 1\n", "\n    else:\n        b = 2\n", "    d = 1", FIT_HEAD},
        {"def f(a):\n    b = 1\n", "\n    return a\n", "    a = (b", FIT_BRACKETS},
        {"def f(a):\n    b = 1\n", "\n    )\n", "    a = (b", 0},
        {"def f(a):\n    b = 1\n", "\n    return a\n", "    a = b)", FIT_BRACKETS},
        {"def f(a):\n    b = 1\n", "\n    value = a\n", "    value = a", FIT_REPEATS},
        {"def f(a):\n    value = 1\n", "\n    return a\n", "    value = 1", FIT_REPEATS},
        {"x = [1,\n", "\ny = 2\n", "     2]", 0},
        {"def f(a):\n    return ", "\n\nb = 1\n", "a", 0},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        unsigned got = misfits(list[i].prefix, list[i].suffix, list[i].text);
        if (got != list[i].want)
            fail_msg("%zu: <%s>: %u, wanted %u", i, list[i].text, got, list[i].want);
    }
}

static const char *indent_in(bool by_indent, const char *prefix, const char *suffix)
{
    static char out[FIT_MAX_INDENT + 1];
    struct trim_hole h;
    trim_hole_init(&h, prefix, strlen(prefix), suffix, strlen(suffix), TRIM_AUTO);
    out[fit_indent(&h, by_indent, out)] = 0;
    return out;
}

static const char *indent(const char *prefix, const char *suffix)
{
    return indent_in(true, prefix, suffix);
}

static void tells_the_indentation_where_there_is_no_choice(void **state)
{
    (void)state;
    assert_string_equal(indent("if a:\n", "\nb = 1\n"), "    ");
    /* Two steps deeper: more than one line is missing, and the first one opens no deeper. */
    assert_string_equal(indent("def f():\n    a = 1\n", "\n            return a\n"), "    ");
    assert_string_equal(indent("if a:\n", "\n  b = 1\n"), "  ");
    assert_string_equal(indent("if a:\n  if b:\n", "\n  b = 1\n"), "    ");
    assert_string_equal(indent("class A:\n\tdef f(s):\n", "\n"), "\t\t");
    assert_string_equal(indent("def f():\n    a = 1\n", "\n        b = 1\n"), "    ");
    assert_string_equal(indent("def f():\n    a = 1\n", "\n    b = 1\n"), "");
    assert_string_equal(indent("if a:\n    ", "\nb = 1\n"), ""); /* it is there already */
    assert_string_equal(indent_in(false, "if (a) {\n", "\n}\n"), "    ");
    assert_string_equal(indent_in(false, "f() {\n  if (a) {\n", "\n  }\n}\n"), "    ");
    assert_string_equal(indent_in(false, "f() {\n", "\n  a();\n}\n"), "");
    assert_string_equal(indent("f(a,\n", "\n        b)\n"), "");
}

static void knows_languages_by_name_or_looks(void **state)
{
    (void)state;
    struct trim_hole h;
    trim_hole_init(&h, "def f():\n", 9, "", 0, TRIM_AUTO);
    assert_true(fit_by_indent(&h, NULL));
    assert_true(fit_by_indent(&h, "x.py"));
    assert_false(fit_by_indent(&h, "x.c"));
    trim_hole_init(&h, "int f() {\n  a: b;\n", 18, "", 0, TRIM_AUTO);
    assert_false(fit_by_indent(&h, "noextension"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_cannot_stand_there),
        cmocka_unit_test(tells_the_indentation_where_there_is_no_choice),
        cmocka_unit_test(knows_languages_by_name_or_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
