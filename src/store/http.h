/* One HTTPS request with its redirects, over libcurl. Inside of module store.
 *
 * Redirects are followed here and not by the library, so that each target is checked: only https
 * (plain http stays possible on loopback, and where the caller allows it), never with a password in
 * the URL; the bearer token goes to one origin only; a publisher's headers are believed only from
 * the origin that was asked; and no redirect leads to an address that only this machine or its
 * network can reach unless the origin itself is of that kind (see reach.h). */
#ifndef HEARTH_STORE_HTTP_H
#define HEARTH_STORE_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "store/store.h"

struct http_answer {
    long code;                         /* HTTP status of the last hop; 0 = no answer came */
    uint64_t length;                   /* Content-Length; UINT64_MAX = not told */
    bool has_range;                    /* Content-Range was there, as follows */
    uint64_t range_start, range_total; /* total UINT64_MAX = "*" */
    char etag[128];                    /* as sent; "" = none, or too long */
    char host[256];                    /* that gave the last answer */
    char linked_digest[65];            /* X-Linked-Etag of the origin, where it is a SHA-256 */
    uint64_t linked_size;              /* X-Linked-Size of the origin; 0 = none */
    char challenge[1024];              /* WWW-Authenticate of the origin; "" = none, or too long */
};

struct http_request {
    const char *url;
    bool head;            /* HEAD, and only as far as the origin's own hosts go */
    bool allow_http;      /* plain http beyond loopback */
    const char *token;    /* bearer token for the URL's origin; or NULL */
    uint64_t from;        /* first byte wanted */
    uint64_t to;          /* first byte not wanted any more; 0 = all that follow */
    const char *if_range; /* ETag for `from`, sent to if_range_host only; or NULL */
    const char *if_range_host;
    const char *token_from; /* what messages call the token; NULL = HF_TOKEN */
    const char *login;      /* "USER:PASSWORD" for the URL's origin instead of a token; or NULL */
    const char *accept;     /* media types wanted; or NULL */
    long seconds;           /* for the whole answer, of what is small; 0 = as long as it flows */
    const struct store_events *events;
    /* Called with the answer's head before its body, and with each piece of the body. Any failure
     * ends the transfer and is what http_request_run returns. Only for 200 and 206. */
    enum status (*begin)(void *ctx, const struct http_answer *a, struct error *err);
    enum status (*data)(void *ctx, const void *data, size_t len, struct error *err);
    /* For progress: bytes of the whole that are there, and its size. */
    void (*position)(void *ctx, uint64_t *done, uint64_t *total);
    void *ctx;
};

/* ERR_NETWORK: `*again` says whether trying again soon may help (a cut, a stall, an overloaded
 * server) or not (unknown host, refused, certificate). ERR_NOT_FOUND for 404 and 410. Codes outside
 * 2xx are errors; the message says what and names the host. */
enum status http_request_run(const struct http_request *rq, struct http_answer *out, bool *again,
                             struct error *err);

/* Whether a URL may be asked: https, or http to a loopback host, or any http if `allow_http`.
 * ERR_INVALID says why not. */
enum status http_url_check(const char *url, bool allow_http, struct error *err);
/* $HEARTH_OFFLINE is set, and not to "0": only loopback is ever asked, and no program is started
 * that would ask elsewhere. */
bool http_is_offline(void);
bool http_url_is_loopback(const char *url);
/* The same scheme, host and port. */
bool http_same_origin(const char *a, const char *b);
/* $HEARTH_LIMIT_RATE: bytes a second, with k, M or G behind them; 0 = no limit. */
uint64_t http_rate_limit(void);
/* Host of a URL, without port; "" where it has none. */
void http_url_host(const char *url, char *dst, size_t cap);
/* Seconds without data after which a transfer counts as stalled: $HEARTH_STALL_SECONDS, else 30. */
long http_stall_seconds(void);

#endif
