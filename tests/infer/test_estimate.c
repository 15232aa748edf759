/* Estimates over made-up machines and shapes whose sums are known, and shapes of real models. */
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

#include "gguf/gguf.h"
#include "infer/estimate.h"
#include "quant/quant.h"

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * fabs(want))) fail_msg("%.12g is not %.12g", got, want);
}

/* Only reading and multiplying cost anything; a byte a nanosecond in the cache, two from memory. */
static struct estimate_machine plain(void)
{
    return (struct estimate_machine){
        .n_threads = 2,
        .sizes = {1e6, 1e8, 1e9},
        .rates = {{QUANT_Q8_0, {1e9, 1e9, 5e8}, 1e12, 0}, {QUANT_F32, {1e9, 1e9, 5e8}, 1e11, 0}},
        .n_rates = 2,
        .attend_read = 1e9};
}

/* One layer of 32,000,000 elements of Q8_0: 34 MB. */
static struct estimate_shape one_layer(void)
{
    return (struct estimate_shape){.n_layer = 1,
                                   .n_embd = 1000,
                                   .n_ff = 4000,
                                   .n_head = 4,
                                   .n_head_kv = 2,
                                   .head_dim = 250,
                                   .n_vocab = 100,
                                   .parts = {{QUANT_Q8_0, 32e6, 32e6, 0}},
                                   .n_parts = 1,
                                   .weight_bytes = 34e6,
                                   .token_bytes = 34e6};
}

static void a_step_is_its_terms(void **state)
{
    (void)state;
    struct estimate_machine m = plain();
    struct estimate_shape s = one_layer();
    near(estimate_step(&m, &s, 0), 34e-3);
    m.stage = 1e-3; /* five a layer, two beside */
    near(estimate_step(&m, &s, 0), 34e-3 + 7e-3);
    m.stage = 0;
    m.norm = 1e-6; /* twice in the layer and before the output */
    near(estimate_step(&m, &s, 0), 34e-3 + 3 * 1000 * 1e-6);
    m.norm = 0;
    m.quantize = 1e-6; /* 2 widths, the heads, the feed-forward part; the output's */
    near(estimate_step(&m, &s, 0), 34e-3 + (2000 + 1000 + 4000 + 1000) * 1e-6);
    m.quantize = 0;
    m.activate = 1e-6; /* two threads share it */
    near(estimate_step(&m, &s, 0), 34e-3 + 4000 * 1e-6 / 2);
    m.activate = 0;
    m.choose = 1e-6;
    near(estimate_step(&m, &s, 0), 34e-3 + 100 * 1e-6);
    m.choose = 0;
    s.parts[0].head = 32e6;
    near(estimate_step(&m, &s, 0), 68e-3);
}

static void keys_and_values_count(void **state)
{
    (void)state;
    struct estimate_machine m = plain();
    struct estimate_shape s = one_layer();
    near(estimate_kv_bytes(&s, 100), 100 * 2 * 250 * 2 * 2);
    near(estimate_step(&m, &s, 1000) - estimate_step(&m, &s, 0), 2e6 / 1e9);
    s.n_head_kv = 1; /* half the bytes, by half of the threads */
    near(estimate_step(&m, &s, 1000) - estimate_step(&m, &s, 0), 1e6 / 5e8);
}

/* From memory a byte costs more, and between the sizes something between. */
static void larger_models_are_read_more_slowly(void **state)
{
    (void)state;
    struct estimate_machine m = plain();
    struct estimate_shape s = one_layer();
    s.token_bytes = 1e8;
    double cached = estimate_step(&m, &s, 0), last = cached;
    near(cached, 34e-3);
    for (double bytes = 2e8; bytes <= 1e9; bytes += 1e8) {
        s.token_bytes = bytes;
        double now = estimate_step(&m, &s, 0);
        assert_true(now > last);
        last = now;
    }
    s.token_bytes = 1e12;
    near(estimate_step(&m, &s, 0), last);
    assert_true(last > 2 * cached &&
                last < 2.2 * cached); /* twice, and the share of a whole model */
}

static void a_prompt_is_its_terms(void **state)
{
    (void)state;
    struct estimate_machine m = plain();
    struct estimate_shape s = one_layer();
    /* Few rows cost their reading, many their products. */
    near(estimate_prompt(&m, &s, 1), 34e-3);
    double many = estimate_prompt(&m, &s, 512) / (2 * 512 * 32e6 / 1e12);
    assert_true(many >= 1 && many < 1.15);
    near(estimate_prompt(&m, &s, 1024), 2 * estimate_prompt(&m, &s, 512));
    m.attend_pair = 1e-6;
    m.attend_float = 1e-8;
    double pairs = 4 * 512.0 * (512 + 96) / 2; /* two queries to a key: 96 rows a call */
    near(estimate_prompt(&m, &s, 512) - many * (2 * 512 * 32e6 / 1e12),
         pairs * (1e-6 + 250 * 1e-8));
    m.attend_pair = m.attend_float = 0;
    m.rates[0].batch_quantize = 1e-9;
    near(estimate_prompt(&m, &s, 512) - many * (2 * 512 * 32e6 / 1e12), 512 * 7000 * 1e-9);
}

