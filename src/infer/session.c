#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "infer/infer_int.h"
#include "text/tokenizer.h"

/* Rows whose logits session_score holds at once: 39 MB with 152,000 tokens. */
enum { SCORE_ROWS = 64, DEFAULT_CTX = 4096 };

#define MAX_DEADLINE_MS 1e11 /* three years: later is never */

struct session {
    struct engine *e;
    size_t n_ctx, n_vocab;
    struct kv_pool *pool;
    struct kv_seq *seq;
    int32_t *tokens;          /* [n_ctx]: what seq holds; its length is kv_seq_len(seq) */
    float *logits;            /* [n_vocab] */
    struct forward_row *rows; /* [INFER_CHUNK] */
};

enum status session_create(struct engine *e, size_t n_ctx, struct session **out, struct error *err)
{
    *out = NULL;
    const struct model_info *info = model_info(e->model);
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
    s->n_vocab = info->n_vocab;
    enum status st = kv_pool_create(e->model, n_ctx, &s->pool, err);
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
    kv_pool_destroy(s->pool);
    free(s->tokens);
    free(s->logits);
    free(s->rows);
    free(s);
}

size_t session_n_ctx(const struct session *s)
{
    return s->n_ctx;
}

const char *finish_reason_name(enum finish_reason r)
{
    static const char *const names[] = {[FINISH_STOP] = "stop",
                                        [FINISH_LENGTH] = "length",
                                        [FINISH_CALLBACK] = "callback",
                                        [FINISH_DEADLINE] = "deadline",
                                        [FINISH_CANCELLED] = "cancelled"};
    return (size_t)r < sizeof names / sizeof *names ? names[r] : "unknown";
}

/* ---- the timeline ---------------------------------------------------------------------------- */

static enum status check_tokens(const struct session *s, const int32_t *tokens, size_t n,
                                struct error *err)
{
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= s->n_vocab)
            return error_set(err, ERR_INVALID, "token %zu is %d, but the vocabulary has 0 to %zu",
                             i, tokens[i], s->n_vocab - 1);
    return OK;
}

/* One forward pass over n <= INFER_CHUNK tokens; all rows or only the last get logits. */
static enum status feed(struct session *s, const int32_t *tokens, size_t n, bool every, bool last,
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

/* Appends tokens chunk by chunk; s->logits are the last token's. Stops between chunks when `w` says
 * so, with ERR_CANCELLED. */
static enum status extend(struct session *s, const int32_t *tokens, size_t n, const struct watch *w,
                          struct error *err)
{
    while (n > 0) {
        if (watch_poll(w) != WATCH_NONE) return ERR_CANCELLED;
        size_t chunk = n < INFER_CHUNK ? n : INFER_CHUNK;
        enum status st = feed(s, tokens, chunk, false, chunk == n, s->logits, watch_flag(w), err);
        if (st != OK) return st;
        tokens += chunk;
        n -= chunk;
    }
    return OK;
}

/* ---- generation ------------------------------------------------------------------------------ */

static bool ends_text(const struct session *s, const struct generate_request *req, int32_t token)
{
    for (size_t i = 0; i < req->n_stop; i++)
        if (req->stop[i] == token) return true;
    return s->e->tok && tokenizer_is_end(s->e->tok, token);
}

static enum status check_request(const struct session *s, const struct generate_request *req,
                                 struct error *err)
{
    if (req->n_prompt == 0)
        return error_set(err, ERR_INVALID, "the prompt is empty: there is nothing to continue");
    if (req->n_prompt >= s->n_ctx)
        return error_set(err, ERR_LIMIT,
                         "the prompt has %zu tokens, but the context holds %zu, one of them kept "
                         "for the answer",
                         req->n_prompt, s->n_ctx);
    if (isnan(req->deadline_ms)) return error_set(err, ERR_INVALID, "the deadline is not a number");
    return check_tokens(s, req->prompt, req->n_prompt, err);
}

static enum finish_reason finish_of(enum watch_cause cause)
{
    return cause == WATCH_DEADLINE ? FINISH_DEADLINE : FINISH_CANCELLED;
}

/* From the prompt's logits to the end of the text. ERR_CANCELLED means that `w` said stop. */
static enum status decode(struct session *s, const struct generate_request *req,
                          struct sampler *sampler, const struct watch *w, double start,
                          struct generate_result *res, struct error *err)
{
    size_t room = s->n_ctx - req->n_prompt;
    size_t max = req->max_tokens < room ? req->max_tokens : room;
    double first = 0;
    res->finish = FINISH_LENGTH;
    while (res->n_generated < max) {
        int32_t token = sampler_draw(sampler, s->logits);
        if (token == TOKEN_NONE)
            return error_set(err, ERR_INVALID,
                             "no token is left to choose from: the logit biases ban all, or the "
                             "model's output is not a number");
        if (ends_text(s, req, token)) {
            res->finish = FINISH_STOP;
            return OK;
        }
        double now = clock_now();
        if (res->n_generated++ == 0) {
            first = now;
            res->first_token_ms = 1e3 * (now - start);
        }
        res->decode_ms = 1e3 * (now - first);
        if (req->on_token && !req->on_token(req->ctx, token)) {
            res->finish = FINISH_CALLBACK;
            return OK;
        }
        if (res->n_generated == max) return OK;
        sampler_accept(sampler, token);
        enum status st = extend(s, &token, 1, w, err);
        if (st != OK) return st;
    }
    return OK;
}

enum status session_generate(struct session *s, const struct generate_request *req,
                             struct generate_result *res, struct error *err)
{
    double start = clock_now();
    *res = (struct generate_result){.n_prompt = req->n_prompt};
    enum status st = check_request(s, req, err);
    if (st != OK) return st;
    struct sampler *sampler;
    st = sampler_create(&req->sample, s->n_vocab, &sampler, err);
    if (st != OK) return st;
    for (size_t i = 0; i < req->n_prompt; i++) sampler_accept(sampler, req->prompt[i]);

    /* The last token is always evaluated, since its logits are not kept. */
    size_t held = kv_seq_len(s->seq), keep = 0;
    while (keep < held && keep + 1 < req->n_prompt && s->tokens[keep] == req->prompt[keep]) keep++;
    kv_seq_truncate(s->seq, keep);
    res->n_cached = keep;

    struct watch w;
    double limit = fmin(req->deadline_ms, MAX_DEADLINE_MS);
    watch_start(&w, limit != 0 ? start + 1e-3 * limit : 0, req->cancel);
    if (req->on_prefill) req->on_prefill(req->ctx);
    double t = clock_now();
    st = extend(s, req->prompt + keep, req->n_prompt - keep, &w, err);
    res->prefill_ms = 1e3 * (clock_now() - t);
    if (st == OK) st = decode(s, req, sampler, &w, start, res, err);
    if (st == ERR_CANCELLED) {
        res->finish = finish_of(watch_poll(&w));
        st = OK;
    }
    watch_stop(&w);
    sampler_destroy(sampler);
    return st;
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
    enum status st = check_tokens(s, tokens, n, err);
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
        st = feed(s, tokens + at, chunk, true, true, logits, NULL, err);
        if (st != OK) break;
        for (size_t i = 0; i < chunk; i++)
            out[at + i + 1] =
                log_probability(logits + i * s->n_vocab, s->n_vocab, tokens[at + i + 1]);
        at += chunk;
    }
    free(logits);
    return st;
}
