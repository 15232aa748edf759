/* Servers that keep an index's vectors for a team. A kind of server is a file (store_NAME.c) and a line of the
 * registry in stores.c.
 *
 * An address is SCHEME://HOST[:PORT]/COLLECTION[?NAME=VALUE&...], with an "s" behind the scheme for TLS:
 * qdrant://localhost:6333/project, chromas://vectors.example.com/project?tenant=t&database=d. */
#ifndef HEARTH_REMOTE_STORES_H
#define HEARTH_REMOTE_STORES_H

#include "index/vector_store.h"

struct store_options {
    const char *key;   /* NULL: none. Without TLS it goes to this machine alone: ERR_INVALID else */
    double seconds;    /* of one try; 0 = 30 */
    int tries;         /* 0 = 4 */
    const volatile int *cancel; /* nonzero ends a call with ERR_CANCELLED; may be NULL */
};

/* Reads the address, and connects to nothing yet. ERR_INVALID for what is no address, ERR_NETWORK where
 * HEARTH_OFFLINE is set and the server is not on this machine. Closed by its own close. */
enum status stores_open(const char *address, const struct store_options *opt, struct vector_store **out,
                        struct error *err);

/* The n-th kind's scheme; NULL behind the last. */
const char *stores_scheme(size_t n);

#endif
