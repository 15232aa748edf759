/* Every kernel of every instruction set against the scalar table, bit for bit, and against exact
 * arithmetic on the decoded weights within rounding; `--bench` times them in the same program.
 * (sse2 rounds multiply-adds twice and is compared within a tolerance instead.) */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kern_kit.h"

/* The halves of a block that must be sane numbers: everything else may be any bits. */
static void fill_scales(const struct quant_traits *t, uint8_t *block, bool extreme)
{
    size_t at[2] = {0, 2};
    int n = 0;
    switch (t->id) {
    case QUANT_Q4_0: case QUANT_Q5_0: case QUANT_Q8_0: n = 1; break;
    case QUANT_Q4_1: case QUANT_Q5_1: case QUANT_Q4_K: case QUANT_Q5_K: n = 2; break;
    case QUANT_Q2_K: n = 2; at[0] = 80; at[1] = 82; break;
    case QUANT_Q3_K: n = 1; at[0] = 108; break;
    case QUANT_Q6_K: n = 1; at[0] = 208; break;
    case QUANT_IQ1_S: case QUANT_IQ2_XXS: case QUANT_IQ2_XS: case QUANT_IQ2_S: case QUANT_IQ3_XXS:
    case QUANT_IQ3_S: case QUANT_IQ4_NL: case QUANT_IQ4_XS: case QUANT_Q1_0: case QUANT_Q2_0:
        n = 1;
        break;
    case QUANT_TQ1_0: n = 1; at[0] = 52; break;
    case QUANT_TQ2_0: n = 1; at[0] = 64; break;
    case QUANT_IQ1_M: /* the half's bits are the top four of each scale word; of small numbers here */
        block[55] = (uint8_t)((block[55] & 0x8f) | 0x20);
        break;
    case QUANT_MXFP4: {
        static const uint8_t odd[] = {0, 1, 2, 253};
        block[0] = extreme && rng() % 2 ? odd[rng() % 4] : (uint8_t)(120 + rng() % 10);
        break;
    }
    default: break;
    }
    for (int i = 0; i < n; i++) {
        static const uint16_t odd[] = {0x0000, 0x8000, 0x0001, 0x03ff, 0x7bff, 0xfbff};
        uint16_t h = extreme && rng() % 2 ? odd[rng() % 6] : quant_f32_to_f16(rng_float() * 0.02f);
        memcpy(block + at[i], &h, 2);
    }
}

static void fill_rows(const struct quant_traits *t, uint8_t *rows, size_t n_blocks, int kind)
{
    for (size_t b = 0; b < n_blocks; b++) {
        uint8_t *p = rows + b * t->block_bytes;
        if (t->block_elems == 1) {
            float f = rng_float();
            uint16_t h = t->id == QUANT_BF16 ? quant_f32_to_bf16(f) : quant_f32_to_f16(f);
            if (t->id == QUANT_F32)
                memcpy(p, &f, 4);
            else
                memcpy(p, &h, 2);
            continue;
        }
        for (size_t i = 0; i < t->block_bytes; i++)
            p[i] = kind == 1 ? 0xff : kind == 2 ? 0x00 : (uint8_t)rng();
        fill_scales(t, p, kind == 3);
    }
}

struct setup {
    struct kern_matrix w;
    uint8_t *rows;
    struct kern_act act;
    float *x;
};

static void act_alloc(struct kern_act *a)
{
    size_t n = a->n_rows * a->n_cols;
    for (int k = 0; k < KERN_ACT_FORMATS; k++)
        a->fmt[k] = (struct kern_act_q){alloc(2 * n), alloc(n / 4), alloc(n / 4), alloc(n / 4)};
}

static void act_free(struct kern_act *a)
{
    for (int k = 0; k < KERN_ACT_FORMATS; k++) {
        free(a->fmt[k].q);
        free(a->fmt[k].scale);
        free(a->fmt[k].neg_sum);
        free(a->fmt[k].bias);
    }
}

