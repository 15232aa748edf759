#include "index/context.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/secret.h"
#include "index/context_int.h"
#include "syntax/language.h"

enum {
    BEFORE = 256 << 10, /* bytes of the text around the cursor that are looked at */
    BEHIND = 64 << 10,
    MAX_FILES = 32,
    PATH_COST = 16, /* bytes that a file's heading costs besides its path */
};
/* Of the bytes, before what is left of one goes to the other. */
static const float imports_share = 0.3f, declarations_share = 0.75f;

/* ---- pieces ---- */

/* A path goes into prompts: nothing may stand in it that ends a line, or is no text. */
static bool path_is_plain(const char *path, size_t len)
{
    if (len == 0 || len >= CONTEXT_PATH || memchr(path, 0, len)) return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)path[i] < 32 || path[i] == 127) return false;
    return true;
}

static char *copy(const char *s, size_t n)
{
    char *out = malloc(n + 1);
    if (!out) return NULL;
    memcpy(out, s, n);
    out[n] = 0;
    return out;
}

enum status context_add(struct context_search *s, const char *path, size_t path_len, uint32_t line,
                        uint32_t end_line, enum context_piece_kind kind, float score,
                        const char *text, size_t len)
{
    for (size_t i = 0; i < s->n; i++) {
        struct context_piece *p = &s->list[i];
        if (p->line != line || p->kind != kind || strlen(p->path) != path_len ||
            memcmp(p->path, path, path_len))
            continue;
        if (score > p->score) p->score = score;
        return OK;
    }
    if (s->n == CONTEXT_PIECES || !path_is_plain(path, path_len) || memchr(text, 0, len)) return OK;
    struct context_piece p = {.path = copy(path, path_len),
                              .text = copy(text, len),
                              .len = len,
                              .line = line,
                              .end_line = end_line,
                              .kind = kind,
                              .score = score};
    if (!p.path || !p.text || secret_path(p.path)) {
        enum status st =
            p.path && p.text ? OK : error_set(s->err, ERR_NOMEM, "out of memory for context");
        free(p.path);
        free(p.text);
        return st;
    }
    s->list[s->n++] = p;
    return OK;
}

/* What a piece gives for what it costs. */
static float worth(const struct context_piece *p)
{
    return p->kind == PIECE_CODE ? p->score : p->score / sqrtf((float)p->len + 20);
}

static int better(const void *a, const void *b)
{
    const struct context_piece *x = a, *y = b;
    float a_worth = worth(x), b_worth = worth(y);
    if (a_worth != b_worth) return a_worth > b_worth ? -1 : 1;
    int c = strcmp(x->path, y->path);
    return c ? c : x->line < y->line ? -1 : x->line > y->line;
}

/* ---- what fits ---- */

static bool has_path(const struct context_search *s, const char *path)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->list[i].taken && strcmp(s->list[i].path, path) == 0) return true;
    return false;
}

/* Takes the best pieces of a kind while they fit; returns the bytes that all taken ones have. */
static size_t take(struct context_search *s, enum context_piece_kind kind, size_t used, size_t most)
{
    for (size_t i = 0; i < s->n; i++) {
        struct context_piece *p = &s->list[i];
        if (p->taken || p->kind != kind || p->score < CONTEXT_LEAST_SCORE) continue;
        size_t cost = p->len + 1 + (has_path(s, p->path) ? 0 : strlen(p->path) + PATH_COST);
        if (used + cost > most) continue;
        p->taken = true;
        used += cost;
    }
    return used;
}

/* A signature that stands in code which is taken, too, says nothing more. */
static void drop_doubled(struct context_search *s)
{
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; s->list[i].taken && s->list[i].kind == PIECE_DECLARATION && k < s->n;
             k++) {
            const struct context_piece *c = &s->list[k];
            if (c->taken && c->kind == PIECE_CODE && c->line <= s->list[i].line &&
                s->list[i].line <= c->end_line && strcmp(c->path, s->list[i].path) == 0)
                s->list[i].taken = false;
        }
}

