/* Threads, the listening socket and the loop. */
#include "net/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/http_int.h"

enum { EVENTS = 256, ACCEPTS = 64 };

void http_server_wake(struct http_server *s)
{
    uint64_t one = 1;
    (void)!write(s->wake_fd, &one, sizeof one);
}

void http_server_queue(struct http_server *s, struct http_request *r)
{
    pthread_mutex_lock(&s->lock);
    bool first = !s->queue, add = !r->queued;
    if (add) {
        http_request_ref(r);
        r->queued = true;
        r->next_queued = s->queue;
        s->queue = r;
    }
    pthread_mutex_unlock(&s->lock);
    if (add && first) http_server_wake(s);
}

/* ---- workers ----------------------------------------------------------------------------------
 */

void http_server_give(struct http_server *s, struct http_request *r)
{
    if (s->opt.at_once && s->opt.at_once(s->opt.ctx, r)) {
        s->opt.handle(s->opt.ctx, r);
        return;
    }
    http_request_ref(r);
    r->next_job = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->job_last)
        s->job_last->next_job = r;
    else
        s->job_first = r;
    s->job_last = r;
    pthread_cond_signal(&s->jobs_wait);
    pthread_mutex_unlock(&s->lock);
}

static void *work(void *arg)
{
    struct http_server *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct http_request *r = s->job_first;
        if (!r) {
            if (atomic_load(&s->stopping)) break;
            pthread_cond_wait(&s->jobs_wait, &s->lock);
            continue;
        }
        s->job_first = r->next_job;
        if (!s->job_first) s->job_last = NULL;
        pthread_mutex_unlock(&s->lock);
        if (!http_gone(r)) s->opt.handle(s->opt.ctx, r);
        http_request_unref(r);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

static void name_peer(const struct sockaddr_storage *a, char *dst, size_t cap)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (a->ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, text, sizeof text);
    else if (a->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, text, sizeof text);
    snprintf(dst, cap, "%s", *text ? text : "local");
}

static void accept_some(struct http_server *s)
{
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage a = {0};
        socklen_t len = sizeof a;
        int fd = accept4(s->listen_fd, (struct sockaddr *)&a, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            bool full = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
            if (full) conn_evict(s); /* a descriptor for the next round */
            if (errno == EINTR || errno == ECONNABORTED) continue;
            return;
        }
        /* Whoever waits longest without a request makes room; without such the newcomer leaves. */
        if (atomic_load(&s->n_conns) >= s->opt.max_connections && !conn_evict(s)) {
            static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                                       "Retry-After: 1\r\nConnection: close\r\n\r\n";
            if (!s->opt.tls) (void)!send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL);
            close(fd);
            continue;
        }
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        char peer[64];
        name_peer(&a, peer, sizeof peer);
        conn_open(s, fd, peer);
    }
}

static void run_queue(struct http_server *s)
{
    uint64_t n;
    (void)!read(s->wake_fd, &n, sizeof n);
    pthread_mutex_lock(&s->lock);
    struct http_request *r = s->queue;
    s->queue = NULL;
    pthread_mutex_unlock(&s->lock);
    while (r) {
        pthread_mutex_lock(&s->lock);
        struct http_request *next = r->next_queued;
        r->queued = false; /* what is written from here on queues it anew */
        pthread_mutex_unlock(&s->lock);
        if (r->conn) conn_writable(s, r->conn);
        http_request_unref(r);
        r = next;
    }
}

static void run_call(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    void (*fn)(void *ctx) = s->call;
    pthread_mutex_unlock(&s->lock);
    if (!fn) return;
    fn(s->call_ctx);
    pthread_mutex_lock(&s->lock);
    s->call = NULL;
    pthread_cond_broadcast(&s->called);
    pthread_mutex_unlock(&s->lock);
}

static void close_listener(struct http_server *s)
{
    if (s->listen_fd < 0) return;
    epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->listen_fd, NULL);
    close(s->listen_fd);
    s->listen_fd = -1;
    while (conn_evict(s)) {
    }
}