static void setup_act(struct setup *s, size_t n, size_t cols, int kind)
{
    s->x = alloc(n * cols * 4);
    for (size_t i = 0; i < n * cols; i++)
        s->x[i] = kind == 1 ? 3.0f : kind == 2 ? (rng() & 1 ? 1e30f : -1e-30f)
                : kind == 3 ? rng_float() * (i % 97 ? 1 : 1000) : rng_float();
    if (kind == 3) memset(s->x, 0, 32 * 4);
    s->act = (struct kern_act){n, cols, s->x, cols, {{0}}};
    act_alloc(&s->act);
}

static void setup_init(struct setup *s, const struct quant_traits *t, size_t rows, size_t cols,
                       size_t n, int kind)
{
    size_t nb = cols / t->block_elems, rb = nb * t->block_bytes;
    s->rows = alloc(rows * rb);
    fill_rows(t, s->rows, rows * nb, kind);
    size_t panels = (rows + 15) / 16, pb = kern_panel_bytes(t, cols);
    uint8_t *data = alloc(panels * pb);
    for (size_t p = 0; p < panels; p++) {
        size_t have = rows - p * 16 < 16 ? rows - p * 16 : 16;
        kern_pack_panel(t, s->rows + p * 16 * rb, rb, have, cols, data + p * pb);
    }
    s->w = (struct kern_matrix){t, rows, cols, data, kind == 0 && n % 2 ? 0.75f : 0};
    setup_act(s, n, cols, kind);
}

static void setup_fini(struct setup *s)
{
    free(s->rows);
    free((void *)s->w.data);
    free(s->x);
    act_free(&s->act);
}

static bool close_enough(const float *a, const float *b, size_t n, float tol)
{
    float top = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(b[i]) > top) top = fabsf(b[i]);
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= tol * top) && !(isnan(a[i]) && isnan(b[i])) && a[i] != b[i])
            return false;
    return true;
}

static bool same(const struct kern_ops *ops, const float *a, const float *ref, size_t n)
{
    return exact(ops) ? memcmp(a, ref, n * 4) == 0 : close_enough(a, ref, n, 1e-5f);
}

static void run(const struct kern_ops *ops, struct setup *s, float *y, size_t split)
{
    void *scratch = alloc(KERN_MATMUL_SCRATCH);
    enum kern_act_format fmt = kern_act_format(s->w.type, s->w.n_cols);
    if (fmt != KERN_ACT_FLOAT)
        ops->act_quantize(&s->act, fmt, 0, (s->act.n_rows + KERN_TILE_MAX - 1) / KERN_TILE_MAX);
    size_t panels = (s->w.n_rows + 15) / 16;
    for (size_t p = 0; p < panels; p += split) {
        size_t e = p + split < panels ? p + split : panels;
        ops->matmul(&s->w, &s->act, y, s->w.n_rows, p, e, scratch);
    }
    free(scratch);
}

/* To 14 bits and sign of the largest of each 32. */
static void round_int16(float *w, size_t n)
{
    for (size_t b = 0; b < n; b += 32) {
        double top = 0;
        for (size_t i = b; i < b + 32; i++) top = fmax(top, fabs((double)w[i]));
        for (size_t i = b; i < b + 32 && top > 0; i++)
            w[i] = (float)(nearbyint(w[i] * 16383 / top) * top / 16383);
    }
}

