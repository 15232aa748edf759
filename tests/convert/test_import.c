/* Imports that end badly or in the middle, and what the folders' files are refused for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "convert/import.h"
#include "convert/json_text.h"
#include "gguf/gguf.h"
#include "hf_kit.h"
#include "quant/quant.h"

static enum status import(const struct files *f, const struct import_options *o,
                          struct import_report *r, struct error *err)
{
    char out[128];
    snprintf(out, sizeof out, "%s/out.gguf", f->dir);
    memset(err, 0, sizeof *err);
    return import_folder(f->dir, out, o, r, err);
}

static void plain_folder(struct files *f, const char *more)
{
    struct st_build b;
    assert_true(files_init(f));
    hf_tiny_llama(&b, f, 64, NULL, more);
    st_write(&b, f, "model.safetensors");
}

static void read_result(const struct files *f, struct buf *out)
{
    struct error err = {0};
    buf_init(out, 16 << 20);
    if (file_read_all(files_path(f, "out.gguf"), out, &err)) fail_msg("%s", err.msg);
}

/* ---- in the middle ----------------------------------------------------------------------------
 */

struct stopper {
    uint64_t after;
    int calls;
};

static bool stop_after(void *ctx, uint64_t done, uint64_t total)
{
    struct stopper *s = ctx;
    s->calls++;
    assert_true(done <= total);
    return done < s->after;
}

static void test_goes_on_after_an_interruption(void **state)
{
    (void)state;
    struct files f;
    struct buf whole, resumed;
    struct error err;
    struct import_report r;
    struct stopper s = {.after = 20000};
    struct import_options plain = {.n_threads = 1},
                          stopped = {.n_threads = 1, .progress = stop_after, .ctx = &s};
    plain_folder(&f, "");
    assert_int_equal(import(&f, &plain, &r, &err), OK);
    assert_int_equal(r.n_resumed, 0);
    read_result(&f, &whole);
    unlink(files_path(&f, "out.gguf"));

    assert_int_equal(import(&f, &stopped, &r, &err), ERR_CANCELLED);
    assert_true(s.calls > 2);
    assert_false(file_exists(files_path(&f, "out.gguf")));
    assert_true(file_exists(files_path(&f, "out.gguf.part")));
    assert_int_equal(import(&f, &plain, &r, &err), OK);
    assert_true(r.n_resumed >= 2 && r.n_resumed < r.n_tensors);
    read_result(&f, &resumed);
    assert_int_equal(whole.len, resumed.len);
    assert_memory_equal(whole.data, resumed.data, whole.len);
    assert_false(file_exists(files_path(&f, "out.gguf.part")));
    assert_false(file_exists(files_path(&f, "out.gguf.part.log")));
    buf_fini(&whole);
    buf_fini(&resumed);
    files_fini(&f);
}

/* Bytes that changed on the disk meanwhile are made again. */
static void test_checks_what_it_takes_over(void **state)
{
    (void)state;
    struct files f;
    struct buf whole, resumed;
    struct error err;
    struct import_report r;
    struct stopper s = {.after = 40000};
    struct import_options plain = {.n_threads = 1},
                          stopped = {.n_threads = 1, .progress = stop_after, .ctx = &s};
    plain_folder(&f, "");
    assert_int_equal(import(&f, &plain, &r, &err), OK);
    read_result(&f, &whole);
    unlink(files_path(&f, "out.gguf"));
    assert_int_equal(import(&f, &stopped, &r, &err), ERR_CANCELLED);
    FILE *part = fopen(files_path(&f, "out.gguf.part"), "r+b");
    assert_non_null(part);
    /* The embedding comes first among the tensors, right behind the header. */
    assert_int_equal(fseek(part, (long)whole.len - (long)r.n_weights * 2 - 256, SEEK_SET), 0);
    for (int i = 0; i < 4096; i++) fputc(0x5a, part);
    fclose(part);
    assert_int_equal(import(&f, &plain, &r, &err), OK);
    read_result(&f, &resumed);
    assert_int_equal(whole.len, resumed.len);
    assert_memory_equal(whole.data, resumed.data, whole.len);
    buf_fini(&whole);
    buf_fini(&resumed);
    files_fini(&f);
}

