/* What model_open makes of a file's metadata and tensors: the program it describes, and an error
 * that names the culprit for everything that is missing, out of range or unknown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_int.h"
#include "tiny_model.h"

static char *dir;
static char path[512];

/* Writes the model and opens it; *out is NULL on failure, *g is to be closed either way. */
static enum status open_tiny(const struct tiny_model *t, struct gguf **g, struct model **out,
                             struct error *err)
{
    tiny_write(t, path);
    *out = NULL;
    assert_int_equal(gguf_open(path, g, err), OK);
    struct model_options opt = {.n_threads = 2};
    return model_open(*g, &opt, out, err);
}

/* Opening fails with this status and a message that has all these words (NULL-terminated). */
static void check_fails(const struct tiny_model *t, enum status want, ...)
{
    struct gguf *g;
    struct model *m;
    struct error err = {0};
    enum status st = open_tiny(t, &g, &m, &err);
    va_list ap;
    va_start(ap, want);
    for (const char *word; (word = va_arg(ap, const char *));) {
        if (!strstr(err.msg, word)) fail_msg("no \"%s\" in \"%s\"", word, err.msg);
    }
    va_end(ap);
    assert_int_equal(st, want);
    assert_int_equal(err.code, want);
    assert_non_null(strstr(err.msg, path));
    assert_null(m);
    gguf_close(g);
}

/* ---- what a good file becomes ---------------------------------------------------------------- */

static void test_llama_program(void **state)
{
    (void)state;
    static const enum stage_kind layer[] = {STAGE_ATTN_IN, STAGE_ATTN, STAGE_ATTN_OUT, STAGE_FFN_IN,
                                            STAGE_FFN_OUT};
    struct tiny_model t;
    struct gguf *g;
    struct model *m;
    struct error err = {0};
    tiny_init(&t, "llama");
    tiny_tensor(&t, "something.else", QUANT_F32, 8, 0);
    assert_int_equal(open_tiny(&t, &g, &m, &err), OK);
    const struct model_info *info = model_info(m);
    assert_string_equal(info->arch, "llama");
    assert_int_equal(info->n_layer, 2);
    assert_int_equal(info->n_head, 4);
    assert_int_equal(info->n_head_kv, 2);
    assert_int_equal(info->head_dim, 16);
    assert_int_equal(info->n_ff, 96);
    assert_int_equal(info->n_vocab, 50);
    assert_int_equal(info->n_ctx_train, 256);
    assert_int_equal(info->n_tensors_ignored, 1);
    size_t per_layer = 64 * 64 * 2 + 64 * 32 * 2 + 64 * 96 * 3;
    assert_int_equal(info->bytes_per_token, (50 * 64 + 2 * per_layer) / 32 * 34);
    assert_int_equal(info->n_params, 50 * 64 + 2 * (per_layer + 2 * 64) + 64 + 8);

    assert_int_equal(m->n_stages, 12);
    assert_int_equal(m->stages[0].kind, STAGE_EMBED);
    assert_ptr_equal(m->stages[0].table, gguf_tensor_find(g, "token_embd.weight"));
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(m->stages[1 + i].kind, layer[i % 5]);
        assert_int_equal(m->stages[1 + i].layer, i / 5);
    }
    const struct stage *head = &m->stages[11], *in = &m->stages[6];
    assert_int_equal(head->kind, STAGE_HEAD);
    assert_ptr_equal(head->w[0].src, m->stages[0].table); /* tied */
    assert_int_equal(head->w[0].mat.n_rows, 50);
    assert_ptr_equal(in->w[1].src, gguf_tensor_find(g, "blk.1.attn_k.weight"));
    assert_int_equal(in->w[1].mat.n_rows, 32);
    assert_int_equal(in->w[1].mat.n_cols, 64);
    assert_null(in->bias[0]);
    assert_true(in->norm.eps == 1e-5f);
    assert_true(in->norm.kind == NORM_RMS && in->norm.w[3] >= 0.5f && in->norm.w[3] < 1.5f);
    assert_true(in->attn->scale == 0.25f);
    assert_false(m->ropes[0].neox);
    model_close(m);
    gguf_close(g);
}

