#include "index/store_local.h"

#include <stdlib.h>
#include <string.h>

static enum status prepare(struct vector_store *base, const char *model, size_t dim, bool make, struct error *err)
{
    struct store_local *s = (struct store_local *)base;
    (void)model;
    s->dim = dim;
    if (!make) return OK;
    enum status st = db_prepare(s->db, "INSERT OR REPLACE INTO vectors(chunk, q) VALUES(?1, ?2)", &s->add, err);
    if (st == OK)
        st = db_prepare(s->db, "INSERT OR REPLACE INTO vectors_exact(chunk, f) VALUES(?1, ?2)", &s->add_exact, err);
    s->packed = malloc(dim + 4);
    return st == OK && !s->packed ? error_set(err, ERR_NOMEM, "out of memory") : st;
}

/* A batch is committed at once, so that a kill costs one batch. */
static enum status put(struct vector_store *base, const struct vector_item *items, const float *x, size_t n,
                       struct error *err)
{
    struct store_local *s = (struct store_local *)base;
    enum status st = db_exec(s->db, "BEGIN IMMEDIATE", err);
    if (st) return st;
    for (size_t i = 0; i < n && st == OK; i++) {
        vectors_pack(x + i * s->dim, s->dim, s->packed);
        sqlite3_bind_int64(s->add, 1, items[i].chunk);
        sqlite3_bind_blob(s->add, 2, s->packed, (int)(s->dim + 4), SQLITE_STATIC);
        if (sqlite3_step(s->add) != SQLITE_DONE) st = db_fail(s->db, "writing vectors", err);
        sqlite3_reset(s->add);
        sqlite3_bind_int64(s->add_exact, 1, items[i].chunk);
        sqlite3_bind_blob(s->add_exact, 2, x + i * s->dim, (int)(s->dim * sizeof *x), SQLITE_STATIC);
        if (st == OK && sqlite3_step(s->add_exact) != SQLITE_DONE) st = db_fail(s->db, "writing vectors", err);
        sqlite3_reset(s->add_exact);
    }
    if (st == OK) return db_exec(s->db, "COMMIT", err);
    sqlite3_exec(s->db->sql, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

static enum status nearest(struct vector_store *base, const float *q, size_t dim, struct vector_found *out, size_t max,
                           size_t *n, struct error *err)
{
    struct store_local *s = (struct store_local *)base;
    *n = 0;
    enum status st = vectors_load(s->vectors, s->db, err);
    if (st || s->vectors->n == 0) return st;
    if (dim != s->vectors->dim)
        return error_set(err, ERR_INVALID, "the query's vector has %zu numbers, those of the index %zu", dim,
                         s->vectors->dim);
    struct vectors_hit *hits = malloc(VECTORS_BEST * sizeof *hits);
    if (!hits) return error_set(err, ERR_NOMEM, "out of memory for the search");
    size_t found = 0;
    if (!*s->pool && s->vectors->n > 20000) st = pool_create(2, s->pool, err);
    if (st == OK) st = vectors_scan(s->vectors, *s->pool, q, hits, 3 * max, &found);
    if (st == ERR_NOMEM) error_set(err, st, "out of memory for the search");
    if (st == OK) st = vectors_rerank(s->db, q, dim, hits, &found, err);
    for (size_t i = 0; i < found && i < max && st == OK; i++)
        out[(*n)++] = (struct vector_found){.item.chunk = hits[i].chunk, .score = hits[i].score};
    free(hits);
    return st;
}

static void close_local(struct vector_store *base)
{
    struct store_local *s = (struct store_local *)base;
    sqlite3_finalize(s->add);
    sqlite3_finalize(s->add_exact);
    free(s->packed);
    *s = (struct store_local){0};
}

void store_local_init(struct store_local *s, const struct db *db, struct vectors *vectors, struct pool **pool)
{
    *s = (struct store_local){.base = {.name = "", .prepare = prepare, .put = put, .nearest = nearest, .close = close_local},
                              .db = db, .vectors = vectors, .pool = pool};
}