static void choose(struct context_search *s, size_t max_bytes)
{
    qsort(s->list, s->n, sizeof *s->list, better);
    size_t used = take(s, PIECE_IMPORT, 0, (size_t)(imports_share * (float)max_bytes));
    used = take(s, PIECE_DECLARATION, used, (size_t)(declarations_share * (float)max_bytes));
    used = take(s, PIECE_CODE, used, max_bytes);
    drop_doubled(s);
    used = take(s, PIECE_DECLARATION, used, max_bytes);
    take(s, PIECE_IMPORT, used, max_bytes);
}

/* ---- files ---- */

static int by_line(const void *a, const void *b)
{
    const struct context_piece *x = *(struct context_piece *const *)a,
                               *y = *(struct context_piece *const *)b;
    if (x->line != y->line) return x->line < y->line ? -1 : 1;
    return (int)x->kind - (int)y->kind;
}

static enum status add_text(struct buf *b, struct context_piece *const *list, size_t n)
{
    enum status st = OK;
    uint32_t behind = 0; /* the last line that is there */
    for (size_t i = 0; i < n && st == OK; i++) {
        const struct context_piece *p = list[i];
        const char *text = p->text;
        size_t len = p->len;
        /* Pieces of code may overlap: each line once. */
        for (uint32_t line = p->line; p->kind == PIECE_CODE && line <= behind && len;) {
            const char *nl = memchr(text, '\n', len);
            size_t cut = nl ? (size_t)(nl - text) + 1 : len;
            text += cut;
            len -= cut;
            line++;
        }
        if (len && b->len && p->kind == PIECE_CODE) st = buf_append(b, "\n", 1);
        if (st == OK) st = buf_append(b, text, len);
        if (st == OK && len && text[len - 1] != '\n') st = buf_append(b, "\n", 1);
        if (p->kind == PIECE_CODE && p->end_line > behind) behind = p->end_line;
    }
    return st;
}

/* One item of a file's taken pieces; they are marked as done. */
static enum status add_file(struct context_search *s, size_t first, struct index_context *out)
{
    struct context_piece *list[CONTEXT_PIECES];
    struct index_context_item *item = &out->list[out->n];
    struct buf b;
    size_t n = 0;
    *item = (struct index_context_item){.score = s->list[first].score};
    for (size_t i = first; i < s->n; i++) {
        struct context_piece *p = &s->list[i];
        if (!p->taken || strcmp(p->path, s->list[first].path) != 0) continue;
        list[n++] = p;
        if (p->score > item->score) item->score = p->score;
        item->imports += p->kind == PIECE_IMPORT;
        item->declarations += p->kind == PIECE_DECLARATION;
        item->chunks += p->kind == PIECE_CODE;
    }
    qsort(list, n, sizeof *list, by_line);
    buf_init(&b, (size_t)CONTEXT_PIECES * (CONTEXT_PIECE_BYTES + 2));
    enum status st = add_text(&b, list, n);
    item->path = st == OK ? strdup(list[0]->path) : NULL;
    item->line = list[0]->line;
    for (size_t i = 0; i < n; i++) list[i]->taken = false;
    if (!item->path || !b.data) {
        bool nothing = item->path != NULL; /* all of its lines stood in others */
        free((char *)item->path);
        buf_fini(&b);
        return nothing ? OK : error_set(s->err, ERR_NOMEM, "out of memory for context");
    }
    item->text = b.data;
    item->len = b.len;
    out->n++;
    return OK;
}

static uint64_t key_of(const struct context_piece *p)
{
    uint64_t h = 14695981039346656037u + p->kind; /* FNV-1a */
    for (const char *c = p->path; *c; c++) h = (h ^ (unsigned char)*c) * 1099511628211u;
    for (size_t i = 0; i < p->len; i++) h = (h ^ (unsigned char)p->text[i]) * 1099511628211u;
    return h;
}

/* The text's own file stands nearest to the text. */
static void own_last(const struct context_search *s, struct index_context *out)
{
    for (size_t i = 0; s->q->path && i + 1 < out->n; i++) {
        if (strcmp(out->list[i].path, s->q->path) != 0) continue;
        struct index_context_item t = out->list[i];
        memmove(out->list + i, out->list + i + 1, (out->n - 1 - i) * sizeof t);
        out->list[out->n - 1] = t;
        return;
    }
}

