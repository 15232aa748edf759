/* Random blocks have the size that they should have, whatever their type, and a synthetic model's
 * file is a model. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gguf/gguf.h"
#include "model/model.h"
#include "model/synthetic.h"
#include "model/synthetic_int.h"

enum { ELEMENTS = 1 << 16 };

static void check_form(const struct quant_traits *q, double deviation)
{
    const struct synthetic_form *f = synthetic_form_find(q->id);
    if (!f) fail_msg("there is no synthetic %s", q->name);
    size_t n = ELEMENTS / q->block_elems, bytes = n * q->block_bytes;
    uint8_t *blocks = malloc(bytes + 8), *again = malloc(bytes + 8);
    float *values = malloc(ELEMENTS * sizeof *values);
    double sum = 0, squares = 0;
    assert_true(blocks && again && values);
    synthetic_form_fill(f, deviation, 7, blocks, n);
    synthetic_form_fill(f, deviation, 7, again, n);
    assert_memory_equal(blocks, again, bytes);
    synthetic_form_fill(f, deviation, 8, again, n);
    assert_memory_not_equal(blocks, again, bytes);
    q->decode(blocks, values, n);
    for (int i = 0; i < ELEMENTS; i++) {
        assert_true(isfinite(values[i]));
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    double got = sqrt(squares / ELEMENTS), mean = sum / ELEMENTS;
    double slack = f->scale_at < 0 ? 1.5 : 1.1; /* floats have a power of two */
    if (got > deviation * slack || got < deviation / slack || fabs(mean) > deviation / 20)
        fail_msg("%s: deviation %g instead of %g, mean %g", q->name, got, deviation, mean);
    free(blocks);
    free(again);
    free(values);
}

static void every_type_has_its_size(void **state)
{
    (void)state;
    for (const struct quant_traits *const *q = quant_all(); *q; q++) {
        check_form(*q, 1 / 16.0);
        check_form(*q, 1 / sqrt(28672)); /* the widest rows: scales near a half's smallest */
    }
}

static void names(void **state)
{
    (void)state;
    struct synthetic s;
    struct error err = {0};
    char name[96];
    uint64_t bytes;
    assert_int_equal(synthetic_parse("DeepSeek-Coder-6.7B:Q4_0", &s, &err), OK);
    assert_string_equal(synthetic_arch(&s), "llama");
    assert_string_equal(synthetic_file_name(&s, name, sizeof name), "deepseek-coder-6.7b-q4_0");
    assert_int_equal(synthetic_file_bytes(&s, &bytes, &err), OK);
    assert_in_range(bytes, 3826000000u, 3828000000u); /* as published files of that type */
    assert_int_equal(synthetic_parse("nonesuch:q4_0", &s, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "codellama-13b"));
    assert_int_equal(synthetic_parse("llama-1b:q9", &s, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "'q9' is none"));
    assert_non_null(strstr(err.msg, "BF16"));
    assert_int_equal(synthetic_parse("llama-1b", &s, &err), ERR_NOT_FOUND);
    assert_int_equal(synthetic_parse("", &s, &err), ERR_NOT_FOUND);
    assert_int_equal(synthetic_parse(":", &s, &err), ERR_NOT_FOUND);
}

static bool stop_soon(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)done;
    (void)total;
    return false;
}

static uint8_t *read_tensor(const char *path, const char *name, uint64_t *bytes)
{
    struct gguf *g;
    struct error err = {0};
    if (gguf_open(path, &g, &err)) fail_msg("%s", err.msg);
    const struct gguf_tensor *t = gguf_tensor_find(g, name);
    assert_non_null(t);
    uint8_t *copy = malloc(t->size);
    assert_non_null(copy);
    memcpy(copy, t->data, t->size);
    *bytes = t->size;
    gguf_close(g);
    return copy;
}

/* Logits of one token are finite and differ. */
static void expect_logits(const struct gguf *g)
{
    struct error err = {0};
    struct model *m;
    struct kv_pool *pool;
    struct kv_seq *seq;
    struct forward *f;
    struct model_options opt = {.n_threads = 1};
    if (model_open(g, &opt, &m, &err)) fail_msg("%s", err.msg);
    size_t n = model_info(m)->n_vocab;
    float *logits = calloc(n, sizeof *logits), low = INFINITY, high = -INFINITY;
    assert_int_equal(kv_pool_create(m, 32, &pool, &err), OK);
    assert_int_equal(kv_seq_create(pool, &seq, &err), OK);
    assert_int_equal(forward_create(m, 1, 4, &f, &err), OK);
    struct forward_row row = {seq, 300, true};
    assert_int_equal(forward_run(f, &row, 1, logits, NULL, &err), OK);
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(logits[i]));
        low = fminf(low, logits[i]);
        high = fmaxf(high, logits[i]);
    }
    assert_int_equal(model_info(m)->n_tensors_ignored, 0);
    assert_true(high - low > 0.1f && high < 100 && low > -100);
    forward_destroy(f);
    kv_seq_destroy(seq);
    kv_pool_destroy(pool);
    model_close(m);
    free(logits);
}

