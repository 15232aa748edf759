/* Dictionaries in order of insertion, with an index once they are not tiny; and what JSON becomes. */
#include <math.h>
#include <string.h>

#include "text/jinja_int.h"

enum { INDEX_FROM = 8 };

static uint32_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL; /* MurmurHash3's finalizer */
    x ^= x >> 33;
    return (uint32_t)x ^ (uint32_t)(x >> 32);
}

static uint32_t hash_bytes(const char *s, size_t len)
{
    uint64_t h = 14695981039346656037ULL; /* FNV-1a */
    for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)s[i]) * 1099511628211ULL;
    return mix(h);
}

/* Equal values have equal hashes: 1, 1.0 and true are the same key, as in Python. */
static bool hash_value(struct jinja *in, struct jinja_value v, uint32_t *out)
{
    if (v.kind == JINJA_STR) {
        *out = hash_bytes(v.s, v.len);
        return jinja_step(in, v.len / 32);
    }
    if (jinja_is_number(v)) {
        double d = jinja_as_double(v);
        uint64_t bits;
        if (d == 0) d = 0; /* -0.0 too */
        memcpy(&bits, &d, sizeof bits);
        *out = mix(bits);
        return true;
    }
    if (v.kind == JINJA_LIST && v.list->form == FORM_TUPLE) {
        if (!jinja_enter(in)) return false;
        uint32_t h = 7;
        bool ok = true;
        for (uint32_t i = 0; ok && i < v.list->len; i++) {
            uint32_t one = 0;
            ok = hash_value(in, v.list->items[i], &one);
            h = mix((uint64_t)h << 32 | one);
        }
        jinja_leave(in);
        *out = h;
        return ok;
    }
    if (v.kind == JINJA_LIST || v.kind == JINJA_DICT) {
        jinja_fail(in, ERR_INVALID, "unhashable type: '%s'", jinja_type_name(v));
        return false;
    }
    *out = mix(v.kind == JINJA_NONE || v.kind == JINJA_UNDEFINED ? v.kind : (uintptr_t)v.s);
    return true;
}

struct jinja_value jinja_dict_new(struct jinja *in)
{
    struct jinja_dict *d = jinja_alloc(in, sizeof *d);
    if (!d) return jinja_undefined("", 0);
    *d = (struct jinja_dict){0};
    return (struct jinja_value){.kind = JINJA_DICT, .dict = d};
}

static struct jinja_pair *find(struct jinja *in, const struct jinja_dict *d, struct jinja_value key,
                               uint32_t hash)
{
    if (!d->index) {
        for (uint32_t i = 0; i < d->len; i++)
            if (d->pairs[i].hash == hash && jinja_equal(in, d->pairs[i].key, key))
                return &d->pairs[i];
        return NULL;
    }
    uint32_t mask = d->n_index - 1;
    for (uint32_t i = hash & mask; d->index[i]; i = (i + 1) & mask) {
        struct jinja_pair *p = &d->pairs[d->index[i] - 1];
        if (p->hash == hash && jinja_equal(in, p->key, key)) return p;
        if (!jinja_step(in, 1)) return NULL;
    }
    return NULL;
}

struct jinja_pair *jinja_dict_find(struct jinja *in, const struct jinja_dict *d,
                                   struct jinja_value key)
{
    uint32_t hash = 0;
    return hash_value(in, key, &hash) ? find(in, d, key, hash) : NULL;
}

struct jinja_pair *jinja_dict_find_str(const struct jinja_dict *d, const char *s, size_t len)
{
    uint32_t hash = hash_bytes(s, len), mask = d->n_index - 1;
    for (uint32_t i = d->index ? hash & mask : 0; d->index ? d->index[i] != 0 : i < d->len;
         i = d->index ? (i + 1) & mask : i + 1) {
        struct jinja_pair *p = &d->pairs[d->index ? d->index[i] - 1 : i];
        if (p->hash == hash && p->key.kind == JINJA_STR && p->key.len == len &&
            memcmp(p->key.s, s, len) == 0)
            return p;
    }
    return NULL;
}

