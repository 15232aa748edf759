#include "index/store_marks.h"

#include <string.h>

#include "base/sha256.h"

enum status store_marks_set(const struct db *db, const struct vector_item *items, size_t n, bool there,
                            struct error *err)
{
    sqlite3_stmt *q[2] = {NULL, NULL};
    enum status st = db_prepare(db, there ? "INSERT OR REPLACE INTO vectors(chunk, q) VALUES(?1, x'')"
                                          : "DELETE FROM vectors WHERE chunk = ?1", &q[0], err);
    /* What the index held itself before it is at the store now. */
    if (st == OK) st = db_prepare(db, "DELETE FROM vectors_exact WHERE chunk = ?1", &q[1], err);
    if (st == OK) st = db_exec(db, "BEGIN IMMEDIATE", err);
    for (size_t i = 0; i < 2 * n && st == OK; i++) {
        sqlite3_bind_int64(q[i % 2], 1, items[i / 2].chunk);
        if (sqlite3_step(q[i % 2]) != SQLITE_DONE) st = db_fail(db, "writing marks", err);
        sqlite3_reset(q[i % 2]);
    }
    sqlite3_finalize(q[0]);
    sqlite3_finalize(q[1]);
    if (st == OK) return db_exec(db, "COMMIT", err);
    sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

/* The next items behind `after` of a query for a chunk and its hash. */
static enum status next_items(const struct db *db, const char *sql, const char *model, int64_t after,
                              struct vector_item *items, size_t *n, struct error *err)
{
    sqlite3_stmt *q;
    enum status st = db_prepare(db, sql, &q, err);
    *n = 0;
    if (st) return st;
    sqlite3_bind_int64(q, 1, after);
    sqlite3_bind_int64(q, 2, STORE_MARKS_BATCH);
    int rc = SQLITE_DONE;
    while (*n < STORE_MARKS_BATCH && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(q, 1) != SHA256_BYTES) continue;
        items[*n].chunk = sqlite3_column_int64(q, 0);
        vector_store_key(model, sqlite3_column_blob(q, 1), items[*n].key);
        ++*n;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) st = db_fail(db, "reading marks", err);
    sqlite3_finalize(q);
    return st;
}

enum status store_marks_check(const struct db *db, struct vector_store *s, const char *model, struct error *err)
{
    struct vector_item items[STORE_MARKS_BATCH];
    bool there[STORE_MARKS_BATCH];
    int64_t after = 0;
    for (;;) {
        size_t n, gone = 0;
        enum status st = next_items(db, "SELECT v.chunk, c.hash FROM vectors v JOIN chunks c ON c.id = v.chunk"
                                        " WHERE v.chunk > ?1 ORDER BY v.chunk LIMIT ?2", model, after, items, &n, err);
        if (st || n == 0) return st;
        after = items[n - 1].chunk;
        st = s->has(s, items, n, there, err);
        for (size_t i = 0; i < n && st == OK; i++)
            if (!there[i]) items[gone++] = items[i];
        if (st == OK && gone) st = store_marks_set(db, items, gone, false, err);
        if (st) return st;
    }
}

enum status store_marks_drop_gone(const struct db *db, struct vector_store *s, const char *model, struct error *err)
{
    struct vector_item items[STORE_MARKS_BATCH];
    for (;;) {
        size_t n;
        enum status st = next_items(db, "SELECT v.chunk, c.hash FROM vectors v JOIN chunks c ON c.id = v.chunk"
                                        " WHERE v.chunk > ?1 AND NOT EXISTS (SELECT 1 FROM places p"
                                        " WHERE p.chunk = v.chunk) ORDER BY v.chunk LIMIT ?2", model, 0, items, &n, err);
        if (st || n == 0) return st;
        /* Marks last: killed between the two, the next call drops once more. */
        st = s->drop(s, items, n, err);
        if (st == OK) st = store_marks_set(db, items, n, false, err);
        if (st) return st;
    }
}

enum status store_marks_resolve(const struct db *db, const char *model, struct vector_found *hits, size_t *n,
                                struct error *err)
{
    sqlite3_stmt *q;
    size_t kept = 0;
    enum status st = db_prepare(db, "SELECT id FROM chunks WHERE hash >= ?1 AND hash <= ?2 AND EXISTS"
                                    " (SELECT 1 FROM places WHERE chunk = id) LIMIT 1", &q, err);
    if (st) return st;
    for (size_t i = 0; i < *n && st == OK; i++) {
        uint8_t from[SHA256_BYTES], to[SHA256_BYTES];
        memset(from, 0, sizeof from);
        memset(to, 255, sizeof to);
        vector_store_key(model, hits[i].item.key, from);
        memcpy(to, from, VECTOR_KEY_BYTES);
        sqlite3_bind_blob(q, 1, from, sizeof from, SQLITE_STATIC);
        sqlite3_bind_blob(q, 2, to, sizeof to, SQLITE_STATIC);
        int rc = sqlite3_step(q);
        if (rc == SQLITE_ROW) {
            hits[kept] = hits[i];
            hits[kept++].item.chunk = sqlite3_column_int64(q, 0);
        } else if (rc != SQLITE_DONE) {
            st = db_fail(db, "reading chunks", err);
        }
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    *n = kept;
    return st;
}
