#include "infer/branch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "infer/infer_int.h"
#include "text/tokenizer.h"

/* Rows whose logits are held at once. */
enum { LOGIT_ROWS = 32 };

/* The sequences of one call. */
struct work {
    const struct branch_base *base;
    struct branch *b;
    size_t n;
    const struct branch_limit *limit;
    struct kv_seq *seq[BRANCH_MAX];
    struct forced forced[BRANCH_MAX];
    bool over[BRANCH_MAX];
    float *logits; /* [LOGIT_ROWS][n_vocab] */
};

void session_branch_base(struct session *s, struct branch_base *out)
{
    size_t len = kv_seq_len(s->seq);
    *out = (struct branch_base){.e = s->e,
                                .seq = s->seq,
                                .tokens = s->tokens,
                                .n = len < s->exact ? len : s->exact,
                                .n_vocab = s->n_vocab,
                                .first_bytes = &s->first_bytes};
}

static void work_fini(struct work *w)
{
    for (size_t i = 0; i < w->n; i++) kv_seq_destroy(w->seq[i]);
    free(w->logits);
}

static enum status check_tokens(const struct branch_base *base, const int32_t *tokens, size_t n,
                                struct error *err)
{
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= base->n_vocab)
            return error_set(err, ERR_INVALID, "token %ld is not in the vocabulary of %zu",
                             (long)tokens[i], base->n_vocab);
    return OK;
}

static enum status work_init(struct work *w, const struct branch_base *s, const int32_t *prompt,
                             size_t n_prompt, struct branch *b, size_t n,
                             const struct branch_limit *limit, struct error *err)
{
    *w = (struct work){.base = s, .b = b, .limit = limit};
    if (n > BRANCH_MAX)
        return error_set(err, ERR_INVALID, "%zu branches, but at most %d go together", n,
                         BRANCH_MAX);
    enum status st = check_tokens(s, prompt, n_prompt, err);
    size_t held = 0;
    while (held < n_prompt && held < s->n && s->tokens[held] == prompt[held]) held++;
    for (size_t i = 0; i < n && st == OK; i++) {
        if (b[i].at < 1 || b[i].at > n_prompt || b[i].at - 1 > held || b[i].n > BRANCH_TOKENS)
            return error_set(err, ERR_INVALID, "branch %zu leaves a text that is not held", i);
        st = check_tokens(s, b[i].tokens, b[i].n, err);
    }
    if (st) return st;
    w->logits = malloc(LOGIT_ROWS * s->n_vocab * sizeof *w->logits);
    if (!w->logits) return error_set(err, ERR_NOMEM, "no memory for %d rows", LOGIT_ROWS);
    /* The last token in common is evaluated again: its logits are not kept. */
    for (; w->n < n && st == OK; w->n++) {
        st = kv_seq_fork(s->seq, b[w->n].at - 1, &w->seq[w->n], err);
        if (st) break;
    }
    return st;
}

static enum status pass(struct work *w, const struct forward_row *rows, size_t n, struct error *err)
{
    if (w->limit && w->limit->cancel && *w->limit->cancel) return ERR_CANCELLED;
    if (w->limit && w->limit->until > 0 && clock_now() >= w->limit->until) return ERR_CANCELLED;
    return engine_forward(w->base->e, rows, n, w->logits, w->limit ? w->limit->cancel : NULL, err);
}

static double log_sum(const float *logits, size_t n)
{
    float max = infer_max(logits, n);
    return (double)max + log(infer_sum_exp(logits, n, max));
}

/* ---- scores ------------------------------------------------------------------------------------
 */

static int32_t token_at(const struct branch *b, const int32_t *prompt, size_t i)
{
    return i == 0 ? prompt[b->at - 1] : b->tokens[i - 1];
}

