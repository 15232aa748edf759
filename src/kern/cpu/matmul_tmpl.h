/* Template: matrices times activations, after unpack_tmpl.h.
 *
 * One row of activations multiplies straight from the packed panel. More rows unpack two panels at a
 * time into scratch records and run register tiles over them. Both add, per
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
/* For each of the np * n accumulators of a tile. */
#define EACH_ACC                                                                                   \
    _Pragma("GCC unroll 2") for (int p = 0; p < np; p++)                                           \
        _Pragma("GCC unroll 8") for (int i = 0; i < n; i++)

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

/* n rows of a tile, from row t0 on, times V_PANELS unpacked panels (records rec_bytes apart); the
 * result of panel p and row i goes to out[p * OUT_PANEL + 16 * i]. Two panels share each broadcast. */
enum { OUT_PANEL = 16 * KERN_TILE_MAX };

INLINE void tile_rows(const int n, const int subs, const int has_min, const int full,
                      const uint8_t *rec, size_t rec_bytes, size_t n_blocks, const struct tile *t,
                      size_t t0, float *out)
{
    const int np = V_PANELS;
    const size_t w = t->w;
    const int8_t *q = t->q + 4 * t0;
    const float *scale = t->scale + t0;
    const union corr *corr = t->corr + t0;
    vf f[V_PANELS][V_ROWS_MAX];
    EACH_ACC f[p][i] = vf_zero();
    for (size_t b = 0; b < n_blocks; b++, rec += REC_BYTES) {
#pragma GCC unroll 2
        for (int h = 0; h < subs; h++, corr += w, scale += w) {
            vi s[V_PANELS][V_ROWS_MAX];
            EACH_ACC s[p][i] = has_min ? vi_zero() : vi_set1(corr[i].i);
#pragma GCC unroll 8
            for (int g = 0; g < 8 / subs; g++, q += 4 * w) {
                const uint8_t *at = rec + 64 * (h * (8 / subs) + g);
                vb wv[V_PANELS];
#pragma GCC unroll 2
                for (int p = 0; p < np; p++) wv[p] = vb_load(at + (size_t)p * rec_bytes);
#pragma GCC unroll 8
                for (int i = 0; i < n; i++) {
                    vi a = vi_load4(q + 4 * i);
#pragma GCC unroll 2
                    for (int p = 0; p < np; p++) s[p][i] = dot_any(full, s[p][i], wv[p], a);
                }
            }
#pragma GCC unroll 2
            for (int p = 0; p < np; p++) {
                const float *d = (const float *)(rec + (size_t)p * rec_bytes + REC_D);
                vf dv = vf_load(d + 16 * h), mv = vf_load(d + 16 * (subs + h));
#pragma GCC unroll 8
                for (int i = 0; i < n; i++) {
                    vf x = vf_mul(vi_to_vf(s[p][i]), dv);
                    f[p][i] = vf_fma(x, vf_set1(scale[i]), f[p][i]);
                    if (has_min) f[p][i] = vf_fma(mv, vf_set1(corr[i].f), f[p][i]);
                }
            }
        }
    }
    EACH_ACC vf_store(out + OUT_PANEL * p + 16 * i, f[p][i]);
}

typedef void tile_fn(const uint8_t *rec, size_t rec_bytes, size_t n_blocks, const struct tile *t,
                     size_t t0, float *out);

#define DEFINE_TILE(N, SUBS, MIN, FULL)                                                            \
    static void tile_##N##_##SUBS##MIN##FULL(const uint8_t *rec, size_t rec_bytes,                 \
                                             size_t n_blocks, const struct tile *t, size_t t0,     \
                                             float *out)                                           \
    {                                                                                              \
        tile_rows(N, SUBS, MIN, FULL, rec, rec_bytes, n_blocks, t, t0, out);                       \
    }
#if V_ROWS_MAX == 6
#define EACH_ROWS(X, ...)                                                                          \
    X(1, __VA_ARGS__) X(2, __VA_ARGS__) X(3, __VA_ARGS__) X(4, __VA_ARGS__) X(5, __VA_ARGS__)      \
    X(6, __VA_ARGS__)
#elif V_ROWS_MAX == 4
#define EACH_ROWS(X, ...)                                                                          \
    X(1, __VA_ARGS__) X(2, __VA_ARGS__) X(3, __VA_ARGS__) X(4, __VA_ARGS__)
#else
#define EACH_ROWS(X, ...) X(1, __VA_ARGS__)
#endif
EACH_ROWS(DEFINE_TILE, 1, 0, 0)
EACH_ROWS(DEFINE_TILE, 1, 1, 0)
EACH_ROWS(DEFINE_TILE, 2, 0, 0)
EACH_ROWS(DEFINE_TILE, 2, 0, 1)
EACH_ROWS(DEFINE_TILE, 2, 1, 0)

