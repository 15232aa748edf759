/* The two formats of importance matrices. Source: llama.cpp's common/imatrix-loader.cpp and
 * tools/imatrix/imatrix.cpp. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "convert/imatrix_int.h"
#include "quant/quant.h"

/* ---- GGUF: sums of squares, and how many went into them ---------------------------------------
 */

static const char sums_end[] = ".in_sum2", counts_end[] = ".counts";

static bool has_end(struct gguf_str s, const char *end)
{
    size_t n = strlen(end);
    return s.len > n && memcmp(s.data + s.len - n, end, n) == 0;
}

static float value_at(const struct gguf_tensor *t, uint64_t i)
{
    float v;
    memcpy(&v, t->data + 4 * i, sizeof v);
    return v;
}

static uint64_t n_elements(const struct gguf_tensor *t)
{
    return t->size / 4; /* of F32 */
}

static const struct gguf_tensor *find_counts(const struct gguf *g, const struct gguf_tensor *sums)
{
    char name[1024 + sizeof counts_end];
    size_t len = sums->name.len - strlen(sums_end);
    if (len >= 1024) return NULL;
    memcpy(name, sums->name.data, len);
    memcpy(name + len, counts_end, sizeof counts_end);
    return gguf_tensor_find(g, name);
}

static enum status add_sums(const struct gguf *g, const struct gguf_tensor *sums,
                            struct imatrix *im, struct error *err)
{
    const char *path = gguf_path(g);
    size_t len = sums->name.len - strlen(sums_end);
    int shown = len > 200 ? 200 : (int)len;
    const struct gguf_tensor *counts = find_counts(g, sums);
    if (!counts)
        return error_set(err, ERR_FORMAT, "%s: '%.*s' has sums but no counts", path, shown,
                         sums->name.data);
    if (sums->type != QUANT_F32 || counts->type != QUANT_F32)
        return error_set(err, ERR_FORMAT, "%s: sums and counts of '%.*s' are not F32", path, shown,
                         sums->name.data);
    uint64_t n = n_elements(sums), matrices = n_elements(counts);
    if (matrices == 0 || n % matrices)
        return error_set(err, ERR_FORMAT, "%s: '%.*s' has %llu sums for %llu counts", path, shown,
                         sums->name.data, (unsigned long long)n, (unsigned long long)matrices);
    uint64_t columns = n / matrices;
    struct imatrix_entry *e = imatrix_add(im, path, sums->name.data, len, columns, n, err);
    if (!e) return err->code;
    for (uint64_t m = 0; m < matrices; m++) {
        float count = value_at(counts, m);
        /* An expert that no token reached: all columns alike. */
        for (uint64_t i = m * columns; i < (m + 1) * columns; i++)
            e->values[i] = count > 0 ? value_at(sums, i) / count : 1;
    }
    return OK;
}

enum status imatrix_from_gguf(const struct gguf *g, struct imatrix *im, struct error *err)
{
    struct gguf_array datasets;
    struct gguf_str first;
    uint64_t cursor = 0;
    gguf_get_u64(g, "imatrix.chunk_count", &im->n_chunks, NULL);
    if (gguf_get_array(g, "imatrix.datasets", &datasets, NULL) == OK &&
        datasets.type == GGUF_STRING && gguf_array_next_str(&datasets, &cursor, &first)) {
        im->dataset = strndup(first.data, first.len);
        if (!im->dataset) return error_set(err, ERR_NOMEM, "out of memory");
    }
    enum status st = OK;
    for (size_t i = 0; !st && i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (has_end(t->name, sums_end)) st = add_sums(g, t, im, err);
    }
    if (!st && im->n == 0)
        return error_set(err, ERR_FORMAT,
                         "%s is a GGUF file without an importance matrix in it (tensors named *%s)",
                         gguf_path(g), sums_end);
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
static enum status add_entry(struct reader *r, const char *path, int32_t i, struct imatrix *im,
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
    struct imatrix_entry *e =
        imatrix_add(im, path, (const char *)name, (size_t)len, (uint64_t)n, (uint64_t)n, err);
    if (!e) return err->code;
    for (int32_t j = 0; j < n; j++) {
        float v;
        memcpy(&v, values + 4 * (size_t)j, sizeof v);
        e->values[j] = calls > 0 ? v / (float)calls : v;
    }
    return OK;
}

enum status imatrix_from_dat(const uint8_t *data, uint64_t size, const char *path,
                             struct imatrix *im, struct error *err)
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
