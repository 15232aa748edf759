/* How the threads of a forward pass share a stage's work. Every thread walks through all stages;
 * work is handed out in units by counters of the stage, and a barrier stands where one thread reads
 * what another wrote. No unit's result depends on which thread takes it. */
#ifndef HEARTH_MODEL_FORWARD_WORK_H
#define HEARTH_MODEL_FORWARD_WORK_H

#include "model/forward_int.h"

/* Weights of the next stage that has some, which a waiting thread brings near: memory is the limit
 * of a single row, and would rest at every barrier. */
struct ahead {
    const struct stage *stage; /* whose weights these are */
    const uint8_t *at, *end;
};

/* One thread's way through the stages. */
struct thread_ctx {
    struct forward *f;
    struct forward_thread *own;
    const struct stage *s;
    size_t stage_index;
    int thread, n_threads;
    struct ahead ahead;
};

static inline size_t work_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t work_panels(const struct kern_matrix *w)
{
    return (w->n_rows + KERN_PANEL - 1) / KERN_PANEL;
}

/* The stage's counter (0 .. COUNTERS - 1) before `step` is added to it. */
size_t work_take(struct thread_ctx *c, int counter, size_t step);
/* The next unit of `panels` panels; false where none is left. */
bool work_take_panels(struct thread_ctx *c, int counter, size_t panels, size_t *p0, size_t *p1);
/* Waits for all threads. */
void work_barrier(struct thread_ctx *c);

/* y = norm(x), n floats; the norm is not NORM_NONE. */
void work_norm(const struct forward *f, const struct norm *norm, float *y, const float *x,
               size_t n);

/* Prepares n rows of n_cols floats (normalised where the stage has a norm) as the stage's
 * activations; `selected`: those that ask for logits. Ends with a barrier unless the single row was
 * prepared by each thread for itself. */
const struct kern_act *work_prepare(struct thread_ctx *c, const float *src, size_t n_cols, size_t n,
                                    bool selected);

typedef void (*work_panels_fn)(struct thread_ctx *c, const struct kern_act *act, size_t p0,
                               size_t p1);
/* Calls fn for ranges of panels until all are taken. */
void work_each_panels(struct thread_ctx *c, int counter, size_t panels, work_panels_fn fn,
                      const struct kern_act *act);
/* The formats of activations that the stage's matrices read, as a set of bits. */
unsigned work_formats(const struct stage *s);
/* Panels [p0, p1) of a product; y has w->n_rows floats a row. */
void work_multiply(struct thread_ctx *c, const struct kern_matrix *w, const struct kern_act *act,
                   float *y, size_t p0, size_t p1);
/* Columns [*c0, *c1) of a product that panels [p0, p1) make. */
void work_columns(const struct kern_matrix *w, size_t p0, size_t p1, size_t *c0, size_t *c1);

/* Rows [slot0, slot0 + n) of a buffer for many, as activations of their own; f32: their first. */
struct kern_act work_act_slice(const struct kern_act *buffer, size_t slot0, size_t n,
                               const float *f32, size_t f32_stride, size_t n_cols);

/* Keys and values of all rows to the cache, where attention does not do it itself. */
void attn_fill_cache(struct thread_ctx *c);

/* The stages of latent attention. */
void mla_down(struct thread_ctx *c);
void mla_q(struct thread_ctx *c);
void mla_kv(struct thread_ctx *c);
void mla_out(struct thread_ctx *c);

/* The stages of a mixture of experts. */
void moe_route(struct thread_ctx *c);
void moe_in(struct thread_ctx *c);
void moe_out(struct thread_ctx *c);

/* Whether this mixture's stages are done as for a single row: moe_route leaves each thread its own
 * copy of the choices, and no slots. */
bool moe_single(const struct thread_ctx *c);
void moe_single_in(struct thread_ctx *c);
void moe_single_out(struct thread_ctx *c);

#endif