#define TILE_ENTRY(N, SUBS, MIN, FULL) tile_##N##_##SUBS##MIN##FULL,
#define TILES(SUBS, MIN, FULL) {EACH_ROWS(TILE_ENTRY, SUBS, MIN, FULL)}

struct type_kernels {
    uint32_t id;
    int subs, has_min, offset;
    void (*gemv)(const uint8_t *p, size_t n_blocks, size_t unit_bytes, const struct tile *t,
                 float *out);
    void (*unpack)(const uint8_t *p, size_t n_blocks, size_t unit_bytes, uint8_t *rec);
    tile_fn *tile[V_ROWS_MAX]; /* for 1, 2, ... rows */
};

#define TYPE_ENTRY(ID, NAME, BLOCKS, SUBS, MIN, OFF, FULL, UNIT)                                   \
    {ID, SUBS, MIN, OFF, gemv_##NAME, unpack_##NAME, TILES(SUBS, MIN, FULL)},
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

/* All rows of a tile, in parts as equal as they can be: three and four rows make better use of a
 * broadcast than six and one. */
static void tile_run(const struct type_kernels *k, const uint8_t *rec, size_t rec_bytes,
                     size_t n_blocks, const struct tile *t, float *out)
{
    size_t parts = (t->w + V_ROWS_MAX - 1) / V_ROWS_MAX;
    for (size_t done = 0; parts > 0; parts--) {
        size_t n = (t->w - done + parts - 1) / parts;
        k->tile[n - 1](rec, rec_bytes, n_blocks, t, done, out + 16 * done);
        done += n;
    }
}

static size_t rows_per_block(size_t n_cols, size_t elem)
{
    size_t n = ACT_BLOCK_BYTES / (n_cols * elem) / KERN_TILE_MAX * KERN_TILE_MAX;
    return n < KERN_TILE_MAX ? KERN_TILE_MAX : n;
}

static void store_tile(const struct kern_matrix *w, float *y, size_t y_stride, size_t panel,
                       size_t np, size_t n_rows, const float *out)
{
    for (size_t i = 0; i < n_rows; i++)
        for (size_t p = 0; p < np; p++)
            store_outputs(y + i * y_stride + (panel + p) * KERN_PANEL,
                          out + p * OUT_PANEL + 16 * i, panel_rows(w, panel + p));
}

static void matmul_many(const struct kern_matrix *w, const struct type_kernels *k,
                        const struct kern_act *act, float *y, size_t y_stride, size_t panel0,
                        size_t panel1, uint8_t *rec, union corr *corr)
{
    size_t n_cols = w->n_cols, nb = n_cols / 32, ns = nb * (size_t)k->subs;
    const struct kern_act_q *aq = &act->fmt[k->subs - 1];
    size_t bytes = kern_panel_bytes(w->type, n_cols);
    size_t unit = KERN_PANEL * (size_t)w->type->block_bytes;
    size_t step = rows_per_block(n_cols, 1), rec_bytes = nb * REC_BYTES;
    for (size_t r0 = 0; r0 < act->n_rows; r0 += step) {
        size_t r1 = r0 + step < act->n_rows ? r0 + step : act->n_rows;
        make_corr(aq, r0 * ns, (r1 - r0) * ns, k->has_min, k->offset, corr);
        for (size_t p = panel0; p < panel1; p += V_PANELS) {
            /* An odd last panel stands in for its missing neighbour too. */
            size_t np = panel1 - p < V_PANELS ? panel1 - p : V_PANELS;
            for (size_t i = 0; i < np; i++)
                k->unpack(w->data + (p + i) * bytes, nb, unit, rec + i * rec_bytes);
            for (size_t r = r0; r < r1; r += KERN_TILE_MAX) {
                float out[V_PANELS * OUT_PANEL];
                size_t wd = r1 - r < KERN_TILE_MAX ? r1 - r : KERN_TILE_MAX;
                struct tile t = {aq->q + r * n_cols, aq->scale + r * ns, corr + (r - r0) * ns, wd};
                tile_run(k, rec, np < V_PANELS ? 0 : rec_bytes, nb, &t, out);
                store_tile(w, y + r * y_stride, y_stride, p, np, wd, out);
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

#define DEFINE_FLOAT(NAME, KIND)                                                                   \
    static void NAME##_many(const uint8_t *p, size_t n_cols, const float *x, size_t stride,        \
                            float *out)                                                            \
    {                                                                                              \
        float_rows(KIND, V_FLOAT_ROWS, p, n_cols, x, stride, out);                                   \
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
                float out[V_FLOAT_ROWS * KERN_PANEL];
                size_t n = r1 - r >= V_FLOAT_ROWS ? V_FLOAT_ROWS : 1;
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
    union corr *corr = (union corr *)(rec + 2 * (w->n_cols / 32 * REC_BYTES));
    if (act->n_rows == 1)
        matmul_one(w, k, act, y, panel0, panel1, corr);
    else
        matmul_many(w, k, act, y, y_stride, panel0, panel1, rec, corr);
}
