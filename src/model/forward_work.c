/* How the threads of a forward pass share a stage's work. */
#include "model/forward_work.h"

#include <string.h>

#define AHEAD_BYTES (256 * 1024) /* of the second-level cache */

size_t work_take(struct thread_ctx *c, int counter, size_t step)
{
    atomic_uint *n = &c->f->counters[c->stage_index * COUNTERS + (size_t)counter];
    return atomic_fetch_add_explicit(n, (unsigned)step, memory_order_relaxed);
}

/* Panels of the next unit of work where `left` are left: large ones first, since a call takes a
 * moment to get going, and small ones last, so that all threads end together (guided
 * self-scheduling, Polychronopoulos and Kuck 1987). Even, since kernels take panels in pairs. */
static size_t guided_step(const struct thread_ctx *c, size_t left)
{
    size_t step = left / (2 * (size_t)c->n_threads) & ~(size_t)1;
    return step < 2 ? work_min(left, 2) : step;
}

bool work_take_panels(struct thread_ctx *c, int counter, size_t panels, size_t *p0, size_t *p1)
{
    atomic_uint *n = &c->f->counters[c->stage_index * COUNTERS + (size_t)counter];
    unsigned at = atomic_load_explicit(n, memory_order_relaxed);
    do {
        if (at >= panels) return false;
        *p0 = at;
        *p1 = at + guided_step(c, panels - at);
    } while (!atomic_compare_exchange_weak_explicit(n, &at, (unsigned)*p1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* The k-th of a single row's experts, in the order that MOE_OUT stage s takes them. */
static uint32_t expert_ahead(const struct thread_ctx *c, const struct stage *s, size_t k)
{
    return s->moe->weigh_input ? c->f->moe.active[k].expert : c->own->choices[k].expert;
}

/* Who waits takes a unit after those who do not. */
static void find_ahead(struct thread_ctx *c)
{
    const struct model *m = c->f->m;
    const struct stage *s = c->s + 1, *end = m->stages + m->n_stages;
    while (s < end && !s->w[0].mat.n_rows) s++;
    if (s == c->ahead.stage) return;
    c->ahead = (struct ahead){.stage = s};
    if (s == end || s->kind == STAGE_MOE_IN) return; /* which experts is not known yet */
    bool experts = s->kind == STAGE_MOE_OUT;
    struct kern_matrix w = s->w[0].mat;
    size_t panels = work_panels(&w), all = experts ? panels * s->moe->n_used : panels, first = 0;
    for (int t = 1; t < c->n_threads; t++) first += guided_step(c, all - first);
    if (first >= all) return;
    if (experts) w = weight_part(&s->w[0], expert_ahead(c, s, first / panels));
    first %= panels;
    size_t bytes = kern_panel_bytes(w.type, w.n_cols);
    c->ahead.at = w.data + first * bytes;
    c->ahead.end = c->ahead.at + work_min(AHEAD_BYTES, (panels - first) * bytes);
}

static void fetch_ahead(void *ctx)
{
    struct ahead *a = ctx;
    for (int i = 0; i < 8 && a->at < a->end; i++, a->at += 64) __builtin_prefetch(a->at, 0, 2);
}

void work_barrier(struct thread_ctx *c)
{
    if (c->f->n_rows > 1) {
        pool_barrier(c->f->pool);
        return;
    }
    find_ahead(c);
    pool_barrier_idle(c->f->pool, fetch_ahead, &c->ahead);
}

void work_norm(const struct forward *f, const struct norm *norm, float *y, const float *x, size_t n)
{
    if (norm->kind == NORM_LAYER)
        f->ops->layer_norm(y, x, norm->w, norm->b, n, norm->eps);
    else
        f->ops->rms_norm(y, x, norm->w, n, norm->eps);
}

/* ---- inputs of matrices -----------------------------------------------------------------------
 */

unsigned work_formats(const struct stage *s)
{
    unsigned set = 0;
    for (int i = 0; i < STAGE_MATRICES; i++)
        if (s->w[i].mat.n_rows) set |= 1u << kern_act_format(s->w[i].mat.type, s->w[i].mat.n_cols);
    return set;
}

/* Row r of a stage's input: logits rows are a selection. */
static const float *input_row(const struct forward *f, const float *src, size_t stride, size_t r,
                              bool selected)
{
    return src + (selected ? f->logit_rows[r] : r) * stride;
}

const struct kern_act *work_prepare(struct thread_ctx *c, const float *src, size_t n_cols, size_t n,
                                    bool selected)
{
    struct forward *f = c->f;
    const struct stage *s = c->s;
    unsigned formats = work_formats(s);
    float *norm = n == 1 ? c->own->norm : f->norm;
    bool copied = s->norm.kind || selected;
    struct kern_act *act = &c->own->view;
    *act = n == 1 ? c->own->act : f->act;
    act->n_rows = n;
    act->n_cols = n_cols;
    act->f32 = copied ? norm : src;
    act->f32_stride = n_cols;
    size_t tiles = (n + KERN_TILE_MAX - 1) / KERN_TILE_MAX;
    size_t first = n == 1 ? 0 : (size_t)c->thread, step = n == 1 ? 1 : (size_t)c->n_threads;
    for (size_t t = first; t < tiles; t += step) {
        size_t r1 = work_min(n, (t + 1) * KERN_TILE_MAX);
        for (size_t r = t * KERN_TILE_MAX; r < r1 && copied; r++) {
            const float *x = input_row(f, src, n_cols, r, selected);
            if (s->norm.kind)
                work_norm(f, &s->norm, norm + r * n_cols, x, n_cols);
            else
                memcpy(norm + r * n_cols, x, n_cols * sizeof *x);
        }
        for (unsigned k = 0; k < KERN_ACT_FORMATS; k++)
            if (formats >> k & 1) f->ops->act_quantize(act, (enum kern_act_format)k, t, t + 1);
    }
    if (n > 1) work_barrier(c);
    /* The others begin to multiply: nobody changes the input before the stage's last barrier. */
    if (f->observer && c->thread == 0) forward_show_stage(f, s, act);
    return act;
}

/* ---- matrix products --------------------------------------------------------------------------
 */

void work_each_panels(struct thread_ctx *c, int counter, size_t panels, work_panels_fn fn,
                      const struct kern_act *act)
{
    for (size_t p0, p1; work_take_panels(c, counter, panels, &p0, &p1);) fn(c, act, p0, p1);
}

void work_multiply(struct thread_ctx *c, const struct kern_matrix *w, const struct kern_act *act,
                   float *y, size_t p0, size_t p1)
{
    c->f->ops->matmul(w, act, y, w->n_rows, p0, p1, c->own->matmul);
}

void work_columns(const struct kern_matrix *w, size_t p0, size_t p1, size_t *c0, size_t *c1)
{
    *c0 = p0 * KERN_PANEL;
    *c1 = work_min(p1 * KERN_PANEL, w->n_rows);
}

struct kern_act work_act_slice(const struct kern_act *buffer, size_t slot0, size_t n,
                               const float *f32, size_t f32_stride, size_t n_cols)
{
    struct kern_act a = {.n_rows = n, .n_cols = n_cols, .f32 = f32, .f32_stride = f32_stride};
    for (int k = 0; k < KERN_ACT_FORMATS; k++) {
        const struct kern_act_q *q = &buffer->fmt[k];
        size_t bytes = k == KERN_ACT_INT16 ? 2 : 1, blocks = slot0 * (n_cols / 16);
        a.fmt[k] = (struct kern_act_q){q->q + slot0 * n_cols * bytes, q->scale + blocks,
                                       q->neg_sum + blocks, q->bias + blocks};
    }
    return a;
}
