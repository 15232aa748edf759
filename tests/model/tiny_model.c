#include "tiny_model.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALIGNMENT 32

static struct tiny_key *key(struct tiny_model *t, const char *name)
{
    size_t i = 0;
    while (i < t->n_keys && strcmp(t->keys[i].name, name) != 0) i++;
    if (i == t->n_keys) t->n_keys++;
    assert(t->n_keys <= TINY_MAX_KEYS);
    memset(&t->keys[i], 0, sizeof t->keys[i]);
    snprintf(t->keys[i].name, sizeof t->keys[i].name, "%s", name);
    return &t->keys[i];
}

void tiny_u32(struct tiny_model *t, const char *name, uint32_t value)
{
    struct tiny_key *k = key(t, name);
    k->type = GGUF_U32;
    k->u32[0] = value;
}

void tiny_f32(struct tiny_model *t, const char *name, float value)
{
    struct tiny_key *k = key(t, name);
    k->type = GGUF_F32;
    k->f32 = value;
}

void tiny_str(struct tiny_model *t, const char *name, const char *value)
{
    struct tiny_key *k = key(t, name);
    k->type = GGUF_STRING;
    snprintf(k->str, sizeof k->str, "%s", value);
}

void tiny_array(struct tiny_model *t, const char *name, uint32_t count, const uint32_t *values)
{
    struct tiny_key *k = key(t, name);
    assert(count <= 4);
    k->type = GGUF_ARRAY;
    k->count = count;
    if (count) memcpy(k->u32, values, count * sizeof *values);
}

void tiny_drop_key(struct tiny_model *t, const char *name)
{
    for (size_t i = 0; i < t->n_keys; i++) {
        if (strcmp(t->keys[i].name, name) != 0) continue;
        t->keys[i] = t->keys[--t->n_keys];
        return;
    }
    assert(!"no such key");
}

void tiny_tensor(struct tiny_model *t, const char *name, uint32_t type, uint64_t ne0, uint64_t ne1)
{
    size_t i = 0;
    while (i < t->n_tensors && strcmp(t->tensors[i].name, name) != 0) i++;
    if (i == t->n_tensors) t->n_tensors++;
    assert(t->n_tensors <= TINY_MAX_TENSORS);
    struct tiny_tensor *e = &t->tensors[i];
    *e =
        (struct tiny_tensor){.type = type, .n_dims = ne1 ? 2 : 1, .ne = {ne0, ne1 ? ne1 : 1, 1, 1}};
    snprintf(e->name, sizeof e->name, "%s", name);
}

void tiny_drop_tensor(struct tiny_model *t, const char *name)
{
    for (size_t i = 0; i < t->n_tensors; i++) {
        if (strcmp(t->tensors[i].name, name) != 0) continue;
        t->tensors[i] = t->tensors[--t->n_tensors];
        return;
    }
    assert(!"no such tensor");
}

static void layer(struct tiny_model *t, int i, bool biases)
{
    static const struct {
        const char *name;
        uint64_t ne0, ne1;
    } parts[] = {
        {"attn_norm.weight", 64, 0}, {"attn_q.weight", 64, 64},      {"attn_k.weight", 64, 32},
        {"attn_v.weight", 64, 32},   {"attn_output.weight", 64, 64}, {"ffn_norm.weight", 64, 0},
        {"ffn_gate.weight", 64, 96}, {"ffn_up.weight", 64, 96},      {"ffn_down.weight", 96, 64},
        {"attn_q.bias", 64, 0},      {"attn_k.bias", 32, 0},         {"attn_v.bias", 32, 0},
    };
    for (size_t k = 0; k < (biases ? 12 : 9); k++) {
        char name[80];
        snprintf(name, sizeof name, "blk.%d.%s", i, parts[k].name);
        tiny_tensor(t, name, parts[k].ne1 ? QUANT_Q8_0 : QUANT_F32, parts[k].ne0, parts[k].ne1);
    }
}