static void test_qwen2_program(void **state)
{
    (void)state;
    struct tiny_model t;
    struct gguf *g;
    struct model *m;
    struct error err = {0};
    tiny_init(&t, "qwen2");
    tiny_tensor(&t, "blk.0.attn_v.bias", QUANT_F16, 32, 0); /* decoded, not mapped */
    assert_int_equal(open_tiny(&t, &g, &m, &err), OK);
    assert_true(m->ropes[0].neox);
    assert_int_equal(m->info.n_tensors_ignored, 0);
    const struct gguf_tensor *v = gguf_tensor_find(g, "blk.0.attn_v.bias");
    uint16_t half;
    memcpy(&half, v->data + 2 * 31, 2);
    float want = quant_f16_to_f32(half);
    assert_memory_equal(&m->stages[1].bias[2][31], &want, sizeof want);
    assert_non_null(m->stages[6].bias[0]);
    const struct stage *head = &m->stages[m->n_stages - 1];
    assert_ptr_equal(head->w[0].src, gguf_tensor_find(g, "output.weight"));
    /* The table of an untied model is not read for each token. */
    size_t per_layer = 64 * 64 * 2 + 64 * 32 * 2 + 64 * 96 * 3;
    assert_int_equal(m->info.bytes_per_token, (50 * 64 + 2 * per_layer) / 32 * 34);
    model_close(m);
    gguf_close(g);
}

/* Panels hold what kern_pack_panel makes of the file's rows, the last one with zeros below. */
static void check_packed(const struct model *m, const struct weight *w)
{
    size_t panel = kern_panel_bytes(w->mat.type, w->mat.n_cols);
    size_t row = w->src->size / w->mat.n_rows;
    uint8_t *want = calloc(1, panel);
    assert_non_null(want);
    assert_int_equal((uintptr_t)w->mat.data % 64, 0);
    for (size_t r = 0; r < w->mat.n_rows; r += KERN_PANEL) {
        size_t n = w->mat.n_rows - r < KERN_PANEL ? w->mat.n_rows - r : KERN_PANEL;
        const uint8_t *have = w->mat.data + r / KERN_PANEL * panel;
        kern_pack_panel(w->mat.type, w->src->data + r * row, row, n, w->mat.n_cols, want);
        assert_memory_equal(have, want, panel);
        assert_true(have >= m->packed && have + panel <= m->packed + m->packed_bytes);
    }
    free(want);
}

static void test_packed_weights(void **state)
{
    (void)state;
    static const uint32_t types[] = {QUANT_Q8_0, QUANT_Q4_0, QUANT_F16, QUANT_Q5_1, QUANT_F32};
    struct tiny_model t;
    struct gguf *g;
    struct model *m;
    struct error err = {0};
    tiny_init(&t, "llama");
    size_t n = 0;
    for (size_t i = 0; i < t.n_tensors; i++)
        if (t.tensors[i].n_dims == 2) t.tensors[i].type = types[n++ % 5];
    assert_int_equal(open_tiny(&t, &g, &m, &err), OK);
    size_t checked = 0;
    for (size_t i = 0; i < m->n_stages * 3; i++) {
        const struct weight *w = &m->stages[i / 3].w[i % 3];
        if (!w->src) continue;
        check_packed(m, w);
        checked++;
    }
    assert_int_equal(checked, 15);
    model_close(m);
    gguf_close(g);
}

static void test_defaults(void **state)
{
    (void)state;
    static const uint32_t heads[] = {4, 4, 4}, ff[] = {96, 96};
    struct tiny_model t;
    struct gguf *g;
    struct model *m;
    struct error err = {0};
    tiny_init(&t, "llama");
    tiny_array(&t, "llama.attention.head_count", 3, heads);
    tiny_array(&t, "llama.feed_forward_length", 2, ff);
    tiny_drop_key(&t, "llama.attention.head_count_kv");
    for (int i = 0; i < 2; i++) {
        char name[80];
        snprintf(name, sizeof name, "blk.%d.attn_k.weight", i);
        tiny_tensor(&t, name, QUANT_Q8_0, 64, 64);
        snprintf(name, sizeof name, "blk.%d.attn_v.weight", i);
        tiny_tensor(&t, name, QUANT_Q8_0, 64, 64);
    }
    assert_int_equal(open_tiny(&t, &g, &m, &err), OK);
    assert_int_equal(m->info.n_head_kv, 4);
    model_close(m);
    gguf_close(g);
}

