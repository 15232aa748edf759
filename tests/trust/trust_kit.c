#include "trust_kit.h"

#include <ftw.h>
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "trust/base64.h"

static char *pem_of(EVP_PKEY *key, bool secret)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    assert_non_null(bio);
    assert_int_equal(secret ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                            : PEM_write_bio_PUBKEY(bio, key),
                     1);
    long n = BIO_get_mem_data(bio, &text);
    char *copy = strndup(text, (size_t)n);
    BIO_free(bio);
    assert_non_null(copy);
    return copy;
}

static char *base64_text(const void *data, size_t len)
{
    struct buf b;
    buf_init(&b, 64 << 20);
    assert_int_equal(base64_encode(data, len, &b), OK);
    return b.data ? b.data : strdup("");
}

/* Key files as minisign -G -W writes them. */
static void make_minisign(struct kit_key *k, unsigned char number)
{
    unsigned char secret[158] = "Ed\0\0B2", public_key[42] = "Ed";
    size_t n = 32;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_non_null(key);
    memset(secret + 54, number, 8);
    memset(public_key + 2, number, 8);
    assert_int_equal(EVP_PKEY_get_raw_private_key(key, secret + 62, &n), 1);
    assert_int_equal(EVP_PKEY_get_raw_public_key(key, secret + 94, &n), 1);
    memcpy(public_key + 10, secret + 94, 32);
    char *s = base64_text(secret, sizeof secret), *p = base64_text(public_key, sizeof public_key);
    assert_true(
        asprintf(&k->secret_text, "untrusted comment: minisign encrypted secret key\n%s\n", s) > 0);
    assert_true(asprintf(&k->public_text, "untrusted comment: minisign public key\n%s\n", p) > 0);
    free(s);
    free(p);
    EVP_PKEY_free(key);
}

struct kit_key *kit_keys(void)
{
    static const char *const groups[] = {"P-256", "P-256", "P-384", "P-384", "P-521", "P-521"};
    struct kit_key *keys = calloc(KIT_KEYS, sizeof *keys);
    struct error err = {0};
    assert_non_null(keys);
    for (int i = 0; i < KIT_KEYS; i++) {
        struct kit_key *k = &keys[i];
        if (i < KIT_MINISIGN) {
            EVP_PKEY *key = EVP_EC_gen(groups[i]);
            assert_non_null(key);
            k->secret_text = pem_of(key, true);
            k->public_text = pem_of(key, false);
            EVP_PKEY_free(key);
        } else {
            make_minisign(k, (unsigned char)(i + 1));
        }
        if (trust_key_parse_secret(k->secret_text, strlen(k->secret_text), "secret", NULL,
                                   &k->secret, &err) != OK ||
            trust_key_parse_public(k->public_text, strlen(k->public_text), "public", &k->public,
                                   &err) != OK)
            fail_msg("%s", err.msg);
    }
    return keys;
}

void kit_keys_drop(struct kit_key *keys)
{
    for (int i = 0; i < KIT_KEYS; i++) {
        trust_key_fini(&keys[i].secret);
        trust_key_fini(&keys[i].public);
        free(keys[i].secret_text);
        free(keys[i].public_text);
    }
    free(keys);
}

char *kit_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    char *path;
    assert_true(asprintf(&path, "%s/hearth-trust-XXXXXX", tmp && *tmp ? tmp : "/tmp") > 0);
    assert_non_null(mkdtemp(path));
    return path;
}

static int drop_entry(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
    (void)sb, (void)type, (void)ftw;
    return remove(path);
}

