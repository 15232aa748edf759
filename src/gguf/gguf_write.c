/* Describing a file: keys and tensor entries go into two buffers, which gguf_write_file.c puts on
 * the disk. */
#include "gguf/gguf_write.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "gguf/gguf_write_int.h"
#include "quant/quant.h"

/* Room for the longest of vocabularies many times over. */
enum { MAX_HEADER_BYTES = 1 << 30 };

enum status gguf_writer_begin(const char *path, uint32_t alignment, struct gguf_writer **out,
                              struct error *err)
{
    *out = NULL;
    if (alignment && (alignment < 8 || (alignment & (alignment - 1)) != 0))
        return error_set(err, ERR_INVALID,
                         "%s: an alignment of %" PRIu32 "; a power of two of at least 8 is needed",
                         path, alignment);
    struct gguf_writer *w = calloc(1, sizeof *w);
    if (!w) return error_set(err, ERR_NOMEM, "out of memory");
    w->fd = -1;
    w->alignment = alignment ? alignment : GGUF_DEFAULT_ALIGNMENT;
    buf_init(&w->keys, MAX_HEADER_BYTES);
    buf_init(&w->tensors, MAX_HEADER_BYTES);
    w->path = strdup(path);
    if (!w->path) {
        gguf_writer_abandon(w);
        return error_set(err, ERR_NOMEM, "out of memory");
    }
    if (alignment) gguf_writer_u64(w, "general.alignment", GGUF_U32, alignment);
    *out = w;
    return OK;
}

/* ---- mistakes ---------------------------------------------------------------------------------
 */

__attribute__((format(printf, 3, 4))) static void fail(struct gguf_writer *w, enum status code,
                                                       const char *fmt, ...)
{
    if (w->mistake.code) return;
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    w->mistake.code = error_set(&w->mistake, code, "cannot write %s: %s", w->path, msg);
}

static void append(struct gguf_writer *w, struct buf *b, const void *data, size_t len)
{
    if (w->mistake.code) return;
    enum status st = buf_append(b, data, len);
    if (st == ERR_LIMIT) fail(w, st, "its keys take more than %d bytes", MAX_HEADER_BYTES);
    if (st == ERR_NOMEM) fail(w, st, "out of memory");
}

static void append_number(struct gguf_writer *w, struct buf *b, uint64_t bits, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(bits >> 8 * i);
    append(w, b, bytes, size);
}

static void append_str(struct gguf_writer *w, struct buf *b, const char *s, size_t len)
{
    append_number(w, b, len, 8);
    append(w, b, s, len);
}

static bool check_name(struct gguf_writer *w, const char *kind, const char *name, size_t max)
{
    size_t len = strlen(name);
    if (len == 0) fail(w, ERR_INVALID, "a %s has an empty name", kind);
    if (len > max) fail(w, ERR_LIMIT, "%s '%.60s...' has a name of %zu bytes", kind, name, len);
    if (w->file_bytes) fail(w, ERR_INVALID, "%s '%s' comes after the data's start", kind, name);
    return !w->mistake.code;
}

/* ---- keys -------------------------------------------------------------------------------------
 */

/* Makes room for one more in an array of `cap`; returns the array, moved or not. */
static void *grow(struct gguf_writer *w, void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap || w->mistake.code) return array;
    void *grown = reallocarray(array, *cap ? 2 * *cap : 64, size);
    if (grown)
        *cap = *cap ? 2 * *cap : 64;
    else
        fail(w, ERR_NOMEM, "out of memory");
    return grown ? grown : array;
}

static bool begin_key(struct gguf_writer *w, const char *key, enum gguf_type type)
{
    if (!check_name(w, "key", key, GGUF_MAX_KEY_LEN)) return false;
    if (w->n_keys == GGUF_MAX_KEYS) fail(w, ERR_LIMIT, "more than %d keys", GGUF_MAX_KEYS);
    w->key_at = grow(w, w->key_at, w->n_keys, &w->cap_keys, sizeof *w->key_at);
    if (w->mistake.code) return false;
    w->key_at[w->n_keys] = w->keys.len;
    append_str(w, &w->keys, key, strlen(key));
    append_number(w, &w->keys, type, 4);
    w->n_keys++;
    return !w->mistake.code;
}

