/* One step: the forward pass over the planned rows, and the tokens that are drawn from it. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "infer/scheduler_int.h"

enum { LEAST_PROMPT_ROWS = 16 }; /* fewer say little of what a row takes */
#define NEW_SHARE 0.25           /* of a new measurement in the average */

/* ---- drawing --------------------------------------------------------------------------------- */

static bool ends_text(const struct scheduler *s, const struct request *r, int32_t token)
{
    for (size_t i = 0; i < r->r.n_stop; i++)
        if (r->r.stop[i] == token) return true;
    return s->e->tok && !r->r.ignore_end && tokenizer_is_end(s->e->tok, token);
}

static void fail_draw(struct scheduler *s, struct request *r)
{
    struct error err;
    error_set(&err, ERR_INVALID,
              "no token is left to choose from: the logit biases or the grammar ban all, or the "
              "model's output is not a number");
    request_fail(s, r, ERR_INVALID, &err);
}

/* Bans what the forced beginning, or else the request's mask, does not allow. A token that ends the
 * beginning may reach beyond it, where the mask holds. */
static void ban(struct scheduler *s, struct lane *l, float *logits)
{
    const struct sched_mask *mask = l->req->r.mask;
    char rest[FORCED_MAX_PIECE];
    forced_mask(&l->forced, logits, s->n_vocab);
    if (l->mask && l->forced.n_left == 0) mask->mask(l->mask, logits, s->n_vocab);
    if (!l->mask || l->forced.n_left == 0) return;
    for (size_t i = 0; i < s->n_vocab; i++) {
        if (logits[i] == -INFINITY) continue;
        size_t n = forced_rest(&l->forced, (int32_t)i, rest);
        if (n > 0 && !mask->fits(l->mask, rest, n)) logits[i] = -INFINITY;
    }
}

/* The token became part of the text, for all who follow it. */
static void follow(struct lane *l, int32_t token)
{
    const struct sched_mask *mask = l->req->r.mask;
    char rest[FORCED_MAX_PIECE];
    size_t n = l->forced.n_left && l->mask ? forced_rest(&l->forced, token, rest) : 0;
    if (l->mask && l->forced.n_left == 0) mask->accept(l->mask, token);
    if (n > 0) mask->accept_bytes(l->mask, rest, n);
    sampler_accept(l->sampler, token);
    forced_take(&l->forced, token);
    if (l->drafter) draft_ngram.accept(l->drafter, token);
}

/* The next token from a row of logits, which are overwritten; with its logprob where one is needed.
 */
static int32_t draw(struct scheduler *s, struct lane *l, float *logits, struct sched_token *t)
{
    struct request *r = l->req;
    *t = (struct sched_token){.logprob = NAN};
    if (r->needs_logprobs) memcpy(s->scratch, logits, s->n_vocab * sizeof *logits);
    if (r->r.ignore_end)
        for (size_t i = 0; i < s->n_ends; i++) logits[s->ends[i]] = -INFINITY;
    ban(s, l, logits);
    t->id = sampler_draw(l->sampler, logits);
    if (t->id == TOKEN_NONE || !r->needs_logprobs) return t->id;
    size_t n_top = r->r.logprobs ? r->r.n_top : 0;
    logprob_fill(s->scratch, s->n_vocab, t->id, n_top, t, l->tops + l->n_tokens * n_top);
    return t->id;
}

static void note_token(struct scheduler *s, struct request *r)
{
    double now = clock_now();
    if (r->first_token == 0) {
        r->first_token = now;
    } else {
        stats_add(&s->stats.token_seconds, now - r->last_token);
    }
    r->last_token = now;
    r->n_generated++;
}

/* Draws one token and takes it into the text; false where the lane is done. */
static bool take_one(struct scheduler *s, struct lane *l, float *logits)
{
    struct request *r = l->req;
    struct sched_token t;
    int32_t token = draw(s, l, logits, &t);
    if (token == TOKEN_NONE) {
        fail_draw(s, r);
        return false;
    }
    if (ends_text(s, r, token)) {
        l->result.stop_token = token;
        lane_finish(s, l, FINISH_STOP);
        return false;
    }
    note_token(s, r);
    l->result.n_generated++;
    if (r->needs_logprobs) l->result.logprob += (double)t.logprob;
    l->text[l->n_text++] = token;
    if (!lane_write(s, l, &t)) return false;
    if (l->result.n_generated == r->max_new) {
        lane_finish(s, l, FINISH_LENGTH);
        return false;
    }
    follow(l, token);
    return true;
}

/* Draws from the rows of a draft as long as it comes true; the rows behind are forgotten. */
static void draw_all(struct scheduler *s, struct lane *l, float *logits)
{
    struct request *r = l->req;
    size_t n = l->draft.n, right = 0, len = kv_seq_len(l->seq);
    r->n_drafted += n;
    while (take_one(s, l, logits + right * s->n_vocab)) {
        if (right == n || l->text[l->n_text - 1] != l->draft.token[right]) break;
        right++;
        r->n_accepted++;
    }
    if (l->seq) kv_seq_truncate(l->seq, len - (n - right));
}

/* ---- prompts --------------------------------------------------------------------------------- */

/* The logprobs of the prompt's tokens that follow the rows. */
static void note_prompt(struct scheduler *s, struct lane *l, const float *logits)
{
    struct request *r = l->req;
    size_t at = kv_seq_len(l->seq) - l->take, n_top = r->r.n_top;
    for (size_t k = 0; k < l->take && at + k + 1 < r->r.n_prompt; k++)
        logprob_fill(logits + k * s->n_vocab, s->n_vocab, r->r.prompt[at + k + 1], n_top,
                     &r->prompt_tokens[at + k + 1], r->prompt_tops + (at + k + 1) * n_top);
}