void kit_remove(char *folder)
{
    nftw(folder, drop_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(folder);
}

void kit_make_folder(const char *folder, const char *rel)
{
    char *path;
    assert_true(asprintf(&path, "%s/%s", folder, rel) > 0);
    assert_int_equal(file_make_dirs(path, NULL), OK);
    free(path);
}

void kit_write(const char *folder, const char *rel, const void *data, size_t len)
{
    char *path;
    assert_true(asprintf(&path, "%s/%s", folder, rel) > 0);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    free(path);
}

static unsigned mix(unsigned a, unsigned b)
{
    unsigned x = a * 2654435761u + b * 40503u + 12345u;
    x ^= x >> 15;
    x *= 2246822519u;
    return x ^ x >> 13;
}

void kit_model_file(unsigned n, int i, char name[64], size_t *len)
{
    /* Names whose order by parts is not that of their bytes. */
    static const char *const folders[] = {"", "a/", "a.b/", "a/b/", "weights/"};
    snprintf(name, 64, "%sfile-%d%s", i ? folders[mix(n, (unsigned)i) % 5] : "", i,
             i % 3 ? ".json" : ".bin");
    *len = i == 1 ? 0 : 1 + mix(n, 100 + (unsigned)i) % 3000;
}

int kit_model(const char *folder, unsigned n)
{
    int files = 2 + (int)(n % 8);
    char data[3001], name[64];
    kit_make_folder(folder, "a/b");
    kit_make_folder(folder, "a.b");
    kit_make_folder(folder, "weights");
    for (int i = 0; i < files; i++) {
        size_t len;
        kit_model_file(n, i, name, &len);
        for (size_t k = 0; k < len; k++) data[k] = (char)mix(n * 31 + (unsigned)i, (unsigned)k);
        kit_write(folder, name, data, len);
    }
    return files;
}

char *kit_bundle(const char *statement, const char *payload_type, const struct trust_key *signer,
                 const char *hint)
{
    struct buf bytes, sig;
    struct error err = {0};
    char *text;
    buf_init(&bytes, 64 << 20);
    buf_init(&sig, 4096);
    assert_int_equal(buf_printf(&bytes, "DSSEv1 %zu %s %zu %s", strlen(payload_type), payload_type,
                                strlen(statement), statement),
                     OK);
    if (trust_key_sign(signer, bytes.data, bytes.len, &sig, &err) != OK) fail_msg("%s", err.msg);
    char *payload64 = base64_text(statement, strlen(statement)),
         *sig64 = base64_text(sig.data, sig.len);
    assert_true(
        asprintf(&text,
                 "{\"mediaType\":\"application/"
                 "vnd.dev.sigstore.bundle.v0.3+json\",\"verificationMaterial\":{\"publicKey\":"
                 "{\"hint\":\"%s\"},\"tlogEntries\":[]},\"dsseEnvelope\":{\"payload\":\"%s\","
                 "\"payloadType\":\"%s\","
                 "\"signatures\":[{\"sig\":\"%s\",\"keyid\":\"\"}]}}",
                 hint, payload64, payload_type, sig64) > 0);
    free(payload64);
    free(sig64);
    buf_fini(&bytes);
    buf_fini(&sig);
    return text;
}

char *kit_statement(const char *bundle)
{
    json_t *root = json_loads(bundle, 0, NULL);
    const char *text =
        json_string_value(json_object_get(json_object_get(root, "dsseEnvelope"), "payload"));
    struct buf b;
    assert_non_null(text);
    buf_init(&b, 64 << 20);
    assert_int_equal(base64_decode(text, strlen(text), &b), OK);
    json_decref(root);
    return b.data;
}

char *kit_replace(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *out;
    if (!at) fail_msg("'%s' does not occur", from);
    assert_true(asprintf(&out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) >= 0);
    return out;
}

char *kit_sign(const char *path, const struct trust_key *k)
{
    struct signature_plan plan = {.path = path};
    struct error err = {0};
    struct buf text;
    buf_init(&text, 64 << 20);
    if (signature_make(k, &plan, &text, &err) != OK) fail_msg("%s", err.msg);
    return text.data;
}

enum status kit_check(const char *text, size_t len, const char *path, const struct trust_key *k,
                      struct error *err)
{
    struct signature sig;
    enum status st = signature_parse(text, len, "the signature", &sig, err);
    if (st) return st;
    st = signature_check_path(&sig, k, path, "the signature", NULL, NULL, err);
    signature_fini(&sig);
    return st;
}
