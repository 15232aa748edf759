/* SHA-256 (FIPS 180-4) of a stream, by the system's OpenSSL, which uses the CPU's own instructions
 * for it where there are any. */
#ifndef HEARTH_BASE_SHA256_H
#define HEARTH_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { SHA256_BYTES = 32, SHA256_HEX_SIZE = 65 }; /* the second counts the final NUL */

struct sha256 {
    void *ctx; /* owned; NULL once a call failed */
};

/* ERR_NOMEM: short of a broken installation, OpenSSL fails here for want of memory alone. After a
 * failure every further call is harmless and sha256_final fails too, so a caller may check that one
 * only. */
enum status sha256_init(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *data, size_t len);
/* Writes the digest and frees the state; start again with sha256_init. */
enum status sha256_final(struct sha256 *s, uint8_t digest[SHA256_BYTES]);
/* Frees the state of a stream given up before sha256_final; harmless after it. */
void sha256_fini(struct sha256 *s);

/* All of the above for bytes that lie in memory. */
enum status sha256_of(const void *data, size_t len, uint8_t digest[SHA256_BYTES]);

/* Lower-case hexadecimal, NUL-terminated. */
void sha256_hex(const uint8_t digest[SHA256_BYTES], char hex[SHA256_HEX_SIZE]);
/* Reads 64 hexadecimal digits of either case; false for anything else. */
bool sha256_from_hex(const char *hex, uint8_t digest[SHA256_BYTES]);

#endif