static void test_other_options_begin_anew(void **state)
{
    (void)state;
    struct files f;
    struct error err;
    struct import_report r;
    struct stopper s = {.after = 40000};
    struct import_options exact = {.n_threads = 1, .exact = true};
    struct import_options stopped = {.n_threads = 1, .progress = stop_after, .ctx = &s};
    plain_folder(&f, "");
    assert_int_equal(import(&f, &stopped, &r, &err), ERR_CANCELLED);
    assert_int_equal(import(&f, &exact, &r, &err), OK);
    assert_int_equal(r.n_resumed, 0);
    files_fini(&f);
}

static void test_threads_do_not_change_the_file(void **state)
{
    (void)state;
    struct files f;
    struct buf one, four;
    struct error err;
    struct import_report r1, r4;
    struct import_options o1 = {.n_threads = 1, .quantize = "Q4_K_M"},
                          o4 = {.n_threads = 4, .quantize = "Q4_K_M"};
    struct st_build b;
    assert_true(files_init(&f));
    hf_tiny_llama(&b, &f, 256, NULL, "");
    st_write(&b, &f, "model.safetensors");
    if (import(&f, &o1, &r1, &err)) fail_msg("%s", err.msg);
    read_result(&f, &one);
    assert_int_equal(import(&f, &o4, &r4, &err), OK);
    read_result(&f, &four);
    assert_int_equal(one.len, four.len);
    assert_memory_equal(one.data, four.data, one.len);
    assert_int_equal(r1.n_classes, r4.n_classes);
    bool quantized = false;
    for (size_t i = 0; i < r1.n_classes; i++) {
        quantized |= strcmp(r1.classes[i].to, "Q4_K") == 0 && r1.classes[i].rms_error > 0;
        assert_true(r1.classes[i].rms_error == r4.classes[i].rms_error);
    }
    assert_true(quantized);
    buf_fini(&one);
    buf_fini(&four);
    files_fini(&f);
}

/* ---- other forms of storage --------------------------------------------------------------------
 */

static const struct import_class *class_from(const struct import_report *r, const char *from)
{
    for (size_t i = 0; i < r->n_classes; i++)
        if (strncmp(r->classes[i].from, from, strlen(from)) == 0) return &r->classes[i];
    fail_msg("nothing was stored as %s", from);
    return NULL;
}

