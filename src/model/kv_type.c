/* The types of KV cache that --kv can name: one line each. Measured in docs/kv-cache.md. */
#include <stdio.h>
#include <string.h>

#include "model/model_int.h"

static const struct kv_type types[] = {
    {"f16", KERN_KV_F16, KERN_KV_F16, false},
    {"q8_0", KERN_KV_Q8, KERN_KV_Q8, true},
    {"q8_0/q4_0", KERN_KV_Q8, KERN_KV_Q4, true},
    {"q4_0", KERN_KV_Q4, KERN_KV_Q4, true},
};
enum { N_TYPES = sizeof types / sizeof types[0] };

const char *kv_type_name(size_t i)
{
    return i < N_TYPES ? types[i].name : NULL;
}

static void list_names(char *dst, size_t cap)
{
    size_t at = 0;
    for (size_t i = 0; i < N_TYPES && at < cap; i++)
        at += (size_t)snprintf(dst + at, cap - at, "%s%s", i ? ", " : "", types[i].name);
}

static const struct kv_type *find(const char *name)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (strcmp(types[i].name, name) == 0) return &types[i];
    return NULL;
}

enum status kv_layout_init(struct kv_layout *l, const struct model_info *info, const char *name,
                           struct error *err)
{
    char known[128];
    const struct kv_type *t = name ? find(name) : &types[0];
    if (!t) {
        list_names(known, sizeof known);
        return error_set(err, ERR_INVALID, "there is no KV cache type \"%.32s\"; use one of %s",
                         name, known);
    }
    size_t k = kern_kv_bytes(t->k, info->head_dim), v = kern_kv_bytes(t->v, info->v_dim);
    if (!k || !v)
        return error_set(err, ERR_UNSUPPORTED,
                         "a KV cache of type %s needs heads of a multiple of 32 numbers and this "
                         "model's have %u; use f16",
                         t->name, info->head_dim);
    /* An encoder's keys and values are of no use once their layer is done: all layers share a place.
     */
    uint32_t n_layer = info->encoder ? 1 : info->n_layer;
    *l = (struct kv_layout){t,
                            n_layer,
                            info->n_head_kv,
                            info->head_dim,
                            info->v_dim,
                            k,
                            v,
                            (size_t)n_layer * info->n_head_kv * (k + v)};
    return OK;
}

size_t kv_k_offset(const struct kv_layout *l, uint32_t layer, uint32_t head_kv)
{
    return ((size_t)(layer % l->n_layer) * l->n_head_kv + head_kv) * (l->k_bytes + l->v_bytes);
}

size_t kv_v_offset(const struct kv_layout *l, uint32_t layer, uint32_t head_kv)
{
    return kv_k_offset(l, layer, head_kv) + l->k_bytes;
}

void kv_write(const struct kv_layout *l, const struct kern_ops *ops, uint8_t *page, uint32_t layer,
              uint32_t head_kv, size_t at, const float *centre, float *k, float *v)
{
    if (l->type->rotated) {
        if (centre)
            for (uint32_t d = 0; d < l->head_dim; d++) k[d] -= centre[d];
        ops->hadamard(k, l->head_dim);
        ops->hadamard(v, l->v_dim);
    }
    ops->kv_write(l->type->k, true, page + kv_k_offset(l, layer, head_kv), l->head_dim, at, k);
    ops->kv_write(l->type->v, false, page + kv_v_offset(l, layer, head_kv), l->v_dim, at, v);
}

void kv_read(const struct kv_layout *l, const struct kern_ops *ops, const uint8_t *page,
             uint32_t layer, uint32_t head_kv, size_t at, const float *centre, float *k, float *v)
{
    kern_kv_read(l->type->k, true, page + kv_k_offset(l, layer, head_kv), l->head_dim, at, k);
    kern_kv_read(l->type->v, false, page + kv_v_offset(l, layer, head_kv), l->v_dim, at, v);
    if (l->type->rotated) {
        ops->hadamard(k, l->head_dim);
        ops->hadamard(v, l->v_dim);
        if (centre)
            for (uint32_t d = 0; d < l->head_dim; d++) k[d] += centre[d];
    }
}
