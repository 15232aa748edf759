#include "lsp/lsp_out.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

enum { MAX_UNREAD = 256 << 20, MAX_PIECE = 4096 };

struct lsp_out {
    int fd;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;
    struct buf queue;
    bool stop, broken;
    double until; /* with stop */
};

static bool give_up(struct lsp_out *o)
{
    pthread_mutex_lock(&o->lock);
    bool late = o->stop && clock_now() > o->until;
    pthread_mutex_unlock(&o->lock);
    return late;
}

/* Pieces that fit into a pipe whose reader is there, so that the end can be seen in between. */
static bool write_all(struct lsp_out *o, const char *p, size_t len)
{
    while (len) {
        struct pollfd pfd = {.fd = o->fd, .events = POLLOUT};
        int ready = poll(&pfd, 1, 100);
        if (ready < 0 && errno != EINTR) return false;
        if (ready <= 0) {
            if (give_up(o)) return false;
            continue;
        }
        ssize_t n = write(o->fd, p, len < MAX_PIECE ? len : MAX_PIECE);
        if (n < 0 && errno != EINTR && errno != EAGAIN) return false;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static void *work(void *out)
{
    struct lsp_out *o = out;
    struct buf mine;
    buf_init(&mine, MAX_UNREAD);
    pthread_mutex_lock(&o->lock);
    for (;;) {
        while (!o->queue.len && !o->stop) pthread_cond_wait(&o->wake, &o->lock);
        if (!o->queue.len) break;
        struct buf t = mine;
        mine = o->queue;
        o->queue = t;
        pthread_mutex_unlock(&o->lock);
        bool fine = write_all(o, mine.data, mine.len);
        buf_clear(&mine);
        pthread_mutex_lock(&o->lock);
        if (!fine) {
            o->broken = true;
            break;
        }
    }
    pthread_mutex_unlock(&o->lock);
    buf_fini(&mine);
    return NULL;
}

enum status lsp_out_open(int fd, struct lsp_out **out, struct error *err)
{
    *out = NULL;
    struct lsp_out *o = calloc(1, sizeof *o);
    if (!o) return error_set(err, ERR_NOMEM, "no memory for the output");
    o->fd = fd;
    buf_init(&o->queue, MAX_UNREAD);
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->wake, NULL);
    if (pthread_create(&o->thread, NULL, work, o) != 0) {
        free(o);
        return error_set(err, ERR_NOMEM, "the system has no thread left for the output");
    }
    *out = o;
    return OK;
}

void lsp_out_send(struct lsp_out *o, const char *body, size_t len)
{
    pthread_mutex_lock(&o->lock);
    size_t before = o->queue.len;
    if (!o->broken) {
        enum status st = buf_printf(&o->queue, "Content-Length: %zu\r\n\r\n", len);
        if (!st) st = buf_append(&o->queue, body, len);
        if (st) o->queue.len = before; /* never half a message */
        pthread_cond_signal(&o->wake);
    }
    pthread_mutex_unlock(&o->lock);
}

bool lsp_out_broken(struct lsp_out *o)
{
    pthread_mutex_lock(&o->lock);
    bool broken = o->broken;
    pthread_mutex_unlock(&o->lock);
    return broken;
}

void lsp_out_close(struct lsp_out *o)
{
    if (!o) return;
    pthread_mutex_lock(&o->lock);
    o->stop = true;
    o->until = clock_now() + 1;
    pthread_cond_signal(&o->wake);
    pthread_mutex_unlock(&o->lock);
    pthread_join(o->thread, NULL);
    pthread_cond_destroy(&o->wake);
    pthread_mutex_destroy(&o->lock);
    buf_fini(&o->queue);
    free(o);
}
