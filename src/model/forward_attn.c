/* The forward pass's side of attention: keys and values to the cache, queries to the kernel. */
#include <string.h>

#include "model/forward_int.h"

/* Adds the bias and rotates one head of a query or key. */
static void finish_head(const struct forward *f, float *x, const float *bias, size_t row)
{
    if (bias) f->ops->add(x, bias, f->m->info.head_dim);
    f->ops->rope(x, f->cs + row * f->m->rope.n_dims, f->m->rope.n_dims, f->m->rope.neox);
}

static size_t position(const struct attn_unit *u, size_t row)
{
    return u->span->pos0 + row - u->span->row0;
}

/* Key and value of one row and KV head. */
static void cache_row(struct forward *f, const struct stage *in, const struct attn_unit *u,
                      size_t row, uint32_t h)
{
    const struct model_info *info = &f->m->info;
    size_t hd = info->head_dim, pos = position(u, row), at = (row * info->n_head_kv + h) * hd;
    float *k = f->k + at, *v = f->v + at;
    finish_head(f, k, in->bias[1] ? in->bias[1] + h * hd : NULL, row);
    if (in->bias[2]) f->ops->add(v, in->bias[2] + h * hd, hd);
    kv_write(kv_seq_layout(u->span->seq), f->ops, kv_seq_pages(u->span->seq)[pos / KERN_KV_PAGE],
             in->layer, h, pos % KERN_KV_PAGE,
             in->key_centre ? in->key_centre + h * hd : NULL, k, v);
}

void forward_cache(struct forward *f, const struct stage *in, const struct attn_unit *u, uint32_t h)
{
    for (uint32_t i = 0; i < u->n_rows; i++) cache_row(f, in, u, u->row0 + i, h);
}

/* A kernel call's queries: heads [g0, g1) of KV head h's group, of all rows of the unit. */
struct call {
    struct forward *f;
    const struct forward_thread *own;
    const struct attn_unit *u;
    size_t first_head, n_heads;
    bool rotated;
};

static size_t gather(const struct call *c, const struct stage *in)
{
    const struct model_info *info = &c->f->m->info;
    size_t hd = info->head_dim, n = 0;
    for (size_t row = c->u->row0; row < c->u->row0 + c->u->n_rows; row++)
        for (size_t g = 0; g < c->n_heads; g++, n++) {
            size_t head = c->first_head + g;
            float *q = c->own->q + n * hd;
            memcpy(q, c->f->q + (row * info->n_head + head) * hd, hd * sizeof *q);
            finish_head(c->f, q, in->bias[0] ? in->bias[0] + head * hd : NULL, row);
            if (c->rotated) c->f->ops->hadamard(q, hd);
            c->own->n_kv[n] = (uint32_t)(position(c->u, row) + 1);
        }
    return n;
}

static void scatter(const struct call *c)
{
    const struct model_info *info = &c->f->m->info;
    size_t hd = info->head_dim, n = 0;
    for (size_t row = c->u->row0; row < c->u->row0 + c->u->n_rows; row++)
        for (size_t g = 0; g < c->n_heads; g++, n++) {
            float *out = c->f->att + (row * info->n_head + c->first_head + g) * hd;
            memcpy(out, c->own->out + n * hd, hd * sizeof *out);
            if (c->rotated) c->f->ops->hadamard(out, hd);
        }
}

void forward_attend(struct forward *f, const struct forward_thread *own, const struct stage *in,
                    const struct attn_unit *u, uint32_t h)
{
    const struct model_info *info = &f->m->info;
    const struct kv_layout *l = kv_seq_layout(u->span->seq);
    size_t hd = info->head_dim, group = info->n_head / info->n_head_kv;
    /* A group larger than a call takes is walked through in parts. */
    for (size_t g = 0; g < group; g += KERN_ATTN_MAX_Q) {
        size_t n_heads = group - g < KERN_ATTN_MAX_Q ? group - g : KERN_ATTN_MAX_Q;
        struct call c = {f, own, u, h * group + g, n_heads, l->type->rotated};
        struct kern_attn a = {
            .q = own->q, .out = own->out, .q_stride = hd, .out_stride = hd, .n_kv = own->n_kv,
            .n_q = gather(&c, in), .head_dim = hd, .scale = f->m->attn_scale,
            .pages = (const uint8_t *const *)kv_seq_pages(u->span->seq),
            .k_offset = kv_k_offset(l, in->layer, h), .v_offset = kv_v_offset(l, in->layer, h),
            .k_format = l->type->k, .v_format = l->type->v, .scratch = own->attn,
        };
        f->ops->attention(&a);
        scatter(&c);
    }
}
