#include "index/known.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash(const char *p)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *p; p++) h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    return h ^ h >> 32;
}

static void put(struct known *k, size_t at)
{
    size_t i = hash(k->list[at].path) & (k->table_cap - 1);
    while (k->table[i]) i = (i + 1) & (k->table_cap - 1);
    k->table[i] = (uint32_t)at + 1;
}

static enum status grow(struct known *k)
{
    if (k->n >= KNOWN_MAX_FILES) return ERR_LIMIT;
    if (k->n == k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 256;
        struct known_file *more = realloc(k->list, cap * sizeof *more);
        if (!more) return ERR_NOMEM;
        k->list = more;
        k->cap = cap;
    }
    if (2 * (k->n + 1) > k->table_cap) {
        size_t cap = k->table_cap ? 2 * k->table_cap : 1024;
        uint32_t *table = calloc(cap, sizeof *table);
        if (!table) return ERR_NOMEM;
        free(k->table);
        k->table = table;
        k->table_cap = cap;
        for (size_t i = 0; i < k->n; i++) put(k, i);
    }
    return OK;
}

enum status known_get(struct known *k, const char *path, size_t *at)
{
    for (size_t i = k->table_cap ? hash(path) & (k->table_cap - 1) : 0; k->table_cap && k->table[i];
         i = (i + 1) & (k->table_cap - 1)) {
        *at = k->table[i] - 1;
        if (strcmp(k->list[*at].path, path) == 0) return OK;
    }
    enum status st = grow(k);
    if (st) return st;
    *at = k->n;
    k->list[k->n] = (struct known_file){.path = strdup(path)};
    if (!k->list[k->n].path) return ERR_NOMEM;
    put(k, k->n++);
    return OK;
}

enum status known_see(struct known *k, const char *path, const struct parse_stat *s)
{
    size_t at;
    enum status st = known_get(k, path, &at);
    if (st) return st;
    struct known_file *f = &k->list[at];
    f->seen = true;
    f->changed = !f->indexed || f->stat.size != s->size || f->stat.mtime_ns != s->mtime_ns ||
                 f->stat.ctime_ns != s->ctime_ns || f->stat.inode != s->inode;
    return OK;
}

enum status known_load(struct known *k, const struct db *db, struct error *err)
{
    sqlite3_stmt *st;
    enum status status = db_prepare(db, "SELECT path, size, mtime, ctime, inode, hash FROM files", &st, err);
    if (status) return status;
    int rc;
    while (status == OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        char path[8192];
        size_t n = (size_t)sqlite3_column_bytes(st, 0), at;
        const void *bytes = sqlite3_column_blob(st, 0);
        if (n >= sizeof path) continue;
        memcpy(path, bytes, n);
        path[n] = 0;
        status = known_get(k, path, &at);
        if (status) {
            error_set(err, status, "out of memory for the files of the index");
            break;
        }
        struct known_file *f = &k->list[at];
        f->indexed = true;
        f->stat = (struct parse_stat){.size = sqlite3_column_int64(st, 1),
                                      .mtime_ns = sqlite3_column_int64(st, 2),
                                      .ctime_ns = sqlite3_column_int64(st, 3),
                                      .inode = (uint64_t)sqlite3_column_int64(st, 4)};
        if (sqlite3_column_bytes(st, 5) == SHA256_BYTES)
            memcpy(f->hash, sqlite3_column_blob(st, 5), SHA256_BYTES);
    }
    if (status == OK && rc != SQLITE_DONE) status = db_fail(db, "reading the index", err);
    sqlite3_finalize(st);
    return status;
}

void known_fini(struct known *k)
{
    for (size_t i = 0; i < k->n; i++) free(k->list[i].path);
    free(k->list);
    free(k->table);
    *k = (struct known){0};
}
