/* An HTTP/1.1 server: one thread waits for all connections (epoll), a few workers run the handler.
 *
 * It knows no JSON and no model. A handler answers a request at once, or later from any thread, as
 * a whole or as a stream; it is told when the client has left, which is watched also while nothing
 * is written. Messages are read strictly (http_parse.h). Every limit has a status of its own, and
 * the body of that answer is the application's (http_options.fail). */
#ifndef HEARTH_NET_HTTP_SERVER_H
#define HEARTH_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "net/http_parse.h"

struct http_server;
struct http_request;
struct tls;

struct http_options {
    const char *address; /* numeric IPv4 or IPv6; NULL = 127.0.0.1 */
    int port;            /* 0 = any free one */
    int listen_fd; /* > 0: a listening socket made by someone else, instead of the two above */
    int n_workers; /* 0 = 4 */
    /* Connections are TLS with this certificate (tls.h), handshakes within head_seconds; NULL:
     * plain HTTP. The server's own once it has started. */
    struct tls *tls;
    /* 0 = the default in brackets. */
    size_t max_connections; /* (16,384) */
    size_t max_head;        /* bytes of a request's head (32 KiB) */
    size_t max_body;        /* bytes of a request's body (64 MiB) */
    size_t max_unsent;      /* bytes of a stream that its client does not take (8 MiB) */
    double head_seconds;    /* from a head's first byte to its last (15) */
    double body_seconds;    /* for a body to come in (120) */
    double idle_seconds;    /* between two requests (75) */
    double stall_seconds;   /* without a byte of an answer being taken (60) */
    /* On the loop's thread, the head being known and nothing of the body: true lets the body in,
     * false where it has answered with http_respond. Must not block. NULL = all pass. */
    bool (*admit)(void *ctx, struct http_request *r);
    /* Whether handle runs on the loop's thread, which it must not block. NULL = never. */
    bool (*at_once)(void *ctx, struct http_request *r);
    /* The whole request is there. It answers, now or later. */
    void (*handle)(void *ctx, struct http_request *r);
    /* Answers with http_respond a request that broke a rule of HTTP or a limit. Its method and path
     * may be empty. Loop's thread. */
    void (*fail)(void *ctx, struct http_request *r, int code, const char *reason);
    /* An answer is complete, or its client has left (bytes of it may be missing then). Loop's
     * thread; may be NULL. */
    void (*done)(void *ctx, struct http_request *r);
    void *ctx;
};

/* Starts the threads. ERR_IO names the address where it cannot be bound. */
enum status http_server_start(const struct http_options *opt, struct http_server **out,
                              struct error *err);
/* "127.0.0.1:8080", "[::1]:8080" as bound. */
const char *http_server_address(const struct http_server *s);
int http_server_port(const struct http_server *s);
/* Requests whose answer is not yet out; connections. */
size_t http_server_active(const struct http_server *s);
size_t http_server_connections(const struct http_server *s);
/* New connections use this certificate, which is the server's own from here on; connections that
 * are open keep theirs. For a server that began with one. */
void http_server_set_tls(struct http_server *s, struct tls *t);
/* Runs fn(ctx) on the loop's thread, between requests' admissions, and returns when it has run: for
 * what admit and at_once read. From another thread than the loop's and the workers'. */
void http_server_call(struct http_server *s, void (*fn)(void *ctx), void *ctx);
/* No new connection from here on; those that wait for a request are closed, the others after their
 * answer. Returns at once. */
void http_server_drain(struct http_server *s);
/* Closes everything and ends the threads. Requests still held by references stay valid, as gone. */
void http_server_stop(struct http_server *s); /* NULL is fine */

/* ---- the request; valid as long as a reference is held. The handler has one during the call. */
void http_request_ref(struct http_request *r);
void http_request_unref(struct http_request *r);

uint64_t http_request_id(const struct http_request *r);
double http_request_started(const struct http_request *r); /* clock_now() at the head's end */
const char *http_method(const struct http_request *r);
const char *http_path(const struct http_request *r);      /* decoded, NUL-terminated */
struct http_str http_query(const struct http_request *r); /* as sent */
struct http_str http_header(const struct http_request *r, const char *name);
struct http_str http_body(const struct http_request *r); /* data is NUL-terminated, never NULL */
uint64_t http_content_length(const struct http_request *r);
const char *http_peer(const struct http_request *r); /* the client's address as text */

/* From `admit` alone: the body, of at most `max` bytes, goes to fn as it comes instead of being kept, on the loop's
 * thread; a failure refuses the request. body_seconds then count from the last byte that came. */
void http_take_body(struct http_request *r, uint64_t max, enum status (*fn)(void *ctx, const void *data, size_t len),
                    void *ctx);

/* A pointer of the application's that lives as long as the request; freed by `destroy`. */
void http_set_data(struct http_request *r, void *data, void (*destroy)(void *data));
void *http_data(const struct http_request *r);

/* ---- the answer; from any thread, once. */
/* A header for the answer, before it begins; name and value must be fit for one. ERR_LIMIT. */
enum status http_add_header(struct http_request *r, const char *name, const char *value);
/* The whole answer. Calls after the first are ignored. ERR_CANCELLED where the client has left. */
enum status http_respond(struct http_request *r, int code, const char *content_type,
                         const void *body, size_t len);
/* An answer in pieces. A write gives ERR_CANCELLED where the client has left, ERR_LIMIT where it
 * does not read (the connection is given up then). */
enum status http_stream_begin(struct http_request *r, int code, const char *content_type);
enum status http_stream_write(struct http_request *r, const void *data, size_t len);
/* Without an end the client sees a broken answer: http_stream_abort says that on purpose. */
enum status http_stream_end(struct http_request *r);
void http_stream_abort(struct http_request *r);
bool http_begun(struct http_request *r); /* an answer has begun */
int http_code(struct http_request *r);   /* its status, or 0 */

/* Whether the client has left. */
bool http_gone(struct http_request *r);
/* fn(ctx) is called once when the client leaves before the answer's end, at once where it has left
 * already; on the loop's thread or this one, and not after http_on_gone(r, NULL, NULL) returned. fn
 * raises a flag; it calls no function of this header. */
void http_on_gone(struct http_request *r, void (*fn)(void *ctx), void *ctx);

/* "Not Found" for 404; never NULL. */
const char *http_reason(int code);

#endif
