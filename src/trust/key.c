#include "trust/key.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/sha256.h"
#include "trust/minisign_key.h"

static const struct {
    const char *group, *name;
    int bits;
} curves[] = {
    {"prime256v1", "P-256", 256}, {"secp384r1", "P-384", 384}, {"secp521r1", "P-521", 521}};
enum { N_CURVES = sizeof curves / sizeof curves[0] };

static const EVP_MD *hash_of(const struct trust_key *k)
{
    return k->bits == 256   ? EVP_sha256()
           : k->bits == 384 ? EVP_sha384()
           : k->bits == 521 ? EVP_sha512()
                            : NULL;
}

/* As the package model-signing writes it, whatever form the file had: uncompressed point, named
 * curve. */
static enum status write_pem(EVP_PKEY *pkey, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    enum status st = ERR_NOMEM;
    if (bio && PEM_write_bio_PUBKEY(bio, pkey) == 1) {
        long n = BIO_get_mem_data(bio, &text);
        if (n > 0) st = buf_append(out, text, (size_t)n);
    }
    BIO_free(bio);
    return st;
}

static enum status describe_curve(struct trust_key *k, const char *what, struct error *err)
{
    char group[64] = "";
    uint8_t digest[SHA256_BYTES];
    if (EVP_PKEY_is_a(k->pkey, "EC") != 1 ||
        EVP_PKEY_get_utf8_string_param(k->pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group,
                                       NULL) != 1)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s is no elliptic curve key; models are signed with P-256, P-384, P-521 "
                         "or minisign keys",
                         what);
    for (size_t i = 0; i < N_CURVES; i++)
        if (strcmp(group, curves[i].group) == 0) k->bits = curves[i].bits;
    if (!k->bits)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s is a key of curve %s; P-256, P-384 and P-521 are supported", what,
                         group);
    if (EVP_PKEY_set_utf8_string_param(k->pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                       OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED) != 1 ||
        EVP_PKEY_set_utf8_string_param(k->pkey, OSSL_PKEY_PARAM_EC_ENCODING,
                                       OSSL_PKEY_EC_ENCODING_GROUP) != 1)
        return error_set(err, ERR_FORMAT, "%s is an elliptic curve key of an unusual form", what);
    struct buf pem;
    buf_init(&pem, TRUST_KEY_FILE_BYTES);
    enum status st = write_pem(k->pkey, &pem);
    if (st == OK) st = sha256_of(pem.data, pem.len, digest);
    buf_fini(&pem);
    if (st) return error_set(err, st, "no memory to read %s", what);
    sha256_hex(digest, k->id);
    return OK;
}

static bool is_pem(const char *text, size_t len)
{
    return memmem(text, len, "-----BEGIN ", 11) != NULL;
}

struct passphrase {
    const char *text;
    bool asked;
};

/* OpenSSL's own callback would ask at the terminal. */
static int give_password(char *dst, int cap, int writing, void *ctx)
{
    struct passphrase *p = ctx;
    (void)writing;
    p->asked = true;
    size_t n = p->text ? strlen(p->text) : 0;
    if (!p->text || cap < 0 || n > (size_t)cap) return -1;
    memcpy(dst, p->text, n);
    return (int)n;
}

static enum status parse_pem(const char *text, size_t len, const char *what, bool secret,
                             const char *password, struct trust_key *out, struct error *err)
{
    struct passphrase pass = {.text = password};
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    if (!bio) return error_set(err, ERR_NOMEM, "out of memory");
    out->scheme = TRUST_MODEL_SIGNING;
    out->secret = secret;
    out->pkey = secret ? PEM_read_bio_PrivateKey(bio, NULL, give_password, &pass)
                       : PEM_read_bio_PUBKEY(bio, NULL, give_password, &pass);
    BIO_free(bio);
    ERR_clear_error();
    if (!out->pkey && pass.asked)
        return error_set(err, ERR_INVALID,
                         password ? "the password does not open %s"
                                  : "%s is encrypted, and no password was given",
                         what);
    if (!out->pkey)
        return error_set(err, ERR_FORMAT, "%s holds no %s key in PEM", what,
                         secret ? "private" : "public");
    enum status st = describe_curve(out, what, err);
    ERR_clear_error();
    return st;
}

static enum status parse(const char *text, size_t len, const char *what, bool secret,
                         const char *password, struct trust_key *out, struct error *err)
{
    *out = (struct trust_key){0};
    if (len > TRUST_KEY_FILE_BYTES)
        return error_set(err, ERR_LIMIT, "%s is too long for a key", what);
    enum status st;
    if (is_pem(text, len))
        st = parse_pem(text, len, what, secret, password, out, err);
    else if (secret)
        st = minisign_secret_parse(text, len, what, password, out, err);
    else
        st = minisign_public_parse(text, len, what, out, err);
    if (st) trust_key_fini(out);
    return st;
}

enum status trust_key_parse_public(const char *text, size_t len, const char *what,
                                   struct trust_key *out, struct error *err)
{
    return parse(text, len, what, false, NULL, out, err);
}

enum status trust_key_parse_secret(const char *text, size_t len, const char *what,
                                   const char *password, struct trust_key *out, struct error *err)
{
    return parse(text, len, what, true, password, out, err);
}

void trust_key_fini(struct trust_key *k)
{
    EVP_PKEY_free(k->pkey);
    *k = (struct trust_key){0};
}

enum status trust_key_write_public(const struct trust_key *k, struct buf *out, struct error *err)
{
    enum status st =
        k->scheme == TRUST_MINISIGN ? minisign_public_write(k, out) : write_pem(k->pkey, out);
    return st ? error_set(err, st, "no memory for the key's text") : OK;
}

const char *trust_key_words(const struct trust_key *k, char *dst, size_t cap)
{
    if (k->scheme == TRUST_MINISIGN)
        snprintf(dst, cap, "minisign key %s", k->id);
    else
        snprintf(dst, cap, "P-%d key %.16s", k->bits, k->id);
    return dst;
}

enum status trust_key_sign(const struct trust_key *k, const void *data, size_t len, struct buf *out,
                           struct error *err)
{
    size_t n = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    enum status st = ERR_NOMEM;
    if (!k->secret) {
        st = error_set(err, ERR_INVALID, "a public key cannot sign");
    } else if (ctx && EVP_DigestSignInit(ctx, NULL, hash_of(k), NULL, k->pkey) == 1 &&
               EVP_DigestSign(ctx, NULL, &n, data, len) == 1) {
        unsigned char sig[512];
        if (n <= sizeof sig && EVP_DigestSign(ctx, sig, &n, data, len) == 1)
            st = buf_append(out, sig, n);
    }
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    if (st == ERR_NOMEM) error_set(err, st, "cannot sign: out of memory");
    return st;
}

enum status trust_key_check(const struct trust_key *k, const void *data, size_t len,
                            const void *sig, size_t sig_len, struct error *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    enum status st = OK;
    if (!ctx || EVP_DigestVerifyInit(ctx, NULL, hash_of(k), NULL, k->pkey) != 1)
        st = error_set(err, ERR_NOMEM, "cannot check a signature: out of memory");
    else if (EVP_DigestVerify(ctx, sig, sig_len, data, len) !=
             1) /* a negative answer is an error too */
        st = error_set(err, ERR_INTEGRITY,
                       "the signature is not what this key gives for these contents");
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return st;
}
