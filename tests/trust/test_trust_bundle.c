/* Signatures of OpenSSF model signing: what is in them, which keys fit, and statements that are
 * well signed and nevertheless nothing to hold a model to. */
#include "trust_kit.h"

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

static void each_curve(void **state)
{
    (void)state;
    char *dir = kit_folder();
    struct error err = {0};
    kit_model(dir, 5);
    for (int i = 0; i < KIT_MINISIGN; i++) {
        char *text = kit_sign(dir, &keys[i].secret);
        assert_int_equal(keys[i].public.bits, i < 2 ? 256 : i < 4 ? 384 : 521);
        for (int k = 0; k < KIT_KEYS; k++) {
            enum status st = kit_check(text, strlen(text), dir, &keys[k].public, &err);
            if (st != (k == i ? OK : ERR_INTEGRITY))
                fail_msg("key %d against key %d: %s", i, k, err.msg);
        }
        free(text);
    }
    kit_remove(dir);
}

static void key_files(void **state)
{
    (void)state;
    struct trust_key k;
    struct buf text;
    for (int i = 0; i < KIT_KEYS; i++) {
        buf_init(&text, TRUST_KEY_FILE_BYTES);
        assert_int_equal(trust_key_write_public(&keys[i].secret, &text, NULL), OK);
        assert_int_equal(trust_key_parse_public(text.data, text.len, "k", &k, NULL), OK);
        assert_string_equal(k.id, keys[i].public.id);
        trust_key_fini(&k);
        buf_fini(&text);
        /* One kind does not pass for the other. */
        assert_int_not_equal(
            trust_key_parse_public(keys[i].secret_text, strlen(keys[i].secret_text), "k", &k, NULL),
            OK);
        assert_int_not_equal(trust_key_parse_secret(keys[i].public_text,
                                                    strlen(keys[i].public_text), "k", NULL, &k,
                                                    NULL),
                             OK);
        for (size_t n = 0; n + 2 < strlen(keys[i].public_text); n++)
            if (trust_key_parse_public(keys[i].public_text, n, "k", &k, NULL) == OK) {
                /* PEM ends with the last dash of its end line. */
                assert_true(i < KIT_MINISIGN && n + 2 >= strlen(keys[i].public_text));
                trust_key_fini(&k);
            }
    }
    /* RSA and another curve, from OpenSSL's own tools. */
    static const char ed25519[] = "-----BEGIN PUBLIC KEY-----\n"
                                  "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n--"
                                  "---END PUBLIC KEY-----\n"; /* RFC 8410 */
    static const char secp256k1[] =
        "-----BEGIN PUBLIC "
        "KEY-----\nMDYwEAYHKoZIzj0CAQYFK4EEAAoDIgACeb5mfvncu6xVoGKVzocLBwKb/NstzijZ\nWfKBWxb4F5g=\n"
        "-----END PUBLIC KEY-----\n"; /* SEC 2's generator */
    assert_int_equal(trust_key_parse_public(ed25519, strlen(ed25519), "k", &k, NULL),
                     ERR_UNSUPPORTED);
    assert_int_equal(trust_key_parse_public(secp256k1, strlen(secp256k1), "k", &k, NULL),
                     ERR_UNSUPPORTED);
}

/* The model of one file f with "abc", and the statement about it. */
#define DIGEST "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
static const char statement[] =
    "{\"_type\":\"https://in-toto.io/Statement/"
    "v1\",\"subject\":[{\"name\":\"m\",\"digest\":{\"sha256\":"
    "\"4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358\"}}],"
    "\"predicateType\":\"https://model_signing/signature/"
    "v1.0\",\"predicate\":{\"serialization\":{\"method\":\"files\","
    "\"hash_type\":\"sha256\",\"allow_symlinks\":false,\"ignore_paths\":[\".git\"]},\"resources\":["
    "{\"name\":\"f\","
    "\"algorithm\":\"sha256\",\"digest\":\"" DIGEST "\"}]}}";
static const char in_toto[] = "application/vnd.in-toto+json";

static enum status check_statement(const char *dir, const char *text, const char *type,
                                   struct error *err)
{
    char *bundle = kit_bundle(text, type, &keys[0].secret, keys[0].public.id);
    enum status st = kit_check(bundle, strlen(bundle), dir, &keys[0].public, err);
    free(bundle);
    return st;
}

