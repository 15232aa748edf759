/* Stages of multi-head latent attention (DeepSeek-V2, arXiv:2405.04434). They leave queries, keys
 * and values where ATTN_IN leaves them. */
#include <string.h>

#include "model/forward_work.h"

enum { TAKE_PRODUCTS = 0, TAKE_CACHE = 1, TAKE_TILES = 2 }; /* counters; 1 is attn_fill_cache's */

/* ---- plain products ----------------------------------------------------------------------------
 */

/* The panels of both matrices stand in one row of units. */
static void down_panels(struct thread_ctx *c, const struct kern_act *act, size_t p0, size_t p1)
{
    struct forward_mla *m = &c->f->mla;
    float *out[2] = {c->s->mla->q_rank ? m->q_down : m->q, m->kv_down};
    size_t base = 0;
    for (int i = 0; i < 2; i++) {
        const struct kern_matrix *w = &c->s->w[i].mat;
        size_t n = work_panels(w);
        size_t a = p0 > base ? p0 - base : 0, b = p1 > base ? work_min(p1 - base, n) : 0;
        if (a < b) work_multiply(c, w, act, out[i], a, b);
        base += n;
    }
}

void mla_down(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct kern_act *act = work_prepare(c, f->x, f->m->info.n_embd, f->n_rows, false);
    size_t panels = work_panels(&c->s->w[0].mat) + work_panels(&c->s->w[1].mat);
    work_each_panels(c, TAKE_PRODUCTS, panels, down_panels, act);
    work_barrier(c);
}

static void q_panels(struct thread_ctx *c, const struct kern_act *act, size_t p0, size_t p1)
{
    work_multiply(c, &c->s->w[0].mat, act, c->f->mla.q, p0, p1);
}

void mla_q(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct kern_act *act =
        work_prepare(c, f->mla.q_down, c->s->mla->q_rank, f->n_rows, false);
    work_each_panels(c, TAKE_PRODUCTS, work_panels(&c->s->w[0].mat), q_panels, act);
    work_barrier(c);
}

/* ---- one product a head ------------------------------------------------------------------------
 */

/* Rows of all heads: head h's row r is n_cols floats at f32 + r * stride + h * step. */
struct heads {
    const float *f32;
    size_t stride, step, n_cols;
};

static struct kern_act head_act(const struct thread_ctx *c, const struct heads *in, size_t h)
{
    const struct forward *f = c->f;
    return work_act_slice(&f->mla.act, h * f->n_rows, f->n_rows, in->f32 + h * in->step, in->stride,
                          in->n_cols);
}

static void prepare_heads(struct thread_ctx *c, const struct heads *in)
{
    struct forward *f = c->f;
    unsigned formats = work_formats(c->s);
    size_t tiles = (f->n_rows + KERN_TILE_MAX - 1) / KERN_TILE_MAX, n_head = f->m->info.n_head;
    for (uint32_t h = 0; f->observer && c->thread == 0 && h < n_head; h++)
        forward_show_part(f, c->s, h, in->f32 + h * in->step, in->stride, f->n_rows);
    for (size_t i; formats && (i = work_take(c, TAKE_TILES, 1)) < tiles * n_head;) {
        struct kern_act act = head_act(c, in, i / tiles);
        for (unsigned k = 0; k < KERN_ACT_FORMATS; k++)
            if (formats >> k & 1)
                f->ops->act_quantize(&act, (enum kern_act_format)k, i % tiles, i % tiles + 1);
    }
    work_barrier(c);
}

/* y: [n_head][rows][rows of a part]. Ends with a barrier. */
static void multiply_heads(struct thread_ctx *c, const struct heads *in, float *y)
{
    struct forward *f = c->f;
    const struct weight *w = &c->s->w[0];
    size_t panels = work_panels(&w->mat), n_head = f->m->info.n_head;
    prepare_heads(c, in);
    for (size_t p0, p1; work_take_panels(c, TAKE_PRODUCTS, panels * n_head, &p0, &p1);)
        for (size_t at = p0; at < p1;) {
            size_t h = at / panels, end = work_min(p1, (h + 1) * panels);
            struct kern_matrix part = weight_part(w, (uint32_t)h);
            struct kern_act act = head_act(c, in, h);
            work_multiply(c, &part, &act, y + h * f->n_rows * w->mat.n_rows, at - h * panels,
                          end - h * panels);
            at = end;
        }
    work_barrier(c);
}

/* ---- queries, keys and values ------------------------------------------------------------------
 */

