/* Stages of the forward pass on the CPU. */
#include <math.h>
#include <string.h>

#include "model/forward_work.h"

static void rope_angles(const struct rope *r, const struct span *sp, size_t pos, float *cs)
{
    const float *freq = rope_frequencies(r, sp->seq);
    for (uint32_t i = 0; i < r->n_dims / 2; i++) {
        double angle = (double)pos * (double)freq[i];
        cs[2 * i] = (float)(cos(angle) * (double)r->magnitude);
        cs[2 * i + 1] = (float)(sin(angle) * (double)r->magnitude);
    }
}

static void read_row(const struct gguf_tensor *t, size_t row, size_t n, float *out)
{
    const struct quant_traits *q = quant_find(t->type);
    size_t blocks = n / q->block_elems;
    q->decode(t->data + row * blocks * q->block_bytes, out, blocks);
}

static void embed_row(struct thread_ctx *c, const struct span *sp, size_t r)
{
    struct forward *f = c->f;
    const struct stage *s = c->s;
    size_t embd = f->m->info.n_embd, pos = sp->pos0 + r - sp->row0;
    float *x = f->x + r * embd;
    read_row(s->table, (size_t)f->rows[r].token, embd, x);
    if (s->scale != 1) f->ops->scale(x, s->scale, embd);
    if (s->positions) {
        read_row(s->positions, pos, embd, c->own->norm);
        f->ops->add(x, c->own->norm, embd);
    }
    if (s->segments) f->ops->add(x, s->segments + f->rows[r].segment * embd, embd);
    for (uint32_t i = 0; i < f->m->n_ropes; i++) {
        const struct rope *rope = &f->m->ropes[i];
        rope_angles(rope, sp, pos, f->cs[i] + r * rope->n_dims);
    }
}

static void stage_embed(struct thread_ctx *c)
{
    struct forward *f = c->f;
    for (size_t s = 0; s < f->n_spans; s++) {
        const struct span *sp = &f->spans[s];
        for (size_t i = 0; i < sp->n_rows; i++)
            if ((sp->row0 + i) % (size_t)c->n_threads == (size_t)c->thread)
                embed_row(c, sp, sp->row0 + i);
    }
    work_barrier(c);
}

static void stage_norm(struct thread_ctx *c)
{
    struct forward *f = c->f;
    size_t embd = f->m->info.n_embd;
    for (size_t r = (size_t)c->thread; r < f->n_rows; r += (size_t)c->n_threads) {
        if (c->s->keep) f->ops->add(f->x + r * embd, f->kept + r * embd, embd);
        work_norm(f, &c->s->norm, f->x + r * embd, f->x + r * embd, embd);
    }
    work_barrier(c);
}

/* The panels of q, k and v stand in one row of units. */
static void qkv_panels(struct thread_ctx *c, const struct kern_act *act, size_t p0, size_t p1)
{
    float *out[3] = {c->f->q, c->f->k, c->f->v};
    size_t base = 0;
    for (int i = 0; i < 3; i++) {
        const struct kern_matrix *w = &c->s->w[i].mat;
        size_t n = work_panels(w);
        size_t a = p0 > base ? p0 - base : 0, b = p1 > base ? work_min(p1 - base, n) : 0;
        if (a < b) work_multiply(c, w, act, out[i], a, b);
        base += n;
    }
}

/* Whether each sequence's new rows are one unit of attention: then whoever attends writes the keys
 * and values that no other unit reads, and no barrier stands between. */
static bool units_are_spans(const struct forward *f)
{
    return f->n_units == f->n_spans;
}

void attn_fill_cache(struct thread_ctx *c)
{
    struct forward *f = c->f;
    uint32_t n_kv = f->m->info.n_head_kv;
    if (units_are_spans(f)) return;
    for (size_t u; (u = work_take(c, 1, 1)) < f->n_units * n_kv;)
        forward_cache(f, c->s, &f->units[u / n_kv], (uint32_t)(u % n_kv));
    work_barrier(c);
}