/* ---- positions ------------------------------------------------------------------------------- */

static struct rope open_rope(const struct tiny_model *t, float freq[8])
{
    struct gguf *g;
    struct model *m;
    struct error err = {0};
    if (open_tiny(t, &g, &m, &err)) fail_msg("%s", err.msg);
    struct rope r = m->ropes[0];
    assert_true(r.n_dims <= 16);
    memcpy(freq, r.inv_freq, r.n_dims / 2 * sizeof *freq);
    model_close(m);
    gguf_close(g);
    return r;
}

static void check_near(double have, double want)
{
    if (!(fabs(have - want) <= 1e-6 * fabs(want))) fail_msg("%.9g, expected %.9g", have, want);
}

static void test_rope_plain_and_linear(void **state)
{
    (void)state;
    struct tiny_model t;
    float f[8];
    tiny_init(&t, "llama");
    struct rope r = open_rope(&t, f);
    assert_int_equal(r.n_dims, 16);
    assert_true(r.magnitude == 1);
    for (int i = 0; i < 8; i++) check_near(f[i], pow(10000, -i / 8.0));

    tiny_f32(&t, "llama.rope.freq_base", 500);
    tiny_u32(&t, "llama.rope.dimension_count", 8);
    tiny_f32(&t, "llama.rope.scale_linear", 2);
    r = open_rope(&t, f);
    assert_int_equal(r.n_dims, 8);
    for (int i = 0; i < 4; i++) check_near(f[i], pow(500, -i / 4.0) / 2);

    tiny_str(&t, "llama.rope.scaling.type", "linear");
    tiny_f32(&t, "llama.rope.scaling.factor", 4);
    open_rope(&t, f);
    for (int i = 0; i < 4; i++) check_near(f[i], pow(500, -i / 4.0) / 4);

    tiny_str(&t, "llama.rope.scaling.type", "none");
    open_rope(&t, f);
    for (int i = 0; i < 4; i++) check_near(f[i], pow(500, -i / 4.0));
}

static void test_rope_factors(void **state)
{
    (void)state;
    struct tiny_model t;
    float f[8], g[8];
    tiny_init(&t, "llama");
    open_rope(&t, f);
    tiny_tensor(&t, "rope_freqs.weight", QUANT_F32, 8, 0); /* between 0.5 and 1.5 */
    open_rope(&t, g);
    bool differs = false;
    for (int i = 0; i < 8; i++) {
        assert_true(f[i] / g[i] > 0.49 && f[i] / g[i] < 1.51);
        differs |= fabs(f[i] / g[i] - 1) > 0.01;
    }
    assert_true(differs);
    tiny_tensor(&t, "rope_freqs.weight", QUANT_F32, 4, 0);
    check_fails(&t, ERR_FORMAT, "rope_freqs.weight is 4, expected 8", NULL);
}

/* Figures by hand: base 10000, 16 dims, original context 256, beta 32 and 1: the pair that turns 32
 * times is 16 ln(256 / 64 pi) / (2 ln 10000) = 0.21, floor 0; once, 3.22, ceil 4. */
static void test_rope_yarn(void **state)
{
    (void)state;
    struct tiny_model t;
    float f[8];
    tiny_init(&t, "qwen2");
    tiny_str(&t, "qwen2.rope.scaling.type", "yarn");
    tiny_f32(&t, "qwen2.rope.scaling.factor", 4);
    tiny_u32(&t, "qwen2.rope.scaling.original_context_length", 256);
    tiny_u32(&t, "qwen2.context_length", 1024);
    struct rope r = open_rope(&t, f);
    check_near(r.magnitude, 1 + 0.1 * log(4));
    for (int i = 0; i < 8; i++) {
        double keep = i < 4 ? 1 - i / 4.0 : 0;
        check_near(f[i], pow(10000, -i / 8.0) * (keep + (1 - keep) / 4));
    }
    tiny_f32(&t, "qwen2.rope.scaling.attn_factor", 0.5f);
    r = open_rope(&t, f);
    check_near(r.magnitude, 0.5 * (1 + 0.1 * log(4)));
    /* No extrapolation: plain linear scaling. */
    tiny_f32(&t, "qwen2.rope.scaling.yarn_ext_factor", 0);
    r = open_rope(&t, f);
    check_near(r.magnitude, 0.5);
    for (int i = 0; i < 8; i++) check_near(f[i], pow(10000, -i / 8.0) / 4);
}

