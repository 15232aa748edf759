/* The JSON that all kinds of servers want and give. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/answer_json.h"
#include "remote/remote_int.h"

void store_uuid_write(const uint8_t key[VECTOR_KEY_BYTES], char out[STORE_UUID])
{
    static const char hex[] = "0123456789abcdef";
    char *p = out;
    for (int i = 0; i < VECTOR_KEY_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *p++ = '-';
        *p++ = hex[key[i] >> 4];
        *p++ = hex[key[i] & 15];
    }
    *p = 0;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool store_uuid_read(const json_t *id, uint8_t key[VECTOR_KEY_BYTES])
{
    const char *s = json_string_value(id);
    if (!s || json_string_length(id) != STORE_UUID - 1) return false;
    for (int i = 0; i < VECTOR_KEY_BYTES; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *s++ != '-') return false;
        int high = digit(s[0]), low = high < 0 ? -1 : digit(s[1]);
        if (low < 0) return false;
        key[i] = (uint8_t)(high << 4 | low);
        s += 2;
    }
    return true;
}

json_t *store_ids(const struct vector_item *items, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n && list; i++) {
        char id[STORE_UUID];
        store_uuid_write(items[i].key, id);
        if (json_array_append_new(list, json_string(id))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

json_t *store_vector(const float *x, size_t dim)
{
    json_t *list = json_array();
    for (size_t i = 0; i < dim && list; i++)
        if (json_array_append_new(list, json_real(isfinite(x[i]) ? x[i] : 0))) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

json_t *store_vectors(const float *x, size_t n, size_t dim)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n && list; i++)
        if (json_array_append_new(list, store_vector(x + i * dim, dim))) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

json_t *store_labels(const char *model, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n && list; i++)
        if (json_array_append_new(list, json_pack("{s:o}", "model", index_json_text(model, strlen(model))))) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

size_t store_put_step(size_t dim)
{
    size_t n = dim ? STORE_PUT_NUMBERS / dim : 1;
    return n < 1 ? 1 : n < STORE_PUT_ITEMS ? n : STORE_PUT_ITEMS;
}

static int by_key(const void *a, const void *b)
{
    return memcmp(a, b, VECTOR_KEY_BYTES);
}

bool store_mark_there(const json_t *list, const char *member, const struct vector_item *items, size_t n, bool *there)
{
    size_t count = json_array_size(list), have = 0;
    memset(there, 0, n * sizeof *there);
    if (!json_is_array(list) || count > n) return false; /* more than was asked for */
    uint8_t (*keys)[VECTOR_KEY_BYTES] = malloc((count ? count : 1) * sizeof *keys);
    bool good = keys != NULL;
    for (; have < count && good; have++) {
        const json_t *x = json_array_get(list, have);
        good = store_uuid_read(member ? json_object_get(x, member) : x, keys[have]);
    }
    if (good) qsort(keys, count, sizeof *keys, by_key);
    for (size_t i = 0; i < n && good; i++)
        there[i] = bsearch(items[i].key, keys, count, sizeof *keys, by_key) != NULL;
    free(keys);
    return good;
}

static int by_score(const void *a, const void *b)
{
    const struct vector_found *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return memcmp(x->item.key, y->item.key, VECTOR_KEY_BYTES);
}

void store_sort(struct vector_found *hits, size_t n)
{
    qsort(hits, n, sizeof *hits, by_score);
}

enum status store_odd_answer(const char *name, const char *what, struct error *err)
{
    return error_set(err, ERR_NETWORK, "%.200s answered with something else than %s", name, what);
}
