/* Request heads and chunked bodies: what is taken, and all the ways to be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/http_parse.h"

#define START "POST /a/b?c=d HTTP/1.1\r\nHost: h\r\n"

static enum http_parse parse(const char *text, size_t len, struct http_head *h, int *code)
{
    size_t used = 0;
    const char *reason = NULL;
    /* A copy of its own size: the sanitizer sees a read past the end. */
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    *code = 0;
    enum http_parse p = http_parse_head(copy, len, h, &used, code, &reason);
    if (p == HTTP_PARSE_WRONG) assert_non_null(reason);
    if (p == HTTP_PARSE_DONE) assert_int_equal(used, len);
    free(copy);
    return p;
}

static void takes_a_head_apart(void **state)
{
    (void)state;
    static const char text[] =
        START "Content-Length: 12\r\nX-A:  two words \t\r\nConnection: Foo, close\r\n"
              "Expect: 100-continue\r\n\r\n";
    struct http_head h;
    int code;
    size_t used;
    const char *reason;
    assert_int_equal(http_parse_head(text, sizeof text - 1, &h, &used, &code, &reason),
                     HTTP_PARSE_DONE);
    assert_true(http_str_is(h.method, "POST"));
    assert_true(http_str_is(h.path, "/a/b"));
    assert_true(http_str_is(h.query, "c=d"));
    assert_true(http_str_is(h.host, "h"));
    assert_true(http_str_is(http_head_find(&h, "x-a"), "two words"));
    assert_null(http_head_find(&h, "x-b").data);
    assert_true(h.has_length && h.content_length == 12 && !h.chunked);
    assert_true(!h.keep_alive && h.expect_continue && h.minor == 1);
    assert_int_equal(used, sizeof text - 1);
}

static void waits_at_every_byte(void **state)
{
    (void)state;
    static const char text[] = "\r\n" START "Transfer-Encoding: Chunked\r\nAccept: */*\r\n\r\n";
    struct http_head h;
    int code;
    for (size_t n = 0; n < sizeof text - 1; n++)
        assert_int_equal(parse(text, n, &h, &code), HTTP_PARSE_MORE);
    assert_int_equal(parse(text, sizeof text - 1, &h, &code), HTTP_PARSE_DONE);
    assert_true(h.chunked && h.keep_alive);
}

