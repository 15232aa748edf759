/* Matrices that AutoGPTQ and AutoAWQ packed (tools/golden/packed_golden.py): what Hearth reads of
 * them, and what it makes of them, against the packers' own unpacking. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convert/hf_view.h"
#include "convert/import.h"
#include "gguf/gguf.h"
#include "gguf/safetensors_int.h"
#include "hf_kit.h"
#include "quant/quant.h"

enum { ROWS = 32, COLS = 128 };
#define PACKED GOLDEN_DIR "/packed/"

static json_t *cases(void)
{
    json_error_t je;
    json_t *j = json_load_file(PACKED "packed.json", 0, &je);
    assert_non_null(j);
    assert_true(json_object_size(j) >= 12);
    return j;
}

static const char *file_of(const char *name, char path[512])
{
    snprintf(path, 512, "%s%s.safetensors", PACKED, name);
    return path;
}

/* The matrix as floats, after checking that they are the packer's. */
static void read_matrix(const char *name, const json_t *entry, float *out)
{
    char path[512], hex[SHA256_HEX_SIZE];
    uint8_t digest[SHA256_BYTES];
    struct error err = {0};
    struct safetensors *files;
    struct hf_config config;
    struct hf_sources sources;
    struct hf_view v;
    int16_t numbers[COLS];
    static const char text[] = "{\"architectures\": [\"LlamaForCausalLM\"]}";
    assert_int_equal(safetensors_open(file_of(name, path), &files, &err), OK);
    assert_int_equal(hf_config_parse(text, sizeof text - 1, "config.json", &config, &err), OK);
    if (hf_sources_build(files, &config, json_object_get(entry, "config"), &sources, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(sources.n, 1);
    const struct hf_source *src =
        hf_sources_find(&sources, "model.layers.0.self_attn.v_proj.weight");
    assert_non_null(src);
    assert_int_equal(src->shape[0], ROWS);
    assert_int_equal(src->shape[1], COLS);
    assert_int_equal(hf_view_init(&v, src, &err), OK);
    for (uint64_t r = 0; r < ROWS; r++) {
        hf_view_row(&v, r, out + r * COLS, numbers);
        for (uint64_t c = 0; c < COLS; c++) {
            float one =
                hf_packed_scale(src, r, src->packed.group[c]) * (float)hf_packed_at(src, r, c);
            assert_true(one == out[r * COLS + c]);
        }
    }
    for (size_t i = 0; i < ROWS * COLS; i++)
        if (out[i] == 0)
            out[i] = 0; /* one zero, as the packer's arithmetic need not have the same sign */
    assert_int_equal(sha256_of(out, ROWS * COLS * sizeof *out, digest), OK);
    sha256_hex(digest, hex);
    if (strcmp(hex, json_string_value(json_object_get(entry, "sha256"))) != 0)
        fail_msg("%s: other weights", name);
    hf_sources_fini(&sources);
    hf_config_fini(&config);
    safetensors_close(files);
}

static void test_reads_as_packed(void **state)
{
    (void)state;
    static float w[ROWS * COLS];
    const char *name;
    json_t *entry, *all = cases();
    json_object_foreach(all, name, entry) read_matrix(name, entry, w);
    json_decref(all);
}

/* llama.cpp's order of a head's rows: pairs of its halves. */
static uint64_t permuted(uint64_t row)
{
    return row % 2 * (ROWS / 2) + row / 2;
}

static const struct import_class *packed_class(const struct import_report *r)
{
    for (size_t i = 0; i < r->n_classes; i++)
        if (strstr(r->classes[i].from, "bits")) return &r->classes[i];
    fail_msg("no class of packed tensors");
    return NULL;
}

/* The largest difference, which the report must tell as well. */
static void check_values(const struct gguf *g, const float *want, const char *name,
                         const struct import_class *c)
{
    static float row[COLS];
    double max = 0, step = 0;
    const struct gguf_tensor *t = gguf_tensor_find(g, "blk.0.attn_k.weight");
    const struct quant_traits *q = quant_find(t->type);
    assert_int_equal(t->ne[0], COLS);
    assert_int_equal(t->ne[1], ROWS);
    for (uint64_t r = 0; r < ROWS; r++) {
        q->decode(t->data + r * (t->size / ROWS), row, COLS / q->block_elems);
        for (uint64_t i = 0; i < COLS; i++) {
            double w = (double)want[permuted(r) * COLS + i];
            max = fmax(max, fabs((double)row[i] - w));
            step = fmax(step, fabs(w));
        }
    }
    assert_true(c->measured);
    assert_true(fabs(max - c->max_error) <= 1e-9);
    /* Q4_1 rounds the smallest element to half precision, F16 each; Q8_0 has 127 steps. */
    double limit = t->type == QUANT_Q4_1 || t->type == QUANT_F16 ? step / 1024
                   : c->max_error > 0                            ? step / 127
                                                                 : 0;
    if (max > limit) fail_msg("%s as %s: error %g", name, q->name, max);
}

static void import_one(const char *name, const json_t *entry, bool exact)
{
    static float w[ROWS * COLS];
    char path[512], *config = json_dumps(json_object_get(entry, "config"), 0), more[512];
    struct files f;
    struct st_build b;
    struct error err = {0};
    struct import_options o = {.n_threads = 1, .exact = exact};
    struct import_report report;
    struct gguf *g;
    read_matrix(name, entry, w);
    assert_true(files_init(&f));
    snprintf(more, sizeof more, ",\"quantization_config\":%s", config);
    hf_tiny_llama(&b, &f, COLS, "k_proj", more);
    st_add_file(&b, file_of(name, path), "v_proj", "k_proj");
    /* The zero biases that quantizers add. */
    st_add(&b, "model.layers.0.mlp.lost_proj.bias", "F16", 1, (uint64_t[]){8}, (uint8_t[16]){0},
           16);
    st_write(&b, &f, "model.safetensors");
    char *out = strdup(files_path(&f, "out.gguf"));
    if (import_folder(f.dir, out, &o, &report, &err)) fail_msg("%s: %s", name, err.msg);
    if (gguf_open(out, &g, &err)) fail_msg("%s", err.msg);
    const struct import_class *c = packed_class(&report);
    const char *type = json_string_value(json_object_get(entry, exact ? "type_exact" : "type"));
    assert_string_equal(c->to, type);
    assert_int_equal(c->n_tensors, 1);
    check_values(g, w, name, c);
    bool is_exact = strcmp(type, "Q4_0") == 0 || strcmp(type, "Q5_0") == 0 ||
                    (strcmp(type, "Q8_0") == 0 && strstr(name, "8-sym"));
    if (is_exact != (c->max_error == 0)) fail_msg("%s as %s: error %g", name, type, c->max_error);
    gguf_close(g);
    free(out);
    free(config);
    files_fini(&f);
}

static void test_imports_without_loss(void **state)
{
    (void)state;
    const char *name;
    json_t *entry, *all = cases();
    json_object_foreach(all, name, entry)
    {
        import_one(name, entry, false);
        import_one(name, entry, true);
    }
    json_decref(all);
}

/* The blocks of two matrices of AWQ that differ in one nibble differ in one weight. */
static void test_unequal_shapes_are_refused(void **state)
{
    (void)state;
    static const uint64_t in = 64, out = 32;
    static uint8_t words[64 * 32];
    const struct {
        const char *method;
        uint64_t q[2], z[2], s[2];
        const char *why;
    } bad[] = {
        {"gptq", {8, 32}, {2, 4}, {2, 32}, NULL}, /* sound: 64 columns in 4 bits, 2 groups */
        {"gptq", {8, 31}, {2, 4}, {2, 32}, "belong together"},
        {"gptq", {8, 32}, {3, 4}, {2, 32}, "belong together"},
        {"gptq", {8, 32}, {2, 5}, {2, 32}, "neither 2, 3, 4 nor 8"},
        {"gptq", {8, 32}, {2, 4}, {0, 32}, "belong together"},
        {"gptq", {8, 32}, {4, 4}, {4, 32}, "groups"},
        {"awq", {64, 4}, {2, 4}, {2, 32}, NULL},
        {"awq", {64, 4}, {2, 3}, {2, 32}, "belong together"},
        {"awq", {64, 4}, {3, 4}, {3, 32}, "belong together"},
        {"awq", {64, 5}, {2, 4}, {2, 32}, "belong together"},
    };
    (void)in, (void)out;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct st_build b;
        struct buf file;
        struct safetensors *files;
        struct hf_config config;
        struct hf_sources sources;
        struct error err = {0};
        static const char text[] = "{\"architectures\": [\"x\"]}";
        json_t *q = json_pack("{s:s, s:i, s:i}", "quant_method", bad[i].method, "bits", 4,
                              "group_size", 32);
        st_begin(&b);
        st_add(&b, "a.qweight", "I32", 2, bad[i].q, words, (size_t)(bad[i].q[0] * bad[i].q[1] * 4));
        st_add(&b, "a.qzeros", "I32", 2, bad[i].z, words, (size_t)(bad[i].z[0] * bad[i].z[1] * 4));
        st_add(&b, "a.scales", "F16", 2, bad[i].s, words, (size_t)(bad[i].s[0] * bad[i].s[1] * 2));
        st_end(&b, &file);
        assert_int_equal(safetensors_open_memory(file.data, file.len, "x", &files, &err), OK);
        assert_int_equal(hf_config_parse(text, sizeof text - 1, "config.json", &config, &err), OK);
        enum status st = hf_sources_build(files, &config, q, &sources, &err);
        if (bad[i].why ? st != ERR_FORMAT || !strstr(err.msg, bad[i].why) : st != OK)
            fail_msg("case %zu: %s", i, err.msg);
        if (!st) hf_sources_fini(&sources);
        json_decref(q);
        hf_config_fini(&config);
        safetensors_close(files);
        buf_fini(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_as_packed),
        cmocka_unit_test(test_imports_without_loss),
        cmocka_unit_test(test_unequal_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
