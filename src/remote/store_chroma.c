/* Chroma over the REST API that its server describes at /openapi.json (version 2; read of chromadb 1.5.9). A
 * record's id is its key as a UUID, its metadata the model's name; the collection's space is cosine. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/answer_json.h"
#include "remote/remote_int.h"

enum { MAX_PATH = 4 * STORE_MAX_NAME };

struct chroma {
    struct vector_store base; /* first */
    struct rest *rest;        /* owned */
    struct store_address address;
    char id[STORE_UUID];      /* of the collection; of prepare, as what follows */
    char *model;              /* owned */
    size_t dim, most;         /* records of one request */
};

static const char *collections(const struct chroma *s, const char *rest, char out[MAX_PATH])
{
    const struct store_address *a = &s->address;
    snprintf(out, MAX_PATH, "/api/v2/tenants/%s/databases/%s/collections%s", *a->tenant ? a->tenant : "default_tenant",
             *a->database ? a->database : "default_database", rest);
    return out;
}

static const char *records(const struct chroma *s, const char *verb, char out[MAX_PATH])
{
    char rest[STORE_UUID + 16];
    snprintf(rest, sizeof rest, "/%s/%s", s->id, verb);
    return collections(s, rest, out);
}

/* The collection's description: its id, and whether it fits. */
static enum status read_collection(struct chroma *s, const json_t *c, size_t dim, struct error *err)
{
    const json_t *d = json_object_get(c, "dimension"), *config = json_object_get(c, "configuration_json");
    const json_t *index = json_object_get(config, "hnsw");
    if (!json_is_object(index)) index = json_object_get(config, "spann");
    const char *space = json_string_value(json_object_get(index, "space"));
    uint8_t key[VECTOR_KEY_BYTES];
    if (!store_uuid_read(json_object_get(c, "id"), key)) return store_odd_answer(s->base.name, "a collection", err);
    store_uuid_write(key, s->id);
    if (json_is_integer(d) && json_integer_value(d) != (json_int_t)dim)
        return error_set(err, ERR_INVALID, "%.200s holds vectors of %lld numbers, the model makes %zu; use another collection",
                         s->base.name, (long long)json_integer_value(d), dim);
    if (space && strcmp(space, "cosine") != 0)
        return error_set(err, ERR_INVALID, "%.200s compares by %.20s and not by cosine; use another collection", s->base.name,
                         space);
    return OK;
}

static enum status find_collection(struct chroma *s, size_t dim, bool make, struct error *err)
{
    char path[MAX_PATH], rest[STORE_MAX_NAME + 2];
    json_t *answer = NULL;
    enum status st;
    if (make) {
        st = rest_call(s->rest, "POST", collections(s, "", path), true,
                       json_pack("{s:s,s:b,s:{s:{s:s}}}", "name", s->address.collection, "get_or_create", 1, "configuration",
                                 "hnsw", "space", "cosine"),
                       &answer, err);
    } else {
        snprintf(rest, sizeof rest, "/%s", s->address.collection);
        st = rest_call(s->rest, "GET", collections(s, rest, path), false, NULL, &answer, err);
        if (st == ERR_NOT_FOUND)
            return error_set(err, st, "%.200s has no such collection; run `hearth index --store` first", s->base.name);
    }
    if (st == OK) st = read_collection(s, answer, dim, err);
    json_decref(answer);
    return st;
}

static enum status read_limit(struct chroma *s, struct error *err)
{
    json_t *answer = NULL;
    enum status st = rest_call(s->rest, "GET", "/api/v2/pre-flight-checks", false, NULL, &answer, err);
    json_int_t most = json_integer_value(json_object_get(answer, "max_batch_size"));
    json_decref(answer);
    s->most = most > 0 && most < STORE_PUT_ITEMS ? (size_t)most : STORE_PUT_ITEMS;
    return st;
}

static enum status prepare(struct vector_store *base, const char *model, size_t dim, bool make, struct error *err)
{
    struct chroma *s = (struct chroma *)base;
    const char *name = vector_store_model(model);
    if (s->model && strcmp(s->model, name) == 0 && s->dim == dim) return OK; /* done before */
    enum status st = find_collection(s, dim, make, err);
    if (st == OK && make) st = read_limit(s, err);
    if (st) return st;
    free(s->model);
    s->model = strdup(name);
    s->dim = dim;
    return s->model ? OK : error_set(err, ERR_NOMEM, "out of memory");
}

