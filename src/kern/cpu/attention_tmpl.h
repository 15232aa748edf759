/* Template: attention over pages with an online softmax (Milakov & Gimelshein, arXiv:1805.02867).
 *
 * Per query the pages are visited in ascending order and each adds its 32 positions as one step of
 * the online softmax, so a query's result depends neither on the queries beside it nor on positions
 * it cannot see: those have weight exactly 0. Before the first position that it sees its maximum is minus
 * infinity, and the differences that are NaN then have weight 0 as well (vf_exp). The two ways below share every sum's order, hence
 * their bits: few queries go through attention_rows_tmpl.h, many through attention_tiles_tmpl.h. */

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

/* Pages first .. end - 1 hold what the queries see. */
struct attn_range {
    size_t first, end;
};

static struct attn_range attn_pages(const struct kern_attn *a)
{
    uint32_t first = UINT32_MAX, end = 0;
    for (size_t i = 0; i < a->n_q; i++) {
        if (a->n_kv[i] > end) end = a->n_kv[i];
        if (attn_kv0(a, i) < first) first = attn_kv0(a, i);
    }
    return (struct attn_range){first / KERN_KV_PAGE, (end + (size_t)KERN_KV_PAGE - 1) / KERN_KV_PAGE};
}

static size_t attn_v_dim(const struct kern_attn *a)
{
    return a->v_dim ? a->v_dim : a->head_dim;
}

/* What a query's running maximum and sum start as: a sink is there before all positions. */
static float attn_top0(const struct kern_attn *a, size_t i)
{
    return a->sink ? a->sink[i] : -INFINITY;
}

static float attn_sum0(const struct kern_attn *a, size_t i)
{
    if (!a->sink) return 0;
    return isnan(a->sink[i]) ? NAN : 1; /* shows in the output */
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

static void attn_finish(float *out, const float *x, size_t hd, float sum)
{
    vf inv = vf_set1(1.0f / sum);
    for (size_t d = 0; d < hd; d += 16) vf_store(out + d, vf_mul(vf_load(x + d), inv));
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
