#include "convert/column_weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "convert/column_weights_int.h"

struct column_weight *column_weights_add(struct column_weights *im, const char *path, const char *name,
                                  size_t len, uint64_t columns, uint64_t n, struct error *err)
{
    if (len == 0 || memchr(name, 0, len)) {
        error_set(err, ERR_FORMAT, "%s: entry %zu has no proper name", path, im->n);
        return NULL;
    }
    if (im->n == im->cap) {
        size_t cap = im->cap ? 2 * im->cap : 256;
        struct column_weight *grown = reallocarray(im->entries, cap, sizeof *grown);
        if (!grown) {
            error_set(err, ERR_NOMEM, "out of memory");
            return NULL;
        }
        im->entries = grown;
        im->cap = cap;
    }
    struct column_weight *e = &im->entries[im->n];
    *e = (struct column_weight){strndup(name, len), reallocarray(NULL, n, sizeof(float)), columns,
                                n};
    im->n++;
    if (e->name && e->values) return e;
    error_set(err, ERR_NOMEM, "out of memory");
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const struct column_weight *x = a, *y = b;
    return strcmp(x->name, y->name);
}

enum status column_weights_finish(struct column_weights *im, const char *path, struct error *err)
{
    if (im->n == 0)
        return error_set(err, ERR_FORMAT, "%s: an importance matrix without entries", path);
    qsort(im->entries, im->n, sizeof *im->entries, by_name);
    for (size_t i = 0; i < im->n; i++) {
        const struct column_weight *e = &im->entries[i];
        if (i > 0 && strcmp(e->name, e[-1].name) == 0)
            return error_set(err, ERR_FORMAT, "%s: entry '%s' occurs twice", path, e->name);
        for (uint64_t j = 0; j < e->n; j++)
            if (!isfinite(e->values[j]) || e->values[j] < 0)
                return error_set(err, ERR_FORMAT,
                                 "%s: entry '%s' has the value %g, which is no mean square", path,
                                 e->name, (double)e->values[j]);
    }
    return OK;
}

enum status column_weights_open(const char *path, struct column_weights **out, struct error *err)
{
    *out = NULL;
    struct file_map map;
    struct column_weights *im = NULL;
    struct gguf *g = NULL;
    enum status st = file_map_open(path, &map, err);
    if (st) return st;
    im = calloc(1, sizeof *im);
    if (!im) st = error_set(err, ERR_NOMEM, "out of memory");
    if (!st && map.size >= 4 && memcmp(map.data, "GGUF", 4) == 0) {
        st = gguf_open(path, &g, err);
        if (!st) st = column_weights_from_gguf(g, im, err);
        gguf_close(g);
    } else if (!st) {
        st = column_weights_from_dat(map.data, map.size, path, im, err);
    }
    if (!st) st = column_weights_finish(im, path, err);
    file_map_close(&map);
    if (st)
        column_weights_close(im);
    else
        *out = im;
    return st;
}

void column_weights_close(struct column_weights *im)
{
    if (!im) return;
    for (size_t i = 0; i < im->n; i++) {
        free(im->entries[i].name);
        free(im->entries[i].values);
    }
    free(im->entries);
    free(im->dataset);
    free(im);
}

size_t column_weights_n_entries(const struct column_weights *im)
{
    return im->n;
}

const struct column_weight *column_weights_at(const struct column_weights *im, size_t i)
{
    return &im->entries[i];
}

const struct column_weight *column_weights_find(const struct column_weights *im, const char *name)
{
    size_t low = 0, high = im->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = strcmp(im->entries[middle].name, name);
        if (c == 0) return &im->entries[middle];
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

uint64_t column_weights_n_chunks(const struct column_weights *im)
{
    return im->n_chunks;
}

const char *column_weights_dataset(const struct column_weights *im)
{
    return im->dataset ? im->dataset : "";
}
