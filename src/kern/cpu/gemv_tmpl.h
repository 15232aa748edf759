/* Template: a few rows of activations times a matrix, straight from the packed panels. Memory is
 * the limit of one row; up to V_FEW_MAX rows cost little more. */

/* How far ahead of the arithmetic the panel's bytes are asked for: hardware prefetchers stop at the
 * end of a page. */
enum { PREFETCH_AHEAD = 4096 };

/* Panels that a call takes: two share each broadcast activation where there are rows enough for it
 * to matter. */
#define FEW_PANELS(N) ((N) > 1 ? V_FEW_PANELS : 1)

/* One block of np panels times n rows. */
INLINE void block_rows(const int np, const int n, const struct wblock *o, const struct tile *t,
                       size_t block, int subs, int has_min, int shift, int dot, vf *f)
{
    const int groups = block_groups(dot) / subs, chains = n < 3 && np == 1 ? 2 : 1;
    const int8_t *q = t->q + block * 4 * (size_t)block_groups(dot) * t->w;
    for (int h = 0; h < subs; h++) {
        const size_t at = (block * (size_t)subs + (size_t)h) * t->w;
        vi s[2 * V_FEW_MAX], s1[2 * V_FEW_MAX];
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) {
            s[i] = sum_start(has_min, shift, dot, t->neg_sum + at + i);
            s[n + i] = s[i];
            s1[i] = vi_zero();
        }
#pragma GCC unroll 16
        for (int g = 0; g < groups; g++) {
            const int8_t *a = q + 4 * (size_t)(h * groups + g) * t->w;
#pragma GCC unroll 8
            for (int i = 0; i < n; i++) {
                const vi x = vi_load4(a + 4 * i);
#pragma GCC unroll 2
                for (int p = 0; p < np; p++) {
                    vi *sum = chains == 2 && g % 2 ? &s1[i] : &s[p * n + i];
                    *sum = dot_any(dot, *sum, o[p].w[h * groups + g], x);
                }
            }
        }
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) {
            const vf scale = vf_set1(t->scale[at + i]);
            if (chains == 2) s[i] = vi_add(s[i], s1[i]);
#pragma GCC unroll 2
            for (int p = 0; p < np; p++) {
                vf *sum = &f[p * n + i];
                *sum = vf_fma(vf_mul(vi_to_vf(s[p * n + i]), o[p].d[h]), scale, *sum);
                if (has_min) *sum = vf_fma(o[p].m[h], vf_set1(t->bias[at + i]), *sum);
            }
        }
    }
}

/* Writes row i of the call's p-th panel to out + KERN_PANEL * (p * rows + i). */
typedef void few_fn(const uint8_t *panel, size_t panel_bytes, size_t n_blocks, const struct tile *t,
                    float *out);

