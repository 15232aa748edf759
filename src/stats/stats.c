#include "stats/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "stats/stats_int.h"

enum { VERSION = 1, APPLICATION = 0x48727468 /* "Hrth" */, BUSY_MS = 2000 };

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS shown ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " at REAL NOT NULL, language TEXT NOT NULL, model TEXT NOT NULL, latency_ms REAL NOT NULL,"
    " cached INTEGER NOT NULL, chars INTEGER NOT NULL, lines INTEGER NOT NULL,"
    " accepted_chars INTEGER NOT NULL DEFAULT 0,"
    " part INTEGER," /* the largest accepted: stats_part; NULL = nothing */
    " dismissed INTEGER NOT NULL DEFAULT 0,"
    " kept INTEGER);" /* NULL = not looked at */
    "CREATE INDEX IF NOT EXISTS shown_at ON shown (at);"
    "PRAGMA application_id = 1215460456;" /* APPLICATION */
    "PRAGMA user_version = 1;"
    "COMMIT;";

enum status stats_fail(const struct stats *s, struct error *err)
{
    int code = sqlite3_errcode(s->db);
    enum status st = code == SQLITE_BUSY || code == SQLITE_LOCKED      ? ERR_BUSY
                     : code == SQLITE_NOMEM                            ? ERR_NOMEM
                     : code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? ERR_FORMAT
                                                                       : ERR_IO;
    return error_set(err, st, "%s: %s", s->path, sqlite3_errmsg(s->db));
}

static bool pragma(const struct stats *s, const char *sql, int64_t *out)
{
    sqlite3_stmt *q = NULL;
    bool good =
        sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW;
    if (good) *out = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return good;
}

static enum status prepare(struct stats *s, struct error *err)
{
    int64_t version = 0, application = 0, tables = 0;
    sqlite3_busy_timeout(s->db, BUSY_MS);
    if (!pragma(s, "PRAGMA user_version", &version) ||
        !pragma(s, "PRAGMA application_id", &application) ||
        !pragma(s, "SELECT count(*) FROM sqlite_schema", &tables))
        return stats_fail(s, err);
    if (application != APPLICATION && tables > 0)
        return error_set(err, ERR_FORMAT, "%s is a database, but not of Hearth's statistics",
                         s->path);
    if (version > VERSION)
        return error_set(err, ERR_FORMAT, "%s was written by a newer Hearth; update, or delete it",
                         s->path);
    /* Without a wait for the disk at each row: figures, not accounts. */
    if (sqlite3_exec(s->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;", NULL, NULL,
                     NULL) != SQLITE_OK ||
        (version == 0 && sqlite3_exec(s->db, schema, NULL, NULL, NULL) != SQLITE_OK))
        return stats_fail(s, err);
    return OK;
}

static enum status make_file(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash && slash > path ? strndup(path, (size_t)(slash - path)) : strdup(".");
    if (!dir) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = file_make_dirs(dir, err);
    free(dir);
    if (st) return st;
    int fd =
        open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* SQLite gives the journal this mode */
    if (fd < 0) return error_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    close(fd);
    return OK;
}

enum status stats_open(const char *path, struct stats **out, struct error *err)
{
    *out = NULL;
    struct stats *s = calloc(1, sizeof *s);
    if (s) s->path = strdup(path);
    enum status st =
        s && s->path ? make_file(path, err) : error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK && sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX,
                                    NULL) != SQLITE_OK)
        st = s->db ? stats_fail(s, err) : error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK) st = prepare(s, err);
    if (st == OK)
        *out = s;
    else
        stats_close(s);
    return st;
}

void stats_close(struct stats *s)
{
    if (!s) return;
    sqlite3_close(s->db);
    free(s->path);
    free(s);
}

static void bind_name(sqlite3_stmt *q, int at, const char *name)
{
    size_t len = name ? strnlen(name, STATS_NAME_SIZE - 1) : 0;
    sqlite3_bind_text(q, at, name ? name : "", (int)len, SQLITE_TRANSIENT);
}

enum status stats_shown(struct stats *s, const struct stats_shown *what, int64_t *id,
                        struct error *err)
{
    static const char sql[] = "INSERT INTO shown (at, language, model, latency_ms, cached, chars, "
                              "lines) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id";
    sqlite3_stmt *q = NULL;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK) return stats_fail(s, err);
    sqlite3_bind_double(q, 1,
                        what->when > 0 ? what->when : (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
    bind_name(q, 2, what->language);
    bind_name(q, 3, what->model);
    sqlite3_bind_double(q, 4, what->latency_ms);
    sqlite3_bind_int(q, 5, what->cached);
    sqlite3_bind_int64(q, 6, (sqlite3_int64)what->chars);
    sqlite3_bind_int64(q, 7, (sqlite3_int64)what->lines);
    enum status st = OK;
    if (sqlite3_step(q) == SQLITE_ROW)
        *id = sqlite3_column_int64(q, 0);
    else
        st = stats_fail(s, err);
    /* RETURNING hands out its row before the statement is done. */
    if (st == OK && sqlite3_step(q) != SQLITE_DONE) st = stats_fail(s, err);
    sqlite3_finalize(q);
    return st;
}

/* Runs an UPDATE of one row: ?1 is the id, ?2 and ?3, where it has them, the numbers. */
static enum status change(struct stats *s, const char *sql, int64_t id, int64_t a, int64_t b,
                          struct error *err)
{
    sqlite3_stmt *q = NULL;
    enum status st = OK;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK) return stats_fail(s, err);
    sqlite3_bind_int64(q, 1, id);
    int n = sqlite3_bind_parameter_count(q);
    if (n > 1) sqlite3_bind_int64(q, 2, a);
    if (n > 2) sqlite3_bind_int64(q, 3, b);
    int rc = sqlite3_step(q);
    if (rc == SQLITE_DONE)
        st = error_set(err, ERR_NOT_FOUND, "no completion %lld was shown", (long long)id);
    else if (rc != SQLITE_ROW || sqlite3_step(q) != SQLITE_DONE)
        st = stats_fail(s, err);
    sqlite3_finalize(q);
    return st;
}

enum status stats_accepted(struct stats *s, int64_t id, enum stats_part part, size_t chars,
                           struct error *err)
{
    return change(s,
                  "UPDATE shown SET part = max(coalesce(part, 0), ?2), "
                  "accepted_chars = accepted_chars + ?3, dismissed = 0 WHERE id = ?1 RETURNING id",
                  id, (int64_t)part, (int64_t)chars, err);
}

enum status stats_dismissed(struct stats *s, int64_t id, struct error *err)
{
    return change(s, "UPDATE shown SET dismissed = (part IS NULL) WHERE id = ?1 RETURNING id", id,
                  0, 0, err);
}

enum status stats_kept(struct stats *s, int64_t id, bool kept, struct error *err)
{
    return change(s, "UPDATE shown SET kept = ?2 WHERE id = ?1 RETURNING id", id, kept, 0, err);
}

enum status stats_forget(struct stats *s, struct error *err)
{
    if (sqlite3_exec(s->db, "PRAGMA secure_delete = ON; DELETE FROM shown", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(s->db, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE);", NULL, NULL, NULL) !=
            SQLITE_OK)
        return stats_fail(s, err);
    return OK;
}