/* The product in double, with activations as quantized, from the decoded rows. */
static void truth(const struct setup *s, float *y)
{
    size_t cols = s->w.n_cols, n = s->act.n_rows, rows = s->w.n_rows;
    const struct quant_traits *t = s->w.type;
    size_t nb = cols / t->block_elems;
    enum kern_act_format fmt = kern_act_format(t, cols);
    size_t block = fmt == KERN_ACT_16 ? 16 : 32;
    float *wr = alloc(cols * 4);
    for (size_t r = 0; r < rows; r++) {
        t->decode(s->rows + r * nb * t->block_bytes, wr, nb);
        if (fmt == KERN_ACT_INT16) round_int16(wr, cols);
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            size_t r0 = i / KERN_TILE_MAX * KERN_TILE_MAX;
            size_t w = n - r0 < KERN_TILE_MAX ? n - r0 : KERN_TILE_MAX;
            for (size_t c = 0; c < cols; c++) {
                double x = s->x[i * cols + c];
                if (fmt != KERN_ACT_FLOAT) {
                    const struct kern_act_q *a = &s->act.fmt[fmt];
                    const int16_t *q16 = (const int16_t *)a->q;
                    double q = fmt == KERN_ACT_INT16
                                   ? q16[r0 * cols + c / 2 * 2 * w + 2 * (i - r0) + c % 2]
                                   : a->q[r0 * cols + c / 4 * 4 * w + 4 * (i - r0) + c % 4];
                    x = q * a->scale[r0 * cols / block + c / block * w + (i - r0)];
                }
                sum += x * wr[c];
            }
            y[i * rows + r] = (float)(s->w.scale == 0 ? sum : sum * s->w.scale);
        }
    }
    free(wr);
}

static void check_matmul(const struct kern_ops *ops, const struct quant_traits *t)
{
    static const size_t batches[] = {1, 2, 3, 5, 7, 8, 12, 13, 24, 31};
    for (int kind = 0; kind < 4; kind++)
        for (size_t bi = 0; bi < sizeof batches / sizeof batches[0]; bi++) {
            size_t n = batches[bi], rows = 16 + 16 * (bi % 3) + (bi % 2 ? 7 : 0), cols = 256 * (1 + bi % 2);
            struct setup s;
            setup_init(&s, t, rows, cols, n, kind);
            float *ref = alloc(n * rows * 4), *y = alloc(n * rows * 4);
            run(kern_scalar, &s, ref, 99);
            truth(&s, y);
            if (kind != 2 && kind != 3)
                expect(close_enough(ref, y, n * rows, 2e-5f), "scalar vs decoded", "scalar",
                       t->name, n, (size_t)kind);
            run(ops, &s, y, 99);
            expect(same(ops, y, ref, n * rows), "matmul", ops->name, t->name, n, (size_t)kind);
            run(ops, &s, y, 1);
            expect(same(ops, y, ref, n * rows), "matmul split", ops->name, t->name, n, (size_t)kind);
            /* Row by row: the batch must not matter. */
            for (size_t i = 0; i < n && exact(ops); i++) {
                struct setup one = s;
                float *yo = alloc(rows * 4);
                one.act = (struct kern_act){1, cols, s.x + i * cols, cols, {{0}}};
                act_alloc(&one.act);
                run(ops, &one, yo, 2);
                expect(memcmp(yo, ref + i * rows, rows * 4) == 0, "row alone", ops->name, t->name, n, i);
                act_free(&one.act);
                free(yo);
            }
            free(ref);
            free(y);
            setup_fini(&s);
        }
}

/* A type with kernels of its own keeps its size; one that is carried grows, and not beyond all measure. */
static void check_size(const struct quant_traits *t)
{
    static const uint32_t carried[] = {QUANT_IQ1_S, QUANT_IQ1_M, QUANT_IQ2_XXS, QUANT_IQ2_XS,
                                       QUANT_IQ2_S, QUANT_IQ3_XXS, QUANT_IQ3_S, QUANT_TQ1_0,
                                       QUANT_TQ2_0, QUANT_Q1_0, QUANT_Q2_0};
    bool grows = false;
    for (size_t i = 0; i < sizeof carried / sizeof carried[0]; i++) grows |= carried[i] == t->id;
    size_t file = 16 * (512 / t->block_elems) * t->block_bytes, packed = kern_panel_bytes(t, 512);
    expect(grows ? packed > file && packed <= 4 * file : packed == file, "size", "", t->name, packed,
           file);
}