/* 64 rows of 64 columns, blocks of 32: scales 1, 2, 3, 4. */
static void test_fp8_with_block_scales(void **state)
{
    (void)state;
    struct files f;
    struct st_build b;
    struct error err;
    struct import_report r;
    struct import_options o = {.n_threads = 1};
    struct gguf *g;
    uint8_t bytes[64 * 64];
    float scales[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = 0x38; /* 1.0 */
    bytes[0] = 0x7e;                                           /* 448, the largest */
    bytes[1] = 0x81;                                           /* -2^-9, the smallest */
    assert_true(files_init(&f));
    hf_tiny_llama(
        &b, &f, 64, "o_proj",
        ",\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[32,32]}");
    st_add(&b, "model.layers.0.self_attn.o_proj.weight", "F8_E4M3", 2, (uint64_t[]){64, 64}, bytes,
           sizeof bytes);
    st_add(&b, "model.layers.0.self_attn.o_proj.weight_scale_inv", "F32", 2, (uint64_t[]){2, 2},
           scales, 16);
    st_write(&b, &f, "model.safetensors");
    if (import(&f, &o, &r, &err)) fail_msg("%s", err.msg);
    assert_true(class_from(&r, "F8_E4M3")->max_error == 0);
    assert_int_equal(gguf_open(files_path(&f, "out.gguf"), &g, &err), OK);
    const struct gguf_tensor *t = gguf_tensor_find(g, "blk.0.attn_output.weight");
    static float w[64 * 64];
    quant_find(t->type)->decode(t->data, w, 64 * 64);
    assert_true(w[0] == 448 && w[1] == -1 / 512.0f && w[2] == 1 && w[40] == 2);
    assert_true(w[40 * 64] == 3 && w[40 * 64 + 40] == 4);
    gguf_close(g);
    files_fini(&f);
}

static void test_shards_by_an_index(void **state)
{
    (void)state;
    struct files f;
    struct st_build b, second;
    struct error err;
    struct import_report r;
    struct import_options o = {.n_threads = 1};
    static const char index[] =
        "{\"metadata\":{\"total_size\":1},\"weight_map\":{\"model.norm.weight\":\"a.safetensors\","
        "\"model.layers.0.self_attn.v_proj.weight\":\"b.safetensors\"}}";
    assert_true(files_init(&f));
    hf_tiny_llama(&b, &f, 64, "v_proj", "");
    st_write(&b, &f, "a.safetensors");
    st_begin(&second);
    st_add_weight(&second, "model.layers.0.self_attn.v_proj.weight", "BF16", 2,
                  (uint64_t[]){16, 64});
    st_write(&second, &f, "b.safetensors");
    assert_true(files_write(&f, "model.safetensors.index.json", index, sizeof index - 1));
    if (import(&f, &o, &r, &err)) fail_msg("%s", err.msg);
    assert_int_equal(r.n_tensors, 11);
    files_fini(&f);
}

/* ---- refused ------------------------------------------------------------------------------------
 */

static void test_hostile_indexes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
        enum status st;
    } bad[] = {
        {"{\"weight_map\":{\"a\":\"../model.safetensors\"}}", "no shard beside it", ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "no shard beside it", ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\".hidden.safetensors\"}}", "no shard beside it", ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"missing.safetensors\"}}", "not there", ERR_NOT_FOUND},
        {"{\"weight_map\":{\"a\":\"model.safetensors\"}}", "lacks it", ERR_FORMAT},
        {"{\"weight_map\":{}}", "no weight_map", ERR_FORMAT},
        {"{\"weight_map\":[]}", "no '{'", ERR_FORMAT},
        {"{\"metadata\":1", "no '}'", ERR_FORMAT},
        {"", "no '{'", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct files f;
        struct error err;
        struct import_report r;
        struct import_options o = {.n_threads = 1};
        plain_folder(&f, "");
        assert_true(
            files_write(&f, "model.safetensors.index.json", bad[i].text, strlen(bad[i].text)));
        enum status st = import(&f, &o, &r, &err);
        if (st != bad[i].st || !strstr(err.msg, bad[i].why)) fail_msg("case %zu: %s", i, err.msg);
        assert_false(file_exists(files_path(&f, "out.gguf.part")));
        files_fini(&f);
    }
}

