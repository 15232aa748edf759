/* Squared errors and speed of Hearth's encoders and of ggml's, on rows of a model's matrices, type
 * by type, the encoders called directly on one thread.
 *
 *   cc -O2 -Isrc tools/eval/encode_compare.c -o encode_compare -Wl,--start-group \
 *      build/src/{gguf,quant,base}/libhearth_*.a build/src/quant/libquant_avx2.a -Wl,--end-group \
 *      -L LLAMA_LIBRARIES -lggml-base -lcrypto -lpthread -lm -Wl,-rpath,LLAMA_LIBRARIES
 *   ./encode_compare MODEL.gguf EVERY ROWS WEIGHTED
 *
 * takes ROWS rows of every EVERYth matrix; WEIGHTED 1 gives the columns made-up importances, which
 * differ by orders of magnitude as real ones do (log-normal, sigma 2), and weighs the errors. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gguf/gguf.h"
#include "quant/quant.h"

/* ggml.h's */
size_t ggml_quantize_chunk(int type, const float *src, void *dst, int64_t start, int64_t n_rows,
                           int64_t n_per_row, const float *imatrix);

enum { HEARTH, GGML, MAX_TYPES = 64 };

static struct sums {
    double error[2], seconds[2], squares, elements;
} sums[MAX_TYPES];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void encode(int who, const struct quant_traits *t, const float *x, const float *w, void *out,
                   size_t rows, size_t cols)
{
    size_t blocks = cols / t->block_elems;
    if (who == GGML) {
        ggml_quantize_chunk((int)t->id, x, out, 0, (int64_t)rows, (int64_t)cols, w);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        if (!t->encode(x + r * cols, w, (char *)out + r * blocks * t->block_bytes, blocks)) abort();
}

static void compare(const struct quant_traits *t, const float *x, const float *w, float *y,
                    void *out, size_t rows, size_t cols)
{
    struct sums *s = &sums[t->id];
    for (int who = HEARTH; who <= GGML; who++) {
        encode(who, t, x, w, out, 1, cols); /* the first call may make tables */
        double started = now();
        encode(who, t, x, w, out, rows, cols);
        s->seconds[who] += now() - started;
        t->decode(out, y, rows * cols / t->block_elems);
        for (size_t i = 0; i < rows * cols; i++) {
            double e = (double)x[i] - (double)y[i];
            s->error[who] += (w ? (double)w[i % cols] : 1) * e * e;
        }
    }
    for (size_t i = 0; i < rows * cols; i++)
        s->squares += (w ? (double)w[i % cols] : 1) * (double)x[i] * (double)x[i];
    s->elements += (double)(rows * cols);
}

int main(int argc, char **argv)
{
    struct gguf *g;
    struct error err = {0};
    if (argc != 5) return fprintf(stderr, "usage: encode_compare MODEL EVERY ROWS WEIGHTED\n"), 2;
    if (gguf_open(argv[1], &g, &err)) return fprintf(stderr, "%s\n", err.msg), 1;
    size_t every = strtoul(argv[2], NULL, 10), most = strtoul(argv[3], NULL, 10), seen = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (t->n_dims < 2 || seen++ % every) continue;
        const struct quant_traits *from = quant_find(t->type);
        size_t cols = t->ne[0], rows = t->ne[1] < most ? t->ne[1] : most, n = rows * cols;
        float *x = malloc(4 * n), *y = malloc(4 * n), *w = malloc(4 * cols);
        void *out = malloc(4 * n);
        if (!x || !y || !w || !out) return 1;
        from->decode(t->data, x, n / from->block_elems);
        srand((unsigned)i);
        for (size_t c = 0; c < cols; c++) {
            double normal = -6;
            for (int k = 0; k < 12; k++) normal += rand() / (double)RAND_MAX;
            w[c] = (float)exp(2 * normal);
        }
        for (const struct quant_traits *const *q = quant_all(); *q; q++)
            if ((*q)->encode && (*q)->block_elems > 1 && cols % (*q)->block_elems == 0)
                compare(*q, x, argv[4][0] == '1' ? w : NULL, y, out, rows, cols);
        free(x);
        free(y);
        free(w);
        free(out);
    }
    for (const struct quant_traits *const *q = quant_all(); *q; q++) {
        const struct sums *s = &sums[(*q)->id];
        if (s->elements > 0)
            printf(
                "%-7s error/squares %.4e, ggml %.4e, ratio %.3f; ns per element %.1f, ggml %.1f\n",
                (*q)->name, s->error[HEARTH] / s->squares, s->error[GGML] / s->squares,
                s->error[HEARTH] / s->error[GGML], 1e9 * s->seconds[HEARTH] / s->elements,
                1e9 * s->seconds[GGML] / s->elements);
    }
    gguf_close(g);
    return 0;
}
