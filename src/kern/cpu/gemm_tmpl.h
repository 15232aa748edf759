/* Template: many rows of activations times a matrix.
 *
 * V_PANELS panels at a time are unpacked, a stretch of columns each, into records that stay in the
 * first-level cache while tiles of rows run over them; a tile's sums wait in `sums` from one stretch of
 * columns to the next. So every weight is unpacked once for GEMM_ROWS rows. */

enum {
    REC_MAX = 1152,
    GEMM_BYTES = 16 * 768, /* of unpacked records of a panel */
    GEMM_ROWS = 43 * KERN_TILE_MAX,
    SUMS_ROW = V_PANELS * KERN_PANEL, /* floats of a row in `sums` */
    FETCH_TILES = 8, /* with fewer tiles the weights come no faster than they are needed */
};

/* A record is 32 columns of a panel: the weights, then d and m of each 32 or 16 columns. */
INLINE size_t rec_d(int dot)
{
    return 64 * (size_t)block_groups(dot);
}
INLINE size_t rec_bytes(int dot)
{
    return dot == DOT_16 ? REC_MAX : 768;
}
INLINE size_t rec_blocks(int dot)
{
    return dot == DOT_16 ? 8 : 16; /* columns of one K-quant unit or two */
}

struct gemm_scratch {
    _Alignas(64) uint8_t rec[V_PANELS * GEMM_BYTES];
    _Alignas(64) float sums[GEMM_ROWS * SUMS_ROW];
};
_Static_assert(sizeof(struct gemm_scratch) <= KERN_MATMUL_SCRATCH, "kern.h promises enough");
_Static_assert(8 * REC_MAX <= GEMM_BYTES, "records of both sizes fit");

