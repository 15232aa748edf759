/* GPTQ: qweight int32 [in * bits / 32, out] packed along `in`, lowest bits first, so that 3-bit
 * numbers straddle words; qzeros int32 [groups, out * bits / 32] packed along `out`; scales
 * [groups, out]; g_idx int32 [in]. Layout: AutoGPTQ's qlinear_cuda_old.py, pack(). */
#include <inttypes.h>
#include <stdlib.h>

#include "convert/hf_source.h"
#include "quant/blocks.h"

enum { MAX_IN = 1 << 24 };

static enum status misfit(const struct hf_source *s, const char *path, const char *what,
                          struct error *err)
{
    return error_set(err, ERR_FORMAT, "%s: GPTQ weight '%.200s': %s", path, s->name.data, what);
}

/* Fills `group`; g_idx NULL: in order. */
static enum status read_groups(struct hf_source *s, const struct safetensor *g_idx,
                               const char *path, struct error *err)
{
    struct hf_packed *p = &s->packed;
    if (g_idx && (g_idx->type != ST_I32 || g_idx->n_dims != 1 || g_idx->count != p->in))
        return misfit(s, path, "its g_idx does not have one number per column", err);
    p->group = calloc(p->in, sizeof *p->group);
    if (!p->group) return error_set(err, ERR_NOMEM, "out of memory");
    for (uint64_t i = 0; i < p->in; i++) {
        uint32_t g = g_idx ? quant_load_u32(g_idx->data + 4 * i) : (uint32_t)(i / p->group_size);
        if (g >= p->groups)
            return misfit(s, path, "its g_idx names a group that is not there", err);
        p->group[i] = g;
        if (g != i / p->group_size) p->acts = true;
    }
    return OK;
}

enum status gptq_attach(struct hf_source *s, const struct safetensor *g_idx, uint64_t group_size,
                        bool plus_one, const char *path, struct error *err)
{
    const struct safetensor *q = s->data, *z = s->zeros, *sc = s->scales;
    struct hf_packed *p = &s->packed;
    bool floats = sc->type == ST_F16 || sc->type == ST_BF16 || sc->type == ST_F32;
    if (q->type != ST_I32 || z->type != ST_I32 || !floats || q->n_dims != 2 || z->n_dims != 2 ||
        sc->n_dims != 2)
        return misfit(s, path, "its tensors do not have the types and dimensions of the format",
                      err);
    p->groups = sc->shape[0];
    p->out = sc->shape[1];
    /* No product here can wrap: each of the numbers counts elements of a mapped file. */
    if (p->out == 0 || p->groups == 0 || q->shape[1] != p->out || z->shape[0] != p->groups ||
        z->shape[1] * 32 % p->out)
        return misfit(s, path, "the shapes of its tensors do not belong together", err);
    p->bits = (uint32_t)(z->shape[1] * 32 / p->out);
    if (z->shape[1] * 32 / p->out > 8 ||
        (p->bits != 2 && p->bits != 3 && p->bits != 4 && p->bits != 8))
        return misfit(s, path, "it is packed in neither 2, 3, 4 nor 8 bits", err);
    if (q->shape[0] == 0 || q->shape[0] > MAX_IN || q->shape[0] * 32 % p->bits)
        return misfit(s, path, "it has no whole number of columns", err);
    p->in = q->shape[0] * 32 / p->bits;
    if (group_size == 0) group_size = (p->in + p->groups - 1) / p->groups;
    if (group_size > p->in) group_size = p->in;
    if (!g_idx && (p->in + group_size - 1) / group_size != p->groups)
        return misfit(s, path, "its groups are not as many as the config's group_size makes", err);
    p->group_size = (uint32_t)group_size;
    p->plus_one = plus_one;
    s->n_dims = 2;
    s->shape[0] = p->out;
    s->shape[1] = p->in;
    return read_groups(s, g_idx, path, err);
}

int gptq_zero(const struct hf_source *s, uint64_t group, uint64_t row)
{
    const struct hf_packed *p = &s->packed;
    uint64_t words = s->zeros->shape[1], bit = row * p->bits;
    const uint8_t *at = s->zeros->data + 4 * (group * words + bit / 32);
    uint64_t pair = quant_load_u32(at);
    if (bit % 32 + p->bits > 32) pair |= (uint64_t)quant_load_u32(at + 4) << 32;
    int mask = (1 << p->bits) - 1, z = (int)(pair >> bit % 32) & mask;
    /* Nothing wraps: a stored maximum is one more than the largest number, as in most readers of
     * the format. Packers write it for none of the zero points that they can find. */
    return p->plus_one ? z + 1 : z;
}

void gptq_row(const struct hf_source *s, uint64_t row, int16_t *dst)
{
    const struct hf_packed *p = &s->packed;
    const uint8_t *column = s->data->data + 4 * row;
    uint64_t stride = 4 * p->out, window = 0;
    uint32_t have = 0, mask = (1u << p->bits) - 1, group = UINT32_MAX;
    int zero = 0;
    for (uint64_t i = 0; i < p->in; i++) {
        if (have < p->bits) {
            window |= (uint64_t)quant_load_u32(column) << have;
            column += stride;
            have += 32;
        }
        if (p->group[i] != group) {
            group = p->group[i];
            zero = gptq_zero(s, group, row);
        }
        dst[i] = (int16_t)((int)(window & mask) - zero);
        window >>= p->bits;
        have -= p->bits;
    }
}

int gptq_at(const struct hf_source *s, uint64_t row, uint64_t col)
{
    const struct hf_packed *p = &s->packed;
    uint64_t bit = col * p->bits;
    const uint8_t *at = s->data->data + 4 * (bit / 32 * p->out + row);
    uint64_t pair = quant_load_u32(at);
    if (bit % 32 + p->bits > 32) pair |= (uint64_t)quant_load_u32(at + 4 * p->out) << 32;
    return (int)(pair >> bit % 32 & ((1u << p->bits) - 1)) - gptq_zero(s, p->group[col], row);
}
