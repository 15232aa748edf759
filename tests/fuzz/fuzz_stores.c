/* Any bytes as what Qdrant or Chroma answer, a line an answer: whatever they say, the store's functions end with
 * an error or with hits that are sorted, finite, and no more than were asked for. The first byte picks the kind. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "remote/remote_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place of rest.c: the answers come from the input. */
struct rest {
    const char *at, *end;
};

enum status rest_call(struct rest *r, const char *method, const char *path, bool wants_body, json_t *body,
                      json_t **answer, struct error *err)
{
    if (*path != '/' || !*method || (wants_body && !body)) abort();
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    if (body && !text) abort(); /* a request that cannot be written */
    free(text);
    json_decref(body);
    if (r->at >= r->end) return error_set(err, ERR_NETWORK, "no answer");
    const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
    size_t n = (size_t)((stop ? stop : r->end) - r->at);
    const char *line = r->at;
    json_error_t why;
    r->at += n + 1;
    if (n == 0) return error_set(err, ERR_NOT_FOUND, "HTTP 404");
    if (!answer) return OK;
    *answer = json_loadb(line, n, 0, &why);
    return *answer ? OK : error_set(err, ERR_NETWORK, "no JSON");
}

void rest_close(struct rest *r) { free(r); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { DIM = 32, ITEMS = 5, MOST = 7 };
    const struct store_kind *kinds[] = {&store_kind_qdrant, &store_kind_chroma};
    struct store_address address = {.name = "x://h/c", .base = "http://h:1", .collection = "c"};
    struct vector_item items[ITEMS];
    struct vector_found hits[MOST];
    struct vector_store *s;
    struct error err = {0};
    bool there[ITEMS];
    float x[ITEMS * DIM] = {1};
    size_t n = 0;
    if (size == 0) return 0;
    memset(items, 0, sizeof items);
    for (int i = 0; i < ITEMS; i++) items[i].key[15] = (uint8_t)i;
    struct rest *r = malloc(sizeof *r);
    if (!r) return 0;
    *r = (struct rest){(const char *)data + 1, (const char *)data + size};
    if (kinds[data[0] % 2]->open(&address, r, &s, &err)) abort();
    if (s->prepare(s, "model", DIM, data[0] & 2, &err) == OK) {
        for (int i = 0; i < ITEMS; i++) there[i] = false;
        s->has(s, items, ITEMS, there, &err);
        s->put(s, items, x, ITEMS, &err);
        s->drop(s, items, ITEMS, &err);
        if (s->nearest(s, x, DIM, hits, MOST, &n, &err) == OK) {
            if (n > MOST) abort();
            for (size_t i = 0; i < n; i++)
                if (!isfinite(hits[i].score) || (i && hits[i].score > hits[i - 1].score)) abort();
        }
    }
    s->close(s);
    return 0;
}
