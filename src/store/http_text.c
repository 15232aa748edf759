#include "store/http_text.h"

#include "base/buf.h"

static enum status on_text(void *ctx, const void *data, size_t len, struct error *err)
{
    enum status st = buf_append(ctx, data, len);
    return st ? error_set(err, ERR_LIMIT, "its answer is longer than %d MiB or memory is short",
                          HTTP_TEXT_MAX >> 20)
              : OK;
}

enum status http_text(struct http_request *rq, struct buf *out, struct http_answer *a,
                      struct error *err)
{
    enum { TRIES = 3 };
    enum status st = OK;
    rq->begin = NULL;
    rq->data = on_text;
    rq->ctx = out;
    rq->seconds = HTTP_TEXT_SECONDS;
    for (int i = 0; i < TRIES; i++) {
        bool again;
        buf_clear(out);
        st = http_request_run(rq, a, &again, err);
        if (st != ERR_NETWORK || !again) break;
    }
    return st;
}

enum status http_json(struct http_request *rq, struct buf *body, json_t **out,
                      struct http_answer *a, struct error *err)
{
    struct buf own;
    json_error_t why;
    buf_init(&own, HTTP_TEXT_MAX);
    struct buf *text = body ? body : &own;
    *out = NULL;
    enum status st = http_text(rq, text, a, err);
    if (st == OK) {
        *out = text->len ? json_loadb(text->data, text->len, JSON_REJECT_DUPLICATES, &why) : NULL;
        if (!*out) st = error_set(err, ERR_NETWORK, "%s answered something that is not JSON", a->host);
    }
    buf_fini(&own);
    return st;
}
