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
    struct session *s;
    struct branch *b;
    size_t n;
    const struct branch_limit *limit;
    struct kv_seq *seq[BRANCH_MAX];
    struct forced forced[BRANCH_MAX];
    bool over[BRANCH_MAX];
    float *logits; /* [LOGIT_ROWS][n_vocab] */
};

static void work_fini(struct work *w)
{
    for (size_t i = 0; i < w->n; i++) kv_seq_destroy(w->seq[i]);
    free(w->logits);
}

static enum status work_init(struct work *w, struct session *s, const int32_t *prompt,
                             size_t n_prompt, struct branch *b, size_t n,
                             const struct branch_limit *limit, struct error *err)
{
    *w = (struct work){.s = s, .b = b, .limit = limit};
    if (n > BRANCH_MAX)
        return error_set(err, ERR_INVALID, "%zu branches, but at most %d go together", n,
                         BRANCH_MAX);
    enum status st = session_check_tokens(s, prompt, n_prompt, err);
    size_t held = 0, len = kv_seq_len(s->seq);
    if (len > s->exact) len = s->exact;
    while (held < n_prompt && held < len && s->tokens[held] == prompt[held]) held++;
    for (size_t i = 0; i < n && st == OK; i++) {
        if (b[i].at < 1 || b[i].at > n_prompt || b[i].at - 1 > held || b[i].n > BRANCH_TOKENS)
            return error_set(err, ERR_INVALID, "branch %zu leaves a text that is not held", i);
        st = session_check_tokens(s, b[i].tokens, b[i].n, err);
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
    return engine_forward(w->s->e, rows, n, w->logits, w->limit ? w->limit->cancel : NULL, err);
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

enum status branch_score(struct session *s, const int32_t *prompt, size_t n_prompt,
                         struct branch *b, size_t n, const struct branch_limit *limit,
                         struct error *err)
{
    struct work w;
    struct forward_row rows[LOGIT_ROWS];
    enum status st = work_init(&w, s, prompt, n_prompt, b, n, limit, err);
    size_t i = 0, at = 0; /* the next row: token `at` of branch i, counting its stem's last one */
    while (st == OK && i < n) {
        size_t n_rows = 0, first = i, first_at = at;
        while (n_rows < LOGIT_ROWS && i < n) {
            if (at < b[i].n) {
                rows[n_rows++] = (struct forward_row){
                    .seq = w.seq[i], .token = token_at(&b[i], prompt, at), .logits = true};
                at++;
            }
            if (at >= b[i].n) {
                i++;
                at = 0;
            }
        }
        if (!n_rows) break;
        st = pass(&w, rows, n_rows, err);
        for (size_t r = 0, j = first, k = first_at; st == OK && r < n_rows; r++, k++) {
            while (k >= b[j].n) {
                j++;
                k = 0;
            }
            const float *l = w.logits + r * s->n_vocab;
            b[j].logprobs[k] = (float)((double)l[b[j].tokens[k]] - log_sum(l, s->n_vocab));
        }
    }
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

static bool is_stop(const struct session *s, const struct branch_writer *w, int32_t token)
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
    int32_t token = nth_best(logits, w->s->n_vocab, b->n_grown == 0 ? b->rank : 0);
    w->over[i] = true;
    if (token == TOKEN_NONE) return TOKEN_NONE;
    b->logprob += (double)logits[token] - sum;
    if (is_stop(w->s, to, token)) {
        b->ended = true;
        return TOKEN_NONE;
    }
    b->n_grown++;
    forced_take(&w->forced[i], token);
    w->over[i] = !to->on_token(to->ctx, i, token) || b->n_grown >= to->max_tokens ||
                 b->n + b->n_grown >= BRANCH_TOKENS;
    return w->over[i] ? TOKEN_NONE : token;
}

static double mask(struct work *w, size_t i, float *logits)
{
    double sum = log_sum(logits, w->s->n_vocab);
    forced_mask(&w->forced[i], logits, w->s->n_vocab);
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
            if (st == OK) sum = mask(w, i, w->logits);
        }
        if (st) return st;
        next[i] = draw(w, i, w->logits, sum, to);
    }
    return OK;
}

enum status branch_grow(struct session *s, const int32_t *prompt, size_t n_prompt, struct branch *b,
                        size_t n, const struct branch_writer *to, const struct branch_limit *limit,
                        struct error *err)
{
    struct work w;
    int32_t next[BRANCH_MAX];
    enum status st = work_init(&w, s, prompt, n_prompt, b, n, limit, err);
    for (size_t i = 0; i < n && st == OK; i++) {
        b[i].logprob = 0;
        b[i].ended = false;
        b[i].n_grown = 0;
        forced_init(&w.forced[i], s->e->tok, s->n_vocab, &s->first_bytes, b[i].begin, b[i].n_begin);
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
            float *l = w.logits + r * s->n_vocab;
            double sum = mask(&w, which[r], l);
            next[which[r]] = draw(&w, which[r], l, sum, to);
        }
    }
    work_fini(&w);
    return st;
}
