/* Attention of every instruction set against the scalar table, bit for bit, and against exact
 * arithmetic within rounding; `--bench` times it. (sse2 rounds multiply-adds twice and is compared
 * within a tolerance instead.) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kern_kit.h"

enum { MAX_PAGES = 4, MAX_QUERIES = KERN_ATTN_MAX_Q };

static bool close_enough(const float *a, const float *b, size_t n, float tol)
{
    float top = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(b[i]) > top) top = fabsf(b[i]);
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= tol * top)) return false;
    return true;
}

static bool same(const struct kern_ops *ops, const float *a, const float *ref, size_t n)
{
    return exact(ops) ? memcmp(a, ref, n * 4) == 0 : close_enough(a, ref, n, 1e-5f);
}

/* Keys and values of a head, and queries at them. */
struct scene {
    uint8_t *pages[MAX_PAGES];
    uint32_t n_kv[MAX_QUERIES];
    struct kern_attn a;
    float *ref;
};

/* Some of it large, zero, or no number. */
static void random_vector(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = rng_float();
    if (rng() % 4 == 0) x[rng() % n] *= 100;
    if (rng() % 16 == 0) memset(x, 0, 32 * sizeof *x);
}

static void fill_page(uint8_t *page, const struct kern_attn *a)
{
    float x[512];
    for (size_t at = 0; at < KERN_KV_PAGE; at++) {
        random_vector(x, a->head_dim);
        kern_scalar->kv_write(a->k_format, true, page + a->k_offset, a->head_dim, at, x);
        random_vector(x, a->head_dim);
        kern_scalar->kv_write(a->v_format, false, page + a->v_offset, a->head_dim, at, x);
    }
}

static void scene_init(struct scene *s, size_t hd, size_t n_q, enum kern_kv_format k,
                       enum kern_kv_format v)
{
    float *q = alloc(n_q * hd * 4);
    for (size_t i = 0; i < n_q * hd; i++) q[i] = rng_float() * 3;
    for (size_t i = 0; i < n_q; i++)
        s->n_kv[i] = i < 4 ? 1 + (uint32_t)i * 32 : 1 + rng() % (MAX_PAGES * 32);
    s->ref = alloc(n_q * hd * 4);
    s->a = (struct kern_attn){.k_format = k,
                              .v_format = v,
                              .q = q,
                              .out = alloc(n_q * hd * 4),
                              .q_stride = hd,
                              .out_stride = hd,
                              .n_kv = s->n_kv,
                              .n_q = n_q,
                              .head_dim = hd,
                              .scale = 1 / sqrtf((float)hd),
                              .pages = (const uint8_t *const *)s->pages,
                              .k_offset = 0,
                              .v_offset = kern_kv_bytes(k, hd),
                              .scratch = alloc(kern_attn_scratch_bytes(hd, 0))};
    for (int p = 0; p < MAX_PAGES; p++) {
        s->pages[p] = alloc(kern_kv_bytes(k, hd) + kern_kv_bytes(v, hd));
        fill_page(s->pages[p], &s->a);
    }
}

static void scene_fini(struct scene *s)
{
    for (int p = 0; p < MAX_PAGES; p++) free(s->pages[p]);
    free((void *)s->a.q);
    free(s->a.out);
    free(s->a.scratch);
    free(s->ref);
}

/* Query i in double. */
static void truth(const struct scene *s, size_t i, float *out)
{
    size_t hd = s->a.head_dim;
    double p[MAX_PAGES * 32], sum = 0, top = -1e300, o[512] = {0};
    float kv[512];
    for (uint32_t j = 0; j < s->n_kv[i]; j++) {
        kern_kv_read(s->a.k_format, true, s->pages[j / 32] + s->a.k_offset, hd, j % 32, kv);
        double x = 0;
        for (size_t d = 0; d < hd; d++) x += (double)s->a.q[i * hd + d] * kv[d];
        p[j] = x * s->a.scale;
        if (p[j] > top) top = p[j];
    }
    for (uint32_t j = 0; j < s->n_kv[i]; j++) {
        sum += p[j] = exp(p[j] - top);
        kern_kv_read(s->a.v_format, false, s->pages[j / 32] + s->a.v_offset, hd, j % 32, kv);
        for (size_t d = 0; d < hd; d++) o[d] += p[j] * kv[d];
    }
    for (size_t d = 0; d < hd; d++) out[d] = (float)(o[d] / sum);
}

