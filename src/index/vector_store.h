/* Where an index keeps its vectors: in its own database (store_local.h), or on a server that a team shares
 * (src/remote/). Words, names and texts stay in the database either way.
 *
 * A vector belongs to a chunk. The database knows it by a row's number, which is this machine's alone; a
 * server by a key made of the chunk's content and the model, so that equal code on two machines is one
 * vector, and nothing that a server holds tells of a path or a text. */
#ifndef HEARTH_INDEX_VECTOR_STORE_H
#define HEARTH_INDEX_VECTOR_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { VECTOR_KEY_BYTES = 16 };

struct vector_item {
    int64_t chunk; /* row of the database */
    uint8_t key[VECTOR_KEY_BYTES];
};

struct vector_found {
    struct vector_item item; /* a store elsewhere fills the key, the database the row */
    float score;             /* cosine */
};

/* An open store; its functions may be called by one thread at a time. What a server answers is checked and
 * bounded: a wrong, endless or late answer is ERR_NETWORK with the server's name, never a crash. A function
 * that is NULL has nothing to do. */
struct vector_store {
    const char *name; /* its address without any key; owned by the store. "" is the database */
    bool elsewhere;   /* over the network: it goes by keys, and its vectors may be gone or other people's */

    /* Before anything else: the place for vectors of `dim` numbers by `model`, made where `make` and it is
     * not there. ERR_NOT_FOUND without `make`, ERR_INVALID where it holds vectors of another size. */
    enum status (*prepare)(struct vector_store *s, const char *model, size_t dim, bool make, struct error *err);
    /* there[i]: whether item i has its vector already. */
    enum status (*has)(struct vector_store *s, const struct vector_item *items, size_t n, bool *there,
                       struct error *err);
    /* x[n][dim], each of length 1. What is there under the same key is replaced; all or, after an error,
     * some are kept. */
    enum status (*put)(struct vector_store *s, const struct vector_item *items, const float *x, size_t n,
                       struct error *err);
    /* Ones that are not there are no error. */
    enum status (*drop)(struct vector_store *s, const struct vector_item *items, size_t n, struct error *err);
    /* The at most `max` nearest to q[dim] (of length 1), best first; *n tells how many. */
    enum status (*nearest)(struct vector_store *s, const float *q, size_t dim, struct vector_found *out, size_t max,
                           size_t *n, struct error *err);
    void (*close)(struct vector_store *s);
};

/* How stores call a model: of one that is a file the name alone, because colleagues keep it in other folders.
 * Borrowed from `model`. */
const char *vector_store_model(const char *model);
/* The key of a chunk (by the first bytes of its hash in the database) under a model, and back again: the
 * same function. */
void vector_store_key(const char *model, const uint8_t *from, uint8_t to[VECTOR_KEY_BYTES]);

#endif
