/* The inputs of matrices, as an observer sees them: all of them, once, the same with any number of
 * threads and rows, and without effect on the result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_kit.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "quant/quant.h"

enum { N = 70, MAX_SEEN = 64, MAX_COLS = 256 };

/* What was seen of one tensor: its rows one after the other. */
struct seen {
    const struct gguf_tensor *tensor;
    size_t n_cols, n_rows, n_calls;
    float rows[N][MAX_COLS];
};

struct watcher {
    struct seen seen[MAX_SEEN];
    size_t n;
};

static void watch(void *ctx, const struct forward_input *in)
{
    struct watcher *w = ctx;
    size_t i = 0;
    while (i < w->n && w->seen[i].tensor != in->tensor) i++;
    assert_true(i < MAX_SEEN);
    struct seen *s = &w->seen[i];
    if (i == w->n) {
        w->n++;
        s->tensor = in->tensor;
        s->n_cols = in->n_cols;
    }
    assert_int_equal(in->part, 0);
    assert_int_equal(in->n_cols, in->tensor->ne[0]);
    assert_true(in->stride >= in->n_cols && in->n_cols <= MAX_COLS);
    for (size_t r = 0; r < in->n_rows; r++) {
        assert_true(s->n_rows < N);
        memcpy(s->rows[s->n_rows++], in->x + r * in->stride, in->n_cols * sizeof(float));
    }
    s->n_calls++;
}

/* Feeds the golden's tokens in chunks; logits of all positions. The caller frees both. */
static struct watcher *observe(const struct loaded *l, const struct golden *g, int threads,
                               size_t chunk, bool with_logits, float **logits)
{
    struct watcher *w = calloc(1, sizeof *w);
    struct forward *f;
    struct kv_pool *pool;
    struct kv_seq *seq;
    assert_non_null(w);
    assert_true(g->n_ids >= N);
    *logits = calloc(N * (size_t)g->n_vocab, sizeof **logits);
    assert_int_equal(forward_create(l->m, threads, N, &f, NULL), OK);
    assert_int_equal(kv_pool_create(l->m, N, &pool, NULL), OK);
    assert_int_equal(kv_seq_create(pool, &seq, NULL), OK);
    forward_observe(f, watch, w);
    for (size_t at = 0; at < N; at += chunk) {
        size_t n = N - at < chunk ? N - at : chunk;
        golden_feed(f, seq, g->ids + at, n, with_logits ? *logits + at * (size_t)g->n_vocab : NULL);
    }
    /* Nobody looks any more. */
    forward_observe(f, NULL, NULL);
    kv_seq_truncate(seq, 0);
    golden_feed(f, seq, g->ids, 2, NULL);
    kv_seq_destroy(seq);
    kv_pool_destroy(pool);
    forward_destroy(f);
    return w;
}

static struct golden golden;
static struct loaded model;

static int set_up(void **state)
{
    (void)state;
    golden = golden_load("llama-gqa");
    model = golden_open("llama-gqa", NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(golden.file);
    golden_close(&model);
    return 0;
}

static const struct seen *find(const struct watcher *w, const char *name)
{
    for (size_t i = 0; i < w->n; i++)
        if (gguf_str_eq(w->seen[i].tensor->name, name)) return &w->seen[i];
    fail_msg("%s was not seen", name);
    return NULL;
}

static void test_every_matrix_is_seen_once_a_row(void **state)
{
    (void)state;
    float *logits;
    struct watcher *w = observe(&model, &golden, 2, N, false, &logits);
    size_t n_matrices = 0;
    for (size_t i = 0; i < gguf_n_tensors(model.g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(model.g, i);
        if (t->n_dims != 2 || t->name.len < 4 || memcmp(t->name.data, "blk.", 4) != 0) continue;
        n_matrices++;
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)t->name.len, t->name.data);
        assert_int_equal(find(w, name)->n_rows, N);
        assert_int_equal(find(w, name)->n_calls, 1);
    }
    assert_int_equal(n_matrices, 14); /* seven a layer */
    assert_int_equal(w->n, n_matrices);
    free(w);
    free(logits);
    w = observe(&model, &golden, 2, N, true, &logits);
    assert_int_equal(find(w, "output.weight")->n_rows, N);
    assert_int_equal(w->n, n_matrices + 1);
    free(w);
    free(logits);
}

