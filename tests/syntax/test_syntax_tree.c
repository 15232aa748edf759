#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "syntax/tree.h"

static struct syntax_parser *parser;
static const struct syntax_language *c;

static int setup(void **state)
{
    (void)state;
    struct error err;
    c = syntax_language_find("c", 1);
    return syntax_parser_create(&parser, &err) == OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    syntax_parser_destroy(parser);
    return 0;
}

static struct syntax_tree *parse(const char *text)
{
    struct syntax_tree *t;
    struct error err = {0};
    assert_int_equal(syntax_tree_parse(parser, c, text, strlen(text), NULL, &t, &err), OK);
    return t;
}

static const char source[] = "/* doc */\nint f(int x)\n{\n    if (x) {\n        return g(\"s\", x);\n    }\n    return 0;\n}\n";

static void test_places(void **state)
{
    (void)state;
    if (!syntax_language_has_grammar(c)) skip();
    struct syntax_tree *t = parse(source);
    struct syntax_node n, around[16];
    assert_false(syntax_tree_has_error(t));
    assert_int_equal(syntax_tree_errors(t, NULL, 0), 0);
    size_t at = (size_t)(strstr(source, "\"s\"") - source);
    assert_true(syntax_tree_enclosing_role(t, at + 1, SYNTAX_STRING, &n));
    assert_int_equal(n.begin, at);
    assert_int_equal(n.end, at + 3);
    assert_true(syntax_tree_enclosing_role(t, at, SYNTAX_STATEMENT, &n));
    assert_string_equal(n.kind, "return_statement");
    assert_int_equal(n.begin_line, 5);
    assert_int_equal(n.begin_column, 8);
    assert_true(syntax_tree_enclosing_role(t, at, SYNTAX_FUNCTION, &n));
    assert_int_equal(n.end_line, 8);
    assert_true(syntax_tree_enclosing_role(t, 3, SYNTAX_COMMENT, &n));
    assert_false(syntax_tree_enclosing_role(t, 3, SYNTAX_FUNCTION, &n));
    size_t k = syntax_tree_enclosing(t, at + 1, false, around, 16);
    assert_int_equal(k, 8);
    assert_int_equal(around[0].roles, SYNTAX_STRING);
    assert_true(around[1].roles & SYNTAX_ARGUMENTS);
    assert_true(around[2].roles & SYNTAX_CALL);
    assert_string_equal(around[k - 1].kind, "function_definition");
    /* The innermost where there is no room for all. */
    assert_int_equal(syntax_tree_enclosing(t, at + 1, false, around, 3), 3);
    assert_int_equal(around[0].roles, SYNTAX_STRING);
    assert_true(around[2].roles & SYNTAX_CALL);
    assert_true(syntax_tree_node_at(t, at + 1, &n));
    assert_true(syntax_tree_node_at(t, strlen(source), &n));
    assert_false(syntax_tree_node_at(t, strlen(source) + 1, &n));
    syntax_tree_destroy(t);
}

static void test_errors(void **state)
{
    (void)state;
    if (!syntax_language_has_grammar(c)) skip();
    struct syntax_tree *t = parse("int f(void)\n{\n    return 1\n}\nint ok;\n");
    struct syntax_error e[4];
    assert_true(syntax_tree_has_error(t));
    assert_int_equal(syntax_tree_errors(t, e, 4), 1);
    assert_true(e[0].missing);
    assert_string_equal(e[0].kind, ";");
    assert_int_equal(e[0].line, 3);
    syntax_tree_destroy(t);
    t = parse("int a; ] ) int b;\n");
    assert_true(syntax_tree_errors(t, e, 4) >= 1);
    assert_false(e[0].missing);
    assert_int_equal(e[0].begin, 7);
    syntax_tree_destroy(t);
}

/* After any edit the tree is the one that parsing anew gives. */
static void test_reparse(void **state)
{
    (void)state;
    if (!syntax_language_has_grammar(c)) skip();
    static const char *const inserts[] = {"y", "\n", "{", "int z;\n", "\"", ""};
    size_t len = strlen(source);
    struct syntax_tree *old = parse(source);
    for (size_t at = 0; at <= len; at++) {
        for (size_t i = 0; i < sizeof inserts / sizeof inserts[0]; i++) {
            char text[256];
            size_t drop = i % 3 < len - at ? i % 3 : len - at, add = strlen(inserts[i]);
            snprintf(text, sizeof text, "%.*s%s%s", (int)at, source, inserts[i], source + at + drop);
            struct syntax_edit edit = {at, at + drop, at + add};
            struct syntax_tree *t, *fresh = parse(text);
            struct error err = {0};
            assert_int_equal(syntax_tree_reparse(parser, old, &edit, text, strlen(text), NULL, &t, &err), OK);
            for (size_t k = 0; k < strlen(text); k++) {
                struct syntax_node a, b;
                assert_true(syntax_tree_node_at(t, k, &a));
                assert_true(syntax_tree_node_at(fresh, k, &b));
                if (!syntax_tree_has_error(fresh)) {
                    assert_string_equal(a.kind, b.kind);
                    assert_int_equal(a.begin, b.begin);
                    assert_int_equal(a.end, b.end);
                    assert_int_equal(a.begin_line, b.begin_line);
                    assert_int_equal(a.begin_column, b.begin_column);
                }
            }
            syntax_tree_destroy(t);
            syntax_tree_destroy(fresh);
        }
    }
    struct syntax_edit wrong = {5, 4, 5};
    struct syntax_tree *t;
    struct error err = {0};
    assert_int_equal(syntax_tree_reparse(parser, old, &wrong, source, len, NULL, &t, &err), ERR_INVALID);
    syntax_tree_destroy(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places), cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_reparse)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
