#include <stdlib.h>
#include <string.h>

#include "index/refs.h"
#include "index/search.h"

enum { MAX_PLACES = 64, MAX_IMPORTS = 256 };

/* Where the person is: the file's folder, and the last names of what it imports. */
struct near {
    const char *from;
    char names[MAX_IMPORTS][64];
    size_t n;
};

/* "a.b.util", "./util", "lib/util.h": util. */
static void add_import(struct near *near, const char *target, size_t len)
{
    size_t end = len, at;
    const char *dot = memrchr(target, '.', len), *slash = memrchr(target, '/', len);
    if (slash && dot && dot > slash) end = (size_t)(dot - target);
    else if (dot && len - (size_t)(dot - target) <= 4 && !slash) end = (size_t)(dot - target); /* "util.h" */
    for (at = end; at > 0 && target[at - 1] != '.' && target[at - 1] != '/' && target[at - 1] != ':'; at--) continue;
    size_t n = end - at;
    if (n == 0 || n >= sizeof near->names[0] || near->n == MAX_IMPORTS) return;
    memcpy(near->names[near->n], target + at, n);
    near->names[near->n++][n] = 0;
    if (dot && end < len && !slash) { /* "os.path" as well as "util.h": both readings */
        size_t tail = len - (size_t)(dot - target) - 1;
        if (tail == 0 || tail >= sizeof near->names[0] || near->n == MAX_IMPORTS) return;
        memcpy(near->names[near->n], dot + 1, tail);
        near->names[near->n++][tail] = 0;
    }
}

static enum status read_imports(struct search *s, struct near *near)
{
    sqlite3_stmt *q;
    near->from = s->q->from;
    if (!near->from) return OK;
    enum status st = db_prepare(&s->ix->db, "SELECT refs FROM files WHERE path = ?1", &q, s->err);
    if (st) return st;
    sqlite3_bind_blob(q, 1, near->from, (int)strlen(near->from), SQLITE_STATIC);
    int rc = sqlite3_step(q);
    size_t at = 0;
    struct refs_item item;
    while (rc == SQLITE_ROW && refs_next(sqlite3_column_blob(q, 0), (size_t)sqlite3_column_bytes(q, 0), &at, &item) &&
           item.kind == REFS_IMPORT)
        add_import(near, item.name, item.len);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) st = db_fail(&s->ix->db, "reading imports", s->err);
    sqlite3_finalize(q);
    return st;
}

/* 0 the same file, 1 imported, then by the folders between. */
static uint32_t distance(const struct near *near, const char *path)
{
    if (!near->from) return 0;
    if (strcmp(near->from, path) == 0) return 0;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strchr(name, '.');
    size_t len = dot ? (size_t)(dot - name) : strlen(name), common = 0;
    for (size_t i = 0; i < near->n; i++)
        if (strlen(near->names[i]) == len && memcmp(near->names[i], name, len) == 0) return 1;
    for (size_t i = 0; path[i] && path[i] == near->from[i]; i++)
        if (path[i] == '/') common = i + 1;
    uint32_t steps = 2;
    for (const char *p = path + common; (p = strchr(p, '/')); p++) steps++;
    for (const char *p = near->from + common; (p = strchr(p, '/')); p++) steps++;
    return steps;
}