/* The most likely token besides the given one. */
static void note_other(struct branch *b, size_t k, const float *logits, size_t n, double all)
{
    size_t best = b->tokens[k] == 0 ? 1 : 0;
    for (size_t i = best + 1; i < n; i++)
        if (logits[i] > logits[best] && (int32_t)i != b->tokens[k]) best = i;
    b->others[k] = (int32_t)best;
    b->other_logprobs[k] = (float)((double)logits[best] - all);
}

/* What a branch has in common with a longer one need not be evaluated again. */
struct sharing {
    size_t order[BRANCH_MAX];  /* the longest first */
    size_t parent[BRANCH_MAX]; /* of those before it the one with most in common, or BRANCH_MAX */
    size_t common[BRANCH_MAX]; /* tokens that both begin with */
    size_t start[BRANCH_MAX];  /* the first row of its own; rows before are the parent's */
    size_t depth[BRANCH_MAX];  /* parents above it */
    size_t deepest;
};

static size_t in_common(const struct branch *a, const struct branch *b)
{
    size_t n = 0;
    while (n < a->n && n < b->n && a->tokens[n] == b->tokens[n]) n++;
    return n;
}

/* Of several with as much in common the first one is the parent: so a parent's own rows reach from
 * no later than the child's first different token. */
static void find_parent(const struct work *w, struct sharing *x, size_t at)
{
    size_t i = x->order[at];
    x->parent[i] = BRANCH_MAX;
    x->start[i] = x->common[i] = x->depth[i] = 0;
    for (size_t before = 0; before < at; before++) {
        size_t j = x->order[before];
        if (w->b[j].at != w->b[i].at) continue;
        size_t n = in_common(&w->b[j], &w->b[i]);
        if (x->parent[i] < BRANCH_MAX && n <= x->common[i]) continue;
        x->parent[i] = j;
        x->common[i] = n;
    }
    size_t j = x->parent[i];
    if (j == BRANCH_MAX) return;
    x->depth[i] = x->depth[j] + 1;
    x->start[i] = x->common[i] < w->b[j].n ? x->common[i] + 1 : w->b[j].n;
    if (x->depth[i] > x->deepest) x->deepest = x->depth[i];
}

static void find_shared(const struct work *w, struct sharing *x)
{
    x->deepest = 0;
    for (size_t i = 0; i < w->n; i++) {
        size_t at = i;
        for (; at > 0 && w->b[x->order[at - 1]].n < w->b[i].n; at--)
            x->order[at] = x->order[at - 1];
        x->order[at] = i;
    }
    for (size_t at = 0; at < w->n; at++) find_parent(w, x, at);
}

static void note_ends(struct branch *b, size_t k, const float *logits, size_t n_vocab, double all)
{
    double sum = 0;
    for (size_t i = 0; i < b->n_ends; i++)
        if (b->ends[i] >= 0 && (size_t)b->ends[i] < n_vocab)
            sum += exp((double)logits[b->ends[i]] - all);
    b->end_logprobs[k] = (float)log(sum);
}

static void note(struct branch *b, size_t k, const float *logits, size_t n_vocab, double all)
{
    b->logprobs[k] = (float)((double)logits[b->tokens[k]] - all);
    if (b->others) note_other(b, k, logits, n_vocab, all);
    if (b->end_logprobs) note_ends(b, k, logits, n_vocab, all);
}

/* Row k of branch i was evaluated: its own token, and the first one of every branch that leaves
 * here. */
static void take_row(struct work *w, const struct sharing *x, size_t i, size_t k,
                     const float *logits)
{
    size_t n_vocab = w->base->n_vocab;
    double all = log_sum(logits, n_vocab);
    note(&w->b[i], k, logits, n_vocab, all);
    for (size_t c = 0; c < w->n; c++)
        if (x->parent[c] == i && x->common[c] == k && k < w->b[c].n)
            note(&w->b[c], k, logits, n_vocab, all);
}

