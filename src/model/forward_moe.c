/* Stages of a mixture of experts. Each row chooses its experts; rows of the same expert are brought
 * together, so that its weights are read once and multiplied with all of them. What a row gets does
 * not depend on the rows beside it: products are bit-equal whatever the batch, and a row's experts
 * are added in the order of its choice. */
#include <string.h>

#include "model/forward_work.h"

enum { TAKE_TILES = 1, TAKE_PRODUCTS = 0, TAKE_ROWS = 2 }; /* counters */

/* ---- products ----------------------------------------------------------------------------------
 */

/* The part of the slots' activations that belongs to one expert. */
static struct kern_act expert_act(const struct forward_moe *m, const struct expert_rows *x,
                                  const float *f32, size_t n_cols)
{
    return work_act_slice(&m->act, x->slot0, x->n, f32 + (size_t)x->slot0 * n_cols, n_cols, n_cols);
}

/* Fetches the inputs of slots [first, first + n): the normalised rows that they stand for, which
 * moe_route has left in f->norm. A single row's lie with each thread. */
static void gather(struct thread_ctx *c, size_t first, size_t n)
{
    struct forward *f = c->f;
    size_t embd = f->m->info.n_embd;
    const float *norm = f->n_rows == 1 ? c->own->norm : f->norm;
    for (size_t slot = first; slot < first + n; slot++) {
        float *x = f->moe.x + slot * embd;
        memcpy(x, norm + f->moe.slot_row[slot] * embd, embd * sizeof *x);
        if (c->s->moe->weigh_input) f->ops->scale(x, f->moe.slot_weight[slot], embd);
    }
}

/* Makes all experts' activations of n_cols floats a slot; `gathered`: the rows are to be fetched
 * first. Tiles of all experts are taken one by one. Ends with a barrier. */
static void prepare_slots(struct thread_ctx *c, const float *f32, size_t n_cols, bool gathered)
{
    struct forward_moe *m = &c->f->moe;
    unsigned formats = work_formats(c->s);
    size_t base = 0, mine = work_take(c, TAKE_TILES, 1);
    for (uint32_t i = 0; i < m->n_active; i++) {
        const struct expert_rows *x = &m->active[i];
        struct kern_act a = expert_act(m, x, f32, n_cols);
        size_t tiles = (x->n + KERN_TILE_MAX - 1) / KERN_TILE_MAX;
        for (; mine < base + tiles; mine = work_take(c, TAKE_TILES, 1)) {
            size_t t = mine - base, first = t * KERN_TILE_MAX;
            if (gathered) gather(c, x->slot0 + first, work_min(KERN_TILE_MAX, x->n - first));
            for (unsigned k = 0; k < KERN_ACT_FORMATS; k++)
                if (formats >> k & 1)
                    c->f->ops->act_quantize(&a, (enum kern_act_format)k, t, t + 1);
        }
        base += tiles;
    }
    work_barrier(c);
    if (!c->f->observer || c->thread != 0) return;
    for (uint32_t i = 0; i < m->n_active; i++)
        forward_show_part(c->f, c->s, m->active[i].expert, f32 + m->active[i].slot0 * n_cols,
                          n_cols, m->active[i].n);
}

/* A product of one expert's rows; y and bias begin at its first. */
static void expert_multiply(struct thread_ctx *c, int i, const struct expert_rows *x,
                            const struct kern_act *act, float *y, size_t p0, size_t p1)
{
    struct kern_matrix w = weight_part(&c->s->w[i], x->expert);
    const float *bias = c->s->bias[i];
    size_t c0, c1;
    work_multiply(c, &w, act, y, p0, p1);
    work_columns(&w, p0, p1, &c0, &c1);
    for (size_t r = 0; bias && r < x->n; r++)
        c->f->ops->add(y + r * w.n_rows + c0, bias + x->expert * w.n_rows + c0, c1 - c0);
}

static void expert_in(struct thread_ctx *c, const struct expert_rows *x, size_t p0, size_t p1)
{
    struct forward_moe *m = &c->f->moe;
    const struct stage *s = c->s;
    size_t ff = s->w[0].mat.n_rows, c0, c1;
    struct kern_act act = expert_act(m, x, m->x, s->w[0].mat.n_cols);
    float *up = m->up + x->slot0 * ff, *gate = m->gate + x->slot0 * ff;
    bool gated = s->w[1].mat.n_rows != 0;
    expert_multiply(c, 0, x, &act, up, p0, p1);
    if (gated) expert_multiply(c, 1, x, &act, gate, p0, p1);
    work_columns(&s->w[0].mat, p0, p1, &c0, &c1);
    for (size_t at = c0, r = 0; r < x->n; r++, at += ff) {
        if (gated)
            c->f->ops->gated(s->act, up + at, gate + at, c1 - c0);
        else
            c->f->ops->activate(s->act, up + at, c1 - c0);
    }
}

/* Outputs get their weight while they are near. */
static void expert_out(struct thread_ctx *c, const struct expert_rows *x, size_t p0, size_t p1)
{
    struct forward_moe *m = &c->f->moe;
    const struct kern_matrix *w = &c->s->w[0].mat;
    struct kern_act act = expert_act(m, x, m->up, w->n_cols);
    float *y = m->x + x->slot0 * w->n_rows;
    size_t c0, c1;
    expert_multiply(c, 0, x, &act, y, p0, p1);
    work_columns(w, p0, p1, &c0, &c1);
    for (size_t r = 0; r < x->n; r++, y += w->n_rows) {
        float weight = (c->s->moe->weigh_input ? 1 : m->slot_weight[x->slot0 + r]) * c->s->scale;
        if (weight != 1) c->f->ops->scale(y + c0, weight, c1 - c0);
    }
}

/* The panels of all active experts stand in one row of units. */
static void each_expert_panels(struct thread_ctx *c,
                               void (*fn)(struct thread_ctx *c, const struct expert_rows *x,
                                          size_t p0, size_t p1))
{
    const struct forward_moe *m = &c->f->moe;
    size_t panels = work_panels(&c->s->w[0].mat);
    for (size_t p0, p1; work_take_panels(c, TAKE_PRODUCTS, panels * m->n_active, &p0, &p1);)
        for (size_t at = p0; at < p1;) {
            size_t i = at / panels, end = work_min(p1, (i + 1) * panels);
            fn(c, &m->active[i], at - i * panels, end - i * panels);
            at = end;
        }
    work_barrier(c);
}

void moe_in(struct thread_ctx *c)
{
    if (moe_single(c)) {
        moe_single_in(c);
        return;
    }
    prepare_slots(c, c->f->moe.x, c->f->m->info.n_embd, true);
    each_expert_panels(c, expert_in);
}

static void add_experts(struct thread_ctx *c, size_t row)
{
    struct forward *f = c->f;
    size_t embd = f->m->info.n_embd, used = c->s->moe->n_used;
    for (size_t k = 0; k < used; k++)
        f->ops->add(f->x + row * embd, f->moe.x + f->moe.choices[row * used + k].slot * embd, embd);
}

void moe_out(struct thread_ctx *c)
{
    if (moe_single(c)) {
        moe_single_out(c);
        return;
    }
    prepare_slots(c, c->f->moe.up, c->s->w[0].mat.n_cols, false);
    each_expert_panels(c, expert_out);
    for (size_t r; (r = work_take(c, TAKE_ROWS, 1)) < c->f->n_rows;) add_experts(c, r);
    work_barrier(c);
}
