/* Hidden states instead of logits, what an encoder refuses, poolings and score heads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "golden_kit.h"
#include "model/model_int.h"
#include "tiny_model.h"

enum { N_IDS = 9 };
static const int32_t ids[N_IDS] = {5, 9, 44, 3, 17, 5, 60, 8, 21};

struct run {
    struct loaded l;
    struct kv_pool *pool;
    struct kv_seq *seq;
    struct forward *f;
};

static struct run start(const char *name)
{
    struct run r = {.l = golden_open(name, NULL, NULL)};
    struct error err = {0};
    golden_assert_ok(kv_pool_create(r.l.m, 256, &r.pool, &err), &err);
    golden_assert_ok(kv_seq_create(r.pool, &r.seq, &err), &err);
    golden_assert_ok(forward_create(r.l.m, 2, 64, &r.f, &err), &err);
    return r;
}

static void stop(struct run *r)
{
    forward_destroy(r->f);
    kv_seq_destroy(r->seq);
    kv_pool_destroy(r->pool);
    golden_close(&r->l);
}

/* A decoder's logits are its output matrix times its hidden states. */
static void test_decoder_hidden(void **state)
{
    (void)state;
    struct run r = start("arch/qwen3");
    const struct model_info *info = model_info(r.l.m);
    struct error err = {0};
    struct forward_row rows[N_IDS];
    float *logits = malloc(2 * info->n_vocab * sizeof *logits);
    float *hidden = malloc(2 * info->n_embd * sizeof *hidden);
    assert_false(info->encoder);
    assert_int_equal(info->pooling, POOLING_LAST);
    for (size_t i = 0; i < N_IDS; i++)
        rows[i] = (struct forward_row){.seq = r.seq, .token = ids[i], .logits = i == 2 || i == 8};
    golden_assert_ok(forward_run(r.f, rows, N_IDS, logits, NULL, &err), &err);
    kv_seq_truncate(r.seq, 0);
    golden_assert_ok(forward_hidden(r.f, rows, N_IDS, hidden, NULL, &err), &err);
    assert_int_equal(kv_seq_len(r.seq), N_IDS);
    const struct gguf_tensor *out = gguf_tensor_find(r.l.g, "output.weight");
    if (!out) out = gguf_tensor_find(r.l.g, "token_embd.weight");
    const float *w = (const float *)out->data;
    for (size_t row = 0; row < 2; row++)
        for (uint32_t v = 0; v < info->n_vocab; v++) {
            double sum = 0;
            for (uint32_t i = 0; i < info->n_embd; i++)
                sum += (double)w[v * info->n_embd + i] * (double)hidden[row * info->n_embd + i];
            double got = (double)logits[row * info->n_vocab + v];
            assert_true(fabs(sum - got) <= 1e-4 * (1 + fabs(sum)));
        }
    free(logits);
    free(hidden);
    stop(&r);
}

static void test_encoder_refuses(void **state)
{
    (void)state;
    struct run r = start("arch/bert");
    const struct model_info *info = model_info(r.l.m);
    struct error err = {0};
    struct forward_row row = {.seq = r.seq, .token = 5, .logits = true};
    float *out = malloc(info->n_embd * sizeof *out), *other = malloc(info->n_embd * sizeof *out);
    assert_true(info->encoder);
    assert_int_equal(info->pooling, POOLING_MEAN);
    assert_int_equal(info->n_segments, 2);
    assert_int_equal(forward_run(r.f, &row, 1, out, NULL, &err), ERR_UNSUPPORTED);
    row.segment = 2;
    assert_int_equal(forward_hidden(r.f, &row, 1, out, NULL, &err), ERR_INVALID);
    assert_int_equal(kv_seq_len(r.seq), 0);
    row.segment = 1;
    golden_assert_ok(forward_hidden(r.f, &row, 1, out, NULL, &err), &err);
    /* The same sequence again would be a continuation. */
    assert_int_equal(forward_hidden(r.f, &row, 1, out, NULL, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "continued"));
    kv_seq_truncate(r.seq, 0);
    row.segment = 0;
    golden_assert_ok(forward_hidden(r.f, &row, 1, other, NULL, &err), &err);
    assert_memory_not_equal(out, other, info->n_embd * sizeof *out);
    free(out);
    free(other);
    stop(&r);
}

/* ---- heads ------------------------------------------------------------------------------------
 */