#define DEFINE_FEW(N, ID, NAME, BLOCKS, SUBS, MIN, SHIFT, DOT, UNIT)                               \
    static void few_##NAME##_##N(const uint8_t *data, size_t panel_bytes, size_t n_blocks,         \
                                 const struct tile *t, float *out)                                 \
    {                                                                                              \
        enum { UNIT_BYTES = KERN_PANEL * sizeof(struct block_##NAME), NP = FEW_PANELS(N) };        \
        vf f[NP * N];                                                                              \
        for (int i = 0; i < NP * N; i++) f[i] = vf_zero();                                         \
        for (size_t b = 0; b < n_blocks; b += BLOCKS, data += UNIT_BYTES) {                        \
            struct wunit u[NP];                                                                    \
            for (int p = 0; p < NP; p++) UNIT(data + (size_t)p * panel_bytes, &u[p]);              \
            for (int j = 0; j < BLOCKS; j++) {                                                     \
                struct wblock o[NP];                                                               \
                for (int p = 0; p < NP; p++) {                                                     \
                    const uint8_t *at = data + (size_t)p * panel_bytes;                            \
                    for (int c = 0; c < UNIT_BYTES / BLOCKS; c += 64)                              \
                        __builtin_prefetch(at + j * (UNIT_BYTES / BLOCKS) + c + PREFETCH_AHEAD);   \
                    block_##NAME(at, &u[p], j, &o[p]);                                             \
                }                                                                                  \
                block_rows(NP, N, o, t, b + (size_t)j, SUBS, MIN, SHIFT, DOT, f);                  \
            }                                                                                      \
        }                                                                                          \
        for (int i = 0; i < NP * N; i++) vf_store(out + KERN_PANEL * i, f[i]);                     \
    }
#if V_FEW_MAX == 8
#define EACH_FEW(X, ...)                                                                           \
    X(1, __VA_ARGS__)                                                                              \
    X(2, __VA_ARGS__) X(3, __VA_ARGS__) X(4, __VA_ARGS__) X(5, __VA_ARGS__) X(6, __VA_ARGS__)      \
        X(7, __VA_ARGS__) X(8, __VA_ARGS__)
#elif V_FEW_MAX == 4
#define EACH_FEW(X, ...) X(1, __VA_ARGS__) X(2, __VA_ARGS__) X(3, __VA_ARGS__) X(4, __VA_ARGS__)
#else
#define EACH_FEW(X, ...) X(1, __VA_ARGS__)
#endif
#define DEFINE_TYPE_FEW(...) EACH_FEW(DEFINE_FEW, __VA_ARGS__)
EACH_TYPE(DEFINE_TYPE_FEW)

/* Rows [t0, t0 + n) of a tile as a tile of its own. */
INLINE struct tile tile_part(const struct tile *t, size_t t0)
{
    return (struct tile){t->q + 4 * t0, t->scale + t0, t->bias + t0, t->neg_sum + t0, t->w, NULL};
}

/* What stays the same for all panels of a product. */
struct few {
    few_fn *const *fn; /* for 1, 2, ... rows */
    int subs, dot;
    const struct kern_matrix *w;
    const struct kern_act *act;
    float *y;
    size_t y_stride, panel_bytes;
};

/* np panels from `panel` on times rows [r, r + n), which are `t`. An odd panel stands in for its
 * missing neighbour. */
INLINE void few_call(const struct few *m, const struct tile *t, size_t r, size_t n, size_t panel,
                     size_t np)
{
    float out[V_FEW_PANELS * V_FEW_MAX * KERN_PANEL];
    m->fn[n - 1](m->w->data + panel * m->panel_bytes, np == FEW_PANELS(n) ? m->panel_bytes : 0,
                 m->w->n_cols / 32, t, out);
    for (size_t p = 0; p < np; p++)
        for (size_t i = 0; i < n; i++)
            store_outputs(m->y + (r + i) * m->y_stride + (panel + p) * KERN_PANEL,
                          out + KERN_PANEL * (p * n + i), panel_rows(m->w, panel + p));
}

/* np panels times all rows: from memory for the first call and from the cache for what does not fit
 * it. */
static void few_panels(const struct few *m, size_t panel, size_t np)
{
    for (size_t r = 0; r < m->act->n_rows;) {
        struct tile t = tile_at(m->act, m->subs, m->dot, r, 0);
        size_t parts = (t.w + V_FEW_MAX - 1) / V_FEW_MAX;
        for (size_t done = 0, n; done < t.w; done += n, r += n, parts--) {
            struct tile part = tile_part(&t, done);
            n = parts == 1 ? t.w - done : (t.w - done + parts - 1) / parts;
            size_t step = FEW_PANELS(n);
            for (size_t p = 0; p < np; p += step)
                few_call(m, &part, r, n, panel + p, np - p < step ? np - p : step);
        }
    }
}

static void matmul_few(const struct few *m, size_t panel0, size_t panel1)
{
    for (size_t p = panel0; p < panel1; p += V_FEW_PANELS)
        few_panels(m, p, panel1 - p < V_FEW_PANELS ? panel1 - p : V_FEW_PANELS);
}
