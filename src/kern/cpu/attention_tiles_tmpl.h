/* Template: attention for the many queries of a prompt. Sixteen queries are the lanes of a vector, so
 * that the softmax needs no sum or maximum across lanes; a page is converted to floats once for all
 * queries. Scores are built in tiles of TILE_POS positions by TILE_VECS vectors of queries, values
 * in tiles of 8 queries by 2 vectors of dimensions. */

#if V_FLOAT_ROWS >= 8
enum { TILE_VECS = 3, TILE_POS = 8, TILE_ROWS = 8, TILE_STRIPS = 2 };
#elif V_FLOAT_ROWS >= 4
enum { TILE_VECS = 1, TILE_POS = 4, TILE_ROWS = 4, TILE_STRIPS = 1 };
#else
enum { TILE_VECS = 1, TILE_POS = 1, TILE_ROWS = 1, TILE_STRIPS = 1 };
#endif
enum { TILE_Q = 16 * TILE_VECS };

/* In the caller's scratch memory. */
struct attn_tiles {
    float top[KERN_ATTN_MAX_Q + TILE_Q], sum[KERN_ATTN_MAX_Q + TILE_Q];
    uint32_t kv0[KERN_ATTN_MAX_Q + TILE_Q], n_kv[KERN_ATTN_MAX_Q + TILE_Q];
    float slope[KERN_ATTN_MAX_Q + TILE_Q], pos[KERN_ATTN_MAX_Q + TILE_Q];
    /* One block's scores, then weights: [position][query]. */
    _Alignas(64) float s[KERN_KV_PAGE * TILE_Q];
    float fade[TILE_Q];
    struct attn_range range[KERN_ATTN_MAX_Q / TILE_Q + 1]; /* of each block */
    float *keys, *values; /* the page: [head_dim][32], [32][v_dim] */
    float *q;             /* blocks of up to TILE_Q queries: [head_dim][query] */
    float *out;           /* [query][v_dim] */
};
_Static_assert(sizeof(struct attn_tiles) + 63 <= KERN_ATTN_STATE_BYTES, "scratch too small");

/* Scores of 16 * nv queries against a page. */
INLINE void tile_scores(const int nv, const float *keys, const float *q, size_t hd, float *s)
{
    for (size_t j = 0; j < KERN_KV_PAGE; j += TILE_POS) {
        vf acc[TILE_POS][TILE_VECS];
#pragma GCC unroll 8
        for (int i = 0; i < TILE_POS; i++)
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++) acc[i][v] = vf_zero();
        for (size_t d = 0; d < hd; d++) {
            vf x[TILE_VECS];
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++) x[v] = vf_load(q + d * 16 * nv + 16 * v);
#pragma GCC unroll 8
            for (int i = 0; i < TILE_POS; i++) {
                vf k = vf_set1(keys[d * KERN_KV_PAGE + j + i]);
#pragma GCC unroll 3
                for (int v = 0; v < nv; v++) acc[i][v] = vf_fma(k, x[v], acc[i][v]);
            }
        }
#pragma GCC unroll 8
        for (int i = 0; i < TILE_POS; i++)
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++) vf_store(s + (j + i) * TILE_Q + 16 * v, acc[i][v]);
    }
}

/* Scores of 16 queries to weights. The sum takes its terms in the order of vf_hsum. */
static void tile_softmax(float *s, float *top, float *sum, float *fade, float scale)
{
    vf k = vf_set1(scale), old = vf_load(top), page = vf_mul(vf_load(s), k);
    for (int j = 1; j < KERN_KV_PAGE; j++) page = vf_max(vf_mul(vf_load(s + j * TILE_Q), k), page);
    vf t = vf_max(old, page), part[16];
    for (int j = 0; j < 16; j++) {
        float *lo = s + j * TILE_Q, *hi = s + (j + 16) * TILE_Q;
        vf a = vf_exp(vf_sub(vf_mul(vf_load(lo), k), t));
        vf b = vf_exp(vf_sub(vf_mul(vf_load(hi), k), t));
        vf_store(lo, a);
        vf_store(hi, b);
        part[j] = vf_add(a, b);
    }
    for (int n = 8; n > 0; n /= 2)
        for (int i = 0; i < n; i++) part[i] = vf_add(part[i], part[i + n]);
    vf f = vf_exp(vf_sub(old, t));
    vf_store(top, t);
    vf_store(sum, vf_add(vf_mul(vf_load(sum), f), part[0]));
    vf_store(fade, f);
}

