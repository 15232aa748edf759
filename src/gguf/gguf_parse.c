/* Reading a header. A cursor walks the mapping once; nothing is read before `left` covers it, and
 * no count makes an allocation that the file's own size does not warrant. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "gguf/gguf_int.h"
#include "quant/quant.h"

enum {
    HEADER_BYTES = 24,     /* signature, version, two counts */
    MIN_KEY_BYTES = 14,    /* length, one byte of name, type, one byte of value */
    MIN_TENSOR_BYTES = 33, /* length, one byte of name, rank, one dimension, type, offset */
};

struct cursor {
    const struct gguf_shard *shard;
    const uint8_t *p, *end;
    struct error *err;
    const char *kind; /* what is being read: "key" or "tensor" */
    uint64_t index, total;
    struct gguf_str name; /* empty until known */
};

static uint64_t left(const struct cursor *c)
{
    return (uint64_t)(c->end - c->p);
}

struct gguf_shown gguf_show(struct gguf_str name)
{
    struct gguf_shown out;
    size_t max = sizeof out.s - 4;
    size_t n = name.len < max ? name.len : max;
    for (size_t i = 0; i < n; i++) {
        char ch = name.data[i];
        out.s[i] = ch >= 0x20 && ch < 0x7f ? ch : '?';
    }
    memcpy(out.s + n, name.len > max ? "..." : "", name.len > max ? 4 : 1);
    return out;
}

struct item {
    char s[128];
};

static struct item current(const struct cursor *c)
{
    struct item out;
    if (c->name.len > 0)
        snprintf(out.s, sizeof out.s, "%s '%s'", c->kind, gguf_show(c->name).s);
    else
        snprintf(out.s, sizeof out.s, "%s %" PRIu64 " of %" PRIu64, c->kind, c->index + 1,
                 c->total);
    return out;
}

static enum status cut_short(const struct cursor *c)
{
    return error_set(c->err, ERR_FORMAT,
                     "%s: the file ends at byte %" PRIu64 ", in the middle of %s: it is cut short "
                     "or damaged; download it again",
                     c->shard->path, c->shard->map.size, current(c).s);
}

static enum status too_many(const struct cursor *c, const char *what, uint64_t claimed)
{
    return error_set(c->err, ERR_FORMAT,
                     "%s: %s claims %" PRIu64 " %s, but only %" PRIu64
                     " bytes of the file are left: "
                     "it is cut short or damaged; download it again",
                     c->shard->path, current(c).s, claimed, what, left(c));
}

static enum status read_u32(struct cursor *c, uint32_t *out)
{
    *out = 0;
    if (left(c) < 4) return cut_short(c);
    *out = gguf_load_u32(c->p);
    c->p += 4;
    return OK;
}

static enum status read_u64(struct cursor *c, uint64_t *out)
{
    *out = 0;
    if (left(c) < 8) return cut_short(c);
    *out = gguf_load_u64(c->p);
    c->p += 8;
    return OK;
}

static enum status read_str(struct cursor *c, struct gguf_str *out)
{
    uint64_t len;
    *out = (struct gguf_str){"", 0};
    enum status st = read_u64(c, &len);
    if (st) return st;
    if (len > left(c)) return too_many(c, "bytes of text", len);
    *out = (struct gguf_str){(const char *)c->p, (size_t)len};
    c->p += len;
    return OK;
}

/* The name of a key or tensor; sets it as the cursor's own for the messages that follow. */
static enum status read_name(struct cursor *c, size_t max, struct gguf_str *out)
{
    enum status st = read_str(c, out);
    if (st) return st;
    if (out->len == 0)
        return error_set(c->err, ERR_FORMAT, "%s: %s has an empty name; the file is damaged",
                         c->shard->path, current(c).s);
    if (out->len > max)
        return error_set(c->err, ERR_FORMAT,
                         "%s: %s has a name of %zu bytes; at most %zu are allowed", c->shard->path,
                         current(c).s, out->len, max);
    c->name = *out;
    return OK;
}

