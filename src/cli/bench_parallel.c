/* Load: clients that each keep one request going, whose prompts share their first two thirds. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/bench.h"
#include "infer/engine.h"
#include "infer/scheduler.h"
#include "model/model.h"

enum { ROUNDS = 2, LEAST_REQUESTS = 4, POLL_MS = 50 };

struct load {
    struct scheduler *s;
    size_t n_prompt, n_gen, n_requests;
    int32_t *prompts; /* [n_requests][n_prompt] */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t sent, ended; /* under lock, as all below */
    double *first_ms;   /* [n_requests] */
    uint64_t generated;
    bool failed;
    struct error error;
};

static void on_done(void *ctx, const struct sched_result *r);

/* Sends the next request, if any is left. */
static void send_next(struct load *l)
{
    struct error err;
    pthread_mutex_lock(&l->lock);
    size_t i = l->sent < l->n_requests && !l->failed ? l->sent++ : l->n_requests;
    pthread_mutex_unlock(&l->lock);
    if (i == l->n_requests) return;
    struct sched_request req = {.prompt = l->prompts + i * l->n_prompt,
                                .n_prompt = l->n_prompt,
                                .max_tokens = l->n_gen,
                                .cls = SCHED_CHAT,
                                .ignore_end = true,
                                .sample = sample_params_default(),
                                .on_done = on_done,
                                .ctx = l};
    if (scheduler_submit(l->s, &req, NULL, &err) == OK) return;
    pthread_mutex_lock(&l->lock);
    if (!l->failed) l->error = err;
    l->failed = true;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

static void on_done(void *ctx, const struct sched_result *r)
{
    struct load *l = ctx;
    pthread_mutex_lock(&l->lock);
    if (r->status != OK && !l->failed) {
        l->failed = true;
        l->error = *r->error;
    }
    l->first_ms[l->ended++] = r->first_token_ms;
    l->generated += r->n_generated;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (r->finish != FINISH_CANCELLED) send_next(l);
}

static enum status wait_all(struct load *l, const volatile int *cancel, struct error *err)
{
    enum status st = OK;
    pthread_mutex_lock(&l->lock);
    while (l->ended < l->n_requests && !l->failed && st == OK) {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        ts.tv_nsec += POLL_MS * 1000000;
        ts.tv_sec += ts.tv_nsec / 1000000000;
        ts.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&l->changed, &l->lock, &ts);
        if (cancel && *cancel) st = error_set(err, ERR_CANCELLED, "interrupted");
    }
    if (st == OK && l->failed) {
        if (err) *err = l->error;
        st = l->error.code;
    }
    pthread_mutex_unlock(&l->lock);
    return st;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void make_prompts(struct bench *b, struct load *l)
{
    size_t shared = l->n_prompt * 2 / 3;
    bench_random_tokens(b, l->prompts, shared);
    for (size_t i = 0; i < l->n_requests; i++) {
        int32_t *p = l->prompts + i * l->n_prompt;
        if (i > 0) memcpy(p, l->prompts, shared * sizeof *p);
        bench_random_tokens(b, p + shared, l->n_prompt - shared);
    }
}

static enum status run_load(struct bench *b, struct load *l, struct bench_load *out,
                            struct error *err)
{
    size_t n_ctx = l->n_prompt + l->n_gen + 1;
    struct sched_options opt = {.n_ctx = n_ctx,
                                .kv_tokens = ((size_t)out->n_clients + 2) * (n_ctx + 32),
                                .max_running = (size_t)out->n_clients,
                                .max_waiting = l->n_requests};
    enum status st = scheduler_create(b->engine, &opt, &l->s, err);
    if (st != OK) return st;
    double start = clock_now();
    for (int i = 0; i < out->n_clients; i++) send_next(l);
    st = wait_all(l, b->cancel, err);
    double seconds = clock_now() - start;
    scheduler_destroy(l->s);
    if (st != OK) return st;
    qsort(l->first_ms, l->n_requests, sizeof *l->first_ms, compare);
    out->n_requests = (int)l->n_requests;
    out->tokens_per_second = (double)l->generated / seconds;
    out->seconds = seconds;
    out->first_ms_median = l->first_ms[(l->n_requests - 1) / 2];
    out->first_ms_p95 = l->first_ms[(size_t)ceil(0.95 * (double)l->n_requests) - 1];
    return OK;
}

enum status bench_load(struct bench *b, struct bench_load *out, struct error *err)
{
    struct load l = {.n_prompt = (size_t)b->o->n_prompt,
                     .n_gen = (size_t)b->o->n_gen,
                     .n_requests = ROUNDS * (size_t)out->n_clients,
                     .lock = PTHREAD_MUTEX_INITIALIZER,
                     .changed = PTHREAD_COND_INITIALIZER};
    if (l.n_requests < LEAST_REQUESTS) l.n_requests = LEAST_REQUESTS;
    l.prompts = calloc(l.n_requests * l.n_prompt, sizeof *l.prompts);
    l.first_ms = calloc(l.n_requests, sizeof *l.first_ms);
    enum status st = OK;
    if (!l.prompts || !l.first_ms) st = error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK) make_prompts(b, &l);
    if (st == OK) st = run_load(b, &l, out, err);
    free(l.prompts);
    free(l.first_ms);
    return st;
}
