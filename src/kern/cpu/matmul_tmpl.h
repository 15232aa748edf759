/* Template: matrices times activations, after unpack_tmpl.h.
 *
 * One row of activations multiplies straight from the packed panel. More rows unpack a panel once
 * into scratch records and run register tiles of up to V_ROWS_MAX rows over them. Both add, per
 * output, the same terms in the same order:
 *
 *   for each block of 32 columns, or 16 where the activations have a scale for each 16, ascending:
 *       sum = fma(float(integer dot product) * d, activation scale, sum)
 *       sum = fma(m, activation scale * activation sum, sum)       types with a minimum
 *
 * and so give the same bits. Types whose values have an offset start the integer sum at -offset
 * times the sum of the activations. */

enum { REC_BYTES = 768, REC_D = 512 };
#define ACT_BLOCK_BYTES (512 * 1024) /* activations that should stay in the second-level cache */
#define INLINE static inline __attribute__((always_inline))

/* X(id, name, 32-column blocks a unit, scales a block, has minimum, offset, eight-bit, unit reader) */
#define EACH_TYPE(X)                                                                               \
    X(QUANT_Q4_0, q4_0, 1, 1, 0, 8, 0, unit_d)                                                     \
    X(QUANT_Q4_1, q4_1, 1, 1, 1, 0, 0, unit_dm)                                                    \
    X(QUANT_Q5_0, q5_0, 1, 1, 0, 16, 0, unit_d)                                                    \
    X(QUANT_Q5_1, q5_1, 1, 1, 1, 0, 0, unit_dm)                                                    \
    X(QUANT_Q8_0, q8_0, 1, 2, 0, V_FULL_OFFSET, 1, unit_d)                                         \
    X(QUANT_Q2_K, q2_k, 8, 2, 1, 0, 0, unit_q2_k)                                                  \
    X(QUANT_Q3_K, q3_k, 8, 2, 0, 4, 0, unit_q3_k)                                                  \
    X(QUANT_Q4_K, q4_k, 8, 1, 1, 0, 0, unit_k4)                                                    \
    X(QUANT_Q5_K, q5_k, 8, 1, 1, 0, 0, unit_k4)                                                    \
    X(QUANT_Q6_K, q6_k, 8, 2, 0, 32, 0, unit_d)

/* The correction of each block and row: -offset * sum as an integer, or scale * sum as a float. */
union corr {
    int32_t i;
    float f;
};

/* One tile: pointers to its first block; `w` rows interleaved. */
struct tile {
    const int8_t *q;
    const float *scale;
    const union corr *corr;
    size_t w;
};

static void make_corr(const struct kern_act_q *act, size_t first, size_t n, int has_min,
                      int offset, union corr *dst)
{
    for (size_t i = 0; i < n; i++)
        if (has_min)
            dst[i].f = act->scale[first + i] * (float)act->sum[first + i];
        else
            dst[i].i = -offset * act->sum[first + i];
}

INLINE vi dot_any(int full, vi acc, vb w, vi a)
{
    return full ? v_dot_full(acc, w, a) : v_dot(acc, w, a);
}

/* One block times one row. */
INLINE vf block_row(const struct wblock *o, const int8_t *q, const float *scale,
                    const union corr *corr, int subs, int has_min, int full, vf f)
{
    const int n = 8 / subs;
    for (int h = 0; h < subs; h++) {
        vi s0 = has_min ? vi_zero() : vi_set1(corr[h].i), s1 = vi_zero();
#pragma GCC unroll 4
        for (int g = 0; g < n; g += 2) {
            s0 = dot_any(full, s0, o->w[h * n + g], vi_load4(q + 4 * (h * n + g)));
            s1 = dot_any(full, s1, o->w[h * n + g + 1], vi_load4(q + 4 * (h * n + g + 1)));
        }
        vf x = vf_mul(vi_to_vf(vi_add(s0, s1)), o->d[h]);
        f = vf_fma(x, vf_set1(scale[h]), f);
        if (has_min) f = vf_fma(o->m[h], vf_set1(corr[h].f), f);
    }
    return f;
}

