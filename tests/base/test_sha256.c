/* SHA-256 against the examples of FIPS 180-4 and against itself fed in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"

static void expect_digest(const char *text, const char *hex)
{
    uint8_t d[SHA256_BYTES];
    char got[SHA256_HEX_SIZE];
    assert_int_equal(sha256_of(text, strlen(text), d), OK);
    sha256_hex(d, got);
    assert_string_equal(got, hex);
}

static void published_examples(void **state)
{
    (void)state;
    expect_digest("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_digest("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void pieces_give_the_digest_of_the_whole(void **state)
{
    (void)state;
    static uint8_t data[5000];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 31 + i / 7);
    uint8_t whole[SHA256_BYTES], parts[SHA256_BYTES];
    assert_int_equal(sha256_of(data, sizeof data, whole), OK);
    for (size_t step = 1; step < 200; step += 13) {
        struct sha256 s;
        assert_int_equal(sha256_init(&s), OK);
        for (size_t at = 0; at < sizeof data; at += step)
            sha256_update(&s, data + at, sizeof data - at < step ? sizeof data - at : step);
        assert_int_equal(sha256_final(&s, parts), OK);
        assert_memory_equal(whole, parts, sizeof whole);
    }
}

static void a_stream_given_up_frees_its_state(void **state)
{
    (void)state;
    struct sha256 s;
    uint8_t d[SHA256_BYTES];
    assert_int_equal(sha256_init(&s), OK);
    sha256_update(&s, "x", 1);
    sha256_fini(&s);
    sha256_update(&s, "y", 1);
    assert_int_not_equal(sha256_final(&s, d), OK);
    sha256_fini(&s);
}

static void hexadecimal_both_ways(void **state)
{
    (void)state;
    uint8_t d[SHA256_BYTES], back[SHA256_BYTES];
    char hex[SHA256_HEX_SIZE];
    for (size_t i = 0; i < sizeof d; i++) d[i] = (uint8_t)(i * 37 + 5);
    sha256_hex(d, hex);
    assert_true(sha256_from_hex(hex, back));
    assert_memory_equal(d, back, sizeof d);
    hex[3] = 'F';
    assert_true(sha256_from_hex(hex, back));
    assert_int_equal(back[1] & 15, 15);
    hex[3] = 'g';
    assert_false(sha256_from_hex(hex, back));
    assert_false(sha256_from_hex("abc", back));
    assert_false(sha256_from_hex("", back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_examples),
        cmocka_unit_test(pieces_give_the_digest_of_the_whole),
        cmocka_unit_test(a_stream_given_up_frees_its_state),
        cmocka_unit_test(hexadecimal_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
