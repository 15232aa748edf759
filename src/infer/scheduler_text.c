/* From tokens to what is given: whole characters, without stop texts, each token with its text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "infer/branch.h"
#include "infer/scheduler_int.h"

/* Kept free for what is looked at beside a text that has ended. */
enum { HELD_PAGES = 96 };

/* ---- logprobs -------------------------------------------------------------------------------- */

void logprob_fill(const float *logits, size_t n_vocab, int32_t token, size_t n_top,
                  struct sched_token *t, struct sched_alternative *tops)
{
    float max = infer_max(logits, n_vocab);
    double norm = (double)max + log(infer_sum_exp(logits, n_vocab, max));
    size_t n = 0;
    for (size_t i = 0; i < n_vocab && n_top > 0; i++) {
        float p = logits[i];
        if (isnan(p) || (n == n_top && !(p > tops[n - 1].logprob))) continue;
        size_t at = n < n_top ? n++ : n - 1;
        for (; at > 0 && p > tops[at - 1].logprob; at--) tops[at] = tops[at - 1];
        tops[at] = (struct sched_alternative){(int32_t)i, p};
    }
    for (size_t i = 0; i < n; i++) tops[i].logprob = (float)((double)tops[i].logprob - norm);
    t->id = token;
    t->logprob = (float)((double)logits[token] - norm);
    t->top = tops;
    t->n_top = n;
}

/* ---- giving ---------------------------------------------------------------------------------- */

/* Whether the text is given as it comes: with best_of only the end tells which are. */
static bool streams(const struct request *r)
{
    return r->n_lanes == r->n_samples;
}

static bool is_stopped(const struct request *r)
{
    return __atomic_load_n(&r->cause, __ATOMIC_RELAXED) != 0 || r->status != OK;
}

static bool takes_no_more(const struct request *r)
{
    return __atomic_load_n(&r->cause, __ATOMIC_RELAXED) == 1 + (int)FINISH_CALLBACK;
}

/* Gives the text up to `end` and the tokens that begin before it; all of them where `last` or where
 * nothing is held back. */
