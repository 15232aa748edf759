/* Template: what the integer kernels have in common, after unpack_tmpl.h.
 *
 * Per output all of them add the same terms in the same order:
 *
 *   for each block of 32 columns, or 16 where the activations have a scale for each 16, ascending:
 *       sum = fma(float(integer dot product) * d, activation scale, sum)
 *       sum = fma(m, activation scale * activation sum, sum)       types with a minimum
 *
 * and so give the same bits. Types whose values have an offset of 2^n start the integer sum at -2^n
 * times the sum of the activations. */

#define INLINE static inline __attribute__((always_inline))
/* What is seldom done stays out of the loops around it. */
#define APART static __attribute__((noinline))

/* For loops whose vectors must become registers. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* What one dot product multiplies: weights up to 127, or of all 8 bits, with int8 activations, 4
 * columns at a time; or int16 weights and activations, 2 at a time. */
enum { DOT_7, DOT_8, DOT_16 };

/* 32 columns of a row of float weights. */
struct block_f16 {
    uint8_t v[64];
};
struct block_bf16 {
    uint8_t v[64];
};

/* X(id, name, 32-column blocks a unit, scales a block, has minimum, log2 of the offset, dot
 * product, unit reader) */
#define EACH_TYPE(X)                                                                               \
    X(QUANT_Q4_0, q4_0, 1, 1, 0, 3, DOT_7, unit_d)                                                 \
    X(QUANT_Q4_1, q4_1, 1, 1, 1, 0, DOT_7, unit_dm)                                                \
    X(QUANT_Q5_0, q5_0, 1, 1, 0, 4, DOT_7, unit_d)                                                 \
    X(QUANT_Q5_1, q5_1, 1, 1, 1, 0, DOT_7, unit_dm)                                                \
    X(QUANT_Q8_0, q8_0, 1, 2, 0, 7, DOT_8, unit_d)                                                 \
    X(QUANT_Q2_K, q2_k, 8, 2, 1, 0, DOT_7, unit_q2_k)                                              \
    X(QUANT_Q3_K, q3_k, 8, 2, 0, 2, DOT_7, unit_q3_k)                                              \
    X(QUANT_Q4_K, q4_k, 8, 1, 1, 0, DOT_7, unit_k4)                                                \
    X(QUANT_Q5_K, q5_k, 8, 1, 1, 0, DOT_7, unit_k4)                                                \
    X(QUANT_Q6_K, q6_k, 8, 2, 0, 5, DOT_7, unit_d)                                                 \
    X(QUANT_IQ4_NL, iq4_nl, 1, 1, 0, 7, DOT_8, unit_d)                                             \
    X(QUANT_IQ4_XS, iq4_xs, 8, 1, 0, 7, DOT_8, unit_iq4_xs)                                        \
    X(QUANT_MXFP4, mxfp4, 1, 1, 0, 4, DOT_7, unit_none)                                            \
    X(QUANT_NVFP4, nvfp4, 2, 2, 0, 4, DOT_7, unit_none)                                            \
    X(PACK_TABLE_32, table_32, 8, 1, 0, 6, DOT_7, unit_float)                                      \
    X(PACK_TABLE_16, table_16, 8, 2, 0, 6, DOT_7, unit_float)                                      \
    X(QUANT_F16, f16, 1, 1, 0, 0, DOT_16, unit_none)                                               \
    X(QUANT_BF16, bf16, 1, 1, 0, 0, DOT_16, unit_none)

INLINE enum kern_act_format act_format(int subs, int dot)
{
    return dot == DOT_16 ? KERN_ACT_INT16 : subs == 2 ? KERN_ACT_16 : KERN_ACT_32;
}

/* Dot products that a block of 32 columns takes. */
INLINE int block_groups(int dot)
{
    return dot == DOT_16 ? 16 : 8;
}

/* Rows of one tile of activations from some column on; `w` rows are interleaved. */
struct tile {
    const int8_t *q;
    const float *scale, *bias;
    const int32_t *neg_sum;
    size_t w;
    const int8_t *next; /* the following tile's, to be fetched ahead; never read through */
};

INLINE struct tile tile_at(const struct kern_act *act, int subs, int dot, size_t row, size_t block)
{
    const struct kern_act_q *a = &act->fmt[act_format(subs, dot)];
    size_t left = act->n_rows - row, w = left < KERN_TILE_MAX ? left : KERN_TILE_MAX;
    size_t at = row * (act->n_cols / 32) + block * w;
    return (struct tile){a->q + at * 4 * (size_t)block_groups(dot),
                         a->scale + at * (size_t)subs,
                         a->bias + at * (size_t)subs,
                         a->neg_sum + at * (size_t)subs,
                         w,
                         a->q + ((row + w) * (act->n_cols / 32) + block * KERN_TILE_MAX) * 4 *
                                    (size_t)block_groups(dot)};
}

/* What row i's integer sum over a block starts with. */
INLINE vi sum_start(int has_min, int shift, int dot, const int32_t *neg_sum)
{
    if (has_min || dot == DOT_16 || (dot == DOT_8 && !V_FULL_OFFSET)) return vi_zero();
    return vi_shl(vi_set1(*neg_sum), shift);
}

INLINE vi dot_any(int dot, vi acc, vb w, vi a)
{
    return dot == DOT_16  ? v_dot16(acc, w, a)
           : dot == DOT_8 ? v_dot_full(acc, w, a)
                          : v_dot(acc, w, a);
}

static size_t panel_rows(const struct kern_matrix *w, size_t panel)
{
    size_t left = w->n_rows - panel * KERN_PANEL;
    return left < KERN_PANEL ? left : KERN_PANEL;
}

/* The n outputs of a panel for one row. */
INLINE void store_outputs(float *y, const float *out, size_t n)
{
    if (n == KERN_PANEL)
        vf_store(y, vf_load(out));
    else
        memcpy(y, out, n * sizeof *y);
}
