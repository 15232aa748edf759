/* A pool of threads that run one function together and meet at barriers.
 *
 * Work is short (tens of microseconds between barriers), so waiting threads spin briefly before they
 * sleep. One caller at a time. */
#ifndef HEARTH_BASE_POOL_H
#define HEARTH_BASE_POOL_H

#include "base/status.h"

struct pool;

/* n_threads >= 1 counts the calling thread: n_threads - 1 are started. */
enum status pool_create(int n_threads, struct pool **out, struct error *err);
void pool_destroy(struct pool *p); /* NULL is fine */
int pool_n_threads(const struct pool *p);

/* Runs fn(ctx, i) for i = 0 .. n_threads-1 at once, 0 on the caller; returns when all are done. */
void pool_run(struct pool *p, void (*fn)(void *ctx, int thread), void *ctx);

/* Inside a function that pool_run runs: returns when all threads have called it. */
void pool_barrier(struct pool *p);
/* The same; a thread that waits calls idle(ctx) again and again, which does a fraction of a
 * microsecond of something useful. */
void pool_barrier_idle(struct pool *p, void (*idle)(void *ctx), void *ctx);

#endif