static void give(struct lane *l, size_t sample, size_t end, bool last)
{
    struct request *r = l->req;
    size_t from = l->tokens_given, n = from;
    size_t text_end = end > r->r.n_begin ? end - r->r.n_begin : 0;
    bool whole = l->out.len >= r->r.n_begin || !l->forced.tok;
    if (end >= l->out.len && whole && l->stream.n_held == 0) last = true;
    while (n < l->n_tokens && (last || l->tokens[n].text_offset < text_end)) n++;
    if (end < l->given) end = l->given;
    struct sched_chunk c = {.sample = sample,
                            .text = end > l->given ? l->out.data + l->given : "",
                            .n_text = end - l->given,
                            .tokens = l->tokens + from,
                            .n_tokens = n - from};
    l->given = end;
    l->tokens_given = n;
    if ((c.n_text == 0 && c.n_tokens == 0) || !r->r.on_text || takes_no_more(r)) return;
    if (!r->r.on_text(r->r.ctx, &c)) {
        int none = 0;
        __atomic_compare_exchange_n(&r->cause, &none, 1 + (int)FINISH_CALLBACK, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
}

/* ---- stop texts ------------------------------------------------------------------------------ */

/* The stop text that begins first at or after `from`, the longest of those; its place in *at. */
static int find_stop(const struct lane *l, size_t from, size_t *at)
{
    const struct sched_request *q = &l->req->r;
    int found = -1;
    for (size_t i = 0; i < q->n_stop_text && from < l->out.len; i++) {
        const struct text_str *t = &q->stop_text[i];
        const char *p = memmem(l->out.data + from, l->out.len - from, t->data, t->len);
        if (!p) continue;
        size_t place = (size_t)(p - l->out.data);
        if (found >= 0 && (place > *at || (place == *at && t->len <= q->stop_text[found].len)))
            continue;
        found = (int)i;
        *at = place;
    }
    return found;
}

/* Where the longest ending of the text begins that may become a stop text; at `from` or behind. */
static size_t held_from(const struct lane *l, size_t from)
{
    const struct sched_request *q = &l->req->r;
    size_t best = l->out.len;
    for (size_t i = 0; i < q->n_stop_text; i++) {
        const struct text_str *t = &q->stop_text[i];
        size_t at = l->out.len > t->len - 1 ? l->out.len - (t->len - 1) : 0;
        if (at < from) at = from;
        for (; at < best; at++)
            if (memcmp(l->out.data + at, t->data, l->out.len - at) == 0) best = at;
    }
    return best;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static enum status append_bytes(struct scheduler *s, struct lane *l, int32_t token)
{
    if (!s->e->tok) return OK;
    l->n_raw += tokenizer_piece(s->e->tok, token, l->req->r.special, NULL, 0);
    return text_stream_push(&l->stream, token, &l->out);
}

static void fail_text(struct scheduler *s, struct request *r, enum status st)
{
    struct error err;
    error_set(&err, st, "no memory for the text of an answer");
    request_fail(s, r, st, &err);
}

/* Whether the text from `from` on has a line break and the time for lines is over. */
static bool ends_lines(const struct lane *l, size_t from)
{
    const struct request *r = l->req;
    return r->r.lines_ms > 0 && l->out.len > from &&
           memchr(l->out.data + from, '\n', l->out.len - from) &&
           1e3 * (clock_now() - r->first_token) > r->r.lines_ms;
}

bool lane_write(struct scheduler *s, struct lane *l, const struct sched_token *t)
{
    struct request *r = l->req;
    struct sched_token *own = &l->tokens[l->n_tokens++];
    *own = *t;
    own->text_offset = l->n_raw > r->r.n_begin ? l->n_raw - r->r.n_begin : 0;
    size_t before = l->out.len;
    enum status st = append_bytes(s, l, t->id);
    if (st != OK) {
        fail_text(s, r, st);
        return false;
    }
    size_t from = l->searched, at;
    int stop = find_stop(l, from, &at);
    if (stop >= 0) {
        l->result.stop_text = stop;
        l->stream.n_held = 0;
        l->out.len = at;
        while (l->n_tokens > l->tokens_given &&
               l->tokens[l->n_tokens - 1].text_offset >= at - r->r.n_begin)
            l->n_tokens--;
        lane_finish(s, l, FINISH_STOP);
        return false;
    }
    size_t sure = l->out.len > from ? held_from(l, from) : from;
    if (sure > from) l->searched = sure;
    if (ends_lines(l, before)) {
        lane_finish(s, l, FINISH_DEADLINE);
        return false;
    }
    if (streams(r)) give(l, l->sample, sure, false);
    return !is_stopped(r);
}

/* Its pages are about to go: shows what they hold, with room for more beside them where only the
 * cache is in the way. */
static void show_held(struct scheduler *s, struct lane *l)
{
    const struct request *r = l->req;
    bool well = l->result.finish == FINISH_STOP || l->result.finish == FINISH_LENGTH ||
                l->result.finish == FINISH_CALLBACK;
    if (!r->r.on_held || !l->seq || !well || r->status != OK) return;
    size_t free = kv_pool_pages_free(s->pool);
    if (s->cache && free < s->plan_pages + HELD_PAGES)
        prefix_cache_evict(s->cache, s->plan_pages + HELD_PAGES - free);
    size_t len = kv_seq_len(l->seq);
    struct branch_base base = {.e = s->e,
                               .seq = l->seq,
                               .tokens = l->text,
                               .n = len < l->n_text ? len : l->n_text,
                               .n_vocab = s->n_vocab,
                               .first_bytes = &s->first_bytes};
    r->r.on_held(r->r.ctx, l->sample, &l->result, &base);
}

void lane_finish(struct scheduler *s, struct lane *l, enum finish_reason why)
{
    if (l->done) return;
    l->done = true;
    l->awaits_prompt = false;
    l->result.finish = why;
    if (s->e->tok && text_stream_end(&l->stream, &l->out) != OK && l->req->status == OK)
        fail_text(s, l->req, ERR_NOMEM);
    if (streams(l->req) && l->req->status == OK) give(l, l->sample, l->out.len, true);
    show_held(s, l);
    lane_release(s, l);
}

/* ---- the end --------------------------------------------------------------------------------- */

static double mean_logprob(const struct lane *l)
{
    return l->result.n_generated ? l->result.logprob / (double)l->result.n_generated : 0;
}

/* The samples to give, best first where there is a choice. */
static void order_samples(struct request *r, struct lane **order)
{
    for (size_t i = 0; i < r->n_lanes; i++) {
        size_t at = i;
        for (; !streams(r) && at > 0 && mean_logprob(&r->lanes[i]) > mean_logprob(order[at - 1]);
             at--)
            order[at] = order[at - 1];
        order[at] = &r->lanes[i];
    }
}

static void fill_times(const struct request *r, struct sched_result *out)
{
    double now = clock_now(), begun = r->begun > 0 ? r->begun : now;
    out->queue_ms = 1e3 * (begun - r->submitted);
    out->prefill_ms = r->prompt_read > 0 ? 1e3 * (r->prompt_read - begun) : 0;
    out->first_token_ms = r->first_token > 0 ? 1e3 * (r->first_token - r->submitted) : 0;
    out->decode_ms = r->first_token > 0 ? 1e3 * (r->last_token - r->first_token) : 0;
    out->total_ms = 1e3 * (now - r->submitted);
}

static void note_end(struct scheduler *s, const struct request *r, const struct sched_result *res)
{
    struct sched_stats *st = &s->stats;
    if (res->status != OK) {
        st->failed++;
    } else {
        st->finished[res->finish]++;
    }
    st->prompt_tokens += res->n_prompt;
    st->cached_tokens += res->n_cached;
    st->generated_tokens += res->n_generated;
    st->drafted_tokens += res->n_drafted;
    st->accepted_tokens += res->n_accepted;
    stats_add(&st->queue_seconds, 1e-3 * res->queue_ms);
    stats_add(&st->total_seconds, 1e-3 * res->total_ms);
    if (r->first_token > 0) stats_add(&st->first_token_seconds, 1e-3 * res->first_token_ms);
}

void request_tell(struct scheduler *s, struct request *r)
{
    struct lane *order[SCHED_MAX_SAMPLES];
    struct sched_sample samples[SCHED_MAX_SAMPLES];
    int cause = __atomic_load_n(&r->cause, __ATOMIC_RELAXED);
    struct sched_result res = {.status = r->status,
                               .error = r->status != OK ? &r->error : NULL,
                               .finish = cause ? (enum finish_reason)(cause - 1) : FINISH_STOP,
                               .samples = samples,
                               .n_prompt = r->r.n_prompt,
                               .n_cached = r->n_cached,
                               .n_generated = r->n_generated,
                               .n_drafted = r->n_drafted,
                               .n_accepted = r->n_accepted,
                               .n_preempted = r->n_preempted};
    if (r->lanes) {
        order_samples(r, order);
        res.n_samples = r->n_samples;
        for (size_t i = 0; i < r->n_samples; i++) {
            if (!streams(r) && r->status == OK) give(order[i], i, order[i]->out.len, true);
            samples[i] = order[i]->result;
            if (!r->needs_logprobs) samples[i].logprob = 0;
        }
        res.finish = samples[0].finish;
    }
    fill_times(r, &res);
    note_end(s, r, &res);
    if (r->r.on_done) r->r.on_done(r->r.ctx, &res);
}
