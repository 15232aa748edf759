/* How fast the index is: bench_index [FILES [DIR]]. Makes FILES (20000) small source files of ten functions each,
 * or takes what lies under DIR, and measures indexing, an update after one save and after 1000 touched files,
 * and searches with vectors (random ones of 384 numbers) against the exact order. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "index/index.h"
#include "index/reader.h"

enum { DIM = 384, QUERIES = 200, WORDS = 4000, TOUCHED = 1000, SAVES = 300 };

static uint32_t seed = 7;
static uint32_t rng(void) { return seed = seed * 1664525u + 1013904223u, seed >> 8; }

/* Some words are much more frequent than others, as in code. */
static int word(void)
{
    double u = (rng() % 100000 + 1) / 100000.0;
    return (int)(WORDS * u * u * u * u) % WORDS;
}

static void put(const char *root, int k, int version)
{
    char path[512], text[8192];
    int n = snprintf(text, sizeof text, "import mod_%d\n\n", k % 100);
    for (int f = 0; f < 10; f++)
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "def word%d_file%d_fun%d(arg):\n    value%d = load_word%d(arg, word%d)\n    if value%d:\n"
                      "        return word%d(value%d)\n    return None\n\n\n",
                      word(), k, f, version, word(), word(), version, word(), version);
    snprintf(path, sizeof path, "%s/d%03d", root, k / 100);
    file_make_dirs(path, NULL);
    snprintf(path, sizeof path, "%s/d%03d/f%05d.py", root, k / 100, k);
    FILE *f = fopen(path, "w");
    if (f) {
        fwrite(text, 1, (size_t)n, f);
        fclose(f);
    }
}

static void vector_of(const char *data, size_t len, float *x)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)data[i]) * 16777619u;
    double sum = 0;
    for (int i = 0; i < DIM; i++) {
        h = h * 1664525u + 1013904223u;
        x[i] = (float)(h >> 8) / (1 << 23) - 1;
        sum += (double)x[i] * x[i];
    }
    for (int i = 0; i < DIM; i++) x[i] /= (float)sqrt(sum);
}

static enum status embed(void *ctx, const struct index_text *texts, size_t n, float *out, struct error *err)
{
    (void)ctx;
    (void)err;
    for (size_t i = 0; i < n; i++) vector_of(texts[i].data, texts[i].len, out + i * DIM);
    return OK;
}

