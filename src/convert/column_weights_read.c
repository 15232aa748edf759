/* The two formats of importance matrices. Source: llama.cpp's common/imatrix-loader.cpp and
 * tools/imatrix/imatrix.cpp. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "convert/column_weights_int.h"
#include "gguf/imatrix.h"
#include "quant/quant.h"

/* ---- GGUF: sums of squares, and how many went into them ---------------------------------------
 */

static enum status add_entry_of(const struct imatrix_entry *from, const char *path,
                                struct column_weights *im, struct error *err)
{
    struct column_weight *e = column_weights_add(im, path, from->name, strlen(from->name), from->n_cols,
                                                 (uint64_t)from->n_cols * from->n_parts, err);
    if (!e) return err->code;
    for (size_t p = 0; p < from->n_parts; p++) {
        /* An expert that no token reached: all columns alike. */
        const double *sums = from->sums + p * from->n_cols;
        for (size_t i = 0; i < from->n_cols; i++)
            e->values[p * from->n_cols + i] =
                from->counts[p] > 0 ? (float)(sums[i] / from->counts[p]) : 1;
    }
    return OK;
}

enum status column_weights_from_gguf(const struct gguf *g, struct column_weights *im,
                                     struct error *err)
{
    struct gguf_array datasets;
    struct gguf_str first;
    uint64_t cursor = 0;
    struct imatrix *sums = NULL;
    enum status st = OK;
    gguf_get_u64(g, "imatrix.chunk_count", &im->n_chunks, NULL);
    if (gguf_get_array(g, "imatrix.datasets", &datasets, NULL) == OK &&
        datasets.type == GGUF_STRING && gguf_array_next_str(&datasets, &cursor, &first)) {
        im->dataset = strndup(first.data, first.len);
        if (!im->dataset) st = error_set(err, ERR_NOMEM, "out of memory");
    }
    if (!st) st = imatrix_create(&sums, err);
    if (!st) st = imatrix_read(sums, gguf_path(g), NULL, err);
    for (size_t i = 0; !st && i < imatrix_n_entries(sums); i++)
        st = add_entry_of(imatrix_entry_at(sums, i), gguf_path(g), im, err);
    imatrix_destroy(sums);
    return st;
}

/* ---- .dat -------------------------------------------------------------------------------------
 */

struct reader {
    const uint8_t *p;
    uint64_t left;
};

static const uint8_t *take(struct reader *r, uint64_t n)
{
    if (n > r->left) return NULL;
    const uint8_t *p = r->p;
    r->p += n;
    r->left -= n;
    return p;
}

static bool take_i32(struct reader *r, int32_t *out)
{
    const uint8_t *p = take(r, 4);
    if (p)
        *out = (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                         (uint32_t)p[3] << 24);
    return p != NULL;
}

/* name, calls, values: sums that are divided by the number of calls. */
static enum status add_entry(struct reader *r, const char *path, int32_t i, struct column_weights *im,
                             struct error *err)
{
    int32_t len, calls, n;
    const uint8_t *name = NULL, *values = NULL;
    if (take_i32(r, &len) && len > 0) name = take(r, (uint64_t)len);
    if (name && take_i32(r, &calls) && take_i32(r, &n) && n > 0) values = take(r, 4 * (uint64_t)n);
    if (!values)
        return error_set(
            err, ERR_FORMAT,
            "%s is no importance matrix: entry %d is cut off or has impossible lengths", path, i);
    struct column_weight *e =
        column_weights_add(im, path, (const char *)name, (size_t)len, (uint64_t)n, (uint64_t)n, err);
    if (!e) return err->code;
    for (int32_t j = 0; j < n; j++) {
        float v;
        memcpy(&v, values + 4 * (size_t)j, sizeof v);
        e->values[j] = calls > 0 ? v / (float)calls : v;
    }
    return OK;
}

enum status column_weights_from_dat(const uint8_t *data, uint64_t size, const char *path,
                             struct column_weights *im, struct error *err)
{
    struct reader r = {data, size};
    int32_t n = 0, chunks = 0, len = 0;
    if (!take_i32(&r, &n) || n < 1)
        return error_set(err, ERR_FORMAT, "%s is no importance matrix: neither GGUF nor .dat",
                         path);
    for (int32_t i = 0; i < n; i++) {
        enum status st = add_entry(&r, path, i, im, err);
        if (st) return st;
    }
    /* The rest is there in newer files only. */
    if (!take_i32(&r, &chunks) || chunks < 0) return OK;
    im->n_chunks = (uint64_t)chunks;
    const uint8_t *text = take_i32(&r, &len) && len > 0 ? take(&r, (uint64_t)len) : NULL;
    if (!text) return OK;
    im->dataset = strndup((const char *)text, (size_t)len);
    return im->dataset ? OK : error_set(err, ERR_NOMEM, "out of memory");
}
