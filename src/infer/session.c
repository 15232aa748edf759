#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "infer/infer_int.h"
#include "text/tokenizer.h"

/* Rows whose logits session_score holds at once: 39 MB with 152,000 tokens. */
enum { SCORE_ROWS = 64, DEFAULT_CTX = 4096 };
/* Two timelines may each end inside a page and copy one that they share. */
enum { SPARE_ROOM = 128 };
/* Tokens of a prompt read at once by a request with a deadline: what was read when it ends stays, and a
 * typist ends one request with the next. */
enum { HASTY_CHUNK = 128 };
/* And branches a few hundred positions of their own (branch.h). */
enum { BRANCH_ROOM = 4096 };

enum status session_create(struct engine *e, size_t n_ctx, struct session **out, struct error *err)
{
    *out = NULL;
    const struct model_info *info = model_info(e->model);
    if (info->encoder)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s models turn texts into vectors or scores and write none", info->arch);
    if (n_ctx == 0) n_ctx = info->n_ctx_train < DEFAULT_CTX ? info->n_ctx_train : DEFAULT_CTX;
    if (n_ctx > info->n_ctx_train)
        return error_set(err, ERR_LIMIT,
                         "a context of %zu tokens is more than the model's own %u: ask for %u or "
                         "less",
                         n_ctx, info->n_ctx_train, info->n_ctx_train);
    struct session *s = calloc(1, sizeof *s);
    if (!s) return error_set(err, ERR_NOMEM, "no memory for a session");
    s->e = e;
    s->n_ctx = n_ctx;
    s->exact = s->spare_exact = SIZE_MAX;
    s->n_vocab = info->n_vocab;
    /* Memory for the second timeline is committed when it is first used, if ever. */
    enum status st = kv_pool_create(e->model, 2 * n_ctx + SPARE_ROOM + BRANCH_ROOM, &s->pool, err);
    if (!st) kv_pool_set_context(s->pool, n_ctx);
    if (st == OK) st = kv_seq_create(s->pool, &s->seq, err);
    if (st == OK) {
        s->tokens = calloc(n_ctx, sizeof *s->tokens);
        s->logits = calloc(s->n_vocab, sizeof *s->logits);
        s->rows = calloc(INFER_CHUNK, sizeof *s->rows);
        if (!s->tokens || !s->logits || !s->rows)
            st = error_set(err, ERR_NOMEM, "no memory for a session of %zu tokens", n_ctx);
    }
    if (st != OK) {
        session_destroy(s);
        return st;
    }
    *out = s;
    return OK;
}

void session_destroy(struct session *s)
{
    if (!s) return;
    kv_seq_destroy(s->seq);
    kv_seq_destroy(s->spare);
    kv_pool_destroy(s->pool);
    free(s->tokens);
    free(s->spare_tokens);
    free(s->first_bytes);
    free(s->logits);
    free(s->rows);
    free(s);
}

size_t session_n_ctx(const struct session *s)
{
    return s->n_ctx;
}

/* ---- the timeline ---------------------------------------------------------------------------- */

enum status session_check_tokens(const struct session *s, const int32_t *tokens, size_t n,
                                 struct error *err)
{
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= s->n_vocab)
            return error_set(err, ERR_INVALID, "token %zu is %d, but the vocabulary has 0 to %zu",
                             i, tokens[i], s->n_vocab - 1);
    return OK;
}

enum status session_feed(struct session *s, const int32_t *tokens, size_t n, bool every, bool last,
                         float *logits, const volatile int *cancel, struct error *err)
{
    for (size_t i = 0; i < n; i++)
        s->rows[i] = (struct forward_row){
            .seq = s->seq, .token = tokens[i], .logits = every || (last && i + 1 == n)};
    size_t at = kv_seq_len(s->seq);
    enum status st = engine_forward(s->e, s->rows, n, logits, cancel, err);
    if (st == OK) memcpy(s->tokens + at, tokens, n * sizeof *tokens);
    return st;
}

enum status session_extend(struct session *s, const int32_t *tokens, size_t n,
                           const struct watch *w, struct error *err)
{
    while (n > 0) {
        if (watch_poll(w) != WATCH_NONE) return ERR_CANCELLED;
        size_t most = w->deadline > 0 ? HASTY_CHUNK : INFER_CHUNK;
        size_t chunk = n < most ? n : most;
        enum status st =
            session_feed(s, tokens, chunk, false, chunk == n, s->logits, watch_flag(w), err);
        if (st != OK) return st;
        tokens += chunk;
        n -= chunk;
    }
    return OK;
}

/* ---- scoring --------------------------------------------------------------------------------- */

static double log_probability(const float *logits, size_t n, int32_t token)
{
    float max = infer_max(logits, n);
    return (double)logits[token] - (double)max - log(infer_sum_exp(logits, n, max));
}

enum status session_score(struct session *s, const int32_t *tokens, size_t n, double *out,
                          struct error *err)
{
    if (n > s->n_ctx)
        return error_set(err, ERR_LIMIT, "the text has %zu tokens, but the context holds %zu", n,
                         s->n_ctx);
    enum status st = session_check_tokens(s, tokens, n, err);
    if (st != OK) return st;
    kv_seq_truncate(s->seq, 0);
    if (n == 0) return OK;
    out[0] = NAN;
    if (n == 1) return OK;
    size_t rows = n - 1 < SCORE_ROWS ? n - 1 : SCORE_ROWS;
    float *logits = calloc(rows * s->n_vocab, sizeof *logits);
    if (!logits) return error_set(err, ERR_NOMEM, "no memory for the logits of %zu tokens", rows);
    for (size_t at = 0; at + 1 < n;) {
        size_t chunk = n - 1 - at < rows ? n - 1 - at : rows;
        st = session_feed(s, tokens + at, chunk, true, true, logits, NULL, err);
        if (st != OK) break;
        for (size_t i = 0; i < chunk; i++)
            out[at + i + 1] =
                log_probability(logits + i * s->n_vocab, s->n_vocab, tokens[at + i + 1]);
        at += chunk;
    }
    free(logits);
    return st;
}