static bool place_fits(const struct index_query *q, const char *path, const char *language)
{
    if (q->language && strcmp(q->language, language) != 0) return false;
    if (q->leave_out_from && q->from && strcmp(q->from, path) == 0) return false;
    if (!q->under || !*q->under) return true;
    size_t n = strlen(q->under);
    while (n > 0 && q->under[n - 1] == '/') n--;
    return strncmp(path, q->under, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static char *copy_path(sqlite3_stmt *q, int i, char *out, size_t cap)
{
    size_t n = (size_t)sqlite3_column_bytes(q, i);
    if (n >= cap) n = cap - 1;
    memcpy(out, n ? sqlite3_column_blob(q, i) : "", n);
    out[n] = 0;
    return out;
}

/* The nearest place of each candidate that passes the filters. */
static enum status place_all(struct search *s, const struct near *near)
{
    sqlite3_stmt *q;
    enum status st = db_prepare(&s->ix->db,
                                "SELECT p.file, p.line, p.end_line, f.path, f.language, f.mtime FROM places p"
                                " JOIN files f ON f.id = p.file JOIN chunks c ON c.id = p.chunk"
                                " WHERE p.chunk = ?1 AND (?2 = 0 OR ?2 >> c.kind & 1) ORDER BY f.path LIMIT ?3",
                                &q, s->err);
    if (st) return st;
    for (size_t i = 0; i < s->n && st == OK; i++) {
        struct candidate *c = &s->list[i];
        sqlite3_bind_int64(q, 1, c->chunk);
        sqlite3_bind_int64(q, 2, (int64_t)s->q->kinds);
        sqlite3_bind_int64(q, 3, near->from || s->q->under || s->q->language ? 1000 : MAX_PLACES);
        int rc;
        while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
            char path[8192];
            const char *language = (const char *)sqlite3_column_text(q, 4);
            if (!place_fits(s->q, copy_path(q, 3, path, sizeof path), language ? language : "")) continue;
            uint32_t d = distance(near, path);
            if (c->fits && d >= c->distance) continue;
            c->fits = true;
            c->distance = d;
            c->file = sqlite3_column_int64(q, 0);
            c->line = (uint32_t)sqlite3_column_int64(q, 1);
            c->end_line = (uint32_t)sqlite3_column_int64(q, 2);
            c->mtime_ns = sqlite3_column_int64(q, 5);
        }
        if (rc != SQLITE_DONE) st = db_fail(&s->ix->db, "reading the index", s->err);
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    return st;
}

static int by_age(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->mtime_ns > y->mtime_ns ? -1 : x->mtime_ns < y->mtime_ns;
}

static int by_distance(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->distance < y->distance ? -1 : x->distance > y->distance;
}

/* Equal scores in the order of the chunks, so that answers repeat. */
static int by_score(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

static void fuse(struct search *s)
{
    const struct index_weights *w = s->weights;
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->list[i].fits) s->list[n++] = s->list[i];
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        struct candidate *c = &s->list[i];
        c->score = (c->text_rank ? w->text / (w->k + c->text_rank) : 0) +
                   (c->vector_rank ? w->vector / (w->k + c->vector_rank) : 0) +
                   (c->name_rank ? w->name / (w->k + c->name_rank) : 0);
    }
    /* Among equals of age or distance the rank is the same. */
    qsort(s->list, n, sizeof *s->list, by_age);
    for (size_t i = 0, rank = 0; i < n; i++) {
        if (i == 0 || s->list[i].mtime_ns != s->list[i - 1].mtime_ns) rank = i + 1;
        s->list[i].score += w->recent / (w->k + (float)rank);
    }
    if (s->q->from) qsort(s->list, n, sizeof *s->list, by_distance);
    for (size_t i = 0, rank = 0; i < n && s->q->from; i++) {
        if (i == 0 || s->list[i].distance != s->list[i - 1].distance) rank = i + 1;
        s->list[i].score += w->near / (w->k + (float)rank);
    }
    qsort(s->list, n, sizeof *s->list, by_score);
}

/* The strings of a hit stand in one block, which `memory` links to the next. */
static enum status fill_hit(struct search *s, sqlite3_stmt *q, const struct candidate *c, struct index_hits *out)
{
    size_t len[5], total = sizeof(void *);
    const char *part[5];
    for (int i = 0; i < 5; i++) {
        part[i] = sqlite3_column_blob(q, i);
        len[i] = (size_t)sqlite3_column_bytes(q, i);
        total += len[i] + 1;
    }
    char *block = malloc(total);
    if (!block) return error_set(s->err, ERR_NOMEM, "out of memory for the answer");
    memcpy(block, &out->memory, sizeof(void *));
    out->memory = block;
    const char *copy[5];
    char *p = block + sizeof(void *);
    for (int i = 0; i < 5; i++) {
        memcpy(p, len[i] ? part[i] : "", len[i]);
        p[len[i]] = 0;
        copy[i] = p;
        p += len[i] + 1;
    }
    int kind = sqlite3_column_int(q, 5);
    out->list[out->n++] = (struct index_hit){
        .path = copy[0], .language = copy[1], .name = copy[2], .scope = copy[3], .text = copy[4], .text_len = len[4],
        .line = c->line, .end_line = c->end_line, .mtime_ns = c->mtime_ns, .score = c->score,
        .kind = kind >= 0 && kind < SYNTAX_N_KINDS ? (enum syntax_kind)kind : SYNTAX_KIND_TEXT,
        .text_score = c->text_score, .vector_score = c->vector_score, .text_rank = c->text_rank,
        .vector_rank = c->vector_rank, .name_rank = c->name_rank};
    return OK;
}

enum status search_rank(struct search *s, struct index_hits *out)
{
    struct near *near = calloc(1, sizeof *near);
    sqlite3_stmt *q = NULL;
    enum status st = near ? read_imports(s, near) : error_set(s->err, ERR_NOMEM, "out of memory for the search");
    if (st == OK) st = place_all(s, near);
    free(near);
    if (st) return st;
    fuse(s);
    out->late = s->late;
    out->list = calloc(s->limit, sizeof *out->list);
    if (!out->list) return error_set(s->err, ERR_NOMEM, "out of memory for the answer");
    st = db_prepare(&s->ix->db, "SELECT f.path, f.language, c.name, c.scope, c.text, c.kind FROM chunks c JOIN files f"
                                " WHERE c.id = ?1 AND f.id = ?2", &q, s->err);
    for (size_t i = 0; i < s->n && out->n < s->limit && st == OK; i++) {
        size_t same = 0;
        for (size_t k = 0; k < i && s->q->per_file; k++) same += s->list[k].file == s->list[i].file && s->list[k].fits;
        s->list[i].fits = !s->q->per_file || same < s->q->per_file;
        if (!s->list[i].fits) continue;
        sqlite3_bind_int64(q, 1, s->list[i].chunk);
        sqlite3_bind_int64(q, 2, s->list[i].file);
        if (sqlite3_step(q) == SQLITE_ROW) st = fill_hit(s, q, &s->list[i], out);
        else st = db_fail(&s->ix->db, "reading the index", s->err);
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    if (st) index_hits_fini(out);
    return st;
}

void index_hits_fini(struct index_hits *h)
{
    while (h->memory) {
        void *next;
        memcpy(&next, h->memory, sizeof next);
        free(h->memory);
        h->memory = next;
    }
    free(h->list);
    *h = (struct index_hits){0};
}
