/* Base64: RFC 4648's own examples, and that no other text stands for the same bytes. */
#include "trust_kit.h"

#include "trust/base64.h"

static void examples(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct buf b;
        buf_init(&b, 64);
        assert_int_equal(base64_encode(pairs[i][0], strlen(pairs[i][0]), &b), OK);
        assert_string_equal(b.data, pairs[i][1]);
        buf_clear(&b);
        assert_int_equal(base64_decode(pairs[i][1], strlen(pairs[i][1]), &b), OK);
        assert_int_equal(b.len, strlen(pairs[i][0]));
        assert_memory_equal(b.data, pairs[i][0], b.len);
        buf_fini(&b);
    }
}

static void refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"Z",        "Zg",   "Zg=",   "Zh==", "Zm9=", "Zm9", "====",
                                      "Zg==Zg==", "Zm 8", "Zm8\n", "Zm-_", "=m8=", "Z==="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf b;
        buf_init(&b, 64);
        if (base64_decode(bad[i], strlen(bad[i]), &b) == OK) fail_msg("'%s' was taken", bad[i]);
        buf_fini(&b);
    }
    uint8_t two[2];
    assert_int_equal(base64_decode_exact("Zm8=", 4, two, 2), OK);
    assert_int_equal(base64_decode_exact("Zm9v", 4, two, 2), ERR_FORMAT);
    assert_int_equal(base64_decode_exact("Zm9vYmFy", 8, two, 2), ERR_FORMAT);
}

static void only_one_text_for_bytes(void **state)
{
    (void)state;
    static const char text[] = "AAECA/+7zA==";
    for (size_t at = 0; at < strlen(text); at++)
        for (int c = 0; c < 256; c++) {
            char changed[sizeof text];
            struct buf a, b;
            memcpy(changed, text, sizeof text);
            if ((unsigned char)changed[at] == c) continue;
            changed[at] = (char)c;
            buf_init(&a, 64);
            buf_init(&b, 64);
            assert_int_equal(base64_decode(text, strlen(text), &a), OK);
            if (base64_decode(changed, strlen(text), &b) == OK && a.len == b.len &&
                memcmp(a.data, b.data, a.len) == 0)
                fail_msg("'%s' says the same", changed);
            buf_fini(&a);
            buf_fini(&b);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples), cmocka_unit_test(refused),
                                       cmocka_unit_test(only_one_text_for_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
