#include "index/vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 }; /* panels of one kernel call */

void vectors_pack(const float *x, size_t dim, uint8_t *out)
{
    float most = 0;
    for (size_t i = 0; i < dim; i++) most = fmaxf(most, fabsf(x[i]));
    float scale = most / 127, inverse = most > 0 ? 127 / most : 0;
    memcpy(out, &scale, 4);
    for (size_t i = 0; i < dim; i++) out[4 + i] = (uint8_t)(int8_t)lrintf(x[i] * inverse);
}

static enum status grow(struct vectors *v)
{
    if (v->cap >= VECTORS_MAX) return ERR_LIMIT;
    size_t cap = v->cap ? 2 * v->cap : 1024;
    uint8_t *panels = aligned_alloc(64, cap * v->dim);
    float *scale = realloc(v->scale, cap * sizeof *scale);
    if (scale) v->scale = scale;
    int64_t *chunk = realloc(v->chunk, cap * sizeof *chunk);
    if (chunk) v->chunk = chunk;
    if (!panels || !scale || !chunk) {
        free(panels);
        return ERR_NOMEM;
    }
    if (v->n) memcpy(panels, v->panels, (v->n + 15) / 16 * 16 * v->dim);
    free(v->panels);
    v->panels = panels;
    v->cap = cap;
    return OK;
}

enum status vectors_add(struct vectors *v, int64_t chunk, const uint8_t *packed)
{
    enum status st = v->n == v->cap ? grow(v) : OK;
    if (st) return st;
    uint8_t *panel = v->panels + v->n / 16 * 16 * v->dim + v->n % 16 * 4;
    if (v->n % 16 == 0) memset(v->panels + v->n * v->dim, 128, 16 * v->dim);
    for (size_t i = 0; i < v->dim; i++) panel[i / 4 * 64 + i % 4] = packed[4 + i] ^ 128;
    memcpy(&v->scale[v->n], packed, 4);
    v->chunk[v->n++] = chunk;
    return OK;
}

void vectors_fini(struct vectors *v)
{
    free(v->panels);
    free(v->scale);
    free(v->chunk);
    *v = (struct vectors){0};
}

enum status vectors_load(struct vectors *v, const struct db *db, struct error *err)
{
    int64_t dim = 0, epoch = 0;
    sqlite3_stmt *st;
    enum status status = db_number(db, "SELECT value FROM meta WHERE key = 'dim'", &dim, err);
    if (status == OK) status = db_number(db, "SELECT value FROM meta WHERE key = 'epoch'", &epoch, err);
    if (status) return status;
    if (epoch != v->epoch || (size_t)dim != v->dim) vectors_fini(v);
    if (dim <= 0 || dim > VECTORS_MAX_DIM || dim % 32) return OK;
    v->dim = (size_t)dim;
    v->epoch = epoch;
    if (!v->ops) status = kern_select(NULL, &v->ops, err);
    if (status == OK) status = db_prepare(db, "SELECT id, chunk, q FROM vectors WHERE id > ?1 ORDER BY id", &st, err);
    if (status) return status;
    sqlite3_bind_int64(st, 1, v->last);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        if ((size_t)sqlite3_column_bytes(st, 2) != v->dim + 4) continue;
        status = vectors_add(v, sqlite3_column_int64(st, 1), sqlite3_column_blob(st, 2));
        if (status) {
            error_set(err, status, "out of memory for the vectors of the index");
            break;
        }
        v->last = sqlite3_column_int64(st, 0);
    }
    if (status == OK && rc != SQLITE_DONE) status = db_fail(db, "reading vectors", err);
    sqlite3_finalize(st);
    return status;
}

/* ---- the scan --------------------------------------------------------------------------------- */

static bool better(const struct vectors_hit *a, const struct vectors_hit *b)
{
    return a->score != b->score ? a->score > b->score : a->chunk < b->chunk;
}

/* A heap with the worst on top. */
static void sink(struct vectors_hit *heap, size_t n, size_t i)
{
    struct vectors_hit h = heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && better(&heap[child], &heap[child + 1])) child++;
        if (better(&heap[child], &h)) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = h;
}

