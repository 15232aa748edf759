/* One connection: bytes to requests and answers to bytes. The loop's thread only. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/http_int.h"

enum {
    READ_PIECE = 64 << 10,
    LINGER_BYTES = 4 << 20,
    LINGER_SECONDS = 2,
};

/* ---- lists and epoll --------------------------------------------------------------------------
 */

static void list_remove(struct conn *c)
{
    struct conn_list *l = c->list;
    if (!l) return;
    *(c->prev ? &c->prev->next : &l->first) = c->next;
    *(c->next ? &c->next->prev : &l->last) = c->prev;
    l->n--;
    c->list = NULL;
}

static void list_append(struct conn_list *l, struct conn *c)
{
    list_remove(c);
    c->prev = l->last;
    c->next = NULL;
    *(l->last ? &l->last->next : &l->first) = c;
    l->last = c;
    l->n++;
    c->list = l;
}

static void watch(struct http_server *s, struct conn *c, uint32_t events)
{
    events |= EPOLLRDHUP;
    if (c->events == events) return;
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(s->epoll_fd, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e);
    c->events = events;
}

static void set_state(struct http_server *s, struct conn *c, enum conn_state state)
{
    c->state = state;
    c->since = s->now;
    list_append(state <= CONN_HEAD ? &s->heads : &s->others, c);
    watch(s, c, state == CONN_ANSWER ? 0 : EPOLLIN);
}

void conn_open(struct http_server *s, int fd, const char *peer)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return;
    }
    c->fd = fd;
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    buf_init(&c->in, s->opt.max_head + READ_PIECE);
    buf_init(&c->out, HTTP_MAX_ANSWER);
    pthread_mutex_lock(&s->lock);
    bool tls = s->tls;
    if (tls) c->tls = tls_conn_create(s->tls, fd);
    pthread_mutex_unlock(&s->lock);
    if (tls && !c->tls) {
        close(fd);
        free(c);
        return;
    }
    atomic_fetch_add(&s->n_conns, 1);
    set_state(s, c, tls ? CONN_HANDSHAKE : CONN_HEAD);
}

/* ---- bytes, with TLS or without ---------------------------------------------------------------
 */

static ssize_t conn_recv(struct conn *c, void *data, size_t len)
{
    return c->tls ? tls_recv(c->tls, data, len) : recv(c->fd, data, len, 0);
}

static ssize_t conn_send(struct conn *c, const void *data, size_t len)
{
    return c->tls ? tls_send(c->tls, data, len) : send(c->fd, data, len, MSG_NOSIGNAL);
}

/* This side says nothing more; what still comes is read, for closing with bytes unread would reset
 * the connection, and the answer with it. */
static void linger(struct http_server *s, struct conn *c)
{
    if (c->tls) tls_end(c->tls);
    shutdown(c->fd, SHUT_WR);
    set_state(s, c, CONN_LINGER);
}