static void on_event(struct http_server *s, const struct epoll_event *e)
{
    if (e->data.ptr == s) {
        accept_some(s);
    } else if (e->data.ptr) {
        struct conn *c = e->data.ptr;
        if (e->events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
            conn_hung_up(s, c);
        else if (e->events & EPOLLIN)
            conn_readable(s, c);
        else if (e->events & EPOLLOUT)
            conn_writable(s, c);
    }
}

static void *loop(void *arg)
{
    struct http_server *s = arg;
    struct epoll_event events[EVENTS];
    double checked = clock_now();
    sigset_t pipe; /* TLS writes where nobody listens any more */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    while (!atomic_load(&s->stopping)) {
        int n = epoll_wait(s->epoll_fd, events, EVENTS, 1000);
        s->now = clock_now();
        for (int i = 0; i < n; i++) on_event(s, &events[i]);
        run_queue(s);
        run_call(s);
        if (s->now - checked >= 1) {
            conn_check_time(s);
            checked = s->now;
            run_queue(s);
        }
        if (atomic_load(&s->draining)) close_listener(s);
        conn_free_dead(s);
    }
    while (s->heads.first) conn_close(s, s->heads.first);
    while (s->others.first) conn_close(s, s->others.first);
    conn_free_dead(s);
    pthread_mutex_lock(&s->lock);
    s->loop_over = true;
    pthread_cond_broadcast(&s->called);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

void http_server_call(struct http_server *s, void (*fn)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&s->lock);
    while (s->call && !s->loop_over) pthread_cond_wait(&s->called, &s->lock); /* another's */
    s->call = fn;
    s->call_ctx = ctx;
    http_server_wake(s);
    while (s->call == fn && s->call_ctx == ctx && !s->loop_over)
        pthread_cond_wait(&s->called, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void http_server_set_tls(struct http_server *s, struct tls *t)
{
    pthread_mutex_lock(&s->lock);
    struct tls *old = s->tls;
    s->tls = t;
    pthread_mutex_unlock(&s->lock);
    tls_free(old);
}

/* ---- start and stop ---------------------------------------------------------------------------
 */

static enum status name_address(struct http_server *s, struct error *err)
{
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof a;
    if (getsockname(s->listen_fd, (struct sockaddr *)&a, &len) != 0)
        return error_set(err, ERR_IO, "the listening socket has no name: %s", strerror(errno));
    char text[64];
    name_peer(&a, text, sizeof text);
    if (a.ss_family == AF_INET6) {
        s->port = ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
        snprintf(s->address, sizeof s->address, "[%s]:%d", text, s->port);
    } else {
        s->port = a.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&a)->sin_port) : 0;
        snprintf(s->address, sizeof s->address, "%s:%d", text, s->port);
    }
    return OK;
}

static enum status listen_on(struct http_server *s, struct error *err)
{
    if (s->opt.listen_fd > 0) {
        s->listen_fd = s->opt.listen_fd;
        fcntl(s->listen_fd, F_SETFL, fcntl(s->listen_fd, F_GETFL) | O_NONBLOCK);
        return name_address(s, err);
    }
    const char *where = s->opt.address ? s->opt.address : "127.0.0.1";
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->opt.port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)s->opt.port)};
    bool is4 = inet_pton(AF_INET, where, &v4.sin_addr) == 1;
    if (!is4 && inet_pton(AF_INET6, where, &v6.sin6_addr) != 1)
        return error_set(
            err, ERR_INVALID,
            "%s is no address to listen on; give a numeric one such as 127.0.0.1 or ::1", where);
    s->listen_fd = socket(is4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (s->listen_fd >= 0) setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    const struct sockaddr *a = is4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    if (s->listen_fd < 0 || bind(s->listen_fd, a, is4 ? sizeof v4 : sizeof v6) != 0 ||
        listen(s->listen_fd, 4096) != 0)
        return error_set(
            err, ERR_IO, "cannot listen on %s port %d: %s%s", where, s->opt.port, strerror(errno),
            errno == EADDRINUSE ? "; another server runs there, choose another --port" : "");
    return name_address(s, err);
}

