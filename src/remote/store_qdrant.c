/* Qdrant over its REST API, as docs/redoc/master/openapi.json of github.com/qdrant/qdrant describes it (read
 * at 1.19.0). A point's id is its key as a UUID, its payload the model's name; the collection has one
 * unnamed vector and cosine distance. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/answer_json.h"
#include "remote/remote_int.h"

struct qdrant {
    struct vector_store base; /* first */
    struct rest *rest;        /* owned */
    char name[512], collection[STORE_MAX_NAME + 1];
    char *model;              /* owned; of prepare */
    size_t dim;
};

static const char *path_of(const struct qdrant *s, const char *rest, char out[2 * STORE_MAX_NAME])
{
    snprintf(out, 2 * STORE_MAX_NAME, "/collections/%s%s", s->collection, rest);
    return out;
}

static enum status create(struct qdrant *s, size_t dim, struct error *err)
{
    char path[2 * STORE_MAX_NAME];
    enum status st = rest_call(s->rest, "PUT", path_of(s, "", path), true,
                               json_pack("{s:{s:I,s:s}}", "vectors", "size", (json_int_t)dim, "distance", "Cosine"), NULL, err);
    /* Searches filter by it; servers in strict mode insist on an index then. */
    if (st == OK)
        st = rest_call(s->rest, "PUT", path_of(s, "/index?wait=true", path), true,
                       json_pack("{s:s,s:s}", "field_name", "model", "field_schema", "keyword"), NULL, err);
    return st;
}

static enum status prepare(struct vector_store *base, const char *model, size_t dim, bool make, struct error *err)
{
    struct qdrant *s = (struct qdrant *)base;
    char path[2 * STORE_MAX_NAME];
    json_t *answer = NULL;
    const char *name = vector_store_model(model);
    if (s->model && strcmp(s->model, name) == 0 && s->dim == dim) return OK; /* done before */
    enum status st = rest_call(s->rest, "GET", path_of(s, "", path), false, NULL, &answer, err);
    if (st == ERR_NOT_FOUND && make) {
        st = create(s, dim, err);
        if (st) return st;
    } else if (st == ERR_NOT_FOUND) {
        return error_set(err, st, "%.200s has no such collection; run `hearth index --store` first", s->name);
    } else if (st) {
        return st;
    } else {
        const json_t *result = json_object_get(answer, "result"), *config = json_object_get(result, "config"),
                     *vectors = json_object_get(json_object_get(config, "params"), "vectors"),
                     *size = json_object_get(vectors, "size");
        const char *distance = json_string_value(json_object_get(vectors, "distance"));
        if (!json_is_integer(size) || !distance)
            st = error_set(err, ERR_NETWORK, "%.200s is no collection of Hearth's: it has no plain vector", s->name);
        else if (json_integer_value(size) != (json_int_t)dim)
            st = error_set(err, ERR_INVALID, "%.200s holds vectors of %lld numbers, the model makes %zu; use another collection",
                           s->name, (long long)json_integer_value(size), dim);
        else if (strcmp(distance, "Cosine") != 0)
            st = error_set(err, ERR_INVALID, "%.200s compares by %.20s and not by Cosine; use another collection", s->name,
                           distance);
        json_decref(answer);
        if (st) return st;
    }
    free(s->model);
    s->model = strdup(name);
    s->dim = dim;
    return s->model ? OK : error_set(err, ERR_NOMEM, "out of memory");
}

static enum status has(struct vector_store *base, const struct vector_item *items, size_t n, bool *there,
                       struct error *err)
{
    struct qdrant *s = (struct qdrant *)base;
    char path[2 * STORE_MAX_NAME];
    enum status st = OK;
    for (size_t i = 0; i < n && st == OK; i += STORE_PUT_ITEMS) {
        size_t some = n - i < STORE_PUT_ITEMS ? n - i : STORE_PUT_ITEMS;
        json_t *answer = NULL;
        st = rest_call(s->rest, "POST", path_of(s, "/points", path), true,
                       json_pack("{s:o,s:b,s:b}", "ids", store_ids(items + i, some), "with_payload", 0, "with_vector", 0),
                       &answer, err);
        if (st == OK && !store_mark_there(json_object_get(answer, "result"), "id", items + i, some, there + i))
            st = store_odd_answer(s->name, "the points that were asked for", err);
        json_decref(answer);
    }
    return st;
}

