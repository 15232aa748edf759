/* Attention of every instruction set against the scalar table, bit for bit, and against exact
 * arithmetic within rounding; `--bench` times it. (sse2 rounds multiply-adds twice and is compared
 * within a tolerance instead.) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kern/kern.h"

enum { MAX_PAGES = 4, MAX_QUERIES = KERN_ATTN_MAX_Q };

static uint64_t rng_state = 88172645463325252u;

static uint32_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 16);
}

static float rng_float(void)
{
    return (float)(rng() & 0xffffff) / 8388608.0f - 1.0f;
}

static void *alloc(size_t n)
{
    void *p = aligned_alloc(64, (n + 63) / 64 * 64 + 64);
    if (!p) exit(99);
    return p;
}

static int failures, checks;
static const struct kern_ops *kern_scalar; /* the reference */

static void expect(bool ok, const char *what, const char *table, size_t hd, size_t n)
{
    checks++;
    if (ok) return;
    failures++;
    if (failures < 40) printf("FAIL %s: %s, head_dim %zu, query %zu\n", what, table, hd, n);
}

static bool close_enough(const float *a, const float *b, size_t n, float tol)
{
    float top = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(b[i]) > top) top = fabsf(b[i]);
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= tol * top)) return false;
    return true;
}

static bool exact(const struct kern_ops *ops)
{
    return strcmp(ops->name, "sse2") != 0;
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

static void scene_init(struct scene *s, size_t hd, size_t n_q)
{
    size_t page_bytes = hd * KERN_KV_PAGE * 2 * 2;
    for (int p = 0; p < MAX_PAGES; p++) {
        s->pages[p] = alloc(page_bytes);
        uint16_t *h = (uint16_t *)s->pages[p];
        for (size_t i = 0; i < page_bytes / 2; i++) h[i] = quant_f32_to_f16(rng_float());
    }
    float *q = alloc(n_q * hd * 4);
    for (size_t i = 0; i < n_q * hd; i++) q[i] = rng_float() * 3;
    for (size_t i = 0; i < n_q; i++)
        s->n_kv[i] = i < 4 ? 1 + (uint32_t)i * 32 : 1 + rng() % (MAX_PAGES * 32);
    s->ref = alloc(n_q * hd * 4);
    s->a = (struct kern_attn){.q = q, .out = alloc(n_q * hd * 4), .q_stride = hd, .out_stride = hd,
                              .n_kv = s->n_kv, .n_q = n_q, .head_dim = hd,
                              .scale = 1 / sqrtf((float)hd),
                              .pages = (const uint8_t *const *)s->pages, .k_offset = 0,
                              .v_offset = hd * KERN_KV_PAGE * 2,
                              .scratch = alloc(kern_attn_scratch_bytes(hd))};
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
    double p[MAX_PAGES * 32], sum = 0, top = -1e300;
    for (uint32_t j = 0; j < s->n_kv[i]; j++) {
        const uint16_t *k = (const uint16_t *)s->pages[j / 32] + j % 32;
        double x = 0;
        for (size_t d = 0; d < hd; d++)
            x += (double)s->a.q[i * hd + d] * quant_f16_to_f32(k[d * 32]);
        p[j] = x * s->a.scale;
        if (p[j] > top) top = p[j];
    }
    for (uint32_t j = 0; j < s->n_kv[i]; j++) sum += p[j] = exp(p[j] - top);
    for (size_t d = 0; d < hd; d++) {
        double x = 0;
        for (uint32_t j = 0; j < s->n_kv[i]; j++)
            x += p[j] * quant_f16_to_f32(
                            ((const uint16_t *)s->pages[j / 32])[hd * 32 + j % 32 * hd + d]);
        out[d] = (float)(x / sum);
    }
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

static void check(const struct kern_ops *ops, size_t hd, size_t n_q)
{
    static const size_t parts[] = {1, 2, 3, 5, 6, 7, 8, 9, 17, 33, 50, MAX_QUERIES};
    struct scene s;
    scene_init(&s, hd, n_q);
    run_in_parts(kern_scalar, &s, 1);
    memcpy(s.ref, s.a.out, n_q * hd * 4);
    float *t = alloc(n_q * hd * 4);
    for (size_t i = 0; i < n_q; i++) truth(&s, i, t + i * hd);
    expect(close_enough(s.ref, t, n_q * hd, 1e-5f), "attention truth", "scalar", hd, 0);
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        memset(s.a.out, 0xff, n_q * hd * 4);
        memset(s.a.scratch, 0xff, kern_attn_scratch_bytes(hd));
        run_in_parts(ops, &s, parts[k]);
        expect(same(ops, s.a.out, s.ref, n_q * hd), "attention in parts", ops->name, hd, parts[k]);
    }
    free(t);
    scene_fini(&s);
}

/* Multiply-adds per second at n_q queries of which all see the same pages. */
static void bench(const struct kern_ops *ops, size_t hd, size_t n_q)
{
    enum { PAGES = 64 };
    struct scene s;
    scene_init(&s, hd, n_q);
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
    printf("%-8s head_dim %3zu, %3zu queries: %6.1f Gflop/s\n", ops->name, hd, n_q,
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
        static const size_t dims[] = {16, 48, 64, 80, 128, 512}, counts[] = {1, 6, 7, 63, 144, 192};
        if (timing && (argc < 3 || strcmp(argv[2], tables[i]->name) == 0))
            for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
                bench(tables[i], 128, counts[c]);
        for (size_t d = 0; !timing && d < sizeof dims / sizeof dims[0]; d++)
            check(tables[i], dims[d], dims[d] == 64 ? MAX_QUERIES : 53);
    }
    if (!timing) printf("%d checks, %d failures, %zu tables\n", checks, failures, n);
    return failures != 0;
}
