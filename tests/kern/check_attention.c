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

/* What attention can have besides. */
struct variant {
    const char *name;
    bool window, sink, alibi;
    float softcap;
    float loud; /* factor on the queries; 0: 1 */
};

static const struct variant variants[] = {
    {"plain"},
    {"window", .window = true},
    {"sink", .sink = true},
    {"alibi", .alibi = true},
    {"softcap", .softcap = 50},
    {"loud softcap", .softcap = 30, .loud = 300},
    {"all", .window = true, .sink = true, .alibi = true, .softcap = 20, .loud = 5},
};
enum { N_VARIANTS = sizeof variants / sizeof variants[0] };

/* Keys and values of a head, and queries at them. */
struct scene {
    uint8_t *pages[MAX_PAGES];
    uint32_t kv0[MAX_QUERIES], n_kv[MAX_QUERIES], pos[MAX_QUERIES];
    float sink[MAX_QUERIES], slope[MAX_QUERIES];
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
    float x[KERN_HEAD_MAX];
    for (size_t at = 0; at < KERN_KV_PAGE; at++) {
        random_vector(x, a->head_dim);
        kern_scalar->kv_write(a->k_format, true, page + a->k_offset, a->head_dim, at, x);
        random_vector(x, a->v_dim);
        kern_scalar->kv_write(a->v_format, false, page + a->v_offset, a->v_dim, at, x);
    }
}

/* Ends and beginnings at pages' edges and beside them, windows of one position and of all. */
static void scene_ranges(struct scene *s, size_t n_q, bool window)
{
    for (size_t i = 0; i < n_q; i++) {
        uint32_t n = i < 4 ? 1 + (uint32_t)i * 32 : 1 + rng() % (MAX_PAGES * 32);
        uint32_t last_page = (n - 1) / 32 * 32;
        uint32_t starts[] = {n - 1, 0, last_page, last_page ? last_page - 1 : 0, rng() % n, n / 2};
        s->n_kv[i] = n;
        s->kv0[i] = window ? starts[rng() % 6] : 0;
        s->pos[i] = rng() % 4 ? n - 1 : rng() % (MAX_PAGES * 32);
        static const float sinks[] = {-INFINITY, -40, 0, 1, 5, 80, 1e4f};
        s->sink[i] = sinks[rng() % 7];
        s->slope[i] = exp2f(-(float)(rng() % 9));
    }
}

