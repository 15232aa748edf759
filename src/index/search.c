/* The search: lists of candidates by words, names and vectors, fused by reciprocal rank (Cormack, Clarke,
 * Buettcher 2009) with lists of the candidates by nearness and age. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "index/reader.h"
#include "index/search.h"
#include "index/store_marks.h"
#include "index/tokens.h"

const struct index_weights index_default_weights = {
    .text = 1.0f, .vector = 2.0f, .name = 0.5f, .recent = 0.02f, .near = 0.1f, .k = 5};

enum { MAX_TERMS = 64, TERM_PROBE = 1000, ROW_BUDGET = 5000, MAX_MATCH = 1 << 16 };

struct term {
    char text[TOKEN_MAX];
    size_t n;
    bool common;
    double rows; /* of the index that have it, about */
};

struct terms {
    struct term list[MAX_TERMS];
    size_t n;
};

static int add_term(void *ctx, bool part, const char *token, size_t n, size_t begin, size_t end)
{
    struct terms *t = ctx;
    (void)part;
    (void)begin;
    (void)end;
    for (size_t i = 0; i < t->n; i++)
        if (t->list[i].n == n && memcmp(t->list[i].text, token, n) == 0) return 0;
    if (t->n == MAX_TERMS) return 1;
    struct term *to = &t->list[t->n++];
    *to = (struct term){.n = n, .common = token_is_common(token, n)};
    memcpy(to->text, token, n);
    return 0;
}

static int rarer(const void *a, const void *b)
{
    const struct term *x = a, *y = b;
    return x->rows < y->rows ? -1 : x->rows > y->rows;
}

int search_over(void *ctx)
{
    return clock_now() > *(const double *)ctx;
}

/* An estimate from where the first rows of a term stand. */
static enum status count_rows(struct search *s, struct terms *t)
{
    sqlite3_stmt *q;
    int64_t top = 0;
    enum status st = db_number(&s->ix->db, "SELECT max(id) FROM chunks", &top, s->err);
    if (st == OK)
        st = db_prepare(&s->ix->db, "SELECT count(*), max(rowid) FROM (SELECT rowid FROM fts WHERE fts MATCH ?1 LIMIT 1000)",
                        &q, s->err);
    if (st) return st;
    for (size_t i = 0; i < t->n && st == OK; i++) {
        char match[TOKEN_MAX + 3];
        struct term *x = &t->list[i];
        match[0] = '"';
        memcpy(match + 1, x->text, x->n);
        match[x->n + 1] = '"';
        sqlite3_bind_text(q, 1, match, (int)x->n + 2, SQLITE_STATIC);
        if (sqlite3_step(q) == SQLITE_ROW) {
            x->rows = (double)sqlite3_column_int64(q, 0);
            if (x->rows >= TERM_PROBE && sqlite3_column_int64(q, 1) > 0)
                x->rows *= (double)top / (double)sqlite3_column_int64(q, 1);
        } else {
            st = db_fail(&s->ix->db, "searching words", s->err);
        }
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    return st;
}

static enum status join_terms(const struct terms *t, size_t n, const char *before, const char *join, const char *after,
                              struct buf *out)
{
    enum status st = buf_append_str(out, before);
    for (size_t i = 0; i < n && st == OK; i++)
        st = buf_printf(out, "%s\"%.*s\"", i ? join : "", (int)t->list[i].n, t->list[i].text);
    return st ? st : buf_append_str(out, after);
}

static struct candidate *candidate_of(struct search *s, int64_t chunk)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->list[i].chunk == chunk) return &s->list[i];
    if (s->n == SEARCH_MAX_CANDIDATES) return NULL;
    s->list[s->n] = (struct candidate){.chunk = chunk};
    return &s->list[s->n++];
}

/* Runs a query whose rows are a chunk and a score, best first. Chunks without a place, kept for a branch
 * to come back, do not count. */