static void put_index(struct jinja_dict *d, uint32_t pair)
{
    uint32_t mask = d->n_index - 1, i = d->pairs[pair].hash & mask;
    while (d->index[i]) i = (i + 1) & mask;
    d->index[i] = pair + 1;
}

static void reindex(struct jinja_dict *d)
{
    if (!d->index) return;
    memset(d->index, 0, d->n_index * sizeof *d->index);
    for (uint32_t i = 0; i < d->len; i++) put_index(d, i);
}

static bool grow(struct jinja *in, struct jinja_dict *d)
{
    uint32_t cap = d->cap ? 2 * d->cap : 4;
    struct jinja_pair *p = jinja_alloc(in, cap * sizeof *p);
    if (!p) return false;
    if (d->len) memcpy(p, d->pairs, d->len * sizeof *p);
    d->pairs = p;
    d->cap = cap;
    if (cap <= INDEX_FROM) return true;
    uint32_t *index = jinja_alloc(in, 2 * cap * sizeof *index);
    if (!index) return false;
    d->index = index;
    d->n_index = 2 * cap;
    reindex(d);
    return true;
}

void jinja_dict_set(struct jinja *in, struct jinja_value dict, struct jinja_value key,
                    struct jinja_value v)
{
    uint32_t hash = 0;
    if (in->st != OK || !hash_value(in, key, &hash)) return;
    struct jinja_dict *d = dict.dict;
    struct jinja_pair *p = find(in, d, key, hash);
    if (in->st != OK) return;
    if (p) {
        p->value = v;
        return;
    }
    if (d->len == d->cap && !grow(in, d)) return;
    d->pairs[d->len] = (struct jinja_pair){key, v, hash};
    if (d->index) put_index(d, d->len);
    d->len++;
}

bool jinja_dict_remove(struct jinja *in, struct jinja_dict *d, struct jinja_value key,
                       struct jinja_value *out)
{
    struct jinja_pair *p = jinja_dict_find(in, d, key);
    if (!p || !jinja_step(in, d->len / 4)) return false;
    *out = p->value;
    size_t i = (size_t)(p - d->pairs);
    memmove(p, p + 1, (d->len - i - 1) * sizeof *p);
    d->len--;
    reindex(d);
    return true;
}

/* The JSON outlives the rendering, so its texts are borrowed, except those that need marks. */
static struct jinja_value json_text(struct jinja *in, const char *s, size_t len, bool own)
{
    if (!in->arena.marking || own) return jinja_str(s, len);
    struct jinja_value v = jinja_copy(in, s, len);
    jinja_marks_set(&in->arena, v.s, in->st == OK ? v.len : 0);
    return v;
}

static struct jinja_value from_json(struct jinja *in, const char *key, const json_t *j, unsigned depth)
{
    if (!jinja_enter(in)) return jinja_undefined("", 0);
    struct jinja_value v = jinja_none();
    switch (json_typeof(j)) {
    case JSON_OBJECT: {
        v = jinja_dict_new(in);
        const char *name;
        json_t *x;
        json_object_foreach((json_t *)j, name, x)
        {
            if (in->st != OK) break;
            jinja_dict_set(in, v, json_text(in, name, strlen(name), false), from_json(in, name, x, depth + 1));
        }
        break;
    }
    case JSON_ARRAY:
        v = jinja_list_new(in, FORM_LIST);
        for (size_t i = 0; i < json_array_size(j) && in->st == OK; i++)
            jinja_list_add(in, v, from_json(in, "", json_array_get(j, i), depth + 1));
        break;
    case JSON_STRING:
        v = json_text(in, json_string_value(j), json_string_length(j),
                      in->own && in->own(key, json_string_value(j), depth));
        break;
    case JSON_INTEGER:
        v = jinja_int(json_integer_value(j));
        break;
    case JSON_REAL:
        v = jinja_float(json_real_value(j));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        v = jinja_bool(json_is_true(j));
        break;
    case JSON_NULL:
        break;
    }
    jinja_leave(in);
    return v;
}

struct jinja_value jinja_from_json(struct jinja *in, const char *key, const json_t *j)
{
    return from_json(in, key, j, 0);
}
