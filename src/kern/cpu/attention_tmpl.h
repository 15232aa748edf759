/* Template: attention over pages with an online softmax (Milakov & Gimelshein, arXiv:1805.02867).
 *
 * Per query the pages are visited in ascending order and each adds its 32 positions as one step of
 * the online softmax, so a query's result depends neither on the queries beside it nor on positions
 * it cannot see: those have weight exactly 0. The two ways below share every sum's order, hence
 * their bits: few queries go through attention_rows_tmpl.h, many through attention_tiles_tmpl.h. */

static size_t seen_in_page(uint32_t n_kv, size_t page)
{
    size_t first = page * KERN_KV_PAGE;
    if (n_kv <= first) return 0;
    return n_kv - first < KERN_KV_PAGE ? n_kv - first : KERN_KV_PAGE;
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
