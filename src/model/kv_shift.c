#include "model/kv_shift.h"

#include <math.h>
#include <stdlib.h>

#include "kern/kern.h"
#include "model/model_int.h"

/* Moves from positions of one sequence to those of another, all by the same distance. */
struct shift {
    const struct model *m;
    const struct kv_layout *layout;
    const struct kern_ops *ops;
    float *cs[MODEL_MAX_ROPES]; /* [n_dims] of each rope: the turn */
    float *k, *v;               /* [head_dim], [v_dim] */
};

static size_t floats_needed(const struct shift *s)
{
    size_t n = s->layout->head_dim + s->layout->v_dim;
    for (uint32_t i = 0; i < s->m->n_ropes; i++) n += s->m->ropes[i].n_dims;
    return n;
}

static void place(struct shift *s, float *at)
{
    for (uint32_t i = 0; i < s->m->n_ropes; i++) {
        s->cs[i] = at;
        at += s->m->ropes[i].n_dims;
    }
    s->k = at;
    s->v = at + s->layout->head_dim;
}

static void set_turns(struct shift *s, const struct kv_seq *seq, double distance)
{
    for (uint32_t r = 0; r < s->m->n_ropes; r++) {
        const float *freq = rope_frequencies(&s->m->ropes[r], seq);
        for (uint32_t i = 0; i < s->m->ropes[r].n_dims / 2; i++) {
            double angle = distance * (double)freq[i];
            s->cs[r][2 * i] = (float)cos(angle);
            s->cs[r][2 * i + 1] = (float)sin(angle);
        }
    }
}

static void move(const struct shift *s, const uint8_t *src_page, size_t src, uint8_t *dst_page,
                 size_t dst)
{
    const struct kv_layout *l = s->layout;
    for (uint32_t layer = 0; layer < l->n_layer; layer++) {
        const struct rope *rope = s->m->attn_in[layer]->attn->rope;
        for (uint32_t h = 0; h < l->n_head_kv; h++) {
            kv_read(l, s->ops, src_page, layer, h, src, NULL, s->k, s->v);
            if (rope) s->ops->rope(s->k, s->cs[rope - s->m->ropes], rope->n_dims, rope->neox);
            kv_write(l, s->ops, dst_page, layer, h, dst, NULL, s->k, s->v);
        }
    }
}

enum status kv_shift_append(const struct model *m, struct kv_seq *to, const struct kv_seq *from,
                            size_t at, size_t n, struct error *err)
{
    struct shift s = {.m = m, .layout = kv_seq_layout(from)};
    size_t len = kv_seq_len(from), start = kv_seq_len(to);
    if (s.layout->type->k != KERN_KV_F16 || s.layout->type->v != KERN_KV_F16)
        return error_set(err, ERR_UNSUPPORTED, "only a KV cache of type f16 can be shifted");
    if (m->stages[0].positions)
        return error_set(err, ERR_UNSUPPORTED,
                         "keys of a model with learned positions cannot be moved");
    if (at > len || n > len - at)
        return error_set(err, ERR_INVALID, "cannot shift %zu positions from %zu of %zu", n, at,
                         len);
    enum status st = kern_select(NULL, &s.ops, err);
    if (st) return st;
    float *memory = malloc(floats_needed(&s) * sizeof *memory);
    if (!memory) return error_set(err, ERR_NOMEM, "out of memory to shift the KV cache");
    place(&s, memory);
    st = kv_seq_reserve(to, n, err);
    if (!st) {
        set_turns(&s, to, (double)start - (double)at);
        for (size_t i = 0; i < n; i++)
            move(&s, kv_seq_pages(from)[(at + i) / KERN_KV_PAGE], (at + i) % KERN_KV_PAGE,
                 kv_seq_pages(to)[(start + i) / KERN_KV_PAGE], (start + i) % KERN_KV_PAGE);
        kv_seq_advance(to, n);
    }
    free(memory);
    return st;
}