/* Runs of n queries each, from the first on; the last may be shorter. */
static void run_in_parts(const struct kern_ops *ops, const struct scene *s, size_t n)
{
    for (size_t i = 0; i < s->a.n_q; i += n) {
        struct kern_attn part = s->a;
        part.q += i * part.q_stride;
        part.out += i * part.out_stride;
        part.n_kv += i;
        part.n_q = s->a.n_q - i < n ? s->a.n_q - i : n;
        ops->attention(&part);
    }
}

static void check(const struct kern_ops *ops, size_t hd, size_t n_q, enum kern_kv_format k_format,
                  enum kern_kv_format v_format)
{
    static const size_t parts[] = {1, 2, 3, 5, 6, 7, 8, 9, 17, 33, 50, MAX_QUERIES};
    struct scene s;
    scene_init(&s, hd, n_q, k_format, v_format);
    run_in_parts(kern_scalar, &s, 1);
    memcpy(s.ref, s.a.out, n_q * hd * 4);
    float *t = alloc(n_q * hd * 4);
    for (size_t i = 0; i < n_q; i++) truth(&s, i, t + i * hd);
    expect(close_enough(s.ref, t, n_q * hd, 1e-5f), "attention truth", "scalar", "head_dim", hd, 0);
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        memset(s.a.out, 0xff, n_q * hd * 4);
        memset(s.a.scratch, 0xff, kern_attn_scratch_bytes(hd, 0));
        run_in_parts(ops, &s, parts[k]);
        expect(same(ops, s.a.out, s.ref, n_q * hd), "attention in parts", ops->name, "head_dim", hd,
               parts[k]);
    }
    free(t);
    scene_fini(&s);
}

/* How far a written vector may be from what is read back, as a share of its block's largest. Four
 * bits have no +8. */
static const float rounding[KERN_KV_FORMATS] = {0.5f / 1024, 0.51f / 127, 1.01f / 8};

static bool near(enum kern_kv_format f, const float *read, const float *x, size_t n)
{
    for (size_t b = 0; b < n; b += 16) {
        float top = 1e-5f;
        for (size_t i = b / 32 * 32; i < b / 32 * 32 + 32 && i < n; i++)
            if (fabsf(x[i]) > top) top = fabsf(x[i]);
        for (size_t i = b; i < b + 16; i++)
            if (!(fabsf(read[i] - x[i]) <= top * rounding[f])) return false;
    }
    return true;
}

/* Written anywhere, a vector reads back nearly, and its neighbours stay. */
static void check_write(const struct kern_ops *ops, enum kern_kv_format f, bool keys, size_t hd)
{
    size_t bytes = kern_kv_bytes(f, hd);
    uint8_t *ref = alloc(bytes), *data = alloc(bytes);
    static float x[KERN_KV_PAGE][512], y[512];
    memset(ref, 0xff, bytes);
    memset(data, 0xff, bytes);
    for (size_t n = 0; n < KERN_KV_PAGE; n++) {
        size_t at = n * 13 % KERN_KV_PAGE;
        random_vector(x[at], hd);
        ops->kv_write(f, keys, data, hd, at, x[at]);
        kern_scalar->kv_write(f, keys, ref, hd, at, x[at]);
    }
    expect(memcmp(data, ref, bytes) == 0, "kv_write", ops->name, "head_dim", hd, f);
    for (size_t at = 0; at < KERN_KV_PAGE; at++) {
        kern_kv_read(f, keys, data, hd, at, y);
        expect(near(f, y, x[at], hd), keys ? "key read back" : "value read back", ops->name,
               "head_dim", hd, at);
    }
    x[0][3] = INFINITY, x[0][hd - 1] = -INFINITY, x[0][7] = NAN;
    ops->kv_write(f, keys, data, hd, 0, x[0]);
    kern_kv_read(f, keys, data, hd, 0, y);
    for (size_t d = 0; d < hd; d++)
        expect(isfinite(y[d]), "infinity kept out", ops->name, "head_dim", hd, d);
    free(ref);
    free(data);
}

