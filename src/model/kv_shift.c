#include "model/kv_shift.h"

#include <math.h>
#include <stdlib.h>

#include "kern/kern.h"
#include "model/model_int.h"

/* One move: from position `src` of one sequence to position `dst` of another. */
struct shift {
    const struct kv_layout *layout;
    const struct kern_ops *ops;
    const struct rope *rope;
    float *cs;    /* [n_dims]: the turn, the same for all positions */
    float *k, *v; /* [head_dim] */
};

static void set_turn(struct shift *s, double distance)
{
    for (uint32_t i = 0; i < s->rope->n_dims / 2; i++) {
        double angle = distance * (double)s->rope->inv_freq[i];
        s->cs[2 * i] = (float)cos(angle);
        s->cs[2 * i + 1] = (float)sin(angle);
    }
}

static void move(const struct shift *s, const uint8_t *src_page, size_t src, uint8_t *dst_page,
                 size_t dst)
{
    const struct kv_layout *l = s->layout;
    for (uint32_t layer = 0; layer < l->n_layer; layer++)
        for (uint32_t h = 0; h < l->n_head_kv; h++) {
            kv_read(l, s->ops, src_page, layer, h, src, NULL, s->k, s->v);
            s->ops->rope(s->k, s->cs, s->rope->n_dims, s->rope->neox);
            kv_write(l, s->ops, dst_page, layer, h, dst, NULL, s->k, s->v);
        }
}

enum status kv_shift_append(const struct model *m, struct kv_seq *to, const struct kv_seq *from,
                            size_t at, size_t n, struct error *err)
{
    struct shift s = {.layout = kv_seq_layout(from), .rope = &m->rope};
    size_t len = kv_seq_len(from), start = kv_seq_len(to), hd = s.layout->head_dim;
    if (s.layout->type->k != KERN_KV_F16 || s.layout->type->v != KERN_KV_F16)
        return error_set(err, ERR_UNSUPPORTED, "only a KV cache of type f16 can be shifted");
    if (at > len || n > len - at)
        return error_set(err, ERR_INVALID, "cannot shift %zu positions from %zu of %zu", n, at,
                         len);
    enum status st = kern_select(NULL, &s.ops, err);
    if (st) return st;
    s.cs = malloc((s.rope->n_dims + 2 * hd) * sizeof *s.cs);
    if (!s.cs) return error_set(err, ERR_NOMEM, "out of memory to shift the KV cache");
    s.k = s.cs + s.rope->n_dims;
    s.v = s.k + hd;
    st = kv_seq_reserve(to, n, err);
    if (!st) {
        set_turn(&s, (double)start - (double)at);
        for (size_t i = 0; i < n; i++)
            move(&s, kv_seq_pages(from)[(at + i) / KERN_KV_PAGE], (at + i) % KERN_KV_PAGE,
                 kv_seq_pages(to)[(start + i) / KERN_KV_PAGE], (start + i) % KERN_KV_PAGE);
        kv_seq_advance(to, n);
    }
    free(s.cs);
    return st;
}