/* ---- what a bad file is told ----------------------------------------------------------------- */

static void test_architectures(void **state)
{
    (void)state;
    struct tiny_model t;
    tiny_init(&t, "llama");
    tiny_str(&t, "general.architecture", "mamba");
    check_fails(&t, ERR_UNSUPPORTED, "mamba", "llama", "qwen2moe", NULL);
    tiny_drop_key(&t, "general.architecture");
    check_fails(&t, ERR_FORMAT, "general.architecture", NULL);
    tiny_u32(&t, "general.architecture", 7);
    check_fails(&t, ERR_FORMAT, "general.architecture", NULL);
}

static void test_every_missing_key(void **state)
{
    (void)state;
    struct tiny_model whole;
    tiny_init(&whole, "llama");
    for (size_t i = 1; i < whole.n_keys; i++) {
        struct tiny_model t = whole;
        const char *key = whole.keys[i].name;
        if (strcmp(key, "llama.attention.head_count_kv") == 0) continue; /* has a default */
        tiny_drop_key(&t, key);
        check_fails(&t, ERR_FORMAT, key, "missing", NULL);
    }
}

static void test_every_missing_tensor(void **state)
{
    (void)state;
    static const char *const archs[] = {"llama", "qwen2"};
    for (size_t a = 0; a < 2; a++) {
        struct tiny_model whole;
        tiny_init(&whole, archs[a]);
        for (size_t i = 0; i < whole.n_tensors; i++) {
            const char *name = whole.tensors[i].name;
            if (strstr(name, ".bias") || strcmp(name, "output.weight") == 0) continue;
            struct tiny_model t = whole;
            tiny_drop_tensor(&t, name);
            check_fails(&t, ERR_FORMAT, name, "missing", NULL);
        }
    }
}

static void test_every_wrong_shape(void **state)
{
    (void)state;
    struct tiny_model whole;
    tiny_init(&whole, "qwen2");
    for (size_t i = 0; i < whole.n_tensors; i++) {
        const struct tiny_tensor *e = &whole.tensors[i];
        struct tiny_model t = whole;
        char found[64];
        t.tensors[i].ne[0] += 32;
        snprintf(found, sizeof found, "is %llu", (unsigned long long)e->ne[0] + 32);
        check_fails(&t, ERR_FORMAT, e->name, found, "expected", NULL);
        t = whole;
        t.tensors[i].n_dims = 3;
        t.tensors[i].ne[2] = 1;
        t.tensors[i].ne[1]++;
        /* The embedding's rows are the vocabulary: the output then has too few. */
        const char *name = strcmp(e->name, "token_embd.weight") ? e->name : "output.weight";
        check_fails(&t, ERR_FORMAT, name, "expected", NULL);
    }
    struct tiny_model t = whole;
    tiny_tensor(&t, "blk.1.ffn_down.weight", QUANT_Q8_0, 64, 96);
    check_fails(&t, ERR_FORMAT, "tensor blk.1.ffn_down.weight is 64 x 96, expected 96 x 64", NULL);
}

/* Optional biases take part wherever the file has them. */
static void test_biases(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t n;
        size_t stage;
        int at;
    } biases[] = {{"blk.1.attn_q.bias", 64, 6, 0},   {"blk.1.attn_output.bias", 64, 8, 0},
                  {"blk.0.ffn_up.bias", 96, 4, 0},   {"blk.0.ffn_gate.bias", 96, 4, 1},
                  {"blk.0.ffn_down.bias", 64, 5, 0}, {"output.bias", 50, 11, 0}};
    struct tiny_model t;
    tiny_init(&t, "llama");
    for (size_t i = 0; i < 6; i++) tiny_tensor(&t, biases[i].name, QUANT_F32, biases[i].n, 0);
    struct gguf *g;
    struct model *m;
    struct error err = {0};
    assert_int_equal(open_tiny(&t, &g, &m, &err), OK);
    assert_int_equal(m->info.n_tensors_ignored, 0);
    for (size_t i = 0; i < 6; i++) {
        const struct gguf_tensor *want = gguf_tensor_find(g, biases[i].name);
        const float *have = m->stages[biases[i].stage].bias[biases[i].at];
        assert_non_null(have);
        assert_memory_equal(have, want->data, biases[i].n * sizeof *have);
    }
    model_close(m);
    gguf_close(g);
}

