/* The states of a blob's SHA-256, kept beside the blobs as chains/HEX. With them a blob is checked by
 * several threads at once, and a damaged one tells which part of it is to be fetched again.
 *
 * Form, little-endian: "HRTHCHN1", u64 step, u64 bytes of the blob, 32 bytes digest, the states (32
 * bytes each), and the SHA-256 of all that. A file that breaks this form, or is about another digest,
 * counts as none. Inside of module store. */
#ifndef HEARTH_STORE_CHAIN_FILE_H
#define HEARTH_STORE_CHAIN_FILE_H

#include "base/sha256_chain.h"
#include "store/store_int.h"

/* Keeps the states of a finished chain whose digest is `digest`. OK without a file where the chain
 * lost them. */
enum status chain_write(const struct store *s, const char *digest, const struct sha256_chain *c,
                        struct error *err);
/* ERR_NOT_FOUND, ERR_FORMAT. `out` is for sha256_chain_pieces and what follows there; free it with
 * sha256_chain_fini. */
enum status chain_read(const struct store *s, const char *digest, struct sha256_chain *out,
                       struct error *err);
void chain_remove(const struct store *s, const char *digest);

#endif