static void take_handshake(struct http_server *s, struct conn *c)
{
    static const char plain[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
                                "Content-Length: 46\r\nConnection: close\r\n\r\n"
                                "This server speaks TLS; use https:// instead.\n";
    switch (tls_handshake(c->tls)) {
    case TLS_DONE:
        set_state(s, c, CONN_HEAD);
        if (tls_pending(c->tls)) conn_readable(s, c);
        return;
    case TLS_WANT_READ:
        watch(s, c, EPOLLIN);
        return;
    case TLS_WANT_WRITE:
        watch(s, c, EPOLLOUT);
        return;
    case TLS_PLAIN:
        tls_conn_free(c->tls);
        c->tls = NULL;
        (void)!send(c->fd, plain, sizeof plain - 1, MSG_NOSIGNAL);
        linger(s, c);
        return;
    case TLS_FAILED:
        conn_close(s, c);
        return;
    }
}

/* The request's part of this connection is over. */
static void let_go(struct http_server *s, struct conn *c)
{
    struct http_request *r = c->request;
    if (!r) return;
    c->request = NULL;
    r->conn = NULL;
    if (s->opt.done) s->opt.done(s->opt.ctx, r);
    atomic_fetch_sub(&s->n_active, 1);
    http_request_unref(r);
}

void conn_close(struct http_server *s, struct conn *c)
{
    if (c->fd < 0) return;
    if (c->request) http_request_leave(c->request);
    let_go(s, c);
    tls_conn_free(c->tls);
    c->tls = NULL;
    close(c->fd);
    c->fd = -1;
    list_append(&s->dead, c);
    atomic_fetch_sub(&s->n_conns, 1);
}

void conn_free_dead(struct http_server *s)
{
    while (s->dead.first) {
        struct conn *c = s->dead.first;
        list_remove(c);
        buf_fini(&c->in);
        buf_fini(&c->out);
        free(c);
    }
}

bool conn_evict(struct http_server *s)
{
    if (!s->heads.first) return false;
    conn_close(s, s->heads.first);
    return true;
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static void refuse(struct http_server *s, struct conn *c, int code, const char *reason)
{
    struct http_request *r = c->request;
    r->head.keep_alive = false; /* where the next request begins is not known */
    set_state(s, c, CONN_ANSWER);
    s->opt.fail(s->opt.ctx, r, code, reason);
}

/* An idle connection, or an idle stream, needs no memory for bytes. */
static void shrink(struct buf *b)
{
    size_t max = b->max;
    buf_fini(b);
    buf_init(b, max);
}

static void consume(struct buf *b, size_t n)
{
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    b->data[b->len] = 0;
}

static bool request_begin(struct http_server *s, struct conn *c)
{
    struct http_request *r = http_request_create(s);
    if (!r) {
        conn_close(s, c);
        return false;
    }
    r->conn = c;
    c->request = r;
    memcpy(r->peer, c->peer, sizeof r->peer);
    atomic_fetch_add(&s->n_active, 1);
    return true;
}

static void whole_request(struct http_server *s, struct conn *c)
{
    set_state(s, c, CONN_ANSWER);
    http_server_give(s, c->request);
}

static uint64_t body_limit(const struct http_server *s, const struct http_request *r)
{
    return r->take ? r->take_max : s->opt.max_body;
}

/* Moves what has arrived of the body into the request. */
static void take_body(struct http_server *s, struct conn *c)
{
    struct http_request *r = c->request;
    size_t body = c->in.len, used = c->in.len;
    bool end = false;
    if (r->head.chunked) {
        const char *reason = NULL;
        enum http_parse p =
            c->in.len ? http_chunks_feed(&c->chunks, c->in.data, c->in.len, &body, &used, &reason)
                      : HTTP_PARSE_MORE;
        if (p == HTTP_PARSE_WRONG) {
            refuse(s, c, 400, reason);
            return;
        }
        end = p == HTTP_PARSE_DONE;
    } else {
        if (body > c->body_left) body = used = (size_t)c->body_left;
        c->body_left -= body;
        end = c->body_left == 0;
    }
    if (r->n_body + body > body_limit(s, r)) {
        refuse(s, c, 413, "the request's body is larger than this server takes");
        return;
    }
    r->n_body += body;
    if (body && r->take) {
        c->since = s->now;
        if (r->take(r->take_ctx, c->in.data, body) != OK) {
            refuse(s, c, 500, "the request's body could not be stored");
            return;
        }
    } else if (body && buf_append(&r->body, c->in.data, body) != OK) {
        refuse(s, c, 503, "no memory for the request's body");
        return;
    }
    if (used) consume(&c->in, used);
    if (end) whole_request(s, c);
}

/* A whole head has arrived: c->in.data[0..used). */
static void take_head(struct http_server *s, struct conn *c, size_t used)
{
    struct http_request *r = c->request;
    struct http_head *h = &r->head;
    bool has_body = h->chunked || h->content_length > 0;
    if (h->method.len >= sizeof r->method) {
        refuse(s, c, 501, "the method is not known");
        return;
    }
    memcpy(r->method, h->method.data, h->method.len);
    r->path = malloc(h->path.len + 1);
    if (!r->path || !http_percent_decode(h->path.data, h->path.len, r->path)) {
        if (r->path) *r->path = 0;
        refuse(s, c, 400, "the path's percent-encoding is malformed");
        return;
    }
    consume(&c->in, used);
    bool keep = h->keep_alive;
    if (has_body) h->keep_alive = false; /* in case admit answers: the body is not read then */
    if (s->opt.admit && !s->opt.admit(s->opt.ctx, r)) {
        set_state(s, c, CONN_ANSWER);
        return;
    }
    if (!h->chunked && h->content_length > body_limit(s, r)) {
        refuse(s, c, 413, "the request's body is larger than this server takes");
        return;
    }
    h->keep_alive = keep;
    if (!has_body) {
        whole_request(s, c);
        return;
    }
    c->chunks = (struct http_chunks){0};
    c->body_left = h->content_length;
    if (h->expect_continue && c->in.len == 0) {
        static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (conn_send(c, line, sizeof line - 1) != (ssize_t)sizeof line - 1) {
            conn_close(s, c);
            return;
        }
    }
    set_state(s, c, CONN_BODY);
    take_body(s, c);
}

/* Looks for a head in what has arrived. */
static void try_head(struct http_server *s, struct conn *c)
{
    if (c->in.len == 0) return;
    if (!c->partial) {
        c->partial = true;
        c->since = s->now;
    }
    /* Cheap where it is not whole: heads come in few pieces. */
    struct http_head *h = malloc(sizeof *h);
    if (!h) {
        conn_close(s, c);
        return;
    }
    size_t used = 0;
    int code = 0;
    const char *reason = NULL;
    enum http_parse p = http_parse_head(c->in.data, c->in.len, h, &used, &code, &reason);
    if (p == HTTP_PARSE_MORE && c->in.len >= s->opt.max_head) {
        p = HTTP_PARSE_WRONG;
        code = 431;
        reason = "the request's head is larger than this server takes";
    }
    free(h);
    if (p == HTTP_PARSE_MORE || !request_begin(s, c)) return;
    c->partial = false;
    struct http_request *r = c->request;
    if (p == HTTP_PARSE_WRONG) {
        r->head.minor = 1;
        refuse(s, c, code, reason);
        return;
    }
    /* Once more over a copy that the request keeps, so that its fields point there. */
    r->head_text = malloc(used);
    if (!r->head_text) {
        refuse(s, c, 503, "no memory for the request");
        return;
    }
    memcpy(r->head_text, c->in.data, used);
    http_parse_head(r->head_text, used, &r->head, &used, &code, &reason);
    take_head(s, c, used);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static void linger_read(struct http_server *s, struct conn *c)
{
    char waste[4096];
    for (int i = 0; i < 64; i++) {
        ssize_t n = recv(c->fd, waste, sizeof waste, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n <= 0 || (c->lingered += (size_t)n) > LINGER_BYTES) {
            conn_close(s, c);
            return;
        }
    }
}

static void read_piece(struct http_server *s, struct conn *c)
{
    size_t want = c->state == CONN_HEAD ? 4096 : READ_PIECE; /* a waiting connection stays small */
    if (buf_reserve(&c->in, want) != OK) {
        conn_close(s, c);
        return;
    }
    ssize_t n = conn_recv(c, c->in.data + c->in.len, want);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        conn_close(s, c);
        return;
    }
    c->in.len += (size_t)n;
    c->in.data[c->in.len] = 0;
    if (c->state == CONN_HEAD)
        try_head(s, c);
    else
        take_body(s, c);
}

void conn_readable(struct http_server *s, struct conn *c)
{
    if (c->fd < 0) return;
    if (c->state == CONN_HANDSHAKE)
        take_handshake(s, c);
    else if (c->state == CONN_LINGER)
        linger_read(s, c);
    else if (c->state != CONN_ANSWER)
        read_piece(s, c);
    /* Of what TLS holds back decrypted, the socket does not tell again. */
    while (c->fd >= 0 && (c->state == CONN_HEAD || c->state == CONN_BODY) && c->tls &&
           tls_pending(c->tls))
        read_piece(s, c);
}

void conn_hung_up(struct http_server *s, struct conn *c)
{
    if (c->fd < 0) return;
    /* Bytes before the end may still be a whole request. */
    if (c->state != CONN_ANSWER) {
        conn_readable(s, c);
        return;
    }
    conn_close(s, c);
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static void answered(struct http_server *s, struct conn *c, bool close_after)
{
    bool unread =
        c->request->head.chunked || c->request->head.content_length > c->request->n_body;
    let_go(s, c);
    if (close_after || atomic_load(&s->draining)) {
        if (!unread && c->in.len == 0) {
            conn_close(s, c);
            return;
        }
        linger(s, c);
        return;
    }
    if (c->in.len == 0) shrink(&c->in);
    set_state(s, c, CONN_HEAD);
    try_head(s, c);
    if (c->state == CONN_HEAD && c->tls && tls_pending(c->tls)) conn_readable(s, c);
}

/* Sends what there is; false where the connection is over or the socket takes no more. */
static bool send_some(struct http_server *s, struct conn *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = conn_send(c, c->out.data + c->sent, c->out.len - c->sent);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            watch(s, c, EPOLLOUT);
            return false;
        }
        if (n <= 0) {
            conn_close(s, c);
            return false;
        }
        c->sent += (size_t)n;
        c->since = s->now;
    }
    buf_clear(&c->out);
    c->sent = 0;
    return true;
}

void conn_writable(struct http_server *s, struct conn *c)
{
    if (c->fd >= 0 && c->state == CONN_HANDSHAKE) take_handshake(s, c);
    while (c->fd >= 0 && c->request) {
        struct http_request *r = c->request;
        if (c->sent < c->out.len && !send_some(s, c)) return;
        pthread_mutex_lock(&r->lock);
        bool broken = r->broken, ended = r->ended, close_after = r->close_after;
        if (r->out.len) {
            struct buf full = r->out;
            r->out = c->out;
            c->out = full;
            c->since = s->now;
        }
        pthread_mutex_unlock(&r->lock);
        if (broken) {
            conn_close(s, c);
            return;
        }
        if (c->out.len) continue;
        if (c->out.cap > 4096) shrink(&c->out);
        if (!ended) {
            watch(s, c, 0);
            return;
        }
        answered(s, c, close_after);
        return;
    }
}

/* ---- time -------------------------------------------------------------------------------------
 */

static void check_head_time(struct http_server *s, struct conn *c)
{
    double waited = s->now - c->since;
    bool begun = c->partial || c->state == CONN_HANDSHAKE;
    if (waited < (begun ? s->opt.head_seconds : s->opt.idle_seconds)) return;
    if (!c->partial || !request_begin(s, c)) {
        conn_close(s, c);
        return;
    }
    c->request->head.minor = 1;
    refuse(s, c, 408, "the request's head did not arrive in time");
}

void conn_check_time(struct http_server *s)
{
    for (struct conn *c = s->heads.first, *next; c; c = next) {
        next = c->next;
        check_head_time(s, c);
    }
    for (struct conn *c = s->others.first, *next; c; c = next) {
        next = c->next;
        double waited = s->now - c->since;
        if (c->state == CONN_BODY && waited > s->opt.body_seconds)
            refuse(s, c, 408, "the request's body did not arrive in time");
        else if (c->state == CONN_ANSWER && c->out.len && waited > s->opt.stall_seconds)
            conn_close(s, c);
        else if (c->state == CONN_LINGER && waited > LINGER_SECONDS)
            conn_close(s, c);
    }
}