static void scene_init(struct scene *s, const struct variant *x, size_t hd, size_t vd, size_t n_q,
                       enum kern_kv_format k, enum kern_kv_format v)
{
    float *q = alloc(n_q * hd * 4);
    for (size_t i = 0; i < n_q * hd; i++) q[i] = rng_float() * 3 * (x->loud > 0 ? x->loud : 1);
    scene_ranges(s, n_q, x->window);
    s->ref = alloc(n_q * vd * 4);
    s->a = (struct kern_attn){.k_format = k,
                              .v_format = v,
                              .q = q,
                              .out = alloc(n_q * vd * 4),
                              .q_stride = hd,
                              .out_stride = vd,
                              .n_kv = s->n_kv,
                              .kv0 = x->window ? s->kv0 : NULL,
                              .n_q = n_q,
                              .head_dim = hd,
                              .v_dim = vd,
                              .scale = 1 / sqrtf((float)hd),
                              .softcap = x->softcap,
                              .sink = x->sink ? s->sink : NULL,
                              .slope = x->alibi ? s->slope : NULL,
                              .pos = x->alibi ? s->pos : NULL,
                              .pages = (const uint8_t *const *)s->pages,
                              .k_offset = 0,
                              .v_offset = kern_kv_bytes(k, hd),
                              .scratch = alloc(kern_attn_scratch_bytes(hd, vd))};
    for (int p = 0; p < MAX_PAGES; p++) {
        s->pages[p] = alloc(kern_kv_bytes(k, hd) + kern_kv_bytes(v, vd));
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

/* The score of query i at position j in double, and the sum of its terms' magnitudes. */
static double true_score(const struct scene *s, size_t i, uint32_t j, double *size)
{
    const struct kern_attn *a = &s->a;
    float key[KERN_HEAD_MAX];
    kern_kv_read(a->k_format, true, s->pages[j / 32] + a->k_offset, a->head_dim, j % 32, key);
    double x = 0, distance = a->slope ? fabs((double)a->pos[i] - j) * a->slope[i] : 0;
    *size = distance;
    for (size_t d = 0; d < a->head_dim; d++) {
        double term = (double)a->q[i * a->head_dim + d] * key[d] * a->scale;
        x += term;
        *size += fabs(term);
    }
    return (a->softcap > 0 ? a->softcap * tanh(x / a->softcap) : x) - distance;
}

/* Query i in double. Returns how far single precision may be from it: what the rounding of scores does
 * to the largest sum of weighted magnitudes. */
static float truth(const struct scene *s, size_t i, float *out)
{
    const size_t vd = s->a.v_dim;
    double p[MAX_PAGES * 32], top = -INFINITY, largest = 0, most = 0, sum = 0, sunk = 0;
    double o[KERN_HEAD_MAX] = {0}, size[KERN_HEAD_MAX] = {0};
    const uint32_t first = s->a.kv0 ? s->a.kv0[i] : 0;
    for (uint32_t j = first; j < s->n_kv[i]; j++) {
        double terms;
        p[j] = true_score(s, i, j, &terms);
        top = fmax(top, p[j]);
        largest = fmax(largest, terms);
    }
    if (s->a.sink) sunk = exp(s->a.sink[i] - top);
    for (uint32_t j = first; j < s->n_kv[i]; j++) {
        float value[KERN_HEAD_MAX];
        sum += p[j] = exp(p[j] - top);
        kern_kv_read(s->a.v_format, false, s->pages[j / 32] + s->a.v_offset, vd, j % 32, value);
        for (size_t d = 0; d < vd; d++) {
            o[d] += p[j] * value[d];
            size[d] += p[j] * fabs((double)value[d]);
        }
    }
    for (size_t d = 0; d < vd; d++) {
        out[d] = (float)(o[d] / (sum + sunk));
        most = fmax(most, size[d] / sum);
    }
    return (float)(most * (1e-6 + 1e-7 * largest * sqrt((double)s->a.head_dim)));
}

/* Calls of n queries each, from the first on; the last may be shorter. What a call may not read is
 * missing. */
static void run_in_parts(const struct kern_ops *ops, const struct scene *s, size_t n)
{
    for (size_t i = 0; i < s->a.n_q; i += n) {
        struct kern_attn part = s->a;
        part.q += i * part.q_stride;
        part.out += i * part.out_stride;
        part.n_kv += i;
        if (part.kv0) part.kv0 += i;
        if (part.sink) part.sink += i;
        if (part.slope) part.slope += i, part.pos += i;
        part.n_q = s->a.n_q - i < n ? s->a.n_q - i : n;
        uint32_t first = UINT32_MAX, end = 0;
        for (size_t k = 0; k < part.n_q; k++) {
            uint32_t kv0 = part.kv0 ? part.kv0[k] : 0;
            if (kv0 < first) first = kv0;
            if (part.n_kv[k] > end) end = part.n_kv[k];
        }
        const uint8_t *pages[MAX_PAGES];
        for (uint32_t p = 0; p < MAX_PAGES; p++)
            pages[p] = p >= first / 32 && p * 32 < end ? s->pages[p] : NULL;
        part.pages = pages;
        ops->attention(&part);
    }
}

static float worst; /* error, in shares of what is allowed */

static void check(const struct kern_ops *ops, const struct variant *x, size_t hd, size_t vd,
                  size_t n_q, enum kern_kv_format k_format, enum kern_kv_format v_format)
{
    static const size_t parts[] = {1, 3, 8, 17, 50, MAX_QUERIES, 2, 5, 6, 7, 9, 33};
    const size_t n_parts = x == &variants[0] && hd < 512 ? sizeof parts / sizeof parts[0] : 6;
    struct scene s;
    scene_init(&s, x, hd, vd, n_q, k_format, v_format);
    run_in_parts(kern_scalar, &s, 1);
    memcpy(s.ref, s.a.out, n_q * vd * 4);
    for (size_t i = 0; i < n_q && ops == kern_scalar; i++) {
        float t[KERN_HEAD_MAX], most = truth(&s, i, t), off = 0;
        for (size_t d = 0; d < vd; d++) off = fmaxf(off, fabsf(s.ref[i * vd + d] - t[d]));
        if (off > worst * most) worst = off / most;
        expect(off <= most, "attention truth", x->name, "head_dim, query", hd, i);
    }
    for (size_t k = 0; k < n_parts; k++) {
        memset(s.a.out, 0xff, n_q * vd * 4);
        memset(s.a.scratch, 0xff, kern_attn_scratch_bytes(hd, vd));
        run_in_parts(ops, &s, parts[k]);
        expect(same(ops, s.a.out, s.ref, n_q * vd), x->name, ops->name, "head_dim, in parts of", hd,
               parts[k]);
    }
    scene_fini(&s);
}

/* Halves of position `at` that no sum survives. */
static void poison(const struct scene *s, uint32_t at)
{
    uint16_t *k = (uint16_t *)(s->pages[at / 32] + s->a.k_offset);
    uint16_t *v = (uint16_t *)(s->pages[at / 32] + s->a.v_offset);
    for (size_t d = 0; d < s->a.head_dim; d++) k[d * 32 + at % 32] = 0x7e00;
    for (size_t d = 0; d < s->a.v_dim; d++) v[at % 32 * s->a.v_dim + d] = 0x7e00;
}

/* Nothing but what is seen matters: the rest of its pages may hold anything. */
static void check_unseen(const struct kern_ops *ops, size_t n_q)
{
    struct scene s;
    scene_init(&s, &variants[N_VARIANTS - 1], 64, 32, n_q, KERN_KV_F16, KERN_KV_F16);
    for (size_t i = 0; i < n_q; i++) {
        s.kv0[i] = 37 + rng() % 7;
        s.n_kv[i] = 100 - rng() % 9;
    }
    s.kv0[0] = 37, s.n_kv[0] = 100;
    ops->attention(&s.a);
    memcpy(s.ref, s.a.out, n_q * 32 * 4);
    for (uint32_t at = 0; at < MAX_PAGES * 32; at++)
        if (at < 37 || at >= 100) poison(&s, at);
    ops->attention(&s.a);
    expect(memcmp(s.ref, s.a.out, n_q * 32 * 4) == 0, "unseen", ops->name, "queries", n_q, 0);
    scene_fini(&s);
}

/* A NaN in a query or a sink shows, in its own query only. */
static void check_broken(const struct kern_ops *ops, const struct variant *x, size_t n_q)
{
    struct scene s;
    scene_init(&s, x, 32, 32, n_q, KERN_KV_F16, KERN_KV_F16);
    float *q = (float *)s.a.q;
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 2 && !x->sink) continue;
        q[5] = kind == 0 ? NAN : kind == 1 ? INFINITY : 1;
        if (kind == 2) s.sink[0] = NAN;
        ops->attention(&s.a);
        for (size_t i = 0; i < n_q * 32; i++)
            expect(i < 32 ? kind == 1 || isnan(s.a.out[i]) : isfinite(s.a.out[i]), "broken", ops->name,
                   x->name, n_q, i);
    }
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
    static float x[KERN_KV_PAGE][KERN_HEAD_MAX], y[KERN_HEAD_MAX];
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
    float x[KERN_HEAD_MAX], y[KERN_HEAD_MAX], z[KERN_HEAD_MAX];
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
    static const size_t dims[] = {16, 48, 64, 80, 96, 112, 128, 256, 512, 576};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
        size_t hd = dims[i], n_q = hd == 64 ? MAX_QUERIES : 53;
        for (int f = 0; f < KERN_KV_FORMATS; f++) {
            enum kern_kv_format k = (enum kern_kv_format)f;
            expect((kern_kv_bytes(k, hd) == 0) == (hd % 32 && f), "size", ops->name, "head_dim", hd,
                   0);
            if (hd % 32 && f) continue;
            check_write(ops, k, true, hd);
            check_write(ops, k, false, hd);
            check(ops, &variants[0], hd, hd, n_q, k, k);
        }
        if (hd % 32) continue;
        check(ops, &variants[0], hd, hd, n_q, KERN_KV_Q8, KERN_KV_Q4);
        check_hadamard(ops, hd);
    }
}