static void refuses_what_can_be_read_two_ways(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *text;
    } wrong[] = {
        {400, START "X: a\r\n b\r\n\r\n"}, /* a folded line */
        {400, START "Transfer-Encoding:\r\n chunked\r\n\r\n"},
        {400, START "X: a\rContent-Length: 3\r\n\r\n"}, /* a bare CR */
        {400, "POST / HTTP/1.1\nHost: h\n\n"},          /* bare LFs */
        {400, START "X: a\n\r\n"},
        {400, START "Content-Length : 1\r\n\r\n"}, /* a blank before the colon */
        {400, START "Content-Length\t: 1\r\n\r\n"},
        {400, START "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
        {400, START "Content-Length: 1, 1\r\n\r\n"},
        {400, START "Content-Length: +1\r\n\r\n"},
        {400, START "Content-Length: -1\r\n\r\n"},
        {400, START "Content-Length: 0x1\r\n\r\n"},
        {400, START "Content-Length: 1 1\r\n\r\n"},
        {400, START "Content-Length:\r\n\r\n"},
        {400, START "Content-Length: 99999999999999999999\r\n\r\n"},
        {400, START "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, START "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {501, START "Transfer-Encoding: identity\r\n\r\n"},
        {501, START "Transfer-Encoding: gzip, chunked\r\n\r\n"},
        {501, START "Transfer-Encoding: chunked, chunked\r\n\r\n"},
        {501, START "Transfer-Encoding: xchunked\r\n\r\n"},
        {501, START "Transfer-Encoding: \"chunked\"\r\n\r\n"},
        {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, START "Host: other\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"}, /* no Host */
        {400, START ": empty\r\n\r\n"},
        {400, START "no colon\r\n\r\n"},
        {400, START "X\x01: a\r\n\r\n"},
        {400, START "X: a\x02\r\n\r\n"},
        {400, START "X: a\x7f\r\n\r\n"},
        {400, START "(X): a\r\n\r\n"},
        {400, "GET /\r\n\r\n"},
        {400, "GET / HTTP/1.1 \r\nHost: h\r\n\r\n"},
        {400, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "GET /  HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, " GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n Host: h\r\n\r\n"},
        {400, "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "GET http://g/ HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "GET * HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "G(T / HTTP/1.1\r\nHost: h\r\n\r\n"},
        {400, "GET / http/1.1\r\nHost: h\r\n\r\n"},
        {400, "GET / HTTP/1.1.1\r\nHost: h\r\n\r\n"},
        {505, "GET / HTTP/1.2\r\nHost: h\r\n\r\n"},
        {505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n"},
        {505, "GET / HTTP/0.9\r\nHost: h\r\n\r\n"},
        {417, START "Expect: 200-ok\r\n\r\n"},
        {400, "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct http_head h;
        int code;
        enum http_parse p = parse(wrong[i].text, strlen(wrong[i].text), &h, &code);
        if (p != HTTP_PARSE_WRONG || code != wrong[i].code)
            fail_msg("%s: %d, code %d", wrong[i].text, p, code);
    }
    static const char nul[] = START "X: a\0b\r\n\r\n";
    struct http_head h;
    int code;
    assert_int_equal(parse(nul, sizeof nul - 1, &h, &code), HTTP_PARSE_WRONG);
}

static void refuses_too_many_headers(void **state)
{
    (void)state;
    char text[8192] = START;
    struct http_head h;
    int code;
    for (int i = 0; i < HTTP_MAX_HEADERS - 1; i++) strcat(text, "a: b\r\n");
    size_t n = strlen(text);
    strcpy(text + n, "\r\n");
    assert_int_equal(parse(text, n + 2, &h, &code), HTTP_PARSE_DONE);
    strcpy(text + n, "a: b\r\n\r\n");
    assert_int_equal(parse(text, n + 8, &h, &code), HTTP_PARSE_WRONG);
    assert_int_equal(code, 431);
}

/* Decodes with a cut at every place; the result is the same. */
static void check_chunks(const char *text, const char *want)
{
    size_t len = strlen(text);
    for (size_t cut = 0; cut <= len; cut++) {
        struct http_chunks c = {0};
        char got[256];
        size_t n_got = 0;
        enum http_parse p = HTTP_PARSE_MORE;
        const char *reason = NULL;
        size_t at = 0;
        for (int part = 0; part < 2 && p == HTTP_PARSE_MORE; part++) {
            size_t n = part ? len - at : cut, body, used;
            char *copy = malloc(n ? n : 1);
            memcpy(copy, text + at, n);
            p = http_chunks_feed(&c, copy, n, &body, &used, &reason);
            if (p != HTTP_PARSE_WRONG) {
                memcpy(got + n_got, copy, body);
                n_got += body;
                at += used;
            }
            free(copy);
        }
        assert_int_equal(p, want ? HTTP_PARSE_DONE : HTTP_PARSE_WRONG);
        if (want)
            assert_true(n_got == strlen(want) && memcmp(got, want, n_got) == 0);
        else
            assert_non_null(reason);
    }
}

static void decodes_chunks(void **state)
{
    (void)state;
    check_chunks("0\r\n\r\n", "");
    check_chunks("3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n", "abc0123456789");
    check_chunks("1;name=\"v\"\r\nx\r\n0\r\nTrailer: 1\r\n\r\n", "x");
}

static void refuses_bad_chunks(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "1\nx\n0\n\n",
        "1 \r\nx\r\n0\r\n\r\n",
        "0x1\r\nx\r\n0\r\n\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        "-1\r\nx\r\n",
        "\r\nx\r\n0\r\n\r\n",
        "g\r\nx\r\n",
        "1\r\nxy\r\n0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "1\rX\r\n",
        "1;a\x01=b\r\nx\r\n",
        "fffffffffffffffff\r\n",
        "1234567890123456\r\nx",
        "0\r\n folded\r\n\r\n",
        "0\r\n: x\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "1\r\nx0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) check_chunks(wrong[i], NULL);
}

static void decodes_percent(void **state)
{
    (void)state;
    char dst[32];
    assert_true(http_percent_decode("a%20b%2Fc+d", 11, dst));
    assert_string_equal(dst, "a b/c+d");
    static const char *const wrong[] = {"%", "%2", "a%g0", "%00", "%0a", "%7f"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(http_percent_decode(wrong[i], strlen(wrong[i]), dst));
    assert_true(http_percent_decode("%41", 3, dst));
    assert_string_equal(dst, "A");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_head_apart),
        cmocka_unit_test(waits_at_every_byte),
        cmocka_unit_test(refuses_what_can_be_read_two_ways),
        cmocka_unit_test(refuses_too_many_headers),
        cmocka_unit_test(decodes_chunks),
        cmocka_unit_test(refuses_bad_chunks),
        cmocka_unit_test(decodes_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
