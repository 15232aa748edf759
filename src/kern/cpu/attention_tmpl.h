/* Template: attention over pages with an online softmax (Milakov & Gimelshein, arXiv:1805.02867).
 *
 * Per query the pages are visited in ascending order and each adds its 32 positions as one step of
 * the online softmax, so a query's result depends neither on the queries beside it nor on positions
 * it cannot see: those have weight exactly 0. Before the first position that it sees its maximum is
 * minus infinity, and the differences that are NaN then have weight 0 as well (vf_exp). The two ways
 * below share every sum's order, hence their bits: few queries go through attention_rows_tmpl.h, many
 * through attention_tiles_tmpl.h. */

/* Positions from .. to - 1 of a page. */
struct attn_seen {
    size_t from, to;
};

/* How many of the page's positions come before `end`. */
static size_t before_in_page(uint32_t end, size_t page)
{
    size_t first = page * KERN_KV_PAGE;
    if (end <= first) return 0;
    return end - first < KERN_KV_PAGE ? end - first : KERN_KV_PAGE;
}

/* Of a query that sees positions kv0 .. n_kv - 1; from >= to where that is none of the page. */
static struct attn_seen seen_in_page(uint32_t kv0, uint32_t n_kv, size_t page)
{
    return (struct attn_seen){before_in_page(kv0, page), before_in_page(n_kv, page)};
}

/* What some query of several sees. Starts as {KERN_KV_PAGE, 0}. */
static struct attn_seen seen_also(struct attn_seen all, struct attn_seen one)
{
    if (one.from >= one.to) return all;
    return (struct attn_seen){one.from < all.from ? one.from : all.from,
                              one.to > all.to ? one.to : all.to};
}

static uint32_t attn_kv0(const struct kern_attn *a, size_t i)
{
    return a->kv0 ? a->kv0[i] : 0;
}

/* Of several queries: some see positions first .. end - 1, all of them those from all_first on that are
 * before all_end. */
struct attn_range {
    uint32_t first, end, all_first, all_end;
};

static struct attn_range attn_range(const struct kern_attn *a, size_t q0, size_t n)
{
    struct attn_range r = {UINT32_MAX, 0, 0, UINT32_MAX};
    for (size_t i = q0; i < q0 + n; i++) {
        uint32_t kv0 = attn_kv0(a, i), n_kv = a->n_kv[i];
        if (kv0 < r.first) r.first = kv0;
        if (kv0 > r.all_first) r.all_first = kv0;
        if (n_kv > r.end) r.end = n_kv;
        if (n_kv < r.all_end) r.all_end = n_kv;
    }
    return r;
}

/* Whether all queries see all of a page: most pages need no look at each of them. */
static bool attn_all_see(const struct attn_range *r, size_t page)
{
    return page * KERN_KV_PAGE >= r->all_first && (page + 1) * KERN_KV_PAGE <= r->all_end;
}

/* Whether scores need more than their scale. */
static bool attn_bent(const struct kern_attn *a)
{
    return a->softcap > 0 || a->slope;
}

/* The whole score from the product of query and key. */
INLINE vf attn_bend(const struct kern_attn *a, vf product, vf slope, vf distance)
{
    float cap = a->softcap;
    vf x = vf_mul(product, vf_set1(cap > 0 ? a->scale / cap : a->scale));
    if (cap > 0) x = vf_mul(vf_tanh(x), vf_set1(cap));
    if (!a->slope) return x;
    return vf_sub(x, vf_mul(slope, vf_abs(distance)));
}

static size_t attn_v_dim(const struct kern_attn *a)
{
    return a->v_dim ? a->v_dim : a->head_dim;
}

/* What remains of the weights once the sink has taken its share of them. */
static float attn_sink_share(float sink, float top, float sum)
{
    float most = top > sink ? top : sink;
    float fade = vf_hmax(vf_exp(vf_set1(top - most))), own = vf_hmax(vf_exp(vf_set1(sink - most)));
    /* Some position has weight 1, unless all scores are NaN: that must show. */
    return sum > 0 && !isnan(sink) ? fade / (sum * fade + own) : NAN;
}

static void attn_finish(const struct kern_attn *a, size_t i, const float *x, float top, float sum)
{
    float *out = a->out + i * a->out_stride;
    vf k = vf_set1(a->sink ? attn_sink_share(a->sink[i], top, sum) : 1.0f / sum);
    for (size_t d = 0; d < attn_v_dim(a); d += 16) vf_store(out + d, vf_mul(vf_load(x + d), k));
}

#include "kern/cpu/attention_load_tmpl.h"

#include "kern/cpu/attention_rows_tmpl.h"

#include "kern/cpu/attention_tiles_tmpl.h"

static void ops_attention(const struct kern_attn *a)
{
    if (a->n_q <= ATTN_ROWS)
        attention_rows(a);
    else
        attention_tiles(a);
}