static void experts_cost_what_is_used(void **state)
{
    (void)state;
    struct estimate_dims d = {4, 256, 512, 4, 2, 64, 1000, 16, 2, 128, true, false};
    struct estimate_shape s, dense;
    struct estimate_machine m = plain();
    assert_int_equal(estimate_shape_of_mix(&d, "Q8_0", &s, NULL), OK);
    d.n_expert = 0;
    d.n_ff = 2 * 128;
    assert_int_equal(estimate_shape_of_mix(&d, "q8_0", &dense, NULL), OK);
    assert_int_equal(s.n_ff, 256);
    /* Two of sixteen experts and a router, but all are held. */
    near(s.token_bytes, dense.token_bytes + 4 * 16 * 256 * 4);
    near(s.weight_bytes - s.token_bytes, 4 * 14 * 3 * 128 * 256 * 34 / 32.0);
    assert_true(estimate_step(&m, &s, 0) < 1.3 * estimate_step(&m, &dense, 0));
    assert_true(estimate_prompt(&m, &s, 16) > 2 * estimate_prompt(&m, &dense, 16));
}

static void without_rates_there_is_no_estimate(void **state)
{
    (void)state;
    struct estimate_machine m = plain();
    struct estimate_shape s = one_layer();
    assert_true(estimate_covers(&m, &s));
    s.parts[0].type = QUANT_Q4_K;
    assert_false(estimate_covers(&m, &s));
    assert_true(estimate_step(&m, &s, 0) == 0 && estimate_prompt(&m, &s, 100) == 0);
    assert_null(estimate_rate_find(&m, QUANT_Q4_K));
    s.n_parts = 0;
    assert_false(estimate_covers(&m, &s));
}

/* Sizes as published; the file has its vocabulary besides. */
static void mixes_of_known_models(void **state)
{
    (void)state;
    struct estimate_shape s;
    struct error err = {0};
    const struct estimate_dims qwen = {24, 896, 4864, 14, 2, 64, 151936, 0, 0, 0, true, false};
    assert_int_equal(estimate_shape_of_mix(&qwen, "Q4_K_M", &s, &err), OK);
    assert_true(s.file_bytes < 491400064 && s.file_bytes > 0.98 * 491400064);
    /* Rows of 896 are no whole number of 256: Q5_0 and Q8_0 stand in, 4864 has K-quants. */
    assert_int_equal(s.n_parts, 4);
    const struct estimate_dims smol = {30, 576, 1536, 9, 3, 64, 49152, 0, 0, 0, true, true};
    assert_int_equal(estimate_shape_of_mix(&smol, "Q4_1", &s, &err), OK);
    near(s.n_params, 49152.0 * 576 + 30.0 * (2 * 576 * 576 + 2 * 192 * 576 + 3 * 1536 * 576));
    near(s.token_bytes, s.weight_bytes);
    near(s.file_bytes, s.weight_bytes); /* tied */
    assert_true(s.file_bytes < 98362432 && s.file_bytes > 0.98 * 98362432);
    assert_int_equal(estimate_shape_of_mix(&smol, "Q4_K_XXL", &s, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "Q4_K_XXL"));
}

static void memory_holds_everything(void **state)
{
    (void)state;
    struct estimate_shape s = one_layer();
    double none = estimate_memory(&s, 0);
    assert_true(none > s.weight_bytes + 16e6 && none < s.weight_bytes + 80e6);
    near(estimate_memory(&s, 1000) - none, estimate_kv_bytes(&s, 1000));
}

static void shapes_of_files(void **state)
{
    (void)state;
    static const char *const files[] = {"qwen2.gguf", "llama-tied.gguf", "llama-gqa.gguf",
                                        "q4_k.gguf"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[512];
        struct gguf *g;
        struct estimate_shape s;
        struct error err = {0};
        snprintf(path, sizeof path, GOLDEN_DIR "/tiny/%s", files[i]);
        if (gguf_open(path, &g, &err)) fail_msg("%s", err.msg);
        if (estimate_shape_of_file(g, &s, &err)) fail_msg("%s", err.msg);
        double elements = 0, bytes = 0, counted = 0;
        for (size_t k = 0; k < gguf_n_tensors(g); k++) {
            const struct gguf_tensor *t = gguf_tensor_at(g, k);
            elements += (double)(t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]);
            bytes += (double)t->size;
        }
        for (size_t k = 0; k < s.n_parts; k++) {
            assert_true(s.parts[k].stored == s.parts[k].active);
            counted += s.parts[k].stored + s.parts[k].head;
        }
        assert_true(s.n_layer > 0 && s.n_head_kv > 0 && s.head_dim > 0 && s.n_ff > 0);
        assert_true(counted > 0 && counted <= elements);
        near(s.file_bytes, bytes - 0); /* vectors of layers are neither read nor multiplied */
        near(s.n_params, elements);
        gguf_close(g);
    }
}

static void a_file_without_a_model(void **state)
{
    (void)state;
    static const unsigned char empty[] = {'G', 'G', 'U', 'F', 3, 0, 0, 0, 0, 0, 0, 0,
                                          0,   0,   0,   0,   0, 0, 0, 0, 0, 0, 0, 0};
    char path[] = "/tmp/hearth-estimate-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, empty, sizeof empty) == (ssize_t)sizeof empty);
    close(fd);
    struct gguf *g;
    struct error err = {0};
    struct estimate_shape s;
    enum status st = gguf_open(path, &g, &err);
    unlink(path);
    if (st) fail_msg("%s", err.msg);
    assert_int_equal(estimate_shape_of_file(g, &s, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "general.architecture"));
    gguf_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_its_terms),
        cmocka_unit_test(keys_and_values_count),
        cmocka_unit_test(larger_models_are_read_more_slowly),
        cmocka_unit_test(a_prompt_is_its_terms),
        cmocka_unit_test(experts_cost_what_is_used),
        cmocka_unit_test(without_rates_there_is_no_estimate),
        cmocka_unit_test(mixes_of_known_models),
        cmocka_unit_test(memory_holds_everything),
        cmocka_unit_test(shapes_of_files),
        cmocka_unit_test(a_file_without_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