static void well_signed_and_refused(void **state)
{
    (void)state;
    static const char *const changes[][2] = {
        {"Statement/v1", "Statement/v0.1"},
        {"signature/v1.0", "signature/v2.0"},
        {"https://model_signing/signature/v1.0", "https://model_signing/Digests/v0.1"},
        {"4f8b42c2", "4f8b42c3"}, /* the root digest */
        {"\"f\"", "\"g\""},
        {"\"f\"", "\"./f\""},
        {"\"f\"", "\"../f\""},
        {"\"f\"", "\"/f\""},
        {"\"f\"", "\"f/\""},
        {"\"f\"", "\"\""},
        {"\"f\"", "\".\""},
        {"\"f\"", "7"},
        {"\"name\":\"f\",", ""},
        {"\"algorithm\":\"sha256\"", "\"algorithm\":\"blake2b\""},
        {"\"algorithm\":\"sha256\"", "\"algorithm\":\"SHA256\""},
        {"\"algorithm\":\"sha256\"", "\"algorithm\":\"md5\""},
        {"\"algorithm\":\"sha256\",", ""},
        {"\"hash_type\":\"sha256\"", "\"hash_type\":\"blake2b\""},
        {"\"hash_type\":\"sha256\"", "\"hash_type\":\"blake3\""},
        {"\"method\":\"files\"", "\"method\":\"shards\""},
        {"\"method\":\"files\",", ""},
        {"\"allow_symlinks\":false", "\"allow_symlinks\":\"false\""},
        {"\"allow_symlinks\":false,", ""},
        {"\".git\"", "\".\""},
        {"\".git\"", "\"\""},
        {"\".git\"", "\"..\""},
        {"\".git\"", "1"},
        {"[\".git\"]", "\".git\""},
        {DIGEST, "BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {DIGEST, "ba7816bf"},
        {DIGEST, ""},
        {"{\"name\":\"f\",\"algorithm\":\"sha256\",\"digest\":\"" DIGEST "\"}", ""}, /* no files */
        {"{\"name\":\"f\",", "{\"name\":\"f\",\"name\":\"f\","},
        {"\"subject\":[",
         "\"subject\":[{\"name\":\"other\",\"digest\":{\"sha256\":\"" DIGEST "\"}},"},
        {"{\"name\":\"m\",", "{"},
        {"{\"sha256\":\"4f", "{\"sha512\":\"4f"},
        {"{\"_type\"", "[{\"_type\""},
        {"}]}}", "}]}"},
    };
    char *dir = kit_folder();
    struct error err = {0};
    kit_write(dir, "f", "abc", 3);
    if (check_statement(dir, statement, in_toto, &err) != OK) fail_msg("%s", err.msg);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char *changed = kit_replace(statement, changes[i][0], changes[i][1]);
        if (check_statement(dir, changed, in_toto, &err) == OK)
            fail_msg("accepted with %s instead of %s", changes[i][1], changes[i][0]);
        free(changed);
    }
    assert_int_not_equal(check_statement(dir, statement, "application/json", &err), OK);
    kit_remove(dir);
}

/* A root digest over two files; both names the same. */
static void names_twice(void **state)
{
    (void)state;
    char *dir = kit_folder();
    struct error err = {0};
    kit_write(dir, "f", "abc", 3);
    kit_write(dir, "g", "abc", 3);
    char *bundle = kit_sign(dir, &keys[0].secret), *text = kit_statement(bundle);
    assert_int_equal(check_statement(dir, text, in_toto, &err), OK);
    char *twice = kit_replace(text, "\"g\"", "\"f\"");
    assert_int_equal(check_statement(dir, twice, in_toto, &err), ERR_FORMAT);
    free(twice);
    free(text);
    free(bundle);
    kit_remove(dir);
}

static void envelopes(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        bool accepted;
    } changes[] = {
        {"bundle.v0.3+json", "bundle.v0.2+json", false},
        {"bundle.v0.3+json", "bundle+json;version=0.3", false},
        {"{\"mediaType\"", "{\"more\":1,\"mediaType\"", false},
        {"{\"mediaType\"", "{\"messageSignature\":{},\"mediaType\"", false},
        {"\"tlogEntries\":[]", "\"tlogEntries\":[{}]", false},
        {",\"tlogEntries\":[]", "", true},
        {"\"publicKey\"", "\"certificate\":{\"rawBytes\":\"\"},\"publicKey\"", false},
        {"{\"hint\"", "{\"rawBytes\":\"AAAA\",\"keyDetails\":\"PKIX_ECDSA_P256_SHA_256\",\"hint\"",
         true}, /* version 1.0.1 */
        {"\"keyid\":\"\"", "\"keyid\":\"x\"", false},
        {",\"keyid\":\"\"", "", true},
        {"\"keyid\":\"\"}", "\"keyid\":\"\"},{\"sig\":\"AAAA\",\"keyid\":\"\"}", false},
        {"\"signatures\":[", "\"signatures\":[{\"sig\":\"AAAA\",\"keyid\":\"\"},", false},
        {"\"payloadType\":\"application/vnd.in-toto+json\"",
         "\"payloadType\":\"application/vnd.in-toto+json \"", false},
        {"\"payloadType\"", "\"payloadtype\"", false},
        {"\"sig\":\"", "\"sig\":\" ", false},
        {"\"payload\":\"", "\"payload\":\"\\n", false},
        {"\"payload\":\"", "\"payload\":\"AAAA\",\"payload\":\"", false},
    };
    char *dir = kit_folder();
    struct error err = {0};
    kit_model(dir, 3);
    char *bundle = kit_sign(dir, &keys[0].secret);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char *changed = kit_replace(bundle, changes[i].from, changes[i].to);
        enum status st = kit_check(changed, strlen(changed), dir, &keys[0].public, &err);
        if ((st == OK) != changes[i].accepted)
            fail_msg("%s instead of %s: %s", changes[i].to, changes[i].from, err.msg);
        free(changed);
    }
    free(bundle);
    kit_remove(dir);
}

