#include "index/db.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "index/tidy.h"
#include "index/words.h"

/* `places` is what joins files to chunks; a chunk without a place is kept for a while, because branches
 * come back. `refs` holds a file's references and imports in one piece (facts.h): they are looked up
 * through the full text. */
static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE folders(id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, parent INTEGER, hash BLOB);"
    "CREATE INDEX folders_parent ON folders(parent);"
    "CREATE TABLE files(id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, folder INTEGER NOT NULL,"
    " size INTEGER, mtime INTEGER, ctime INTEGER, inode INTEGER, hash BLOB, language TEXT, refs BLOB);"
    "CREATE INDEX files_folder ON files(folder);"
    "CREATE TABLE chunks(id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE, kind INTEGER,"
    " name TEXT, scope TEXT, text BLOB);"
    "CREATE TABLE places(file INTEGER, seq INTEGER, chunk INTEGER, line INTEGER, end_line INTEGER,"
    " PRIMARY KEY(file, seq)) WITHOUT ROWID;"
    "CREATE INDEX places_chunk ON places(chunk);"
    "CREATE TABLE definitions(file INTEGER, seq INTEGER, name TEXT, kind INTEGER, scope TEXT, signature TEXT,"
    " line INTEGER, end_line INTEGER, col INTEGER, PRIMARY KEY(file, seq)) WITHOUT ROWID;"
    "CREATE INDEX definitions_name ON definitions(name);"
    "CREATE TABLE vectors(id INTEGER PRIMARY KEY AUTOINCREMENT, chunk INTEGER NOT NULL UNIQUE, q BLOB);"
    "CREATE TABLE vectors_exact(chunk INTEGER PRIMARY KEY, f BLOB);"
    "CREATE VIRTUAL TABLE fts USING fts5(name, text, content='', tokenize='hearth');"
    "CREATE TABLE words(id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);"
    "CREATE VIRTUAL TABLE pieces USING fts5(word, content='words', content_rowid='id', tokenize='trigram',"
    " detail=none);";

bool db_is_damage(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB || rc == SQLITE_IOERR_DATA ||
           rc == SQLITE_IOERR_SHORT_READ || rc == SQLITE_CANTOPEN;
}

static char *path_in(const struct db *d, const char *name)
{
    char *p = NULL;
    return asprintf(&p, "%s/%s", d->folder, name) < 0 ? NULL : p;
}

static bool file_in(const struct db *d, const char *name)
{
    char *p = path_in(d, name);
    bool there = p && file_exists(p);
    free(p);
    return there;
}

static void mark_damaged(const struct db *d)
{
    char *p = path_in(d, "damaged");
    int fd = p ? open(p, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) close(fd);
    free(p);
}

enum status db_fail(const struct db *d, const char *what, struct error *err)
{
    int rc = d->sql ? sqlite3_extended_errcode(d->sql) : SQLITE_NOMEM;
    const char *text = d->sql ? sqlite3_errmsg(d->sql) : "out of memory";
    if (db_is_damage(rc)) {
        mark_damaged(d);
        return error_set(err, ERR_INTEGRITY, "the index in %s is damaged (%s: %s); `hearth index` rebuilds it",
                         d->folder, what, text);
    }
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return error_set(err, ERR_NOMEM, "out of memory: %s", what);
    case SQLITE_INTERRUPT: return error_set(err, ERR_CANCELLED, "stopped: %s", what);
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return error_set(err, ERR_BUSY, "the index in %s is in use: %s", d->folder, what);
    case SQLITE_FULL:
        return error_set(err, ERR_IO, "no space left for the index in %s; free some or set HEARTH_HOME", d->folder);
    default:
        return error_set(err, ERR_IO, "%s: %s (index in %s; is the disk full?)", what, text, d->folder);
    }
}

enum status db_prepare(const struct db *d, const char *text, sqlite3_stmt **st, struct error *err)
{
    *st = NULL;
    if (sqlite3_prepare_v3(d->sql, text, -1, SQLITE_PREPARE_PERSISTENT, st, NULL) == SQLITE_OK) return OK;
    return db_fail(d, "reading the index", err);
}

