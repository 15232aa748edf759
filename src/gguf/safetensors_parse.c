/* A shard's header. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "gguf/gguf_int.h"
#include "gguf/safetensors_int.h"

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [ST_BOOL] = {"BOOL", 1},       [ST_U8] = {"U8", 1},           [ST_I8] = {"I8", 1},
    [ST_F8_E4M3] = {"F8_E4M3", 1}, [ST_F8_E5M2] = {"F8_E5M2", 1}, [ST_F8_E8M0] = {"F8_E8M0", 1},
    [ST_U16] = {"U16", 2},         [ST_I16] = {"I16", 2},         [ST_F16] = {"F16", 2},
    [ST_BF16] = {"BF16", 2},       [ST_U32] = {"U32", 4},         [ST_I32] = {"I32", 4},
    [ST_F32] = {"F32", 4},         [ST_U64] = {"U64", 8},         [ST_I64] = {"I64", 8},
    [ST_F64] = {"F64", 8},
};

const char *safetensor_type_name(enum safetensor_type type)
{
    return types[type].name;
}

size_t safetensor_type_size(enum safetensor_type type)
{
    return types[type].size;
}

static enum status read_type(struct json_scan *j, const char *tensor, struct safetensor *t)
{
    char word[32];
    enum status st = json_scan_string(j, word, sizeof word);
    if (st) return st;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, word) != 0) continue;
        t->type = (enum safetensor_type)i;
        return OK;
    }
    return error_set(j->err, ERR_UNSUPPORTED,
                     "%s: tensor '%s' has the type %s, which Hearth does not know", j->path, tensor,
                     word);
}

static enum status read_shape(struct json_scan *j, const char *tensor, struct safetensor *t)
{
    enum status st = json_scan_expect(j, '[');
    t->count = 1;
    for (uint32_t i = 0; i < SAFETENSORS_MAX_DIMS; i++) t->shape[i] = 1;
    if (st || json_scan_take(j, ']')) return st;
    do {
        if (t->n_dims == SAFETENSORS_MAX_DIMS)
            return error_set(j->err, ERR_LIMIT, "%s: tensor '%s' has more than %d dimensions",
                             j->path, tensor, SAFETENSORS_MAX_DIMS);
        uint64_t *n = &t->shape[t->n_dims++];
        if ((st = json_scan_u64(j, n))) return st;
        if (!checked_mul(t->count, *n, &t->count))
            return error_set(j->err, ERR_FORMAT,
                             "%s: tensor '%s' has a shape whose product cannot be counted", j->path,
                             tensor);
    } while (json_scan_take(j, ','));
    return json_scan_expect(j, ']');
}

static enum status read_offsets(struct json_scan *j, uint64_t at[2])
{
    enum status st;
    if ((st = json_scan_expect(j, '[')) || (st = json_scan_u64(j, &at[0])) ||
        (st = json_scan_expect(j, ',')) || (st = json_scan_u64(j, &at[1])))
        return st;
    return json_scan_expect(j, ']');
}

/* {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]} */
static enum status read_entry(struct json_scan *j, const char *name, struct safetensor *t,
                              uint64_t at[2])
{
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    unsigned seen = 0, bit;
    enum status st = json_scan_expect(j, '{');
    if (st) return st;
    do {
        char field[16];
        if ((st = json_scan_string(j, field, sizeof field)) || (st = json_scan_expect(j, ':')))
            return st;
        if (strcmp(field, "dtype") == 0) {
            bit = DTYPE;
            st = read_type(j, name, t);
        } else if (strcmp(field, "shape") == 0) {
            bit = SHAPE;
            t->n_dims = 0;
            st = read_shape(j, name, t);
        } else if (strcmp(field, "data_offsets") == 0) {
            bit = OFFSETS;
            st = read_offsets(j, at);
        } else {
            return error_set(j->err, ERR_FORMAT, "%s: tensor '%s' has the unknown field '%s'",
                             j->path, name, field);
        }
        if (st) return st;
        if (seen & bit)
            return error_set(j->err, ERR_FORMAT, "%s: tensor '%s' has its '%s' twice", j->path,
                             name, field);
        seen |= bit;
    } while (json_scan_take(j, ','));
    if ((st = json_scan_expect(j, '}'))) return st;
    if (seen != (DTYPE | SHAPE | OFFSETS))
        return error_set(j->err, ERR_FORMAT,
                         "%s: tensor '%s' lacks its dtype, shape or data_offsets", j->path, name);
    return OK;
}

static enum status check_place(struct json_scan *j, const char *name, const struct safetensor *t,
                               const uint64_t at[2], uint64_t data_bytes)
{
    uint64_t need;
    if (at[0] > at[1] || at[1] > data_bytes)
        return error_set(j->err, ERR_FORMAT,
                         "%s: tensor '%s' claims bytes %" PRIu64 " to %" PRIu64 " of %" PRIu64
                         " there are; the file is cut off or damaged",
                         j->path, name, at[0], at[1], data_bytes);
    if (!checked_mul(t->count, types[t->type].size, &need) || need != at[1] - at[0])
        return error_set(j->err, ERR_FORMAT,
                         "%s: tensor '%s' has %" PRIu64
                         " bytes, which its shape and type do not give",
                         j->path, name, at[1] - at[0]);
    return OK;
}