/* Whole queries and keys with their bias, where a norm goes over all heads. */
static void norm_rows(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct stage *s = c->s;
    if (!s->row_norm[0].kind && !s->row_norm[1].kind) return;
    float *x[2] = {f->q, f->k};
    for (size_t r = (size_t)c->thread; r < f->n_rows; r += (size_t)c->n_threads)
        for (int i = 0; i < 2; i++) {
            size_t n = s->w[i].mat.n_rows;
            if (!s->row_norm[i].kind) continue;
            if (s->bias[i]) f->ops->add(x[i] + r * n, s->bias[i], n);
            work_norm(f, &s->row_norm[i], x[i] + r * n, x[i] + r * n, n);
        }
    work_barrier(c);
}

/* Nobody changes x before the barriers of this stage are passed. */
static void keep_rows(struct thread_ctx *c)
{
    struct forward *f = c->f;
    size_t embd = f->m->info.n_embd;
    for (size_t r = (size_t)c->thread; r < f->n_rows && c->s->keep; r += (size_t)c->n_threads)
        memcpy(f->kept + r * embd, f->x + r * embd, embd * sizeof *f->x);
}

static void stage_attn_in(struct thread_ctx *c)
{
    struct forward *f = c->f;
    keep_rows(c);
    const struct kern_act *act = work_prepare(c, f->x, f->m->info.n_embd, f->n_rows, false);
    size_t panels =
        work_panels(&c->s->w[0].mat) + work_panels(&c->s->w[1].mat) + work_panels(&c->s->w[2].mat);
    work_each_panels(c, 0, panels, qkv_panels, act);
    work_barrier(c);
    norm_rows(c);
    attn_fill_cache(c);
}

static void stage_attn(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct stage *in = f->m->attn_in[c->s->layer];
    size_t n_kv = f->m->info.n_head_kv;
    for (size_t u; (u = work_take(c, 0, 1)) < f->n_units * n_kv;) {
        /* Late units see the most positions: take them first, so that the end is even. */
        const struct attn_unit *unit = &f->units[f->n_units - 1 - u / n_kv];
        if (units_are_spans(f)) forward_cache(f, in, unit, (uint32_t)(u % n_kv));
        forward_attend(f, c->own, in, unit, (uint32_t)(u % n_kv));
    }
    work_barrier(c);
}

/* x += scale * (tmp + bias), columns [c0, c1) of row r. */
static void add_residual(const struct forward *f, const struct stage *s, size_t r, size_t c0,
                         size_t c1)
{
    size_t at = r * f->m->info.n_embd + c0, n = c1 - c0;
    if (s->scale != 1) f->ops->scale(f->tmp + at, s->scale, n);
    if (s->by_shared_gate) f->ops->scale(f->tmp + at, f->moe.shared[r], n);
    f->ops->add(f->x + at, f->tmp + at, n);
}

static void residual_panels(struct thread_ctx *c, const struct kern_act *act, size_t p0, size_t p1)
{
    struct forward *f = c->f;
    const struct stage *s = c->s;
    size_t embd = f->m->info.n_embd, c0, c1;
    work_multiply(c, &s->w[0].mat, act, f->tmp, p0, p1);
    work_columns(&s->w[0].mat, p0, p1, &c0, &c1);
    for (size_t r = 0; r < f->n_rows; r++) {
        if (s->bias[0]) f->ops->add(f->tmp + r * embd + c0, s->bias[0] + c0, c1 - c0);
        if (!s->post.kind) add_residual(f, s, r, c0, c1);
    }
}

/* What has a norm behind it waits for its whole row. */
static void add_normed(struct thread_ctx *c)
{
    struct forward *f = c->f;
    size_t embd = f->m->info.n_embd;
    for (size_t r = (size_t)c->thread; r < f->n_rows; r += (size_t)c->n_threads) {
        work_norm(f, &c->s->post, f->tmp + r * embd, f->tmp + r * embd, embd);
        add_residual(f, c->s, r, 0, embd);
    }
    work_barrier(c);
}

static void stage_residual(struct thread_ctx *c, const float *src)
{
    const struct kern_matrix *w = &c->s->w[0].mat;
    const struct kern_act *act = work_prepare(c, src, w->n_cols, c->f->n_rows, false);
    work_each_panels(c, 0, work_panels(w), residual_panels, act);
    work_barrier(c);
    if (c->s->post.kind) add_normed(c);
}

static void stage_attn_out(struct thread_ctx *c)
{
    stage_residual(c, c->s->mla ? c->f->mla.values : c->f->att);
}