/* Adds the page's weighted values to TILE_ROWS queries, 16 * strips dimensions of them. */
INLINE void tile_values(const int strips, const float *values, struct attn_seen seen, size_t hd,
                        const float *w, const float *fade, float *out)
{
    vf o[TILE_ROWS][TILE_STRIPS];
#pragma GCC unroll 8
    for (int i = 0; i < TILE_ROWS; i++)
#pragma GCC unroll 2
        for (int s = 0; s < strips; s++)
            o[i][s] = vf_mul(vf_load(out + (size_t)i * hd + 16 * s), vf_set1(fade[i]));
    for (size_t j = seen.from; j < seen.to; j++) {
        vf x[TILE_STRIPS];
#pragma GCC unroll 2
        for (int s = 0; s < strips; s++) x[s] = vf_load(values + j * hd + 16 * s);
#pragma GCC unroll 8
        for (int i = 0; i < TILE_ROWS; i++) {
            vf p = vf_set1(w[j * TILE_Q + i]);
#pragma GCC unroll 2
            for (int s = 0; s < strips; s++) o[i][s] = vf_fma(x[s], p, o[i][s]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < TILE_ROWS; i++)
#pragma GCC unroll 2
        for (int s = 0; s < strips; s++) vf_store(out + (size_t)i * hd + 16 * s, o[i][s]);
}

/* Where some of the block's queries do not see all of the page. */
APART void tile_mask(struct attn_tiles *t, size_t q0, size_t n, size_t page)
{
    for (size_t i = 0; i < n; i++) {
        struct attn_seen seen = seen_in_page(t->kv0[q0 + i], t->n_kv[q0 + i], page);
        for (size_t j = 0; j < seen.from; j++) t->s[j * TILE_Q + i] = -INFINITY;
        for (size_t j = seen.to; j < KERN_KV_PAGE; j++) t->s[j * TILE_Q + i] = -INFINITY;
    }
}

/* Products of the block to scores. */
APART void tile_bend(const struct kern_attn *a, struct attn_tiles *t, size_t q0, size_t n,
                      size_t page)
{
    for (size_t i = 0; i < n; i += 16)
        for (size_t j = 0; j < KERN_KV_PAGE; j++) {
            float *s = t->s + j * TILE_Q + i;
            vf at = vf_set1((float)(page * KERN_KV_PAGE + j));
            vf distance = vf_sub(vf_load(t->pos + q0 + i), at);
            vf_store(s, attn_bend(a, vf_load(s), vf_load(t->slope + q0 + i), distance));
        }
}

/* One page for the block of n queries (a multiple of 16) from q0 on. */
static void tile_block(const struct kern_attn *a, struct attn_tiles *t, size_t q0, size_t n,
                       size_t page)
{
    size_t hd = a->head_dim, vd = attn_v_dim(a);
    const bool whole = attn_all_see(&t->range[q0 / TILE_Q], page), bent = attn_bent(a);
    struct attn_seen all = {0, KERN_KV_PAGE};
    if (!whole) {
        all = (struct attn_seen){KERN_KV_PAGE, 0};
        for (size_t i = q0; i < q0 + n; i++)
            all = seen_also(all, seen_in_page(t->kv0[i], t->n_kv[i], page));
        if (!all.to) return;
    }
    const float *q = t->q + q0 * hd;
#if V_FLOAT_ROWS >= 8
    if (n == 48) tile_scores(3, t->keys, q, hd, t->s);
    if (n == 32) tile_scores(2, t->keys, q, hd, t->s);
#endif
    if (n == 16) tile_scores(1, t->keys, q, hd, t->s);
    if (bent) tile_bend(a, t, q0, n, page);
    if (!whole) tile_mask(t, q0, n, page);
    for (size_t i = 0; i < n; i += 16)
        tile_softmax(t->s + i, t->top + q0 + i, t->sum + q0 + i, t->fade + i,
                     bent ? 1.0f : a->scale);
    for (size_t i = 0; i < n; i += TILE_ROWS) {
        float *out = t->out + (q0 + i) * vd;
        size_t d = 0;
        for (; d + 16 * TILE_STRIPS <= vd; d += 16 * TILE_STRIPS)
            tile_values(TILE_STRIPS, t->values + d, all, vd, t->s + i, t->fade + i, out + d);
        for (; d < vd; d += 16)
            tile_values(1, t->values + d, all, vd, t->s + i, t->fade + i, out + d);
    }
}

INLINE void tile_keys(const enum kern_kv_format f, const uint8_t *k, size_t hd, float *keys)
{
    for (size_t half = 0; half < hd; half += 16)
        for (size_t l = 0; l < KERN_KV_PAGE; l += 16) {
            vf m = key_scale(f, k, hd, half, l);
            for (size_t d = half; d < half + 16; d++)
                vf_store(keys + d * KERN_KV_PAGE + l, load_key(f, k, half, d, l, m));
        }
}

INLINE void tile_page_values(const enum kern_kv_format f, const uint8_t *v, size_t hd, float *values)
{
    float scale[KERN_KV_PAGE];
    for (size_t d = 0; d < hd; d += 32) {
        value_scales(f, v, hd, d, scale);
        for (size_t j = 0; j < KERN_KV_PAGE; j++) {
            float *to = values + j * hd + d;
            vf_store(to, load_value(f, v, hd, j, d, 0, scale));
            if (d + 16 < hd) vf_store(to + 16, load_value(f, v, hd, j, d, 1, scale));
        }
    }
}

static void tile_convert(const struct kern_attn *a, struct attn_tiles *t, size_t page)
{
    const uint8_t *k = a->pages[page] + a->k_offset, *v = a->pages[page] + a->v_offset;
    const size_t vd = attn_v_dim(a);
    switch (a->k_format) {
    case KERN_KV_F16: tile_keys(KERN_KV_F16, k, a->head_dim, t->keys); break;
    case KERN_KV_Q8: tile_keys(KERN_KV_Q8, k, a->head_dim, t->keys); break;
    case KERN_KV_Q4: tile_keys(KERN_KV_Q4, k, a->head_dim, t->keys); break;
    }
    switch (a->v_format) {
    case KERN_KV_F16: tile_page_values(KERN_KV_F16, v, vd, t->values); break;
    case KERN_KV_Q8: tile_page_values(KERN_KV_Q8, v, vd, t->values); break;
    case KERN_KV_Q4: tile_page_values(KERN_KV_Q4, v, vd, t->values); break;
    }
}

static size_t tile_width(size_t n_padded, size_t q0)
{
    return n_padded - q0 < TILE_Q ? n_padded - q0 : TILE_Q;
}

/* Lanes without a query of their own repeat the last one. */
static size_t tile_setup(const struct kern_attn *a, struct attn_tiles *t)
{
    size_t hd = a->head_dim, vd = attn_v_dim(a), n = (a->n_q + 15) / 16 * 16;
    float *p = (float *)((uint8_t *)a->scratch + (sizeof *t + 63) / 64 * 64);
    t->keys = p;
    t->values = t->keys + hd * KERN_KV_PAGE;
    t->q = t->values + vd * KERN_KV_PAGE;
    t->out = t->q + n * hd;
    memset(t->out, 0, n * vd * sizeof *t->out);
    for (size_t i = 0; i < n; i++) {
        size_t from = i < a->n_q ? i : a->n_q - 1;
        size_t q0 = i / TILE_Q * TILE_Q, w = tile_width(n, q0);
        const float *q = a->q + from * a->q_stride;
        float *to = t->q + q0 * hd + (i - q0);
        for (size_t d = 0; d < hd; d++) to[d * w] = q[d];
        t->kv0[i] = attn_kv0(a, from);
        t->n_kv[i] = a->n_kv[from];
        t->slope[i] = a->slope ? a->slope[from] : 0;
        t->pos[i] = a->slope ? (float)a->pos[from] : 0;
        t->top[i] = -INFINITY;
        t->sum[i] = 0;
    }
    for (size_t q0 = 0; q0 < a->n_q; q0 += TILE_Q)
        t->range[q0 / TILE_Q] = attn_range(a, q0, a->n_q - q0 < TILE_Q ? a->n_q - q0 : TILE_Q);
    return n;
}

static void attention_tiles(const struct kern_attn *a)
{
    struct attn_tiles *t = a->scratch;
    const size_t n = tile_setup(a, t), vd = attn_v_dim(a);
    const struct attn_range r = attn_range(a, 0, a->n_q);
    const size_t end = (r.end + (size_t)KERN_KV_PAGE - 1) / KERN_KV_PAGE;
    for (size_t page = r.first / KERN_KV_PAGE; page < end; page++) {
        tile_convert(a, t, page);
        if (page + 1 < end) {
            const uint8_t *next = a->pages[page + 1];
            prefetch(next + a->k_offset, kern_kv_bytes(a->k_format, a->head_dim));
            prefetch(next + a->v_offset, kern_kv_bytes(a->v_format, vd));
        }
        for (size_t q0 = 0; q0 < n; q0 += TILE_Q) tile_block(a, t, q0, tile_width(n, q0), page);
    }
    for (size_t i = 0; i < a->n_q; i++)
        attn_finish(a, i, t->out + i * vd, t->top[i], t->sum[i]);
}
