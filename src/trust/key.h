/* Keys that sign models: elliptic curve keys P-256, P-384 and P-521 in PEM (as OpenSSF model
 * signing has them) and minisign's Ed25519 keys (https://jedisct1.github.io/minisign/, "Key
 * format").
 *
 * Public keys are not secret and secret ones are wiped when they are freed. All functions may be
 * called from any thread; one key is used by one thread at a time. */
#ifndef HEARTH_TRUST_KEY_H
#define HEARTH_TRUST_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

enum trust_scheme { TRUST_MODEL_SIGNING, TRUST_MINISIGN };

enum { TRUST_KEY_ID_SIZE = 65, TRUST_KEY_NUMBER_BYTES = 8, TRUST_KEY_FILE_BYTES = 1 << 16 };

struct trust_key {
    enum trust_scheme scheme;
    void *pkey;                             /* owned EVP_PKEY */
    bool secret;                            /* it can sign */
    int bits;                               /* of the curve: 256, 384, 521; 0 = Ed25519 */
    uint8_t number[TRUST_KEY_NUMBER_BYTES]; /* minisign's own name of the key */
    /* Curve keys: SHA-256 of the public key's PEM, as the hint of a signature has it. minisign: the
     * number as its programs print it. */
    char id[TRUST_KEY_ID_SIZE];
};

/* A public key's text: PEM ("BEGIN PUBLIC KEY"), minisign's file of two lines, or its second line
 * alone. `what` names it in errors. ERR_FORMAT, ERR_UNSUPPORTED (another kind or curve). */
enum status trust_key_parse_public(const char *text, size_t len, const char *what,
                                   struct trust_key *out, struct error *err);
/* A secret key's text: PEM, encrypted or not, or minisign's. password: NULL = none. ERR_INVALID: it
 * is encrypted and the password is missing or wrong. */
enum status trust_key_parse_secret(const char *text, size_t len, const char *what,
                                   const char *password, struct trust_key *out, struct error *err);
void trust_key_fini(struct trust_key *k);

/* Appends the public key as trust_key_parse_public reads it: PEM, or minisign's base64 line. */
enum status trust_key_write_public(const struct trust_key *k, struct buf *out, struct error *err);
/* "P-256 key 77c6a903..." or "minisign key D718654D7D4F6E57"; returns dst. */
const char *trust_key_words(const struct trust_key *k, char *dst, size_t cap);

/* ECDSA over `data` with the curve's hash (P-256: SHA-256, P-384: SHA-384, P-521: SHA-512), DER;
 * Ed25519 as 64 bytes. Appends to `out`. */
enum status trust_key_sign(const struct trust_key *k, const void *data, size_t len, struct buf *out,
                           struct error *err);
/* ERR_INTEGRITY where the signature is not this key's over these bytes. */
enum status trust_key_check(const struct trust_key *k, const void *data, size_t len,
                            const void *sig, size_t sig_len, struct error *err);

#endif
