/* The public API: names and types of hearth.h over engine, session and text_io. */
#include "hearth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/engine.h"
#include "infer/text_io.h"
#include "model/model.h"

/* More text than a single token can reasonably stand for. */
enum { MAX_PIECE = 1 << 20 };

struct hearth_engine {
    struct engine *e;
};

struct hearth_session {
    struct session *s;
    struct hearth_engine *engine;
};

static enum hearth_status status_of(enum status st)
{
    switch (st) {
    case OK:
        return HEARTH_OK;
    case ERR_NOMEM:
        return HEARTH_ERR_NOMEM;
    case ERR_IO:
        return HEARTH_ERR_IO;
    case ERR_FORMAT:
        return HEARTH_ERR_FORMAT;
    case ERR_UNSUPPORTED:
        return HEARTH_ERR_UNSUPPORTED;
    case ERR_INVALID:
        return HEARTH_ERR_INVALID;
    case ERR_NOT_FOUND:
        return HEARTH_ERR_NOT_FOUND;
    case ERR_LIMIT:
        return HEARTH_ERR_LIMIT;
    default:
        return HEARTH_ERR_OTHER;
    }
}

static enum hearth_status give(enum status st, const struct error *from, struct hearth_error *to)
{
    enum hearth_status code = status_of(st);
    if (code != HEARTH_OK && to) {
        to->code = code;
        snprintf(to->message, sizeof to->message, "%s", from->msg);
    }
    return code;
}

static enum hearth_status give_nomem(struct hearth_error *to)
{
    struct error err;
    return give(error_set(&err, ERR_NOMEM, "out of memory"), &err, to);
}

const char *hearth_version(void)
{
    return HEARTH_VERSION;
}

/* ---- engine ---------------------------------------------------------------------------------- */

enum hearth_status hearth_engine_open(const char *path, const struct hearth_engine_options *options,
                                      struct hearth_engine **out, struct hearth_error *err)
{
    *out = NULL;
    struct error inner = {0};
    struct engine_options opt = {0};
    if (options)
        opt = (struct engine_options){.n_threads = options->n_threads,
                                      .cache_dir = options->cache_dir,
                                      .progress = options->progress,
                                      .progress_ctx = options->progress_ctx};
    struct hearth_engine *h = calloc(1, sizeof *h);
    if (!h) return give_nomem(err);
    enum status st = engine_open(path, &opt, &h->e, &inner);
    if (st != OK) {
        free(h);
        return give(st, &inner, err);
    }
    *out = h;
    return HEARTH_OK;
}

void hearth_engine_close(struct hearth_engine *engine)
{
    if (!engine) return;
    engine_close(engine->e);
    free(engine);
}

void hearth_engine_info(const struct hearth_engine *engine, struct hearth_model_info *info)
{
    const struct model_info *m = engine_model_info(engine->e);
    *info = (struct hearth_model_info){.architecture = m->arch,
                                       .n_params = m->n_params,
                                       .weight_bytes = m->weight_bytes,
                                       .n_vocab = m->n_vocab,
                                       .n_ctx_train = m->n_ctx_train,
                                       .n_threads = engine_n_threads(engine->e)};
}

enum hearth_status hearth_tokenize(const struct hearth_engine *engine, const char *text, size_t len,
                                   unsigned flags, int32_t *ids, size_t cap, size_t *n,
                                   struct hearth_error *err)
{
    const struct tokenizer *tok = engine_tokenizer(engine->e);
    struct token_list list = {0};
    struct error inner = {0};
    bool special = flags & HEARTH_PARSE_SPECIAL;
    *n = 0;
    enum status st = flags & HEARTH_ADD_BOS
                         ? prompt_encode(tok, text, len, special, &list, &inner)
                         : tokenizer_encode(tok, text, len, special, &list, &inner);
    if (st == OK) {
        *n = list.len;
        if (list.len > cap)
            st = error_set(&inner, ERR_LIMIT, "the text has %zu tokens, but there is room for %zu",
                           list.len, cap);
        else if (list.len > 0)
            memcpy(ids, list.ids, list.len * sizeof *ids);
    }
    token_list_fini(&list);
    return give(st, &inner, err);
}

size_t hearth_token_text(const struct hearth_engine *engine, int32_t token, bool special, char *dst,
                         size_t cap)
{
    return tokenizer_piece(engine_tokenizer(engine->e), token, special, dst, cap);
}

/* ---- session --------------------------------------------------------------------------------- */

enum hearth_status hearth_session_create(struct hearth_engine *engine, size_t n_ctx,
                                         struct hearth_session **out, struct hearth_error *err)
{
    *out = NULL;
    struct error inner = {0};
    struct hearth_session *h = calloc(1, sizeof *h);
    if (!h) return give_nomem(err);
    h->engine = engine;
    enum status st = session_create(engine->e, n_ctx, &h->s, &inner);
    if (st != OK) {
        free(h);
        return give(st, &inner, err);
    }
    *out = h;
    return HEARTH_OK;
}

void hearth_session_destroy(struct hearth_session *session)
{
    if (!session) return;
    session_destroy(session->s);
    free(session);
}