static void check_variants(const struct kern_ops *ops)
{
    /* Multi-head latent attention has the first two. */
    static const size_t dims[][2] = {{576, 512}, {192, 128}, {64, 64}, {32, 48}, {80, 16}};
    for (size_t x = 0; x < N_VARIANTS; x++) {
        for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
            for (int f = 0; f < KERN_KV_FORMATS; f++) {
                enum kern_kv_format k = (enum kern_kv_format)f;
                size_t hd = dims[i][0], vd = dims[i][1];
                if (kern_kv_bytes(k, hd) && kern_kv_bytes(k, vd) && (hd < 512 || f != KERN_KV_Q4))
                    check(ops, &variants[x], hd, vd, hd == 64 ? MAX_QUERIES : hd == 576 ? 27 : 53, k, k);
            }
        for (size_t n = 1; n < 60; n += 7) check_broken(ops, &variants[x], n);
    }
    for (size_t n = 1; n < 60; n += 7) check_unseen(ops, n);
}

/* Multiply-adds per second at n_q queries of which all see the same pages. */
static void bench(const struct kern_ops *ops, size_t hd, size_t n_q, enum kern_kv_format f)
{
    enum { PAGES = 64 };
    struct scene s;
    scene_init(&s, &variants[0], hd, hd, n_q, f, f);
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
        if (timing) continue;
        check_table(tables[i]);
        check_variants(tables[i]);
    }
    if (!timing)
        printf("%d checks, %d failures, %zu tables, error up to %.2f of the allowed\n", checks, failures,
               n, (double)worst);
    return failures != 0;
}
