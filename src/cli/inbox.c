#include "cli/inbox.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"

enum { QUEUE = 64, READ_BYTES = 1 << 16 }; /* lines that wait; beyond, the writer waits */

struct inbox {
    int fd, stop; /* `stop` becomes readable when the thread is to end */
    size_t max_line;
    bool (*at_once)(void *ctx, const struct inbox_line *line);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock */
    struct inbox_line lines[QUEUE];
    size_t first, n, bytes; /* of them all */
    bool ended, closing;
    int waiting; /* atomic */
    /* of the reading thread */
    uint64_t seq;
    struct buf part; /* of a line that has not ended */
    bool too_long, no_memory;
};

/* Lines that wait take no more memory than the longest one may. */
static bool is_full(const struct inbox *in, size_t len)
{
    return in->n == QUEUE || (in->n > 0 && in->bytes + len > in->max_line);
}

static void put(struct inbox *in, const struct inbox_line *line)
{
    pthread_mutex_lock(&in->lock);
    while (is_full(in, line->len) && !in->closing) pthread_cond_wait(&in->changed, &in->lock);
    if (is_full(in, line->len)) {
        free(line->text);
    } else {
        in->lines[(in->first + in->n++) % QUEUE] = *line;
        in->bytes += line->len;
    }
    __atomic_store_n(&in->waiting, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&in->changed);
    pthread_mutex_unlock(&in->lock);
}

/* The part is whole: hands it on. */
static void end_line(struct inbox *in)
{
    bool whole = !in->too_long && !in->no_memory && buf_reserve(&in->part, 0) == OK;
    struct inbox_line line = {.seq = ++in->seq, .too_long = in->too_long};
    if (whole) {
        line.text = in->part.data;
        line.len = in->part.len;
    } else {
        free(in->part.data);
    }
    buf_init(&in->part, in->max_line);
    in->too_long = in->no_memory = false;
    if (whole && in->at_once && in->at_once(in->ctx, &line))
        free(line.text);
    else
        put(in, &line);
}

static void take(struct inbox *in, const char *data, size_t len)
{
    if (in->too_long || in->no_memory) return;
    enum status st = buf_append(&in->part, data, len);
    in->too_long = st == ERR_LIMIT;
    in->no_memory = st != OK && st != ERR_LIMIT;
}

/* Waits for bytes; false where the thread is to end. */
static bool wait_for_bytes(const struct inbox *in)
{
    struct pollfd p[] = {{in->stop, POLLIN, 0}, {in->fd, POLLIN, 0}};
    while (poll(p, 2, -1) < 0 && errno == EINTR) continue;
    return !p[0].revents;
}

static void *read_lines(void *ctx)
{
    struct inbox *in = ctx;
    char chunk[READ_BYTES];
    while (wait_for_bytes(in)) {
        ssize_t n = read(in->fd, chunk, sizeof chunk);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue; /* its writer may share it */
        if (n <= 0) break;
        for (size_t at = 0; at < (size_t)n;) {
            const char *end = memchr(chunk + at, '\n', (size_t)n - at);
            size_t len = (end ? (size_t)(end - chunk) : (size_t)n) - at;
            take(in, chunk + at, len);
            if (end) end_line(in);
            at += len + (end != NULL);
        }
    }
    if (in->part.len || in->too_long || in->no_memory) end_line(in);
    pthread_mutex_lock(&in->lock);
    in->ended = true;
    __atomic_store_n(&in->waiting, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&in->changed);
    pthread_mutex_unlock(&in->lock);
    return NULL;
}

enum status inbox_open(int fd, size_t max_line,
                       bool (*at_once)(void *ctx, const struct inbox_line *line), void *ctx,
                       struct inbox **out, struct error *err)
{
    struct inbox *in = *out = calloc(1, sizeof *in);
    if (!in) return error_set(err, ERR_NOMEM, "no memory to read requests");
    in->stop = eventfd(0, EFD_CLOEXEC);
    if (in->stop < 0) {
        free(in);
        *out = NULL;
        return error_set(err, ERR_IO, "cannot make an event to read with: %s", strerror(errno));
    }
    in->fd = fd;
    in->max_line = max_line;
    in->at_once = at_once;
    in->ctx = ctx;
    buf_init(&in->part, max_line);
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->changed, NULL);
    if (pthread_create(&in->thread, NULL, read_lines, in) == 0) return OK;
    pthread_cond_destroy(&in->changed);
    pthread_mutex_destroy(&in->lock);
    close(in->stop);
    free(in);
    *out = NULL;
    return error_set(err, ERR_NOMEM, "no thread can be started to read requests");
}

bool inbox_next(struct inbox *in, struct inbox_line *out)
{
    pthread_mutex_lock(&in->lock);
    while (in->n == 0 && !in->ended) pthread_cond_wait(&in->changed, &in->lock);
    bool have = in->n > 0;
    if (have) {
        *out = in->lines[in->first];
        in->first = (in->first + 1) % QUEUE;
        in->n--;
        in->bytes -= out->len;
        if (in->n == 0 && !in->ended) __atomic_store_n(&in->waiting, 0, __ATOMIC_RELEASE);
        pthread_cond_broadcast(&in->changed);
    }
    pthread_mutex_unlock(&in->lock);
    return have;
}

const volatile int *inbox_waiting(const struct inbox *in)
{
    return &in->waiting;
}

void inbox_close(struct inbox *in)
{
    if (!in) return;
    pthread_mutex_lock(&in->lock);
    in->closing = true;
    pthread_cond_broadcast(&in->changed);
    pthread_mutex_unlock(&in->lock);
    uint64_t one = 1;
    while (write(in->stop, &one, sizeof one) < 0 && errno == EINTR) continue;
    pthread_join(in->thread, NULL);
    for (; in->n; in->n--) free(in->lines[in->first++ % QUEUE].text);
    close(in->stop);
    buf_fini(&in->part);
    pthread_cond_destroy(&in->changed);
    pthread_mutex_destroy(&in->lock);
    free(in);
}
