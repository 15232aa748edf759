#include "hf_kit.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gguf/safetensors.h"
#include "quant/quant.h"

enum { MAX = 64 << 20 };

void st_begin(struct st_build *b)
{
    buf_init(&b->header, MAX);
    buf_init(&b->data, MAX);
}

void st_add(struct st_build *b, const char *name, const char *type, size_t n_dims,
            const uint64_t *shape, const void *data, size_t size)
{
    buf_printf(&b->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", b->header.len ? "," : "{",
               name, type);
    for (size_t i = 0; i < n_dims; i++)
        buf_printf(&b->header, "%s%" PRIu64, i ? "," : "", shape[i]);
    buf_printf(&b->header, "],\"data_offsets\":[%zu,%zu]}", b->data.len, b->data.len + size);
    assert_int_equal(buf_append(&b->data, data, size), OK);
}

void st_end(struct st_build *b, struct buf *out)
{
    buf_printf(&b->header, "%s", b->header.len ? "}" : "{}");
    while (b->header.len % 8) buf_append(&b->header, " ", 1);
    uint64_t n = b->header.len;
    uint8_t head[8];
    for (int i = 0; i < 8; i++) head[i] = (uint8_t)(n >> 8 * i);
    buf_init(out, MAX);
    assert_int_equal(buf_append(out, head, 8), OK);
    assert_int_equal(buf_append(out, b->header.data, b->header.len), OK);
    if (b->data.len) assert_int_equal(buf_append(out, b->data.data, b->data.len), OK);
    buf_fini(&b->header);
    buf_fini(&b->data);
}

void st_write(struct st_build *b, const struct files *f, const char *name)
{
    struct buf out;
    st_end(b, &out);
    assert_true(files_write(f, name, out.data, out.len));
    buf_fini(&out);
}

float hf_weight(const char *name, uint64_t i)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    uint64_t x = h + i * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (float)(int8_t)(x >> 56) / 1024;
}

void st_add_weight(struct st_build *b, const char *name, const char *type, size_t n_dims,
                   const uint64_t *shape)
{
    size_t n = 1, each = strcmp(type, "F32") == 0 ? 4 : type[0] == 'U' ? 1 : 2;
    for (size_t i = 0; i < n_dims; i++) n *= (size_t)shape[i];
    uint8_t *data = malloc(n * each + 1);
    assert_non_null(data);
    for (size_t i = 0; i < n; i++) {
        float f = hf_weight(name, i);
        uint16_t h = type[0] == 'B' ? quant_f32_to_bf16(f) : quant_f32_to_f16(f);
        int8_t byte = (int8_t)(f * 1024);
        memcpy(data + i * each,
               each == 4   ? (void *)&f
               : each == 1 ? (void *)&byte
                           : (void *)&h,
               each);
    }
    st_add(b, name, type, n_dims, shape, data, n * each);
    free(data);
}

void st_add_file(struct st_build *b, const char *path, const char *from, const char *to)
{
    struct safetensors *s;
    struct error err = {0};
    assert_int_equal(safetensors_open(path, &s, &err), OK);
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct safetensor *t = safetensors_at(s, i);
        char name[300];
        const char *at = strstr(t->name.data, from);
        assert_non_null(at);
        snprintf(name, sizeof name, "%.*s%s%s", (int)(at - t->name.data), t->name.data, to,
                 at + strlen(from));
        st_add(b, name, safetensor_type_name(t->type), t->n_dims, t->shape, t->data,
               (size_t)t->size);
    }
    safetensors_close(s);
}

void hf_tiny_llama(struct st_build *b, const struct files *f, uint64_t width, const char *without,
                   const char *more)
{
    uint64_t kv = width / 4;
    const struct {
        const char *name;
        size_t n_dims;
        uint64_t shape[2];
    } weights[] = {
        {"model.embed_tokens.weight", 2, {40, width}},
        {"model.norm.weight", 1, {width}},
        {"model.layers.0.input_layernorm.weight", 1, {width}},
        {"model.layers.0.post_attention_layernorm.weight", 1, {width}},
        {"model.layers.0.self_attn.q_proj.weight", 2, {width, width}},
        {"model.layers.0.self_attn.k_proj.weight", 2, {kv, width}},
        {"model.layers.0.self_attn.v_proj.weight", 2, {kv, width}},
        {"model.layers.0.self_attn.o_proj.weight", 2, {width, width}},
        {"model.layers.0.mlp.gate_proj.weight", 2, {width, width}},
        {"model.layers.0.mlp.up_proj.weight", 2, {width, width}},
        {"model.layers.0.mlp.down_proj.weight", 2, {width, width}},
    };
    struct buf config;
    buf_init(&config, 1 << 20);
    buf_printf(&config,
               "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":%" PRIu64
               ",\"intermediate_size\":%" PRIu64
               ",\"num_hidden_layers\":1,\"num_attention_heads\":4,"
               "\"num_key_value_heads\":1,\"vocab_size\":40,\"max_position_embeddings\":64,"
               "\"rms_norm_eps\":1e-5%s}",
               width, width, more);
    assert_true(files_write(f, "config.json", config.data, config.len));
    buf_fini(&config);
    st_begin(b);
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        if (!without || !strstr(weights[i].name, without))
            st_add_weight(b, weights[i].name, "BF16", weights[i].n_dims, weights[i].shape);
}
