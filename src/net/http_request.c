/* A request and its answer, as handlers see them, from any thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "net/http_int.h"

enum { MAX_HEADERS_OUT = 16 << 10 };

struct http_request *http_request_create(struct http_server *s)
{
    struct http_request *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    atomic_init(&r->refs, 1);
    pthread_mutex_init(&r->lock, NULL);
    r->server = s;
    r->id = ++s->next_id;
    r->started = clock_now();
    buf_init(&r->body, s->opt.max_body + 1);
    buf_init(&r->headers, MAX_HEADERS_OUT);
    buf_init(&r->out, HTTP_MAX_ANSWER);
    return r;
}

void http_request_ref(struct http_request *r)
{
    atomic_fetch_add(&r->refs, 1);
}

void http_request_unref(struct http_request *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1) return;
    if (r->data_destroy) r->data_destroy(r->data);
    buf_fini(&r->body);
    buf_fini(&r->headers);
    buf_fini(&r->out);
    pthread_mutex_destroy(&r->lock);
    free(r->head_text);
    free(r->path);
    free(r);
}

uint64_t http_request_id(const struct http_request *r)
{
    return r->id;
}
double http_request_started(const struct http_request *r)
{
    return r->started;
}
const char *http_method(const struct http_request *r)
{
    return r->method;
}
const char *http_path(const struct http_request *r)
{
    return r->path ? r->path : "";
}
struct http_str http_query(const struct http_request *r)
{
    return r->head.query;
}
const char *http_peer(const struct http_request *r)
{
    return r->peer;
}
uint64_t http_content_length(const struct http_request *r)
{
    return r->head.content_length;
}
void *http_data(const struct http_request *r)
{
    return r->data;
}

struct http_str http_header(const struct http_request *r, const char *name)
{
    return http_head_find(&r->head, name);
}

void http_take_body(struct http_request *r, uint64_t max, enum status (*fn)(void *ctx, const void *data, size_t len),
                    void *ctx)
{
    r->take = fn;
    r->take_ctx = ctx;
    r->take_max = max;
}

struct http_str http_body(const struct http_request *r)
{
    return (struct http_str){r->body.data ? r->body.data : "", r->body.len};
}

void http_set_data(struct http_request *r, void *data, void (*destroy)(void *data))
{
    if (r->data_destroy) r->data_destroy(r->data);
    r->data = data;
    r->data_destroy = destroy;
}

const char *http_reason(int code)
{
    static const struct {
        int code;
        const char *text;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].code == code) return reasons[i].text;
    return "Unknown";
}

static bool fit_for_header(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7F) return false;
    return true;
}

enum status http_add_header(struct http_request *r, const char *name, const char *value)
{
    if (!fit_for_header(name) || !fit_for_header(value)) return ERR_INVALID;
    pthread_mutex_lock(&r->lock);
    enum status st = r->code ? ERR_INVALID : buf_printf(&r->headers, "%s: %s\r\n", name, value);
    pthread_mutex_unlock(&r->lock);
    return st;
}

/* The status line and headers; the lock is held. length < 0: unknown. */
static enum status put_head(struct http_request *r, int code, const char *content_type,
                            long long length)
{
    struct tm tm;
    time_t now = time(NULL);
    char date[64];
    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    bool unframed = length < 0 && r->head.minor == 0;
    if (r->gone) return ERR_CANCELLED;
    if (!r->head.keep_alive || unframed || atomic_load(&r->server->draining)) r->close_after = true;
    enum status st =
        buf_printf(&r->out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", code, http_reason(code), date);
    if (!st && content_type) st = buf_printf(&r->out, "Content-Type: %s\r\n", content_type);
    if (!st)
        st = buf_append_str(&r->out,
                            "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n");
    if (!st && r->headers.len) st = buf_append(&r->out, r->headers.data, r->headers.len);
    if (!st && length >= 0 && code != 204) st = buf_printf(&r->out, "Content-Length: %lld\r\n", length);
    if (!st && length < 0 && !unframed)
        st = buf_append_str(&r->out, "Transfer-Encoding: chunked\r\n");
    if (!st)
        st = buf_append_str(&r->out, r->close_after       ? "Connection: close\r\n\r\n"
                                     : r->head.minor == 0 ? "Connection: keep-alive\r\n\r\n"
                                                          : "\r\n");
    return st;
}

static bool without_body(const struct http_request *r)
{
    return strcmp(r->method, "HEAD") == 0;
}

static enum status locked_result(struct http_request *r, enum status st)
{
    if (st) r->broken = true;
    if (st && st != ERR_CANCELLED) r->ended = true;
    bool gone = r->gone;
    /* Under the lock: once the client is gone, so may the server be. */
    if (!gone) http_server_queue(r->server, r);
    pthread_mutex_unlock(&r->lock);
    return gone ? ERR_CANCELLED : st;
}

enum status http_respond(struct http_request *r, int code, const char *content_type,
                         const void *body, size_t len)
{
    pthread_mutex_lock(&r->lock);
    if (r->code || r->gone) {
        if (!r->code) r->code = code;
        bool gone = r->gone;
        pthread_mutex_unlock(&r->lock);
        return gone ? ERR_CANCELLED : OK;
    }
    r->code = code;
    enum status st = put_head(r, code, content_type, (long long)len);
    if (!st && !without_body(r)) st = buf_append(&r->out, body, len);
    r->ended = true;
    return locked_result(r, st);
}

enum status http_stream_begin(struct http_request *r, int code, const char *content_type)
{
    pthread_mutex_lock(&r->lock);
    if (r->code || r->gone) {
        if (!r->code) r->code = code;
        bool gone = r->gone;
        pthread_mutex_unlock(&r->lock);
        return gone ? ERR_CANCELLED : OK;
    }
    r->code = code;
    r->stream = true;
    return locked_result(r, put_head(r, code, content_type, -1));
}

enum status http_stream_write(struct http_request *r, const void *data, size_t len)
{
    if (len == 0) return http_gone(r) ? ERR_CANCELLED : OK;
    pthread_mutex_lock(&r->lock);
    if (r->gone || !r->stream || r->ended || without_body(r)) {
        bool gone = r->gone;
        pthread_mutex_unlock(&r->lock);
        return gone ? ERR_CANCELLED : OK;
    }
    enum status st = OK;
    if (r->out.len + len > r->server->opt.max_unsent && r->out.len) st = ERR_LIMIT;
    bool chunked = r->head.minor > 0;
    if (!st && chunked) st = buf_printf(&r->out, "%zx\r\n", len);
    if (!st) st = buf_append(&r->out, data, len);
    if (!st && chunked) st = buf_append_str(&r->out, "\r\n");
    return locked_result(r, st);
}

enum status http_stream_end(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    if (r->gone || !r->stream || r->ended) {
        bool gone = r->gone;
        pthread_mutex_unlock(&r->lock);
        return gone ? ERR_CANCELLED : OK;
    }
    r->ended = true;
    enum status st =
        r->head.minor > 0 && !without_body(r) ? buf_append_str(&r->out, "0\r\n\r\n") : OK;
    return locked_result(r, st);
}

void http_stream_abort(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    r->ended = true;
    (void)locked_result(r, ERR_IO);
}

bool http_begun(struct http_request *r)
{
    return http_code(r) != 0;
}

int http_code(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    int code = r->code;
    pthread_mutex_unlock(&r->lock);
    return code;
}

bool http_gone(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    bool gone = r->gone;
    pthread_mutex_unlock(&r->lock);
    return gone;
}

void http_on_gone(struct http_request *r, void (*fn)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&r->lock);
    r->on_gone = fn;
    r->gone_ctx = ctx;
    if (r->gone && fn) fn(ctx);
    pthread_mutex_unlock(&r->lock);
}

void http_request_leave(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    r->gone = true;
    if (r->on_gone) r->on_gone(r->gone_ctx);
    r->on_gone = NULL;
    buf_fini(&r->out);
    pthread_mutex_unlock(&r->lock);
}