static void offer(struct vectors_hit *heap, size_t *n, size_t max, struct vectors_hit h)
{
    if (*n < max) {
        size_t i = (*n)++;
        while (i > 0 && better(&heap[(i - 1) / 2], &h)) {
            heap[i] = heap[(i - 1) / 2];
            i = (i - 1) / 2;
        }
        heap[i] = h;
    } else if (better(&h, &heap[0])) {
        heap[0] = h;
        sink(heap, *n, 0);
    }
}

struct scan {
    const struct vectors *v;
    const int8_t *q;
    float scale;
    size_t max;
    int n_threads;
    struct vectors_hit *heaps; /* [n_threads][max] */
    size_t *sizes;
};

static void scan_part(void *ctx, int thread)
{
    struct scan *s = ctx;
    const struct vectors *v = s->v;
    size_t panels = (v->n + 15) / 16, from = panels * (size_t)thread / (size_t)s->n_threads,
           to = panels * (size_t)(thread + 1) / (size_t)s->n_threads;
    struct vectors_hit *heap = s->heaps + (size_t)thread * s->max;
    size_t n = 0;
    float products[BLOCK * 16];
    for (size_t p = from; p < to; p += BLOCK) {
        size_t some = to - p < BLOCK ? to - p : BLOCK;
        v->ops->dot_panels(products, v->panels + p * 16 * v->dim, some, s->q, v->dim);
        size_t first = p * 16, count = v->n - first < some * 16 ? v->n - first : some * 16;
        for (size_t i = 0; i < count; i++) {
            float score = products[i] * v->scale[first + i] * s->scale;
            if (n < s->max || score >= heap[0].score)
                offer(heap, &n, s->max, (struct vectors_hit){v->chunk[first + i], score});
        }
    }
    s->sizes[thread] = n;
}

static int by_score(const void *a, const void *b)
{
    return better(a, b) ? -1 : better(b, a) ? 1 : 0;
}

enum status vectors_scan(const struct vectors *v, struct pool *pool, const float *q, struct vectors_hit *out,
                         size_t max, size_t *n)
{
    uint8_t packed[VECTORS_MAX_DIM + 4];
    struct scan s = {.v = v, .max = max < VECTORS_BEST ? max : VECTORS_BEST, .n_threads = pool ? pool_n_threads(pool) : 1};
    *n = 0;
    if (v->n == 0 || s.max == 0) return OK;
    vectors_pack(q, v->dim, packed);
    memcpy(&s.scale, packed, 4);
    s.q = (const int8_t *)packed + 4;
    s.heaps = malloc((size_t)s.n_threads * s.max * sizeof *s.heaps);
    s.sizes = calloc((size_t)s.n_threads, sizeof *s.sizes);
    enum status st = s.heaps && s.sizes ? OK : ERR_NOMEM;
    if (st == OK && pool) pool_run(pool, scan_part, &s);
    else if (st == OK) scan_part(&s, 0);
    for (int t = 0; t < s.n_threads && st == OK; t++)
        for (size_t i = 0; i < s.sizes[t]; i++) offer(out, n, s.max, s.heaps[(size_t)t * s.max + i]);
    if (st == OK) qsort(out, *n, sizeof *out, by_score);
    free(s.heaps);
    free(s.sizes);
    return st;
}

enum status vectors_rerank(const struct db *db, const float *q, size_t dim, struct vectors_hit *hits, size_t *n,
                           struct error *err)
{
    sqlite3_stmt *st;
    enum status status = db_prepare(db, "SELECT f FROM vectors_exact WHERE chunk = ?1"
                                        " AND EXISTS (SELECT 1 FROM places WHERE chunk = ?1)", &st, err);
    if (status) return status;
    size_t kept = 0;
    for (size_t i = 0; i < *n && status == OK; i++) {
        sqlite3_bind_int64(st, 1, hits[i].chunk);
        int rc = sqlite3_step(st);
        if (rc == SQLITE_ROW && (size_t)sqlite3_column_bytes(st, 0) == dim * sizeof(float)) {
            float x[VECTORS_MAX_DIM], sum = 0;
            memcpy(x, sqlite3_column_blob(st, 0), dim * sizeof *x);
            for (size_t k = 0; k < dim; k++) sum += x[k] * q[k];
            hits[kept] = hits[i];
            hits[kept++].score = sum;
        } else if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
            status = db_fail(db, "reading vectors", err);
        }
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    *n = kept;
    qsort(hits, kept, sizeof *hits, by_score);
    return status;
}