static void by_digest(void **state)
{
    (void)state;
    char *dir = kit_folder();
    uint8_t due[SHA256_BYTES], other[SHA256_BYTES] = {1};
    struct signature sig;
    struct signature_said said;
    struct buf text;
    kit_model(dir, 4);
    kit_write(dir, "abc", "abc", 3);
    assert_true(sha256_from_hex(DIGEST, due));
    char *bundle = kit_sign(dir, &keys[2].secret);
    assert_int_equal(signature_parse(bundle, strlen(bundle), "s", &sig, NULL), OK);
    assert_int_equal(signature_check_digest(&sig, &keys[2].public, due, NULL, "s", &said, NULL),
                     OK);
    assert_int_equal(said.files, 7);
    assert_int_equal(signature_check_digest(&sig, &keys[2].public, other, NULL, "s", &said, NULL),
                     ERR_INTEGRITY);
    assert_int_equal(signature_check_digest(&sig, &keys[3].public, due, NULL, "s", &said, NULL),
                     ERR_INTEGRITY);
    signature_fini(&sig);
    free(bundle);
    buf_init(&text, 1 << 20);
    assert_int_equal(
        signature_make_digest(&keys[2].secret, "family:tag", due, NULL, NULL, &text, NULL), OK);
    char path[512];
    snprintf(path, sizeof path, "%s/abc", dir);
    assert_int_equal(kit_check(text.data, text.len, path, &keys[2].public, NULL), OK);
    assert_int_equal(
        signature_make_digest(&keys[2].public, "family:tag", due, NULL, NULL, &text, NULL),
        ERR_INVALID);
    buf_fini(&text);
    kit_remove(dir);
}

static void signature_lies_in_the_folder(void **state)
{
    (void)state;
    char *dir = kit_folder(), path[512];
    struct buf text;
    struct signature sig;
    struct error err = {0};
    kit_model(dir, 6);
    snprintf(path, sizeof path, "%s/weights/model.sig", dir);
    struct signature_plan plan = {.path = dir, .opt = {.own_path = path}};
    buf_init(&text, 1 << 20);
    assert_int_equal(signature_make(&keys[0].secret, &plan, &text, &err), OK);
    kit_write(dir, "weights/model.sig", text.data, text.len);
    assert_int_equal(kit_check(text.data, text.len, dir, &keys[0].public, &err), OK);
    kit_write(dir, "weights/other.sig", text.data, text.len);
    assert_int_equal(kit_check(text.data, text.len, dir, &keys[0].public, &err), ERR_INTEGRITY);
    buf_fini(&text);
    remove(path);
    snprintf(path, sizeof path, "%s/weights/other.sig", dir);
    remove(path);
    /* Made elsewhere and put into the folder under any name, it is left out as well. */
    char *elsewhere = kit_sign(dir, &keys[0].secret);
    kit_write(dir, "weights/other.sig", elsewhere, strlen(elsewhere));
    assert_int_equal(signature_parse(elsewhere, strlen(elsewhere), "s", &sig, &err), OK);
    const struct signature_options opt = {.own_path = path};
    assert_int_equal(signature_check_path(&sig, &keys[0].public, dir, "s", &opt, NULL, &err), OK);
    signature_fini(&sig);
    free(elsewhere);
    kit_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_curve),
        cmocka_unit_test(key_files),
        cmocka_unit_test(well_signed_and_refused),
        cmocka_unit_test(names_twice),
        cmocka_unit_test(envelopes),
        cmocka_unit_test(by_digest),
        cmocka_unit_test(signature_lies_in_the_folder),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