/* The error of f(x) in units of what the last place of the double result is worth as a float. */
static double ulps(float y, double t, double x)
{
    if (isnan(y) || isnan(t)) return isnan(y) && isnan(t) ? 0 : INFINITY;
    if (isinf(y) || fabs(t) > (double)FLT_MAX) return (double)y == (double)(float)t ? 0 : INFINITY;
    return fabs(y - t) / fmax(ldexp(fabs(t), -23), 1e-38 * fmax(fabs(x), 1));
}

static void check_norms(const struct kern_ops *ops)
{
    const struct kern_ops *sc = kern_scalar;
    for (size_t n = 1; n < 200; n += 1 + n / 5) {
        float a[256], b[256], w[256], y0[256], y1[256], t[256];
        float shift = rng() % 2 ? 30 : 0;
        for (size_t i = 0; i < n; i++) {
            a[i] = rng_float() * (rng() % 9 ? 4.0f : 200.0f) + shift;
            b[i] = rng_float();
            w[i] = rng_float();
        }
        double ss = 0, mean = 0, var = 0;
        for (size_t i = 0; i < n; i++) ss += (double)a[i] * a[i], mean += (double)a[i] / (double)n;
        for (size_t i = 0; i < n; i++) var += (a[i] - mean) * (a[i] - mean) / (double)n;
        for (int with = 0; with < 2; with++) {
            const float *wt = with ? w : NULL;
            sc->rms_norm(y0, a, wt, n, 1e-6f);
            ops->rms_norm(y1, a, wt, n, 1e-6f);
            expect(same(ops, y1, y0, n), "rms_norm", ops->name, "", n, 0);
            for (size_t i = 0; i < n; i++)
                t[i] = (float)(a[i] / sqrt(ss / (double)n + 1e-6) * (with ? w[i] : 1));
            expect(close_enough(y1, t, n, 1e-6f), "rms_norm truth", ops->name, "", n, 0);
        }
        for (int with = 0; with < 3; with++) {
            const float *wt = with ? w : NULL, *bias = with > 1 ? b : NULL;
            sc->layer_norm(y0, a, wt, bias, n, 1e-5f);
            memcpy(y1, a, n * 4);
            ops->layer_norm(y1, y1, wt, bias, n, 1e-5f);
            expect(same(ops, y1, y0, n), "layer_norm", ops->name, "", n, (size_t)with);
            for (size_t i = 0; i < n; i++)
                t[i] = (float)((a[i] - mean) / sqrt(var + 1e-5) * (wt ? w[i] : 1) + (bias ? b[i] : 0));
            expect(close_enough(y1, t, n, shift > 0 ? 1e-5f : 2e-6f) || n == 1, "layer_norm truth",
                   ops->name, "", n, (size_t)with);
        }
        sc->l2_norm(y0, a, n, 1e-12f);
        ops->l2_norm(y1, a, n, 1e-12f);
        expect(same(ops, y1, y0, n), "l2_norm", ops->name, "", n, 0);
        for (size_t i = 0; i < n; i++) t[i] = (float)(a[i] / sqrt(ss));
        expect(close_enough(y1, t, n, 1e-6f), "l2_norm truth", ops->name, "", n, 0);
        memset(a, 0, sizeof a);
        ops->l2_norm(y1, a, n, 1e-12f);
        for (size_t i = 0; i < n; i++) expect(y1[i] == 0, "l2_norm of zeros", ops->name, "", n, i);
        a[n / 2] = NAN;
        ops->layer_norm(y1, a, w, b, n, 1e-5f);
        expect(isnan(y1[0]), "layer_norm of NaN", ops->name, "", n, 0);
        ops->l2_norm(y1, a, n, 1e-5f);
        expect(isnan(y1[0]), "l2_norm of NaN", ops->name, "", n, 0);
    }
}

