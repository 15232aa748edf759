/* Stages of a mixture of experts. Each row chooses its experts; rows of the same expert are brought
 * together, so that its weights are read once and multiplied with all of them. What a row gets does
 * not depend on the rows beside it: products are bit-equal whatever the batch, and a row's experts
 * are added in the order of its choice. */
#include <math.h>
#include <string.h>

#include "model/forward_work.h"

enum { TAKE_TILES = 1, TAKE_PRODUCTS = 0, TAKE_ROWS = 2 }; /* counters */

/* ---- choosing ----------------------------------------------------------------------------------
 */

static void router_panels(struct thread_ctx *c, const struct kern_act *act, size_t p0, size_t p1)
{
    const struct kern_matrix *w = &c->s->w[0].mat;
    size_t c0, c1;
    work_multiply(c, w, act, c->f->moe.scores, p0, p1);
    work_columns(w, p0, p1, &c0, &c1);
    for (size_t r = 0; c->s->bias[0] && r < c->f->n_rows; r++)
        c->f->ops->add(c->f->moe.scores + r * w->n_rows + c0, c->s->bias[0] + c0, c1 - c0);
}

/* Scores to what the choice goes by; MOE_SOFTMAX_USED chooses by the scores themselves. */
static void make_weights(const struct moe *e, float *p)
{
    double sum = 0;
    float top = -INFINITY;
    for (uint32_t i = 0; i < e->n_expert; i++)
        if (p[i] > top) top = p[i];
    for (uint32_t i = 0; i < e->n_expert; i++) {
        if (e->score == MOE_SIGMOID) p[i] = (float)(1 / (1 + exp(-(double)p[i])));
        if (e->score == MOE_SOFTMAX) sum += exp((double)p[i] - (double)top);
    }
    if (e->score == MOE_SOFTMAX)
        for (uint32_t i = 0; i < e->n_expert; i++)
            p[i] = (float)(exp((double)p[i] - (double)top) / sum);
}

/* How good a group of experts is: by its best one, or, where there is a preference, by its two best
 * (DeepSeek-V3, arXiv:2412.19437). */
static float group_score(const struct stage *s, const float *p, uint32_t group)
{
    uint32_t size = s->moe->n_expert / s->moe->n_group;
    float best = -INFINITY, second = -INFINITY;
    for (uint32_t i = group * size; i < (group + 1) * size; i++) {
        float v = p[i] + (s->preference ? s->preference[i] : 0);
        if (v > best) {
            second = best;
            best = v;
        } else if (v > second) {
            second = v;
        }
    }
    return s->preference && size > 1 ? best + second : best;
}

/* Whether fewer than n_group_used groups are better; of equal ones the first. */
static bool group_allowed(const struct stage *s, const float *p, uint32_t expert)
{
    const struct moe *e = s->moe;
    if (e->n_group <= 1) return true;
    uint32_t mine = expert / (e->n_expert / e->n_group), better = 0;
    float score = group_score(s, p, mine);
    for (uint32_t g = 0; g < e->n_group; g++) {
        float other = group_score(s, p, g);
        better += other > score || (other == score && g < mine);
    }
    return better < e->n_group_used;
}

/* The best expert that is not among the first k choices; of equal ones the first. */
static uint32_t best_left(const struct stage *s, const float *p, const struct expert_choice *chosen,
                          uint32_t k)
{
    const struct moe *e = s->moe;
    uint32_t best = UINT32_MAX;
    float top = 0;
    for (uint32_t i = 0; i < e->n_expert; i++) {
        float v = p[i] + (s->preference ? s->preference[i] : 0);
        bool taken = false;
        for (uint32_t j = 0; j < k && !taken; j++) taken = chosen[j].expert == i;
        if (taken || (best != UINT32_MAX && !(v > top)) || !group_allowed(s, p, i)) continue;
        best = i;
        top = v;
    }
    return best == UINT32_MAX ? 0 : best;
}

static void finish_weights(const struct moe *e, struct expert_choice *chosen)
{
    double sum = 0, top = (double)chosen[0].weight;
    for (uint32_t k = 0; k < e->n_used; k++) {
        if (e->score == MOE_SOFTMAX_USED)
            chosen[k].weight = (float)exp((double)chosen[k].weight - top);
        sum += (double)chosen[k].weight;
    }
    for (uint32_t k = 0; k < e->n_used; k++) {
        if (e->normalise || e->score == MOE_SOFTMAX_USED)
            chosen[k].weight = (float)((double)chosen[k].weight / fmax(sum, 1e-20));
        chosen[k].weight *= e->scale;
    }
}

