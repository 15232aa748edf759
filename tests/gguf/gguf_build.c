#include "gguf_build.h"

#include <stdlib.h>
#include <string.h>

static void add(struct buf *b, const void *data, size_t len)
{
    if (buf_append(b, data, len)) abort();
}

static void add_bits(struct buf *b, uint64_t bits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = (uint8_t)(bits >> 8 * i);
        add(b, &byte, 1);
    }
}

static void add_str(struct buf *b, const char *s, size_t len)
{
    add_bits(b, len, 8);
    add(b, s, len);
}

static void pad(struct buf *b, size_t alignment)
{
    while (b->len % alignment) add_bits(b, 0, 1);
}

void build_init(struct gguf_build *b, uint32_t version)
{
    *b = (struct gguf_build){.version = version, .alignment = 32};
    buf_init(&b->keys, 1 << 24);
    buf_init(&b->tensors, 1 << 24);
    buf_init(&b->data, 1 << 24);
}

void build_fini(struct gguf_build *b)
{
    buf_fini(&b->keys);
    buf_fini(&b->tensors);
    buf_fini(&b->data);
}

void build_raw_key(struct gguf_build *b, const char *name, size_t name_len, uint32_t type,
                   const void *bytes, size_t len)
{
    add_str(&b->keys, name, name_len);
    add_bits(&b->keys, type, 4);
    add(&b->keys, bytes, len);
    b->n_keys++;
}

void build_number(struct gguf_build *b, const char *key, enum gguf_type type, uint64_t bits)
{
    static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    build_raw_key(b, key, strlen(key), type, "", 0);
    add_bits(&b->keys, bits, sizes[type]);
}

void build_f32(struct gguf_build *b, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    build_number(b, key, GGUF_F32, bits);
}

void build_str(struct gguf_build *b, const char *key, const char *value)
{
    build_raw_key(b, key, strlen(key), GGUF_STRING, "", 0);
    add_str(&b->keys, value, strlen(value));
}

void build_array(struct gguf_build *b, const char *key, enum gguf_type elem, uint64_t count,
                 const void *bytes, size_t len)
{
    build_raw_key(b, key, strlen(key), GGUF_ARRAY, "", 0);
    add_bits(&b->keys, elem, 4);
    add_bits(&b->keys, count, 8);
    add(&b->keys, bytes, len);
}

void build_strings(struct gguf_build *b, const char *key, const char *const *values, size_t n)
{
    build_array(b, key, GGUF_STRING, n, "", 0);
    for (size_t i = 0; i < n; i++) add_str(&b->keys, values[i], strlen(values[i]));
}

void build_raw_tensor(struct gguf_build *b, const char *name, uint32_t n_dims, const uint64_t *ne,
                      uint32_t type, uint64_t offset)
{
    add_str(&b->tensors, name, strlen(name));
    add_bits(&b->tensors, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++) add_bits(&b->tensors, ne[i], 8);
    add_bits(&b->tensors, type, 4);
    add_bits(&b->tensors, offset, 8);
    b->n_tensors++;
}

void build_tensor(struct gguf_build *b, const char *name, uint32_t type, const uint64_t *ne,
                  size_t size)
{
    uint32_t n_dims = 0;
    while (n_dims < 4 && ne[n_dims]) n_dims++;
    pad(&b->data, b->alignment);
    build_raw_tensor(b, name, n_dims, ne, type, b->data.len);
    for (size_t i = 0; i < size; i++) add_bits(&b->data, b->n_tensors + i, 1);
}

void build_finish(const struct gguf_build *b, struct buf *out)
{
    add(out, "GGUF", 4);
    add_bits(out, b->version, 4);
    add_bits(out, b->n_tensors, 8);
    add_bits(out, b->n_keys, 8);
    add(out, b->keys.data, b->keys.len);
    add(out, b->tensors.data, b->tensors.len);
    if (b->n_tensors == 0) return;
    pad(out, b->alignment);
    add(out, b->data.data, b->data.len);
}

void build_sample(uint32_t version, struct buf *out)
{
    static const char *const tokens[] = {"<s>", "", "a", "hello", "\xff\x00z"};
    static const uint8_t scores[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0};
    static const uint8_t kinds[] = {1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t truths[] = {0, 1, 1};
    struct gguf_build b;
    build_init(&b, version);
    build_str(&b, "general.architecture", "llama");
    build_number(&b, "k.u8", GGUF_U8, 200);
    build_number(&b, "k.i8", GGUF_I8, (uint64_t)-100);
    build_number(&b, "k.u16", GGUF_U16, 60000);
    build_number(&b, "k.i16", GGUF_I16, (uint64_t)-30000);
    build_number(&b, "k.u32", GGUF_U32, 4000000000u);
    build_number(&b, "k.i32", GGUF_I32, (uint64_t)-2000000000);
    build_f32(&b, "k.f32", 1e-5f);
    build_number(&b, "k.bool", GGUF_BOOL, 1);
    build_number(&b, "k.u64", GGUF_U64, UINT64_MAX);
    build_number(&b, "k.i64", GGUF_I64, (uint64_t)INT64_MIN);
    build_number(&b, "k.f64", GGUF_F64, 0x4000000000000000u);
    build_strings(&b, "tokens", tokens, 5);
    build_array(&b, "scores", GGUF_F32, 2, scores, sizeof scores);
    build_array(&b, "kinds", GGUF_I32, 2, kinds, sizeof kinds);
    build_array(&b, "truths", GGUF_BOOL, 3, truths, sizeof truths);
    build_strings(&b, "none", NULL, 0);
    build_tensor(&b, "norm", 0, (const uint64_t[]){3, 0}, 12);
    build_tensor(&b, "blk.0.w", 2, (const uint64_t[]){32, 2, 0}, 36);
    build_tensor(&b, "half", 1, (const uint64_t[]){1, 2, 3, 1}, 12);
    build_finish(&b, out);
    build_fini(&b);
}
