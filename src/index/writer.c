#include "index/writer.h"

#include <string.h>

#include "base/clock.h"
#include "index/refs.h"
#include "index/tidy.h"
#include "index/words.h"

enum { COMMIT_BYTES = 24 << 20 };
static const double commit_seconds = 2;

static const char *const statements[W_N_STATEMENTS] = {
    [W_FIND_FOLDER] = "SELECT id FROM folders WHERE path = ?1",
    [W_ADD_FOLDER] = "INSERT INTO folders(path, parent) VALUES(?1, ?2)",
    [W_STALE_FOLDER] = "UPDATE folders SET hash = NULL WHERE id = ?1 AND hash IS NOT NULL RETURNING parent",
    [W_FIND_FILE] = "SELECT id, folder FROM files WHERE path = ?1",
    [W_ADD_FILE] = "INSERT INTO files(path, folder) VALUES(?1, ?2)",
    [W_SET_FILE] = "UPDATE files SET size = ?2, mtime = ?3, ctime = ?4, inode = ?5, hash = ?6, language = ?7,"
                   " refs = ?8 WHERE id = ?1",
    [W_SET_STAT] = "UPDATE files SET size = ?2, mtime = ?3, ctime = ?4, inode = ?5 WHERE id = ?1",
    [W_DROP_FILE] = "DELETE FROM files WHERE id = ?1",
    [W_FIND_CHUNK] = "SELECT id FROM chunks WHERE hash = ?1",
    [W_ADD_CHUNK] = "INSERT OR IGNORE INTO chunks(hash, kind, name, scope, text) VALUES(?1, ?2, ?3, ?4, ?5)",
    [W_ADD_FTS] = "INSERT INTO fts(rowid, name, text) VALUES(?1, ?2 || ' ' || ?3, ?4)",
    [W_ADD_PLACE] = "INSERT INTO places(file, seq, chunk, line, end_line) VALUES(?1, ?2, ?3, ?4, ?5)",
    [W_DROP_PLACES] = "DELETE FROM places WHERE file = ?1",
    [W_ADD_DEFINITION] = "INSERT INTO definitions(file, seq, name, kind, scope, signature, line, end_line, col)"
                         " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [W_DROP_DEFINITIONS] = "DELETE FROM definitions WHERE file = ?1",
    [W_ADD_WORD] = "INSERT OR IGNORE INTO words(word) VALUES(?1)",
    [W_ADD_PIECE] = "INSERT INTO pieces(rowid, word) VALUES(?1, ?2)",
};

enum status writer_init(struct writer *w, struct db *db, struct index_counts *counts, struct error *err)
{
    *w = (struct writer){.db = db, .counts = counts, .err = err, .folder_id = -1};
    enum status st = OK;
    for (int i = 0; i < W_N_STATEMENTS && st == OK; i++) st = db_prepare(db, statements[i], &w->st[i], err);
    if (st) writer_fini(w);
    return st;
}

void writer_fini(struct writer *w)
{
    for (int i = 0; i < W_N_STATEMENTS; i++) {
        sqlite3_finalize(w->st[i]);
        w->st[i] = NULL;
    }
    if (w->open && w->db->sql) sqlite3_exec(w->db->sql, "ROLLBACK", NULL, NULL, NULL);
    w->open = false;
}

static enum status begin(struct writer *w)
{
    if (w->open) return OK;
    enum status st = db_exec(w->db, "BEGIN IMMEDIATE", w->err);
    if (st) return st;
    w->open = true;
    w->pending = 0;
    w->since = clock_now();
    return OK;
}

/* Steps a statement that gives no row, or one whose first number is wanted (then *id, which is left alone
 * without a row). */
static enum status step(struct writer *w, enum writer_statement which, int64_t *id)
{
    sqlite3_stmt *st = w->st[which];
    enum status status = OK;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        if (id) *id = sqlite3_column_int64(st, 0);
        while (rc == SQLITE_ROW) rc = sqlite3_step(st);
    }
    if (rc != SQLITE_DONE) status = db_fail(w->db, "writing the index", w->err);
    sqlite3_reset(st);
    return status;
}

static void bind_bytes(struct writer *w, enum writer_statement which, int at, const void *p, size_t n)
{
    sqlite3_bind_blob64(w->st[which], at, n ? p : "", n, SQLITE_STATIC);
}

