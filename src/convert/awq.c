/* AWQ in its GEMM layout: qweight int32 [in, out / 8] and qzeros int32 [in / group, out / 8], both
 * packed along `out`: nibble i of a word is column [0, 2, 4, 6, 1, 3, 5, 7][i] of its eight; scales
 * [in / group, out]. Layout: AutoAWQ's awq/modules/linear/gemm.py, from_linear(). */
#include <stdlib.h>

#include "convert/hf_source.h"
#include "quant/blocks.h"

/* The nibble that holds column 0..7 of a word. */
static const uint8_t nibble_of[8] = {0, 4, 1, 5, 2, 6, 3, 7};

enum { MAX_IN = 1 << 26 };

enum status awq_attach(struct hf_source *s, uint64_t group_size, const char *path,
                       struct error *err)
{
    const struct safetensor *q = s->data, *z = s->zeros, *sc = s->scales;
    struct hf_packed *p = &s->packed;
    const char *what = NULL;
    bool floats = sc->type == ST_F16 || sc->type == ST_BF16 || sc->type == ST_F32;
    if (q->type != ST_I32 || z->type != ST_I32 || !floats || q->n_dims != 2 || z->n_dims != 2 ||
        sc->n_dims != 2)
        what = "its tensors do not have the types and dimensions of the format";
    else if (sc->shape[0] == 0 || sc->shape[1] == 0 || sc->shape[1] % 8 ||
             q->shape[1] != sc->shape[1] / 8 || z->shape[1] != q->shape[1] ||
             z->shape[0] != sc->shape[0] || q->shape[0] == 0 || q->shape[0] > MAX_IN ||
             q->shape[0] % sc->shape[0])
        what = "the shapes of its tensors do not belong together";
    else if (group_size && group_size < q->shape[0] && q->shape[0] / sc->shape[0] != group_size)
        what = "its groups are not of the config's group_size";
    if (what)
        return error_set(err, ERR_FORMAT, "%s: AWQ weight '%.200s': %s", path, s->name.data, what);
    *p = (struct hf_packed){
        .bits = 4,
        .in = q->shape[0],
        .out = sc->shape[1],
        .groups = sc->shape[0],
        .group_size = (uint32_t)(q->shape[0] / sc->shape[0]),
    };
    s->n_dims = 2;
    s->shape[0] = p->out;
    s->shape[1] = p->in;
    p->group = calloc(p->in, sizeof *p->group);
    if (!p->group) return error_set(err, ERR_NOMEM, "out of memory");
    for (uint64_t i = 0; i < p->in; i++) p->group[i] = (uint32_t)(i / p->group_size);
    return OK;
}

int awq_zero(const struct hf_source *s, uint64_t group, uint64_t row)
{
    const uint8_t *at = s->zeros->data + 4 * (group * (s->packed.out / 8) + row / 8);
    return (int)(quant_load_u32(at) >> 4 * nibble_of[row % 8]) & 15;
}

void awq_row(const struct hf_source *s, uint64_t row, int16_t *dst)
{
    const struct hf_packed *p = &s->packed;
    const uint8_t *column = s->data->data + 4 * (row / 8);
    unsigned shift = 4 * nibble_of[row % 8];
    for (uint64_t i = 0, stride = 4 * (p->out / 8); i < p->in; column += stride) {
        int zero = awq_zero(s, p->group[i], row);
        uint64_t end = i + p->group_size < p->in ? i + p->group_size : p->in;
        for (;; column += stride) {
            dst[i] = (int16_t)((int)(quant_load_u32(column) >> shift & 15) - zero);
            if (++i == end) break;
        }
    }
}

int awq_at(const struct hf_source *s, uint64_t row, uint64_t col)
{
    const struct hf_packed *p = &s->packed;
    const uint8_t *at = s->data->data + 4 * (col * (p->out / 8) + row / 8);
    return (int)(quant_load_u32(at) >> 4 * nibble_of[row % 8] & 15) -
           awq_zero(s, p->group[col], row);
}