static void a_file_is_a_model(void **state)
{
    (void)state;
    char path[] = "/tmp/test_synthetic_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    const char *name = "blk.1.ffn_down.weight";
    for (const struct quant_traits *const *q = quant_all(); *q; q++) {
        struct synthetic s, other;
        struct error err = {0};
        char text[64];
        uint64_t bytes, n1, n3;
        struct gguf *g;
        snprintf(text, sizeof text, "tiny:%s", (*q)->name);
        assert_int_equal(synthetic_parse(text, &s, &err), OK);
        struct synthetic_options opt = {.n_threads = 1};
        if (synthetic_write(&s, path, &opt, &err)) fail_msg("%s", err.msg);
        uint8_t *one = read_tensor(path, name, &n1);
        opt.n_threads = 3;
        if (synthetic_write(&s, path, &opt, &err)) fail_msg("%s", err.msg);
        uint8_t *three = read_tensor(path, name, &n3);
        assert_int_equal(n1, n3);
        assert_memory_equal(one, three, n1);
        free(one);
        free(three);
        assert_int_equal(synthetic_file_bytes(&s, &bytes, &err), OK);
        if (gguf_open(path, &g, &err)) fail_msg("%s", err.msg);
        assert_int_equal(gguf_file_bytes(g), bytes);
        expect_logits(g);
        gguf_close(g);
        assert_true(synthetic_is_at(&s, path));
        assert_int_equal(synthetic_parse((*q)->id ? "tiny:f32" : "tiny:q8_0", &other, &err), OK);
        assert_false(synthetic_is_at(&other, path));
        opt.progress = stop_soon;
        assert_int_equal(synthetic_write(&s, path, &opt, &err), ERR_CANCELLED);
        assert_true(synthetic_is_at(&s, path)); /* the old file stays */
    }
    unlink(path);
}

/* Experts, latent attention, sinks and windows: the file has all that its architecture takes, and
 * nothing that it does not. */
static void a_mixture_is_a_model(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny-moe:q4_0", "tiny-moe:q4_k", "tiny-gpt-oss:mxfp4",
                                        "tiny-mla:q4_0"};
    char path[] = "/tmp/test_synthetic_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct synthetic s;
        struct error err = {0};
        struct synthetic_options opt = {.n_threads = 2};
        struct gguf *g;
        assert_int_equal(synthetic_parse(names[i], &s, &err), OK);
        if (synthetic_write(&s, path, &opt, &err)) fail_msg("%s", err.msg);
        if (gguf_open(path, &g, &err)) fail_msg("%s", err.msg);
        const struct gguf_tensor *up = gguf_tensor_find(g, "blk.1.ffn_up_exps.weight");
        assert_non_null(up);
        assert_int_equal(up->ne[2], s.shape->experts.n);
        assert_int_equal(gguf_tensor_find(g, "blk.1.ffn_gate_inp.weight")->type, QUANT_F32);
        expect_logits(g);
        gguf_close(g);
    }
    unlink(path);
}

/* Parameters of the makers' models, as they tell them. */
static void mixtures_have_their_size(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double billions;
    } known[] = {{"qwen3-coder-30b-a3b", 30.5},
                 {"gpt-oss-20b", 20.9},
                 {"deepseek-coder-v2-lite", 15.7},
                 {"mixtral-8x7b", 46.7}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct synthetic s;
        struct error err = {0};
        char text[64];
        uint64_t bytes;
        snprintf(text, sizeof text, "%s:q8_0", known[i].name);
        assert_int_equal(synthetic_parse(text, &s, &err), OK);
        assert_int_equal(synthetic_file_bytes(&s, &bytes, &err), OK);
        double billions = (double)bytes / 1e9 * 32 / 34; /* 34 bytes each 32 weights */
        if (fabs(billions / known[i].billions - 1) > 0.01)
            fail_msg("%s: %.2f billion parameters", known[i].name, billions);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_its_size),  cmocka_unit_test(names),
        cmocka_unit_test(a_file_is_a_model),        cmocka_unit_test(a_mixture_is_a_model),
        cmocka_unit_test(mixtures_have_their_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