static void check_vectors(const struct kern_ops *ops)
{
    const struct kern_ops *sc = kern_scalar;
    for (size_t n = 1; n < 200; n += 1 + n / 5) {
        float a[256], b[256], w[256], y0[256], y1[256];
        for (size_t i = 0; i < n; i++) {
            a[i] = rng_float() * (rng() % 9 ? 4.0f : 200.0f);
            b[i] = rng_float();
            w[i] = rng_float();
        }
        memcpy(y0, b, n * 4);
        memcpy(y1, b, n * 4);
        sc->silu_mul(y0, a, n);
        ops->silu_mul(y1, a, n);
        expect(same(ops, y1, y0, n), "silu_mul", ops->name, "", n, 0);
        for (size_t i = 0; i < n; i++) w[i] = (float)(a[i] / (1 + exp(-(double)a[i])) * b[i]);
        expect(close_enough(y1, w, n, 1e-6f), "silu_mul truth", ops->name, "", n, 0);
        ops->add(y1, a, n);
        sc->add(y0, a, n);
        expect(same(ops, y1, y0, n), "add", ops->name, "", n, 0);
        for (size_t i = 0; i < n; i++) w[i] = y1[i] * 1.7f;
        ops->scale(y1, 1.7f, n);
        expect(memcmp(y1, w, n * 4) == 0, "scale", ops->name, "", n, 0);
        uint16_t h0[256], h1[256];
        a[0] = 1e9f;
        sc->f32_to_f16(h0, a, n);
        ops->f32_to_f16(h1, a, n);
        expect(memcmp(h0, h1, 2 * n) == 0 && h0[0] == 0x7bff, "f32_to_f16", ops->name, "", n, 0);
    }
    float x0[64], x1[64], cs[64];
    for (int neox = 0; neox < 2; neox++) {
        for (int i = 0; i < 32; i++) {
            double ang = rng_float() * 9;
            cs[2 * i] = (float)cos(ang);
            cs[2 * i + 1] = (float)sin(ang);
        }
        for (int i = 0; i < 64; i++) x0[i] = x1[i] = rng_float();
        sc->rope(x0, cs, 64, neox);
        ops->rope(x1, cs, 64, neox);
        expect(same(ops, x1, x0, 64), "rope", ops->name, "", (size_t)neox, 0);
    }
}

/* Against a sum in the order of the rows, with the least and the greatest bytes that there are. */
static void check_dot_panels(const struct kern_ops *ops)
{
    enum { PANELS = 3 };
    static const size_t sizes[] = {4, 32, 384, 1024};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = sizes[s];
        for (int kind = 0; kind < 3; kind++) {
            uint8_t *panels = alloc(PANELS * KERN_PANEL * n);
            int8_t *q = alloc(n);
            float out[PANELS * KERN_PANEL];
            for (size_t i = 0; i < PANELS * KERN_PANEL * n; i++)
                panels[i] = kind == 0 ? (uint8_t)rng() : kind == 1 ? 0 : 255;
            for (size_t i = 0; i < n; i++)
                q[i] = kind == 0 ? (int8_t)((int)(rng() % 255) - 127) : kind == 1 ? -127 : 127;
            ops->dot_panels(out, panels, PANELS, q, n);
            for (size_t r = 0; r < PANELS * KERN_PANEL; r++) {
                int32_t want = 0;
                for (size_t i = 0; i < n; i++)
                    want += ((int)panels[r / KERN_PANEL * KERN_PANEL * n + i / 4 * 64 +
                                         r % KERN_PANEL * 4 + i % 4] - 128) * q[i];
                expect(out[r] == (float)want, "dot_panels", ops->name, "n, row", n, r);
            }
            free(panels);
            free(q);
        }
    }
}

static double true_activation(enum kern_activation f, double x)
{
    const double c = fmin(x, 7), s = sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x);
    switch (f) {
    case KERN_FN_SILU: return x / (1 + exp(-x));
    /* x/2 (1 + tanh s) loses the digits of a small result. */
    case KERN_FN_GELU_TANH: return x / (1 + exp(-2 * s));
    case KERN_FN_GELU_ERF: return x / 2 * erfc(-x / sqrt(2));
    case KERN_FN_RELU: return x < 0 ? 0 : x;
    case KERN_FN_RELU2: return x < 0 ? 0 : x * x;
    case KERN_FN_SWIGLU_OAI: return isnan(x) ? x : c / (1 + exp(-(double)1.702f * c));
    }
    return 0;
}

