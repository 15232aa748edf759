/* Where a name is defined, and where it is used. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "index/reader.h"
#include "index/refs.h"

enum { MAX_SYMBOLS = 100000, MAX_STRINGS = 64 << 20 };

/* Strings are offsets into `strings` until all are there. */
struct collect {
    struct buf strings;
    struct index_symbol *list;
    size_t n, cap, limit;
    bool more;
};

static enum status keep(struct collect *c, const void *s, size_t n, const char **out)
{
    *out = (const char *)(uintptr_t)c->strings.len;
    enum status st = buf_append(&c->strings, n ? s : "", n);
    return st ? st : buf_append(&c->strings, "", 1);
}

static enum status add(struct collect *c, sqlite3_stmt *row, const struct index_symbol *s, const char *name, size_t len)
{
    if (c->n == c->limit) {
        c->more = true;
        return OK;
    }
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 32;
        struct index_symbol *more = realloc(c->list, cap * sizeof *more);
        if (!more) return ERR_NOMEM;
        c->list = more;
        c->cap = cap;
    }
    struct index_symbol *to = &c->list[c->n];
    *to = *s;
    enum status st = keep(c, sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0), &to->path);
    if (st == OK) st = keep(c, name, len, &to->name);
    if (st == OK) st = keep(c, s->scope, strlen(s->scope), &to->scope);
    if (st == OK) st = keep(c, s->signature, strlen(s->signature), &to->signature);
    if (st == OK) c->n++;
    return st;
}

static enum status finish(struct collect *c, enum status st, struct index_symbols *out, struct error *err)
{
    if (st) {
        if (st == ERR_NOMEM || st == ERR_LIMIT) error_set(err, st, "out of memory for symbols");
        buf_fini(&c->strings);
        free(c->list);
        return st;
    }
    for (size_t i = 0; i < c->n; i++) {
        struct index_symbol *s = &c->list[i];
        const char **fields[] = {&s->path, &s->name, &s->scope, &s->signature};
        for (size_t k = 0; k < 4; k++) *fields[k] = c->strings.data + (uintptr_t)*fields[k];
    }
    *out = (struct index_symbols){c->list, c->n, c->more, c->strings.data};
    return OK;
}

void index_symbols_fini(struct index_symbols *s)
{
    free(s->list);
    free(s->memory);
    *s = (struct index_symbols){0};
}

/* "a.b.c" asks for c in a scope that ends in a.b. */
static bool scope_fits(const char *scope, const char *wanted, size_t n)
{
    size_t len = strlen(scope);
    return n == 0 || (len >= n && memcmp(scope + len - n, wanted, n) == 0 && (len == n || scope[len - n - 1] == '.'));
}

static struct collect start(size_t limit)
{
    struct collect c = {.limit = limit ? limit : 100};
    if (c.limit > MAX_SYMBOLS) c.limit = MAX_SYMBOLS;
    buf_init(&c.strings, MAX_STRINGS);
    return c;
}

static const char *text_at(sqlite3_stmt *q, int i)
{
    const char *s = (const char *)sqlite3_column_text(q, i);
    return s ? s : "";
}

enum status index_definitions(struct index *ix, const char *name, size_t limit, struct index_symbols *out,
                              struct error *err)
{
    struct collect c = start(limit);
    const char *dot = strrchr(name, '.'), *last = dot && dot[1] ? dot + 1 : name;
    size_t scope_len = last > name ? (size_t)(last - name) - 1 : 0;
    sqlite3_stmt *q = NULL;
    *out = (struct index_symbols){0};
    enum status st = reader_refresh(ix, err);
    if (st == OK)
        st = db_prepare(&ix->db, "SELECT f.path, d.kind, d.scope, d.signature, d.line, d.end_line, d.col FROM definitions d"
                                 " JOIN files f ON f.id = d.file WHERE d.name = ?1 ORDER BY f.path, d.line", &q, err);
    if (st == OK) {
        sqlite3_bind_text(q, 1, last, -1, SQLITE_STATIC);
        int rc = SQLITE_DONE;
        while (st == OK && !c.more && (rc = sqlite3_step(q)) == SQLITE_ROW) {
            struct index_symbol s = {.scope = text_at(q, 2), .signature = text_at(q, 3), .definition = true,
                                     .line = (uint32_t)sqlite3_column_int64(q, 4),
                                     .end_line = (uint32_t)sqlite3_column_int64(q, 5),
                                     .column = (uint32_t)sqlite3_column_int64(q, 6),
                                     .kind = (enum syntax_kind)sqlite3_column_int(q, 1)};
            if ((unsigned)s.kind >= SYNTAX_N_KINDS) s.kind = SYNTAX_KIND_TEXT;
            if (scope_fits(s.scope, name, scope_len)) st = add(&c, q, &s, last, strlen(last));
        }
        if (st == OK && !c.more && rc != SQLITE_DONE) st = db_fail(&ix->db, "looking for definitions", err);
    }
    sqlite3_finalize(q);
    return finish(&c, st, out, err);
}

static enum status scan_refs(struct collect *c, sqlite3_stmt *q, const char *name)
{
    size_t at = 0, len = strlen(name);
    struct refs_item item;
    enum status st = OK;
    while (st == OK && !c->more && refs_next(sqlite3_column_blob(q, 1), (size_t)sqlite3_column_bytes(q, 1), &at, &item)) {
        struct index_symbol s = {.scope = "", .signature = "", .line = item.line, .end_line = item.line,
                                 .column = item.column};
        if (item.kind != REFS_IMPORT && item.len == len && memcmp(item.name, name, len) == 0)
            st = add(c, q, &s, item.name, item.len);
    }
    return st;
}

enum status index_references(struct index *ix, const char *name, size_t limit, struct index_symbols *out,
                             struct error *err)
{
    struct collect c = start(limit);
    struct buf match;
    const char *dot = strrchr(name, '.'), *last = dot && dot[1] ? dot + 1 : name;
    sqlite3_stmt *q = NULL;
    buf_init(&match, 1 << 16);
    *out = (struct index_symbols){0};
    enum status st = reader_refresh(ix, err);
    if (st == OK) st = reader_match(last, strlen(last), true, " AND ", &match);
    /* The full text knows which files have the word at all. */
    if (st == OK && match.len)
        st = db_prepare(&ix->db, "SELECT path, refs FROM files WHERE id IN (SELECT p.file FROM fts JOIN places p"
                                 " ON p.chunk = fts.rowid WHERE fts MATCH ?1) ORDER BY path", &q, err);
    if (q) {
        sqlite3_bind_text(q, 1, match.data, (int)match.len, SQLITE_STATIC);
        int rc = SQLITE_DONE;
        while (st == OK && !c.more && (rc = sqlite3_step(q)) == SQLITE_ROW) st = scan_refs(&c, q, last);
        if (st == OK && !c.more && rc != SQLITE_DONE) st = db_fail(&ix->db, "looking for references", err);
    }
    sqlite3_finalize(q);
    buf_fini(&match);
    return finish(&c, st, out, err);
}