static enum status has(struct vector_store *base, const struct vector_item *items, size_t n, bool *there,
                       struct error *err)
{
    struct chroma *s = (struct chroma *)base;
    char path[MAX_PATH];
    enum status st = OK;
    for (size_t i = 0; i < n && st == OK; i += s->most) {
        size_t some = n - i < s->most ? n - i : s->most;
        json_t *answer = NULL;
        st = rest_call(s->rest, "POST", records(s, "get", path), true,
                       json_pack("{s:o,s:[],s:I}", "ids", store_ids(items + i, some), "include", "limit", (json_int_t)some),
                       &answer, err);
        if (st == OK && !store_mark_there(json_object_get(answer, "ids"), NULL, items + i, some, there + i))
            st = store_odd_answer(s->base.name, "the records that were asked for", err);
        json_decref(answer);
    }
    return st;
}

static enum status put(struct vector_store *base, const struct vector_item *items, const float *x, size_t n,
                       struct error *err)
{
    struct chroma *s = (struct chroma *)base;
    char path[MAX_PATH];
    enum status st = OK;
    size_t step = store_put_step(s->dim);
    if (step > s->most) step = s->most;
    for (size_t i = 0; i < n && st == OK; i += step) {
        size_t some = n - i < step ? n - i : step;
        st = rest_call(s->rest, "POST", records(s, "upsert", path), true,
                       json_pack("{s:o,s:o,s:o}", "ids", store_ids(items + i, some), "embeddings",
                                 store_vectors(x + i * s->dim, some, s->dim), "metadatas", store_labels(s->model, some)),
                       NULL, err);
    }
    return st;
}

static enum status drop(struct vector_store *base, const struct vector_item *items, size_t n, struct error *err)
{
    struct chroma *s = (struct chroma *)base;
    char path[MAX_PATH];
    enum status st = OK;
    for (size_t i = 0; i < n && st == OK; i += s->most) {
        size_t some = n - i < s->most ? n - i : s->most;
        st = rest_call(s->rest, "POST", records(s, "delete", path), true, json_pack("{s:o}", "ids", store_ids(items + i, some)),
                       NULL, err);
    }
    return st;
}

static enum status nearest(struct vector_store *base, const float *q, size_t dim, struct vector_found *out, size_t max,
                           size_t *n, struct error *err)
{
    struct chroma *s = (struct chroma *)base;
    char path[MAX_PATH];
    json_t *answer = NULL;
    *n = 0;
    enum status st = rest_call(s->rest, "POST", records(s, "query", path), true,
                               json_pack("{s:[o],s:I,s:[s],s:{s:o}}", "query_embeddings", store_vector(q, dim), "n_results",
                                         (json_int_t)max, "include", "distances", "where", "model",
                                         index_json_text(s->model, strlen(s->model))),
                               &answer, err);
    if (st) return st;
    /* One query, so one list of each. */
    const json_t *ids = json_array_get(json_object_get(answer, "ids"), 0),
                 *distances = json_array_get(json_object_get(answer, "distances"), 0);
    size_t count = json_array_size(ids);
    bool good = json_is_array(ids) && count <= max && json_array_size(distances) == count;
    for (size_t i = 0; i < count && good; i++) {
        const json_t *d = json_array_get(distances, i);
        out[i].score = 1 - (float)json_number_value(d);
        good = store_uuid_read(json_array_get(ids, i), out[i].item.key) && json_is_number(d) && isfinite(out[i].score);
    }
    json_decref(answer);
    if (!good) return store_odd_answer(s->base.name, "the nearest records", err);
    store_sort(out, count);
    *n = count;
    return OK;
}

static void close_store(struct vector_store *base)
{
    struct chroma *s = (struct chroma *)base;
    rest_close(s->rest);
    free(s->model);
    free(s);
}

static enum status open_store(const struct store_address *a, struct rest *rest, struct vector_store **out, struct error *err)
{
    struct chroma *s = calloc(1, sizeof *s);
    if (!s) {
        rest_close(rest);
        return error_set(err, ERR_NOMEM, "out of memory");
    }
    s->rest = rest;
    s->address = *a;
    s->most = STORE_PUT_ITEMS;
    s->base = (struct vector_store){.name = s->address.name, .elsewhere = true, .prepare = prepare, .has = has, .put = put,
                                    .drop = drop, .nearest = nearest, .close = close_store};
    *out = &s->base;
    return OK;
}

const struct store_kind store_kind_chroma = {.scheme = "chroma", .port = 8000, .key_header = "x-chroma-token",
                                             .has_tenants = true, .open = open_store};