/* Bytes and largest magnitudes of the types with a fixed size. */
static const struct scalar {
    uint8_t size;
    uint64_t max, max_negative;
} scalars[] = {
    [GGUF_U8] = {1, UINT8_MAX, 0},   [GGUF_I8] = {1, INT8_MAX, (uint64_t)INT8_MAX + 1},
    [GGUF_U16] = {2, UINT16_MAX, 0}, [GGUF_I16] = {2, INT16_MAX, (uint64_t)INT16_MAX + 1},
    [GGUF_U32] = {4, UINT32_MAX, 0}, [GGUF_I32] = {4, INT32_MAX, (uint64_t)INT32_MAX + 1},
    [GGUF_F32] = {4, 0, 0},          [GGUF_BOOL] = {1, 1, 0},
    [GGUF_U64] = {8, UINT64_MAX, 0}, [GGUF_I64] = {8, INT64_MAX, (uint64_t)INT64_MAX + 1},
    [GGUF_F64] = {8, 0, 0},
};

/* NULL for strings, arrays and numbers that are no type. */
static const struct scalar *find_scalar(enum gguf_type type)
{
    if ((size_t)type >= sizeof scalars / sizeof *scalars || !scalars[type].size) return NULL;
    return &scalars[type];
}

static void put_integer(struct gguf_writer *w, const char *key, enum gguf_type type, bool negative,
                        uint64_t magnitude)
{
    const struct scalar *s = find_scalar(type);
    if (!s || type == GGUF_F32 || type == GGUF_F64)
        fail(w, ERR_INVALID, "key '%.200s' is given a whole number, which its type does not hold",
             key);
    else if (magnitude > (negative ? s->max_negative : s->max))
        fail(w, ERR_INVALID, "key '%.200s' is given %s%" PRIu64 ", which its type does not hold",
             key, negative ? "-" : "", magnitude);
    else if (begin_key(w, key, type))
        append_number(w, &w->keys, negative ? 0 - magnitude : magnitude, s->size);
}

void gguf_writer_u64(struct gguf_writer *w, const char *key, enum gguf_type type, uint64_t value)
{
    put_integer(w, key, type, false, value);
}

