/* What the server's files share. */
#ifndef HEARTH_NET_HTTP_INT_H
#define HEARTH_NET_HTTP_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "net/http_server.h"
#include "net/tls.h"

/* Lock order: a request's, then the server's. */

struct conn;

enum { HTTP_MAX_ANSWER = 512 << 20 };

struct http_request {
    atomic_int refs;
    struct http_server *server;
    uint64_t id;
    double started;
    char *head_text; /* owned: `head` points into it */
    struct http_head head;
    char method[32];
    char *path; /* owned */
    char peer[64];
    struct buf body;
    enum status (*take)(void *ctx, const void *data, size_t len); /* instead of `body`; or NULL */
    void *take_ctx;
    uint64_t take_max;
    uint64_t n_body; /* bytes that came */
    void *data;
    void (*data_destroy)(void *data);

    pthread_mutex_t lock; /* of all below */
    struct buf headers;   /* of the answer */
    struct buf out;       /* bytes that the connection has not taken */
    int code;             /* of the answer; 0 before */
    bool stream, ended, broken, close_after;
    bool gone;
    void (*on_gone)(void *ctx);
    void *gone_ctx;

    /* In the server's queue of requests with something to do, under the server's lock. */
    bool queued;
    struct http_request *next_queued;

    struct conn *conn;             /* the loop's thread only; NULL once the connection is over */
    struct http_request *next_job; /* in the workers' queue */
};

enum conn_state {
    CONN_HANDSHAKE, /* of TLS */
    CONN_HEAD,      /* between requests, or in a head */
    CONN_BODY,
    CONN_ANSWER, /* the handler has the request, or its answer is being written */
    CONN_LINGER, /* answered and shut for writing; what still comes is thrown away */
};

struct conn {
    int fd;
    struct tls_conn *tls; /* owned; NULL: plain HTTP */
    enum conn_state state;
    uint32_t events; /* what epoll watches */
    double since;    /* of the state, or of its last progress */
    bool partial;    /* CONN_HEAD: the first byte of a head is there */
    struct buf in;   /* received, not consumed */
    struct buf out;  /* being sent */
    size_t sent;
    struct http_chunks chunks;
    uint64_t body_left;
    struct http_request *request; /* a reference */
    char peer[64];
    size_t lingered;
    struct conn *prev, *next; /* in one of the server's lists */
    struct conn_list *list;
};

struct conn_list {
    struct conn *first, *last;
    size_t n;
};

struct http_server {
    struct http_options opt;
    int listen_fd, epoll_fd, wake_fd;
    char address[80];
    int port;
    pthread_t loop;
    pthread_t *workers;
    int n_workers, n_started;
    bool loop_started;

    struct conn_list heads; /* CONN_HANDSHAKE and CONN_HEAD, the one that waits longest first */
    struct conn_list others;
    struct conn_list dead; /* closed in this round, freed at its end */
    atomic_size_t n_conns, n_active;
    uint64_t next_id;
    double now; /* the loop's, once a round */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t jobs_wait;
    struct http_request *queue;                /* for the loop */
    struct http_request *job_first, *job_last; /* for the workers */
    struct tls *tls;                           /* of new connections; owned; NULL: plain HTTP */
    void (*call)(void *ctx);                   /* for the loop; NULL: none waits */
    void *call_ctx;
    pthread_cond_t called;
    bool loop_over;
    atomic_bool draining, stopping;
};

/* ---- http_request.c */
struct http_request *http_request_create(struct http_server *s);
/* The client has left: calls on_gone. */
void http_request_leave(struct http_request *r);

/* ---- http_conn.c; the loop's thread only */
void conn_open(struct http_server *s, int fd, const char *peer);
void conn_close(struct http_server *s, struct conn *c);
void conn_readable(struct http_server *s, struct conn *c);
void conn_writable(struct http_server *s, struct conn *c);
void conn_hung_up(struct http_server *s, struct conn *c);
/* Closes what has waited too long. */
void conn_check_time(struct http_server *s);
/* Closes the connection that has waited longest for a request; false where none waits. */
bool conn_evict(struct http_server *s);
void conn_free_dead(struct http_server *s);

/* ---- http_server.c */
void http_server_queue(struct http_server *s, struct http_request *r); /* any thread */
void http_server_wake(struct http_server *s);
void http_server_give(struct http_server *s, struct http_request *r); /* to the handler */

#endif
