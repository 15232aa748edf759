/* The thread that moves an engine's weights into huge pages. */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "infer/infer_int.h"

enum { BEGIN_MS = 1000 }; /* after the start: most one-off commands are over by then */

struct settling {
    struct engine *e;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop, hurry, done; /* under lock */
};

static void wait_to_begin(struct settling *s)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += BEGIN_MS / 1000;
    pthread_mutex_lock(&s->lock);
    while (!s->stop && !s->hurry &&
           pthread_cond_timedwait(&s->changed, &s->lock, &ts) != ETIMEDOUT) {}
    pthread_mutex_unlock(&s->lock);
}

static bool stopped(struct settling *s)
{
    pthread_mutex_lock(&s->lock);
    bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

static void use(void *ctx)
{
    model_settle_use(ctx);
}

static void *settle_main(void *ctx)
{
    struct settling *s = ctx;
    wait_to_begin(s);
    /* Of a busy processor 1 to 2 %: answers hardly notice. On Linux this is the thread's own. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
    while (!stopped(s) && model_settle_copy(s->e->model))
        if (model_settle_ready(s->e->model)) engine_turn(s->e, use, s->e->model);
    pthread_mutex_lock(&s->lock);
    s->done = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static bool make_locks(struct settling *s)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) return false;
    bool ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&s->changed, &attr) == 0;
    pthread_condattr_destroy(&attr);
    if (ok && pthread_mutex_init(&s->lock, NULL) != 0) {
        pthread_cond_destroy(&s->changed);
        ok = false;
    }
    return ok;
}

static void destroy(struct settling *s)
{
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    free(s);
}

void settle_start(struct engine *e)
{
    struct settling *s = calloc(1, sizeof *s);
    if (!s || !make_locks(s)) {
        free(s);
        return;
    }
    s->e = e;
    if (pthread_create(&s->thread, NULL, settle_main, s) != 0)
        destroy(s);
    else
        e->settling = s;
}

void settle_stop(struct engine *e)
{
    struct settling *s = e->settling;
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    destroy(s);
    e->settling = NULL;
}

void engine_settle(struct engine *e)
{
    struct settling *s = e->settling;
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    s->hurry = true;
    pthread_cond_broadcast(&s->changed);
    while (!s->done) pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}
