#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "index/tokens.h"

static int join(void *ctx, bool part, const char *token, size_t n, size_t begin, size_t end)
{
    char *out = ctx;
    (void)begin;
    (void)end;
    strcat(out, part ? "+" : " ");
    strncat(out, token, n);
    return 0;
}

static const char *tokens(const char *text)
{
    static char out[1000];
    out[0] = 0;
    tokens_of(text, strlen(text), join, out);
    return out[0] ? out + 1 : out;
}

static void test_splits(void **state)
{
    (void)state;
    assert_string_equal(tokens("parseHttpRequest_v2"), "parsehttprequest_v2+pars+http+request+v2");
    assert_string_equal(tokens("HTTPServer x"), "httpserver+http+server x");
    assert_string_equal(tokens("__init__"), "__init__+init");
    assert_string_equal(tokens("a.b->c(d)"), "a b c d");
    assert_string_equal(tokens("___"), "");
    assert_string_equal(tokens(""), "");
    assert_string_equal(tokens("MAX_SIZE"), "max_size+max+size");
    assert_string_equal(tokens("\xc3\x9c" "ber"), "\xc3\x9c" "ber");
}

static void test_stems(void **state)
{
    (void)state;
    assert_string_equal(tokens("paths path"), "paths+path path");
    assert_string_equal(tokens("parse parsing parsed"), "parse+pars parsing+pars parsed+pars");
    assert_string_equal(tokens("mapping"), "mapping+map");
    assert_string_equal(tokens("class status this"), "class status this");
    assert_string_equal(tokens("queries query"), "queries+query query");
    assert_string_equal(tokens("string"), "string");
}

static void test_long_words_are_cut(void **state)
{
    (void)state;
    char text[300];
    memset(text, 'x', 299);
    text[299] = 0;
    assert_int_equal(strlen(tokens(text)), TOKEN_MAX);
}

static void test_common(void **state)
{
    (void)state;
    assert_true(token_is_common("the", 3));
    assert_false(token_is_common("them_all", 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_stems),
        cmocka_unit_test(test_long_words_are_cut),
        cmocka_unit_test(test_common),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
