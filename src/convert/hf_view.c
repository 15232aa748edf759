#include "convert/hf_view.h"

#include "convert/hf_model.h"

enum status hf_view_init(struct hf_view *v, const struct hf_source *src, struct error *err)
{
    enum safetensor_type t = src->data->type;
    const uint64_t *shape = src->shape;
    bool floats = t == ST_F32 || t == ST_F16 || t == ST_BF16 || t == ST_F64;
    if (src->kind == HF_PLAIN && !floats)
        return error_set(err, ERR_UNSUPPORTED,
                         "weight '%.200s' has the type %s, which is no floating point",
                         src->name.data, safetensor_type_name(t));
    if (src->n_dims == 0 || src->n_dims > 3 || src->data->count == 0)
        return error_set(err, ERR_FORMAT,
                         "weight '%.200s' has no elements, or other than 1 to 3 dimensions",
                         src->name.data);
    *v = (struct hf_view){
        .src = src, .n_dims = src->n_dims, .n = 1, .rows = shape[0], .cols = 1, .sc = 1};
    if (src->n_dims == 2) v->cols = shape[1];
    if (src->n_dims == 3) {
        v->n = shape[0];
        v->rows = shape[1];
        v->cols = shape[2];
    }
    v->sr = v->cols;
    v->sn = v->rows * v->cols;
    return OK;
}

/* Source row of a row of one matrix. */
static uint64_t in_order(const struct hf_view *v, uint64_t row)
{
    if (v->head == 0) return row;
    uint64_t in_head = row % v->head;
    return row - in_head + in_head % 2 * (v->head / 2) + in_head / 2;
}

uint64_t hf_view_place(const struct hf_view *v, uint64_t row)
{
    return v->base + row / v->rows * v->sn + in_order(v, row % v->rows) * v->sr;
}

bool hf_view_is_packed_rows(const struct hf_view *v)
{
    bool packed = v->src->kind == HF_GPTQ || v->src->kind == HF_AWQ;
    uint64_t in = v->src->packed.in;
    return packed && v->sc == 1 && v->cols == in && v->sr % in == 0 && v->sn % in == 0 &&
           v->base % in == 0 && v->add == 0;
}

uint64_t hf_view_packed_row(const struct hf_view *v, uint64_t row)
{
    return hf_view_place(v, row) / v->src->packed.in;
}

static void packed_floats(const struct hf_view *v, uint64_t row, float *dst, int16_t *scratch)
{
    const struct hf_packed *p = &v->src->packed;
    hf_packed_row(v->src, row, scratch);
    float scale = 0;
    for (uint64_t i = 0, last = UINT64_MAX; i < p->in; i++) {
        if (p->group[i] != last) scale = hf_packed_scale(v->src, row, last = p->group[i]);
        dst[i] = scale * (float)scratch[i];
    }
}

/* One number of a packed matrix: slow, for the few weights that change shape. */
static float packed_float(const struct hf_view *v, uint64_t at)
{
    const struct hf_source *s = v->src;
    return hf_packed_scale(s, at / s->packed.in, s->packed.group[at % s->packed.in]) *
           (float)hf_packed_at(s, at / s->packed.in, at % s->packed.in);
}

void hf_view_row(const struct hf_view *v, uint64_t row, float *dst, int16_t *scratch)
{
    uint64_t at = hf_view_place(v, row);
    if (hf_view_is_packed_rows(v)) {
        packed_floats(v, at / v->src->packed.in, dst, scratch);
    } else if (v->src->kind == HF_GPTQ || v->src->kind == HF_AWQ) {
        for (uint64_t i = 0; i < v->cols; i++) dst[i] = packed_float(v, at + i * v->sc) + v->add;
    } else {
        hf_source_read(v->src, at, v->sc, v->cols, dst);
        for (uint64_t i = 0; v->add != 0 && i < v->cols; i++) dst[i] += v->add;
    }
}

/* ---- changes ----------------------------------------------------------------------------------
 */

static enum status misfit(const struct hf_view *v, const char *what, struct error *err)
{
    return error_set(err, ERR_FORMAT, "weight '%.200s': %s", v->src->name.data, what);
}

static enum status rope(struct hf_view *v, uint32_t heads, struct error *err)
{
    if (heads == 0 || v->rows % heads || v->rows / heads % 2 || v->n != 1)
        return misfit(v, "its rows are not those of the heads that the config counts", err);
    v->head = v->rows / heads;
    return OK;
}

enum status hf_fix_rope_q(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    return rope(v, m->n_head, err);
}

enum status hf_fix_rope_k(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    return rope(v, m->n_head_kv, err);
}

enum status hf_fix_plus_one(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    (void)m, (void)err;
    v->add = 1;
    return OK;
}

static enum status half_rows(struct hf_view *v, uint64_t skip, uint64_t step, struct error *err)
{
    if (v->rows % 2) return misfit(v, "its rows are not two matrices' as expected", err);
    v->rows /= 2;
    v->base += (skip ? step == 2 ? 1 : v->rows : 0) * v->sr;
    v->sr *= step;
    return OK;
}

enum status hf_fix_first_half(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    (void)m;
    return half_rows(v, 0, 1, err);
}

enum status hf_fix_second_half(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    (void)m;
    return half_rows(v, 1, 1, err);
}

enum status hf_fix_even_rows(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    (void)m;
    return half_rows(v, 0, 2, err);
}

enum status hf_fix_odd_rows(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    (void)m;
    return half_rows(v, 1, 2, err);
}

static enum status half_cols(struct hf_view *v, uint64_t first, struct error *err)
{
    if (v->cols % 2) return misfit(v, "its columns are not two vectors' as expected", err);
    v->cols /= 2;
    v->base += first * v->sc;
    v->sc *= 2;
    return OK;
}

enum status hf_fix_even_cols(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    (void)m;
    return half_cols(v, 0, err);
}

enum status hf_fix_odd_cols(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    (void)m;
    return half_cols(v, 1, err);
}

enum status hf_fix_transpose(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    (void)m, (void)err;
    uint64_t rows = v->rows, sr = v->sr;
    v->rows = v->cols;
    v->cols = rows;
    v->sr = v->sc;
    v->sc = sr;
    return OK;
}

enum status hf_fix_transpose_first_half(const struct hf_model *m, struct hf_view *v,
                                        struct error *err)
{
    hf_fix_transpose(m, v, err);
    return half_rows(v, 0, 1, err);
}

enum status hf_fix_transpose_second_half(const struct hf_model *m, struct hf_view *v,
                                         struct error *err)
{
    hf_fix_transpose(m, v, err);
    return half_rows(v, 1, 1, err);
}