void gguf_writer_i64(struct gguf_writer *w, const char *key, enum gguf_type type, int64_t value)
{
    put_integer(w, key, type, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void gguf_writer_f64(struct gguf_writer *w, const char *key, enum gguf_type type, double value)
{
    uint64_t bits = 0;
    float f = (float)value;
    if (type == GGUF_F32) {
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        bits = u;
    } else if (type == GGUF_F64) {
        memcpy(&bits, &value, sizeof bits);
    } else {
        fail(w, ERR_INVALID, "key '%.200s' is given a float, which its type does not hold", key);
    }
    if (begin_key(w, key, type)) append_number(w, &w->keys, bits, scalars[type].size);
}

void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value)
{
    put_integer(w, key, GGUF_BOOL, false, value);
}

void gguf_writer_str(struct gguf_writer *w, const char *key, const char *value)
{
    gguf_writer_bytes(w, key, (struct gguf_str){value, strlen(value)});
}

void gguf_writer_bytes(struct gguf_writer *w, const char *key, struct gguf_str value)
{
    if (begin_key(w, key, GGUF_STRING)) append_str(w, &w->keys, value.data, value.len);
}

static bool begin_array(struct gguf_writer *w, const char *key, enum gguf_type elem, uint64_t count)
{
    if (!begin_key(w, key, GGUF_ARRAY)) return false;
    append_number(w, &w->keys, elem, 4);
    append_number(w, &w->keys, count, 8);
    return !w->mistake.code;
}

void gguf_writer_array(struct gguf_writer *w, const char *key, enum gguf_type elem, uint64_t count,
                       const void *values)
{
    const struct scalar *s = find_scalar(elem);
    uint64_t bytes = 0;
    if (!s) {
        fail(w, ERR_INVALID, "key '%.200s' is an array of no plain type", key);
    } else if (!checked_mul(count, s->size, &bytes) || bytes > MAX_HEADER_BYTES) {
        fail(w, ERR_LIMIT, "key '%.200s' has %" PRIu64 " values", key, count);
    } else if (elem == GGUF_BOOL) {
        for (uint64_t i = 0; i < count; i++)
            if (((const uint8_t *)values)[i] > 1)
                fail(w, ERR_INVALID, "key '%.200s' holds a truth value beside 0 and 1", key);
    }
    if (begin_array(w, key, elem, count)) append(w, &w->keys, values, (size_t)bytes);
}

void gguf_writer_strings(struct gguf_writer *w, const char *key, const struct gguf_str *values,
                         uint64_t count)
{
    if (!begin_array(w, key, GGUF_STRING, count)) return;
    for (uint64_t i = 0; i < count; i++) append_str(w, &w->keys, values[i].data, values[i].len);
}

/* ---- tensors ----------------------------------------------------------------------------------
 */

/* Bytes of a tensor, 0 after a mistake. */
static uint64_t measure_tensor(struct gguf_writer *w, const char *name, uint32_t type,
                               uint32_t n_dims, const uint64_t *ne)
{
    const struct quant_traits *q = quant_find(type);
    uint64_t n = 1, bytes = 0;
    bool fits = true;
    if (!q) fail(w, ERR_INVALID, "tensor '%s' has the unknown type %" PRIu32, name, type);
    if (n_dims < 1 || n_dims > 4)
        fail(w, ERR_INVALID, "tensor '%s' has %" PRIu32 " dimensions", name, n_dims);
    if (w->mistake.code) return 0;
    for (uint32_t i = 0; i < n_dims; i++) {
        if (ne[i] == 0) fail(w, ERR_INVALID, "tensor '%s' has no elements", name);
        fits = fits && checked_mul(n, ne[i], &n);
    }
    if (ne[0] % q->block_elems)
        fail(w, ERR_INVALID,
             "tensor '%s' has rows of %" PRIu64 " elements, which %s has no blocks for", name,
             ne[0], q->name);
    if (!fits || n > INT64_MAX || !checked_mul(n / q->block_elems, q->block_bytes, &bytes))
        fail(w, ERR_LIMIT, "tensor '%s' has more elements than can be counted", name);
    return w->mistake.code ? 0 : bytes;
}

void gguf_writer_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                        const uint64_t *ne)
{
    if (!check_name(w, "tensor", name, GGUF_MAX_NAME_LEN)) return;
    struct gguf_place place = {.bytes = measure_tensor(w, name, type, n_dims, ne)};
    if (w->n_tensors == GGUF_MAX_TENSORS)
        fail(w, ERR_LIMIT, "more than %d tensors", GGUF_MAX_TENSORS);
    uint64_t end = 0;
    if (!checked_align(w->data_end, w->alignment, &place.offset) ||
        !checked_add(place.offset, place.bytes, &end) || end > INT64_MAX)
        fail(w, ERR_LIMIT, "tensor '%s' lies beyond any file's end", name);
    w->places = grow(w, w->places, w->n_tensors, &w->cap_tensors, sizeof *w->places);
    place.name_at = w->tensors.len;
    append_str(w, &w->tensors, name, strlen(name));
    append_number(w, &w->tensors, n_dims, 4);
    for (uint32_t i = 0; i < n_dims && !w->mistake.code; i++)
        append_number(w, &w->tensors, ne[i], 8);
    append_number(w, &w->tensors, type, 4);
    append_number(w, &w->tensors, place.offset, 8);
    if (w->mistake.code) return;
    w->places[w->n_tensors++] = place;
    w->data_bytes += place.bytes;
    w->data_end = end;
}

uint64_t gguf_writer_tensor_bytes(const struct gguf_writer *w, size_t i)
{
    return w->mistake.code || i >= w->n_tensors ? 0 : w->places[i].bytes;
}

uint64_t gguf_writer_data_bytes(const struct gguf_writer *w)
{
    return w->mistake.code ? 0 : w->data_bytes;
}

uint64_t gguf_writer_file_bytes(const struct gguf_writer *w)
{
    uint64_t start, end;
    if (w->mistake.code) return 0;
    uint64_t header = GGUF_HEADER_BYTES + w->keys.len + w->tensors.len;
    if (!checked_align(header, w->alignment, &start) || !checked_add(start, w->data_end, &end) ||
        !checked_align(end, w->alignment, &end))
        return 0;
    return end;
}