static struct safetensor *append(struct safetensors *s, const struct json_scan *j, enum status *st)
{
    if (s->n == SAFETENSORS_MAX_TENSORS) {
        *st = error_set(j->err, ERR_LIMIT, "%s: more than %d tensors", j->path,
                        SAFETENSORS_MAX_TENSORS);
        return NULL;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 256;
        struct safetensor *v = reallocarray(s->v, cap, sizeof *v);
        if (!v) {
            *st = error_set(j->err, ERR_NOMEM, "out of memory");
            return NULL;
        }
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n] = (struct safetensor){0};
    return &s->v[s->n];
}

static enum status read_tensors(struct safetensors *s, size_t shard, struct json_scan *j)
{
    const struct safetensors_shard *sh = &s->shards[shard];
    enum status st = json_scan_expect(j, '{');
    if (st || json_scan_take(j, '}')) return st;
    do {
        char name[SAFETENSORS_MAX_NAME + 1];
        uint64_t at[2];
        if ((st = json_scan_string(j, name, sizeof name)) || (st = json_scan_expect(j, ':')))
            return st;
        if (strcmp(name, "__metadata__") == 0) {
            if ((st = json_scan_skip(j))) return st;
            continue;
        }
        struct safetensor *t = append(s, j, &st);
        if (!t || (st = read_entry(j, name, t, at))) return st;
        if ((st = check_place(j, name, t, at, sh->map.size - sh->header_bytes))) return st;
        t->shard = (uint32_t)shard;
        t->data = sh->map.data + sh->header_bytes + at[0];
        t->size = at[1] - at[0];
        t->name = (struct gguf_str){strdup(name), strlen(name)};
        if (!t->name.data) return error_set(j->err, ERR_NOMEM, "out of memory");
        s->n++;
    } while (json_scan_take(j, ','));
    return json_scan_expect(j, '}');
}

static int by_place(const void *pa, const void *pb)
{
    const struct safetensor *a = *(const struct safetensor *const *)pa;
    const struct safetensor *b = *(const struct safetensor *const *)pb;
    if (a->data != b->data) return a->data < b->data ? -1 : 1;
    return (a->size > b->size) - (a->size < b->size);
}

/* Every byte after the header belongs to one tensor, as the reference implementation demands. */
static enum status check_places(struct safetensors *s, size_t shard, size_t first,
                                struct error *err)
{
    const struct safetensors_shard *sh = &s->shards[shard];
    size_t n = s->n - first;
    const struct safetensor **v = calloc(n + 1, sizeof *v);
    if (!v) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) v[i] = &s->v[first + i];
    qsort(v, n, sizeof *v, by_place);
    const uint8_t *at = sh->map.data + sh->header_bytes;
    enum status st = OK;
    for (size_t i = 0; i < n && !st; i++) {
        if (v[i]->data < at)
            st = error_set(err, ERR_FORMAT, "%s: tensors '%s' and '%s' overlap", sh->path,
                           gguf_show(v[i - 1]->name).s, gguf_show(v[i]->name).s);
        else if (v[i]->data > at)
            st = error_set(err, ERR_FORMAT, "%s: bytes before tensor '%s' belong to none", sh->path,
                           gguf_show(v[i]->name).s);
        at = v[i]->data + v[i]->size;
    }
    if (!st && at != sh->map.data + sh->map.size)
        st = error_set(err, ERR_FORMAT, "%s: it goes on behind its last tensor", sh->path);
    free(v);
    return st;
}

enum status safetensors_parse(struct safetensors *s, size_t shard, struct error *err)
{
    struct safetensors_shard *sh = &s->shards[shard];
    if (sh->map.size < 8)
        return error_set(err, ERR_FORMAT, "%s: it has %" PRIu64 " bytes and is no safetensors file",
                         sh->path, sh->map.size);
    uint64_t n = gguf_load_u64(sh->map.data);
    if (n > SAFETENSORS_MAX_HEADER)
        return error_set(err, ERR_LIMIT,
                         "%s: its header claims %" PRIu64 " bytes; more than 100 MB is refused",
                         sh->path, n);
    if (n > sh->map.size - 8)
        return error_set(err, ERR_FORMAT,
                         "%s: its header of %" PRIu64
                         " bytes is longer than the file, which is cut off "
                         "or no safetensors file",
                         sh->path, n);
    sh->header_bytes = 8 + n;
    const char *text = (const char *)sh->map.data + 8;
    struct json_scan j = {text, text, text + n, sh->path, err};
    size_t first = s->n;
    enum status st = read_tensors(s, shard, &j);
    if (st) return st;
    json_scan_take(&j, 0); /* white space fills the header up */
    if (j.p != j.end) return json_scan_fail(&j, "something behind its end");
    return check_places(s, shard, first, err);
}
