/* Texts that nobody writes: no crash, no endless loop, every byte in a chunk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "syntax/syntax_facts.h"

static struct syntax_parser *parser;

static int setup(void **state)
{
    (void)state;
    struct error err;
    return syntax_parser_create(&parser, &err) == OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    syntax_parser_destroy(parser);
    return 0;
}

static void check(const struct syntax_language *l, const struct buf *text, bool may_parse)
{
    /* A short limit: what takes longer falls to the plain splitter, which is a result as well. */
    struct syntax_facts_options o = {.want = 7, .limits = {.seconds = 0.2, .max_bytes = SYNTAX_MAX_BYTES}};
    struct syntax_facts *f;
    struct error err = {0};
    double began = clock_now();
    assert_int_equal(syntax_facts_read(parser, l, text->data, text->len, &o, &f, &err), OK);
    assert_true(clock_now() - began < 30);
    if (!may_parse) assert_false(f->parsed);
    uint32_t at = 0;
    for (size_t i = 0; i < f->n_chunks; i++) {
        const struct syntax_chunk *c = &f->chunks[i];
        assert_true(c->begin >= at && c->end > c->begin && c->end <= text->len);
        assert_true(c->end_line >= c->begin_line);
        for (; at < c->begin; at++) assert_non_null(memchr(" \t\r\n\f\v", text->data[at], 6));
        at = c->end;
    }
    if (!f->truncated)
        for (; at < text->len; at++) assert_non_null(memchr(" \t\r\n\f\v", text->data[at], 6));
    for (size_t i = 0; i < f->n_definitions; i++) assert_true(f->definitions[i].end <= text->len);
    syntax_facts_destroy(f);
}

static void each_language(const struct buf *text, bool may_parse)
{
    for (size_t i = 0; syntax_language_at(i); i++) check(syntax_language_at(i), text, may_parse);
    check(NULL, text, false);
}

static void repeat(struct buf *b, const char *piece, size_t n)
{
    for (size_t i = 0; i < n; i++) assert_int_equal(buf_append_str(b, piece), OK);
}

static void test_nested(void **state)
{
    (void)state;
    static const char *const pieces[] = {"(", "{[", "<a>", "if x:\n ", "- ", "/* ", "\"${"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct buf b;
        buf_init(&b, 1 << 24);
        repeat(&b, pieces[i], 100000);
        each_language(&b, true);
        buf_fini(&b);
    }
}

static void test_long(void **state)
{
    (void)state;
    struct buf lines, line;
    buf_init(&lines, 1 << 26);
    buf_init(&line, 1 << 26);
    repeat(&lines, "x = 1;\n", 1000000);
    repeat(&line, "a = b + c; ", 1000000);
    static const char *const some[] = {"c", "python", "json"};
    for (size_t i = 0; i < 3; i++) {
        check(syntax_language_find(some[i], strlen(some[i])), &lines, true);
        check(syntax_language_find(some[i], strlen(some[i])), &line, true);
    }
    buf_fini(&lines);
    buf_fini(&line);
}

static void test_bytes(void **state)
{
    (void)state;
    struct buf nul, bad, empty;
    buf_init(&nul, 1 << 20);
    buf_init(&bad, 1 << 20);
    buf_init(&empty, 1 << 20);
    for (int i = 0; i < 20000; i++) {
        char zero = 0, high = (char)(0x80 + i % 128);
        buf_append(&nul, &zero, 1);
        buf_append(&bad, &high, 1);
        if (i % 7 == 0) buf_append_str(&bad, "f(");
    }
    each_language(&nul, false);
    each_language(&bad, true);
    each_language(&empty, false);
    buf_append_str(&empty, " \n\n");
    each_language(&empty, true);
    buf_fini(&nul);
    buf_fini(&bad);
    buf_fini(&empty);
}

static bool stop(void *ctx)
{
    return ++*(int *)ctx > 1;
}

static void test_limits(void **state)
{
    (void)state;
    const struct syntax_language *l = syntax_language_find("c", 1);
    if (!syntax_language_has_grammar(l)) skip();
    struct buf b;
    struct error err = {0};
    struct syntax_facts *f;
    struct syntax_tree *t;
    int calls = 0;
    buf_init(&b, 1 << 24);
    repeat(&b, "int f(int x) { return g(x); }\n", 50000);
    struct syntax_facts_options o = {.limits = {.cancelled = stop, .ctx = &calls}};
    assert_int_equal(syntax_facts_read(parser, l, b.data, b.len, &o, &f, &err), ERR_CANCELLED);
    struct syntax_limits small = {.max_bytes = 1000}, fast = {.seconds = 1e-9};
    assert_int_equal(syntax_tree_parse(parser, l, b.data, b.len, &small, &t, &err), ERR_LIMIT);
    assert_int_equal(syntax_tree_parse(parser, l, b.data, b.len, &fast, &t, &err), ERR_LIMIT);
    /* The parser is as good as new after each. */
    assert_int_equal(syntax_tree_parse(parser, l, "int x;", 6, NULL, &t, &err), OK);
    assert_false(syntax_tree_has_error(t));
    syntax_tree_destroy(t);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes), cmocka_unit_test(test_nested),
                                       cmocka_unit_test(test_long), cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