static void test_the_first_inputs_are_normalised_embeddings(void **state)
{
    (void)state;
    float *logits;
    struct watcher *w = observe(&model, &golden, 1, N, false, &logits);
    const struct gguf_tensor *table = gguf_tensor_find(model.g, "token_embd.weight");
    const struct gguf_tensor *norm = gguf_tensor_find(model.g, "blk.0.attn_norm.weight");
    const struct quant_traits *q = quant_find(table->type);
    size_t n = (size_t)table->ne[0], blocks = n / q->block_elems;
    double eps = 0;
    assert_int_equal(gguf_get_f64(model.g, "llama.attention.layer_norm_rms_epsilon", &eps, NULL),
                     OK);
    static const char *const names[] = {"blk.0.attn_q.weight", "blk.0.attn_k.weight",
                                        "blk.0.attn_v.weight"};
    for (size_t r = 0; r < N; r++) {
        float x[MAX_COLS], weight[MAX_COLS];
        double sum = 0;
        q->decode(table->data + (size_t)golden.ids[r] * blocks * q->block_bytes, x, blocks);
        memcpy(weight, norm->data, n * sizeof *weight);
        for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
        double scale = 1 / sqrt(sum / (double)n + eps);
        for (size_t k = 0; k < 3; k++)
            for (size_t i = 0; i < n; i++) {
                double want = (double)x[i] * scale * (double)weight[i];
                double got = (double)find(w, names[k])->rows[r][i];
                if (fabs(got - want) > 1e-5 * (1 + fabs(want)))
                    fail_msg("row %zu, column %zu: %g is not %g", r, i, got, want);
            }
    }
    free(w);
    free(logits);
}

static void test_threads_and_rows_change_nothing(void **state)
{
    (void)state;
    float *plain = golden_run(model.m, 1, N, golden.ids, N), *logits;
    struct watcher *want = observe(&model, &golden, 1, N, true, &logits);
    golden_assert_same(logits, plain, N, (size_t)golden.n_vocab, "observed");
    free(logits);
    static const struct {
        int threads;
        size_t chunk;
    } ways[] = {{2, N}, {3, N}, {1, 1}, {3, 1}, {2, 33}, {3, 2}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct watcher *w =
            observe(&model, &golden, ways[i].threads, ways[i].chunk, true, &logits);
        golden_assert_same(logits, plain, N, (size_t)golden.n_vocab, "observed");
        assert_int_equal(w->n, want->n);
        for (size_t k = 0; k < w->n; k++) {
            assert_ptr_equal(w->seen[k].tensor, want->seen[k].tensor);
            assert_int_equal(w->seen[k].n_rows, N);
            assert_memory_equal(w->seen[k].rows, want->seen[k].rows, sizeof want->seen[k].rows);
        }
        free(w);
        free(logits);
    }
    free(want);
    free(plain);
}

/* ---- experts ----------------------------------------------------------------------------------- */

enum { EXPERTS = 8, USED = 3 }; /* of arch/qwen3moe */

/* Of the first layer: squares of the inputs, by expert where there are some. */
struct mixture {
    double router, up[EXPERTS], gate[EXPERTS], down[EXPERTS];
    size_t router_rows, up_rows[EXPERTS], down_rows[EXPERTS];
};

static double squares(const struct forward_input *in)
{
    double sum = 0;
    for (size_t r = 0; r < in->n_rows; r++)
        for (size_t i = 0; i < in->n_cols; i++) {
            double x = (double)in->x[r * in->stride + i];
            sum += x * x;
        }
    return sum;
}