static enum status start_threads(struct http_server *s, struct error *err)
{
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event on_listen = {.events = EPOLLIN, .data.ptr = s};
    struct epoll_event on_wake = {.events = EPOLLIN, .data.ptr = NULL};
    if (s->epoll_fd < 0 || s->wake_fd < 0 ||
        epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->listen_fd, &on_listen) != 0 ||
        epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->wake_fd, &on_wake) != 0)
        return error_set(err, ERR_IO, "cannot wait for connections: %s", strerror(errno));
    s->workers = calloc((size_t)s->n_workers, sizeof *s->workers);
    if (!s->workers) return error_set(err, ERR_NOMEM, "no memory for the server's threads");
    for (; s->n_started < s->n_workers; s->n_started++)
        if (pthread_create(&s->workers[s->n_started], NULL, work, s) != 0)
            return error_set(err, ERR_NOMEM, "cannot start the server's threads");
    if (pthread_create(&s->loop, NULL, loop, s) != 0)
        return error_set(err, ERR_NOMEM, "cannot start the server's thread");
    s->loop_started = true;
    return OK;
}

static void set_defaults(struct http_options *o)
{
    if (!o->n_workers) o->n_workers = 4;
    if (!o->max_connections) o->max_connections = 16384;
    if (!o->max_head) o->max_head = 32 << 10;
    if (!o->max_body) o->max_body = 64 << 20;
    if (!o->max_unsent) o->max_unsent = 8 << 20;
    if (o->head_seconds <= 0) o->head_seconds = 15;
    if (o->body_seconds <= 0) o->body_seconds = 120;
    if (o->idle_seconds <= 0) o->idle_seconds = 75;
    if (o->stall_seconds <= 0) o->stall_seconds = 60;
}

enum status http_server_start(const struct http_options *opt, struct http_server **out,
                              struct error *err)
{
    *out = NULL;
    struct http_server *s = calloc(1, sizeof *s);
    if (!s) return error_set(err, ERR_NOMEM, "no memory for a server");
    s->opt = *opt;
    set_defaults(&s->opt);
    s->n_workers = s->opt.n_workers;
    s->listen_fd = s->epoll_fd = s->wake_fd = -1;
    s->now = clock_now();
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->jobs_wait, NULL);
    pthread_cond_init(&s->called, NULL);
    s->tls = opt->tls;
    enum status st = listen_on(s, err);
    if (st == OK) st = start_threads(s, err);
    if (st != OK) s->tls = NULL; /* the caller's still */
    if (st != OK) {
        http_server_stop(s);
        return st;
    }
    *out = s;
    return OK;
}

const char *http_server_address(const struct http_server *s)
{
    return s->address;
}
int http_server_port(const struct http_server *s)
{
    return s->port;
}
size_t http_server_active(const struct http_server *s)
{
    return atomic_load(&s->n_active);
}
size_t http_server_connections(const struct http_server *s)
{
    return atomic_load(&s->n_conns);
}

void http_server_drain(struct http_server *s)
{
    atomic_store(&s->draining, true);
    http_server_wake(s);
}

static void drop_jobs(struct http_server *s)
{
    for (struct http_request *r = s->job_first, *next; r; r = next) {
        next = r->next_job;
        http_request_unref(r);
    }
    for (struct http_request *r = s->queue, *next; r; r = next) {
        next = r->next_queued;
        http_request_unref(r);
    }
}

void http_server_stop(struct http_server *s)
{
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->stopping, true);
    pthread_cond_broadcast(&s->jobs_wait);
    pthread_mutex_unlock(&s->lock);
    if (s->wake_fd >= 0) http_server_wake(s);
    if (s->loop_started) pthread_join(s->loop, NULL);
    for (int i = 0; i < s->n_started; i++) pthread_join(s->workers[i], NULL);
    drop_jobs(s);
    if (s->listen_fd >= 0) close(s->listen_fd);
    if (s->epoll_fd >= 0) close(s->epoll_fd);
    if (s->wake_fd >= 0) close(s->wake_fd);
    free(s->workers);
    tls_free(s->tls);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->jobs_wait);
    pthread_cond_destroy(&s->called);
    free(s);
}