#define DEFINE_UNPACK(ID, NAME, BLOCKS, SUBS, MIN, SHIFT, DOT, UNIT)                               \
    static void unpack_##NAME(const uint8_t *p, size_t n_blocks, uint8_t *rec)                     \
    {                                                                                              \
        for (size_t b = 0; b < n_blocks;                                                           \
             b += BLOCKS, p += KERN_PANEL * sizeof(struct block_##NAME)) {                         \
            struct wunit u;                                                                        \
            for (size_t c = 0; c < KERN_PANEL * sizeof(struct block_##NAME); c += 64)             \
                __builtin_prefetch(p + c + PREFETCH_AHEAD);                                        \
            UNIT(p, &u);                                                                           \
            for (int j = 0; j < BLOCKS; j++, rec += rec_bytes(DOT)) {                              \
                struct wblock o;                                                                   \
                block_##NAME(p, &u, j, &o);                                                        \
                for (int g = 0; g < block_groups(DOT); g++) vb_store(rec + 64 * g, o.w[g]);        \
                float *d = (float *)(rec + rec_d(DOT));                                            \
                for (int h = 0; h < SUBS; h++) {                                                   \
                    vf_store(d + 16 * h, o.d[h]);                                                  \
                    if (MIN) vf_store(d + 16 * (SUBS + h), o.m[h]);                                \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
EACH_TYPE(DEFINE_UNPACK)

/* For each of the V_PANELS * n accumulators of a tile. */
#define EACH_ACC                                                                                   \
    UNROLL for (int p = 0; p < V_PANELS; p++)                                                      \
        UNROLL for (int i = 0; i < n; i++)

/* Where a tile's sums come from, NULL for zeros, and go to; of its first row. */
struct tile_sums {
    const float *in; /* SUMS_ROW floats a row */
    float *out;
    size_t out_stride;
};

/* n rows of a tile, from row t0 on, times the unpacked panels. Two panels share each broadcast. */
INLINE void tile_rows(const int n, const int subs, const int has_min, const int shift,
                      const int dot, const uint8_t *rec, size_t n_blocks, const struct tile *t,
                      size_t t0, const struct tile_sums *sums)
{
    const size_t w = t->w;
    const int groups = block_groups(dot) / subs;
    const int8_t *q = t->q + 4 * t0;
    const float *scale = t->scale + t0, *bias = t->bias + t0;
    const int32_t *neg_sum = t->neg_sum + t0;
    vf f[V_PANELS][V_ROWS_MAX];
    const float *in = sums->in ? sums->in + SUMS_ROW * t0 : NULL;
    EACH_ACC f[p][i] = in ? vf_load(in + SUMS_ROW * i + KERN_PANEL * p) : vf_zero();
    const size_t tile_bytes = 4 * (size_t)block_groups(dot) * KERN_TILE_MAX;
    const int8_t *next = t->next + (t0 ? tile_bytes / 2 : 0);
    for (size_t b = 0; b < n_blocks; b++, rec += rec_bytes(dot), next += tile_bytes) {
        for (size_t c = 0; c < tile_bytes / 2; c += 64) __builtin_prefetch(next + c);
        UNROLL for (int h = 0; h < subs; h++, bias += w, neg_sum += w, scale += w) {
            vi s[V_PANELS][V_ROWS_MAX];
            UNROLL for (int i = 0; i < n; i++) {
                vi start = sum_start(has_min, shift, dot, neg_sum + i);
                UNROLL for (int p = 0; p < V_PANELS; p++) s[p][i] = start;
            }
            UNROLL for (int g = 0; g < groups; g++, q += 4 * w) {
                const uint8_t *at = rec + 64 * (h * groups + g);
                vb wv[V_PANELS];
                UNROLL for (int p = 0; p < V_PANELS; p++) wv[p] = vb_load(at + p * GEMM_BYTES);
                UNROLL for (int i = 0; i < n; i++) {
                    vi a = vi_load4(q + 4 * i);
                    UNROLL for (int p = 0; p < V_PANELS; p++)
                        s[p][i] = dot_any(dot, s[p][i], wv[p], a);
                }
            }
            UNROLL for (int p = 0; p < V_PANELS; p++) {
                const float *d = (const float *)(rec + p * GEMM_BYTES + rec_d(dot));
                vf dv = vf_load(d + 16 * h), mv = vf_load(d + 16 * (subs + h));
                UNROLL for (int i = 0; i < n; i++) {
                    vf x = vf_mul(vi_to_vf(s[p][i]), dv);
                    f[p][i] = vf_fma(x, vf_set1(scale[i]), f[p][i]);
                    if (has_min) f[p][i] = vf_fma(mv, vf_set1(bias[i]), f[p][i]);
                }
            }
        }
    }
    float *out = sums->out + sums->out_stride * t0;
    EACH_ACC vf_store(out + sums->out_stride * (size_t)i + KERN_PANEL * p, f[p][i]);
}

typedef void tile_fn(const uint8_t *rec, size_t n_blocks, const struct tile *t, size_t t0,
                     const struct tile_sums *sums);

/* One set of tiles for all types that have the same sub-blocks, minimum and offset. */
#define DEFINE_TILE(N, SUBS, MIN, SHIFT, DOT)                                                      \
    static void tile_##N##_##SUBS##MIN##SHIFT##DOT(const uint8_t *rec, size_t n_blocks,            \
                                                   const struct tile *t, size_t t0,  \
                                                   const struct tile_sums *sums)  \
    {                                                                                              \
        tile_rows(N, SUBS, MIN, SHIFT, DOT, rec, n_blocks, t, t0, sums);                    \
    }
#if V_ROWS_MAX == 6
#define EACH_ROWS(X, ...)                                                                          \
    X(1, __VA_ARGS__)                                                                              \
    X(2, __VA_ARGS__) X(3, __VA_ARGS__) X(4, __VA_ARGS__) X(5, __VA_ARGS__) X(6, __VA_ARGS__)
#elif V_ROWS_MAX == 4
#define EACH_ROWS(X, ...) X(1, __VA_ARGS__) X(2, __VA_ARGS__) X(3, __VA_ARGS__) X(4, __VA_ARGS__)
#else
#define EACH_ROWS(X, ...) X(1, __VA_ARGS__)
#endif
EACH_ROWS(DEFINE_TILE, 1, 0, 3, DOT_7)
EACH_ROWS(DEFINE_TILE, 1, 0, 4, DOT_7)
EACH_ROWS(DEFINE_TILE, 1, 0, 6, DOT_7)
EACH_ROWS(DEFINE_TILE, 1, 0, 7, DOT_8)
EACH_ROWS(DEFINE_TILE, 1, 1, 0, DOT_7)
EACH_ROWS(DEFINE_TILE, 2, 0, 2, DOT_7)
EACH_ROWS(DEFINE_TILE, 2, 0, 4, DOT_7)
EACH_ROWS(DEFINE_TILE, 2, 0, 5, DOT_7)
EACH_ROWS(DEFINE_TILE, 2, 0, 6, DOT_7)
EACH_ROWS(DEFINE_TILE, 2, 0, 7, DOT_8)
EACH_ROWS(DEFINE_TILE, 2, 1, 0, DOT_7)
EACH_ROWS(DEFINE_TILE, 1, 0, 0, DOT_16)

typedef void unpack_fn(const uint8_t *p, size_t n_blocks, uint8_t *rec);

/* All rows of a tile, in parts as equal as they can be: three and four rows make better use of a
 * broadcast than six and one. */
INLINE void tile_run(tile_fn *const *tiles, const uint8_t *rec, size_t n_blocks,
                     const struct tile *t, const struct tile_sums *sums)
{
    size_t parts = (t->w + V_ROWS_MAX - 1) / V_ROWS_MAX;
    for (size_t done = 0; parts > 0; parts--) {
        size_t n = (t->w - done + parts - 1) / parts;
        tiles[n - 1](rec, n_blocks, t, done, sums);
        done += n;
    }
}

/* What stays the same for all panels of a product. */
struct gemm {
    unpack_fn *unpack;
    tile_fn *const *tiles;
    int subs, dot;
    const struct kern_matrix *w;
    const struct kern_act *act;
    float *y;
    size_t y_stride;
    struct gemm_scratch *scratch;
};

/* Asks for the weights of the stretch behind n blocks from b on, or of the next panels' first: the lines
 * of tile `i` of `tiles`, so that they come while tiles run and not all at once. */
INLINE void fetch_next(const struct gemm *g, size_t panel, size_t b, size_t n, size_t i, size_t tiles)
{
    size_t bytes = kern_panel_bytes(g->w->type, g->w->n_cols), nb = g->w->n_cols / 32;
    size_t block_bytes = bytes / nb;
    bool same = b + n < nb;
    const uint8_t *at = g->w->data + (same ? panel * bytes + (b + n) * block_bytes : (panel + V_PANELS) * bytes);
    size_t left = same ? nb - b - n : nb, step = rec_blocks(g->dot);
    size_t lines = (left < step ? left : step) * block_bytes / 64, share = (lines + tiles - 1) / tiles;
    for (size_t c = i * share; c < (i + 1) * share; c++)
        for (size_t p = 0; p < V_PANELS; p++) __builtin_prefetch(at + p * bytes + 64 * c);
}

/* Rows [r0, r1) times np panels from `panel` on; true where the sums went to y. */
static bool gemm_panels(const struct gemm *g, size_t r0, size_t r1, size_t panel, size_t np)
{
    size_t bytes = kern_panel_bytes(g->w->type, g->w->n_cols), nb = g->w->n_cols / 32;
    size_t block_bytes = bytes / nb; /* whole: a panel is 16 rows */
    const uint8_t *data = g->w->data + panel * bytes;
    bool whole = np == V_PANELS && (panel + np) * KERN_PANEL <= g->w->n_rows;
    size_t step = rec_blocks(g->dot);
    for (size_t b = 0; b < nb; b += step) {
        size_t n = nb - b < step ? nb - b : step;
        bool last = whole && b + n == nb;
        for (size_t p = 0; p < V_PANELS; p++) /* an odd last panel stands in for its neighbour */
            g->unpack(data + (p < np ? p : 0) * bytes + b * block_bytes, n,
                      g->scratch->rec + p * GEMM_BYTES);
        size_t tiles = (r1 - r0 + KERN_TILE_MAX - 1) / KERN_TILE_MAX;
        for (size_t r = r0; r < r1; r += KERN_TILE_MAX) {
            if (tiles <= FETCH_TILES) fetch_next(g, panel, b, n, (r - r0) / KERN_TILE_MAX, tiles);
            struct tile t = tile_at(g->act, g->subs, g->dot, r, b);
            float *kept = g->scratch->sums + (r - r0) * SUMS_ROW;
            struct tile_sums s = {b ? kept : NULL, kept, SUMS_ROW};
            if (last) {
                s.out = g->y + r * g->y_stride + panel * KERN_PANEL;
                s.out_stride = g->y_stride;
            }
            tile_run(g->tiles, g->scratch->rec, n, &t, &s);
        }
    }
    return whole;
}

static void matmul_many(const struct gemm *g, size_t panel0, size_t panel1)
{
    for (size_t r0 = 0; r0 < g->act->n_rows; r0 += GEMM_ROWS) {
        size_t r1 = g->act->n_rows - r0 < GEMM_ROWS ? g->act->n_rows : r0 + GEMM_ROWS;
        for (size_t p = panel0; p < panel1; p += V_PANELS) {
            size_t np = panel1 - p < V_PANELS ? panel1 - p : V_PANELS;
            if (gemm_panels(g, r0, r1, p, np)) continue;
            for (size_t r = r0; r < r1; r++)
                for (size_t i = 0; i < np; i++)
                    store_outputs(g->y + r * g->y_stride + (p + i) * KERN_PANEL,
                                  g->scratch->sums + (r - r0) * SUMS_ROW + i * KERN_PANEL,
                                  panel_rows(g->w, p + i));
        }
    }
}
