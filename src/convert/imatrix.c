#include "convert/imatrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "convert/imatrix_int.h"

struct imatrix_entry *imatrix_add(struct imatrix *im, const char *path, const char *name,
                                  size_t len, uint64_t columns, uint64_t n, struct error *err)
{
    if (len == 0 || memchr(name, 0, len)) {
        error_set(err, ERR_FORMAT, "%s: entry %zu has no proper name", path, im->n);
        return NULL;
    }
    if (im->n == im->cap) {
        size_t cap = im->cap ? 2 * im->cap : 256;
        struct imatrix_entry *grown = reallocarray(im->entries, cap, sizeof *grown);
        if (!grown) {
            error_set(err, ERR_NOMEM, "out of memory");
            return NULL;
        }
        im->entries = grown;
        im->cap = cap;
    }
    struct imatrix_entry *e = &im->entries[im->n];
    *e = (struct imatrix_entry){strndup(name, len), reallocarray(NULL, n, sizeof(float)), columns,
                                n};
    im->n++;
    if (e->name && e->values) return e;
    error_set(err, ERR_NOMEM, "out of memory");
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const struct imatrix_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

enum status imatrix_finish(struct imatrix *im, const char *path, struct error *err)
{
    if (im->n == 0)
        return error_set(err, ERR_FORMAT, "%s: an importance matrix without entries", path);
    qsort(im->entries, im->n, sizeof *im->entries, by_name);
    for (size_t i = 0; i < im->n; i++) {
        const struct imatrix_entry *e = &im->entries[i];
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

enum status imatrix_open(const char *path, struct imatrix **out, struct error *err)
{
    *out = NULL;
    struct file_map map;
    struct imatrix *im = NULL;
    struct gguf *g = NULL;
    enum status st = file_map_open(path, &map, err);
    if (st) return st;
    im = calloc(1, sizeof *im);
    if (!im) st = error_set(err, ERR_NOMEM, "out of memory");
    if (!st && map.size >= 4 && memcmp(map.data, "GGUF", 4) == 0) {
        st = gguf_open(path, &g, err);
        if (!st) st = imatrix_from_gguf(g, im, err);
        gguf_close(g);
    } else if (!st) {
        st = imatrix_from_dat(map.data, map.size, path, im, err);
    }
    if (!st) st = imatrix_finish(im, path, err);
    file_map_close(&map);
    if (st)
        imatrix_close(im);
    else
        *out = im;
    return st;
}

void imatrix_close(struct imatrix *im)
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

size_t imatrix_n_entries(const struct imatrix *im)
{
    return im->n;
}

const struct imatrix_entry *imatrix_at(const struct imatrix *im, size_t i)
{
    return &im->entries[i];
}

const struct imatrix_entry *imatrix_find(const struct imatrix *im, const char *name)
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

uint64_t imatrix_n_chunks(const struct imatrix *im)
{
    return im->n_chunks;
}

const char *imatrix_dataset(const struct imatrix *im)
{
    return im->dataset ? im->dataset : "";
}
