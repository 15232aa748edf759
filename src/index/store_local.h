/* Vectors in the index's own database: int8 panels in memory find the candidates, floats order them. */
#ifndef HEARTH_INDEX_STORE_LOCAL_H
#define HEARTH_INDEX_STORE_LOCAL_H

#include "base/pool.h"
#include "index/vector_store.h"
#include "index/vectors.h"

struct store_local {
    struct vector_store base; /* first */
    const struct db *db;      /* borrowed */
    struct vectors *vectors;  /* borrowed; for nearest */
    struct pool **pool;       /* made where it is worth it; for nearest */
    size_t dim;
    sqlite3_stmt *add, *add_exact; /* prepared for put */
    uint8_t *packed;
};

/* For writing (vectors and pool NULL: put alone) or for finding. close frees what it prepared, not `s`. */
void store_local_init(struct store_local *s, const struct db *db, struct vectors *vectors, struct pool **pool);

#endif