static void bind_text(struct writer *w, enum writer_statement which, int at, const char *s)
{
    sqlite3_bind_text(w->st[which], at, s ? s : "", -1, SQLITE_STATIC);
}

static void bind_int(struct writer *w, enum writer_statement which, int at, int64_t v)
{
    sqlite3_bind_int64(w->st[which], at, v);
}

/* The row of the folder `path[0..len)`, made with its parents where missing. */
static enum status folder_row(struct writer *w, const char *path, size_t len, int64_t *out)
{
    if (w->folder_id >= 0 && strlen(w->folder) == len && memcmp(w->folder, path, len) == 0) {
        *out = w->folder_id;
        return OK;
    }
    int64_t id = -1;
    bind_bytes(w, W_FIND_FOLDER, 1, path, len);
    enum status st = step(w, W_FIND_FOLDER, &id);
    if (st == OK && id < 0) {
        int64_t parent = 0;
        size_t up = len;
        while (up > 0 && path[up - 1] != '/') up--;
        if (len > 0) st = folder_row(w, path, up > 0 ? up - 1 : 0, &parent);
        if (st) return st;
        bind_bytes(w, W_ADD_FOLDER, 1, path, len);
        bind_int(w, W_ADD_FOLDER, 2, parent);
        st = step(w, W_ADD_FOLDER, NULL);
        id = sqlite3_last_insert_rowid(w->db->sql);
    }
    *out = id;
    if (st == OK && len < sizeof w->folder) {
        memcpy(w->folder, path, len);
        w->folder[len] = 0;
        w->folder_id = id;
    }
    return st;
}

/* The hashes from this folder up hold no longer. */
static enum status stale_folder(struct writer *w, int64_t id)
{
    enum status st = OK;
    while (st == OK && id > 0) {
        int64_t parent = 0;
        bind_int(w, W_STALE_FOLDER, 1, id);
        st = step(w, W_STALE_FOLDER, &parent);
        id = parent;
    }
    return st;
}

static enum status put_words(struct writer *w)
{
    enum status st = OK;
    const char *word;
    while (st == OK && (word = words_take(w->db->words))) {
        bind_text(w, W_ADD_WORD, 1, word);
        st = step(w, W_ADD_WORD, NULL);
        if (st || sqlite3_changes(w->db->sql) == 0) continue;
        bind_int(w, W_ADD_PIECE, 1, sqlite3_last_insert_rowid(w->db->sql));
        bind_text(w, W_ADD_PIECE, 2, word);
        st = step(w, W_ADD_PIECE, NULL);
    }
    return st;
}

enum status writer_commit(struct writer *w)
{
    if (!w->open) return OK;
    enum status st = put_words(w);
    if (st == OK) st = db_exec(w->db, "COMMIT", w->err);
    if (st == OK) w->open = false;
    return st;
}

static enum status put_chunk(struct writer *w, const struct parsed *p, size_t i, int64_t *id)
{
    const struct syntax_chunk *c = &p->facts->chunks[i];
    const char *text = p->text.data + c->begin;
    size_t n = c->end - c->begin;
    bind_bytes(w, W_ADD_CHUNK, 1, p->chunk_hashes[i], SHA256_BYTES);
    bind_int(w, W_ADD_CHUNK, 2, c->kind);
    bind_text(w, W_ADD_CHUNK, 3, c->name);
    bind_text(w, W_ADD_CHUNK, 4, c->scope);
    bind_bytes(w, W_ADD_CHUNK, 5, text, n);
    enum status st = step(w, W_ADD_CHUNK, NULL);
    if (st) return st;
    if (sqlite3_changes(w->db->sql) == 0) {
        w->counts->chunks_reused++;
        bind_bytes(w, W_FIND_CHUNK, 1, p->chunk_hashes[i], SHA256_BYTES);
        return step(w, W_FIND_CHUNK, id);
    }
    w->counts->chunks_new++;
    *id = sqlite3_last_insert_rowid(w->db->sql);
    bind_int(w, W_ADD_FTS, 1, *id);
    bind_text(w, W_ADD_FTS, 2, c->name);
    bind_text(w, W_ADD_FTS, 3, c->scope);
    sqlite3_bind_text(w->st[W_ADD_FTS], 4, text, (int)n, SQLITE_STATIC);
    w->pending += n;
    return step(w, W_ADD_FTS, NULL);
}

