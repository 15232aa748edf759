/* Typed access to keys and arrays. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gguf/gguf_int.h"

static const char *type_name(enum gguf_type type)
{
    static const char *const names[] = {
        [GGUF_U8] = "an 8-bit number",  [GGUF_I8] = "an 8-bit number",
        [GGUF_U16] = "a 16-bit number", [GGUF_I16] = "a 16-bit number",
        [GGUF_U32] = "a 32-bit number", [GGUF_I32] = "a 32-bit number",
        [GGUF_F32] = "a 32-bit float",  [GGUF_BOOL] = "a truth value",
        [GGUF_STRING] = "a string",     [GGUF_ARRAY] = "an array",
        [GGUF_U64] = "a 64-bit number", [GGUF_I64] = "a 64-bit number",
        [GGUF_F64] = "a 64-bit float",
    };
    return names[type];
}

static enum status missing(const char *path, const char *key, struct error *err)
{
    return error_set(err, ERR_NOT_FOUND, "%s: key '%s' is missing from the model's metadata", path,
                     key);
}

static enum status wrong_type(const char *path, const struct gguf_key *k, const char *wanted,
                              struct error *err)
{
    return error_set(err, ERR_FORMAT, "%s: key '%s' is %s; %s is needed", path,
                     gguf_show(k->name).s, type_name(k->type), wanted);
}

/* A whole number of any type: its magnitude and sign. False for other types. */
static bool load_integer(enum gguf_type type, const uint8_t *p, uint64_t *magnitude, bool *negative)
{
    int64_t v;
    switch (type) {
    case GGUF_U8:
        v = p[0];
        break;
    case GGUF_I8:
        v = (int8_t)p[0];
        break;
    case GGUF_U16:
        v = p[0] | p[1] << 8;
        break;
    case GGUF_I16:
        v = (int16_t)(p[0] | p[1] << 8);
        break;
    case GGUF_U32:
        v = gguf_load_u32(p);
        break;
    case GGUF_I32:
        v = (int32_t)gguf_load_u32(p);
        break;
    case GGUF_I64:
        v = (int64_t)gguf_load_u64(p);
        break;
    case GGUF_U64:
        *magnitude = gguf_load_u64(p);
        *negative = false;
        return true;
    default:
        return false;
    }
    *negative = v < 0;
    *magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    return true;
}

static bool load_float(enum gguf_type type, const uint8_t *p, double *out)
{
    if (type == GGUF_F32) {
        uint32_t u = gguf_load_u32(p);
        float f;
        memcpy(&f, &u, sizeof f);
        *out = (double)f;
        return true;
    }
    if (type == GGUF_F64) {
        uint64_t u = gguf_load_u64(p);
        memcpy(out, &u, sizeof *out);
        return true;
    }
    return false;
}

static bool load_number(enum gguf_type type, const uint8_t *p, double *out)
{
    uint64_t magnitude;
    bool negative;
    if (!load_integer(type, p, &magnitude, &negative)) return load_float(type, p, out);
    *out = negative ? -(double)magnitude : (double)magnitude;
    return true;
}

const struct gguf_key *gguf_keys_find(const struct gguf_key_list *keys, const char *key)
{
    return gguf_index_find(keys->by_name, keys->n, key);
}

enum status gguf_keys_u64(const struct gguf_key_list *keys, const char *path, const char *key,
                          uint64_t max, uint64_t *out, struct error *err)
{
    const struct gguf_key *k = gguf_keys_find(keys, key);
    if (!k) return missing(path, key, err);
    uint64_t v;
    bool negative;
    if (!load_integer(k->type, k->data, &v, &negative))
        return wrong_type(path, k, "a whole number", err);
    if ((negative && v > 0) || v > max)
        return error_set(err, ERR_FORMAT,
                         "%s: key '%s' is %s%" PRIu64 "; a whole number from 0 to %" PRIu64
                         " is needed",
                         path, key, negative ? "-" : "", v, max);
    *out = v;
    return OK;
}

enum status gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out, struct error *err)
{
    return gguf_keys_u64(&g->keys, gguf_path(g), key, UINT64_MAX, out, err);
}

enum status gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct error *err)
{
    uint64_t v;
    enum status st = gguf_keys_u64(&g->keys, gguf_path(g), key, UINT32_MAX, &v, err);
    if (!st) *out = (uint32_t)v;
    return st;
}

