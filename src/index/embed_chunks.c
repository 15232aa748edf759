/* Vectors for the chunks that have none. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/sha256.h"
#include "index/db.h"
#include "index/index.h"
#include "index/store_local.h"
#include "index/store_marks.h"
#include "index/update.h"
#include "index/vectors.h"

enum { MAX_BATCH = 1024, MAX_BATCH_BYTES = 64 << 20 };

struct batch {
    struct vector_item *items;
    struct index_text *texts;
    float *out;
    bool *there; /* in the store already, from another machine */
    struct buf bytes;
    size_t n;
};

/* Another model, other sizes, or another store: the vectors of the last one go. */
static enum status set_model(struct db *db, const struct index_embedder *e, const char *store, struct error *err)
{
    sqlite3_stmt *st;
    enum status status = db_prepare(db, "SELECT 1 FROM meta m JOIN meta d WHERE m.key = 'model' AND m.value = ?1"
                                        " AND d.key = 'dim' AND d.value = ?2 AND ?3 ="
                                        " coalesce((SELECT value FROM meta WHERE key = 'store'), '')", &st, err);
    if (status) return status;
    sqlite3_bind_text(st, 1, e->model, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, (int64_t)e->dim);
    sqlite3_bind_text(st, 3, store, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) status = db_fail(db, "reading the index", err);
    sqlite3_finalize(st);
    if (status || rc == SQLITE_ROW) return status;
    /* Where only the store changes, the vectors at hand move there (take_exact). */
    char *text = sqlite3_mprintf("BEGIN IMMEDIATE; DELETE FROM vectors; DELETE FROM vectors_exact WHERE NOT EXISTS"
                                 " (SELECT 1 FROM meta m JOIN meta d WHERE m.key = 'model' AND m.value = %Q"
                                 " AND d.key = 'dim' AND d.value = %lld);"
                                 "INSERT OR REPLACE INTO meta VALUES('model', %Q);"
                                 "INSERT OR REPLACE INTO meta VALUES('store', %Q);"
                                 "INSERT OR REPLACE INTO meta VALUES('dim', %lld);"
                                 "INSERT OR REPLACE INTO meta VALUES('epoch', abs(random()) | 1); COMMIT",
                                 e->model, (long long)e->dim, e->model, store, (long long)e->dim);
    status = text ? db_exec(db, text, err) : error_set(err, ERR_NOMEM, "out of memory");
    sqlite3_free(text);
    return status;
}

static enum status batch_read(struct batch *b, struct db *db, sqlite3_stmt *st, int64_t after, size_t most,
                              size_t max_bytes, const char *model, struct error *err)
{
    size_t at[MAX_BATCH];
    b->n = 0;
    buf_clear(&b->bytes);
    sqlite3_bind_int64(st, 1, after);
    sqlite3_bind_int64(st, 2, (int64_t)most);
    int rc;
    enum status status = OK;
    while (b->n < most && status == OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        size_t len = (size_t)sqlite3_column_bytes(st, 2);
        at[b->n] = b->bytes.len;
        if (len > max_bytes) len = max_bytes;
        b->items[b->n].chunk = sqlite3_column_int64(st, 0);
        if (sqlite3_column_bytes(st, 3) == SHA256_BYTES)
            vector_store_key(model, sqlite3_column_blob(st, 3), b->items[b->n].key);
        /* The scope says what a method's text does not. */
        const char *scope = (const char *)sqlite3_column_text(st, 1);
        if (scope && *scope) status = buf_printf(&b->bytes, "%.200s\n", scope);
        if (status == OK && len) status = buf_append(&b->bytes, sqlite3_column_blob(st, 2), len);
        b->texts[b->n].len = b->bytes.len - at[b->n];
        b->n++;
    }
    if (status) error_set(err, status, "out of memory for texts to embed");
    else if (b->n < most && rc != SQLITE_DONE) status = db_fail(db, "reading chunks", err);
    sqlite3_reset(st);
    for (size_t i = 0; i < b->n; i++) b->texts[i].data = b->bytes.data ? b->bytes.data + at[i] : "";
    return status;
}

static void normalize(float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    float f = sum > 0 && isfinite(sum) ? (float)(1 / sqrt(sum)) : 0;
    for (size_t i = 0; i < n; i++) x[i] = f != 0 ? x[i] * f : 0;
}

/* Leaves those in the batch that the store does not have, and marks the others. */
static enum status skip_known(struct batch *b, struct db *db, struct vector_store *store, struct error *err)
{
    struct vector_item known[MAX_BATCH];
    size_t n = 0, n_known = 0;
    enum status st = store->has(store, b->items, b->n, b->there, err);
    for (size_t i = 0; i < b->n && st == OK; i++) {
        if (b->there[i]) {
            known[n_known++] = b->items[i];
            continue;
        }
        b->items[n] = b->items[i];
        b->texts[n++] = b->texts[i];
    }
    if (st) return st;
    b->n = n;
    return n_known ? store_marks_set(db, known, n_known, true, err) : OK;
}

/* Brings those to the front whose float vectors the database has (the index held them before), and copies these;
 * *n: how many. */