/* A branch's sequence and figures as far as its parent has them. */
static enum status inherit(struct work *w, const struct sharing *x, size_t i, struct error *err)
{
    const struct branch *from = &w->b[x->parent[i]];
    struct branch *b = &w->b[i];
    for (size_t k = 0; k < x->common[i]; k++) {
        b->logprobs[k] = from->logprobs[k];
        if (b->others && from->others) {
            b->others[k] = from->others[k];
            b->other_logprobs[k] = from->other_logprobs[k];
        }
        if (b->end_logprobs && from->end_logprobs) b->end_logprobs[k] = from->end_logprobs[k];
    }
    kv_seq_destroy(w->seq[i]);
    w->seq[i] = NULL;
    return kv_seq_fork(w->seq[x->parent[i]], b->at - 1 + x->start[i], &w->seq[i], err);
}

/* All rows of the branches that are `depth` parents away from the prompt. */
static enum status score_depth(struct work *w, const struct sharing *x, size_t depth,
                               const int32_t *prompt, struct error *err)
{
    struct forward_row rows[LOGIT_ROWS];
    size_t of[LOGIT_ROWS], row[LOGIT_ROWS], n = 0;
    enum status st = OK;
    for (size_t i = 0; i <= w->n && st == OK; i++) {
        bool mine = i < w->n && x->depth[i] == depth;
        if (mine && depth) st = inherit(w, x, i, err);
        for (size_t k = mine ? x->start[i] : 0; mine && k < w->b[i].n && st == OK; k++) {
            rows[n] = (struct forward_row){
                .seq = w->seq[i], .token = token_at(&w->b[i], prompt, k), .logits = true};
            of[n] = i;
            row[n++] = k;
            if (n < LOGIT_ROWS) continue;
            st = pass(w, rows, n, err);
            for (size_t r = 0; r < n && st == OK; r++)
                take_row(w, x, of[r], row[r], w->logits + r * w->base->n_vocab);
            n = 0;
        }
    }
    if (st == OK && n) st = pass(w, rows, n, err);
    for (size_t r = 0; r < n && st == OK; r++)
        take_row(w, x, of[r], row[r], w->logits + r * w->base->n_vocab);
    return st;
}

enum status branch_score(const struct branch_base *base, const int32_t *prompt, size_t n_prompt,
                         struct branch *b, size_t n, const struct branch_limit *limit,
                         struct error *err)
{
    struct work w;
    struct sharing x;
    enum status st = work_init(&w, base, prompt, n_prompt, b, n, limit, err);
    if (st == OK) find_shared(&w, &x);
    for (size_t d = 0; st == OK && d <= x.deepest; d++) st = score_depth(&w, &x, d, prompt, err);
    work_fini(&w);
    return st;
}

/* ---- texts -------------------------------------------------------------------------------------
 */

static int32_t nth_best(const float *logits, size_t n, size_t rank)
{
    int32_t best[BRANCH_MAX_RANK];
    size_t have = 0;
    if (rank >= BRANCH_MAX_RANK) rank = BRANCH_MAX_RANK - 1;
    for (size_t i = 0; i < n; i++) {
        float x = logits[i];
        if (!(x > -INFINITY)) continue;
        if (have == rank + 1 && !(x > logits[best[have - 1]])) continue;
        size_t at = have == rank + 1 ? have - 1 : have++;
        for (; at > 0 && x > logits[best[at - 1]]; at--) best[at] = best[at - 1];
        best[at] = (int32_t)i;
    }
    return have == rank + 1 ? best[rank] : TOKEN_NONE;
}

static bool is_stop(const struct branch_base *s, const struct branch_writer *w, int32_t token)
{
    for (size_t i = 0; i < w->n_stop; i++)
        if (w->stop[i] == token) return true;
    return s->e->tok && tokenizer_is_end(s->e->tok, token);
}

/* Takes branch i's next token from masked logits whose unmasked sum is `sum`; TOKEN_NONE where it
 * is over. */
