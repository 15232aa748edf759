/* Template: F32 weights, and F16 and BF16 in rows that are no multiple of 32 columns: one fused multiply-add a column, columns ascending. */

/* Activations that should stay in the second-level cache. */
#define FLOAT_BLOCK_BYTES (512 * 1024)

enum { FLOAT_F32, FLOAT_F16, FLOAT_BF16 };

INLINE vf load_weights(const int kind, const uint8_t *p, size_t k)
{
    if (kind == FLOAT_F32) return vf_load((const float *)p + 16 * k);
    if (kind == FLOAT_F16) return vf_load_f16((const uint16_t *)p + 16 * k);
    return vf_load_bf16((const uint16_t *)p + 16 * k);
}

INLINE void float_rows(const int kind, const int n, const uint8_t *p, size_t n_cols,
                       const float *x, size_t stride, float *out)
{
    vf f[V_FLOAT_ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) f[i] = vf_zero();
    for (size_t k = 0; k < n_cols; k++) {
        vf wv = load_weights(kind, p, k);
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            f[i] = vf_fma(wv, vf_set1(x[(size_t)i * stride + k]), f[i]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) vf_store(out + 16 * i, f[i]);
}

/* As many rows as there are kernels for, at most `left`; returns how many. */
#define TRY_FLOAT(KIND, N)                                                                         \
    if (V_FLOAT_ROWS >= (N) && left >= (N)) {                                                      \
        float_rows(KIND, (N) < V_FLOAT_ROWS ? (N) : V_FLOAT_ROWS, p, n_cols, x, stride, out);      \
        return N;                                                                                  \
    }
#define DEFINE_FLOAT(NAME, KIND)                                                                   \
    static size_t NAME(const uint8_t *p, size_t n_cols, const float *x, size_t stride,             \
                       size_t left, float *out)                                                    \
    {                                                                                              \
        TRY_FLOAT(KIND, 8)                                                                         \
        TRY_FLOAT(KIND, 4)                                                                         \
        TRY_FLOAT(KIND, 2)                                                                         \
        float_rows(KIND, 1, p, n_cols, x, stride, out);                                            \
        return 1;                                                                                  \
    }
DEFINE_FLOAT(float_f32, FLOAT_F32)
DEFINE_FLOAT(float_f16, FLOAT_F16)
DEFINE_FLOAT(float_bf16, FLOAT_BF16)

typedef size_t float_fn(const uint8_t *p, size_t n_cols, const float *x, size_t stride, size_t left,
                        float *out);

static void matmul_float(const struct kern_matrix *w, const struct kern_act *act, float *y,
                         size_t y_stride, size_t panel0, size_t panel1)
{
    uint32_t id = w->type->id;
    float_fn *fn = id == QUANT_F32 ? float_f32 : id == QUANT_F16 ? float_f16 : float_bf16;
    size_t bytes = kern_panel_bytes(w->type, w->n_cols);
    size_t step = FLOAT_BLOCK_BYTES / (w->n_cols * 4) / V_FLOAT_ROWS * V_FLOAT_ROWS;
    if (step < V_FLOAT_ROWS) step = V_FLOAT_ROWS;
    for (size_t r0 = 0; r0 < act->n_rows; r0 += step) {
        size_t r1 = r0 + step < act->n_rows ? r0 + step : act->n_rows;
        for (size_t p = panel0; p < panel1; p++)
            for (size_t r = r0; r < r1;) {
                float out[V_FLOAT_ROWS * KERN_PANEL];
                size_t n = fn(w->data + p * bytes, w->n_cols, act->f32 + r * act->f32_stride,
                              act->f32_stride, r1 - r, out);
                for (size_t i = 0; i < n; i++, r++)
                    store_outputs(y + r * y_stride + p * KERN_PANEL, out + 16 * i,
                                  panel_rows(w, p));
            }
    }
}