static enum status list_by_match(struct search *s, const char *sql, const struct buf *match, size_t most, bool name)
{
    sqlite3_stmt *q, *alive = NULL;
    enum status st = db_prepare(&s->ix->db, sql, &q, s->err);
    if (st == OK) st = db_prepare(&s->ix->db, "SELECT 1 FROM places WHERE chunk = ?1 LIMIT 1", &alive, s->err);
    int rc = SQLITE_DONE;
    uint16_t rank = 0;
    if (st == OK) sqlite3_bind_text(q, 1, match->data, (int)match->len, SQLITE_STATIC);
    while (st == OK && rank < most && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        sqlite3_bind_int64(alive, 1, sqlite3_column_int64(q, 0));
        bool lives = sqlite3_step(alive) == SQLITE_ROW;
        sqlite3_reset(alive);
        if (!lives) continue;
        struct candidate *c = candidate_of(s, sqlite3_column_int64(q, 0));
        rank++;
        if (!c) continue;
        if (name) {
            c->name_rank = rank;
        } else {
            c->text_rank = rank;
            c->text_score = (float)-sqlite3_column_double(q, 1);
        }
    }
    if (st == OK && rank < most && rc != SQLITE_DONE) st = db_fail(&s->ix->db, "searching words", s->err);
    sqlite3_finalize(q);
    sqlite3_finalize(alive);
    return st;
}

/* Rare words first, as long as the rows to be scored stay few: the rest weighs little in BM25 anyway. */
static enum status list_words(struct search *s, size_t most)
{
    struct terms *t = calloc(1, sizeof *t);
    struct buf match;
    buf_init(&match, MAX_MATCH);
    if (!t) return error_set(s->err, ERR_NOMEM, "out of memory for the search");
    tokens_of(s->q->text, strlen(s->q->text), add_term, t);
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        if (!t->list[i].common) t->list[n++] = t->list[i];
    if (n) t->n = n; /* a query of common words alone keeps them */
    enum status st = count_rows(s, t);
    qsort(t->list, t->n, sizeof *t->list, rarer);
    size_t first = 0, use = 0;
    double rows = 0;
    while (first < t->n && t->list[first].rows == 0) first++;
    memmove(t->list, t->list + first, (t->n - first) * sizeof *t->list);
    t->n -= first;
    while (use < t->n && (use == 0 || rows + t->list[use].rows <= ROW_BUDGET)) rows += t->list[use++].rows;
    bool all = use == 1 && rows > ROW_BUDGET && t->n > 1;
    if (st == OK && t->n) {
        st = join_terms(t, all ? 2 : use, "", all ? " AND " : " OR ", "", &match);
        if (st == OK)
            st = list_by_match(s, rows > ROW_BUDGET && !all
                                      ? "SELECT rowid, 0 FROM fts WHERE fts MATCH ?1"
                                      : "SELECT rowid, rank FROM fts WHERE fts MATCH ?1 AND rank MATCH 'bm25(2.0, 1.0)'"
                                        " ORDER BY rank",
                               &match, most, false);
        buf_clear(&match);
        if (st == OK && rows <= ROW_BUDGET) st = join_terms(t, use, "name : (", " OR ", ")", &match);
        if (st == OK && match.len)
            st = list_by_match(s, "SELECT rowid, rank FROM fts WHERE fts MATCH ?1 AND rank MATCH 'bm25(1.0, 0.0)'"
                                  " ORDER BY rank", &match, most, true);
    }
    buf_fini(&match);
    free(t);
    return st;
}

/* What the store finds, most at most, into s->found. A store elsewhere that fails leaves the words and names
 * to answer. */
