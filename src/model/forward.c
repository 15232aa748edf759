#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/machine.h"
#include "model/forward_int.h"

/* ---- memory -----------------------------------------------------------------------------------
 */

/* Lays buffers out one after the other; with base NULL it only counts. */
struct layout {
    uint8_t *base;
    uint64_t used;
    bool overflow;
};

static void *place(struct layout *l, uint64_t count, uint64_t each)
{
    uint64_t bytes, end;
    uint64_t at = l->used;
    if (!checked_mul(count, each, &bytes) || !checked_add(at, bytes, &end) ||
        !checked_align(end, 64, &end) || end > SIZE_MAX / 2) {
        l->overflow = true;
        return NULL;
    }
    l->used = end;
    return l->base ? l->base + at : NULL;
}

static void place_act(struct layout *l, struct kern_act *a, size_t rows, size_t cols)
{
    for (int k = 0; k < KERN_ACT_FORMATS; k++) {
        a->fmt[k].q = place(l, rows, k == KERN_ACT_INT16 ? 2 * cols : cols);
        a->fmt[k].scale = place(l, rows, cols / 16 * sizeof(float));
        a->fmt[k].neg_sum = place(l, rows, cols / 16 * sizeof(int32_t));
        a->fmt[k].bias = place(l, rows, cols / 16 * sizeof(float));
    }
}

static size_t widest_ff(const struct model *m)
{
    size_t w = m->info.n_ff;
    for (size_t s = 0; s < m->n_stages; s++) {
        bool ffn = m->stages[s].kind == STAGE_FFN_IN || m->stages[s].kind == STAGE_MOE_IN;
        if (ffn && m->stages[s].w[0].mat.n_rows > w) w = m->stages[s].w[0].mat.n_rows;
    }
    return w;
}

/* The most experts of a layer, and the widest; zero where there are none. */
static void widest_moe(const struct model *m, size_t *experts, size_t *ff)
{
    *experts = *ff = 0;
    for (size_t s = 0; s < m->n_stages; s++) {
        const struct moe *e = m->stages[s].moe;
        if (e && e->n_expert > *experts) *experts = e->n_expert;
        if (e && e->n_ff > *ff) *ff = e->n_ff;
    }
}

static void place_moe(struct forward *f, struct layout *l)
{
    const struct model *m = f->m;
    size_t slots = f->max_rows * m->max_used, experts, ff;
    widest_moe(m, &experts, &ff);
    struct forward_moe *o = &f->moe;
    o->scores = place(l, f->max_rows, experts * sizeof *o->scores);
    o->choices = place(l, slots, sizeof *o->choices);
    o->shared = place(l, f->max_rows, sizeof *o->shared);
    o->slot_row = place(l, slots, sizeof *o->slot_row);
    o->slot_weight = place(l, slots, sizeof *o->slot_weight);
    o->active = place(l, experts, sizeof *o->active);
    o->x = place(l, slots, m->info.n_embd * sizeof *o->x);
    o->up = place(l, slots, ff * sizeof *o->up);
    o->gate = place(l, slots, ff * sizeof *o->gate);
    place_act(l, &o->act, slots, (m->info.n_embd > ff ? m->info.n_embd : ff) + 31);
}

static void place_mla(struct forward *f, struct layout *l)
{
    const struct mla *a = f->m->mla;
    size_t rows = f->max_rows, heads = f->m->info.n_head;
    struct forward_mla *o = &f->mla;
    o->q_down = place(l, rows, a->q_rank * 4ull);
    o->q = place(l, rows, heads * (a->n_plain + a->n_rope) * 4ull);
    o->kv_down = place(l, rows, (a->kv_rank + a->n_rope) * 4ull);
    o->values = place(l, rows, heads * a->n_value * 4ull);
    if (a->absorbed) {
        o->plain = place(l, heads * rows, a->kv_rank * 4ull);
        o->parts = place(l, heads * rows, a->n_value * 4ull);
        place_act(l, &o->act, heads * rows, a->kv_rank > a->n_plain ? a->kv_rank : a->n_plain);
    } else {
        o->kv = place(l, rows, heads * (a->n_plain + a->n_value) * 4ull);
    }
}

static bool keeps(const struct model *m)
{
    for (size_t s = 0; s < m->n_stages; s++)
        if (m->stages[s].keep) return true;
    return false;
}

