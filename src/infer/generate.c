/* From a prompt to the tokens that follow it. */
#include <math.h>

#include "base/clock.h"
#include "infer/infer_int.h"
#include "infer/speculate.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

#define MAX_DEADLINE_MS 1e11 /* three years: later is never */

const char *finish_reason_name(enum finish_reason r)
{
    static const char *const names[] = {
        [FINISH_STOP] = "stop",           [FINISH_LENGTH] = "length",
        [FINISH_CALLBACK] = "callback",   [FINISH_DEADLINE] = "deadline",
        [FINISH_CANCELLED] = "cancelled", [FINISH_SUPERSEDED] = "superseded"};
    return (size_t)r < sizeof names / sizeof *names ? names[r] : "unknown";
}

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
    if (req->n_begin && !s->e->tok)
        return error_set(err, ERR_INVALID, "text cannot be forced without a vocabulary");
    if (req->grammar && req->n_begin)
        return error_set(err, ERR_INVALID, "a grammar and a forced beginning exclude each other");
    if (req->grammar && (!grammar_vocabulary(req->grammar) ||
                         grammar_vocab_size(grammar_vocabulary(req->grammar)) != s->n_vocab))
        return error_set(err, ERR_INVALID, "the grammar was compiled for another vocabulary");
    if (isnan(req->deadline_ms)) return error_set(err, ERR_INVALID, "the deadline is not a number");
    return session_check_tokens(s, req->prompt, req->n_prompt, err);
}

static enum finish_reason finish_of(enum watch_cause cause)
{
    return cause == WATCH_DEADLINE ? FINISH_DEADLINE : FINISH_CANCELLED;
}

/* Leaves the logits of what the grammar allows. *ended: nothing but the end may follow. */
static enum status apply_grammar(struct grammar_state *g, float *logits, bool *ended,
                                 struct error *err)
{
    size_t n = 0;
    *ended = false;
    if (!g) return OK;
    enum status st = grammar_mask_logits(g, logits, &n, err);
    if (st != OK || n > 0) return st;
    *ended = grammar_is_complete(g);
    if (*ended) return OK;
    return error_set(err, ERR_INVALID, "no token of the vocabulary fits the grammar here");
}

/* From the prompt's logits to the end of the text; `sp` and `grammar` may be NULL. ERR_CANCELLED means that `w`
 * said stop. */
static enum status decode(struct session *s, const struct generate_request *req,
                          struct sampler *sampler, struct speculation *sp,
                          struct grammar_state *grammar, const struct watch *w, double start,
                          struct generate_result *res, struct error *err)
{
    size_t room = s->n_ctx - req->n_prompt;
    size_t max = req->max_tokens < room ? req->max_tokens : room;
    double first = 0;
    struct forced forced;
    forced_init(&forced, s->e->tok, s->n_vocab, &s->first_bytes, req->begin, req->n_begin);
    float *logits = s->logits;
    res->finish = FINISH_LENGTH;
    while (res->n_generated < max) {
        bool ended;
        enum status st = apply_grammar(grammar, logits, &ended, err);
        if (st != OK) return st;
        if (ended) {
            res->finish = FINISH_STOP;
            return OK;
        }
        forced_mask(&forced, logits, s->n_vocab);
        int32_t token = sampler_draw(sampler, logits);
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
        forced_take(&forced, token);
        if (grammar && (st = grammar_accept(grammar, token, err)) != OK) return st;
        size_t left = max - res->n_generated;
        st = sp ? speculation_next(sp, token, left, w, &logits, err)
                            : session_extend(s, &token, 1, w, err);
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
    struct speculation *sp = NULL;
    struct grammar_state *grammar = NULL;
    if (req->grammar) st = grammar_state_create(req->grammar, &grammar, err);
    if (st == OK) st = speculation_create(s, req, grammar, &sp, err);
    if (st != OK) {
        grammar_state_destroy(grammar);
        sampler_destroy(sampler);
        return st;
    }
    for (size_t i = 0; i < req->n_prompt; i++) sampler_accept(sampler, req->prompt[i]);

    struct watch w;
    double limit = fmin(req->deadline_ms, MAX_DEADLINE_MS);
    watch_start(&w, limit != 0 ? start + 1e-3 * limit : 0, req->cancel);
    if (req->on_prefill) req->on_prefill(req->ctx);
    double t = clock_now();
    struct session_shifted shifted = {0};
    if (req->approximate) st = session_shift(s, req->prompt, req->n_prompt, &w, &shifted, err);
    size_t keep =
        shifted.n_shifted ? kv_seq_len(s->seq) : session_rewind(s, req->prompt, req->n_prompt);
    res->n_shifted = shifted.n_shifted;
    res->n_cached = shifted.n_shifted ? keep - shifted.n_read : keep;
    if (st == OK) st = session_extend(s, req->prompt + keep, req->n_prompt - keep, &w, err);
    res->prefill_ms = 1e3 * (clock_now() - t);
    if (st == OK) st = decode(s, req, sampler, sp, grammar, &w, start, res, err);
    if (st == ERR_CANCELLED) {
        res->finish = finish_of(watch_poll(&w));
        st = OK;
    }
    if (sp) speculation_end(sp, res);
    watch_stop(&w);
    grammar_state_destroy(grammar);
    sampler_destroy(sampler);
    return st;
}