static enum status find_vectors(struct search *s, size_t most)
{
    struct index *ix = s->ix;
    size_t dim = s->q->dim, n = 0;
    struct vector_store *store = s->q->store ? s->q->store : &ix->local.base;
    float norm = 0, *q = malloc((dim ? dim : 1) * sizeof *q);
    if (!q) return error_set(s->err, ERR_NOMEM, "out of memory for the search");
    for (size_t i = 0; i < dim; i++) norm += s->q->vector[i] * s->q->vector[i];
    norm = norm > 0 ? 1 / __builtin_sqrtf(norm) : 0;
    for (size_t i = 0; i < dim; i++) q[i] = s->q->vector[i] * norm;
    enum status st = OK;
    struct error why = {0};
    if (store->elsewhere) st = store->prepare(store, s->model, dim, false, &why);
    /* A shared one holds vectors of other people's branches, too. */
    if (st == OK) st = store->nearest(store, q, dim, s->found, store->elsewhere ? VECTORS_BEST : most, &n, &why);
    free(q);
    s->n_found = n;
    if (st == OK || !store->elsewhere) return st ? error_set(s->err, st, "%s", why.msg) : OK;
    s->n_found = 0;
    snprintf(s->note, sizeof s->note, "by words alone: %.290s", why.msg);
    return OK;
}

static enum status list_vectors(struct search *s, size_t most)
{
    enum status st = OK;
    if (s->q->store) st = store_marks_resolve(&s->ix->db, s->model, s->found, &s->n_found, s->err);
    else st = find_vectors(s, most);
    for (size_t i = 0; i < s->n_found && i < most && st == OK; i++) {
        struct candidate *c = candidate_of(s, s->found[i].item.chunk);
        if (!c) continue;
        c->vector_rank = (uint16_t)(i + 1);
        c->vector_score = s->found[i].score;
    }
    return st;
}

/* Whether the vectors that the query brings can be used, and by which model's name. */
static enum status check_vectors(struct search *s)
{
    struct index_info info;
    const char *name = s->q->store ? s->q->store->name : "";
    enum status st = index_info_brief(s->ix, &info, s->err);
    if (st) return st;
    memcpy(s->model, info.model, sizeof s->model);
    s->use_vectors = strcmp(info.store, name) == 0;
    if (!s->use_vectors && *info.store)
        snprintf(s->note, sizeof s->note, "by words alone: the vectors are in %.200s; name it by --store or HEARTH_STORE",
                 info.store);
    else if (!s->use_vectors)
        snprintf(s->note, sizeof s->note, "by words alone: this index has no vectors in %.200s; run `hearth index --store`",
                 name);
    /* Before the database is looked at, so that no state of it is held while a server thinks. */
    return s->use_vectors && s->q->store ? find_vectors(s, VECTORS_BEST) : OK;
}

/* ---- a piece of code as it stands ------------------------------------------------------------- */

/* Words that hold `piece`, as "(a OR b)". */
static enum status words_with(struct search *s, const char *piece, size_t n, struct buf *out)
{
    sqlite3_stmt *q;
    char match[TOKEN_MAX + 3];
    if (n < 3 || n > TOKEN_MAX) return OK; /* the trigrams cannot tell; the text decides */
    enum status st = db_prepare(&s->ix->db, "SELECT word FROM pieces WHERE word GLOB ?1 LIMIT 200", &q, s->err);
    if (st) return st;
    match[0] = match[n + 1] = '*'; /* words have no other special characters */
    memcpy(match + 1, piece, n);
    sqlite3_bind_text(q, 1, match, (int)n + 2, SQLITE_STATIC);
    st = buf_printf(out, "%s(\"%.*s\"", out->len ? " AND " : "", (int)n, piece);
    int rc;
    while (st == OK && (rc = sqlite3_step(q)) == SQLITE_ROW)
        st = buf_printf(out, " OR \"%.*s\"", sqlite3_column_bytes(q, 0), (const char *)sqlite3_column_text(q, 0));
    if (st == OK && rc != SQLITE_DONE) st = db_fail(&s->ix->db, "searching words", s->err);
    if (st == OK) st = buf_append_str(out, ")");
    sqlite3_finalize(q);
    return st;
}

struct pieces {
    struct search *s;
    struct buf *match;
    size_t len;
    enum status st;
};