static void place_thread(const struct forward *f, struct layout *l, struct forward_thread *th)
{
    const struct model *m = f->m;
    size_t cols = f->max_cols, hd = m->info.head_dim, vd = m->info.v_dim, experts, ff;
    th->matmul = place(l, 1, KERN_MATMUL_SCRATCH);
    th->q = place(l, KERN_ATTN_MAX_Q, hd * 4);
    th->out = place(l, KERN_ATTN_MAX_Q, vd * 4);
    th->n_kv = place(l, KERN_ATTN_MAX_Q, 4);
    th->kv0 = place(l, KERN_ATTN_MAX_Q, 4);
    th->pos = place(l, KERN_ATTN_MAX_Q, 4);
    th->slope = place(l, KERN_ATTN_MAX_Q, 4);
    th->sink = place(l, KERN_ATTN_MAX_Q, 4);
    th->attn = place(l, 1, kern_attn_scratch_bytes(hd, vd));
    th->norm = place(l, cols, 4);
    place_act(l, &th->act, 1, cols);
    if (!m->max_used) return;
    widest_moe(m, &experts, &ff);
    th->scores = place(l, experts, sizeof *th->scores);
    th->choices = place(l, m->max_used, sizeof *th->choices);
    place_act(l, &th->slots, m->max_used, ff + 31);
}

static void place_all(struct forward *f, struct layout *l)
{
    const struct model_info *i = &f->m->info;
    size_t rows = f->max_rows, cols = f->max_cols, hd = i->head_dim, vd = i->v_dim;
    int n = pool_n_threads(f->pool);
    f->x = place(l, rows, i->n_embd * 4ull);
    f->norm = place(l, rows, cols * 4ull);
    f->q = place(l, rows, (uint64_t)i->n_head * hd * 4);
    f->k = place(l, rows, (uint64_t)i->n_head_kv * hd * 4);
    f->v = place(l, rows, (uint64_t)i->n_head_kv * vd * 4);
    f->att = place(l, rows, (uint64_t)i->n_head * vd * 4);
    f->gate = place(l, rows, f->max_ff * 4ull);
    f->up = place(l, rows, f->max_ff * 4ull);
    f->tmp = place(l, rows, i->n_embd * 4ull);
    if (keeps(f->m)) f->kept = place(l, rows, i->n_embd * 4ull);
    for (uint32_t r = 0; r < f->m->n_ropes; r++)
        f->cs[r] = place(l, rows, f->m->ropes[r].n_dims * 4ull);
    place_act(l, &f->act, rows, cols);
    f->counters = place(l, f->m->n_stages, COUNTERS * sizeof *f->counters);
    f->spans = place(l, rows, sizeof *f->spans);
    f->units = place(l, rows, sizeof *f->units);
    if (f->m->max_used) place_moe(f, l);
    if (f->m->mla) place_mla(f, l);
    f->logit_rows = place(l, rows, sizeof *f->logit_rows);
    for (int t = 0; t < n; t++) {
        struct forward_thread th = {0};
        place_thread(f, l, &th);
        if (l->base) f->threads[t] = th;
    }
}

static size_t widest_input(const struct model *m)
{
    size_t w = m->info.n_embd;
    for (size_t s = 0; s < m->n_stages; s++)
        for (int i = 0; i < STAGE_MATRICES; i++)
            if (m->stages[s].w[i].mat.n_cols > w) w = m->stages[s].w[i].mat.n_cols;
    return (w + 31) / 32 * 32;
}

enum status forward_create(const struct model *m, int n_threads, size_t max_rows,
                           struct forward **out, struct error *err)
{
    *out = NULL;
    if (max_rows < 1 || max_rows > 65536)
        return error_set(err, ERR_INVALID, "a batch of %zu rows: use 1 to 65536", max_rows);
    struct forward *f = calloc(1, sizeof *f);
    if (!f) return error_set(err, ERR_NOMEM, "out of memory for the forward pass");
    f->m = m;
    f->max_rows = max_rows;
    f->max_cols = widest_input(m);
    f->max_ff = widest_ff(m);
    if (n_threads <= 0) n_threads = machine_physical_cores();
    enum status st = kern_select(NULL, &f->ops, err);
    if (!st) st = pool_create(n_threads, &f->pool, err);
    if (st) goto out;
    struct layout l = {0};
    f->threads = calloc((size_t)n_threads, sizeof *f->threads);
    place_all(f, &l);
    if (!l.overflow) f->memory = aligned_alloc(64, (size_t)l.used);
    if (!f->threads || !f->memory) {
        st = error_set(err, ERR_NOMEM,
                       "out of memory for a batch of %zu rows (%llu MB): use a smaller batch",
                       max_rows, (unsigned long long)(l.used >> 20));
        goto out;
    }
    l = (struct layout){.base = f->memory};
    place_all(f, &l);
out:
    if (st) {
        forward_destroy(f);
        return st;
    }
    *out = f;
    return OK;
}

void forward_destroy(struct forward *f)
{
    if (!f) return;
    pool_destroy(f->pool);
    free(f->threads);
    free(f->memory);
    free(f);
}

int forward_n_threads(const struct forward *f)
{
    return pool_n_threads(f->pool);
}

size_t forward_max_rows(const struct forward *f)
{
    return f->max_rows;
}

/* ---- one pass ---------------------------------------------------------------------------------
 */

