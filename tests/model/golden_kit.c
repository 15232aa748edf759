#include "golden_kit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf.h"
#include "model/model.h"

void golden_assert_ok(enum status st, const struct error *err)
{
    if (st != OK) fail_msg("%s: %s", status_name(st), err->msg);
}

static void golden_path(char *dst, size_t cap, const char *name, const char *ext)
{
    const char *dir = getenv("HEARTH_GOLDEN_DIR");
    snprintf(dst, cap, "%s/%s%s.%s", dir ? dir : GOLDEN_DIR, strchr(name, '/') ? "" : "tiny/", name,
             ext);
}

struct golden golden_load(const char *name)
{
    struct golden g = {0};
    char path[4096];
    golden_path(path, sizeof path, name, "golden");
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("cannot open %s", path);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long size = ftell(f);
    rewind(f);
    assert_true(size > 20);
    g.file = malloc((size_t)size);
    assert_non_null(g.file);
    assert_int_equal(fread(g.file, 1, (size_t)size, f), size);
    fclose(f);
    bool both = memcmp(g.file, "HGOLD01", 8) == 0; /* 02: without what rounding alike gives */
    assert_true(both || memcmp(g.file, "HGOLD02", 8) == 0);
    const int32_t *head = (const int32_t *)(g.file + 8);
    g.n_ids = head[0], g.n_pos = head[1], g.n_vocab = head[2];
    assert_int_equal(size, 20 + 4 * (g.n_ids + g.n_pos + (both ? 2 : 1) * g.n_pos * g.n_vocab));
    g.ids = head + 3;
    g.pos = g.ids + g.n_ids;
    g.exact = (const float *)(g.pos + g.n_pos);
    if (both) g.rounded = g.exact + g.n_pos * g.n_vocab;
    return g;
}

struct loaded golden_open(const char *name, const char *table, const char *kv_type)
{
    struct loaded l = {0};
    struct error err = {0};
    struct model_options opt = {.n_threads = 1, .kv_type = kv_type};
    char path[4096];
    golden_path(path, sizeof path, name, "gguf");
    if (table)
        setenv("HEARTH_CPU", table, 1);
    else
        unsetenv("HEARTH_CPU");
    golden_assert_ok(gguf_open(path, &l.g, &err), &err);
    golden_assert_ok(model_open(l.g, &opt, &l.m, &err), &err);
    return l;
}

void golden_close(struct loaded *l)
{
    model_close(l->m);
    gguf_close(l->g);
}

void golden_feed(struct forward *f, struct kv_seq *s, const int32_t *ids, size_t n, float *logits)
{
    struct forward_row rows[256];
    struct error err = {0};
    assert_true(n <= 256);
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct forward_row){.seq = s, .token = ids[i], .logits = logits != NULL};
    golden_assert_ok(forward_run(f, rows, n, logits, NULL, &err), &err);
}

/* An encoder's text comes whole; `beside` of its tokens are another text in front of it. */
static void feed_encoder(struct forward *f, struct kv_pool *pool, struct kv_seq *s,
                         const int32_t *ids, size_t n, size_t beside, float *hidden)
{
    struct forward_row rows[256];
    struct error err = {0};
    struct kv_seq *other;
    assert_true(n + beside <= 256 && beside <= n);
    golden_assert_ok(kv_seq_create(pool, &other, &err), &err);
    for (size_t i = 0; i < beside; i++) rows[i] = (struct forward_row){.seq = other, .token = ids[i]};
    for (size_t i = 0; i < n; i++)
        rows[beside + i] = (struct forward_row){.seq = s, .token = ids[i], .logits = true};
    golden_assert_ok(forward_hidden(f, rows, beside + n, hidden, NULL, &err), &err);
    kv_seq_destroy(other);
}

float *golden_run(const struct model *m, int n_threads, size_t chunk, const int32_t *ids, size_t n)
{
    struct error err = {0};
    struct kv_pool *pool;
    struct kv_seq *seq;
    struct forward *f;
    bool encoder = model_info(m)->encoder;
    size_t n_vocab = encoder ? model_info(m)->n_embd : model_info(m)->n_vocab;
    size_t beside = encoder && chunk < n ? chunk : 0;
    float *out = malloc(n * n_vocab * sizeof *out);
    assert_non_null(out);
    golden_assert_ok(kv_pool_create(m, encoder ? 2 * n : n, &pool, &err), &err);
    golden_assert_ok(kv_seq_create(pool, &seq, &err), &err);
    golden_assert_ok(forward_create(m, n_threads, encoder ? n + beside : chunk, &f, &err), &err);
    if (encoder) feed_encoder(f, pool, seq, ids, n, beside, out);
    for (size_t at = 0; at < n && !encoder; at += chunk) {
        size_t k = n - at < chunk ? n - at : chunk;
        golden_feed(f, seq, ids + at, k, out + at * n_vocab);
    }
    assert_int_equal(kv_seq_len(seq), n);
    forward_destroy(f);
    kv_seq_destroy(seq);
    kv_pool_destroy(pool);
    return out;
}

void golden_assert_same(const float *a, const float *b, size_t n_rows, size_t n_vocab,
                        const char *what)
{
    for (size_t r = 0; r < n_rows; r++) {
        if (!memcmp(a + r * n_vocab, b + r * n_vocab, n_vocab * sizeof *a)) continue;
        for (size_t i = r * n_vocab;; i++)
            if (memcmp(a + i, b + i, sizeof *a))
                fail_msg("%s: row %zu, logit %zu: %.9g is not %.9g", what, r, i % n_vocab, a[i],
                         b[i]);
    }
}

double golden_max_rel(const struct golden *g, const float *want, const float *logits)
{
    double lo = INFINITY, hi = -INFINITY, diff = 0;
    for (int32_t p = 0; p < g->n_pos; p++) {
        const float *got = logits + (size_t)g->pos[p] * g->n_vocab;
        for (int32_t i = 0; i < g->n_vocab; i++) {
            double w = want[p * g->n_vocab + i], d = fabs(got[i] - w);
            lo = fmin(lo, w), hi = fmax(hi, w);
            if (!(d <= diff)) diff = d; /* a NaN is kept */
        }
    }
    return diff / (hi - lo);
}

float *golden_run_table(const char *name, const struct golden *g, const char *table, float *base)
{
    const size_t chunks[] = {(size_t)g->n_ids, 1, 7};
    struct loaded l = golden_open(name, table, NULL);
    assert_int_equal(model_info(l.m)->encoder ? model_info(l.m)->n_embd : model_info(l.m)->n_vocab,
                     g->n_vocab);
    for (int threads = 1; threads <= 3; threads++) {
        for (size_t c = 0; c < 3; c++) {
            char what[128];
            float *out = golden_run(l.m, threads, chunks[c], g->ids, (size_t)g->n_ids);
            snprintf(what, sizeof what, "%s, %d threads, batches of %zu", table, threads,
                     chunks[c]);
            if (!base) {
                base = out;
                continue;
            }
            golden_assert_same(out, base, (size_t)g->n_ids, (size_t)g->n_vocab, what);
            free(out);
        }
    }
    golden_close(&l);
    return base;
}