enum status db_exec(const struct db *d, const char *text, struct error *err)
{
    if (sqlite3_exec(d->sql, text, NULL, NULL, NULL) == SQLITE_OK) return OK;
    return db_fail(d, "changing the index", err);
}

enum status db_number(const struct db *d, const char *text, int64_t *out, struct error *err)
{
    sqlite3_stmt *st;
    enum status status = db_prepare(d, text, &st, err);
    *out = 0;
    if (status) return status;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int64(st, 0);
    else if (rc != SQLITE_DONE) status = db_fail(d, "reading the index", err);
    sqlite3_finalize(st);
    return status;
}

void db_close(struct db *d)
{
    sqlite3_close(d->sql);
    words_destroy(d->words);
    if (d->lock >= 0 && d->folder) close(d->lock);
    free(d->folder);
    *d = (struct db){.lock = -1};
}

void db_close_soon(struct db *d)
{
    enum { SHORT_LOG = 4 << 20 };
    char log[sizeof d->name + 4];
    struct stat st;
    snprintf(log, sizeof log, "%s-wal", d->name);
    char *p = d->sql ? path_in(d, log) : NULL;
    if (p && stat(p, &st) == 0 && st.st_size < SHORT_LOG)
        sqlite3_db_config(d->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    free(p);
    db_close(d);
}

/* The name in `current`; ERR_NOT_FOUND without one, ERR_INTEGRITY for something else. */
static enum status read_current(struct db *d, struct error *err)
{
    char *p = path_in(d, "current");
    struct buf b;
    buf_init(&b, sizeof d->name - 1);
    enum status st = p ? OK : ERR_NOMEM;
    if (st == OK && !file_exists(p)) st = ERR_NOT_FOUND;
    if (st == OK) st = file_read_all(p, &b, err);
    unsigned n = 0;
    char rest;
    if (st == OK) {
        memcpy(d->name, b.data ? b.data : "", b.len);
        d->name[b.len] = 0;
        if (sscanf(d->name, "g%u.db%c", &n, &rest) != 1) st = ERR_INTEGRITY;
    } else if (st != ERR_NOT_FOUND && st != ERR_NOMEM) {
        st = ERR_INTEGRITY;
    }
    buf_fini(&b);
    free(p);
    if (st == ERR_NOT_FOUND)
        return error_set(err, st, "there is no index of this folder yet; run `hearth index` in it first");
    if (st == ERR_INTEGRITY)
        return error_set(err, st, "the index in %s is damaged; `hearth index` rebuilds it", d->folder);
    return st;
}

enum status db_is_there(const char *folder, struct error *err)
{
    struct db d = {.folder = (char *)folder, .lock = -1};
    enum status st = read_current(&d, err);
    return st == ERR_INTEGRITY ? OK : st;
}

/* A cut-off file shows here and not as pages that are missing. While a log is being copied into the file
 * its first page may be ahead of its size. Through SQLite's own descriptor: closing another one would drop
 * this process's locks on the file (sqlite.org/howtocorrupt.html, 2.2). */
static bool size_fits(sqlite3 *sql, const char *path)
{
    unsigned char h[100];
    struct stat st;
    char log[PATH_MAX];
    sqlite3_file *f = NULL;
    sqlite3_int64 size = 0;
    if (snprintf(log, sizeof log, "%s-wal", path) >= (int)sizeof log) return false;
    if (sqlite3_file_control(sql, "main", SQLITE_FCNTL_FILE_POINTER, &f) != SQLITE_OK || !f || !f->pMethods ||
        f->pMethods->xRead(f, h, sizeof h, 0) != SQLITE_OK || f->pMethods->xFileSize(f, &size) != SQLITE_OK ||
        memcmp(h, "SQLite format 3", 16) != 0)
        return false;
    int64_t pages = (int64_t)h[28] << 24 | (int64_t)h[29] << 16 | (int64_t)h[30] << 8 | h[31];
    if ((h[16] << 8 | h[17]) != DB_PAGE_BYTES || h[20] != 8) return false;
    return size >= pages * DB_PAGE_BYTES || (stat(log, &st) == 0 && st.st_size > 0);
}

static enum status open_file(struct db *d, int flags, struct error *err)
{
    char *p = path_in(d, d->name);
    const char *vfs = db_vfs();
    if (!p || !vfs) {
        free(p);
        return error_set(err, ERR_NOMEM, "out of memory for the index in %s", d->folder);
    }
    enum status st = OK;
    if (sqlite3_open_v2(p, &d->sql, flags | SQLITE_OPEN_NOMUTEX, vfs) != SQLITE_OK)
        st = db_fail(d, "opening the index", err);
    else if (!(flags & SQLITE_OPEN_CREATE) && !size_fits(d->sql, p)) {
        mark_damaged(d);
        st = error_set(err, ERR_INTEGRITY, "the index in %s is damaged; `hearth index` rebuilds it", d->folder);
    }
    free(p);
    if (st) return st;
    sqlite3_extended_result_codes(d->sql, 1);
    sqlite3_busy_timeout(d->sql, 5000);
    /* A database from elsewhere could bring triggers and views; ours has none. */
    sqlite3_db_config(d->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(d->sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (db_add_tokenizer(d->sql, d->words) != SQLITE_OK) return db_fail(d, "opening the index", err);
    return OK;
}

static enum status check_version(struct db *d, struct error *err)
{
    int64_t version = 0, complete = 0;
    enum status st = db_number(d, "PRAGMA user_version", &version, err);
    if (st == OK && version == DB_VERSION)
        st = db_number(d, "SELECT count(*) FROM meta WHERE key = 'root'", &complete, err);
    if (st == OK && !complete)
        st = error_set(err, ERR_INTEGRITY, "the index in %s is of another version; run `hearth index`", d->folder);
    return st;
}

static enum status start(const char *folder, struct db *out, struct error *err)
{
    *out = (struct db){.lock = -1};
    out->folder = strdup(folder);
    return out->folder ? OK : error_set(err, ERR_NOMEM, "out of memory for the index in %s", folder);
}

enum status db_open_reader(const char *folder, struct db *out, struct error *err)
{
    enum status st = start(folder, out, err);
    /* Once more where a writer changed generations between the two steps. */
    for (int i = 0; st == OK && i < 3; i++) {
        st = read_current(out, err);
        if (st) break;
        char name[sizeof out->name];
        memcpy(name, out->name, sizeof name);
        st = open_file(out, SQLITE_OPEN_READWRITE, err);
        if (st == OK) st = db_exec(out, "PRAGMA query_only=1; PRAGMA cache_size=-16000", err);
        if (st == OK) st = check_version(out, err);
        if (st == OK || i == 2) break;
        if (read_current(out, NULL) || strcmp(name, out->name) == 0) break;
        sqlite3_close(out->sql);
        out->sql = NULL;
        st = OK;
    }
    if (st) db_close(out);
    return st;
}

static void remove_generation(const struct db *d, const char *name)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        char full[64];
        snprintf(full, sizeof full, "%.31s%s", name, ends[i]);
        char *p = path_in(d, full);
        if (p) unlink(p);
        free(p);
    }
}

static enum status tune_writer(struct db *d, struct error *err)
{
    return db_exec(d, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536;"
                      "PRAGMA wal_autocheckpoint=8000; PRAGMA journal_size_limit=67108864; PRAGMA temp_store=MEMORY",
                   err);
}

/* Makes and opens an empty generation; the old one's name is in d->before. */
static enum status make_generation(struct db *d, struct error *err)
{
    unsigned n = 0;
    if (!*d->before) memcpy(d->before, d->name, sizeof d->name);
    sscanf(d->name, "g%u.db", &n);
    sqlite3_close(d->sql);
    d->sql = NULL;
    words_forget(d->words);
    snprintf(d->name, sizeof d->name, "g%u.db", n % 1000000 + 1);
    remove_generation(d, d->name);
    enum status st = open_file(d, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (st == OK) {
        char text[64];
        int reserve = 8;
        snprintf(text, sizeof text, "PRAGMA page_size=%d", DB_PAGE_BYTES);
        st = db_exec(d, text, err);
        if (st == OK && sqlite3_file_control(d->sql, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve) != SQLITE_OK)
            st = db_fail(d, "making the index", err);
        snprintf(text, sizeof text, "PRAGMA user_version=%d", DB_VERSION);
        if (st == OK) st = tune_writer(d, err);
        if (st == OK) st = db_exec(d, "BEGIN IMMEDIATE", err);
        if (st == OK) st = db_exec(d, schema, err);
        if (st == OK) st = db_exec(d, TIDY_CONFIG, err);
        if (st == OK) st = db_exec(d, "INSERT INTO meta VALUES('root', 1)", err);
        if (st == OK) st = db_exec(d, text, err);
        if (st == OK) st = db_exec(d, "COMMIT; PRAGMA wal_checkpoint(PASSIVE)", err);
    }
    return st;
}

enum status db_publish(struct db *d, struct error *err)
{
    if (!*d->before && file_in(d, "current")) return OK;
    char *p = path_in(d, "current");
    enum status st = p ? file_replace(p, d->name, strlen(d->name), err) : error_set(err, ERR_NOMEM, "out of memory");
    free(p);
    if (st) return st;
    if (*d->before && strcmp(d->before, d->name) != 0) remove_generation(d, d->before);
    d->before[0] = 0;
    p = path_in(d, "damaged");
    if (p) unlink(p);
    free(p);
    return OK;
}

enum status db_renew(struct db *d, struct error *err)
{
    enum status st = make_generation(d, err);
    return st ? st : db_publish(d, err);
}

static enum status take_lock(struct db *d, struct error *err)
{
    enum status st = file_make_dirs(d->folder, err);
    char *p = st == OK ? path_in(d, "lock") : NULL;
    if (st) return st;
    d->lock = p ? open(p, O_CREAT | O_RDWR | O_CLOEXEC, 0600) : -1;
    if (d->lock < 0) st = error_set(err, ERR_IO, "cannot make %s/lock: %s", d->folder, strerror(errno));
    else if (flock(d->lock, LOCK_EX | LOCK_NB) != 0)
        st = error_set(err, ERR_BUSY, "this folder is being indexed already; wait for it or stop it");
    free(p);
    return st;
}

/* Opens the generation in use, with the lock held. Where there is a reason to make another one, it is the
 * answer: ERR_NOT_FOUND, ERR_INTEGRITY. */
static enum status open_current(struct db *d, struct error *err)
{
    enum status st = read_current(d, err);
    if (st) {
        d->name[0] = 0;
        return st;
    }
    if (file_in(d, "damaged"))
        return error_set(err, ERR_INTEGRITY, "the index in %s is damaged; `hearth index` rebuilds it", d->folder);
    st = open_file(d, SQLITE_OPEN_READWRITE, err);
    if (st == OK) st = check_version(d, err);
    return st ? st : tune_writer(d, err);
}

static enum status start_writer(const char *folder, struct db *out, struct error *err)
{
    enum status st = start(folder, out, err);
    if (st == OK && !(out->words = words_create())) st = error_set(err, ERR_NOMEM, "out of memory");
    return st ? st : take_lock(out, err);
}

enum status db_open_sound(const char *folder, struct db *out, struct error *err)
{
    enum status st = start_writer(folder, out, err);
    if (st == OK) st = open_current(out, err);
    if (st) db_close(out);
    return st;
}

enum status db_open_writer(const char *folder, bool fresh, struct db *out, bool *rebuilt, struct error *err)
{
    struct error why = {0};
    enum status st = start_writer(folder, out, err);
    *rebuilt = false;
    if (st == OK) {
        enum status found = open_current(out, &why);
        *rebuilt = found ? found != ERR_NOT_FOUND : fresh;
        if (found == OK && fresh) st = make_generation(out, err);
        else if (found == ERR_INTEGRITY || found == ERR_NOT_FOUND) st = db_renew(out, err);
        else if (found) st = error_set(err, found, "%s", why.msg);
    }
    if (st) db_close(out);
    return st;
}
