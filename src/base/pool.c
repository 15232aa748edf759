#include "base/pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* About 20-50 microseconds: longer than the gaps inside a forward pass, shorter than a person or
 * another process would notice. */
enum { SPIN_ROUNDS = 2000 };

struct pool {
    int n_threads;
    pthread_t *threads; /* n_threads - 1 */
    int n_started;
    void (*fn)(void *ctx, int thread);
    void *ctx;
    _Alignas(64) atomic_uint job;     /* counts pool_run calls */
    _Alignas(64) atomic_uint arrived; /* at the current barrier */
    _Alignas(64) atomic_uint phase;   /* counts barriers passed */
    _Alignas(64) atomic_uint sleepers; /* threads in futex_wait: nobody to wake is the common case */
    atomic_bool stop;
};

struct worker_arg {
    struct pool *pool;
    int index;
};

static void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex_wait(atomic_uint *word, unsigned value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake_all(atomic_uint *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 0x7fffffff, NULL, NULL, 0);
}

/* Returns once *word differs from `value`; calls `idle`, if there is one, while it spins. */
static void wait_change(struct pool *p, atomic_uint *word, unsigned value, void (*idle)(void *ctx),
                        void *ctx)
{
    for (int i = 0; i < SPIN_ROUNDS; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != value) return;
        if (idle) idle(ctx);
        cpu_relax();
    }
    /* Sequentially consistent on both sides: either the sleeper is counted before `advance` looks,
     * or futex_wait finds the word already changed. */
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(word) == value) futex_wait(word, value);
    atomic_fetch_sub(&p->sleepers, 1);
}

static void advance(struct pool *p, atomic_uint *word)
{
    atomic_fetch_add(word, 1);
    if (atomic_load(&p->sleepers)) futex_wake_all(word);
}

void pool_barrier(struct pool *p)
{
    pool_barrier_idle(p, NULL, NULL);
}

void pool_barrier_idle(struct pool *p, void (*idle)(void *ctx), void *ctx)
{
    if (p->n_threads == 1) return;
    unsigned phase = atomic_load_explicit(&p->phase, memory_order_acquire);
    unsigned n = atomic_fetch_add_explicit(&p->arrived, 1, memory_order_acq_rel) + 1;
    if (n == (unsigned)p->n_threads) {
        atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
        advance(p, &p->phase);
    } else {
        wait_change(p, &p->phase, phase, idle, ctx);
    }
}

static void *worker(void *arg)
{
    struct worker_arg a = *(struct worker_arg *)arg;
    struct pool *p = a.pool;
    free(arg);
    for (unsigned seen = 0;; seen++) {
        wait_change(p, &p->job, seen, NULL, NULL);
        if (atomic_load_explicit(&p->stop, memory_order_acquire)) return NULL;
        p->fn(p->ctx, a.index);
        pool_barrier(p);
    }
}

/* Signals belong to the program's own threads. */
static enum status start_worker(struct pool *p, int index)
{
    struct worker_arg *a = malloc(sizeof *a);
    if (!a) return ERR_NOMEM;
    *a = (struct worker_arg){p, index};
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&p->threads[index - 1], NULL, worker, a);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        free(a);
        return ERR_NOMEM;
    }
    p->n_started++;
    return OK;
}

enum status pool_create(int n_threads, struct pool **out, struct error *err)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > 1024)
        return error_set(err, ERR_INVALID, "%d threads: use 1 to 1024", n_threads);
    struct pool *p = aligned_alloc(64, sizeof *p);
    if (!p) return error_set(err, ERR_NOMEM, "out of memory for %d threads", n_threads);
    memset(p, 0, sizeof *p);
    p->n_threads = n_threads;
    p->threads = calloc((size_t)n_threads, sizeof *p->threads);
    enum status st = p->threads ? OK : ERR_NOMEM;
    for (int i = 1; i < n_threads && st == OK; i++) st = start_worker(p, i);
    if (st) {
        pool_destroy(p);
        return error_set(err, st, "cannot start %d threads: use fewer (-t)", n_threads);
    }
    *out = p;
    return OK;
}

void pool_destroy(struct pool *p)
{
    if (!p) return;
    atomic_store_explicit(&p->stop, true, memory_order_release);
    advance(p, &p->job);
    for (int i = 0; i < p->n_started; i++) pthread_join(p->threads[i], NULL);
    free(p->threads);
    free(p);
}

int pool_n_threads(const struct pool *p)
{
    return p->n_threads;
}

void pool_run(struct pool *p, void (*fn)(void *ctx, int thread), void *ctx)
{
    if (p->n_threads > 1) {
        p->fn = fn;
        p->ctx = ctx;
        advance(p, &p->job);
    }
    fn(ctx, 0);
    pool_barrier(p);
}
