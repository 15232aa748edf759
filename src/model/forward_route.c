/* Which experts a row of a mixture goes to, and how much each counts. */
#include <math.h>
#include <string.h>

#include "model/forward_work.h"

enum { TAKE_PRODUCTS = 0, TAKE_ROWS = 2 }; /* counters */

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
    double grown[MODEL_MAX_EXPERTS], sum = 0;
    float top = -INFINITY;
    if (e->score == MOE_SIGMOID)
        for (uint32_t i = 0; i < e->n_expert; i++) p[i] = (float)(1 / (1 + exp(-(double)p[i])));
    if (e->score != MOE_SOFTMAX) return;
    for (uint32_t i = 0; i < e->n_expert; i++)
        if (p[i] > top) top = p[i];
    for (uint32_t i = 0; i < e->n_expert; i++) sum += grown[i] = exp((double)p[i] - (double)top);
    for (uint32_t i = 0; i < e->n_expert; i++) p[i] = (float)(grown[i] / sum);
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
static bool group_allowed(const struct stage *s, const float *p, uint32_t group)
{
    const struct moe *e = s->moe;
    uint32_t better = 0;
    if (e->n_group <= 1) return true;
    float score = group_score(s, p, group);
    for (uint32_t g = 0; g < e->n_group; g++) {
        float other = group_score(s, p, g);
        better += other > score || (other == score && g < group);
    }
    return better < e->n_group_used;
}

/* The best n_used experts of the allowed groups, the best first; of equal ones the first. `value`
 * has what those chosen so far are sorted by. */
static void best_experts(const struct stage *s, const float *p, struct expert_choice *chosen)
{
    const struct moe *e = s->moe;
    float value[MODEL_MAX_EXPERTS];
    uint32_t n = 0, groups = e->n_group > 1 ? e->n_group : 1, size = e->n_expert / groups;
    for (uint32_t i = 0; i < e->n_expert; i++) {
        if (i % size == 0 && !group_allowed(s, p, i / size)) {
            i += size - 1;
            continue;
        }
        float v = p[i] + (s->preference ? s->preference[i] : 0);
        if (n == e->n_used && !(v > value[n - 1])) continue;
        uint32_t at = n < e->n_used ? n++ : n - 1;
        for (; at > 0 && v > value[at - 1]; at--) {
            value[at] = value[at - 1];
            chosen[at] = chosen[at - 1];
        }
        value[at] = v;
        chosen[at] = (struct expert_choice){.expert = i, .weight = p[i]};
    }
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

/* p: the row's scores, which change. */
static void choose(const struct stage *s, float *p, struct expert_choice *chosen)
{
    make_weights(s->moe, p);
    best_experts(s, p, chosen);
    finish_weights(s->moe, chosen);
}

/* How much the shared expert counts for a row. */
static float shared_weight(const struct stage *s, const struct kern_act *act, size_t row)
{
    const float *x = act->f32 + row * act->f32_stride;
    double dot = 0;
    for (size_t i = 0; i < act->n_cols; i++) dot += (double)x[i] * (double)s->shared_gate[i];
    return (float)(1 / (1 + exp(-dot)));
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

/* Every thread chooses a single row's experts for itself, which saves two barriers. */
static void route_single(struct thread_ctx *c, const struct kern_act *act)
{
    struct forward_thread *own = c->own;
    memcpy(own->scores, c->f->moe.scores, c->s->moe->n_expert * sizeof *own->scores);
    choose(c->s, own->scores, own->choices);
    if (c->s->shared_gate && c->thread == 0) c->f->moe.shared[0] = shared_weight(c->s, act, 0);
}

void moe_route(struct thread_ctx *c)
{
    struct forward *f = c->f;
    struct forward_moe *m = &f->moe;
    const struct moe *e = c->s->moe;
    const struct kern_act *act = work_prepare(c, f->x, f->m->info.n_embd, f->n_rows, false);
    work_each_panels(c, TAKE_PRODUCTS, work_panels(&c->s->w[0].mat), router_panels, act);
    work_barrier(c);
    if (moe_single(c)) {
        route_single(c, act);
        return;
    }
    for (size_t r; (r = work_take(c, TAKE_ROWS, 1)) < f->n_rows;) {
        choose(c->s, m->scores + r * e->n_expert, m->choices + r * e->n_used);
        if (c->s->shared_gate) m->shared[r] = shared_weight(c->s, act, r);
    }
    work_barrier(c);
    if (c->thread == 0) group_rows(f, e);
    work_barrier(c);
}
