/* Vectors for the chunks that have none. A batch is committed at once, so that a kill costs one batch. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "index/db.h"
#include "index/index.h"
#include "index/update.h"
#include "index/vectors.h"

enum { MAX_BATCH = 1024, MAX_BATCH_BYTES = 64 << 20 };

struct batch {
    int64_t *ids;
    struct index_text *texts;
    float *out;
    uint8_t *packed;
    struct buf bytes;
    size_t n;
};

/* Another model, or other sizes: the vectors of the last one go. */
static enum status set_model(struct db *db, const struct index_embedder *e, struct error *err)
{
    sqlite3_stmt *st;
    enum status status = db_prepare(db, "SELECT 1 FROM meta m JOIN meta d WHERE m.key = 'model' AND m.value = ?1"
                                        " AND d.key = 'dim' AND d.value = ?2", &st, err);
    if (status) return status;
    sqlite3_bind_text(st, 1, e->model, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, (int64_t)e->dim);
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) status = db_fail(db, "reading the index", err);
    sqlite3_finalize(st);
    if (status || rc == SQLITE_ROW) return status;
    char *text = sqlite3_mprintf("BEGIN IMMEDIATE; DELETE FROM vectors; DELETE FROM vectors_exact;"
                                 "INSERT OR REPLACE INTO meta VALUES('model', %Q);"
                                 "INSERT OR REPLACE INTO meta VALUES('dim', %lld);"
                                 "INSERT OR REPLACE INTO meta VALUES('epoch', abs(random()) | 1); COMMIT",
                                 e->model, (long long)e->dim);
    status = text ? db_exec(db, text, err) : error_set(err, ERR_NOMEM, "out of memory");
    sqlite3_free(text);
    return status;
}

static enum status batch_read(struct batch *b, struct db *db, sqlite3_stmt *st, int64_t after, size_t most,
                              size_t max_bytes, struct error *err)
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
        b->ids[b->n] = sqlite3_column_int64(st, 0);
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

static enum status batch_write(struct batch *b, struct db *db, sqlite3_stmt *add, sqlite3_stmt *add_exact, size_t dim,
                               struct error *err)
{
    enum status st = db_exec(db, "BEGIN IMMEDIATE", err);
    if (st) return st;
    for (size_t i = 0; i < b->n && st == OK; i++) {
        float *x = b->out + i * dim;
        normalize(x, dim);
        vectors_pack(x, dim, b->packed);
        sqlite3_bind_int64(add, 1, b->ids[i]);
        sqlite3_bind_blob(add, 2, b->packed, (int)(dim + 4), SQLITE_STATIC);
        if (sqlite3_step(add) != SQLITE_DONE) st = db_fail(db, "writing vectors", err);
        sqlite3_reset(add);
        sqlite3_bind_int64(add_exact, 1, b->ids[i]);
        sqlite3_bind_blob(add_exact, 2, x, (int)(dim * sizeof *x), SQLITE_STATIC);
        if (st == OK && sqlite3_step(add_exact) != SQLITE_DONE) st = db_fail(db, "writing vectors", err);
        sqlite3_reset(add_exact);
    }
    if (st == OK) return db_exec(db, "COMMIT", err);
    sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

static enum status embed_all(struct db *db, const struct index_update_options *opt, const struct index_embedder *e,
                             struct batch *b, size_t most, uint64_t *done, struct error *err)
{
    sqlite3_stmt *read = NULL, *add = NULL, *add_exact = NULL;
    int64_t total = 0, after = 0;
    enum status st = db_number(db, "SELECT count(*) FROM (SELECT DISTINCT chunk FROM places) p"
                                   " WHERE NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = p.chunk)", &total, err);
    if (st == OK)
        st = db_prepare(db, "SELECT c.id, c.scope, c.text FROM chunks c WHERE c.id > ?1"
                            " AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = c.id)"
                            " AND EXISTS (SELECT 1 FROM places p WHERE p.chunk = c.id) ORDER BY c.id LIMIT ?2", &read, err);
    if (st == OK) st = db_prepare(db, "INSERT OR REPLACE INTO vectors(chunk, q) VALUES(?1, ?2)", &add, err);
    if (st == OK) st = db_prepare(db, "INSERT OR REPLACE INTO vectors_exact(chunk, f) VALUES(?1, ?2)", &add_exact, err);
    while (st == OK) {
        if (opt->progress) opt->progress(opt->ctx, INDEX_STAGE_EMBEDDING, *done, (uint64_t)total);
        if (!update_wait_turn(opt)) st = error_set(err, ERR_CANCELLED, "embedding was stopped; it goes on from here next time");
        if (st == OK) st = batch_read(b, db, read, after, most, e->max_bytes ? e->max_bytes : 1024, err);
        if (st || b->n == 0) break;
        after = b->ids[b->n - 1];
        st = e->embed(e->ctx, b->texts, b->n, b->out, err);
        if (st == OK) st = batch_write(b, db, add, add_exact, e->dim, err);
        if (st == OK) *done += b->n;
    }
    sqlite3_finalize(read);
    sqlite3_finalize(add);
    sqlite3_finalize(add_exact);
    return st;
}

enum status index_embed(const char *root, const struct index_update_options *opt, const struct index_embedder *e,
                        uint64_t *done, struct error *err)
{
    uint64_t mine = 0;
    bool rebuilt;
    if (e->dim == 0 || e->dim % 32 || e->dim > VECTORS_MAX_DIM)
        return error_set(err, ERR_UNSUPPORTED, "vectors of %zu numbers cannot be indexed; a multiple of 32 up to %d can",
                         e->dim, VECTORS_MAX_DIM);
    char *folder = index_folder(opt->cache, root);
    if (!folder) return error_set(err, ERR_NOT_FOUND, "cannot open the folder %s", root);
    size_t most = e->batch ? e->batch : 64;
    if (most > MAX_BATCH) most = MAX_BATCH;
    struct db db;
    struct batch b = {.ids = malloc(most * sizeof *b.ids), .texts = malloc(most * sizeof *b.texts),
                      .out = malloc(most * e->dim * sizeof *b.out), .packed = malloc(e->dim + 4)};
    buf_init(&b.bytes, MAX_BATCH_BYTES);
    enum status st = b.ids && b.texts && b.out && b.packed ? OK : error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK) st = db_open_writer(folder, false, &db, &rebuilt, err);
    if (st == OK) {
        st = set_model(&db, e, err);
        if (st == OK) st = embed_all(&db, opt, e, &b, most, done ? done : &mine, err);
        db_close(&db);
    }
    free(b.ids);
    free(b.texts);
    free(b.out);
    free(b.packed);
    buf_fini(&b.bytes);
    free(folder);
    return st;
}