static enum status take_exact(struct batch *b, struct db *db, size_t dim, size_t *n, struct error *err)
{
    sqlite3_stmt *q;
    enum status st = db_prepare(db, "SELECT f FROM vectors_exact WHERE chunk = ?1", &q, err);
    *n = 0;
    for (size_t i = 0; i < b->n && st == OK; i++) {
        sqlite3_bind_int64(q, 1, b->items[i].chunk);
        int rc = sqlite3_step(q);
        if (rc == SQLITE_ROW && (size_t)sqlite3_column_bytes(q, 0) == dim * sizeof *b->out) {
            struct vector_item item = b->items[i];
            struct index_text text = b->texts[i];
            memcpy(b->out + *n * dim, sqlite3_column_blob(q, 0), dim * sizeof *b->out);
            b->items[i] = b->items[*n];
            b->texts[i] = b->texts[*n];
            b->items[*n] = item;
            b->texts[(*n)++] = text;
        } else if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
            st = db_fail(db, "reading vectors", err);
        }
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    return st;
}

/* *made: how many the model had to make. */
static enum status embed_batch(struct batch *b, struct db *db, const struct index_embedder *e,
                               struct vector_store *store, uint64_t *made, struct error *err)
{
    size_t old = 0;
    enum status st = store->has ? skip_known(b, db, store, err) : OK;
    if (st == OK) st = take_exact(b, db, e->dim, &old, err);
    if (st || b->n == 0) return st;
    if (b->n > old) st = e->embed(e->ctx, b->texts + old, b->n - old, b->out + old * e->dim, err);
    for (size_t i = old; i < b->n && st == OK; i++) normalize(b->out + i * e->dim, e->dim);
    if (st == OK) st = store->put(store, b->items, b->out, b->n, err);
    if (st == OK && store->elsewhere) st = store_marks_set(db, b->items, b->n, true, err);
    if (st == OK) *made += b->n - old;
    return st;
}

static enum status embed_all(struct db *db, const struct index_update_options *opt, const struct index_embedder *e,
                             struct vector_store *store, struct batch *b, size_t most, uint64_t *done, struct error *err)
{
    sqlite3_stmt *read = NULL;
    int64_t total = 0, after = 0, seen = 0;
    enum status st = OK;
    if (!e->trust_store) /* after a save it would cost more than it tells */
        st = db_number(db, "SELECT count(*) FROM (SELECT DISTINCT chunk FROM places) p"
                           " WHERE NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = p.chunk)", &total, err);
    if (st == OK)
        st = db_prepare(db, "SELECT c.id, c.scope, c.text, c.hash FROM chunks c WHERE c.id > ?1"
                            " AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = c.id)"
                            " AND EXISTS (SELECT 1 FROM places p WHERE p.chunk = c.id) ORDER BY c.id LIMIT ?2", &read, err);
    while (st == OK) {
        if (opt->progress) opt->progress(opt->ctx, INDEX_STAGE_EMBEDDING, (uint64_t)seen, (uint64_t)total);
        if (!update_wait_turn(opt)) st = error_set(err, ERR_CANCELLED, "embedding was stopped; it goes on from here next time");
        if (st == OK) st = batch_read(b, db, read, after, most, e->max_bytes ? e->max_bytes : 1024, e->model, err);
        if (st || b->n == 0) break;
        after = b->items[b->n - 1].chunk;
        seen += (int64_t)b->n;
        st = embed_batch(b, db, e, store, done, err);
    }
    sqlite3_finalize(read);
    return st;
}

/* With the store open and its place there. */
static enum status fill_store(struct db *db, const struct index_update_options *opt, const struct index_embedder *e,
                              struct vector_store *store, struct batch *b, size_t most, uint64_t *done, struct error *err)
{
    enum status st = OK;
    if (store->elsewhere && !e->trust_store) st = store_marks_check(db, store, e->model, err);
    if (st == OK && store->elsewhere) st = store_marks_drop_gone(db, store, e->model, err);
    return st ? st : embed_all(db, opt, e, store, b, most, done, err);
}

enum status index_embed(const char *root, const struct index_update_options *opt, const struct index_embedder *e,
                        uint64_t *done, struct error *err)
{
    uint64_t mine = 0;
    if (e->dim == 0 || e->dim % 32 || e->dim > VECTORS_MAX_DIM)
        return error_set(err, ERR_UNSUPPORTED, "vectors of %zu numbers cannot be indexed; a multiple of 32 up to %d can",
                         e->dim, VECTORS_MAX_DIM);
    char *folder = index_folder(opt->cache, root);
    if (!folder) return error_set(err, ERR_NOT_FOUND, "cannot open the folder %s", root);
    size_t most = e->batch ? e->batch : 64;
    if (most > MAX_BATCH) most = MAX_BATCH;
    struct db db;
    struct store_local local;
    struct batch b = {.items = malloc(most * sizeof *b.items), .texts = malloc(most * sizeof *b.texts),
                      .out = malloc(most * e->dim * sizeof *b.out), .there = malloc(most * sizeof *b.there)};
    buf_init(&b.bytes, MAX_BATCH_BYTES);
    enum status st = b.items && b.texts && b.out && b.there ? OK : error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK) st = db_open_sound(folder, &db, err);
    if (st == OK) {
        store_local_init(&local, &db, NULL, NULL);
        struct vector_store *store = e->store ? e->store : &local.base;
        st = store->prepare(store, e->model, e->dim, true, err);
        if (st == OK) st = set_model(&db, e, store->name, err);
        if (st == OK) st = fill_store(&db, opt, e, store, &b, most, done ? done : &mine, err);
        local.base.close(&local.base);
        db_close(&db);
    }
    free(b.items);
    free(b.texts);
    free(b.out);
    free(b.there);
    buf_fini(&b.bytes);
    free(folder);
    return st;
}