static int32_t draw(struct work *w, size_t i, const float *logits, double sum,
                    const struct branch_writer *to)
{
    struct branch *b = &w->b[i];
    int32_t token = nth_best(logits, w->base->n_vocab, b->n_grown == 0 ? b->rank : 0);
    w->over[i] = true;
    if (token == TOKEN_NONE) return TOKEN_NONE;
    if (to->logprob) b->logprob += (double)logits[token] - sum;
    if (is_stop(w->base, to, token)) {
        b->ended = true;
        return TOKEN_NONE;
    }
    b->n_grown++;
    forced_take(&w->forced[i], token);
    w->over[i] = !to->on_token(to->ctx, i, token) || b->n_grown >= to->max_tokens ||
                 b->n + b->n_grown >= BRANCH_TOKENS;
    return w->over[i] ? TOKEN_NONE : token;
}

static double mask(struct work *w, size_t i, float *logits, bool logprob)
{
    double sum = logprob ? log_sum(logits, w->base->n_vocab) : 0;
    forced_mask(&w->forced[i], logits, w->base->n_vocab);
    return sum;
}

static bool same_stem(const struct branch *a, const struct branch *b)
{
    return a->at == b->at && a->n == b->n && a->n_begin == b->n_begin &&
           (a->n == 0 || !memcmp(a->tokens, b->tokens, a->n * sizeof *a->tokens)) &&
           (a->n_begin == 0 || !memcmp(a->begin, b->begin, a->n_begin));
}

/* Reads what the branches begin with; draws each one's first token. Neighbours with one beginning
 * share its evaluation. */
static enum status begin(struct work *w, const int32_t *prompt, const struct branch_writer *to,
                         int32_t *next, struct error *err)
{
    double sum = 0;
    for (size_t i = 0; i < w->n; i++) {
        const struct branch *b = &w->b[i];
        enum status st = OK;
        if (i > 0 && same_stem(b, &w->b[i - 1])) {
            kv_seq_destroy(w->seq[i]);
            w->seq[i] = NULL;
            st = kv_seq_fork(w->seq[i - 1], kv_seq_len(w->seq[i - 1]), &w->seq[i], err);
        } else {
            struct forward_row rows[BRANCH_TOKENS + 1];
            for (size_t k = 0; k <= b->n; k++)
                rows[k] = (struct forward_row){
                    .seq = w->seq[i], .token = token_at(b, prompt, k), .logits = k == b->n};
            st = pass(w, rows, b->n + 1, err);
            if (st == OK) sum = mask(w, i, w->logits, to->logprob);
        }
        if (st) return st;
        next[i] = draw(w, i, w->logits, sum, to);
    }
    return OK;
}

enum status branch_grow(const struct branch_base *base, const int32_t *prompt, size_t n_prompt,
                        struct branch *b, size_t n, const struct branch_writer *to,
                        const struct branch_limit *limit, struct error *err)
{
    struct work w;
    int32_t next[BRANCH_MAX];
    enum status st = work_init(&w, base, prompt, n_prompt, b, n, limit, err);
    for (size_t i = 0; i < n && st == OK; i++) {
        b[i].logprob = 0;
        b[i].ended = false;
        b[i].n_grown = 0;
        forced_init(&w.forced[i], base->e->tok, base->n_vocab, base->first_bytes, b[i].begin,
                    b[i].n_begin);
    }
    if (st == OK) st = begin(&w, prompt, to, next, err);
    while (st == OK) {
        struct forward_row rows[BRANCH_MAX];
        size_t which[BRANCH_MAX], n_rows = 0;
        for (size_t i = 0; i < n; i++) {
            if (w.over[i]) continue;
            which[n_rows] = i;
            rows[n_rows++] =
                (struct forward_row){.seq = w.seq[i], .token = next[i], .logits = true};
        }
        if (!n_rows) break;
        st = pass(&w, rows, n_rows, err);
        for (size_t r = 0; r < n_rows && st == OK; r++) {
            float *l = w.logits + r * base->n_vocab;
            double sum = mask(&w, which[r], l, to->logprob);
            next[which[r]] = draw(&w, which[r], l, sum, to);
        }
    }
    work_fini(&w);
    return st;
}