/* The samples that waited for the prompt begin where the first one does, with the same logits. */
static void fork_samples(struct scheduler *s, struct lane *first, const float *logits)
{
    struct request *r = first->req;
    struct error err;
    for (size_t i = 1; i < r->n_lanes; i++) {
        struct lane *l = &r->lanes[i];
        if (!l->awaits_prompt) continue;
        enum status st = kv_seq_fork(first->seq, kv_seq_len(first->seq), &l->seq, &err);
        if (st != OK) {
            request_fail(s, r, st, &err);
            return;
        }
        s->n_running++;
        l->awaits_prompt = false;
        l->admitted = ++s->admissions;
        l->n_kept = first->n_kept;
        l->keeps = first->keeps;
        l->shares_tail = first->shares_tail = true;
        if (!logits) continue;
        float *copy = s->fork_logits;
        memcpy(copy, logits, s->n_vocab * sizeof *copy);
        take_one(s, l, copy);
        if (r->status != OK) return;
    }
}

static void end_prompt(struct scheduler *s, struct lane *l, float *logits)
{
    struct request *r = l->req;
    if (r->prompt_read == 0) {
        r->prompt_read = clock_now();
        if (r->prompt_tokens && r->r.on_prompt)
            r->r.on_prompt(r->r.ctx, r->prompt_tokens, r->r.n_prompt);
    }
    if (r->max_new == 0) {
        for (size_t i = 0; i < r->n_lanes; i++) lane_finish(s, &r->lanes[i], FINISH_LENGTH);
        return;
    }
    fork_samples(s, l, logits);
}

/* ---- the step -------------------------------------------------------------------------------- */

static bool is_cancelled(const struct request *r)
{
    return __atomic_load_n(&r->cause, __ATOMIC_RELAXED) != 0;
}

/* From here on, cancelling all requests of the step stops it. */
static void open_step(struct scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    s->step_alive = 0;
    for (size_t i = 0; i < s->n_plan; i++) {
        struct request *r = s->plan[i]->req;
        if (r->in_step || is_cancelled(r)) continue;
        r->in_step = true;
        s->step_alive++;
    }
    __atomic_store_n(&s->step_cancel, s->step_alive == 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&s->lock);
}

static void close_step(struct scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_plan; i++) s->plan[i]->req->in_step = false;
    s->step_alive = 0;
    pthread_mutex_unlock(&s->lock);
}

static void note_step(struct scheduler *s, double ms)
{
    size_t decode = 0, prompt = 0, drafts = 0;
    for (size_t i = 0; i < s->n_plan; i++) {
        const struct lane *l = s->plan[i];
        bool writes = l->take == 1 && l->n_text > l->req->r.n_prompt;
        *(writes ? &decode : &prompt) += l->take;
        drafts += l->draft.n;
    }
    struct sched_stats *st = &s->stats;
    st->steps++;
    st->rows += s->plan_rows;
    st->decode_rows += decode;
    st->prefill_rows += prompt;
    st->draft_rows += drafts;
    stats_add(&st->step_rows, (double)s->plan_rows);
    stats_add(&st->step_seconds, 1e-3 * ms);
    if (prompt == 0) {
        pass_times_note(&s->times, s->plan_rows, ms);
    } else if (prompt >= LEAST_PROMPT_ROWS) {
        size_t at = decode < PASS_ROWS ? decode : PASS_ROWS;
        double own = at > 0 && s->times.n > 0 ? pass_times_get(&s->times, at) : 0;
        double each = (ms > own ? ms - own : 0.1 * ms) / (double)prompt;
        s->row_ms = s->row_ms > 0 ? s->row_ms + NEW_SHARE * (each - s->row_ms) : each;
    }
}

static void finish_lane_step(struct scheduler *s, struct lane *l)
{
    struct request *r = l->req;
    float *logits = s->logits + l->logits_at * s->n_vocab;
    bool whole = kv_seq_len(l->seq) - l->draft.n == l->n_text;
    bool reads_prompt = l->n_text == r->r.n_prompt;
    l->shares_tail = false;
    if (r->prompt_tokens && reads_prompt) {
        note_prompt(s, l, logits);
        logits += (l->take - 1) * s->n_vocab;
    }
    if (l->draft.n == 0) lane_keep(s, l);
    if (!whole) return;
    if (reads_prompt) end_prompt(s, l, logits);
    if (l->done || r->status != OK || is_cancelled(r)) return;
    draw_all(s, l, logits);
    if (!l->done && l->seq) lane_keep(s, l);
}

void step_run(struct scheduler *s)
{
    struct error err;
    double start = clock_now();
    for (size_t i = 0; i < s->n_plan; i++)
        if (s->plan[i]->req->begun == 0) s->plan[i]->req->begun = start;
    open_step(s);
    enum status st = engine_forward(s->e, s->rows, s->plan_rows, s->logits, &s->step_cancel, &err);
    close_step(s);
    if (st == OK) note_step(s, 1e3 * (clock_now() - start));
    if (st != OK && st != ERR_CANCELLED) s->stats.step_failures++;
    for (size_t i = 0; i < s->n_plan; i++) {
        struct lane *l = s->plan[i];
        if (st == OK && !l->done && l->req->status == OK && !is_cancelled(l->req))
            finish_lane_step(s, l);
        if (st != OK && st != ERR_CANCELLED) request_fail(s, l->req, st, &err);
        l->take = l->planned = l->draft.n = 0;
    }
}