static enum status put_facts(struct writer *w, int64_t file, const struct parsed *p)
{
    enum status st = OK;
    for (size_t i = 0; i < p->facts->n_chunks && st == OK; i++) {
        int64_t chunk = 0;
        st = put_chunk(w, p, i, &chunk);
        if (st) break;
        bind_int(w, W_ADD_PLACE, 1, file);
        bind_int(w, W_ADD_PLACE, 2, (int64_t)i);
        bind_int(w, W_ADD_PLACE, 3, chunk);
        bind_int(w, W_ADD_PLACE, 4, p->facts->chunks[i].begin_line);
        bind_int(w, W_ADD_PLACE, 5, p->facts->chunks[i].end_line);
        st = step(w, W_ADD_PLACE, NULL);
    }
    for (size_t i = 0; i < p->facts->n_definitions && st == OK; i++) {
        const struct syntax_definition *d = &p->facts->definitions[i];
        bind_int(w, W_ADD_DEFINITION, 1, file);
        bind_int(w, W_ADD_DEFINITION, 2, (int64_t)i);
        bind_text(w, W_ADD_DEFINITION, 3, d->name);
        bind_int(w, W_ADD_DEFINITION, 4, d->kind);
        bind_text(w, W_ADD_DEFINITION, 5, d->scope);
        bind_text(w, W_ADD_DEFINITION, 6, d->signature);
        bind_int(w, W_ADD_DEFINITION, 7, d->line);
        bind_int(w, W_ADD_DEFINITION, 8, d->end_line);
        bind_int(w, W_ADD_DEFINITION, 9, d->column);
        st = step(w, W_ADD_DEFINITION, NULL);
    }
    return st;
}

static enum status drop_facts(struct writer *w, int64_t file)
{
    bind_int(w, W_DROP_PLACES, 1, file);
    enum status st = step(w, W_DROP_PLACES, NULL);
    if (st == OK) w->loose += (uint64_t)sqlite3_changes(w->db->sql);
    bind_int(w, W_DROP_DEFINITIONS, 1, file);
    return st ? st : step(w, W_DROP_DEFINITIONS, NULL);
}

static enum status find_file(struct writer *w, const char *path, int64_t *id, int64_t *folder)
{
    sqlite3_stmt *st = w->st[W_FIND_FILE];
    bind_bytes(w, W_FIND_FILE, 1, path, strlen(path));
    *id = 0;
    int rc = sqlite3_step(st);
    enum status status = OK;
    if (rc == SQLITE_ROW) {
        *id = sqlite3_column_int64(st, 0);
        *folder = sqlite3_column_int64(st, 1);
    } else if (rc != SQLITE_DONE) {
        status = db_fail(w->db, "writing the index", w->err);
    }
    sqlite3_reset(st);
    return status;
}

static void bind_stat(struct writer *w, enum writer_statement which, int64_t id, const struct parse_stat *s)
{
    bind_int(w, which, 1, id);
    bind_int(w, which, 2, s->size);
    bind_int(w, which, 3, s->mtime_ns);
    bind_int(w, which, 4, s->ctime_ns);
    bind_int(w, which, 5, (int64_t)s->inode);
}

enum status writer_put(struct writer *w, const char *path, struct parsed *p)
{
    int64_t id, folder = 0;
    const char *slash = strrchr(path, '/');
    enum status st = begin(w);
    if (st == OK) st = find_file(w, path, &id, &folder);
    if (st) return st;
    if (p->result == PARSE_SAME && id) {
        bind_stat(w, W_SET_STAT, id, &p->stat);
        return step(w, W_SET_STAT, NULL);
    }
    if (id) {
        st = drop_facts(w, id);
    } else {
        st = folder_row(w, path, slash ? (size_t)(slash - path) : 0, &folder);
        if (st) return st;
        bind_bytes(w, W_ADD_FILE, 1, path, strlen(path));
        bind_int(w, W_ADD_FILE, 2, folder);
        st = step(w, W_ADD_FILE, NULL);
        id = sqlite3_last_insert_rowid(w->db->sql);
    }
    if (st) return st;
    const struct syntax_language *l = p->facts ? p->facts->language : NULL;
    bind_stat(w, W_SET_FILE, id, &p->stat);
    bind_bytes(w, W_SET_FILE, 6, p->hash, SHA256_BYTES);
    bind_text(w, W_SET_FILE, 7, l ? syntax_language_name(l) : "");
    bind_bytes(w, W_SET_FILE, 8, p->refs.data, p->refs.len);
    st = step(w, W_SET_FILE, NULL);
    if (st == OK && p->facts) st = put_facts(w, id, p);
    if (st == OK) st = stale_folder(w, folder);
    if (st == OK && (w->pending > COMMIT_BYTES || clock_now() - w->since > commit_seconds)) st = writer_commit(w);
    w->counts->written++;
    w->counts->binary += p->result == PARSE_BINARY;
    return st;
}

