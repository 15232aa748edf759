/* A mixture of experts for a single row, where memory is the limit and every barrier is a rest:
 * all experts read one prepared input, and each thread prepares inputs for itself. The numbers are
 * those of forward_moe.c: the same products, added in the same order. */
#include "model/forward_work.h"

enum { FETCH_BYTES = 4096 };

bool moe_single(const struct thread_ctx *c)
{
    return c->f->n_rows == 1 && !c->s->moe->weigh_input;
}

/* Asks for the first bytes of what is multiplied next; kernels ask for the rest themselves. */
static void fetch(const struct kern_matrix *w, size_t panel)
{
    const uint8_t *at = w->data + panel * kern_panel_bytes(w->type, w->n_cols);
    for (size_t i = 0; i < FETCH_BYTES; i += 64) __builtin_prefetch(at + i, 0, 2);
}

/* Panels [p0, p1) of one expert's matrix i, with its bias. */
static void multiply(struct thread_ctx *c, int i, uint32_t expert, const struct kern_act *act,
                     float *y, size_t p0, size_t p1)
{
    struct kern_matrix w = weight_part(&c->s->w[i], expert);
    const float *bias = c->s->bias[i];
    size_t c0, c1;
    work_multiply(c, &w, act, y, p0, p1);
    work_columns(&w, p0, p1, &c0, &c1);
    if (bias) c->f->ops->add(y + c0, bias + expert * w.n_rows + c0, c1 - c0);
}

static void fetch_part(const struct thread_ctx *c, int i, uint32_t expert, size_t panel)
{
    struct kern_matrix w = weight_part(&c->s->w[i], expert);
    fetch(&w, panel);
}

static void in_panels(struct thread_ctx *c, uint32_t k, size_t p0, size_t p1)
{
    const struct stage *s = c->s;
    size_t ff = s->w[0].mat.n_rows, c0, c1;
    uint32_t expert = c->own->choices[k].expert;
    float *up = c->f->moe.up + k * ff, *gate = c->f->moe.gate + k * ff;
    bool gated = s->w[1].mat.n_rows != 0;
    const struct kern_act *act = &c->own->view;
    if (gated) fetch_part(c, 1, expert, p0);
    multiply(c, 0, expert, act, up, p0, p1);
    if (gated) multiply(c, 1, expert, act, gate, p0, p1);
    work_columns(&s->w[0].mat, p0, p1, &c0, &c1);
    if (gated)
        c->f->ops->gated(s->act, up + c0, gate + c0, c1 - c0);
    else
        c->f->ops->activate(s->act, up + c0, c1 - c0);
}

/* The panels of all chosen experts stand in one row of units. Ends with a barrier. */
static void each_part_panels(struct thread_ctx *c,
                             void (*fn)(struct thread_ctx *c, uint32_t k, size_t p0, size_t p1))
{
    size_t panels = work_panels(&c->s->w[0].mat), all = panels * c->s->moe->n_used;
    for (size_t p0, p1; work_take_panels(c, 0, all, &p0, &p1);)
        for (size_t at = p0; at < p1;) {
            size_t k = at / panels, end = work_min(p1, (k + 1) * panels);
            if (end < p1) fetch_part(c, 0, c->own->choices[k + 1].expert, 0);
            fn(c, (uint32_t)k, at - k * panels, end - k * panels);
            at = end;
        }
    work_barrier(c);
}

void moe_single_in(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct kern_act *act = work_prepare(c, f->x, f->m->info.n_embd, 1, false);
    for (uint32_t k = 0; f->observer && c->thread == 0 && k < c->s->moe->n_used; k++)
        forward_show_part(f, c->s, c->own->choices[k].expert, act->f32, act->n_cols, 1);
    each_part_panels(c, in_panels);
}

static struct kern_act slot_act(const struct thread_ctx *c, uint32_t k, size_t n_cols)
{
    return work_act_slice(&c->own->slots, k, 1, c->f->moe.up + k * n_cols, n_cols, n_cols);
}

static void out_panels(struct thread_ctx *c, uint32_t k, size_t p0, size_t p1)
{
    const struct kern_matrix *w = &c->s->w[0].mat;
    struct kern_act act = slot_act(c, k, w->n_cols);
    multiply(c, 0, c->own->choices[k].expert, &act, c->f->moe.x + k * w->n_rows, p0, p1);
}

/* This thread's share of the columns: all experts' outputs, added to x in the order of choice. */
static void add_experts(struct thread_ctx *c, size_t n_cols)
{
    struct forward *f = c->f;
    size_t share = (n_cols / KERN_PANEL + (size_t)c->n_threads - 1) / (size_t)c->n_threads;
    size_t c0 = work_min(n_cols, (size_t)c->thread * share * KERN_PANEL);
    size_t c1 = c->thread + 1 == c->n_threads ? n_cols : work_min(n_cols, c0 + share * KERN_PANEL);
    for (uint32_t k = 0; k < c->s->moe->n_used; k++) {
        float *y = f->moe.x + k * n_cols + c0;
        float weight = c->own->choices[k].weight * c->s->scale;
        if (weight != 1) f->ops->scale(y, weight, c1 - c0);
        f->ops->add(f->x + c0, y, c1 - c0);
    }
}

void moe_single_out(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct kern_matrix *w = &c->s->w[0].mat;
    unsigned formats = work_formats(c->s);
    for (uint32_t k = 0; k < c->s->moe->n_used; k++) {
        struct kern_act act = slot_act(c, k, w->n_cols);
        for (unsigned i = 0; i < KERN_ACT_FORMATS; i++)
            if (formats >> i & 1) f->ops->act_quantize(&act, (enum kern_act_format)i, 0, 1);
        if (f->observer && c->thread == 0)
            forward_show_part(f, c->s, c->own->choices[k].expert, act.f32, w->n_cols, 1);
    }
    each_part_panels(c, out_panels);
    add_experts(c, w->n_rows);
    work_barrier(c);
}
