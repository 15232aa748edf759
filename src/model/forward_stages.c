/* Stages of the forward pass on the CPU. Every thread walks through all stages; work is handed out
 * in units by a counter a stage, and a barrier stands where one thread reads what another wrote.
 * No unit's result depends on which thread takes it. */
#include <math.h>
#include <string.h>

#include "model/forward_int.h"

/* Weights of the next stage that has some, which a waiting thread brings near: memory is the limit
 * of a single row, and would rest at every barrier. */
struct ahead {
    const struct stage *stage; /* whose weights these are */
    const uint8_t *at, *end;
};

#define AHEAD_BYTES (256 * 1024) /* of the second-level cache */

struct thread_ctx {
    struct forward *f;
    struct forward_thread *own;
    const struct stage *s;
    size_t stage_index;
    int thread, n_threads;
    struct ahead ahead;
};

static size_t take(struct thread_ctx *c, int counter, size_t step)
{
    atomic_uint *n = &c->f->counters[c->stage_index * COUNTERS + (size_t)counter];
    return atomic_fetch_add_explicit(n, (unsigned)step, memory_order_relaxed);
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t n_panels(const struct kern_matrix *w)
{
    return (w->n_rows + KERN_PANEL - 1) / KERN_PANEL;
}

/* Panels of the next unit of work where `left` are left: large ones first, since a call takes a
 * moment to get going, and small ones last, so that all threads end together (guided
 * self-scheduling, Polychronopoulos and Kuck 1987). Even, since kernels take panels in pairs. */
static size_t guided_step(const struct thread_ctx *c, size_t left)
{
    size_t step = left / (2 * (size_t)c->n_threads) & ~(size_t)1;
    return step < 2 ? min_size(left, 2) : step;
}

/* The next unit of `panels` panels; false where none is left. */
static bool take_panels(struct thread_ctx *c, int counter, size_t panels, size_t *p0, size_t *p1)
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

/* Who waits takes a unit after those who do not. */
static void find_ahead(struct thread_ctx *c)
{
    const struct model *m = c->f->m;
    const struct stage *s = c->s + 1, *end = m->stages + m->n_stages;
    while (s < end && !s->w[0].mat.n_rows) s++;
    if (s == c->ahead.stage) return;
    c->ahead = (struct ahead){.stage = s};
    if (s == end) return;
    const struct kern_matrix *w = &s->w[0].mat;
    size_t panels = n_panels(w), first = 0;
    for (int t = 1; t < c->n_threads; t++) first += guided_step(c, panels - first);
    size_t bytes = kern_panel_bytes(w->type, w->n_cols);
    c->ahead.at = w->data + first * bytes;
    c->ahead.end = c->ahead.at + min_size(AHEAD_BYTES, (panels - first) * bytes);
}

static void fetch_ahead(void *ctx)
{
    struct ahead *a = ctx;
    for (int i = 0; i < 8 && a->at < a->end; i++, a->at += 64) __builtin_prefetch(a->at, 0, 2);
}

static void barrier(struct thread_ctx *c)
{
    if (c->f->n_rows > 1) {
        pool_barrier(c->f->pool);
        return;
    }
    find_ahead(c);
    pool_barrier_idle(c->f->pool, fetch_ahead, &c->ahead);
}

/* ---- inputs of matrices -----------------------------------------------------------------------
 */

/* The formats of activations that the stage's matrices read, as a set of bits. */
static unsigned formats_read(const struct stage *s)
{
    unsigned set = 0;
    for (int i = 0; i < 3; i++)
        if (s->w[i].mat.n_rows) set |= 1u << kern_act_format(s->w[i].mat.type, s->w[i].mat.n_cols);
    return set;
}

/* Row r of a stage's input: logits rows are a selection. */
static const float *input_row(const struct forward *f, const float *src, size_t stride, size_t r,
                              bool selected)
{
    return src + (selected ? f->logit_rows[r] : r) * stride;
}

/* Prepares n rows of n_cols floats (normalised if the stage has a norm) as the stage's activations.
 * Ends with a barrier unless the single row was prepared by each thread for itself. */
static const struct kern_act *prepare(struct thread_ctx *c, const float *src, size_t n_cols,
                                      size_t n, bool selected)
{
    struct forward *f = c->f;
    const struct stage *s = c->s;
    unsigned formats = formats_read(s);
    float *norm = n == 1 ? c->own->norm : f->norm;
    bool copied = s->norm || selected;
    struct kern_act *act = &c->own->view;
    *act = n == 1 ? c->own->act : f->act;
    act->n_rows = n;
    act->n_cols = n_cols;
    act->f32 = copied ? norm : src;
    act->f32_stride = n_cols;
    size_t tiles = (n + KERN_TILE_MAX - 1) / KERN_TILE_MAX;
    size_t first = n == 1 ? 0 : (size_t)c->thread, step = n == 1 ? 1 : (size_t)c->n_threads;
    for (size_t t = first; t < tiles; t += step) {
        size_t r1 = min_size(n, (t + 1) * KERN_TILE_MAX);
        for (size_t r = t * KERN_TILE_MAX; r < r1 && copied; r++) {
            const float *x = input_row(f, src, n_cols, r, selected);
            if (s->norm)
                f->ops->rms_norm(norm + r * n_cols, x, s->norm, n_cols, s->eps);
            else
                memcpy(norm + r * n_cols, x, n_cols * sizeof *x);
        }
        for (unsigned k = 0; k < KERN_ACT_FORMATS; k++)
            if (formats >> k & 1) f->ops->act_quantize(act, (enum kern_act_format)k, t, t + 1);
    }
    if (n > 1) barrier(c);
    /* The others begin to multiply: nobody changes the input before the stage's last barrier. */
    if (f->observer && c->thread == 0) forward_show_stage(f, s, act);
    return act;
}

/* ---- matrix products --------------------------------------------------------------------------
 */

/* Calls fn for ranges of panels until all are taken. */
static void each_panels(struct thread_ctx *c, int counter, size_t panels,
                        void (*fn)(struct thread_ctx *c, const struct kern_act *act, size_t p0,
                                   size_t p1),
                        const struct kern_act *act)
{
    for (size_t p0, p1; take_panels(c, counter, panels, &p0, &p1);) fn(c, act, p0, p1);
}

static void multiply(struct thread_ctx *c, const struct kern_matrix *w, const struct kern_act *act,
                     float *y, size_t p0, size_t p1)
{
    c->f->ops->matmul(w, act, y, w->n_rows, p0, p1, c->own->matmul);
}

/* Columns [*c0, *c1) of a product that panels [p0, p1) make. */
static void columns(const struct kern_matrix *w, size_t p0, size_t p1, size_t *c0, size_t *c1)
{
    *c0 = p0 * KERN_PANEL;
    *c1 = min_size(p1 * KERN_PANEL, w->n_rows);
}

/* ---- stages -----------------------------------------------------------------------------------
 */

static void rope_angles(const struct forward *f, size_t pos, float *cs)
{
    const struct rope *r = &f->m->rope;
    for (uint32_t i = 0; i < r->n_dims / 2; i++) {
        double angle = (double)pos * (double)r->inv_freq[i];
        cs[2 * i] = (float)(cos(angle) * (double)r->magnitude);
        cs[2 * i + 1] = (float)(sin(angle) * (double)r->magnitude);
    }
}

static void stage_embed(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct gguf_tensor *t = c->s->table;
    const struct quant_traits *q = quant_find(t->type);
    size_t embd = f->m->info.n_embd, blocks = embd / q->block_elems;
    for (size_t s = 0; s < f->n_spans; s++) {
        const struct span *sp = &f->spans[s];
        for (size_t i = 0; i < sp->n_rows; i++) {
            size_t r = sp->row0 + i;
            if (r % (size_t)c->n_threads != (size_t)c->thread) continue;
            size_t token = (size_t)f->rows[r].token;
            q->decode(t->data + token * blocks * q->block_bytes, f->x + r * embd, blocks);
            rope_angles(f, sp->pos0 + i, f->cs + r * f->m->rope.n_dims);
        }
    }
    barrier(c);
}

/* The panels of q, k and v stand in one row of units. */
static void qkv_panels(struct thread_ctx *c, const struct kern_act *act, size_t p0, size_t p1)
{
    float *out[3] = {c->f->q, c->f->k, c->f->v};
    size_t base = 0;
    for (int i = 0; i < 3; i++) {
        const struct kern_matrix *w = &c->s->w[i].mat;
        size_t n = n_panels(w);
        size_t a = p0 > base ? p0 - base : 0, b = p1 > base ? min_size(p1 - base, n) : 0;
        if (a < b) multiply(c, w, act, out[i], a, b);
        base += n;
    }
}

/* Whether each sequence's new rows are one unit of attention: then whoever attends writes the keys
 * and values that no other unit reads, and no barrier stands between. */
static bool units_are_spans(const struct forward *f)
{
    return f->n_units == f->n_spans;
}

static void stage_attn_in(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct kern_act *act = prepare(c, f->x, f->m->info.n_embd, f->n_rows, false);
    size_t panels =
        n_panels(&c->s->w[0].mat) + n_panels(&c->s->w[1].mat) + n_panels(&c->s->w[2].mat);
    each_panels(c, 0, panels, qkv_panels, act);
    barrier(c);
    if (units_are_spans(f)) return;
    uint32_t n_kv = f->m->info.n_head_kv;
    for (size_t u; (u = take(c, 1, 1)) < f->n_units * n_kv;)
        forward_cache(f, c->s, &f->units[u / n_kv], (uint32_t)(u % n_kv));
    barrier(c);
}

static void stage_attn(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct stage *in = c->s - 1; /* the ATTN_IN of this layer has the query bias */
    size_t n_kv = f->m->info.n_head_kv;
    for (size_t u; (u = take(c, 0, 1)) < f->n_units * n_kv;) {
        /* Late units see the most positions: take them first, so that the end is even. */
        const struct attn_unit *unit = &f->units[f->n_units - 1 - u / n_kv];
        if (units_are_spans(f)) forward_cache(f, in, unit, (uint32_t)(u % n_kv));
        forward_attend(f, c->own, in, unit, (uint32_t)(u % n_kv));
    }
    barrier(c);
}

static void residual_panels(struct thread_ctx *c, const struct kern_act *act, size_t p0, size_t p1)
{
    struct forward *f = c->f;
    const struct kern_matrix *w = &c->s->w[0].mat;
    size_t embd = f->m->info.n_embd, c0, c1;
    multiply(c, w, act, f->tmp, p0, p1);
    columns(w, p0, p1, &c0, &c1);
    for (size_t r = 0; r < f->n_rows; r++) {
        if (c->s->bias[0]) f->ops->add(f->tmp + r * embd + c0, c->s->bias[0] + c0, c1 - c0);
        f->ops->add(f->x + r * embd + c0, f->tmp + r * embd + c0, c1 - c0);
    }
}

static void stage_residual(struct thread_ctx *c, const float *src)
{
    const struct kern_matrix *w = &c->s->w[0].mat;
    const struct kern_act *act = prepare(c, src, w->n_cols, c->f->n_rows, false);
    each_panels(c, 0, n_panels(w), residual_panels, act);
    barrier(c);
}

static void stage_attn_out(struct thread_ctx *c)
{
    stage_residual(c, c->f->att);
}

static void gated_panels(struct thread_ctx *c, const struct kern_act *act, size_t p0, size_t p1)
{
    struct forward *f = c->f;
    const struct kern_matrix *gate = &c->s->w[0].mat;
    size_t ff = f->m->info.n_ff, c0, c1;
    multiply(c, gate, act, f->gate, p0, p1);
    multiply(c, &c->s->w[1].mat, act, f->up, p0, p1);
    columns(gate, p0, p1, &c0, &c1);
    for (size_t r = 0; r < f->n_rows; r++)
        f->ops->silu_mul(f->up + r * ff + c0, f->gate + r * ff + c0, c1 - c0);
}

static void stage_ffn_in(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct kern_act *act = prepare(c, f->x, f->m->info.n_embd, f->n_rows, false);
    each_panels(c, 0, n_panels(&c->s->w[0].mat), gated_panels, act);
    barrier(c);
}

static void stage_ffn_out(struct thread_ctx *c)
{
    stage_residual(c, c->f->up);
}

static void head_panels(struct thread_ctx *c, const struct kern_act *act, size_t p0, size_t p1)
{
    multiply(c, &c->s->w[0].mat, act, c->f->logits, p0, p1);
}

static void stage_head(struct thread_ctx *c)
{
    struct forward *f = c->f;
    if (!f->n_logits) return;
    const struct kern_act *act = prepare(c, f->x, f->m->info.n_embd, f->n_logits, true);
    each_panels(c, 0, n_panels(&c->s->w[0].mat), head_panels, act);
    barrier(c);
}

static void (*const stage_fn[])(struct thread_ctx *c) = {
    [STAGE_EMBED] = stage_embed,   [STAGE_ATTN_IN] = stage_attn_in,
    [STAGE_ATTN] = stage_attn,     [STAGE_ATTN_OUT] = stage_attn_out,
    [STAGE_FFN_IN] = stage_ffn_in, [STAGE_FFN_OUT] = stage_ffn_out,
    [STAGE_HEAD] = stage_head,
};

void forward_stages(void *ctx, int thread)
{
    struct forward *f = ctx;
    const struct model *m = f->m;
    struct thread_ctx c = {
        .f = f, .own = &f->threads[thread], .thread = thread, .n_threads = pool_n_threads(f->pool)};
    for (size_t i = 0; i < m->n_stages; i++) {
        c.s = &m->stages[i];
        c.stage_index = i;
        /* Thread 0 decides before this stage's last barrier, the others read after it; naming the
         * stage keeps a slow reader from taking the next stage's decision for this one's. */
        if (thread == 0 && i + 1 < m->n_stages && f->cancel &&
            __atomic_load_n(f->cancel, __ATOMIC_RELAXED))
            atomic_store(&f->stop_after, i);
        stage_fn[c.s->kind](&c);
        if (atomic_load(&f->stop_after) <= i) return;
    }
}