static void watch_mixture(void *ctx, const struct forward_input *in)
{
    struct mixture *m = ctx;
    struct gguf_str name = in->tensor->name;
    assert_true(in->part < EXPERTS && in->n_cols == in->tensor->ne[0]);
    if (gguf_str_eq(name, "blk.0.ffn_gate_inp.weight")) {
        m->router += squares(in);
        m->router_rows += in->n_rows;
    }
    if (gguf_str_eq(name, "blk.0.ffn_gate_exps.weight")) m->gate[in->part] += squares(in);
    if (gguf_str_eq(name, "blk.0.ffn_up_exps.weight")) {
        m->up[in->part] += squares(in);
        m->up_rows[in->part] += in->n_rows;
    }
    if (gguf_str_eq(name, "blk.0.ffn_down_exps.weight")) {
        m->down[in->part] += squares(in);
        m->down_rows[in->part] += in->n_rows;
    }
}

static struct mixture observe_mixture(const struct loaded *l, int threads, size_t chunk)
{
    struct mixture m = {0};
    int32_t ids[N];
    struct forward *f;
    struct kv_pool *pool;
    struct kv_seq *seq;
    assert_int_equal(forward_create(l->m, threads, N, &f, NULL), OK);
    assert_int_equal(kv_pool_create(l->m, N, &pool, NULL), OK);
    assert_int_equal(kv_seq_create(pool, &seq, NULL), OK);
    for (size_t i = 0; i < N; i++) ids[i] = golden.ids[i] % (int32_t)model_info(l->m)->n_vocab;
    forward_observe(f, watch_mixture, &m);
    for (size_t at = 0; at < N; at += chunk)
        golden_feed(f, seq, ids + at, N - at < chunk ? N - at : chunk, NULL);
    kv_seq_destroy(seq);
    kv_pool_destroy(pool);
    forward_destroy(f);
    return m;
}

static void assert_close(double a, double b)
{
    if (!(fabs(a - b) <= 1e-9 * fabs(b))) fail_msg("%.17g is not %.17g", a, b);
}

/* Each row is seen by as many experts as it uses, and by each as the router saw it. */
static void test_experts_see_their_rows(void **state)
{
    (void)state;
    struct loaded l = golden_open("arch/qwen3moe", NULL, NULL);
    struct mixture want = observe_mixture(&l, 1, N);
    size_t rows = 0, n_seen = 0;
    double up = 0;
    for (int i = 0; i < EXPERTS; i++) {
        rows += want.up_rows[i];
        n_seen += want.up_rows[i] > 0;
        up += want.up[i];
        assert_int_equal(want.down_rows[i], want.up_rows[i]);
        assert_true(want.gate[i] == want.up[i]);
        assert_true((want.down[i] > 0) == (want.up_rows[i] > 0));
    }
    assert_int_equal(want.router_rows, N);
    assert_int_equal(rows, N * USED);
    assert_true(n_seen > USED);
    assert_close(up, USED * want.router);
    for (int threads = 2; threads <= 3; threads++) {
        struct mixture m = observe_mixture(&l, threads, N);
        assert_memory_equal(&m, &want, sizeof m);
    }
    /* Rows one by one find the same experts. */
    struct mixture single = observe_mixture(&l, 2, 1);
    for (int i = 0; i < EXPERTS; i++) {
        assert_int_equal(single.up_rows[i], want.up_rows[i]);
        assert_close(single.up[i], want.up[i]);
        assert_close(single.down[i], want.down[i]);
    }
    golden_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_matrix_is_seen_once_a_row),
        cmocka_unit_test(test_the_first_inputs_are_normalised_embeddings),
        cmocka_unit_test(test_threads_and_rows_change_nothing),
        cmocka_unit_test(test_experts_see_their_rows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