static void choose(struct thread_ctx *c, const struct kern_act *act, size_t row)
{
    struct forward_moe *m = &c->f->moe;
    const struct moe *e = c->s->moe;
    float *p = m->scores + row * e->n_expert;
    struct expert_choice *chosen = m->choices + row * e->n_used;
    make_weights(e, p);
    for (uint32_t k = 0; k < e->n_used; k++) {
        chosen[k].expert = best_left(c->s, p, chosen, k);
        chosen[k].weight = p[chosen[k].expert];
    }
    finish_weights(e, chosen);
    if (c->s->shared_gate) {
        const float *x = act->f32 + row * act->f32_stride;
        double dot = 0;
        for (size_t i = 0; i < act->n_cols; i++) dot += (double)x[i] * (double)c->s->shared_gate[i];
        m->shared[row] = (float)(1 / (1 + exp(-dot)));
    }
}

/* Slots: expert by expert, its rows ascending. */
static void group_rows(struct forward *f, const struct moe *e)
{
    struct forward_moe *m = &f->moe;
    size_t n = f->n_rows * e->n_used;
    uint32_t at = 0;
    m->n_active = 0;
    for (uint32_t i = 0; i < e->n_expert; i++) m->active[i] = (struct expert_rows){i, 0, 0};
    for (size_t i = 0; i < n; i++) m->active[m->choices[i].expert].n++;
    for (uint32_t i = 0; i < e->n_expert; i++) {
        m->active[i].slot0 = at;
        at += m->active[i].n;
        m->active[i].n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct expert_rows *x = &m->active[m->choices[i].expert];
        uint32_t slot = x->slot0 + x->n++;
        m->choices[i].slot = slot;
        m->slot_row[slot] = (uint32_t)(i / e->n_used);
        m->slot_weight[slot] = m->choices[i].weight;
    }
    for (uint32_t i = 0; i < e->n_expert; i++)
        if (m->active[i].n) m->active[m->n_active++] = m->active[i];
}

void moe_route(struct thread_ctx *c)
{
    struct forward *f = c->f;
    const struct kern_act *act = work_prepare(c, f->x, f->m->info.n_embd, f->n_rows, false);
    work_each_panels(c, TAKE_PRODUCTS, work_panels(&c->s->w[0].mat), router_panels, act);
    work_barrier(c);
    for (size_t r; (r = work_take(c, TAKE_ROWS, 1)) < f->n_rows;) choose(c, act, r);
    work_barrier(c);
    if (c->thread == 0) group_rows(f, c->s->moe);
    work_barrier(c);
}

/* ---- products ----------------------------------------------------------------------------------
 */

/* The part of the slots' activations that belongs to one expert. */
static struct kern_act expert_act(const struct forward_moe *m, const struct expert_rows *x,
                                  const float *f32, size_t n_cols)
{
    return work_act_slice(&m->act, x->slot0, x->n, f32 + (size_t)x->slot0 * n_cols, n_cols, n_cols);
}

/* Fetches the inputs of slots [first, first + n): the normalised rows that they stand for. */
static void gather(struct thread_ctx *c, size_t first, size_t n)
{
    struct forward *f = c->f;
    size_t embd = f->m->info.n_embd;
    for (size_t slot = first; slot < first + n; slot++) {
        float *x = f->moe.x + slot * embd;
        work_norm(f, &c->s->norm, x, f->x + f->moe.slot_row[slot] * embd, embd);
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

static void expert_out(struct thread_ctx *c, const struct expert_rows *x, size_t p0, size_t p1)
{
    struct forward_moe *m = &c->f->moe;
    struct kern_act act = expert_act(m, x, m->up, c->s->w[0].mat.n_cols);
    expert_multiply(c, 0, x, &act, m->x + x->slot0 * c->s->w[0].mat.n_rows, p0, p1);
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
    prepare_slots(c, c->f->moe.x, c->f->m->info.n_embd, true);
    each_expert_panels(c, expert_in);
}

static void add_experts(struct thread_ctx *c, size_t row)
{
    struct forward *f = c->f;
    const struct moe *e = c->s->moe;
    size_t embd = f->m->info.n_embd;
    for (uint32_t k = 0; k < e->n_used; k++) {
        const struct expert_choice *choice = &f->moe.choices[row * e->n_used + k];
        float *y = f->moe.x + choice->slot * embd;
        float weight = (e->weigh_input ? 1 : choice->weight) * c->s->scale;
        if (weight != 1) f->ops->scale(y, weight, embd);
        f->ops->add(f->x + row * embd, y, embd);
    }
}

void moe_out(struct thread_ctx *c)
{
    prepare_slots(c, c->f->moe.up, c->s->w[0].mat.n_cols, false);
    each_expert_panels(c, expert_out);
    for (size_t r; (r = work_take(c, TAKE_ROWS, 1)) < c->f->n_rows;) add_experts(c, r);
    work_barrier(c);
}