static enum status open_changed(const struct tiny_model *t, struct gguf **g, struct model **m,
                                struct error *err)
{
    char path[] = "/tmp/hearth_hidden_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    tiny_write(t, path);
    *m = NULL;
    enum status st = gguf_open(path, g, err);
    if (!st) st = model_open(*g, &(struct model_options){.n_threads = 1}, m, err);
    remove(path);
    return st;
}

static double dot(const struct gguf_tensor *t, size_t row, const float *x)
{
    double sum = 0;
    for (size_t i = 0; i < 64; i++)
        sum += (double)((const float *)t->data)[row * 64 + i] * (double)x[i];
    return sum;
}

static void test_score_head(void **state)
{
    (void)state;
    struct tiny_model t;
    struct gguf *g;
    struct model *m;
    struct error err = {0};
    float x[64], y[64], scores[3];
    for (size_t i = 0; i < 64; i++) x[i] = (float)(i % 7) / 700 - 0.004f;

    tiny_init(&t, "llama");
    tiny_tensor(&t, "cls.weight", QUANT_F32, 64, 3);
    tiny_tensor(&t, "cls.bias", QUANT_F32, 3, 0);
    golden_assert_ok(open_changed(&t, &g, &m, &err), &err);
    assert_int_equal(m->info.n_scores, 3);
    assert_int_equal(m->info.pooling, POOLING_RANK);
    model_score(m, x, scores);
    for (size_t i = 0; i < 3; i++) {
        double bias = (double)((const float *)gguf_tensor_find(g, "cls.bias")->data)[i];
        assert_true(fabs((double)scores[i] - dot(gguf_tensor_find(g, "cls.weight"), i, x) - bias) <
                    1e-5);
    }
    model_close(m);
    gguf_close(g);

    tiny_tensor(&t, "cls.weight", QUANT_F32, 64, 64);
    tiny_tensor(&t, "cls.bias", QUANT_F32, 64, 0);
    tiny_tensor(&t, "cls.output.weight", QUANT_F32, 64, 2);
    golden_assert_ok(open_changed(&t, &g, &m, &err), &err);
    assert_int_equal(m->info.n_scores, 2);
    assert_int_equal(m->info.n_tensors_ignored, 0);
    for (size_t i = 0; i < 64; i++)
        y[i] = (float)tanh(dot(gguf_tensor_find(g, "cls.weight"), i, x) +
                           (double)((const float *)gguf_tensor_find(g, "cls.bias")->data)[i]);
    model_score(m, x, scores);
    for (size_t i = 0; i < 2; i++)
        assert_true(fabs((double)scores[i] - dot(gguf_tensor_find(g, "cls.output.weight"), i, y)) <
                    1e-4);
    model_close(m);
    gguf_close(g);
}

static void refused(const struct tiny_model *t, enum status want, const char *word)
{
    struct gguf *g;
    struct model *m;
    struct error err = {0};
    assert_int_equal(open_changed(t, &g, &m, &err), want);
    if (!strstr(err.msg, word)) fail_msg("no %s in: %s", word, err.msg);
    gguf_close(g);
}

static void test_refused_heads(void **state)
{
    (void)state;
    struct tiny_model t;
    tiny_init(&t, "llama");
    tiny_u32(&t, "llama.pooling_type", 4);
    refused(&t, ERR_FORMAT, "pooling_type");
    tiny_u32(&t, "llama.pooling_type", 5);
    refused(&t, ERR_FORMAT, "pooling_type");
    tiny_drop_key(&t, "llama.pooling_type");
    tiny_tensor(&t, "cls.weight", QUANT_F32, 32, 1);
    refused(&t, ERR_FORMAT, "cls.weight");
    tiny_tensor(&t, "cls.weight", QUANT_F32, 64,
                32); /* below an output it is as wide as the model */
    tiny_tensor(&t, "cls.output.weight", QUANT_F32, 64, 1);
    refused(&t, ERR_FORMAT, "cls.weight");
    tiny_tensor(&t, "cls.weight", QUANT_F32, 64, 64);
    tiny_tensor(&t, "cls.norm.weight", QUANT_F32, 64, 0);
    refused(&t, ERR_UNSUPPORTED, "cls.norm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoder_hidden),
        cmocka_unit_test(test_encoder_refuses),
        cmocka_unit_test(test_score_head),
        cmocka_unit_test(test_refused_heads),
    };
    return cmocka_run_group_tests_name("hidden", tests, NULL, NULL);
}
