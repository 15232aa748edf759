#include "net/sse.h"

#include <string.h>

#include "base/buf.h"

enum { MAX_EVENT = 64 << 20 };

static enum status append_lines(struct buf *b, const char *data, size_t len)
{
    enum status st = OK;
    for (size_t at = 0; st == OK;) {
        const char *end = memchr(data + at, '\n', len - at);
        size_t n = (end ? (size_t)(end - data) : len) - at;
        st = buf_append_str(b, "data: ");
        if (!st) st = buf_append(b, data + at, n);
        if (!st) st = buf_append_str(b, "\n");
        if (!end) break;
        at += n + 1;
    }
    return st;
}

/* One write, so that a reader never sees half an event. */
static enum status send_all(struct http_request *r, struct buf *b, enum status st)
{
    if (!st) st = http_stream_write(r, b->data, b->len);
    buf_fini(b);
    return st;
}

enum status sse_write(struct http_request *r, const char *event, const char *data, size_t len)
{
    struct buf b;
    buf_init(&b, MAX_EVENT);
    enum status st = event ? buf_printf(&b, "event: %s\n", event) : OK;
    if (!st) st = append_lines(&b, data, len);
    if (!st) st = buf_append_str(&b, "\n");
    return send_all(r, &b, st);
}

enum status sse_comment(struct http_request *r, const char *text)
{
    struct buf b;
    buf_init(&b, MAX_EVENT);
    return send_all(r, &b, buf_printf(&b, ": %s\n\n", text));
}

enum status ndjson_write(struct http_request *r, const char *data, size_t len)
{
    struct buf b;
    buf_init(&b, MAX_EVENT);
    enum status st = buf_append(&b, data, len);
    if (!st) st = buf_append_str(&b, "\n");
    return send_all(r, &b, st);
}