static int add_piece(void *ctx, bool part, const char *token, size_t n, size_t begin, size_t end)
{
    struct pieces *p = ctx;
    if (part) return 0;
    if (begin == 0 || end == p->len) p->st = words_with(p->s, token, n, p->match);
    else p->st = buf_printf(p->match, "%s\"%.*s\"", p->match->len ? " AND " : "", (int)n, token);
    return p->st != OK;
}

static enum status list_literal(struct search *s, size_t most)
{
    struct buf match;
    sqlite3_stmt *q = NULL;
    size_t len = strlen(s->q->text);
    buf_init(&match, MAX_MATCH);
    struct pieces p = {s, &match, len, OK};
    tokens_of(s->q->text, len, add_piece, &p);
    enum status st = p.st;
    if (st == OK)
        st = db_prepare(&s->ix->db, match.len ? "SELECT c.id, c.text FROM fts JOIN chunks c ON c.id = fts.rowid WHERE fts MATCH ?1"
                                              : "SELECT id, text FROM chunks", &q, s->err);
    if (st == OK && match.len) sqlite3_bind_text(q, 1, match.data, (int)match.len, SQLITE_STATIC);
    int rc = SQLITE_DONE;
    size_t found = 0;
    while (st == OK && found < most && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        const void *text = sqlite3_column_blob(q, 1);
        if (!text || !memmem(text, (size_t)sqlite3_column_bytes(q, 1), s->q->text, len)) continue;
        struct candidate *c = candidate_of(s, sqlite3_column_int64(q, 0));
        found++;
        if (c) c->text_rank = 1; /* all fit alike */
    }
    if (st == OK && found < most && rc != SQLITE_DONE) st = db_fail(&s->ix->db, "searching words", s->err);
    sqlite3_finalize(q);
    buf_fini(&match);
    return st;
}

/* ---- all together ----------------------------------------------------------------------------- */

static enum status find_candidates(struct search *s)
{
    const struct index_query *q = s->q;
    bool narrow = q->kinds || q->language || q->under || q->leave_out_from;
    size_t most = narrow ? 500 : 100;
    enum status st = OK;
    if (most < 2 * s->limit) most = 2 * s->limit;
    s->until = clock_now() + (q->seconds > 0 ? q->seconds : 1);
    sqlite3_progress_handler(s->ix->db.sql, 2000, search_over, &s->until);
    if (s->use_vectors) st = list_vectors(s, most);
    if (st == OK && q->text && *q->text) st = q->literal ? list_literal(s, most) : list_words(s, most);
    sqlite3_progress_handler(s->ix->db.sql, 0, NULL, NULL);
    if (st == ERR_CANCELLED) {
        s->late = true;
        st = OK;
    }
    return st;
}

enum status index_search(struct index *ix, const struct index_query *q, struct index_hits *out, struct error *err)
{
    *out = (struct index_hits){0};
    struct search *s = calloc(1, sizeof *s);
    if (!s) return error_set(err, ERR_NOMEM, "out of memory for the search");
    s->ix = ix;
    s->q = q;
    s->err = err;
    s->limit = q->limit ? q->limit : 10;
    if (s->limit > SEARCH_MAX_HITS) s->limit = SEARCH_MAX_HITS;
    s->weights = q->weights ? q->weights : &index_default_weights;
    enum status st = reader_refresh(ix, err);
    if (st == OK && q->vector && !q->literal) st = check_vectors(s);
    /* One state of the index for all of it, whatever is written meanwhile. */
    if (st == OK) st = db_exec(&ix->db, "BEGIN", err);
    if (st == OK) {
        st = find_candidates(s);
        if (st == OK) st = search_rank(s, out);
        if (st == OK) memcpy(out->note, s->note, sizeof out->note);
        sqlite3_exec(ix->db.sql, "COMMIT", NULL, NULL, NULL);
    }
    free(s);
    return st;
}
