/* Showing what matrices are multiplied with to whoever asked for it. */
#include "model/forward_int.h"

void forward_observe(struct forward *f, forward_observer fn, void *ctx)
{
    f->observer = fn;
    f->observer_ctx = ctx;
}

void forward_show(const struct forward *f, const struct weight *w, uint32_t part, const float *x,
                  size_t stride, size_t n_rows)
{
    struct forward_input in = {.tensor = w->src,
                               .part = part,
                               .x = x,
                               .stride = stride,
                               .n_rows = n_rows,
                               .n_cols = w->mat.n_cols};
    f->observer(f->observer_ctx, &in);
}

void forward_show_stage(const struct forward *f, const struct stage *s, const struct kern_act *act)
{
    for (size_t i = 0; i < STAGE_MATRICES; i++) {
        /* Only the stage itself knows which rows a part of a stack is multiplied with. */
        bool shown = !s->w[i].mat.n_rows || s->w[i].n_parts > 1;
        /* Matrices that are rows of one tensor have one input. */
        for (size_t k = 0; k < i && !shown; k++)
            shown = s->w[k].mat.n_rows && s->w[k].src == s->w[i].src;
        if (!shown) forward_show(f, &s->w[i], 0, act->f32, act->f32_stride, act->n_rows);
    }
}