static enum status plan_spans(struct forward *f, struct error *err)
{
    f->n_spans = 0;
    for (size_t r = 0; r < f->n_rows; r++) {
        const struct forward_row *row = &f->rows[r];
        if (row->token < 0 || (uint32_t)row->token >= f->m->info.n_vocab)
            return error_set(err, ERR_INVALID, "token %d is outside the vocabulary of %u",
                             row->token, f->m->info.n_vocab);
        if (row->segment && row->segment >= f->m->info.n_segments)
            return error_set(err, ERR_INVALID, "segment %u of a model that knows %u",
                             (unsigned)row->segment, f->m->info.n_segments);
        struct span *last = f->n_spans ? &f->spans[f->n_spans - 1] : NULL;
        if (last && last->seq == row->seq) {
            last->n_rows++;
            continue;
        }
        for (size_t s = 0; s < f->n_spans; s++)
            if (f->spans[s].seq == row->seq)
                return error_set(err, ERR_INVALID, "rows of one sequence must follow each other");
        f->spans[f->n_spans++] = (struct span){row->seq, r, 1, kv_seq_len(row->seq)};
        if (f->m->info.encoder && kv_seq_len(row->seq))
            return error_set(err, ERR_INVALID, "an encoder's text cannot be continued");
    }
    const struct gguf_tensor *learned = f->m->stages[0].positions;
    for (size_t s = 0; learned && s < f->n_spans; s++)
        if (f->spans[s].pos0 + f->spans[s].n_rows > learned->ne[1])
            return error_set(err, ERR_LIMIT, "this model knows %llu positions and no more",
                             (unsigned long long)learned->ne[1]);
    return OK;
}

static void plan_units(struct forward *f)
{
    const struct model_info *i = &f->m->info;
    size_t step = KERN_ATTN_MAX_Q / (i->n_head / i->n_head_kv);
    if (step < 1) step = 1;
    f->n_units = 0;
    for (size_t s = 0; s < f->n_spans; s++)
        for (size_t r = 0; r < f->spans[s].n_rows; r += step) {
            size_t left = f->spans[s].n_rows - r;
            f->units[f->n_units++] =
                (struct attn_unit){(uint32_t)(f->spans[s].row0 + r),
                                   (uint32_t)(left < step ? left : step), &f->spans[s]};
        }
}

/* Pages that were reserved for rows that did not come to be go back to the pool. */
static void release_reserved(struct forward *f)
{
    for (size_t s = 0; s < f->n_spans; s++) kv_seq_truncate(f->spans[s].seq, f->spans[s].pos0);
}

static enum status run(struct forward *f, const struct forward_row *rows, size_t n_rows,
                       float *logits, const volatile int *cancel, struct error *err)
{
    if (n_rows == 0) return OK;
    if (n_rows > f->max_rows)
        return error_set(err, ERR_INVALID, "a batch of %zu rows is larger than %zu", n_rows,
                         f->max_rows);
    f->rows = rows;
    f->n_rows = n_rows;
    f->logits = logits;
    f->cancel = cancel;
    enum status st = plan_spans(f, err);
    f->n_logits = 0;
    for (size_t r = 0; r < n_rows; r++)
        if (rows[r].logits) f->logit_rows[f->n_logits++] = (uint32_t)r;
    if (!st && f->n_logits && !logits)
        st = error_set(err, ERR_INVALID, "logits are asked for, but there is no room for them");
    if (st) return st;
    for (size_t s = 0; s < f->n_spans && !st; s++)
        st = kv_seq_reserve(f->spans[s].seq, f->spans[s].n_rows, err);
    if (st) {
        release_reserved(f);
        return st;
    }
    plan_units(f);
    for (size_t c = 0; c < f->m->n_stages * COUNTERS; c++)
        atomic_store_explicit(&f->counters[c], 0, memory_order_relaxed);
    atomic_store(&f->stop_after, SIZE_MAX);
    pool_run(f->pool, forward_stages, f);
    if (atomic_load(&f->stop_after) != SIZE_MAX) {
        release_reserved(f);
        return error_set(err, ERR_CANCELLED, "cancelled");
    }
    for (size_t s = 0; s < f->n_spans; s++) kv_seq_advance(f->spans[s].seq, f->spans[s].n_rows);
    return OK;
}

enum status forward_run(struct forward *f, const struct forward_row *rows, size_t n_rows,
                        float *logits, const volatile int *cancel, struct error *err)
{
    if (f->m->info.encoder)
        return error_set(err, ERR_UNSUPPORTED, "%s models have no logits", f->m->info.arch);
    f->hidden = false;
    return run(f, rows, n_rows, logits, cancel, err);
}

enum status forward_hidden(struct forward *f, const struct forward_row *rows, size_t n_rows,
                           float *hidden, const volatile int *cancel, struct error *err)
{
    f->hidden = true;
    return run(f, rows, n_rows, hidden, cancel, err);
}
