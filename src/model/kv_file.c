#include "model/kv_file.h"

#include <string.h>

#include "kern/kern.h"
#include "model/model_int.h"

enum { MAX_HEAD_DIM = 576 }; /* of the kernels */

enum status kv_file_form(const struct model *m, const struct kv_seq *s, struct kv_form *out,
                         struct error *err)
{
    const struct kern_ops *ops;
    enum status st = kern_select(NULL, &ops, err);
    if (st) return st;
    const struct kv_layout *l = kv_seq_layout(s);
    *out = (struct kv_form){
        .version = KERN_NUMERIC_VERSION,
        .page_tokens = KERN_KV_PAGE,
        .n_layer = l->n_layer,
        .n_head_kv = l->n_head_kv,
        .head_dim = l->head_dim,
        .v_dim = l->v_dim,
        .long_context = m->n_ropes && m->ropes[0].long_inv_freq &&
                        rope_frequencies(&m->ropes[0], s) == m->ropes[0].long_inv_freq,
        .fused = strcmp(ops->name, "sse2") != 0,
        .page_bytes = l->page_bytes,
    };
    memcpy(out->type, l->type->name, strnlen(l->type->name, sizeof out->type));
    return OK;
}

size_t kv_file_pages(size_t n)
{
    return n / KERN_KV_PAGE + (n % KERN_KV_PAGE != 0);
}

static void clear_place(const struct kv_layout *l, const struct kern_ops *ops, uint8_t *page,
                        size_t at)
{
    static const float zeros[MAX_HEAD_DIM];
    for (uint32_t layer = 0; layer < l->n_layer; layer++)
        for (uint32_t h = 0; h < l->n_head_kv; h++) {
            ops->kv_write(l->type->k, true, page + kv_k_offset(l, layer, h), l->head_dim, at,
                          zeros);
            ops->kv_write(l->type->v, false, page + kv_v_offset(l, layer, h), l->v_dim, at, zeros);
        }
}

enum status kv_file_copy(const struct kv_seq *s, size_t n, size_t i, uint8_t *out,
                         struct error *err)
{
    const struct kv_layout *l = kv_seq_layout(s);
    const struct kern_ops *ops;
    enum status st = kern_select(NULL, &ops, err);
    if (st) return st;
    memcpy(out, kv_seq_pages(s)[i], l->page_bytes);
    size_t used = n - i * KERN_KV_PAGE;
    for (size_t at = used; at < KERN_KV_PAGE; at++) clear_place(l, ops, out, at);
    return OK;
}

enum status kv_file_begin(struct kv_seq *s, size_t n, struct error *err)
{
    kv_seq_truncate(s, 0);
    return kv_seq_reserve(s, n, err);
}

uint8_t *kv_file_fill(struct kv_seq *s, size_t i)
{
    return kv_seq_pages(s)[i];
}

void kv_file_done(struct kv_seq *s, size_t n)
{
    kv_seq_advance(s, n);
}