static const char *const activations[KERN_FNS] = {"silu", "gelu_tanh", "gelu_erf",
                                                  "relu", "relu2",     "swiglu_oai"};
static double worst[KERN_FNS];

/* n values of x and of what they are multiplied with. */
static void check_activation(const struct kern_ops *ops, int f, const float *x, const float *up,
                             size_t n)
{
    const enum kern_activation fn = (enum kern_activation)f;
    float *y0 = alloc(n * 4), *y1 = alloc(n * 4);
    memcpy(y0, x, n * 4);
    memcpy(y1, x, n * 4);
    kern_scalar->activate(fn, y0, n);
    ops->activate(fn, y1, n);
    for (size_t i = 0; i < n; i++) {
        double off = ulps(y1[i], true_activation(fn, x[i]), x[i]);
        expect(off < 5 || !exact(ops), "activate truth", ops->name, activations[f], n, i);
        expect(off < 300, "activate truth", ops->name, activations[f], n, i);
        if (exact(ops) && off > worst[f]) worst[f] = off;
    }
    expect(exact(ops) ? memcmp(y0, y1, n * 4) == 0 : true, "activate", ops->name, activations[f], n, 0);
    memcpy(y0, up, n * 4);
    ops->gated(fn, y0, x, n);
    for (size_t i = 0; i < n; i++) {
        float u = up[i];
        if (fn == KERN_FN_SWIGLU_OAI) u = (u < -7 ? -7 : u > 7 ? 7 : u) + 1;
        y1[i] *= u;
    }
    expect(memcmp(y0, y1, n * 4) == 0, "gated", ops->name, activations[f], n, 0);
    free(y0);
    free(y1);
}

static void check_activations(const struct kern_ops *ops)
{
    static const float fixed[] = {0, -0.0f, 1, -1, 1e-30f, -1e-30f, 1e-40f, 0.625f, 7, 7.0001f, 13.3f,
                                  -13.1f, -13.3f, 87, -87, 88.5f, -88.5f, 1e18f, -1e18f};
    enum { N = 4096, N_FIXED = sizeof fixed / sizeof *fixed };
    float *x = alloc(N * 4), *up = alloc(N * 4);
    for (int f = 0; f < KERN_FNS; f++) {
        for (size_t i = 0; i < N; i++) {
            float span = exp2f((float)(rng() % 16) - 8);
            x[i] = i < N_FIXED ? fixed[i] : rng_float() * span;
            up[i] = rng_float() * 20;
        }
        check_activation(ops, f, x, up, N);
        for (size_t n = 1; n < 40; n++) check_activation(ops, f, x + n, up, n);
        float y[4] = {NAN, INFINITY, -INFINITY, 1e30f}, z[4] = {1, NAN, 1, 1}, g[4] = {NAN, 1, -1e30f, 2};
        ops->activate((enum kern_activation)f, y, 4);
        bool oai = f == KERN_FN_SWIGLU_OAI, flat = f == KERN_FN_RELU || f == KERN_FN_RELU2;
        expect(isnan(y[0]), "activate NaN", ops->name, activations[f], 0, 0);
        expect(oai ? fabsf(y[1] - 7) < 1e-3f : y[1] == INFINITY, "activate infinity", ops->name,
               activations[f], 0, 0);
        expect(flat ? y[2] == 0 : !isfinite(y[2]), "activate -infinity", ops->name, activations[f], 0, 0);
        expect(oai ? fabsf(y[3] - 7) < 1e-3f : f == KERN_FN_RELU2 ? y[3] == INFINITY : y[3] == 1e30f,
               "activate 1e30", ops->name, activations[f], 0, 0);
        ops->gated((enum kern_activation)f, z, g, 4);
        expect(isnan(z[0]) && isnan(z[1]) && fabsf(z[2]) < 1e-5f && isfinite(z[3]), "gated extremes",
               ops->name, activations[f], 0, 0);
    }
    free(x);
    free(up);
}

