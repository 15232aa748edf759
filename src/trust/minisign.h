/* minisign's signatures (https://jedisct1.github.io/minisign/, "Signature format"; minisign 0.11):
 * Ed25519 over a file's BLAKE2b-512 ("ED") or, as older versions made them, over the file itself
 * ("Ed"), and a second signature over the first and the trusted comment. */
#ifndef HEARTH_TRUST_MINISIGN_H
#define HEARTH_TRUST_MINISIGN_H

#include <stdbool.h>

#include "base/buf.h"
#include "trust/key.h"

enum {
    BLAKE2B_BYTES = 64,
    MINISIGN_COMMENT_SIZE = 8193,
    MINISIGN_MAX_BYTES = 16384,
    MINISIGN_SIG_BYTES = 64
};
/* Files signed the old way are read as a whole; minisign has the same limit. */
#define MINISIGN_LEGACY_MAX ((size_t)1 << 30)

struct minisign {
    bool prehashed;
    uint8_t number[TRUST_KEY_NUMBER_BYTES];
    char id[TRUST_KEY_ID_SIZE]; /* of the key it names, as struct trust_key has it */
    uint8_t sig[MINISIGN_SIG_BYTES], global[MINISIGN_SIG_BYTES];
    char comment[MINISIGN_COMMENT_SIZE]; /* the trusted one; believed only after minisign_check */
};
/* ERR_FORMAT for anything but its four lines. */
enum status minisign_parse(const char *text, size_t len, const char *what, struct minisign *out,
                           struct error *err);

/* The BLAKE2b-512 of a file, and in the same reading its SHA-256 (NULL = not wanted), so that the
 * two are of the same bytes. progress as in struct filetree_options; may be NULL. */
enum status minisign_hash(const char *path, bool (*progress)(void *ctx, uint64_t done), void *ctx,
                          uint8_t digest[BLAKE2B_BYTES], uint8_t *sha256, struct error *err);

/* Both signatures against what was signed: the digest of a prehashed file, else the file's bytes.
 * ERR_INTEGRITY. */
enum status minisign_check(const struct minisign *m, const struct trust_key *k, const void *data,
                           size_t len, const char *what, struct error *err);

/* Appends a signature file for a prehashed file. comment: the trusted one, one line. */
enum status minisign_write(const struct trust_key *k, const uint8_t digest[BLAKE2B_BYTES],
                           const char *comment, struct buf *out, struct error *err);

#endif
