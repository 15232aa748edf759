/* minisign: a file that the program itself signed, both kinds, and what is refused. */
#include "trust_kit.h"

/* Made by minisign 0.11 over the three bytes "hi\n": keys by -G -W, signatures by -S and -S -l. */
#include "minisign_golden.h"

static struct kit_key *keys;

static int set_up(void **state)
{
    (void)state;
    keys = kit_keys();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kit_keys_drop(keys);
    return 0;
}

static char *file_with(const char *text)
{
    char *dir = kit_folder(), *path = malloc(strlen(dir) + 3);
    assert_non_null(path);
    kit_write(dir, "f", text, strlen(text));
    sprintf(path, "%s/f", dir);
    free(dir);
    return path;
}

static void drop_file(char *path)
{
    char *dir = strndup(path, (size_t)(strrchr(path, '/') - path));
    free(path);
    kit_remove(dir);
}

static void the_program_s_own(void **state)
{
    (void)state;
    struct trust_key k;
    struct error err = {0};
    char *path = file_with("hi\n"), *other = file_with("ho\n");
    assert_int_equal(trust_key_parse_public(golden_public, strlen(golden_public), "k", &k, &err),
                     OK);
    if (kit_check(golden_hashed, strlen(golden_hashed), path, &k, &err) != OK)
        fail_msg("%s", err.msg);
    if (kit_check(golden_legacy, strlen(golden_legacy), path, &k, &err) != OK)
        fail_msg("%s", err.msg);
    assert_int_equal(kit_check(golden_hashed, strlen(golden_hashed), other, &k, &err),
                     ERR_INTEGRITY);
    assert_int_equal(kit_check(golden_legacy, strlen(golden_legacy), other, &k, &err),
                     ERR_INTEGRITY);
    trust_key_fini(&k);
    assert_int_equal(
        trust_key_parse_secret(golden_secret, strlen(golden_secret), "k", NULL, &k, &err), OK);
    char *text = kit_sign(path, &k);
    assert_int_equal(kit_check(text, strlen(text), path, &k, &err), OK);
    free(text);
    trust_key_fini(&k);
    drop_file(path);
    drop_file(other);
}

static void each_bit(void **state)
{
    (void)state;
    struct error err = {0};
    char *path = file_with("model"), *text = kit_sign(path, &keys[6].secret);
    size_t len = strlen(text), first = strcspn(text, "\n");
    assert_int_equal(kit_check(text, len, path, &keys[6].public, &err), OK);
    assert_int_equal(kit_check(text, len, path, &keys[7].public, &err), ERR_INTEGRITY);
    assert_int_equal(kit_check(text, len, path, &keys[0].public, &err), ERR_INTEGRITY);
    for (size_t bit = 8 * first; bit < 8 * len;
         bit++) { /* the first line is the untrusted comment */
        text[bit / 8] ^= (char)(1 << bit % 8);
        if (kit_check(text, len, path, &keys[6].public, &err) == OK)
            fail_msg("bit %zu may be changed", bit);
        text[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t n = 0; n + 1 < len; n++)
        if (kit_check(text, n, path, &keys[6].public, &err) == OK)
            fail_msg("%zu bytes are enough", n);
    free(text);
    drop_file(path);
}

/* A prehashed signature is none of the digest as a file, and the other way round. */
static void kinds_are_not_mixed(void **state)
{
    (void)state;
    struct error err = {0};
    uint8_t digest[BLAKE2B_BYTES];
    char *path = file_with("model"), *text = kit_sign(path, &keys[6].secret), *dir = kit_folder(),
         hashed[512];
    assert_int_equal(minisign_hash(path, NULL, NULL, digest, NULL, &err), OK);
    kit_write(dir, "digest", digest, sizeof digest);
    snprintf(hashed, sizeof hashed, "%s/digest", dir);
    char *as_legacy = kit_replace(text, "\nRUQ", "\nRWQ"); /* "ED" to "Ed" */
    assert_int_equal(kit_check(as_legacy, strlen(as_legacy), path, &keys[6].public, &err),
                     ERR_INTEGRITY);
    struct minisign m;
    assert_int_equal(minisign_parse(as_legacy, strlen(as_legacy), "s", &m, &err), OK);
    assert_false(m.prehashed);
    free(as_legacy);
    free(text);
    kit_remove(dir);
    drop_file(path);
}

static void by_digest(void **state)
{
    (void)state;
    struct error err = {0};
    uint8_t blake2b[BLAKE2B_BYTES], sha256[SHA256_BYTES], again[SHA256_BYTES];
    struct signature sig;
    struct signature_said said;
    struct buf text;
    char *path = file_with("model");
    assert_int_equal(minisign_hash(path, NULL, NULL, blake2b, sha256, &err), OK);
    assert_int_equal(sha256_of("model", 5, again), OK);
    assert_memory_equal(sha256, again, sizeof again);
    buf_init(&text, 1 << 20);
    assert_int_equal(
        signature_make_digest(&keys[6].secret, "a:b", sha256, blake2b, "my words", &text, &err),
        OK);
    assert_int_equal(kit_check(text.data, text.len, path, &keys[6].public, &err), OK);
    assert_int_equal(signature_parse(text.data, text.len, "s", &sig, &err), OK);
    assert_int_equal(
        signature_check_digest(&sig, &keys[6].public, sha256, blake2b, "s", &said, &err), OK);
    assert_string_equal(said.name, "my words");
    assert_int_equal(signature_check_digest(&sig, &keys[6].public, sha256, NULL, "s", &said, &err),
                     ERR_INTEGRITY);
    blake2b[5] ^= 1;
    assert_int_equal(
        signature_check_digest(&sig, &keys[6].public, sha256, blake2b, "s", &said, &err),
        ERR_INTEGRITY);
    signature_fini(&sig);
    assert_int_equal(signature_parse(golden_legacy, strlen(golden_legacy), "s", &sig, &err), OK);
    assert_int_equal(
        signature_check_digest(&sig, &keys[6].public, sha256, blake2b, "s", &said, &err),
        ERR_UNSUPPORTED);
    signature_fini(&sig);
    assert_int_equal(
        signature_make_digest(&keys[6].secret, "a:b", sha256, blake2b, "two\nlines", &text, &err),
        ERR_INVALID);
    buf_fini(&text);
    drop_file(path);
}

static void sealed_keys(void **state)
{
    (void)state;
    struct trust_key k;
    struct error err = {0};
    assert_int_equal(
        trust_key_parse_secret(golden_sealed, strlen(golden_sealed), "k", NULL, &k, &err),
        ERR_INVALID);
    assert_int_equal(
        trust_key_parse_secret(golden_sealed, strlen(golden_sealed), "k", "wrong", &k, &err),
        ERR_INVALID);
    if (trust_key_parse_secret(golden_sealed, strlen(golden_sealed), "k", "secret words", &k,
                               &err) != OK)
        fail_msg("%s", err.msg);
    trust_key_fini(&k);
    /* One that would take all memory. */
    assert_int_equal(
        trust_key_parse_secret(golden_greedy, strlen(golden_greedy), "k", "x", &k, &err),
        ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_program_s_own),
                                       cmocka_unit_test(each_bit),
                                       cmocka_unit_test(kinds_are_not_mixed),
                                       cmocka_unit_test(by_digest), cmocka_unit_test(sealed_keys)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