enum status writer_drop(struct writer *w, const char *path)
{
    int64_t id, folder = 0;
    enum status st = begin(w);
    if (st == OK) st = find_file(w, path, &id, &folder);
    if (st || !id) return st;
    st = drop_facts(w, id);
    bind_int(w, W_DROP_FILE, 1, id);
    if (st == OK) st = step(w, W_DROP_FILE, NULL);
    if (st == OK) st = stale_folder(w, folder);
    w->counts->removed++;
    return st;
}

/* ---- the end of a run ------------------------------------------------------------------------- */

/* Adds kind, name and hash of each row to the sum; *n counts. */
static enum status add_entries(struct writer *w, const char *query, int64_t folder, char kind, struct sha256 *sum,
                               size_t *n)
{
    sqlite3_stmt *st;
    enum status status = db_prepare(w->db, query, &st, w->err);
    if (status) return status;
    sqlite3_bind_int64(st, 1, folder);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *path = sqlite3_column_blob(st, 0);
        size_t len = (size_t)sqlite3_column_bytes(st, 0), at = len;
        while (at > 0 && path[at - 1] != '/') at--;
        sha256_update(sum, &kind, 1);
        sha256_update(sum, path + at, len - at);
        sha256_update(sum, "", 1);
        sha256_update(sum, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));
        ++*n;
    }
    if (rc != SQLITE_DONE) status = db_fail(w->db, "hashing folders", w->err);
    sqlite3_finalize(st);
    return status;
}

static enum status hash_folder(struct writer *w, int64_t id, bool top)
{
    struct sha256 sum;
    uint8_t hash[SHA256_BYTES];
    size_t n = 0;
    sqlite3_stmt *set;
    if (sha256_init(&sum)) return error_set(w->err, ERR_NOMEM, "out of memory");
    enum status st =
        add_entries(w, "SELECT path, hash FROM files WHERE folder = ?1 ORDER BY path", id, 'f', &sum, &n);
    if (st == OK) st = add_entries(w, "SELECT path, hash FROM folders WHERE parent = ?1 ORDER BY path", id, 'd', &sum, &n);
    if (st) {
        sha256_fini(&sum);
        return st;
    }
    if (sha256_final(&sum, hash)) return error_set(w->err, ERR_NOMEM, "out of memory");
    st = db_prepare(w->db, n || top ? "UPDATE folders SET hash = ?2 WHERE id = ?1" : "DELETE FROM folders WHERE id = ?1",
                    &set, w->err);
    if (st) return st;
    sqlite3_bind_int64(set, 1, id);
    if (n || top) sqlite3_bind_blob(set, 2, hash, SHA256_BYTES, SQLITE_STATIC);
    if (sqlite3_step(set) != SQLITE_DONE) st = db_fail(w->db, "hashing folders", w->err);
    sqlite3_finalize(set);
    return st;
}

/* Longest paths first: a folder's own folders have their hashes by then. */
static enum status hash_folders(struct writer *w)
{
    for (;;) {
        sqlite3_stmt *st;
        enum { SOME = 512 };
        struct {
            int64_t id;
            bool top;
        } some[SOME];
        size_t n = 0;
        enum status status = db_prepare(
            w->db, "SELECT id, length(path) = 0 FROM folders WHERE hash IS NULL ORDER BY length(path) DESC LIMIT 512",
            &st, w->err);
        if (status) return status;
        int rc;
        while ((rc = sqlite3_step(st)) == SQLITE_ROW && n < SOME) {
            some[n].id = sqlite3_column_int64(st, 0);
            some[n++].top = sqlite3_column_int(st, 1);
        }
        if (rc != SQLITE_DONE && rc != SQLITE_ROW) status = db_fail(w->db, "hashing folders", w->err);
        sqlite3_finalize(st);
        for (size_t i = 0; i < n && status == OK; i++) status = hash_folder(w, some[i].id, some[i].top);
        if (status || n == 0) return status;
    }
}

