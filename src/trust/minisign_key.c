#include "trust/minisign_key.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "trust/base64.h"

enum { ED25519_BYTES = 32, PUBLIC_BYTES = 2 + 8 + 32, SECRET_BYTES = 2 + 2 + 2 + 32 + 8 + 8 + 104 };

/* Where the fields of a secret key start; the last three are encrypted together. */
enum {
    AT_KDF = 2,
    AT_CHECK = 4,
    AT_SALT = 6,
    AT_OPS = 38,
    AT_MEM = 46,
    AT_NUMBER = 54,
    AT_SEED = 62,
    AT_PUBLIC = 94
};
enum { SALT_BYTES = 32, SEALED_BYTES = 104 };

/* What scrypt may take: minisign's own setting is 1 GiB. */
static const uint64_t max_scrypt_memory = 2ull << 30, max_scrypt_ops = 1ull << 27;

bool minisign_line(const char *text, size_t len, size_t *at, const char **line, size_t *line_len)
{
    if (*at >= len) return false;
    const char *start = text + *at, *end = memchr(start, '\n', len - *at);
    size_t n = end ? (size_t)(end - start) : len - *at;
    *at += n + (end ? 1 : 0);
    if (n && start[n - 1] == '\r') n--;
    *line = start;
    *line_len = n;
    return true;
}

/* The base64 line: the second, after a comment, or the only one. */
static bool find_payload(const char *text, size_t len, const char **line, size_t *n)
{
    static const char comment[] = "untrusted comment:";
    size_t at = 0;
    if (!minisign_line(text, len, &at, line, n)) return false;
    if (*n >= sizeof comment - 1 && memcmp(*line, comment, sizeof comment - 1) == 0 &&
        !minisign_line(text, len, &at, line, n))
        return false;
    for (; at < len; at++)
        if (text[at] != '\n' && text[at] != '\r' && text[at] != ' ') return false;
    return true;
}

static uint64_t read_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

static void set_number(struct trust_key *k, const uint8_t number[TRUST_KEY_NUMBER_BYTES])
{
    k->scheme = TRUST_MINISIGN;
    memcpy(k->number, number, TRUST_KEY_NUMBER_BYTES);
    snprintf(k->id, sizeof k->id, "%016llX", (unsigned long long)read_u64(number));
}

enum status minisign_public_parse(const char *text, size_t len, const char *what,
                                  struct trust_key *out, struct error *err)
{
    const char *line;
    size_t n;
    uint8_t raw[PUBLIC_BYTES];
    if (!find_payload(text, len, &line, &n) || base64_decode_exact(line, n, raw, sizeof raw) != OK)
        return error_set(err, ERR_FORMAT, "%s is no public key: neither PEM nor minisign's", what);
    if (memcmp(raw, "Ed", 2) != 0)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s is a minisign key of another algorithm than Ed25519", what);
    set_number(out, raw + 2);
    out->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw + 10, ED25519_BYTES);
    ERR_clear_error();
    return out->pkey ? OK : error_set(err, ERR_FORMAT, "%s holds no Ed25519 key", what);
}

enum status minisign_public_write(const struct trust_key *k, struct buf *out)
{
    uint8_t raw[PUBLIC_BYTES] = "Ed";
    size_t n = ED25519_BYTES;
    memcpy(raw + 2, k->number, TRUST_KEY_NUMBER_BYTES);
    if (EVP_PKEY_get_raw_public_key(k->pkey, raw + 10, &n) != 1 || n != ED25519_BYTES)
        return ERR_NOMEM;
    return base64_encode(raw, sizeof raw, out);
}

/* N, r and p from libsodium's limits: pickparams of crypto_pwhash_scryptsalsa208sha256. */
static void scrypt_parameters(uint64_t ops, uint64_t mem, uint64_t *n, uint64_t *p)
{
    enum { R = 8 };
    if (ops < 32768) ops = 32768;
    bool by_ops = ops < mem / 32;
    uint64_t max_n = by_ops ? ops / (R * 4) : mem / (R * 128);
    unsigned log2 = 1;
    while (log2 < 63 && (1ull << log2) <= max_n / 2) log2++;
    *n = 1ull << log2;
    *p = by_ops ? 1 : ops / 4 / *n / R;
    if (*p == 0) *p = 1;
}

static enum status unseal(uint8_t raw[SECRET_BYTES], const char *what, const char *password,
                          struct error *err)
{
    uint64_t ops = read_u64(raw + AT_OPS), mem = read_u64(raw + AT_MEM), n, p;
    uint8_t stream[SEALED_BYTES];
    if (!password)
        return error_set(err, ERR_INVALID, "%s is encrypted, and no password was given", what);
    if (ops > max_scrypt_ops || mem > max_scrypt_memory)
        return error_set(err, ERR_LIMIT,
                         "%s asks for more work or memory to be opened than is allowed", what);
    scrypt_parameters(ops, mem, &n, &p);
    int ok = EVP_PBE_scrypt(password, strlen(password), raw + AT_SALT, SALT_BYTES, n, 8, p,
                            max_scrypt_memory + (64 << 20), stream, sizeof stream);
    ERR_clear_error();
    if (ok != 1)
        return error_set(err, ERR_NOMEM, "no memory to open %s: scrypt wants %llu MiB", what,
                         (unsigned long long)(n >> 10));
    for (size_t i = 0; i < SEALED_BYTES; i++) raw[AT_NUMBER + i] ^= stream[i];
    OPENSSL_cleanse(stream, sizeof stream);
    return OK;
}

/* The public half is in the file as well: that it fits the seed tells a right password from a wrong
 * one, as the checksum that follows it would. */
static enum status take_secret(const uint8_t raw[SECRET_BYTES], const char *what, bool sealed,
                               struct trust_key *out, struct error *err)
{
    uint8_t public_half[ED25519_BYTES];
    size_t n = sizeof public_half;
    set_number(out, raw + AT_NUMBER);
    out->secret = true;
    out->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw + AT_SEED, ED25519_BYTES);
    ERR_clear_error();
    if (!out->pkey) return error_set(err, ERR_NOMEM, "no memory to read %s", what);
    if (EVP_PKEY_get_raw_public_key(out->pkey, public_half, &n) == 1 && n == sizeof public_half &&
        CRYPTO_memcmp(public_half, raw + AT_PUBLIC, n) == 0)
        return OK;
    if (sealed) return error_set(err, ERR_INVALID, "the password does not open %s", what);
    return error_set(err, ERR_FORMAT, "%s is damaged: its two halves do not belong together", what);
}

enum status minisign_secret_parse(const char *text, size_t len, const char *what,
                                  const char *password, struct trust_key *out, struct error *err)
{
    const char *line;
    size_t n;
    uint8_t raw[SECRET_BYTES];
    if (!find_payload(text, len, &line, &n) || base64_decode_exact(line, n, raw, sizeof raw) != OK)
        return error_set(err, ERR_FORMAT, "%s is no secret key: neither PEM nor minisign's", what);
    bool sealed = memcmp(raw + AT_KDF, "Sc", 2) == 0;
    enum status st = OK;
    if (memcmp(raw, "Ed", 2) != 0 || memcmp(raw + AT_CHECK, "B2", 2) != 0 ||
        (!sealed && memcmp(raw + AT_KDF, "\0\0", 2) != 0))
        st = error_set(err, ERR_UNSUPPORTED, "%s is a minisign key of an unknown kind", what);
    if (st == OK && sealed) st = unseal(raw, what, password, err);
    if (st == OK) st = take_secret(raw, what, sealed, out, err);
    OPENSSL_cleanse(raw, sizeof raw);
    return st;
}