/* Bytes of a value with a fixed size; 0 for strings, arrays and unknown types. */
static uint32_t scalar_size(uint32_t type)
{
    static const uint8_t sizes[] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
        [GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
        [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };
    return type < sizeof sizes ? sizes[type] : 0;
}

static enum status read_strings(struct cursor *c, struct gguf_key *key)
{
    if (key->count > left(c) / 8) return too_many(c, "strings", key->count);
    for (uint64_t i = 0; i < key->count; i++) {
        if (left(c) < 8) return cut_short(c);
        uint64_t len = gguf_load_u64(c->p);
        if (len > left(c) - 8) return too_many(c, "bytes of text", len);
        c->p += 8 + len;
    }
    return OK;
}

static enum status read_numbers(struct cursor *c, struct gguf_key *key, uint32_t size)
{
    if (key->count > left(c) / size) return too_many(c, "values", key->count);
    if (key->elem == GGUF_BOOL)
        for (uint64_t i = 0; i < key->count; i++)
            if (c->p[i] > 1)
                return error_set(c->err, ERR_FORMAT,
                                 "%s: %s holds a truth value of %d; only 0 and 1 are allowed",
                                 c->shard->path, current(c).s, c->p[i]);
    c->p += key->count * size;
    return OK;
}

static enum status read_elements(struct cursor *c, struct gguf_key *key, uint32_t type)
{
    key->elem = type;
    key->data = c->p;
    uint32_t size = scalar_size(type);
    enum status st;
    if (type == GGUF_STRING)
        st = read_strings(c, key);
    else if (size > 0)
        st = read_numbers(c, key, size);
    else if (type == GGUF_ARRAY)
        st = error_set(c->err, ERR_FORMAT, "%s: %s is an array of arrays, which the format forbids",
                       c->shard->path, current(c).s);
    else
        st =
            error_set(c->err, ERR_FORMAT,
                      "%s: %s has the unknown value type %" PRIu32 "; the file is damaged or newer "
                      "than this program",
                      c->shard->path, current(c).s, type);
    key->bytes = (uint64_t)(c->p - key->data);
    return st;
}

static enum status read_key(struct cursor *c, struct gguf_key *key)
{
    enum status st = read_name(c, GGUF_MAX_KEY_LEN, &key->name);
    if (st) return st;
    uint32_t type;
    st = read_u32(c, &type);
    if (st) return st;
    key->type = type;
    key->count = 1;
    if (type == GGUF_STRING) {
        struct gguf_str s;
        st = read_str(c, &s);
        if (st) return st;
        key->data = (const uint8_t *)s.data;
        key->bytes = s.len;
        return OK;
    }
    if (type == GGUF_ARRAY) {
        st = read_u32(c, &type);
        if (!st) st = read_u64(c, &key->count);
        if (st) return st;
    }
    return read_elements(c, key, type);
}

static enum status read_keys(struct cursor *c, uint64_t n, struct gguf_key_list *keys)
{
    if (n > GGUF_MAX_KEYS || n > left(c) / MIN_KEY_BYTES)
        return error_set(c->err, ERR_FORMAT,
                         "%s: the header claims %" PRIu64
                         " keys, more than a file of its size can hold "
                         "or this program reads (%d): it is damaged; download it again",
                         c->shard->path, n, GGUF_MAX_KEYS);
    if (n > 0) {
        keys->v = calloc((size_t)n, sizeof *keys->v);
        if (!keys->v) return error_set(c->err, ERR_NOMEM, "%s: out of memory", c->shard->path);
    }
    c->kind = "key";
    c->total = n;
    for (c->index = 0; c->index < n; c->index++) {
        c->name.len = 0;
        enum status st = read_key(c, &keys->v[c->index]);
        if (st) return st;
        keys->n++;
    }
    const struct gguf_str *twice;
    if (gguf_index(keys->v, keys->n, sizeof *keys->v, &keys->by_name, &twice))
        return error_set(c->err, ERR_NOMEM, "%s: out of memory", c->shard->path);
    if (twice)
        return error_set(c->err, ERR_FORMAT, "%s: key '%s' occurs twice; the file is damaged",
                         c->shard->path, gguf_show(*twice).s);
    return OK;
}

static enum status read_alignment(const struct cursor *c, const struct gguf_key_list *keys,
                                  uint64_t *out)
{
    *out = GGUF_DEFAULT_ALIGNMENT;
    if (!gguf_keys_find(keys, "general.alignment")) return OK;
    enum status st =
        gguf_keys_u64(keys, c->shard->path, "general.alignment", UINT32_MAX, out, c->err);
    if (st) return st;
    if (*out < 8 || (*out & (*out - 1)) != 0)
        return error_set(c->err, ERR_FORMAT,
                         "%s: key 'general.alignment' is %" PRIu64
                         "; a power of two of at least 8 is "
                         "needed",
                         c->shard->path, *out);
    return OK;
}

/* Types that other programs write and Hearth does not read, for the message only. */
static const char *foreign_type_name(uint32_t type)
{
    static const char *const names[] = {
        [4] = "Q4_2, long retired",
        [5] = "Q4_3, long retired",
        [9] = "Q8_1",
        [15] = "Q8_K",
        [16] = "IQ2_XXS",
        [17] = "IQ2_XS",
        [18] = "IQ3_XXS",
        [19] = "IQ1_S",
        [20] = "IQ4_NL",
        [21] = "IQ3_S",
        [22] = "IQ2_S",
        [23] = "IQ4_XS",
        [24] = "I8",
        [25] = "I16",
        [26] = "I32",
        [27] = "I64",
        [28] = "F64",
        [29] = "IQ1_M",
        [34] = "TQ1_0",
        [35] = "TQ2_0",
        [39] = "MXFP4",
        [40] = "NVFP4",
    };
    const char *name = type < sizeof names / sizeof names[0] ? names[type] : NULL;
    return name ? name : "unknown to it";
}

static enum status check_shape(const struct cursor *c, struct gguf_tensor *t)
{
    const struct quant_traits *q = quant_find(t->type);
    if (!q)
        return error_set(c->err, ERR_UNSUPPORTED,
                         "%s: %s has type %" PRIu32 " (%s), which this program does not read; take "
                         "the model in another quantization, such as Q4_K_M or Q8_0",
                         c->shard->path, current(c).s, t->type, foreign_type_name(t->type));
    if (t->ne[0] % q->block_elems != 0)
        return error_set(c->err, ERR_FORMAT,
                         "%s: %s has rows of %" PRIu64 " elements, not a multiple of the %" PRIu32
                         " in a block of %s; the file is damaged",
                         c->shard->path, current(c).s, t->ne[0], q->block_elems, q->name);
    uint64_t n = 1;
    bool fits = true;
    for (int i = 0; i < 4; i++) fits = fits && checked_mul(n, t->ne[i], &n);
    fits = fits && n <= INT64_MAX && checked_mul(n / q->block_elems, q->block_bytes, &t->size);
    if (!fits)
        return error_set(c->err, ERR_FORMAT,
                         "%s: %s has more elements (%" PRIu64 " x %" PRIu64 " x %" PRIu64
                         " x %" PRIu64 ") than can be counted; the file is damaged",
                         c->shard->path, current(c).s, t->ne[0], t->ne[1], t->ne[2], t->ne[3]);
    return OK;
}

static enum status read_tensor(struct cursor *c, struct gguf_tensor *t, uint64_t *offset)
{
    enum status st = read_name(c, GGUF_MAX_NAME_LEN, &t->name);
    if (!st) st = read_u32(c, &t->n_dims);
    if (st) return st;
    if (t->n_dims < 1 || t->n_dims > 4)
        return error_set(c->err, ERR_FORMAT,
                         "%s: %s has %" PRIu32 " dimensions; 1 to 4 are allowed", c->shard->path,
                         current(c).s, t->n_dims);
    for (uint32_t i = 0; i < 4; i++) {
        t->ne[i] = 1;
        if (i < t->n_dims) st = read_u64(c, &t->ne[i]);
        if (st) return st;
        if (t->ne[i] == 0)
            return error_set(c->err, ERR_FORMAT,
                             "%s: %s has no elements: dimension %" PRIu32 " is 0", c->shard->path,
                             current(c).s, i + 1);
    }
    st = read_u32(c, &t->type);
    if (!st) st = read_u64(c, offset);
    if (!st) st = check_shape(c, t);
    return st;
}

/* Checks where a tensor lies and sets its address. `offset` counts from the end of the header. */
static enum status place_tensor(const struct cursor *c, struct gguf_tensor *t, uint64_t offset,
                                uint64_t data_start, uint64_t alignment)
{
    if (offset % alignment != 0)
        return error_set(c->err, ERR_FORMAT,
                         "%s: %s begins at offset %" PRIu64 ", which is not a multiple of the "
                         "alignment %" PRIu64 "; the file is damaged",
                         c->shard->path, current(c).s, offset, alignment);
    uint64_t begin, end;
    if (!checked_add(data_start, offset, &begin) || !checked_add(begin, t->size, &end))
        return error_set(c->err, ERR_FORMAT,
                         "%s: %s begins at offset %" PRIu64
                         ", beyond any file; the file is damaged",
                         c->shard->path, current(c).s, offset);
    if (end > c->shard->map.size)
        return error_set(c->err, ERR_FORMAT,
                         "%s: the file ends at byte %" PRIu64 " but %s needs bytes %" PRIu64
                         " to %" PRIu64 ": it is cut short; download it again",
                         c->shard->path, c->shard->map.size, current(c).s, begin, end);
    t->data = c->shard->map.data + begin;
    return OK;
}

static enum status read_tensors(struct cursor *c, uint64_t n, uint64_t alignment,
                                struct gguf_tensor_list *list)
{
    uint64_t *offsets = NULL;
    enum status st = OK;
    if (n > GGUF_MAX_TENSORS - list->n || n > left(c) / MIN_TENSOR_BYTES)
        return error_set(c->err, ERR_FORMAT,
                         "%s: the header claims %" PRIu64
                         " tensors, more than a file of its size can "
                         "hold or this program reads (%d): it is damaged; download it again",
                         c->shard->path, n, GGUF_MAX_TENSORS);
    if (n == 0) return OK;
    struct gguf_tensor *grown = realloc(list->v, (list->n + (size_t)n) * sizeof *grown);
    if (grown) list->v = grown;
    offsets = malloc((size_t)n * sizeof *offsets);
    if (!grown || !offsets) {
        st = error_set(c->err, ERR_NOMEM, "%s: out of memory", c->shard->path);
        goto out;
    }
    struct gguf_tensor *first = list->v + list->n;
    c->kind = "tensor";
    c->total = n;
    for (c->index = 0; c->index < n; c->index++) {
        struct gguf_tensor *t = &first[c->index];
        *t = (struct gguf_tensor){0};
        c->name.len = 0;
        st = read_tensor(c, t, &offsets[c->index]);
        if (st) goto out;
    }
    uint64_t data_start;
    if (!checked_align((uint64_t)(c->p - c->shard->map.data), alignment, &data_start)) {
        st = cut_short(c);
        goto out;
    }
    for (uint64_t i = 0; i < n; i++) {
        c->name = first[i].name;
        st = place_tensor(c, &first[i], offsets[i], data_start, alignment);
        if (st) goto out;
    }
    list->n += (size_t)n;
out:
    free(offsets);
    return st;
}

static enum status check_signature(struct gguf_shard *shard, struct error *err)
{
    const uint8_t *p = shard->map.data;
    bool swapped = shard->map.size >= 4 && memcmp(p, "FUGG", 4) == 0;
    if (!swapped && (shard->map.size < 4 || memcmp(p, "GGUF", 4) != 0))
        return gguf_not_a_model(shard, err);
    if (shard->map.size < HEADER_BYTES)
        return error_set(err, ERR_FORMAT,
                         "%s: the file ends at byte %" PRIu64
                         ", inside its header: it is cut short; "
                         "download it again",
                         shard->path, shard->map.size);
    shard->version = gguf_load_u32(p + 4);
    if (swapped || (shard->version != 0 && (shard->version & 0xffff) == 0))
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: the file is byte-swapped (written for a big-endian machine); convert "
                         "the model again as little-endian",
                         shard->path);
    if (shard->version == 1)
        return error_set(
            err, ERR_UNSUPPORTED,
            "%s: GGUF version 1 is no longer read; download a newer file of this model "
            "or convert it again",
            shard->path);
    if (shard->version < 2 || shard->version > 3)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: GGUF version %" PRIu32 " is unknown; versions 2 and 3 are read",
                         shard->path, shard->version);
    return OK;
}

enum status gguf_parse(struct gguf_shard *shard, struct gguf_key_list *keys,
                       struct gguf_tensor_list *tensors, struct error *err)
{
    enum status st = check_signature(shard, err);
    if (st) return st;
    const uint8_t *data = shard->map.data;
    struct cursor c = {.shard = shard, .err = err};
    c.p = data + HEADER_BYTES;
    c.end = data + shard->map.size;
    uint64_t alignment;
    st = read_keys(&c, gguf_load_u64(data + 16), keys);
    if (!st) st = read_alignment(&c, keys, &alignment);
    if (!st) st = read_tensors(&c, gguf_load_u64(data + 8), alignment, tensors);
    shard->header_bytes = (uint64_t)(c.p - data);
    return st;
}
