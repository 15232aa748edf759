/* Template: matrices times activations: which kernel does what. */
#include "kern/cpu/types_tmpl.h"

#include "kern/cpu/gemv_tmpl.h"

#include "kern/cpu/gemm_tmpl.h"

#include "kern/cpu/gemm_float_tmpl.h"

struct type_kernels {
    uint32_t id;            /* of the packed form */
    int subs, dot;          /* scales a block of 32 columns; DOT_... */
    few_fn *few[V_FEW_MAX]; /* for 1, 2, ... rows */
    unpack_fn *unpack;
    tile_fn *tile[V_ROWS_MAX];
};

#define FEW_ENTRY(N, NAME)                   few_##NAME##_##N,
#define TILE_ENTRY(N, SUBS, MIN, SHIFT, DOT) tile_##N##_##SUBS##MIN##SHIFT##DOT,
#define TYPE_ENTRY(ID, NAME, BLOCKS, SUBS, MIN, SHIFT, DOT, UNIT)                                  \
    {ID,                                                                                           \
     SUBS,                                                                                         \
     DOT,                                                                                          \
     {EACH_FEW(FEW_ENTRY, NAME)},                                                                  \
     unpack_##NAME,                                                                                \
     {EACH_ROWS(TILE_ENTRY, SUBS, MIN, SHIFT, DOT)}},
static const struct type_kernels type_kernels[] = {EACH_TYPE(TYPE_ENTRY)};

static void multiply(const struct kern_matrix *w, const struct kern_act *act, float *y,
                     size_t y_stride, size_t panel0, size_t panel1, void *scratch)
{
    if (kern_act_format(w->type, w->n_cols) == KERN_ACT_FLOAT) {
        matmul_float(w, act, y, y_stride, panel0, panel1);
        return;
    }
    const struct type_kernels *k = type_kernels;
    const uint32_t form = pack_form_of(w->type->id)->type;
    while (k->id != form) k++;
    if (act->n_rows <= V_FEW_ROWS) {
        struct few m = {k->few, k->subs, k->dot, w, act, y, y_stride,
                        kern_panel_bytes(w->type, w->n_cols)};
        matmul_few(&m, panel0, panel1);
        return;
    }
    struct gemm g = {k->unpack, k->tile, k->subs, k->dot, w, act, y, y_stride, scratch};
    matmul_many(&g, panel0, panel1);
}

static void ops_matmul(const struct kern_matrix *w, const struct kern_act *act, float *y,
                       size_t y_stride, size_t panel0, size_t panel1, void *scratch)
{
    multiply(w, act, y, y_stride, panel0, panel1, scratch);
    if (w->scale == 0 || w->scale == 1) return;
    size_t end = panel1 * KERN_PANEL < w->n_rows ? panel1 * KERN_PANEL : w->n_rows;
    for (size_t r = 0; r < act->n_rows; r++)
        for (size_t o = panel0 * KERN_PANEL; o < end; o++) y[r * y_stride + o] *= w->scale;
}
