/* Whether a file parses with an answer in its hole. Without grammars nothing is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assist/parse.h"

/* The kept beginning of an answer. */
static const char *kept(const char *path, const char *prefix, const char *suffix, const char *text)
{
    static char out[256];
    struct parse p;
    parse_init(&p, path, prefix, strlen(prefix), suffix, strlen(suffix));
    if (!parse_knows(&p) && strcmp(path, "a.unknown") != 0) {
        parse_fini(&p);
        skip(); /* this build has no grammars */
    }
    size_t n = parse_longest(&p, text, strlen(text));
    parse_fini(&p);
    memcpy(out, text, n);
    out[n] = 0;
    return out;
}

static void keeps_the_longest_that_parses(void **state)
{
    (void)state;
    static const char open[] = "int f(int a)\n{\n    return g(", close[] = ");\n}\n";
    assert_string_equal(kept("a.c", open, close, "a, 1"), "a, 1");
    assert_string_equal(kept("a.c", open, close, "a, 1)"), "a, 1");
    assert_string_equal(kept("a.c", "int f(int a)\n{\n", "\n}\n", "    a++;\n    return a;\n}"),
                        "    a++;\n    return a;\n");
    assert_string_equal(kept("a.go", "package a\n\nfunc f() int {\n", "\n}\n",
                             "\tif x {\n\t\treturn 1\n\t}\n\tif y {\n"),
                        "\tif x {\n\t\treturn 1\n\t}");
}

static void where_nothing_helps_all_is_kept(void **state)
{
    (void)state;
    assert_string_equal(kept("a.c", "int f(", "{{{\n", "int a"), "int a");
    assert_string_equal(kept("a.unknown", "f(", ")", "a)"), "a)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_longest_that_parses),
        cmocka_unit_test(where_nothing_helps_all_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
