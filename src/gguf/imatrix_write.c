/* Writing importance matrices. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf_write.h"
#include "gguf/imatrix_int.h"
#include "quant/quant.h"

static int by_name(const void *a, const void *b)
{
    const struct imatrix_entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static uint64_t clamp_u32(uint64_t x)
{
    return x < UINT32_MAX ? x : UINT32_MAX;
}

static enum status describe_keys(struct gguf_writer *w, const struct imatrix *m,
                                 const struct imatrix_info *info, struct error *err)
{
    struct gguf_str *texts = calloc(m->n_datasets + 1, sizeof *texts);
    if (!texts) return error_set(err, ERR_NOMEM, "out of memory for an importance matrix");
    for (size_t i = 0; i < m->n_datasets; i++)
        texts[i] = (struct gguf_str){m->datasets[i], strlen(m->datasets[i])};
    gguf_writer_str(w, "general.type", "imatrix");
    gguf_writer_strings(w, IMATRIX_DATASETS, texts, m->n_datasets);
    gguf_writer_u64(w, IMATRIX_COUNT, GGUF_U32,
                    clamp_u32(imatrix_chunk_count(m, info->chunk_size)));
    gguf_writer_u64(w, IMATRIX_CHUNK_SIZE, GGUF_U32, clamp_u32(info->chunk_size));
    if (info->run[0]) {
        gguf_writer_str(w, IMATRIX_RUN, info->run);
        gguf_writer_u64(w, IMATRIX_RUN_CHUNKS, GGUF_U32, clamp_u32(info->run_chunks));
    }
    free(texts);
    return OK;
}

static void describe_tensor(struct gguf_writer *w, const struct imatrix_entry *e,
                            const char *suffix, size_t cols)
{
    char name[IMATRIX_MAX_NAME];
    uint64_t ne[2] = {cols, e->n_parts};
    snprintf(name, sizeof name, "%s%s", e->name, suffix);
    gguf_writer_tensor(w, name, QUANT_F32, e->n_parts > 1 ? 2 : 1, ne);
}

/* Tensor i: n numbers as floats. */
static enum status put(struct gguf_writer *w, size_t i, const double *x, size_t n, struct error *err)
{
    float part[1024];
    enum { PART = sizeof part / sizeof part[0] };
    enum status st = OK;
    for (size_t at = 0; st == OK && at < n; at += PART) {
        size_t len = n - at < PART ? n - at : PART;
        for (size_t k = 0; k < len; k++) part[k] = (float)x[at + k];
        st = gguf_writer_put(w, i, at * sizeof *part, part, len * sizeof *part, err);
    }
    return st;
}

static enum status check_finite(const struct imatrix_entry *e, struct error *err)
{
    for (size_t i = 0; i < e->n_parts * e->n_cols; i++)
        if (!isfinite((float)e->sums[i]))
            return error_set(err, ERR_FORMAT,
                             "the input of %s has a column without a finite sum of squares: the "
                             "model is damaged, or its kind is not computed right",
                             e->name);
    return OK;
}

static enum status write_all(struct gguf_writer *w, struct imatrix_entry *const *sorted,
                             const struct imatrix *m, const struct imatrix_info *info,
                             struct error *err)
{
    enum status st = describe_keys(w, m, info, err);
    for (size_t i = 0; st == OK && i < m->n; i++) {
        st = check_finite(sorted[i], err);
        describe_tensor(w, sorted[i], IMATRIX_SUMS, sorted[i]->n_cols);
        describe_tensor(w, sorted[i], IMATRIX_COUNTS, 1);
    }
    if (st == OK) st = gguf_writer_start(w, err);
    for (size_t i = 0; st == OK && i < m->n; i++) {
        const struct imatrix_entry *e = sorted[i];
        st = put(w, 2 * i, e->sums, e->n_parts * e->n_cols, err);
        if (st == OK) st = put(w, 2 * i + 1, e->counts, e->n_parts, err);
    }
    return st;
}

enum status imatrix_write(const struct imatrix *m, const struct imatrix_info *info,
                          const char *path, struct error *err)
{
    struct gguf_writer *w;
    if (m->n == 0)
        return error_set(err, ERR_INVALID, "cannot write %s: nothing was collected", path);
    struct imatrix_entry **sorted = calloc(m->n, sizeof *sorted);
    if (!sorted) return error_set(err, ERR_NOMEM, "out of memory for an importance matrix");
    memcpy(sorted, m->entries, m->n * sizeof *sorted);
    qsort(sorted, m->n, sizeof *sorted, by_name);
    enum status st = gguf_writer_begin(path, 0, &w, err);
    if (st == OK) {
        st = write_all(w, sorted, m, info, err);
        if (st == OK)
            st = gguf_writer_commit(w, err);
        else
            gguf_writer_abandon(w);
    }
    free(sorted);
    return st;
}
