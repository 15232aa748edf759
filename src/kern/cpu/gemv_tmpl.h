/* Template: a few rows of activations times a matrix, straight from the packed panels. Memory is
 * the limit of one row; up to V_FEW_MAX rows cost little more. */

/* How far ahead of the arithmetic the panel's bytes are asked for, as hardware prefetchers stop at
 * the end of a page of 4 KB: into the first-level cache; and, where arithmetic takes about as long as
 * memory does, into the second level, because the first has too few lines under way to wait for
 * memory and compute. */
enum { PREFETCH_AHEAD = 8192, PREFETCH_L2_AHEAD = 8192 };

typedef void block_fn(const uint8_t *p, const struct wunit *u, int j, struct wblock *o);

/* Block j of a unit, and what takes it apart. */
struct few_block {
    const uint8_t *unit;
    const struct wunit *u;
    int j;
    block_fn *unpack;
};

/* Takes a block apart of which the caller uses only some groups, or only the scales: the rest is
 * never computed. The compiler must not see that other groups came from the same bytes, or it takes
 * all apart at once and, as they don't fit the registers, stores them. A store of 64 bytes costs as
 * much as two dot products, taking a block apart once more costs nothing: other ports do it. */
INLINE void few_unpack(const struct few_block *k, struct wblock *o)
{
    const uint8_t *unit = k->unit;
    __asm__ volatile("" : "+r"(unit));
    k->unpack(unit, k->u, k->j, o);
}

/* One block of a panel times n rows. */
INLINE void block_rows(const int n, const struct few_block *k, const struct tile *t, size_t block,
                       int subs, int has_min, int shift, int dot, vf *f)
{
    const int groups = block_groups(dot) / subs, chains = n <= V_FEW_MAX / 2 ? 2 : 1;
    /* Halves share what is found in the whole block; bytes are only loaded, and one row gains from
     * asking for all of them first. */
    const bool lazy = V_FEW_LAZY && dot != DOT_16 && !(dot == DOT_8 && n == 1);
    const int8_t *q = t->q + block * 4 * (size_t)block_groups(dot) * t->w;
    struct wblock o;
    if (!lazy) k->unpack(k->unit, k->u, k->j, &o);
    UNROLL for (int h = 0; h < subs; h++)
    {
        const size_t at = (block * (size_t)subs + (size_t)h) * t->w;
        vi s[V_FEW_MAX], s1[V_FEW_MAX];
        UNROLL for (int i = 0; i < n; i++)
        {
            s[i] = sum_start(has_min, shift, dot, t->neg_sum + at + i);
            s1[i] = vi_zero();
        }
        UNROLL for (int g = 0; g < groups; g++, q += 4 * t->w)
        {
            if (lazy && g % 2 == 0) few_unpack(k, &o);
            UNROLL for (int i = 0; i < n; i++)
            {
                vi *sum = chains == 2 && g % 2 ? &s1[i] : &s[i];
                *sum = dot_any(dot, *sum, o.w[h * groups + g], vi_load4(q + 4 * i));
            }
        }
        if (lazy) few_unpack(k, &o);
        UNROLL for (int i = 0; i < n; i++)
        {
            if (chains == 2) s[i] = vi_add(s[i], s1[i]);
            f[i] = vf_fma(vf_mul(vi_to_vf(s[i]), o.d[h]), vf_set1(t->scale[at + i]), f[i]);
            if (has_min) f[i] = vf_fma(o.m[h], vf_set1(t->bias[at + i]), f[i]);
        }
    }
}

/* Asks for what comes after `bytes` bytes at p, for a call of n rows. */
INLINE void few_prefetch(const int n, const uint8_t *p, size_t bytes)
{
    for (size_t c = 0; c < bytes; c += 64)
        if (n == 1)
            __builtin_prefetch(p + c + PREFETCH_AHEAD, 0, 3);
        else
            __builtin_prefetch(p + c + PREFETCH_L2_AHEAD, 0, 2);
}

/* Writes row i to out + KERN_PANEL * i. */
typedef void few_fn(const uint8_t *panel, size_t n_blocks, const struct tile *t, float *out);

#define DEFINE_FEW(N, ID, NAME, BLOCKS, SUBS, MIN, SHIFT, DOT, UNIT)                               \
    static void few_##NAME##_##N(const uint8_t *data, size_t n_blocks, const struct tile *t,       \
                                 float *out)                                                       \
    {                                                                                              \
        enum { UNIT_BYTES = KERN_PANEL * sizeof(struct block_##NAME) };                            \
        vf f[N];                                                                                   \
        UNROLL for (int i = 0; i < N; i++) f[i] = vf_zero();                                       \
        for (size_t b = 0; b < n_blocks; b += BLOCKS, data += UNIT_BYTES) {                        \
            struct wunit u;                                                                        \
            UNIT(data, &u);                                                                        \
            for (int j = 0; j < BLOCKS; j++) {                                                     \
                few_prefetch(N, data + j * (UNIT_BYTES / BLOCKS), UNIT_BYTES / BLOCKS);            \
                const struct few_block k = {data, &u, j, block_##NAME};                            \
                block_rows(N, &k, t, b + (size_t)j, SUBS, MIN, SHIFT, DOT, f);                     \
            }                                                                                      \
        }                                                                                          \
        UNROLL for (int i = 0; i < N; i++) vf_store(out + KERN_PANEL * i, f[i]);                   \
    }
#if V_FEW_MAX == 8
#define EACH_FEW(X, ...)                                                                           \
    X(1, __VA_ARGS__)                                                                              \
    X(2, __VA_ARGS__)                                                                              \
    X(3, __VA_ARGS__)                                                                              \
    X(4, __VA_ARGS__) X(5, __VA_ARGS__) X(6, __VA_ARGS__) X(7, __VA_ARGS__) X(8, __VA_ARGS__)
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

/* A panel times all rows: from memory for the first call and from the cache for what does not fit
 * it. */
static void few_panel(const struct few *m, size_t panel)
{
    const uint8_t *data = m->w->data + panel * m->panel_bytes;
    float *y = m->y + panel * KERN_PANEL;
    for (size_t r = 0; r < m->act->n_rows;) {
        struct tile t = tile_at(m->act, m->subs, m->dot, r, 0);
        size_t parts = (t.w + V_FEW_MAX - 1) / V_FEW_MAX;
        for (size_t done = 0; parts > 0; parts--) {
            float out[V_FEW_MAX * KERN_PANEL];
            struct tile part = tile_part(&t, done);
            size_t n = (t.w - done + parts - 1) / parts;
            m->fn[n - 1](data, m->w->n_cols / 32, &part, out);
            for (size_t i = 0; i < n; i++, r++)
                store_outputs(y + r * m->y_stride, out + KERN_PANEL * i, panel_rows(m->w, panel));
            done += n;
        }
    }
}

static void matmul_few(const struct few *m, size_t panel0, size_t panel1)
{
    for (size_t p = panel0; p < panel1; p++) few_panel(m, p);
}