void hearth_request_init(struct hearth_request *req)
{
    struct sample_params p = sample_params_default();
    *req = (struct hearth_request){.max_tokens = 128,
                                   .temperature = p.temperature,
                                   .top_k = p.top_k,
                                   .top_p = p.top_p,
                                   .min_p = p.min_p,
                                   .repeat_penalty = p.repeat_penalty,
                                   .presence_penalty = p.presence_penalty,
                                   .frequency_penalty = p.frequency_penalty,
                                   .penalty_last_n = p.penalty_last_n};
}

/* What the token callback needs of the caller. */
struct delivery {
    const struct hearth_request *req;
    struct text_stream stream;
    struct buf text;
    enum status st;
};

static bool deliver_text(struct delivery *d)
{
    bool go_on = d->text.len == 0 || d->req->on_text(d->req->ctx, d->text.data, d->text.len);
    buf_clear(&d->text);
    return go_on;
}

static bool deliver(void *ctx, int32_t token)
{
    struct delivery *d = ctx;
    if (d->req->on_token && !d->req->on_token(d->req->ctx, token)) return false;
    if (!d->req->on_text) return true;
    d->st = text_stream_push(&d->stream, token, &d->text);
    return d->st == OK && deliver_text(d);
}

static enum status generate(struct hearth_session *session, const struct hearth_request *req,
                            const struct token_list *prompt, struct logit_bias *bias,
                            struct generate_result *res, struct error *err)
{
    struct delivery d = {.req = req};
    text_stream_init(&d.stream, engine_tokenizer(session->engine->e), false);
    buf_init(&d.text, MAX_PIECE);
    for (size_t i = 0; i < req->n_bias; i++)
        bias[i] = (struct logit_bias){req->bias[i].token, req->bias[i].bias};
    struct generate_request inner = {.prompt = req->tokens ? req->tokens : prompt->ids,
                                     .n_prompt = req->tokens ? req->n_tokens : prompt->len,
                                     .max_tokens = req->max_tokens,
                                     .sample = {.temperature = req->temperature,
                                                .top_k = req->top_k,
                                                .top_p = req->top_p,
                                                .min_p = req->min_p,
                                                .repeat_penalty = req->repeat_penalty,
                                                .presence_penalty = req->presence_penalty,
                                                .frequency_penalty = req->frequency_penalty,
                                                .penalty_last_n = req->penalty_last_n,
                                                .seed = req->seed,
                                                .bias = bias,
                                                .n_bias = req->n_bias},
                                     .stop = req->stop,
                                     .n_stop = req->n_stop,
                                     .deadline_ms = req->deadline_ms,
                                     .cancel = req->cancel,
                                     .on_token = deliver,
                                     .ctx = &d};
    enum status st = session_generate(session->s, &inner, res, err);
    if (st == OK && d.st != OK) st = error_set(err, d.st, "no memory for the text");
    if (st == OK && req->on_text && res->finish != FINISH_CALLBACK &&
        text_stream_end(&d.stream, &d.text) == OK)
        deliver_text(&d);
    buf_fini(&d.text);
    return st;
}

enum hearth_status hearth_generate(struct hearth_session *session, const struct hearth_request *req,
                                   struct hearth_result *res, struct hearth_error *err)
{
    struct error inner = {0};
    struct token_list prompt = {0};
    struct generate_result r = {0};
    enum status st = OK;
    struct logit_bias *bias = calloc(req->n_bias ? req->n_bias : 1, sizeof *bias);
    if (!bias) return give_nomem(err);
    if (!req->tokens)
        st = prompt_encode(engine_tokenizer(session->engine->e), req->prompt ? req->prompt : "",
                           req->prompt ? req->prompt_len : 0, req->parse_special, &prompt, &inner);
    if (st == OK) st = generate(session, req, &prompt, bias, &r, &inner);
    if (res)
        *res = (struct hearth_result){.n_prompt = r.n_prompt,
                                      .n_cached = r.n_cached,
                                      .n_generated = r.n_generated,
                                      .finish = (enum hearth_finish)r.finish,
                                      .prefill_ms = r.prefill_ms,
                                      .first_token_ms = r.first_token_ms,
                                      .decode_ms = r.decode_ms};
    token_list_fini(&prompt);
    free(bias);
    return give(st, &inner, err);
}

_Static_assert((int)FINISH_STOP == (int)HEARTH_FINISH_STOP &&
                   (int)FINISH_LENGTH == (int)HEARTH_FINISH_LENGTH &&
                   (int)FINISH_CALLBACK == (int)HEARTH_FINISH_CALLBACK &&
                   (int)FINISH_DEADLINE == (int)HEARTH_FINISH_DEADLINE &&
                   (int)FINISH_CANCELLED == (int)HEARTH_FINISH_CANCELLED,
               "the public finish reasons are the engine's");

enum hearth_status hearth_score(struct hearth_session *session, const int32_t *tokens, size_t n,
                                double *logprobs, struct hearth_error *err)
{
    struct error inner = {0};
    return give(session_score(session->s, tokens, n, logprobs, &inner), &inner, err);
}