static void multiply_biased(struct thread_ctx *c, int i, const struct kern_act *act, float *y,
                            size_t p0, size_t p1)
{
    const struct kern_matrix *w = &c->s->w[i].mat;
    const float *bias = c->s->bias[i];
    size_t c0, c1;
    work_multiply(c, w, act, y, p0, p1);
    work_columns(w, p0, p1, &c0, &c1);
    for (size_t r = 0; bias && r < c->f->n_rows; r++)
        c->f->ops->add(y + r * w->n_rows + c0, bias + c0, c1 - c0);
}

static void ffn_panels(struct thread_ctx *c, const struct kern_act *act, size_t p0, size_t p1)
{
    struct forward *f = c->f;
    const struct stage *s = c->s;
    size_t ff = s->w[0].mat.n_rows, c0, c1;
    bool gated = s->w[1].mat.n_rows != 0;
    multiply_biased(c, 0, act, f->up, p0, p1);
    if (gated) multiply_biased(c, 1, act, f->gate, p0, p1);
    work_columns(&s->w[0].mat, p0, p1, &c0, &c1);
    for (size_t at = c0, r = 0; r < f->n_rows; r++, at += ff) {
        if (gated)
            f->ops->gated(s->act, f->up + at, f->gate + at, c1 - c0);
        else
            f->ops->activate(s->act, f->up + at, c1 - c0);
    }
}

static void stage_ffn_in(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct kern_act *act = work_prepare(c, f->x, f->m->info.n_embd, f->n_rows, false);
    work_each_panels(c, 0, work_panels(&c->s->w[0].mat), ffn_panels, act);
    work_barrier(c);
}

static void stage_ffn_out(struct thread_ctx *c)
{
    stage_residual(c, c->f->up);
}

static void head_panels(struct thread_ctx *c, const struct kern_act *act, size_t p0, size_t p1)
{
    struct forward *f = c->f;
    const struct stage *s = c->s;
    size_t vocab = s->w[0].mat.n_rows, c0, c1;
    work_multiply(c, &s->w[0].mat, act, f->logits, p0, p1);
    work_columns(&s->w[0].mat, p0, p1, &c0, &c1);
    for (size_t at = c0, r = 0; r < f->n_logits; r++, at += vocab) {
        if (s->bias[0]) f->ops->add(f->logits + at, s->bias[0] + c0, c1 - c0);
        if (s->scale != 1) f->ops->scale(f->logits + at, s->scale, c1 - c0);
        if (s->softcap != 0) f->ops->softcap(f->logits + at, s->softcap, c1 - c0);
    }
}

static void hidden_rows(struct thread_ctx *c)
{
    struct forward *f = c->f;
    size_t embd = f->m->info.n_embd;
    for (size_t r = (size_t)c->thread; r < f->n_logits; r += (size_t)c->n_threads) {
        const float *x = f->x + f->logit_rows[r] * embd;
        if (c->s->norm.kind)
            work_norm(f, &c->s->norm, f->logits + r * embd, x, embd);
        else
            memcpy(f->logits + r * embd, x, embd * sizeof *x);
    }
    work_barrier(c);
}

static void stage_head(struct thread_ctx *c)
{
    struct forward *f = c->f;
    if (!f->n_logits) return;
    if (f->hidden) {
        hidden_rows(c);
        return;
    }
    const struct kern_act *act = work_prepare(c, f->x, f->m->info.n_embd, f->n_logits, true);
    work_each_panels(c, 0, work_panels(&c->s->w[0].mat), head_panels, act);
    work_barrier(c);
}

static void (*const stage_fn[])(struct thread_ctx *c) = {
    [STAGE_EMBED] = stage_embed,       [STAGE_NORM] = stage_norm,
    [STAGE_ATTN_IN] = stage_attn_in,   [STAGE_ATTN] = stage_attn,
    [STAGE_MLA_DOWN] = mla_down,       [STAGE_MLA_Q] = mla_q,
    [STAGE_MLA_KV] = mla_kv,           [STAGE_MLA_OUT] = mla_out,
    [STAGE_ATTN_OUT] = stage_attn_out, [STAGE_FFN_IN] = stage_ffn_in,
    [STAGE_FFN_OUT] = stage_ffn_out,   [STAGE_MOE_ROUTE] = moe_route,
    [STAGE_MOE_IN] = moe_in,           [STAGE_MOE_OUT] = moe_out,
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
