#include "gguf_exercise.h"

#include <stdlib.h>
#include <string.h>

#include "quant/quant.h"

/* Keeps the reads from being optimised away. */
static volatile uint64_t sink;

static uint64_t sum(const void *data, uint64_t n)
{
    const uint8_t *p = data;
    uint64_t s = 0;
    for (uint64_t i = 0; i < n; i++) s += p[i];
    return s;
}

static const char *exercise_array(const struct gguf_array *a)
{
    struct gguf_str s;
    uint64_t cursor = 0, n = 0;
    if (a->type == GGUF_ARRAY) return "an array of arrays got through";
    sink += sum(a->data, a->bytes);
    while (gguf_array_next_str(a, &cursor, &s)) {
        sink += sum(s.data, s.len);
        n++;
    }
    if (n != (a->type == GGUF_STRING ? a->count : 0)) return "the walk misses strings";
    if (a->type != GGUF_STRING && a->count && a->bytes % a->count) return "elements of no size";
    for (uint64_t i = 0; i < a->count; i++) {
        double d = gguf_array_f64(a, i);
        int64_t v = gguf_array_i64(a, i);
        sink += (d == d) + (uint64_t)v;
    }
    return NULL;
}

static const char *exercise_key(const struct gguf *g, size_t i)
{
    struct gguf_str name = gguf_key_name(g, i);
    enum gguf_type type = gguf_key_type(g, i);
    char *key = strndup(name.data, name.len);
    if (!key) return NULL;
    struct error err;
    uint64_t u64 = 0;
    uint32_t u32 = 0;
    double f64 = 0;
    bool truth = false;
    struct gguf_str str = {"", 0};
    struct gguf_array array = {0};
    enum status got[] = {
        gguf_get_u64(g, key, &u64, &err), gguf_get_u32(g, key, &u32, &err),
        gguf_get_f64(g, key, &f64, &err), gguf_get_bool(g, key, &truth, &err),
        gguf_get_str(g, key, &str, &err), gguf_get_array(g, key, &array, &err),
    };
    sink += u64 + u32 + (f64 == f64) + truth + sum(str.data, str.len);
    const char *wrong = NULL;
    if (name.len == 0 || type > GGUF_F64) wrong = "a key without a name or type";
    if (strlen(key) == name.len) { /* a name with a NUL in it cannot be asked for */
        int n_ok = 0;
        for (size_t k = 0; k < sizeof got / sizeof got[0]; k++) {
            if (got[k] == OK) n_ok++;
            if (got[k] != OK && got[k] != ERR_FORMAT) wrong = "a listed key is not found";
        }
        bool number = type != GGUF_BOOL && type != GGUF_STRING && type != GGUF_ARRAY;
        if (number ? got[2] != OK : n_ok != 1) wrong = "the getters disagree with the type";
    }
    if (!wrong && got[5] == OK) wrong = exercise_array(&array);
    free(key);
    return wrong;
}

static const char *exercise_tensor(const struct gguf *g, size_t i, const uint8_t *data, size_t size)
{
    const struct gguf_tensor *t = gguf_tensor_at(g, i);
    const struct quant_traits *q = quant_find(t->type);
    if (!q || t->n_dims < 1 || t->n_dims > 4 || t->name.len == 0) return "a tensor of no kind";
    uint64_t n = 1;
    for (int k = 0; k < 4; k++)
        if (__builtin_mul_overflow(n, t->ne[k], &n) || n == 0) return "a tensor too large";
    if (t->ne[0] % q->block_elems || n / q->block_elems * q->block_bytes != t->size)
        return "a tensor of the wrong size";
    if (data && (t->data < data || t->size > size || (size_t)(t->data - data) > size - t->size))
        return "a tensor outside the file";
    sink += sum(t->data, t->size);
    char *name = strndup(t->name.data, t->name.len);
    bool askable = name && strlen(name) == t->name.len;
    bool found = name && gguf_tensor_find(g, name) == t;
    free(name);
    gguf_tensor_release_pages(g, t);
    return askable && !found ? "a listed tensor is not found" : NULL;
}

const char *gguf_exercise(const struct gguf *g, const uint8_t *data, size_t size)
{
    const char *wrong = NULL;
    if (gguf_version(g) < 2 || gguf_version(g) > 3) return "another version";
    if (data && gguf_file_bytes(g) != size) return "the wrong file size";
    if (strlen(gguf_identity(g)) != 64 || !gguf_path(g)) return "no identity";
    for (size_t i = 0; i < gguf_n_keys(g) && !wrong; i++) wrong = exercise_key(g, i);
    for (size_t i = 0; i < gguf_n_tensors(g) && !wrong; i++)
        wrong = exercise_tensor(g, i, data, size);
    /* No file can hold its own digest as a key; a fuzzer would learn any other name. */
    uint64_t v;
    if (!wrong && gguf_get_u64(g, gguf_identity(g), &v, NULL) != ERR_NOT_FOUND)
        wrong = "a key too many";
    if (!wrong && gguf_tensor_find(g, "")) wrong = "a tensor too many";
    return wrong;
}
