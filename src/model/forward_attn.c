/* The forward pass's side of attention: keys and values to the cache, queries to the kernel. */
#include <math.h>
#include <string.h>

#include "model/forward_work.h"

/* What queries (which 0) and keys (1) go through: bias, norm, rotation, norm. */
static void finish_head(const struct forward *f, const struct stage *in, int which, float *x,
                        size_t head, size_t row)
{
    size_t hd = f->m->info.head_dim;
    const float *bias = in->bias[which];
    const struct rope *rope = in->attn->rope;
    if (bias && !in->row_norm[which].kind) f->ops->add(x, bias + head * hd, hd);
    if (in->head_norm[which].kind) work_norm(f, &in->head_norm[which], x, x, hd);
    if (rope)
        f->ops->rope(x, f->cs[rope - f->m->ropes] + row * rope->n_dims, rope->n_dims, rope->neox);
    if (in->attn->key_norm) f->ops->rms_norm(x, x, NULL, hd, in->norm.eps);
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
    size_t hd = info->head_dim, vd = info->v_dim, pos = position(u, row);
    size_t head = row * info->n_head_kv + h;
    float *k = f->k + head * hd, *v = f->v + head * vd;
    finish_head(f, in, 1, k, h, row);
    if (in->bias[2]) f->ops->add(v, in->bias[2] + h * vd, vd);
    kv_write(kv_seq_layout(u->span->seq), f->ops, kv_seq_pages(u->span->seq)[pos / KERN_KV_PAGE],
             in->layer, h, pos % KERN_KV_PAGE, in->key_centre ? in->key_centre + h * hd : NULL, k,
             v);
}

void forward_cache(struct forward *f, const struct stage *in, const struct attn_unit *u, uint32_t h)
{
    for (uint32_t i = 0; i < u->n_rows; i++) cache_row(f, in, u, u->row0 + i, h);
}

/* A kernel call's queries: heads [first_head, first_head + n_heads) of all rows of the unit. */
struct call {
    struct forward *f;
    const struct forward_thread *own;
    const struct stage *in;
    const struct attn_unit *u;
    size_t first_head, n_heads;
    bool rotated;
};

/* The first position that one at `pos` sees. */
static size_t first_seen(const struct attn *a, size_t pos)
{
    size_t first = a->window && pos + 1 > a->window ? pos + 1 - a->window : 0;
    size_t chunk = a->chunk ? pos / a->chunk * a->chunk : 0;
    return first > chunk ? first : chunk;
}

/* ALiBi's slopes: a geometric series for the largest power of two of heads, and every second of the
 * series of twice as many for the rest (Press et al. 2021, arXiv:2108.12409). */
static float alibi_slope(double max_exponent, uint32_t n_head, size_t head)
{
    uint32_t power = 1;
    while (power * 2 <= n_head) power *= 2;
    double step = max_exponent / power;
    double exponent =
        head < power ? step * (double)(head + 1) : step / 2 * (double)(2 * (head - power) + 1);
    return (float)exp2(-exponent);
}

static float temperature(const struct attn *a, size_t pos)
{
    return (float)(1 +
                   (double)a->temp_scale * log1p(floor((double)(pos + 1) / (double)a->temp_floor)));
}

static void gather_query(const struct call *c, size_t n, size_t row, size_t head)
{
    struct forward *f = c->f;
    const struct attn *a = c->in->attn;
    const struct model_info *info = &f->m->info;
    size_t hd = info->head_dim, pos = position(c->u, row);
    float *q = c->own->q + n * hd;
    memcpy(q, f->q + (row * info->n_head + head) * hd, hd * sizeof *q);
    finish_head(f, c->in, 0, q, head, row);
    if (a->temp_scale != 0) f->ops->scale(q, temperature(a, pos), hd);
    if (c->rotated) f->ops->hadamard(q, hd);
    const struct span *sp = c->u->span;
    c->own->n_kv[n] = (uint32_t)(a->both_ways ? sp->pos0 + sp->n_rows : pos + 1);
    c->own->kv0[n] = (uint32_t)first_seen(a, pos);
    c->own->pos[n] = (uint32_t)pos;
    if (c->in->sinks) c->own->sink[n] = c->in->sinks[head];
    if (a->alibi != 0) c->own->slope[n] = alibi_slope((double)a->alibi, info->n_head, head);
}

static size_t gather(const struct call *c)
{
    size_t n = 0;
    for (size_t row = c->u->row0; row < c->u->row0 + c->u->n_rows; row++)
        for (size_t g = 0; g < c->n_heads; g++, n++) gather_query(c, n, row, c->first_head + g);
    return n;
}

static void scatter(const struct call *c)
{
    const struct model_info *info = &c->f->m->info;
    size_t vd = info->v_dim, n = 0;
    for (size_t row = c->u->row0; row < c->u->row0 + c->u->n_rows; row++)
        for (size_t g = 0; g < c->n_heads; g++, n++) {
            float *out = c->f->att + (row * info->n_head + c->first_head + g) * vd;
            memcpy(out, c->own->out + n * vd, vd * sizeof *out);
            if (c->rotated) c->f->ops->hadamard(out, vd);
        }
}

void forward_attend(struct forward *f, const struct forward_thread *own, const struct stage *in,
                    const struct attn_unit *u, uint32_t h)
{
    const struct model_info *info = &f->m->info;
    const struct kv_layout *l = kv_seq_layout(u->span->seq);
    const struct attn *at = in->attn;
    size_t group = info->n_head / info->n_head_kv;
    /* A group larger than a call takes is walked through in parts. */
    for (size_t g = 0; g < group; g += KERN_ATTN_MAX_Q) {
        size_t n_heads = group - g < KERN_ATTN_MAX_Q ? group - g : KERN_ATTN_MAX_Q;
        struct call c = {f, own, in, u, h * group + g, n_heads, l->type->rotated};
        struct kern_attn a = {
            .q = own->q,
            .out = own->out,
            .q_stride = info->head_dim,
            .out_stride = info->v_dim,
            .n_kv = own->n_kv,
            .kv0 = at->window || at->chunk ? own->kv0 : NULL,
            .n_q = gather(&c),
            .head_dim = info->head_dim,
            .v_dim = info->v_dim,
            .scale = at->scale,
            .softcap = at->softcap,
            .sink = in->sinks ? own->sink : NULL,
            .slope = at->alibi != 0 ? own->slope : NULL,
            .pos = own->pos,
            .pages = (const uint8_t *const *)kv_seq_pages(u->span->seq),
            .k_offset = kv_k_offset(l, in->layer, h),
            .v_offset = kv_v_offset(l, in->layer, h),
            .k_format = l->type->k,
            .v_format = l->type->v,
            .scratch = own->attn,
        };
        f->ops->attention(&a);
        scatter(&c);
    }
}