/* Queries, keys and values, or gate and up, may be the rows of one tensor. */
static void test_fused_tensors(void **state)
{
    (void)state;
    static const char *const parts[] = {"attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"};
    struct tiny_model t;
    struct gguf *g;
    struct model *m;
    struct error err = {0};
    tiny_init(&t, "llama");
    for (uint32_t l = 0; l < 2; l++) {
        char name[64];
        for (size_t i = 0; i < 5; i++) {
            snprintf(name, sizeof name, "blk.%u.%s.weight", l, parts[i]);
            tiny_drop_tensor(&t, name);
        }
        snprintf(name, sizeof name, "blk.%u.attn_qkv.weight", l);
        tiny_tensor(&t, name, QUANT_Q8_0, 64, 128);
        snprintf(name, sizeof name, "blk.%u.ffn_up.weight", l);
        tiny_tensor(&t, name, QUANT_Q8_0, 64, 192);
    }
    assert_int_equal(open_tiny(&t, &g, &m, &err), OK);
    const struct stage *in = &m->stages[1], *ffn = &m->stages[4];
    static const uint64_t first[] = {0, 64, 96}, rows[] = {64, 32, 32};
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(in->w[i].src, gguf_tensor_find(g, "blk.0.attn_qkv.weight"));
        assert_int_equal(in->w[i].src_row, first[i]);
        assert_int_equal(in->w[i].mat.n_rows, rows[i]);
        /* What is packed are these rows and no others. */
        uint8_t panel[KERN_PANEL * 68];
        size_t row_bytes = 64 / 32 * 34;
        kern_pack_panel(in->w[i].mat.type, in->w[i].src->data + first[i] * row_bytes, row_bytes,
                        KERN_PANEL, 64, panel);
        assert_memory_equal(in->w[i].mat.data, panel, sizeof panel);
    }
    assert_int_equal(ffn->w[1].src_row, 0); /* gate */
    assert_int_equal(ffn->w[0].src_row, 96);
    assert_int_equal(m->info.n_tensors_ignored, 0);
    model_close(m);
    gguf_close(g);
}

static void test_refused(void **state)
{
    (void)state;
    struct tiny_model t;
    tiny_init(&t, "qwen2");
    tiny_u32(&t, "qwen2.expert_count", 8);
    check_fails(&t, ERR_UNSUPPORTED, "8 experts", NULL);
    tiny_init(&t, "llama");
    tiny_u32(&t, "llama.expert_count", 8);
    tiny_u32(&t, "llama.expert_used_count", 9);
    check_fails(&t, ERR_FORMAT, "llama.expert_used_count is 9", NULL);
    tiny_u32(&t, "llama.expert_used_count", 2);
    check_fails(&t, ERR_FORMAT, "tensor blk.0.ffn_gate_inp.weight is missing", NULL);

    tiny_init(&t, "llama");
    tiny_tensor(&t, "blk.1.attn_k_norm.weight", QUANT_F32, 16, 0);
    check_fails(&t, ERR_UNSUPPORTED, "blk.1.attn_k_norm.weight", NULL);
    tiny_init(&t, "qwen2");
    tiny_tensor(&t, "blk.0.ffn_norm.bias", QUANT_F32, 64, 0);
    check_fails(&t, ERR_UNSUPPORTED, "blk.0.ffn_norm.bias", NULL);

    tiny_init(&t, "llama");
    tiny_u32(&t, "llama.attention.value_length", 32);
    check_fails(&t, ERR_FORMAT, "attn_v.weight is 64 x 32, expected 64 x 64", NULL);
    static const uint32_t kv[] = {2, 1};
    tiny_init(&t, "llama");
    tiny_array(&t, "llama.attention.head_count_kv", 2, kv);
    check_fails(&t, ERR_UNSUPPORTED, "llama.attention.head_count_kv", "differs", NULL);
    tiny_init(&t, "llama");
    tiny_str(&t, "llama.rope.scaling.type", "longrope");
    check_fails(&t, ERR_FORMAT, "rope_factors_short.weight is missing", NULL);
    tiny_str(&t, "llama.rope.scaling.type", "dynamic");
    check_fails(&t, ERR_UNSUPPORTED, "dynamic", NULL);
}