enum status gguf_get_i64(const struct gguf *g, const char *key, int64_t *out, struct error *err)
{
    const struct gguf_key *k = gguf_keys_find(&g->keys, key);
    uint64_t v;
    bool negative;
    if (!k) return missing(gguf_path(g), key, err);
    if (!load_integer(k->type, k->data, &v, &negative) || (!negative && v > INT64_MAX))
        return wrong_type(gguf_path(g), k, "a whole number of 63 bits", err);
    *out = (int64_t)(negative ? 0 - v : v);
    return OK;
}

enum status gguf_get_f64(const struct gguf *g, const char *key, double *out, struct error *err)
{
    const struct gguf_key *k = gguf_keys_find(&g->keys, key);
    if (!k) return missing(gguf_path(g), key, err);
    return load_number(k->type, k->data, out) ? OK : wrong_type(gguf_path(g), k, "a number", err);
}

/* The key with exactly this type, or NULL and the reason in *st. */
static const struct gguf_key *typed(const struct gguf *g, const char *key, enum gguf_type type,
                                    enum status *st, struct error *err)
{
    const struct gguf_key *k = gguf_keys_find(&g->keys, key);
    if (k && k->type == type) return k;
    *st = k ? wrong_type(gguf_path(g), k, type_name(type), err) : missing(gguf_path(g), key, err);
    return NULL;
}

enum status gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct error *err)
{
    enum status st = OK;
    const struct gguf_key *k = typed(g, key, GGUF_BOOL, &st, err);
    if (k) *out = k->data[0] != 0;
    return st;
}

enum status gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out,
                         struct error *err)
{
    enum status st = OK;
    const struct gguf_key *k = typed(g, key, GGUF_STRING, &st, err);
    if (k) *out = (struct gguf_str){(const char *)k->data, (size_t)k->bytes};
    return st;
}

enum status gguf_get_array(const struct gguf *g, const char *key, struct gguf_array *out,
                           struct error *err)
{
    enum status st = OK;
    const struct gguf_key *k = typed(g, key, GGUF_ARRAY, &st, err);
    if (k) *out = (struct gguf_array){k->elem, k->count, k->bytes, k->data};
    return st;
}

/* The lengths were checked when the file was opened; they are checked again here because another
 * program may have written to the file since. */
bool gguf_array_next_str(const struct gguf_array *a, uint64_t *cursor, struct gguf_str *out)
{
    if (a->type != GGUF_STRING || *cursor > a->bytes || a->bytes - *cursor < 8) return false;
    const uint8_t *p = a->data + *cursor;
    uint64_t len = gguf_load_u64(p);
    if (len > a->bytes - *cursor - 8) return false;
    *out = (struct gguf_str){(const char *)p + 8, (size_t)len};
    *cursor += 8 + len;
    return true;
}

static const uint8_t *element(const struct gguf_array *a, uint64_t i)
{
    return a->data + i * (a->bytes / a->count);
}

double gguf_array_f64(const struct gguf_array *a, uint64_t i)
{
    double v = 0;
    if (a->type == GGUF_STRING) return 0;
    if (a->type == GGUF_BOOL) return element(a, i)[0] != 0;
    load_number(a->type, element(a, i), &v);
    return v;
}

int64_t gguf_array_i64(const struct gguf_array *a, uint64_t i)
{
    if (a->type == GGUF_STRING) return 0;
    const uint8_t *p = element(a, i);
    if (a->type == GGUF_BOOL) return p[0] != 0;
    uint64_t magnitude;
    bool negative;
    if (load_integer(a->type, p, &magnitude, &negative)) {
        if (negative) return (int64_t)(0 - magnitude);
        return magnitude > INT64_MAX ? INT64_MAX : (int64_t)magnitude;
    }
    double v = 0;
    load_float(a->type, p, &v);
    if (isnan(v)) return 0;
    if (v >= 0x1p63) return INT64_MAX;
    if (v < -0x1p63) return INT64_MIN;
    return (int64_t)v;
}

bool gguf_str_eq(struct gguf_str a, const char *b)
{
    return strlen(b) == a.len && memcmp(a.data, b, a.len) == 0;
}
