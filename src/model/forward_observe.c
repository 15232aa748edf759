/* Showing what matrices are multiplied with to whoever asked for it. */
#include "model/forward_int.h"

void forward_observe(struct forward *f, forward_observer fn, void *ctx)
{
    f->observer = fn;
    f->observer_ctx = ctx;
}

/* Whether an earlier matrix of the stage is of the same tensor: then they have one input. */
static bool shown_before(const struct stage *s, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (s->w[k].mat.n_rows && s->w[k].src == s->w[i].src) return true;
    return false;
}

static void show(const struct forward *f, const struct stage *s, bool stacks,
                 struct forward_input in)
{
    for (size_t i = 0; i < STAGE_MATRICES; i++) {
        const struct weight *w = &s->w[i];
        if (!w->mat.n_rows || (w->n_parts > 1) != stacks || shown_before(s, i)) continue;
        in.tensor = w->src;
        in.n_cols = w->mat.n_cols;
        f->observer(f->observer_ctx, &in);
    }
}

void forward_show_stage(const struct forward *f, const struct stage *s, const struct kern_act *act)
{
    show(f, s, false,
         (struct forward_input){.x = act->f32, .stride = act->f32_stride, .n_rows = act->n_rows});
}

void forward_show_part(const struct forward *f, const struct stage *s, uint32_t part,
                       const float *x, size_t stride, size_t n_rows)
{
    show(f, s, true,
         (struct forward_input){.part = part, .x = x, .stride = stride, .n_rows = n_rows});
}
