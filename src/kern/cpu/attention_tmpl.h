/* Template: attention over pages with an online softmax (Milakov & Gimelshein, arXiv:1805.02867).
 *
 * Queries are taken in blocks; each page's keys and values are converted once per block. Per query
 * the pages are visited in ascending order and each adds its 32 positions as one step of the online
 * softmax, so a query's result depends neither on its block nor on positions it cannot see: those
 * have weight exactly 0. */

enum { ATTN_BLOCK = V_FLOAT_ROWS };

struct attn_state {
    float top[ATTN_BLOCK], sum[ATTN_BLOCK];     /* running maximum and sum of exponentials */
    float fade[ATTN_BLOCK];                     /* what this page multiplies the past by */
    float p[ATTN_BLOCK][KERN_KV_PAGE];
};

INLINE void attn_scores(const int n, const uint16_t *k, const float *q, size_t q_stride, size_t hd,
                        struct attn_state *st)
{
    vf s0[ATTN_BLOCK], s1[ATTN_BLOCK];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) s0[i] = s1[i] = vf_zero();
    for (size_t d = 0; d < hd; d++) {
        vf k0 = vf_load_f16(k + d * KERN_KV_PAGE), k1 = vf_load_f16(k + d * KERN_KV_PAGE + 16);
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) {
            vf x = vf_set1(q[(size_t)i * q_stride + d]);
            s0[i] = vf_fma(k0, x, s0[i]);
            s1[i] = vf_fma(k1, x, s1[i]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
        vf_store(st->p[i], s0[i]);
        vf_store(st->p[i] + 16, s1[i]);
    }
}

/* Scores of query i to weights; `seen` positions of this page are visible. */
static void attn_softmax(struct attn_state *st, int i, size_t seen, float scale)
{
    float *p = st->p[i];
    for (size_t j = seen; j < KERN_KV_PAGE; j++) p[j] = -INFINITY;
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

INLINE void attn_values(const int n, const uint16_t *v, size_t seen, size_t hd,
                        const struct attn_state *st, float *out, size_t out_stride)
{
    for (size_t d = 0; d < hd; d += 16) {
        vf o[ATTN_BLOCK];
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            o[i] = vf_mul(vf_load(out + (size_t)i * out_stride + d), vf_set1(st->fade[i]));
        for (size_t j = 0; j < seen; j++) {
            vf x = vf_load_f16(v + j * hd + d);
#pragma GCC unroll 8
            for (int i = 0; i < n; i++) o[i] = vf_fma(x, vf_set1(st->p[i][j]), o[i]);
        }
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) vf_store(out + (size_t)i * out_stride + d, o[i]);
    }
}

static size_t seen_in_page(uint32_t n_kv, size_t page)
{
    size_t first = page * KERN_KV_PAGE;
    if (n_kv <= first) return 0;
    return n_kv - first < KERN_KV_PAGE ? n_kv - first : KERN_KV_PAGE;
}

INLINE void attn_block(const int n, const struct kern_attn *a, size_t q0)
{
    const size_t hd = a->head_dim;
    const float *q = a->q + q0 * a->q_stride;
    float *out = a->out + q0 * a->out_stride;
    const uint32_t *n_kv = a->n_kv + q0;
    struct attn_state st;
    size_t longest = 0;
    for (int i = 0; i < n; i++) {
        st.top[i] = -INFINITY;
        st.sum[i] = 0;
        memset(out + (size_t)i * a->out_stride, 0, hd * sizeof *out);
        if (n_kv[i] > longest) longest = n_kv[i];
    }
    for (size_t page = 0; page * KERN_KV_PAGE < longest; page++) {
        const uint16_t *k = (const uint16_t *)(a->pages[page] + a->k_offset);
        const uint16_t *v = (const uint16_t *)(a->pages[page] + a->v_offset);
        attn_scores(n, k, q, a->q_stride, hd, &st);
        for (int i = 0; i < n; i++) {
            size_t seen = seen_in_page(n_kv[i], page);
            if (seen) {
                attn_softmax(&st, i, seen, a->scale);
            } else {
                st.fade[i] = 1;
                memset(st.p[i], 0, sizeof st.p[i]);
            }
        }
        size_t most = seen_in_page((uint32_t)longest, page);
        attn_values(n, v, most, hd, &st, out, a->out_stride);
    }
    for (int i = 0; i < n; i++) {
        vf inv = vf_set1(1.0f / st.sum[i]);
        float *o = out + (size_t)i * a->out_stride;
        for (size_t d = 0; d < hd; d += 16) vf_store(o + d, vf_mul(vf_load(o + d), inv));
    }
}

#define DEFINE_ATTN(N)                                                                             \
    static void attn_block_##N(const struct kern_attn *a, size_t q0) { attn_block(N, a, q0); }
DEFINE_ATTN(1)
#if V_FLOAT_ROWS >= 4
DEFINE_ATTN(2)
DEFINE_ATTN(4)
#endif
#if V_FLOAT_ROWS >= 8
DEFINE_ATTN(8)
#endif

static void ops_attention(const struct kern_attn *a)
{
    size_t q = 0;
#if V_FLOAT_ROWS >= 8
    for (; q + 8 <= a->n_q; q += 8) attn_block_8(a, q);
#endif
#if V_FLOAT_ROWS >= 4
    for (; q + 4 <= a->n_q; q += 4) attn_block_4(a, q);
    for (; q + 2 <= a->n_q; q += 2) attn_block_2(a, q);
#endif
    for (; q < a->n_q; q++) attn_block_1(a, q);
}
