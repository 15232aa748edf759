/* The thread pool: everyone runs, barriers separate, sleeping threads wake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <unistd.h>

#include "base/pool.h"

enum { MAX_THREADS = 5, PHASES = 200 };

struct shared {
    struct pool *pool;
    int n_threads;
    atomic_int calls[MAX_THREADS];
    int plain[MAX_THREADS]; /* ordered by barriers alone: ThreadSanitizer sees a missing one */
    atomic_int wrong;
};

static void count_call(void *ctx, int thread)
{
    struct shared *s = ctx;
    atomic_fetch_add(&s->calls[thread], 1);
}

/* In every phase each thread writes its own slot, and after the barrier reads all of them. */
static void phases(void *ctx, int thread)
{
    struct shared *s = ctx;
    for (int p = 1; p <= PHASES; p++) {
        s->plain[thread] = p;
        pool_barrier(s->pool);
        for (int t = 0; t < s->n_threads; t++)
            if (s->plain[t] != p) atomic_fetch_add(&s->wrong, 1);
        pool_barrier(s->pool);
    }
}

static void test_every_thread_runs_once_per_job(void **state)
{
    (void)state;
    for (int n = 1; n <= MAX_THREADS; n++) {
        struct shared s = {.n_threads = n};
        assert_int_equal(pool_create(n, &s.pool, NULL), OK);
        assert_int_equal(pool_n_threads(s.pool), n);
        for (int job = 1; job <= 300; job++) {
            pool_run(s.pool, count_call, &s);
            for (int t = 0; t < n; t++) assert_int_equal(atomic_load(&s.calls[t]), job);
        }
        pool_destroy(s.pool);
    }
}

static void test_barriers_order_plain_memory(void **state)
{
    (void)state;
    for (int n = 1; n <= MAX_THREADS; n++) {
        struct shared s = {.n_threads = n};
        assert_int_equal(pool_create(n, &s.pool, NULL), OK);
        for (int job = 0; job < 3; job++) pool_run(s.pool, phases, &s);
        assert_int_equal(atomic_load(&s.wrong), 0);
        pool_destroy(s.pool);
    }
}

static void late_thread(void *ctx, int thread)
{
    struct shared *s = ctx;
    if (thread == 0) usleep(20000); /* the others fall asleep at the barrier */
    s->plain[thread] = 1;
    pool_barrier(s->pool);
    for (int t = 0; t < s->n_threads; t++)
        if (s->plain[t] != 1) atomic_fetch_add(&s->wrong, 1);
}

static void test_sleepers_wake(void **state)
{
    (void)state;
    struct shared s = {.n_threads = 3};
    assert_int_equal(pool_create(3, &s.pool, NULL), OK);
    pool_run(s.pool, late_thread, &s);
    usleep(20000); /* and between jobs */
    pool_run(s.pool, count_call, &s);
    assert_int_equal(atomic_load(&s.wrong), 0);
    assert_int_equal(atomic_load(&s.calls[2]), 1);
    pool_destroy(s.pool);
}

static void test_unused_and_refused(void **state)
{
    (void)state;
    struct pool *p;
    struct error err;
    assert_int_equal(pool_create(4, &p, &err), OK);
    pool_destroy(p); /* never ran anything */
    pool_destroy(NULL);
    assert_int_equal(pool_create(0, &p, &err), ERR_INVALID);
    assert_null(p);
    assert_int_equal(pool_create(5000, &p, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_thread_runs_once_per_job),
        cmocka_unit_test(test_barriers_order_plain_memory),
        cmocka_unit_test(test_sleepers_wake),
        cmocka_unit_test(test_unused_and_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
