/* Rows of a tensor, from what the folder stores to what the file will. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/block_pack.h"
#include "convert/import_int.h"
#include "quant/quant.h"

enum status import_buffers_init(struct import_buffers *b, const struct import_plan *p,
                                struct error *err)
{
    uint64_t cols = 1, bytes = 1;
    for (size_t i = 0; i < p->n; i++) {
        const struct import_tensor *t = &p->v[i];
        if (t->cols > cols) cols = t->cols;
        if (t->chunk_rows * t->row_bytes > bytes) bytes = t->chunk_rows * t->row_bytes;
    }
    *b = (struct import_buffers){
        .floats = calloc(cols, sizeof(float)),
        .decoded = calloc(cols, sizeof(float)),
        .numbers = calloc(cols, sizeof(int16_t)),
        .bytes = malloc(bytes),
    };
    return b->floats && b->decoded && b->numbers && b->bytes
               ? OK
               : error_set(err, ERR_NOMEM, "out of memory");
}

void import_buffers_fini(struct import_buffers *b)
{
    free(b->floats);
    free(b->decoded);
    free(b->numbers);
    free(b->bytes);
}

static void measure(const struct import_tensor *t, const uint8_t *row, struct import_buffers *b,
                    struct import_errors *e)
{
    const struct quant_traits *q = quant_find(t->type);
    q->decode(row, b->decoded, t->cols / q->block_elems);
    for (uint64_t i = 0; i < t->cols; i++) {
        double d = fabs((double)b->decoded[i] - (double)b->floats[i]);
        if (!isfinite(d)) continue; /* what is no number has no distance */
        if (d > e->max_error) e->max_error = d;
        e->sum_error2 += d * d;
        e->sum2 += (double)b->floats[i] * (double)b->floats[i];
    }
}

static enum status import_row(const struct import_tensor *t, uint64_t row, uint8_t *dst,
                              struct import_buffers *b, struct import_errors *e, struct error *err)
{
    const struct hf_view *v = &t->parts[row / t->part_rows];
    const struct quant_traits *q = quant_find(t->type);
    uint64_t r = row % t->part_rows;
    bool fine = true;
    if (t->way == IMPORT_COPY) {
        memcpy(dst, v->src->data->data + hf_view_place(v, r) * q->block_bytes, t->row_bytes);
        return OK;
    }
    hf_view_row(v, r, b->floats, b->numbers);
    if (t->way == IMPORT_PACK)
        fine = pack_row(v, r, t->type, b->numbers, b->floats, dst);
    else if (t->way == IMPORT_MXFP4)
        pack_mxfp4_row(v->src, hf_view_place(v, r), t->cols, dst);
    else
        fine = q->encode(b->floats, NULL, dst, t->cols / q->block_elems);
    if (fine && t->measured) measure(t, dst, b, e);
    if (fine) return OK;
    return error_set(err, ERR_FORMAT,
                     "weight '%.200s' has values that %s cannot hold: not finite, or too large",
                     v->src->name.data, q->name);
}

enum status import_rows(const struct import_tensor *t, uint64_t row, uint64_t n,
                        struct import_buffers *b, struct import_errors *e, struct error *err)
{
    *e = (struct import_errors){0};
    if (t->way == IMPORT_VALUES) {
        memcpy(b->bytes, t->values, t->row_bytes);
        return OK;
    }
    enum status st = OK;
    for (uint64_t i = 0; i < n && !st; i++)
        st = import_row(t, row + i, b->bytes + i * t->row_bytes, b, e, err);
    return st;
}