static void test_models_that_do_not_fit_their_config(void **state)
{
    (void)state;
    static const struct {
        const char *more, *why; /* a later field of the same name counts nowhere: names differ */
    } bad[] = {
        {",\"head_dim\":-1", "head_dim"},
        {",\"tie_word_embeddings\":3", "neither true nor false"},
        {",\"rope_scaling\":{\"type\":\"unheard\"}", "not known"},
        {",\"rope_theta\":-4", "rope_theta"},
        {",\"quantization_config\":{\"quant_method\":\"bitsandbytes\"}", "cannot be imported"},
        {",\"quantization_config\":{\"quant_method\":\"awq\",\"version\":\"gemv\"}", "AWQ layout"},
        {",\"quantization_config\":{\"quant_method\":\"gptq\",\"checkpoint_format\":\"marlin\"}",
         "GPTQ format"},
        {",\"quantization_config\":{\"quant_method\":\"gptq\",\"group_size\":0}", "group_size"},
        {",\"hidden_size\":64", "duplicate"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct files f;
        struct error err;
        struct import_report r;
        struct import_options o = {.n_threads = 1};
        plain_folder(&f, bad[i].more);
        enum status st = import(&f, &o, &r, &err);
        if (st == OK || !strstr(err.msg, bad[i].why)) fail_msg("case %zu: %s", i, err.msg);
        files_fini(&f);
    }
}

static void check_refused(const char *without, const char *add, const char *type, size_t n_dims,
                          const uint64_t *shape, const char *why)
{
    struct files f;
    struct st_build b;
    struct error err;
    struct import_report r;
    struct import_options o = {.n_threads = 1};
    assert_true(files_init(&f));
    hf_tiny_llama(&b, &f, 64, without, "");
    if (add) st_add_weight(&b, add, type, n_dims, shape);
    st_write(&b, &f, "model.safetensors");
    enum status st = import(&f, &o, &r, &err);
    if (st == OK || !strstr(err.msg, why)) fail_msg("%s: %s", why, err.msg);
    files_fini(&f);
}

static void test_weights_missing_or_unknown(void **state)
{
    (void)state;
    check_refused("v_proj", NULL, NULL, 0, NULL, "1 of 1 layers have no weight");
    check_refused("embed_tokens", NULL, NULL, 0, NULL, "no token embedding");
    check_refused(NULL, "model.layers.0.mystery.weight", "BF16", 1, (uint64_t[]){4},
                  "not one that llama models");
    check_refused("q_proj", "model.layers.0.self_attn.q_proj.weight", "BF16", 2,
                  (uint64_t[]){63, 64}, "not those of the heads");
    check_refused("o_proj", "model.layers.0.self_attn.o_proj.weight", "BF16", 4,
                  (uint64_t[]){2, 2, 2, 2}, "1 to 3 dimensions");
    check_refused(NULL, "model.layers.0.block_sparse_moe.experts.0.w1.weight", "BF16", 2,
                  (uint64_t[]){4, 4}, "expert behind");
    check_refused("embed_tokens", "model.embed_tokens.weight", "BF16", 2, (uint64_t[]){40, 32},
                  "wide");
    check_refused(NULL, "model.layers.00.mlp.up_proj.weight", "BF16", 1, (uint64_t[]){4},
                  "not one that");
}

/* A weight with a value that the wanted type has no bits for. */
static void test_values_without_a_type(void **state)
{
    (void)state;
    struct files f;
    struct st_build b;
    struct error err;
    struct import_report r;
    struct import_options o = {.n_threads = 1, .quantize = "Q8_0"};
    static uint16_t bf16[64 * 64];
    bf16[5] = 0x7fc0; /* NaN */
    assert_true(files_init(&f));
    hf_tiny_llama(&b, &f, 64, "o_proj", "");
    st_add(&b, "model.layers.0.self_attn.o_proj.weight", "BF16", 2, (uint64_t[]){64, 64}, bf16,
           sizeof bf16);
    st_write(&b, &f, "model.safetensors");
    assert_int_equal(import(&f, &o, &r, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "not finite"));
    assert_false(file_exists(files_path(&f, "out.gguf")));
    o.quantize = "Q9_9";
    assert_int_equal(import(&f, &o, &r, &err), ERR_INVALID);
    files_fini(&f);
}

static void test_numbers_beyond_64_bits(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\": 1000000000000000019884624838656, \"b\": \"10000000000000000198\", "
        "\"c\": 1234567890123456789.5, \"d\": [999999999999999999, 1e30]}";
    json_error_t why;
    json_t *j = json_text_parse(text, sizeof text - 1, 0, &why);
    assert_non_null(j);
    assert_true(json_number_value(json_object_get(j, "a")) == 1e30);
    assert_string_equal(json_string_value(json_object_get(j, "b")), "10000000000000000198");
    assert_true(json_number_value(json_object_get(j, "c")) == 1234567890123456789.5);
    assert_true(json_integer_value(json_array_get(json_object_get(j, "d"), 0)) ==
                999999999999999999);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on_after_an_interruption),
        cmocka_unit_test(test_checks_what_it_takes_over),
        cmocka_unit_test(test_other_options_begin_anew),
        cmocka_unit_test(test_threads_do_not_change_the_file),
        cmocka_unit_test(test_fp8_with_block_scales),
        cmocka_unit_test(test_shards_by_an_index),
        cmocka_unit_test(test_hostile_indexes),
        cmocka_unit_test(test_models_that_do_not_fit_their_config),
        cmocka_unit_test(test_weights_missing_or_unknown),
        cmocka_unit_test(test_values_without_a_type),
        cmocka_unit_test(test_numbers_beyond_64_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