/* Chunks without a place stay for the branch to come back, until they are as many as a third of all. */
static enum status collect(struct writer *w)
{
    enum { MANY = 20000 };
    int64_t loose = 0, all = 0;
    char text[128];
    enum status st = db_number(w->db, "SELECT value FROM meta WHERE key = 'loose'", &loose, w->err);
    loose += (int64_t)w->loose;
    if (st == OK && loose > MANY) st = db_number(w->db, "SELECT count(*) FROM places", &all, w->err);
    if (st) return st;
    if (loose > MANY && loose > all / 2) {
        loose = 0;
        st = db_exec(w->db,
                     "CREATE TEMP TABLE loose AS SELECT id FROM chunks WHERE id NOT IN (SELECT chunk FROM places)"
                     /* Those of a store elsewhere stay until it was told (store_marks.h). */
                     " AND id NOT IN (SELECT chunk FROM vectors WHERE length(q) = 0);"
                     "INSERT INTO fts(fts, rowid, name, text) SELECT 'delete', c.id, c.name || ' ' || c.scope,"
                     " CAST(c.text AS TEXT) FROM chunks c JOIN loose USING (id);"
                     "DELETE FROM vectors WHERE chunk IN (SELECT id FROM loose);"
                     "DELETE FROM vectors_exact WHERE chunk IN (SELECT id FROM loose);"
                     "DELETE FROM chunks WHERE id IN (SELECT id FROM loose);"
                     "DROP TABLE loose",
                     w->err);
    }
    w->loose = 0;
    sqlite3_snprintf(sizeof text, text, "INSERT OR REPLACE INTO meta VALUES('loose', %lld)", (long long)loose);
    return st ? st : db_exec(w->db, text, w->err);
}

enum status writer_bulk(struct writer *w, bool on)
{
    /* A segment of the full text for each commit, and large ones. */
    return db_exec(w->db,
                   on ? "INSERT INTO fts(fts, rank) VALUES('crisismerge', 1000);"
                        "INSERT INTO pieces(pieces, rank) VALUES('crisismerge', 1000);"
                        "INSERT INTO fts(fts, rank) VALUES('hashsize', 67108864);"
                        "INSERT INTO pieces(pieces, rank) VALUES('hashsize', 16777216)"
                      : TIDY_CONFIG
                        "INSERT INTO fts(fts, rank) VALUES('hashsize', 4194304);"
                        "INSERT INTO pieces(pieces, rank) VALUES('hashsize', 1048576)",
                   w->err);
}

enum status writer_tidy(struct writer *w, bool all, const volatile int *cancel)
{
    enum { ENOUGH_SECONDS = 600 };
    static const double brief_seconds = 0.2;
    bool done;
    enum status st = tidy_merge(w->db, all, all ? ENOUGH_SECONDS : brief_seconds, cancel, &done, w->err);
    /* Now, and not when the next save is waited for. */
    return st ? st : db_exec(w->db, "PRAGMA wal_checkpoint(PASSIVE)", w->err);
}

enum status writer_finish(struct writer *w)
{
    enum status st = OK;
    if (w->counts->written || w->counts->removed || w->open) {
        st = begin(w);
        if (st == OK) st = hash_folders(w);
        if (st == OK) st = collect(w);
        if (st == OK)
            st = db_exec(w->db, "INSERT OR REPLACE INTO meta VALUES('updated', CAST((julianday('now') - 2440587.5)"
                                " * 86400000 AS INTEGER) * 1000000)",
                         w->err);
        if (st == OK) st = writer_commit(w);
    }
    int64_t n = 0;
    if (st == OK) st = db_number(w->db, "SELECT count(*) FROM files", &n, w->err);
    w->counts->files = (uint64_t)n;
    return st;
}