void tiny_init(struct tiny_model *t, const char *arch)
{
    static const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {
        {"block_count", 2},          {"context_length", 256},     {"embedding_length", 64},
        {"feed_forward_length", 96}, {"attention.head_count", 4}, {"attention.head_count_kv", 2},
    };
    char name[80];
    bool qwen = strcmp(arch, "qwen2") == 0;
    memset(t, 0, sizeof *t);
    t->seed = 1;
    tiny_str(t, "general.architecture", arch);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        snprintf(name, sizeof name, "%s.%s", arch, numbers[i].key);
        tiny_u32(t, name, numbers[i].value);
    }
    snprintf(name, sizeof name, "%s.attention.layer_norm_rms_epsilon", arch);
    tiny_f32(t, name, 1e-5f);
    tiny_tensor(t, "token_embd.weight", QUANT_Q8_0, 64, 50);
    for (int i = 0; i < 2; i++) layer(t, i, qwen);
    tiny_tensor(t, "output_norm.weight", QUANT_F32, 64, 0);
    if (qwen) tiny_tensor(t, "output.weight", QUANT_Q8_0, 64, 50);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put(FILE *f, const void *p, size_t n)
{
    assert(fwrite(p, 1, n, f) == n);
}
static void put_u32(FILE *f, uint32_t v)
{
    put(f, &v, 4);
}
static void put_u64(FILE *f, uint64_t v)
{
    put(f, &v, 8);
}

static void put_str(FILE *f, const char *s)
{
    put_u64(f, strlen(s));
    put(f, s, strlen(s));
}

static void put_key(FILE *f, const struct tiny_key *k)
{
    put_str(f, k->name);
    put_u32(f, k->type);
    if (k->type == GGUF_U32) put_u32(f, k->u32[0]);
    if (k->type == GGUF_F32) put(f, &k->f32, 4);
    if (k->type == GGUF_STRING) put_str(f, k->str);
    if (k->type == GGUF_ARRAY) {
        put_u32(f, GGUF_U32);
        put_u64(f, k->count);
        put(f, k->u32, k->count * sizeof k->u32[0]);
    }
}

static uint64_t tensor_bytes(const struct tiny_tensor *e)
{
    const struct quant_traits *q = quant_find(e->type);
    assert(q);
    return e->ne[0] / q->block_elems * q->block_bytes * e->ne[1];
}

static void pad(FILE *f)
{
    while (ftell(f) % ALIGNMENT) fputc(0, f);
}

static void put_data(FILE *f, const struct tiny_tensor *e, uint32_t *state)
{
    uint64_t n = tensor_bytes(e);
    for (uint64_t i = 0; i < n; i++) {
        *state = *state * 1664525 + 1013904223;
        if (e->type == QUANT_F32) {
            float v = 0.5f + (float)(*state >> 8) / (1 << 24);
            put(f, &v, 4);
            i += 3;
        } else {
            fputc((int)(*state >> 24), f);
        }
    }
    pad(f);
}

void tiny_write(const struct tiny_model *t, const char *path)
{
    FILE *f = fopen(path, "wb");
    assert(f);
    uint64_t at = 0;
    uint32_t state = t->seed;
    put(f, "GGUF", 4);
    put_u32(f, 3);
    put_u64(f, t->n_tensors);
    put_u64(f, t->n_keys);
    for (size_t i = 0; i < t->n_keys; i++) put_key(f, &t->keys[i]);
    for (size_t i = 0; i < t->n_tensors; i++) {
        const struct tiny_tensor *e = &t->tensors[i];
        put_str(f, e->name);
        put_u32(f, e->n_dims);
        for (uint32_t d = 0; d < e->n_dims; d++) put_u64(f, e->ne[d]);
        put_u32(f, e->type);
        put_u64(f, at);
        at += (tensor_bytes(e) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    pad(f);
    for (size_t i = 0; i < t->n_tensors; i++) put_data(f, &t->tensors[i], &state);
    assert(fclose(f) == 0);
}

/* ---- folders --------------------------------------------------------------------------------- */

char *tiny_make_dir(void)
{
    const char *base = getenv("TMPDIR");
    char *dir;
    int n = asprintf(&dir, "%s/hearth-test-XXXXXX", base && *base ? base : "/tmp");
    assert(n > 0);
    char *made = mkdtemp(dir);
    assert(made);
    return dir;
}

void tiny_remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d)))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) unlinkat(dirfd(d), e->d_name, 0);
    if (d) closedir(d);
    rmdir(dir);
}
