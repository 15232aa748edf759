#include "fake_engine.h"

#include <string.h>

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
    if (req->on_prefill) req->on_prefill(req->ctx);
    double ms = 0;
    for (size_t i = 0; s->n_given < req->max_tokens; i++) {
        if (i == s->n_script && s->repeat) i = 0;
        if (req->cancel && *req->cancel) {
            res->finish = FINISH_CANCELLED;
            break;
        }
        if (req->deadline_ms && (ms += s->token_ms) > req->deadline_ms) {
            res->finish = FINISH_DEADLINE;
            break;
        }
        if (i >= s->n_script || is_stop(req, s->script[i])) {
            res->finish = FINISH_STOP;
            break;
        }
        s->n_given++;
        if (req->on_token && !req->on_token(req->ctx, s->script[i])) {
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
