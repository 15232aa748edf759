/* Template: attention for the few queries of a decoding step. Lanes are positions for the scores and
 * dimensions for the values; keys and values are converted on their way into the multiplication. */

enum { ATTN_ROWS = 8 };

struct attn_rows {
    /* Scores, then weights. Aligned like the vectors that they are loaded as. */
    _Alignas(64) float p[ATTN_ROWS][KERN_KV_PAGE];
    float top[ATTN_ROWS], sum[ATTN_ROWS]; /* running maximum and sum of exponentials */
    float fade[ATTN_ROWS];                /* what this page multiplies the past by */
    struct attn_range range;
};

INLINE void rows_scores(const enum kern_kv_format f, const int n, const uint8_t *k,
                        const uint8_t *next, const float *q, size_t q_stride, size_t hd,
                        float (*p)[KERN_KV_PAGE])
{
    vf s0[V_FLOAT_ROWS], s1[V_FLOAT_ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) s0[i] = s1[i] = vf_zero();
    const size_t ahead = f == KERN_KV_F16 ? 1024 : f == KERN_KV_Q8 ? 544 : 288;
    for (size_t half = 0; half < hd; half += 16) {
        if (next) prefetch(next + half / 16 * ahead, ahead);
        vf m0 = key_scale(f, k, hd, half, 0), m1 = key_scale(f, k, hd, half, 16);
        for (size_t d = half; d < half + 16; d++) {
            vf k0 = load_key(f, k, half, d, 0, m0), k1 = load_key(f, k, half, d, 16, m1);
#pragma GCC unroll 8
            for (int i = 0; i < n; i++) {
                vf x = vf_set1(q[(size_t)i * q_stride + d]);
                s0[i] = vf_fma(k0, x, s0[i]);
                s1[i] = vf_fma(k1, x, s1[i]);
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
        vf_store(p[i], s0[i]);
        vf_store(p[i] + 16, s1[i]);
    }
}

/* Products of query i to scores. */
APART void rows_bend(const struct kern_attn *a, struct attn_rows *st, size_t i, size_t page)
{
    static const float lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    float slope = a->slope ? a->slope[i] : 0, pos = a->slope ? (float)a->pos[i] : 0;
    for (size_t j = 0; j < KERN_KV_PAGE; j += 16) {
        vf at = vf_add(vf_set1((float)(page * KERN_KV_PAGE + j)), vf_load(lanes));
        vf x = attn_bend(a, vf_load(st->p[i] + j), vf_set1(slope), vf_sub(vf_set1(pos), at));
        vf_store(st->p[i] + j, x);
    }
}

APART void rows_mask(float *p, struct attn_seen seen)
{
    for (size_t j = 0; j < seen.from; j++) p[j] = -INFINITY;
    for (size_t j = seen.to; j < KERN_KV_PAGE; j++) p[j] = -INFINITY;
}

/* Scores of query i, but for `scale`, to weights. */
static void rows_softmax(struct attn_rows *st, size_t i, float scale)
{
    float *p = st->p[i];
    vf k = vf_set1(scale);
    vf a = vf_mul(vf_load(p), k), b = vf_mul(vf_load(p + 16), k);
    float page = vf_hmax(vf_max(a, b));
    float top = st->top[i] > page ? st->top[i] : page;
    vf t = vf_set1(top);
    a = vf_exp(vf_sub(a, t));
    b = vf_exp(vf_sub(b, t));
    float fade[16];
    vf_store(fade, vf_exp(vf_sub(vf_set1(st->top[i]), t)));
    st->fade[i] = fade[0];
    st->sum[i] = st->sum[i] * fade[0] + vf_hsum(vf_add(a, b));
    st->top[i] = top;
    vf_store(p, a);
    vf_store(p + 16, b);
}

/* Adds dimensions [d, d + 16 * strips) of the seen positions' weighted values. */
INLINE void rows_strips(const enum kern_kv_format f, const int n, const int strips, const uint8_t *v,
                        const float *scale, struct attn_seen seen, size_t hd, size_t d,
                        const float *fade, const float (*p)[KERN_KV_PAGE], float *out,
                        size_t out_stride)
{
    vf o[2][V_FLOAT_ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 2
        for (int s = 0; s < strips; s++)
            o[s][i] = vf_mul(vf_load(out + (size_t)i * out_stride + d + 16 * s), vf_set1(fade[i]));
    for (size_t j = seen.from; j < seen.to; j++) {
        vf x[2];
#pragma GCC unroll 2
        for (int s = 0; s < strips; s++)
            x[s] = load_value(f, v, hd, j, d, s, scale);
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) {
            vf w = vf_set1(p[i][j]);
#pragma GCC unroll 2
            for (int s = 0; s < strips; s++) o[s][i] = vf_fma(x[s], w, o[s][i]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 2
        for (int s = 0; s < strips; s++)
            vf_store(out + (size_t)i * out_stride + d + 16 * s, o[s][i]);
}

INLINE void rows_values(const enum kern_kv_format f, const int n, const uint8_t *v,
                        const uint8_t *next, struct attn_seen seen, size_t hd, const float *fade,
                        const float (*p)[KERN_KV_PAGE], float *out, size_t out_stride)
{
    const size_t ahead = f == KERN_KV_F16 ? 2048 : f == KERN_KV_Q8 ? 1088 : 576;
    float scale[KERN_KV_PAGE];
    size_t d = 0;
    for (; d + 32 <= hd; d += 32) {
        if (next) prefetch(next + d / 32 * ahead, ahead);
        value_scales(f, v, hd, d, scale);
        rows_strips(f, n, 2, v, scale, seen, hd, d, fade, p, out, out_stride);
    }
    /* Only halves come in vectors of an odd multiple of 16. */
    if (d < hd && f == KERN_KV_F16)
        rows_strips(f, n, 1, v, NULL, seen, hd, d, fade, p, out, out_stride);
}

/* One page for n queries from q0 on. */
INLINE void rows_page(const int n, const struct kern_attn *a, struct attn_rows *st, size_t page,
                      size_t q0, bool last)
{
    const size_t hd = a->head_dim, vd = attn_v_dim(a), qs = a->q_stride;
    const bool whole = attn_all_see(&st->range, page), bent = attn_bent(a);
    struct attn_seen seen[V_FLOAT_ROWS], all = {0, KERN_KV_PAGE};
    if (!whole) {
        all = (struct attn_seen){KERN_KV_PAGE, 0};
        for (int i = 0; i < n; i++) {
            seen[i] = seen_in_page(attn_kv0(a, q0 + i), a->n_kv[q0 + i], page);
            all = seen_also(all, seen[i]);
        }
        if (!all.to) return;
    }
    const uint8_t *k = a->pages[page] + a->k_offset, *v = a->pages[page] + a->v_offset;
    /* The first of a page's blocks of queries asks for the next page. */
    const uint8_t *next = last || q0 ? NULL : a->pages[page + 1];
    const uint8_t *next_k = next ? next + a->k_offset : NULL;
    const uint8_t *next_v = next ? next + a->v_offset : NULL;
    const float *q = a->q + q0 * qs;
    float *out = a->out + q0 * a->out_stride;
    switch (a->k_format) {
    case KERN_KV_F16: rows_scores(KERN_KV_F16, n, k, next_k, q, qs, hd, st->p + q0); break;
    case KERN_KV_Q8: rows_scores(KERN_KV_Q8, n, k, next_k, q, qs, hd, st->p + q0); break;
    case KERN_KV_Q4: rows_scores(KERN_KV_Q4, n, k, next_k, q, qs, hd, st->p + q0); break;
    }
    for (int i = 0; i < n; i++) {
        if (bent) rows_bend(a, st, q0 + i, page);
        if (!whole) rows_mask(st->p[q0 + i], seen[i]);
        rows_softmax(st, q0 + i, bent ? 1.0f : a->scale);
    }
    const float(*p)[KERN_KV_PAGE] = (const float(*)[KERN_KV_PAGE])(st->p + q0);
    const float *fade = st->fade + q0;
    size_t os = a->out_stride;
    switch (a->v_format) {
    case KERN_KV_F16: rows_values(KERN_KV_F16, n, v, next_v, all, vd, fade, p, out, os); break;
    case KERN_KV_Q8: rows_values(KERN_KV_Q8, n, v, next_v, all, vd, fade, p, out, os); break;
    case KERN_KV_Q4: rows_values(KERN_KV_Q4, n, v, next_v, all, vd, fade, p, out, os); break;
    }
}

#define DEFINE_ROWS(N)                                                                             \
    static void rows_page_##N(const struct kern_attn *a, struct attn_rows *st, size_t page,        \
                              size_t q0, bool last)                                                \
    {                                                                                              \
        rows_page(N, a, st, page, q0, last);                                                       \
    }
DEFINE_ROWS(1)
#if V_FLOAT_ROWS >= 4
DEFINE_ROWS(2)
DEFINE_ROWS(3)
DEFINE_ROWS(4)
#endif
#if V_FLOAT_ROWS >= 8
DEFINE_ROWS(5)
DEFINE_ROWS(6)
DEFINE_ROWS(7)
DEFINE_ROWS(8)
#endif

static void (*const rows_page_n[])(const struct kern_attn *, struct attn_rows *, size_t, size_t,
                                   bool) = {
    rows_page_1,
#if V_FLOAT_ROWS >= 4
    rows_page_2, rows_page_3, rows_page_4,
#endif
#if V_FLOAT_ROWS >= 8
    rows_page_5, rows_page_6, rows_page_7, rows_page_8,
#endif
};

/* At most ATTN_ROWS queries. */
static void attention_rows(const struct kern_attn *a)
{
    const size_t vd = attn_v_dim(a);
    struct attn_rows st;
    st.range = attn_range(a, 0, a->n_q);
    const size_t end = (st.range.end + (size_t)KERN_KV_PAGE - 1) / KERN_KV_PAGE;
    for (size_t i = 0; i < a->n_q; i++) {
        st.top[i] = -INFINITY;
        st.sum[i] = 0;
        memset(a->out + i * a->out_stride, 0, vd * sizeof *a->out);
    }
    for (size_t page = st.range.first / KERN_KV_PAGE; page < end; page++)
        for (size_t q = 0; q < a->n_q; q += V_FLOAT_ROWS) {
            size_t n = a->n_q - q < V_FLOAT_ROWS ? a->n_q - q : V_FLOAT_ROWS;
            rows_page_n[n - 1](a, &st, page, q, page + 1 == end);
        }
    for (size_t i = 0; i < a->n_q; i++)
        attn_finish(a, i, a->out + i * a->out_stride, st.top[i], st.sum[i]);
}