/* An update may be acknowledged and wait in a queue; it is kept by then (wait=true asks for more). */
static enum status updated(const struct qdrant *s, json_t *answer, struct error *err)
{
    const char *status = json_string_value(json_object_get(json_object_get(answer, "result"), "status"));
    bool good = status && (strcmp(status, "completed") == 0 || strcmp(status, "acknowledged") == 0 ||
                           strcmp(status, "wait_timeout") == 0);
    json_decref(answer);
    return good ? OK : store_odd_answer(s->name, "the end of an update", err);
}

static enum status put(struct vector_store *base, const struct vector_item *items, const float *x, size_t n,
                       struct error *err)
{
    struct qdrant *s = (struct qdrant *)base;
    char path[2 * STORE_MAX_NAME];
    enum status st = OK;
    size_t step = store_put_step(s->dim);
    for (size_t i = 0; i < n && st == OK; i += step) {
        size_t some = n - i < step ? n - i : step;
        json_t *answer = NULL, *body = json_pack("{s:{s:o,s:o,s:o}}", "batch", "ids", store_ids(items + i, some), "vectors",
                                                 store_vectors(x + i * s->dim, some, s->dim), "payloads",
                                                 store_labels(s->model, some));
        st = rest_call(s->rest, "PUT", path_of(s, "/points?wait=true", path), true, body, &answer, err);
        if (st == OK) st = updated(s, answer, err);
    }
    return st;
}

static enum status drop(struct vector_store *base, const struct vector_item *items, size_t n, struct error *err)
{
    struct qdrant *s = (struct qdrant *)base;
    char path[2 * STORE_MAX_NAME];
    json_t *answer = NULL;
    enum status st = rest_call(s->rest, "POST", path_of(s, "/points/delete?wait=true", path), true,
                               json_pack("{s:o}", "points", store_ids(items, n)), &answer, err);
    return st ? st : updated(s, answer, err);
}

static enum status nearest(struct vector_store *base, const float *q, size_t dim, struct vector_found *out, size_t max,
                           size_t *n, struct error *err)
{
    struct qdrant *s = (struct qdrant *)base;
    char path[2 * STORE_MAX_NAME];
    json_t *answer = NULL;
    *n = 0;
    enum status st = rest_call(
        s->rest, "POST", path_of(s, "/points/query", path), true,
        json_pack("{s:o,s:I,s:b,s:b,s:{s:[{s:s,s:{s:o}}]}}", "query", store_vector(q, dim), "limit", (json_int_t)max,
                  "with_payload", 0, "with_vector", 0, "filter", "must", "key", "model", "match", "value",
                  index_json_text(s->model, strlen(s->model))),
        &answer, err);
    if (st) return st;
    const json_t *points = json_object_get(json_object_get(answer, "result"), "points");
    size_t count = json_array_size(points);
    bool good = json_is_array(points) && count <= max;
    for (size_t i = 0; i < count && good; i++) {
        const json_t *p = json_array_get(points, i), *score = json_object_get(p, "score");
        out[i].score = (float)json_number_value(score);
        good = store_uuid_read(json_object_get(p, "id"), out[i].item.key) && json_is_number(score) && isfinite(out[i].score);
    }
    json_decref(answer);
    if (!good) return store_odd_answer(s->name, "the nearest points", err);
    store_sort(out, count);
    *n = count;
    return OK;
}

static void close_store(struct vector_store *base)
{
    struct qdrant *s = (struct qdrant *)base;
    rest_close(s->rest);
    free(s->model);
    free(s);
}

static enum status open_store(const struct store_address *a, struct rest *rest, struct vector_store **out, struct error *err)
{
    struct qdrant *s = calloc(1, sizeof *s);
    if (!s) {
        rest_close(rest);
        return error_set(err, ERR_NOMEM, "out of memory");
    }
    s->rest = rest;
    memcpy(s->name, a->name, sizeof s->name);
    memcpy(s->collection, a->collection, sizeof s->collection);
    s->base = (struct vector_store){.name = s->name, .elsewhere = true, .prepare = prepare, .has = has, .put = put,
                                    .drop = drop, .nearest = nearest, .close = close_store};
    *out = &s->base;
    return OK;
}

const struct store_kind store_kind_qdrant = {.scheme = "qdrant", .port = 6333, .key_header = "api-key", .open = open_store};