/* Numbers at the edges and beyond: an error, never a crash. */
static void test_hostile_numbers(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0, 1025, 1u << 21, 0x7fffffff, 0x80000000, 0xffffffff};
    static const char *const keys[] = {
        "block_count",          "embedding_length",        "feed_forward_length",
        "attention.head_count", "attention.head_count_kv", "attention.key_length",
    };
    struct tiny_model t;
    char key[80];
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            if (bad[i] == 1025 && k > 0) continue; /* a size like any other, too large for these */
            tiny_init(&t, "llama");
            snprintf(key, sizeof key, "llama.%s", keys[k]);
            tiny_u32(&t, key, bad[i]);
            check_fails(&t, ERR_FORMAT, key, "expected", NULL);
        }
    }
    static const float eps[] = {0, -1, 2, INFINITY, NAN};
    for (size_t i = 0; i < sizeof eps / sizeof eps[0]; i++) {
        tiny_init(&t, "llama");
        tiny_f32(&t, "llama.attention.layer_norm_rms_epsilon", eps[i]);
        check_fails(&t, ERR_FORMAT, "layer_norm_rms_epsilon", NULL);
        if (eps[i] == 2) continue;
        tiny_init(&t, "llama");
        tiny_f32(&t, "llama.rope.freq_base", eps[i]);
        check_fails(&t, ERR_FORMAT, "rope.freq_base", NULL);
    }
    static const uint32_t dims[] = {0, 1, 3, 17, 18};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
        tiny_init(&t, "llama");
        tiny_u32(&t, "llama.rope.dimension_count", dims[i]);
        check_fails(&t, ERR_FORMAT, "llama.rope.dimension_count", "expected", NULL);
    }
}

static void test_other_numbers(void **state)
{
    (void)state;
    struct tiny_model t;
    tiny_init(&t, "llama");
    tiny_str(&t, "llama.block_count", "two");
    check_fails(&t, ERR_FORMAT, "llama.block_count", NULL);
    tiny_init(&t, "llama");
    tiny_array(&t, "llama.block_count", 0, NULL);
    check_fails(&t, ERR_FORMAT, "llama.block_count", NULL);
    tiny_init(&t, "llama");
    tiny_u32(&t, "llama.attention.head_count_kv", 3);
    check_fails(&t, ERR_FORMAT, "4 attention heads", "3 key/value", NULL);
    tiny_init(&t, "llama");
    tiny_u32(&t, "llama.attention.head_count", 8);
    check_fails(&t, ERR_UNSUPPORTED, "heads of 8", NULL);
    tiny_init(&t, "llama");
    tiny_f32(&t, "llama.rope.scaling.factor", NAN);
    check_fails(&t, ERR_FORMAT, "rope.scaling.factor", NULL);
    tiny_init(&t, "llama");
    tiny_u32(&t, "llama.rope.scaling.type", 1);
    check_fails(&t, ERR_FORMAT, "rope.scaling.type", NULL);
}

static int setup(void **state)
{
    (void)state;
    dir = tiny_make_dir();
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tiny_remove_dir(dir);
    free(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama_program),
        cmocka_unit_test(test_qwen2_program),
        cmocka_unit_test(test_packed_weights),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_rope_plain_and_linear),
        cmocka_unit_test(test_rope_factors),
        cmocka_unit_test(test_rope_yarn),
        cmocka_unit_test(test_architectures),
        cmocka_unit_test(test_every_missing_key),
        cmocka_unit_test(test_every_missing_tensor),
        cmocka_unit_test(test_every_wrong_shape),
        cmocka_unit_test(test_biases),
        cmocka_unit_test(test_fused_tensors),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hostile_numbers),
        cmocka_unit_test(test_other_numbers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
