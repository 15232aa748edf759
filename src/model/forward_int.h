/* The CPU backend's forward pass: buffers (forward.c), how threads share them (forward_work.c),
 * stages (forward_stages.c), experts (forward_moe.c), latent attention
 * (forward_mla.c) and what surrounds attention (forward_attn.c).
 */
#ifndef HEARTH_MODEL_FORWARD_INT_H
#define HEARTH_MODEL_FORWARD_INT_H

#include <stdatomic.h>

#include "base/pool.h"
#include "model/model_int.h"

/* Rows of one sequence, next to each other in the batch. */
struct span {
    struct kv_seq *seq;
    size_t row0, n_rows;
    size_t pos0; /* position of the first row */
};

/* Rows that one call of the attention kernel takes. */
struct attn_unit {
    uint32_t row0, n_rows;
    const struct span *span;
};

/* One expert's rows of a pass: slots [slot0, slot0 + n). */
struct expert_rows {
    uint32_t expert, slot0, n;
};

/* What a row's k-th expert is: its weight, and where its row stands among that expert's. */
struct expert_choice {
    uint32_t expert, slot;
    float weight;
};

/* What one thread needs for itself. */
struct forward_thread {
    void *matmul; /* KERN_MATMUL_SCRATCH bytes */
    /* Queries of one call of the attention kernel and what it wants to know of each:
     * [KERN_ATTN_MAX_Q], the vectors of head_dim and v_dim floats */
    float *q, *out;
    uint32_t *n_kv, *kv0, *pos;
    float *slope, *sink;
    void *attn; /* kern_attn_scratch_bytes */
    /* A single row's input is prepared by every thread for itself: this saves a barrier, and
     * preparing costs less than waiting. */
    float *norm;
    struct kern_act act;
    struct kern_act view; /* of the stage's activations: buffers of its own or all threads' */
    /* The same goes for a single row's experts. */
    float *scores;                 /* [n_expert] */
    struct expert_choice *choices; /* [n_used], without slots */
    struct kern_act slots;         /* [n_used]: what goes into their second matrices */
};

/* Buffers of a mixture of experts. A slot is a row seen by one of its experts; an expert's slots
 * stand together. */
struct forward_moe {
    float *scores;                 /* [rows][n_expert] */
    struct expert_choice *choices; /* [rows][n_used] */
    float *shared;                 /* [rows]: how much a shared expert counts */
    uint32_t *slot_row;            /* [slots] */
    float *slot_weight;            /* [slots] */
    struct expert_rows *active;    /* [n_expert]: experts with rows, ascending */
    uint32_t n_active;
    float *x;            /* [slots][n_embd]: inputs, later outputs */
    float *up, *gate;    /* [slots][n_ff] */
    struct kern_act act; /* [slots] */
};

/* Buffers of multi-head latent attention; see the stages in model_int.h. */
struct forward_mla {
    float *q_down;       /* [rows][q_rank] */
    float *q;            /* [rows][n_head][n_plain + n_rope], in that order */
    float *kv_down;      /* [rows][kv_rank + n_rope] */
    float *kv;           /* [rows][n_head][n_plain + n_value]; not absorbed */
    float *plain;        /* [n_head][rows][kv_rank]: queries in the latent space */
    float *values;       /* [rows][n_head * n_value] */
    float *parts;        /* [n_head][rows][n_value] */
    struct kern_act act; /* [n_head * rows] */
};

struct forward {
    const struct model *m;
    const struct kern_ops *ops;
    struct pool *pool;
    size_t max_rows, max_cols, max_ff;
    void *memory; /* one allocation behind all buffers */
    struct forward_thread *threads;
    float *x;                   /* [rows][n_embd]: residual stream */
    float *norm;                /* [rows][max_cols]: normalised input of a stage */
    float *q, *k;               /* [rows][heads * head_dim] */
    float *v, *att;             /* [rows][heads * v_dim] */
    float *gate, *up;           /* [rows][max_ff] */
    float *kept;                /* [rows][n_embd], or NULL: x as a layer found it */
    float *tmp;                 /* [rows][n_embd]: a product before it is added to x */
    float *cs[MODEL_MAX_ROPES]; /* [rows][n_dims] of each rope: cosines and sines */
    struct kern_act act;        /* buffers for max_rows x max_cols */
    atomic_uint *counters;      /* next unit of work, COUNTERS a stage */
    struct span *spans;
    struct attn_unit *units;
    uint32_t *logit_rows;
    struct forward_moe moe; /* where the model has experts */
    struct forward_mla mla; /* where it has latent attention */
    forward_observer observer; /* or NULL */
    void *observer_ctx;

    /* the pass in progress */
    const struct forward_row *rows;
    size_t n_rows, n_spans, n_units, n_logits;
    float *logits;
    bool hidden; /* logits is for hidden states */
    const volatile int *cancel;
    atomic_size_t stop_after; /* stage after whose last barrier all threads return */
};

enum { COUNTERS = 3 };

/* Keys and values of a unit's rows and KV head h to the cache; `in` is the layer's ATTN_IN stage.
 */
void forward_cache(struct forward *f, const struct stage *in, const struct attn_unit *u,
                   uint32_t h);
/* f->att of a unit's rows, for the heads that share KV head h. */
void forward_attend(struct forward *f, const struct forward_thread *own, const struct stage *in,
                    const struct attn_unit *u, uint32_t h);

/* For a pass with an observer, by one thread at a time: shows it the input of a stage's matrices but
 * stacks, and that of part `part` of its stacks, n_rows of `stride` floats. */
void forward_show_stage(const struct forward *f, const struct stage *s, const struct kern_act *act);
void forward_show_part(const struct forward *f, const struct stage *s, uint32_t part,
                       const float *x, size_t stride, size_t n_rows);

/* Runs all stages as thread `thread`; a pool function, ctx is the struct forward. */
void forward_stages(void *ctx, int thread);

#endif