static void check_hadamard(const struct kern_ops *ops, size_t n)
{
    float x[512], y[512], z[512];
    for (size_t i = 0; i < n; i++) x[i] = rng_float();
    memcpy(y, x, sizeof x);
    memcpy(z, x, sizeof x);
    ops->hadamard(y, n);
    kern_scalar->hadamard(z, n);
    expect(same(ops, y, z, n), "hadamard", ops->name, "head_dim", n, 0);
    size_t block = n & (~n + 1);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t k = 0; k < block; k++)
            sum +=
                x[i / block * block + k] * (__builtin_parity((unsigned)(i % block & k)) ? -1. : 1.);
        z[i] = (float)(sum / sqrt((double)block));
    }
    expect(close_enough(y, z, n, 1e-5f), "hadamard truth", ops->name, "head_dim", n, 1);
    ops->hadamard(y, n);
    expect(close_enough(y, x, n, 1e-5f), "hadamard inverse", ops->name, "head_dim", n, 2);
}

static void check_table(const struct kern_ops *ops)
{
    static const size_t dims[] = {16, 48, 64, 80, 96, 128, 512};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
        size_t hd = dims[i], n_q = hd == 64 ? MAX_QUERIES : 53;
        for (int f = 0; f < KERN_KV_FORMATS; f++) {
            enum kern_kv_format k = (enum kern_kv_format)f;
            expect((kern_kv_bytes(k, hd) == 0) == (hd % 32 && f), "size", ops->name, "head_dim", hd,
                   0);
            if (hd % 32 && f) continue;
            check_write(ops, k, true, hd);
            check_write(ops, k, false, hd);
            check(ops, hd, n_q, k, k);
        }
        if (hd % 32) continue;
        check(ops, hd, n_q, KERN_KV_Q8, KERN_KV_Q4);
        check_hadamard(ops, hd);
    }
}

/* Multiply-adds per second at n_q queries of which all see the same pages. */
static void bench(const struct kern_ops *ops, size_t hd, size_t n_q, enum kern_kv_format f)
{
    enum { PAGES = 64 };
    struct scene s;
    scene_init(&s, hd, n_q, f, f);
    const uint8_t *pages[PAGES];
    for (int p = 0; p < PAGES; p++) pages[p] = s.pages[p % MAX_PAGES];
    for (size_t i = 0; i < n_q; i++) s.n_kv[i] = PAGES * KERN_KV_PAGE;
    s.a.pages = pages;
    double best = 1e9;
    for (int rep = 0; rep < 40; rep++) {
        double t0 = clock_now();
        ops->attention(&s.a);
        double dt = clock_now() - t0;
        if (dt < best) best = dt;
    }
    printf("%-8s head_dim %3zu, %3zu queries, %s: %6.1f Gflop/s\n", ops->name, hd, n_q,
           f == KERN_KV_F16  ? "f16"
           : f == KERN_KV_Q8 ? "q8"
                             : "q4",
           4e-9 * (double)(hd * n_q * PAGES * KERN_KV_PAGE) / best);
    scene_fini(&s);
}

int main(int argc, char **argv)
{
    const struct kern_ops *tables[8];
    size_t n = kern_available(tables, 8);
    struct error err;
    if (kern_select("scalar", &kern_scalar, &err)) return 99;
    bool timing = argc > 1 && strcmp(argv[1], "--bench") == 0;
    for (size_t i = 0; i < n; i++) {
        static const size_t counts[] = {1, 6, 7, 24, 63, 192};
        if (timing && (argc < 3 || strcmp(argv[2], tables[i]->name) == 0))
            for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
                for (int f = 0; f < KERN_KV_FORMATS; f++)
                    bench(tables[i], 128, counts[c], (enum kern_kv_format)f);
        if (!timing) check_table(tables[i]);
    }
    if (!timing) printf("%d checks, %d failures, %zu tables\n", checks, failures, n);
    return failures != 0;
}
