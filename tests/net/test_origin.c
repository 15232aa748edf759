/* Which Host and Origin headers pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/origin.h"

static struct http_str str(const char *s)
{
    return s ? (struct http_str){s, strlen(s)} : (struct http_str){0};
}

static void takes_its_own_names(void **state)
{
    (void)state;
    static const char *const hosts[] = {"more.lan"};
    struct origin_rules r = {.hosts = hosts, .n_hosts = 1};
    static const char *const good[] = {
        "localhost",   "localhost:80", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:11434",
        "127.8.9.1:1", "[::1]",        "[::1]:65535", "more.lan",  "More.LAN:8080"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!origin_host_allowed(&r, str(good[i]))) fail_msg("%s", good[i]);
}

/* 50 that a browser, a rebound name or a crafted request might bring. */
static const char *const evil[] = {
    "evil.example",
    "evil.example:11434",
    "localhost.evil.example",
    "evil.localhost.example",
    "localhost.",
    "localhost.:80",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "127.0.0.1:80@evil.example",
    "evil.example@127.0.0.1",
    "user@localhost",
    "localhost:80:80",
    "localhost:",
    "localhost:http",
    "localhost:+80",
    "localhost:-1",
    "localhost:123456",
    "localhost: 80",
    " localhost",
    "localhost ",
    "localhost\tevil",
    "localhost,evil.example",
    "localhost;evil.example",
    "localhost/evil",
    "localhost\\evil",
    "localhost#evil",
    "localhost?evil",
    "localhost%00",
    "%6cocalhost",
    "http://localhost",
    "//localhost",
    "[::1",
    "::1",
    "[::1]evil",
    "[::1]:",
    "[::1]:x",
    "[::2]:80",
    "[::ffff:127.0.0.1]",
    "[localhost]:80",
    "0.0.0.0",
    "0",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "128.0.0.1",
    "169.254.169.254",
    "192.168.1.10",
    "",
    "localhost'",
};

static void refuses_other_names(void **state)
{
    (void)state;
    struct origin_rules r = {0};
    assert_int_equal(sizeof evil / sizeof *evil, 50);
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++)
        if (origin_host_allowed(&r, str(evil[i]))) fail_msg("%s", evil[i]);
    assert_false(origin_host_allowed(&r, str(NULL)));
}

static void holds_pages_to_their_origin(void **state)
{
    (void)state;
    static const char *const origins[] = {"https://app.example"};
    struct origin_rules r = {.origins = origins, .n_origins = 1};
    struct http_str host = str("localhost:11434");
    assert_true(origin_allowed(&r, str(NULL), host));
    assert_true(origin_allowed(&r, str("http://localhost:11434"), host));
    assert_true(origin_allowed(&r, str("https://app.example"), host));
    assert_true(origin_listed(&r, str("https://app.example")));
    assert_false(origin_listed(&r, str("http://localhost:11434")));
    static const char *const bad[] = {"null",
                                      "",
                                      "http://localhost",
                                      "http://localhost:3000",
                                      "http://evil.example",
                                      "https://app.example.evil",
                                      "https://app.example:444",
                                      "http://app.example",
                                      "file://",
                                      "ftp://localhost:11434",
                                      "http://localhost:11434.evil",
                                      "http://localhost:11434/",
                                      "localhost:11434"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (origin_allowed(&r, str(bad[i]), host)) fail_msg("%s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_its_own_names),
        cmocka_unit_test(refuses_other_names),
        cmocka_unit_test(holds_pages_to_their_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
