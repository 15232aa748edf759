/* The vectors of an index in memory as int8, and the search among them. */
#ifndef HEARTH_INDEX_VECTORS_H
#define HEARTH_INDEX_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "index/db.h"
#include "kern/kern.h"

enum { VECTORS_MAX_DIM = 4096, VECTORS_MAX = 20000000, VECTORS_BEST = 1000 };

/* 16 vectors stand in a panel as kern_ops' dot_panels wants them. */
struct vectors {
    const struct kern_ops *ops;
    size_t dim, n;
    uint8_t *panels; /* owned, 64-byte aligned */
    size_t cap;      /* in vectors, a multiple of 16 */
    float *scale;    /* owned, [cap] */
    int64_t *chunk;  /* owned, [cap] */
    int64_t last;    /* row of the last one that was loaded */
    int64_t epoch;   /* of the model */
};

struct vectors_hit {
    int64_t chunk;
    float score;
};

/* What is stored of a vector: its scale as a float, then dim int8. `out` has dim + 4 bytes. x is finite. */
void vectors_pack(const float *x, size_t dim, uint8_t *out);

/* Brings memory up to date with the database. dim stays 0 where there are none. */
enum status vectors_load(struct vectors *v, const struct db *db, struct error *err);
void vectors_fini(struct vectors *v);
/* Adds one as it is stored, of `dim`; for loading. ERR_NOMEM, ERR_LIMIT. */
enum status vectors_add(struct vectors *v, int64_t chunk, const uint8_t *packed);

/* The `max` (at most VECTORS_BEST) nearest to q[dim], best first, by int8 products; several threads where
 * `pool` is not NULL. Equal scores are in the order of their chunks. Returns how many. ERR_NOMEM. */
enum status vectors_scan(const struct vectors *v, struct pool *pool, const float *q, struct vectors_hit *out,
                         size_t max, size_t *n);
/* Gives hits their score by the float vectors in the database and sorts them anew; hits without one, or
 * of chunks that stand nowhere any more, go. */
enum status vectors_rerank(const struct db *db, const float *q, size_t dim, struct vectors_hit *hits, size_t *n,
                           struct error *err);

#endif
