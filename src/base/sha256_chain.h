/* SHA-256 of a stream, with the states it went through.
 *
 * SHA-256 works through its input 64 bytes at a time and carries 32 bytes of state (FIPS 180-4, 6.2.2).
 * The states at regular places cost nothing to keep, and afterwards each piece between two of them can
 * be checked alone and in any order: it must lead from the one state to the next, and the last piece
 * to the digest itself. When all pieces do, the file has the digest; where one does not, the damage
 * lies in that piece. */
#ifndef HEARTH_BASE_SHA256_CHAIN_H
#define HEARTH_BASE_SHA256_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/sha.h>

#include "base/sha256.h"

enum {
    SHA256_CHAIN_MIN_STEP = 16 << 10,
    SHA256_CHAIN_MAX_STEP = 4 << 20,
    /* States are thinned out beyond so many, until the largest step is reached. */
    SHA256_CHAIN_FEW = 4096,
    SHA256_CHAIN_MAX = 1 << 22,
};

/* All zero is a stream that was not begun: updates of it do nothing. */
struct sha256_chain {
    SHA256_CTX ctx;
    bool begun, lost; /* lost: no memory for the states; the digest is right nevertheless */
    uint64_t bytes;   /* so far */
    uint64_t step;    /* bytes from one state to the next */
    uint8_t *states;  /* owned: n times SHA256_BYTES, after step, 2 step, ... bytes; none at the end */
    size_t n, cap;
};

void sha256_chain_init(struct sha256_chain *c);
void sha256_chain_update(struct sha256_chain *c, const void *data, size_t len);
/* The digest; the states stay until sha256_chain_fini. ERR_INVALID where the stream was not begun. */
enum status sha256_chain_final(struct sha256_chain *c, uint8_t digest[SHA256_BYTES]);
void sha256_chain_fini(struct sha256_chain *c); /* all zero afterwards */

/* Pieces of a finished chain: how many, and how many bytes piece i has. */
size_t sha256_chain_pieces(const struct sha256_chain *c);
size_t sha256_chain_piece_bytes(const struct sha256_chain *c, size_t i);
/* Whether `data`, as long as the piece, leads from its state to the next, or to the digest. From any
 * number of threads. */
bool sha256_chain_piece_good(const struct sha256_chain *c, size_t i, const void *data,
                             const uint8_t digest[SHA256_BYTES]);

#endif