static enum status make_items(struct context_search *s, struct index_context *out)
{
    enum status st = OK;
    out->list = calloc(MAX_FILES, sizeof *out->list);
    out->keys = calloc(CONTEXT_PIECES, sizeof *out->keys);
    if (!out->list || !out->keys) return error_set(s->err, ERR_NOMEM, "out of memory for context");
    for (size_t i = 0; i < s->n; i++)
        if (s->list[i].taken) out->keys[out->n_keys++] = key_of(&s->list[i]);
    for (size_t i = 0; i < s->n && st == OK && out->n < MAX_FILES; i++)
        if (s->list[i].taken) st = add_file(s, i, out);
    for (size_t i = 0; i < out->n / 2; i++) { /* the best last */
        struct index_context_item t = out->list[i];
        out->list[i] = out->list[out->n - 1 - i];
        out->list[out->n - 1 - i] = t;
    }
    own_last(s, out);
    return st;
}

/* ---- all together ---- */

static enum status read_language(struct context_search *s)
{
    sqlite3_stmt *q;
    if (!s->q->path) return OK;
    enum status st =
        db_prepare(&s->ix->db, "SELECT language FROM files WHERE path = ?1", &q, s->err);
    if (st) return st;
    sqlite3_bind_blob(q, 1, s->q->path, (int)strlen(s->q->path), SQLITE_STATIC);
    int rc = sqlite3_step(q);
    const char *name = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(q, 0) : NULL;
    snprintf(s->language, sizeof s->language, "%s", name ? name : "");
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        st = db_fail(&s->ix->db, "reading the index", s->err);
    sqlite3_finalize(q);
    const struct syntax_language *l =
        st == OK && !*s->language ? syntax_language_of(s->q->path, NULL, 0) : NULL;
    if (l) snprintf(s->language, sizeof s->language, "%s", syntax_language_name(l));
    return st;
}

static int over(void *ctx)
{
    return clock_now() > *(const double *)ctx;
}

enum status index_context_find(struct index *ix, const struct index_context_query *query,
                               struct index_context *out, struct error *err)
{
    *out = (struct index_context){0};
    double until = clock_now() + (query->seconds > 0 ? query->seconds : INDEX_CONTEXT_SECONDS);
    struct index_context_query q = *query;
    size_t from = q.offset > BEFORE ? q.offset - BEFORE : 0;
    q.text += from;
    q.offset -= from;
    q.len = q.len - from - q.offset > BEHIND ? q.offset + BEHIND : q.len - from;
    struct context_search *s = calloc(1, sizeof *s);
    struct context_names *names = malloc(sizeof *names);
    enum status st = s && names ? reader_refresh(ix, err)
                                : error_set(err, ERR_NOMEM, "out of memory for context");
    if (st) goto out;
    context_names_find(names, q.text, q.len, q.offset);
    *s = (struct context_search){.ix = ix, .q = &q, .names = names, .until = until, .err = err};
    s->first_line = 1;
    for (size_t i = 0; i < from; i++) s->first_line += query->text[i] == '\n';
    st = read_language(s);
    if (st == OK) {
        sqlite3_progress_handler(ix->db.sql, 2000, over, &s->until);
        st = context_symbols(s);
        sqlite3_progress_handler(ix->db.sql, 0, NULL, NULL);
        if (st == ERR_CANCELLED) {
            s->late = true;
            st = OK;
        }
    }
    if (st == OK) st = context_imports(s);
    if (st == OK) st = context_chunks(s);
    if (st) goto out;
    choose(s, q.max_bytes ? q.max_bytes : INDEX_CONTEXT_BYTES);
    st = make_items(s, out);
    out->late = s->late;
out:
    for (size_t i = 0; s && i < s->n; i++) {
        free(s->list[i].path);
        free(s->list[i].text);
    }
    free(s);
    free(names);
    if (st) index_context_fini(out);
    return st;
}

void index_context_fini(struct index_context *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free((char *)c->list[i].path);
        free((char *)c->list[i].text);
    }
    free(c->list);
    free(c->keys);
    *c = (struct index_context){0};
}