/* Each row's query heads, rotated part first; plain parts n_plain floats long, `step` apart. */
static void place_queries(const struct forward *f, const struct mla *a, size_t row,
                          const float *plain, size_t step, size_t n_plain)
{
    size_t n_head = f->m->info.n_head, hd = f->m->info.head_dim, from = a->n_plain + a->n_rope;
    const float *q = f->mla.q + row * n_head * from;
    float *to = f->q + row * n_head * hd;
    for (size_t h = 0; h < n_head; h++, q += from, to += hd) {
        memcpy(to, q + a->n_plain, a->n_rope * sizeof *to);
        memcpy(to + a->n_rope, plain + h * step, n_plain * sizeof *to);
    }
}

/* The short vector is the one key and value of all heads. */
static void absorbed_row(const struct forward *f, const struct stage *s, size_t row)
{
    const struct mla *a = s->mla;
    const float *down = f->mla.kv_down + row * (a->kv_rank + a->n_rope);
    float *k = f->k + row * f->m->info.head_dim, *v = f->v + row * f->m->info.v_dim;
    work_norm(f, &s->post, v, down, a->kv_rank);
    memcpy(k, down + a->kv_rank, a->n_rope * sizeof *k);
    memcpy(k + a->n_rope, v, a->kv_rank * sizeof *k);
    place_queries(f, a, row, f->mla.plain + row * a->kv_rank, f->n_rows * a->kv_rank, a->kv_rank);
}

/* Keys and values of every head of its own; the rotated part of the keys is the same for all. */
static void full_row(const struct forward *f, const struct mla *a, size_t row)
{
    size_t n_head = f->m->info.n_head, hd = f->m->info.head_dim, width = a->n_plain + a->n_value;
    const float *down = f->mla.kv_down + row * (a->kv_rank + a->n_rope);
    const float *kv = f->mla.kv + row * n_head * width;
    float *k = f->k + row * n_head * hd, *v = f->v + row * n_head * a->n_value;
    for (size_t h = 0; h < n_head; h++, kv += width, k += hd, v += a->n_value) {
        memcpy(k, down + a->kv_rank, a->n_rope * sizeof *k);
        memcpy(k + a->n_rope, kv, a->n_plain * sizeof *k);
        memcpy(v, kv + a->n_plain, a->n_value * sizeof *v);
    }
    place_queries(f, a, row, f->mla.q + row * n_head * (a->n_plain + a->n_rope),
                  a->n_plain + a->n_rope, a->n_plain);
}

static void kv_panels(struct thread_ctx *c, const struct kern_act *act, size_t p0, size_t p1)
{
    work_multiply(c, &c->s->w[0].mat, act, c->f->mla.kv, p0, p1);
}

void mla_kv(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct mla *a = c->s->mla;
    size_t n_head = f->m->info.n_head, width = a->n_plain + a->n_rope;
    if (a->absorbed) {
        struct heads in = {f->mla.q, n_head * width, width, a->n_plain};
        multiply_heads(c, &in, f->mla.plain);
    } else {
        /* The rows are closer together than what work_prepare reads: the norm is taken here. */
        for (size_t r = (size_t)c->thread; r < f->n_rows; r += (size_t)c->n_threads)
            work_norm(f, &c->s->post, f->v + r * a->kv_rank,
                      f->mla.kv_down + r * (a->kv_rank + a->n_rope), a->kv_rank);
        work_barrier(c);
        const struct kern_act *act = work_prepare(c, f->v, a->kv_rank, f->n_rows, false);
        work_each_panels(c, TAKE_PRODUCTS, work_panels(&c->s->w[0].mat), kv_panels, act);
        work_barrier(c);
    }
    for (size_t r = (size_t)c->thread; r < f->n_rows; r += (size_t)c->n_threads) {
        if (a->absorbed)
            absorbed_row(f, c->s, r);
        else
            full_row(f, a, r);
    }
    work_barrier(c);
    attn_fill_cache(c);
}

void mla_out(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct mla *a = c->s->mla;
    size_t n_head = f->m->info.n_head, vd = a->n_value;
    struct heads in = {f->att, n_head * a->kv_rank, a->kv_rank, a->kv_rank};
    multiply_heads(c, &in, f->mla.parts);
    for (size_t r = (size_t)c->thread; r < f->n_rows; r += (size_t)c->n_threads)
        for (size_t h = 0; h < n_head; h++)
            memcpy(f->mla.values + (r * n_head + h) * vd, f->mla.parts + (h * f->n_rows + r) * vd,
                   vd * sizeof(float));
    work_barrier(c);
}
