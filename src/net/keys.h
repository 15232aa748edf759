/* API keys: kept as hashes only, compared in constant time.
 *
 * A key file has one key a line: a name, a blank, and the key's SHA-256 in hexadecimal; '#' begins
 * a comment. Keys are 256 random bits, so that a fast hash is enough. */
#ifndef HEARTH_NET_KEYS_H
#define HEARTH_NET_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"

enum { KEYS_NAME_SIZE = 64, KEYS_MAX = 1024, KEYS_TEXT_SIZE = 80 };

struct key_entry {
    char name[KEYS_NAME_SIZE];
    uint8_t hash[SHA256_BYTES];
};

struct keys {
    struct key_entry *items; /* owned */
    size_t n;
};

void keys_fini(struct keys *k);
/* Adds a key given in the clear (an environment variable); it is hashed at once. ERR_INVALID where
 * it has fewer than 16 characters. */
enum status keys_add(struct keys *k, const char *name, const char *key, struct error *err);
/* Adds those of a key file. ERR_FORMAT names the line; ERR_INVALID where others may write the file.
 */
enum status keys_load(struct keys *k, const char *path, struct error *err);
/* The entry of a key; NULL for an unknown one. Takes as long for any key of that length. */
const struct key_entry *keys_find(const struct keys *k, const char *key, size_t len);

/* A new key ("hearth-" and 64 hexadecimal digits) and the line of a key file for it. */
enum status keys_make(const char *name, char key[KEYS_TEXT_SIZE], char line[192],
                      struct error *err);

#endif
