/* What the kinds of servers share. Inside of module remote. */
#ifndef HEARTH_REMOTE_INT_H
#define HEARTH_REMOTE_INT_H

#include <jansson.h>

#include "remote/rest.h"
#include "remote/stores.h"

enum {
    STORE_MAX_NAME = 255,
    STORE_UUID = 37,              /* characters and NUL */
    STORE_PUT_NUMBERS = 262144,   /* of one request with vectors: some 3 MB of text */
    STORE_PUT_ITEMS = 256,
};

/* The parts of an address; names are of letters, digits, '.', '_' and '-'. */
struct store_address {
    char name[512];                       /* the address as the index remembers it */
    char base[320];                       /* "http://host:port" */
    char collection[STORE_MAX_NAME + 1];
    char tenant[STORE_MAX_NAME + 1], database[STORE_MAX_NAME + 1]; /* "" where not told */
    bool tls;
};

struct store_kind {
    const char *scheme;
    int port;               /* by default */
    const char *key_header;
    bool has_tenants;       /* the address may name a tenant and a database */
    /* Takes `rest`, also where it fails. */
    enum status (*open)(const struct store_address *a, struct rest *rest, struct vector_store **out, struct error *err);
};

extern const struct store_kind store_kind_qdrant, store_kind_chroma;

/* A key as a UUID's 36 characters, and back; false for anything else. */
void store_uuid_write(const uint8_t key[VECTOR_KEY_BYTES], char out[STORE_UUID]);
bool store_uuid_read(const json_t *id, uint8_t key[VECTOR_KEY_BYTES]);

/* Lists for requests; NULL without memory. */
json_t *store_ids(const struct vector_item *items, size_t n);
json_t *store_vector(const float *x, size_t dim);
json_t *store_vectors(const float *x, size_t n, size_t dim);
/* n times {"model": model}. */
json_t *store_labels(const char *model, size_t n);
/* How many vectors go into one request. */
size_t store_put_step(size_t dim);
/* there[i] of the items whose ids stand in `list`; false where it is no list of ids. `member` names the id
 * within an element; NULL: the element is it. */
bool store_mark_there(const json_t *list, const char *member, const struct vector_item *items, size_t n, bool *there);
/* Sorts by score. */
void store_sort(struct vector_found *hits, size_t n);
/* "SERVER answered with something else than WHAT". */
enum status store_odd_answer(const char *name, const char *what, struct error *err);

#endif
