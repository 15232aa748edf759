#include "index/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "index/tokens.h"

static bool stat_current(struct index *ix, struct stat *st)
{
    char path[8192];
    return snprintf(path, sizeof path, "%s/current", ix->db.folder) < (int)sizeof path && stat(path, st) == 0;
}

enum status index_open(const char *root, const char *cache, struct index **out, struct error *err)
{
    struct stat st;
    char *folder = index_folder(cache, root);
    if (!folder) return error_set(err, ERR_NOT_FOUND, "cannot open the folder %s", root);
    struct index *ix = calloc(1, sizeof *ix);
    enum status status = ix ? db_open_reader(folder, &ix->db, err) : error_set(err, ERR_NOMEM, "out of memory");
    free(folder);
    if (status) {
        free(ix);
        return status;
    }
    if (stat_current(ix, &st)) {
        ix->current = st.st_mtim;
        ix->current_inode = st.st_ino;
    }
    store_local_init(&ix->local, &ix->db, &ix->vectors, &ix->pool);
    *out = ix;
    return OK;
}

void index_close(struct index *ix)
{
    if (!ix) return;
    vectors_fini(&ix->vectors);
    pool_destroy(ix->pool);
    db_close(&ix->db);
    free(ix);
}

enum status reader_refresh(struct index *ix, struct error *err)
{
    struct stat st;
    if (stat_current(ix, &st) && st.st_ino == ix->current_inode && st.st_mtim.tv_sec == ix->current.tv_sec &&
        st.st_mtim.tv_nsec == ix->current.tv_nsec)
        return OK;
    struct db fresh;
    bool known = stat_current(ix, &st);
    enum status status = db_open_reader(ix->db.folder, &fresh, err);
    if (status) return status;
    db_close(&ix->db);
    ix->db = fresh;
    vectors_fini(&ix->vectors);
    if (known) {
        ix->current = st.st_mtim;
        ix->current_inode = st.st_ino;
    }
    return OK;
}

static void copy_text(sqlite3_stmt *q, int i, char *out, size_t cap)
{
    const char *text = (const char *)sqlite3_column_text(q, i);
    snprintf(out, cap, "%s", text ? text : "");
}

enum status index_info_brief(struct index *ix, struct index_info *out, struct error *err)
{
    sqlite3_stmt *q;
    *out = (struct index_info){0};
    enum status st = reader_refresh(ix, err);
    if (st) return st;
    st = db_prepare(&ix->db, "SELECT (SELECT value FROM meta WHERE key = 'model'),"
                             " (SELECT value FROM meta WHERE key = 'store'),"
                             " (SELECT value FROM meta WHERE key = 'dim'), EXISTS (SELECT 1 FROM vectors)", &q, err);
    if (st) return st;
    if (sqlite3_step(q) == SQLITE_ROW) {
        copy_text(q, 0, out->model, sizeof out->model);
        copy_text(q, 1, out->store, sizeof out->store);
        out->dim = (size_t)sqlite3_column_int64(q, 2);
        out->vectors = (uint64_t)sqlite3_column_int64(q, 3);
    } else {
        st = db_fail(&ix->db, "reading the index", err);
    }
    sqlite3_finalize(q);
    return st;
}

enum status index_info(struct index *ix, struct index_info *out, struct error *err)
{
    enum status st = index_info_brief(ix, out, err);
    int64_t n[4] = {0};
    static const char *const counts[] = {
        "SELECT count(*) FROM files",
        "SELECT count(DISTINCT chunk) FROM places",
        "SELECT count(*) FROM vectors v WHERE EXISTS (SELECT 1 FROM places p WHERE p.chunk = v.chunk)",
        "SELECT count(*) FROM definitions",
    };
    for (int i = 0; i < 4 && st == OK; i++) st = db_number(&ix->db, counts[i], &n[i], err);
    if (st == OK) st = db_number(&ix->db, "SELECT value FROM meta WHERE key = 'updated'", &out->updated_ns, err);
    sqlite3_stmt *q;
    if (st == OK) st = db_prepare(&ix->db, "SELECT (SELECT hash FROM folders WHERE length(path) = 0)", &q, err);
    if (st) return st;
    if (sqlite3_step(q) != SQLITE_ROW) st = db_fail(&ix->db, "reading the index", err);
    else if (sqlite3_column_bytes(q, 0) == 32) memcpy(out->tree, sqlite3_column_blob(q, 0), 32);
    sqlite3_finalize(q);
    out->files = (uint64_t)n[0];
    out->chunks = (uint64_t)n[1];
    out->vectors = (uint64_t)n[2];
    out->definitions = (uint64_t)n[3];
    return st;
}

struct match {
    struct buf *out;
    const char *join;
    bool whole;
    enum status st;
};

static int add_token(void *ctx, bool part, const char *token, size_t n, size_t begin, size_t end)
{
    struct match *m = ctx;
    (void)begin;
    (void)end;
    if (m->whole && part) return 0;
    m->st = buf_printf(m->out, "%s\"%.*s\"", m->out->len ? m->join : "", (int)n, token);
    return m->st != OK;
}

enum status reader_match(const char *text, size_t len, bool whole, const char *join, struct buf *out)
{
    struct match m = {out, join, whole, OK};
    tokens_of(text, len, add_token, &m);
    return m.st;
}