#define DEFINE_TYPE(ID, NAME, BLOCKS, SUBS, MIN, OFF, FULL, UNIT)                                  \
    static void gemv_##NAME(const uint8_t *p, size_t n_blocks, size_t unit_bytes,                  \
                            const struct tile *t, float *out)                                      \
    {                                                                                              \
        vf f = vf_zero();                                                                          \
        for (size_t b = 0; b < n_blocks; b += BLOCKS, p += unit_bytes) {                           \
            struct wunit u;                                                                        \
            UNIT(p, &u);                                                                           \
            for (int j = 0; j < BLOCKS; j++) {                                                     \
                struct wblock o;                                                                   \
                block_##NAME(p, &u, j, &o);                                                        \
                f = block_row(&o, t->q + (b + j) * 32, t->scale + (b + j) * SUBS,                           \
                              t->corr + (b + j) * SUBS, SUBS, MIN, FULL, f);                       \
            }                                                                                      \
        }                                                                                          \
        vf_store(out, f);                                                                          \
    }                                                                                              \
    static void unpack_##NAME(const uint8_t *p, size_t n_blocks, size_t unit_bytes, uint8_t *rec)  \
    {                                                                                              \
        for (size_t b = 0; b < n_blocks; b += BLOCKS, p += unit_bytes) {                           \
            struct wunit u;                                                                        \
            UNIT(p, &u);                                                                           \
            for (int j = 0; j < BLOCKS; j++, rec += REC_BYTES) {                                   \
                struct wblock o;                                                                   \
                block_##NAME(p, &u, j, &o);                                                        \
                for (int g = 0; g < 8; g++) vb_store(rec + 64 * g, o.w[g]);                        \
                float *d = (float *)(rec + REC_D);                                                 \
                for (int h = 0; h < SUBS; h++) {                                                   \
                    vf_store(d + 16 * h, o.d[h]);                                                  \
                    if (MIN) vf_store(d + 16 * (SUBS + h), o.m[h]);                                \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
EACH_TYPE(DEFINE_TYPE)

/* n rows of a tile, from row t0 on, times an unpacked panel; out[16 * i] for row i. */
INLINE void tile_rows(const int n, const int subs, const int has_min, const int full,
                      const uint8_t *rec, size_t n_blocks, const struct tile *t, size_t t0,
                      float *out)
{
    const size_t w = t->w;
    const int8_t *q = t->q + 4 * t0;
    const float *scale = t->scale + t0;
    const union corr *corr = t->corr + t0;
    vf f[V_ROWS_MAX];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) f[i] = vf_zero();
    for (size_t b = 0; b < n_blocks; b++, rec += REC_BYTES) {
        const float *d = (const float *)(rec + REC_D);
#pragma GCC unroll 2
        for (int h = 0; h < subs; h++, corr += w, scale += w) {
            vi s[V_ROWS_MAX];
#pragma GCC unroll 8
            for (int i = 0; i < n; i++) s[i] = has_min ? vi_zero() : vi_set1(corr[i].i);
#pragma GCC unroll 8
            for (int g = 0; g < 8 / subs; g++, q += 4 * w) {
                vb wv = vb_load(rec + 64 * (h * (8 / subs) + g));
#pragma GCC unroll 8
                for (int i = 0; i < n; i++) s[i] = dot_any(full, s[i], wv, vi_load4(q + 4 * i));
            }
            vf dv = vf_load(d + 16 * h);
#pragma GCC unroll 8
            for (int i = 0; i < n; i++)
                f[i] = vf_fma(vf_mul(vi_to_vf(s[i]), dv), vf_set1(scale[i]), f[i]);
            if (has_min) {
                vf mv = vf_load(d + 16 * (subs + h));
#pragma GCC unroll 8
                for (int i = 0; i < n; i++) f[i] = vf_fma(mv, vf_set1(corr[i].f), f[i]);
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) vf_store(out + 16 * i, f[i]);
}

typedef void tile_fn(const uint8_t *rec, size_t n_blocks, const struct tile *t, size_t t0,
                     float *out);

#define DEFINE_TILE(N, SUBS, MIN, FULL)                                                            \
    static void tile_##N##_##SUBS##MIN##FULL(const uint8_t *rec, size_t n_blocks,                  \
                                             const struct tile *t, size_t t0, float *out)          \
    {                                                                                              \
        tile_rows(N, SUBS, MIN, FULL, rec, n_blocks, t, t0, out);                                  \
    }
#if V_ROWS_MAX >= 8
#define EACH_ROWS(X, ...) X(1, __VA_ARGS__) X(2, __VA_ARGS__) X(4, __VA_ARGS__) X(8, __VA_ARGS__)
#define TILE_SET(SUBS, MIN, FULL)                                                                  \
    {tile_1_##SUBS##MIN##FULL, tile_2_##SUBS##MIN##FULL, tile_4_##SUBS##MIN##FULL,                 \
     tile_8_##SUBS##MIN##FULL}
enum { TILE_SIZES = 4 };
#elif V_ROWS_MAX == 1
#define EACH_ROWS(X, ...) X(1, __VA_ARGS__)
#define TILE_SET(SUBS, MIN, FULL)                                                                  \
    {tile_1_##SUBS##MIN##FULL}
enum { TILE_SIZES = 1 };
#else
#define EACH_ROWS(X, ...) X(1, __VA_ARGS__) X(2, __VA_ARGS__) X(4, __VA_ARGS__)
#define TILE_SET(SUBS, MIN, FULL)                                                                  \
    {tile_1_##SUBS##MIN##FULL, tile_2_##SUBS##MIN##FULL, tile_4_##SUBS##MIN##FULL}
enum { TILE_SIZES = 3 };
#endif
EACH_ROWS(DEFINE_TILE, 1, 0, 0)
EACH_ROWS(DEFINE_TILE, 2, 0, 1)
EACH_ROWS(DEFINE_TILE, 1, 1, 0)
EACH_ROWS(DEFINE_TILE, 2, 0, 0)
EACH_ROWS(DEFINE_TILE, 2, 1, 0)

struct type_kernels {
    uint32_t id;
    int subs, has_min, offset;
    void (*gemv)(const uint8_t *p, size_t n_blocks, size_t unit_bytes, const struct tile *t,
                 float *out);
    void (*unpack)(const uint8_t *p, size_t n_blocks, size_t unit_bytes, uint8_t *rec);
    tile_fn *tile[TILE_SIZES]; /* 1, 2, 4, 8 rows, as far as V_ROWS_MAX goes */
};

#define TYPE_ENTRY(ID, NAME, BLOCKS, SUBS, MIN, OFF, FULL, UNIT)                                   \
    {ID, SUBS, MIN, OFF, gemv_##NAME, unpack_##NAME, TILE_SET(SUBS, MIN, FULL)},
static const struct type_kernels type_kernels[] = {EACH_TYPE(TYPE_ENTRY)};

static void store_outputs(float *y, const float *out, size_t n)
{
    memcpy(y, out, n * sizeof *y);
}

static size_t panel_rows(const struct kern_matrix *w, size_t panel)
{
    size_t left = w->n_rows - panel * KERN_PANEL;
    return left < KERN_PANEL ? left : KERN_PANEL;
}

static void matmul_one(const struct kern_matrix *w, const struct type_kernels *k,
                       const struct kern_act *act, float *y, size_t panel0, size_t panel1,
                       union corr *corr)
{
    size_t bytes = kern_panel_bytes(w->type, w->n_cols);
    size_t unit = KERN_PANEL * (size_t)w->type->block_bytes;
    const struct kern_act_q *aq = &act->fmt[k->subs - 1];
    struct tile t = {aq->q, aq->scale, corr, 1};
    make_corr(aq, 0, w->n_cols / 32 * (size_t)k->subs, k->has_min, k->offset, corr);
    for (size_t p = panel0; p < panel1; p++) {
        float out[KERN_PANEL];
        k->gemv(w->data + p * bytes, w->n_cols / 32, unit, &t, out);
        store_outputs(y + p * KERN_PANEL, out, panel_rows(w, p));
    }
}

static void tile_run(const struct type_kernels *k, const uint8_t *rec, size_t n_blocks,
                     const struct tile *t, float *out)
{
    size_t t0 = 0;
    for (int s = TILE_SIZES - 1; s >= 0; s--)
        for (size_t n = (size_t)1 << s; t->w - t0 >= n; t0 += n)
            k->tile[s](rec, n_blocks, t, t0, out + 16 * t0);
}

static size_t rows_per_block(size_t n_cols, size_t elem)
{
    size_t n = ACT_BLOCK_BYTES / (n_cols * elem) & ~(size_t)(KERN_TILE_MAX - 1);
    return n < KERN_TILE_MAX ? KERN_TILE_MAX : n;
}

static void matmul_many(const struct kern_matrix *w, const struct type_kernels *k,
                        const struct kern_act *act, float *y, size_t y_stride, size_t panel0,
                        size_t panel1, uint8_t *rec, union corr *corr)
{
    size_t n_cols = w->n_cols, nb = n_cols / 32, ns = nb * (size_t)k->subs;
    const struct kern_act_q *aq = &act->fmt[k->subs - 1];
    size_t bytes = kern_panel_bytes(w->type, n_cols);
    size_t unit = KERN_PANEL * (size_t)w->type->block_bytes;
    size_t step = rows_per_block(n_cols, 1);
    for (size_t r0 = 0; r0 < act->n_rows; r0 += step) {
        size_t r1 = r0 + step < act->n_rows ? r0 + step : act->n_rows;
        make_corr(aq, r0 * ns, (r1 - r0) * ns, k->has_min, k->offset, corr);
        for (size_t p = panel0; p < panel1; p++) {
            size_t n_out = panel_rows(w, p);
            k->unpack(w->data + p * bytes, nb, unit, rec);
            for (size_t r = r0; r < r1; r += KERN_TILE_MAX) {
                float out[KERN_TILE_MAX * KERN_PANEL];
                size_t wd = r1 - r < KERN_TILE_MAX ? r1 - r : KERN_TILE_MAX;
                struct tile t = {aq->q + r * n_cols, aq->scale + r * ns, corr + (r - r0) * ns, wd};
                tile_run(k, rec, nb, &t, out);
                for (size_t i = 0; i < wd; i++)
                    store_outputs(y + (r + i) * y_stride + p * KERN_PANEL, out + 16 * i, n_out);
            }
        }
    }
}

/* ---- float weights: one fused multiply-add a column, columns ascending -------------------------- */

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
    vf f[V_ROWS_MAX];
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

#define DEFINE_FLOAT(NAME, KIND)                                                                   \
    static void NAME##_many(const uint8_t *p, size_t n_cols, const float *x, size_t stride,        \
                            float *out)                                                            \
    {                                                                                              \
        float_rows(KIND, V_ROWS_MAX, p, n_cols, x, stride, out);                                   \
    }                                                                                              \
    static void NAME##_one(const uint8_t *p, size_t n_cols, const float *x, size_t stride,         \
                           float *out)                                                             \
    {                                                                                              \
        float_rows(KIND, 1, p, n_cols, x, stride, out);                                            \
    }
DEFINE_FLOAT(f32, FLOAT_F32)
DEFINE_FLOAT(f16, FLOAT_F16)
DEFINE_FLOAT(bf16, FLOAT_BF16)

typedef void float_fn(const uint8_t *p, size_t n_cols, const float *x, size_t stride, float *out);

static void matmul_float(const struct kern_matrix *w, float_fn *many, float_fn *one,
                         const struct kern_act *act, float *y, size_t y_stride, size_t panel0,
                         size_t panel1)
{
    size_t bytes = kern_panel_bytes(w->type, w->n_cols);
    size_t step = rows_per_block(w->n_cols, 4);
    for (size_t r0 = 0; r0 < act->n_rows; r0 += step) {
        size_t r1 = r0 + step < act->n_rows ? r0 + step : act->n_rows;
        for (size_t p = panel0; p < panel1; p++)
            for (size_t r = r0; r < r1;) {
                float out[V_ROWS_MAX * KERN_PANEL];
                size_t n = r1 - r >= V_ROWS_MAX ? V_ROWS_MAX : 1;
                (n == 1 ? one : many)(w->data + p * bytes, w->n_cols,
                                      act->f32 + r * act->f32_stride, act->f32_stride, out);
                for (size_t i = 0; i < n; i++, r++)
                    store_outputs(y + r * y_stride + p * KERN_PANEL, out + 16 * i,
                                  panel_rows(w, p));
            }
    }
}

/* ---- entry ------------------------------------------------------------------------------------ */

static void ops_matmul(const struct kern_matrix *w, const struct kern_act *act, float *y,
                       size_t y_stride, size_t panel0, size_t panel1, void *scratch)
{
    switch (w->type->id) {
    case QUANT_F32:
        matmul_float(w, f32_many, f32_one, act, y, y_stride, panel0, panel1);
        return;
    case QUANT_F16:
        matmul_float(w, f16_many, f16_one, act, y, y_stride, panel0, panel1);
        return;
    case QUANT_BF16:
        matmul_float(w, bf16_many, bf16_one, act, y, y_stride, panel0, panel1);
        return;
    default:
        break;
    }
    const struct type_kernels *k = type_kernels;
    while (k->id != w->type->id) k++;
    uint8_t *rec = scratch;
    union corr *corr = (union corr *)(rec + w->n_cols / 32 * REC_BYTES);
    if (act->n_rows == 1)
        matmul_one(w, k, act, y, panel0, panel1, corr);
    else
        matmul_many(w, k, act, y, y_stride, panel0, panel1, rec, corr);
}