static void bench_type(const struct kern_ops *ops, const struct quant_traits *t)
{
    enum { ROWS = 960, COLS = 1536, BATCH = 252, PANELS = 12 };
    struct setup s;
    setup_init(&s, t, ROWS, COLS, BATCH, 0);
    float *y = alloc((size_t)ROWS * BATCH * 4);
    double best[3] = {1e9, 1e9, 1e9};
    static const size_t ns[3] = {1, 8, BATCH};
    for (int v = 0; v < 3; v++) {
        s.act.n_rows = ns[v];
        for (int rep = 0; rep < (v ? 5 : 20); rep++) {
            double t0 = clock_now();
            run(ops, &s, y, PANELS);
            double dt = clock_now() - t0;
            if (dt < best[v]) best[v] = dt;
        }
    }
    double ops_per_row = 2.0 * ROWS * COLS;
    double bytes = (double)ROWS / 16 * (double)kern_panel_bytes(t, COLS);
    printf("%-8s %-6s %8.2f %10.1f %10.1f %10.1f\n", ops->name, t->name, bytes / best[0] / 1e9,
           ops_per_row / best[0] / 1e9, 8 * ops_per_row / best[1] / 1e9,
           BATCH * ops_per_row / best[2] / 1e9);
    free(y);
    setup_fini(&s);
}

static void bench_pack(const struct quant_traits *t)
{
    enum { COLS = 4096, REPS = 200 };
    size_t rb = COLS / t->block_elems * t->block_bytes;
    uint8_t *rows = alloc(16 * rb), *panel = alloc(kern_panel_bytes(t, COLS));
    fill_rows(t, rows, 16 * COLS / t->block_elems, 0);
    double best = 1e9;
    for (int rep = 0; rep < REPS; rep++) {
        double t0 = clock_now();
        kern_pack_panel(t, rows, rb, 16, COLS, panel);
        double dt = clock_now() - t0;
        if (dt < best) best = dt;
    }
    printf("pack     %-6s %8.2f\n", t->name, 16 * (double)rb / best / 1e9);
    free(rows);
    free(panel);
}

int main(int argc, char **argv)
{
    const struct kern_ops *tables[8];
    size_t n = kern_available(tables, 8);
    struct error err;
    if (kern_select("scalar", &kern_scalar, &err)) return 99;
    bool bench = argc > 1 && strcmp(argv[1], "--bench") == 0;
    if (bench)
        printf("%-8s %-6s %8s %10s %10s %10s\n", "table", "type", "GB/s x1", "Gop/s x1", "Gop/s x8",
               "Gop/s x252");
    for (const struct quant_traits *const *t = quant_all(); bench && argc == 2 && *t; t++)
        if (kern_type_supported(*t)) bench_pack(*t);
    for (const struct quant_traits *const *t = quant_all(); !bench && *t; t++)
        if (kern_type_supported(*t)) check_size(*t);
    /* checkkern [--bench [TYPE [TABLE]]] */
    for (size_t i = 0; i < n; i++) {
        if (argc > 3 && strcmp(argv[3], tables[i]->name) != 0) continue;
        if (!bench) {
            check_vectors(tables[i]);
            check_norms(tables[i]);
            check_activations(tables[i]);
        }
        for (const struct quant_traits *const *t = quant_all(); *t; t++) {
            if (!kern_type_supported(*t)) continue;
            if (argc > 2 && strcmp(argv[2], (*t)->name) != 0) continue;
            if (bench)
                bench_type(tables[i], *t);
            else
                check_matmul(tables[i], *t);
        }
    }
    for (size_t i = 0; i < n && !bench; i++) check_dot_panels(tables[i]);
    for (int f = 0; f < KERN_FNS && !bench; f++)
        printf("%s: off by up to %.1f last places\n", activations[f], worst[f]);
    if (!bench) printf("%d checks, %d failures, %zu tables\n", checks, failures, n);
    return failures != 0;
}
