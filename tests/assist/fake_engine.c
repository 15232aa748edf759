#include "fake_engine.h"

#include <string.h>

#include "infer/branch.h"

size_t session_n_ctx(const struct session *s)
{
    return s->n_ctx;
}

const char *finish_reason_name(enum finish_reason r)
{
    static const char *const names[] = {"stop", "length", "callback", "deadline", "cancelled"};
    return names[r];
}

static bool is_stop(const struct generate_request *req, int32_t token)
{
    for (size_t i = 0; i < req->n_stop; i++) {
        if (req->stop[i] == token) return true;
    }
    return false;
}

static size_t common(const int32_t *held, size_t n_held, const int32_t *tokens, size_t n)
{
    size_t i = 0;
    while (i < n_held && i < n && held[i] == tokens[i]) i++;
    return i;
}

size_t session_cached(const struct session *s, const int32_t *tokens, size_t n)
{
    size_t a = common(s->held, s->n_held, tokens, n - 1);
    size_t b = common(s->spare, s->n_spare, tokens, n - 1);
    return a > b ? a : b;
}

enum status session_prepare(struct session *s, const int32_t *tokens, size_t n, double deadline_ms,
                            const volatile int *cancel, size_t *ready, struct error *err)
{
    (void)deadline_ms;
    if (s->fail) return error_set(err, s->fail, "as the test wants it");
    *ready = common(s->held, s->n_held, tokens, n);
    if (*ready == n) return OK;
    s->n_spare = n;
    if (s->prepare_limit && n > s->prepare_limit) s->n_spare = s->prepare_limit;
    if (cancel && *cancel) s->n_spare = 0;
    memcpy(s->spare, tokens, s->n_spare * sizeof *tokens);
    *ready = s->n_spare;
    return OK;
}

/* The next token of the beginning that is asked for, a byte each, or of the script. */
static bool next_token(struct session *s, const struct generate_request *req, size_t *i,
                       int32_t *token)
{
    if (s->n_given < req->n_begin) {
        *token = (unsigned char)req->begin[s->n_given];
        return true;
    }
    if (*i == s->n_script && s->repeat) *i = 0;
    if (*i >= s->n_script) return false;
    *token = s->script[(*i)++];
    return !is_stop(req, *token);
}

static void hold(struct session *s, const struct generate_request *req)
{
    memcpy(s->held, req->prompt, req->n_prompt * sizeof *req->prompt);
    s->n_held = req->n_prompt;
}

enum status session_generate(struct session *s, const struct generate_request *req,
                             struct generate_result *res, struct error *err)
{
    *res = (struct generate_result){.n_prompt = req->n_prompt, .finish = FINISH_LENGTH};
    if (s->fail) return error_set(err, s->fail, "as the test wants it");
    if (req->n_prompt + 1 > s->n_ctx || req->n_prompt > sizeof s->prompt / sizeof *s->prompt)
        return error_set(err, ERR_LIMIT, "the prompt has %zu tokens", req->n_prompt);
    memcpy(s->prompt, req->prompt, req->n_prompt * sizeof *req->prompt);
    s->n_prompt = req->n_prompt;
    s->n_given = 0;
    s->deadline_ms = req->deadline_ms;
    s->begin[0] = 0;
    if (req->n_begin < sizeof s->begin) {
        if (req->n_begin) memcpy(s->begin, req->begin, req->n_begin);
        s->begin[req->n_begin] = 0;
    }
    if (req->on_prefill) req->on_prefill(req->ctx);
    res->n_cached = session_cached(s, req->prompt, req->n_prompt);
    hold(s, req);
    double ms = 0;
    for (size_t i = 0; s->n_given < req->max_tokens;) {
        int32_t token;
        if (req->cancel && *req->cancel) {
            res->finish = FINISH_CANCELLED;
            break;
        }
        if (req->deadline_ms && (ms += s->token_ms) > req->deadline_ms) {
            res->finish = FINISH_DEADLINE;
            break;
        }
        if (!next_token(s, req, &i, &token)) {
            res->finish = FINISH_STOP;
            break;
        }
        s->n_given++;
        s->held[s->n_held++] = token;
        if (req->on_token && !req->on_token(req->ctx, token)) {
            res->finish = FINISH_CALLBACK;
            break;
        }
    }
    res->n_generated = s->n_given;
    res->prefill_ms = 20;
    res->first_token_ms = 25;
    res->decode_ms = 30;
    return OK;
}

void session_branch_base(struct session *s, struct branch_base *out)
{
    *out = (struct branch_base){.e = (struct engine *)(void *)s}; /* only ours look at it */
}

enum status branch_grow(const struct branch_base *base, const int32_t *prompt, size_t n_prompt,
                        struct branch *b, size_t n, const struct branch_writer *w,
                        const struct branch_limit *limit, struct error *err)
{
    (void)prompt, (void)n_prompt, (void)limit, (void)err;
    const struct session *s = (const void *)base->e;
    if (!s->branches) return ERR_CANCELLED;
    for (size_t i = 0; i < n && i < s->n_branches; i++) {
        const char *text = s->branches[i];
        for (size_t k = 0; k < b[i].n_begin; k++)
            w->on_token(w->ctx, i, (unsigned char)b[i].begin[k]);
        while (*text && w->on_token(w->ctx, i, (unsigned char)*text)) text++;
        b[i].ended = !*text;
    }
    return OK;
}

enum status branch_score(const struct branch_base *base, const int32_t *prompt, size_t n_prompt,
                         struct branch *b, size_t n, const struct branch_limit *limit,
                         struct error *err)
{
    (void)prompt, (void)n_prompt, (void)limit, (void)err;
    const struct session *s = (const void *)base->e;
    if (!s->branches) return ERR_CANCELLED;
    for (size_t i = 0; i < n; i++) {
        char text[BRANCH_TOKENS + 1];
        for (size_t k = 0; k < b[i].n; k++) text[k] = (char)b[i].tokens[k];
        text[b[i].n] = 0;
        float each = s->likes && strstr(text, s->likes) ? -0.01f : -1;
        for (size_t k = 0; k < b[i].n; k++) b[i].logprobs[k] = each;
        for (size_t k = 0; b[i].end_logprobs && k < b[i].n; k++) b[i].end_logprobs[k] = -20;
    }
    return OK;
}