static int by_value(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

static int fail(const struct error *err)
{
    fprintf(stderr, "%s\n", err->msg);
    return 1;
}

/* All float vectors of the index, one behind the other, and their chunks. */
struct exact {
    float *x;
    int64_t *chunk;
    size_t n;
};

static int read_exact(struct index *ix, struct exact *e)
{
    sqlite3_stmt *all;
    struct error err;
    e->x = malloc(ix->vectors.n * DIM * sizeof *e->x);
    e->chunk = malloc(ix->vectors.n * sizeof *e->chunk);
    if (!e->x || !e->chunk || db_prepare(&ix->db, "SELECT chunk, f FROM vectors_exact", &all, &err)) return 1;
    while (e->n < ix->vectors.n && sqlite3_step(all) == SQLITE_ROW) {
        memcpy(e->x + e->n * DIM, sqlite3_column_blob(all, 1), DIM * sizeof *e->x);
        e->chunk[e->n++] = sqlite3_column_int64(all, 0);
    }
    sqlite3_finalize(all);
    return 0;
}

/* How many of the best ten by floats, one after the other, the index finds among its best ten. */
static double recall(struct index *ix, const struct exact *e, const float *q)
{
    struct vectors_hit hits[100], best[11] = {{0}};
    struct error err;
    size_t n = 0, found = 0, have = 0;
    vectors_scan(&ix->vectors, NULL, q, hits, 100, &n);
    vectors_rerank(&ix->db, q, DIM, hits, &n, &err);
    for (size_t k = 0; k < e->n; k++) {
        const float *x = e->x + k * DIM;
        float sum = 0;
        for (int i = 0; i < DIM; i++) sum += x[i] * q[i];
        size_t at = have < 10 ? have++ : 10;
        best[at] = (struct vectors_hit){e->chunk[k], sum};
        for (; at > 0 && best[at].score > best[at - 1].score; at--) {
            struct vectors_hit t = best[at];
            best[at] = best[at - 1];
            best[at - 1] = t;
        }
    }
    for (size_t i = 0; i < 10; i++)
        for (size_t k = 0; k < 10 && k < n; k++) found += hits[k].chunk == best[i].chunk;
    return (double)found / 10;
}

static int search(const char *root, const char *cache)
{
    struct index *ix;
    struct error err;
    double ms[QUERIES], words_ms[QUERIES], sum = 0;
    struct exact exact = {0};
    static float asked[QUERIES][DIM];
    if (index_open(root, cache, &ix, &err)) return fail(&err);
    for (int i = -5; i < QUERIES; i++) {
        char text[200];
        float v[DIM];
        struct index_hits h;
        snprintf(text, sizeof text, "load the word%d of word%d and return value for fun%d", word(), word(), i & 7);
        vector_of(text, strlen(text), v);
        for (int kind = 0; kind < 2; kind++) {
            struct index_query q = {.text = text, .vector = kind ? v : NULL, .dim = DIM};
            double t = clock_now();
            if (index_search(ix, &q, &h, &err)) return fail(&err);
            if (i >= 0) (kind ? ms : words_ms)[i] = (clock_now() - t) * 1000;
            index_hits_fini(&h);
        }
        if (i >= 0) memcpy(asked[i], v, sizeof v);
    }
    if (read_exact(ix, &exact)) return 1;
    for (int i = 0; i < QUERIES; i++) sum += recall(ix, &exact, asked[i]);
    free(exact.x);
    free(exact.chunk);
    qsort(ms, QUERIES, sizeof *ms, by_value);
    qsort(words_ms, QUERIES, sizeof *words_ms, by_value);
    printf("search, %zu vectors: p50 %.1f ms, p95 %.1f ms; by words alone p50 %.1f ms, p95 %.1f ms; recall@10 of %d queries %.4f\n",
           ix->vectors.n, ms[QUERIES / 2], ms[QUERIES * 95 / 100], words_ms[QUERIES / 2], words_ms[QUERIES * 95 / 100],
           QUERIES, sum / QUERIES);
    index_close(ix);
    return 0;
}

int main(int argc, char **argv)
{
    int files = argc > 1 ? atoi(argv[1]) : 20000;
    char top[] = "/tmp/hearth-bench-XXXXXX", root[256], cache[256], line[512];
    struct error err = {0};
    struct index_counts c;
    if (!mkdtemp(top)) return 1;
    snprintf(root, sizeof root, "%s/tree", top);
    snprintf(cache, sizeof cache, "%s/cache", top);
    if (argc > 2) snprintf(root, sizeof root, "%s", argv[2]);
    for (int k = 0; k < files && argc <= 2; k++) put(root, k, 1);
    struct index_update_options opt = {.cache = cache};
    if (index_update(root, &opt, &c, &err)) return fail(&err);
    printf("indexing: %llu files, %.1f MB in %.2f s, %.0f files/s, %llu chunks\n", (unsigned long long)c.read,
           (double)c.bytes / 1e6, c.seconds, (double)c.read / c.seconds, (unsigned long long)c.chunks_new);
    double one[SAVES];
    bool done;
    const char *path = "d000/f00007.py";
    for (int i = 0; i < SAVES && argc <= 2; i++) {
        put(root, 7, 2 + i);
        double t = clock_now();
        if (index_update_paths(root, &opt, &path, 1, &c, &err)) return fail(&err);
        one[i] = (clock_now() - t) * 1000;
        if (i % 10 == 9 && index_tidy(root, &opt, 0.02, &done, &err)) return fail(&err); /* as a watch does when idle */
    }
    if (argc <= 2) {
        qsort(one, SAVES, sizeof *one, by_value);
        printf("after one save: median %.1f ms, p99 %.1f ms, worst of %d %.1f ms\n", one[SAVES / 2], one[SAVES * 99 / 100],
               SAVES, one[SAVES - 1]);
        usleep(50000);
        for (int k = 0; k < TOUCHED && k < files; k++) {
            snprintf(line, sizeof line, "%s/d%03d/f%05d.py", root, k / 100, k);
            if (truncate(line, 100)) return 1;
        }
        usleep(50000);
        if (index_update(root, &opt, &c, &err)) return fail(&err);
        printf("after touching %d: %llu read in %.2f s\n", TOUCHED, (unsigned long long)c.read, c.seconds);
    }
    struct index_embedder e = {.model = "random", .dim = DIM, .batch = 1024, .embed = embed};
    if (index_embed(root, &opt, &e, NULL, &err)) return fail(&err);
    int rc = search(root, cache);
    snprintf(line, sizeof line, "rm -rf '%s'", top);
    return system(line) ? 1 : rc;
}
