#include <errno.h>
#include <math.h>
#include <time.h>

#include "base/clock.h"
#include "infer/infer_int.h"

/* How often the thread looks at the caller's flag. */
#define POLL_SECONDS 0.002

static bool user_cancelled(const struct watch *w)
{
    return w->user && __atomic_load_n(w->user, __ATOMIC_RELAXED) != 0;
}

enum watch_cause watch_poll(const struct watch *w)
{
    if (user_cancelled(w)) return WATCH_CANCELLED;
    if (w->deadline != 0 && clock_now() >= w->deadline) return WATCH_DEADLINE;
    return WATCH_NONE;
}

static struct timespec to_timespec(double seconds)
{
    double whole = floor(seconds);
    struct timespec ts = {.tv_sec = (time_t)whole, .tv_nsec = (long)((seconds - whole) * 1e9)};
    return ts;
}

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->done) {
        enum watch_cause cause = watch_poll(w);
        if (cause != WATCH_NONE) {
            __atomic_store_n(&w->flag, (int)cause, __ATOMIC_RELAXED);
            break;
        }
        double wake = w->deadline;
        if (w->user && clock_now() + POLL_SECONDS < wake) wake = clock_now() + POLL_SECONDS;
        struct timespec ts = to_timespec(wake);
        pthread_cond_timedwait(&w->wake, &w->lock, &ts);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

void watch_start(struct watch *w, double deadline, const volatile int *user)
{
    *w = (struct watch){.user = user, .deadline = deadline};
    if (deadline == 0) return;
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) return;
    bool ready = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                 pthread_cond_init(&w->wake, &attr) == 0;
    pthread_condattr_destroy(&attr);
    if (!ready) return;
    if (pthread_mutex_init(&w->lock, NULL) != 0) {
        pthread_cond_destroy(&w->wake);
        return;
    }
    w->running = pthread_create(&w->thread, NULL, watch_main, w) == 0;
    if (!w->running) {
        pthread_mutex_destroy(&w->lock);
        pthread_cond_destroy(&w->wake);
    }
}

void watch_stop(struct watch *w)
{
    if (!w->running) return;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    w->running = false;
}

const volatile int *watch_flag(const struct watch *w)
{
    return w->running ? &w->flag : w->user;
}
