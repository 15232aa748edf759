/* The scheduler's thread, and what other threads ask of it. */
#include "infer/scheduler.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/machine.h"
#include "infer/scheduler_int.h"

enum {
    DEFAULT_CTX = 4096,
    DEFAULT_RUNNING = 64,
    MOST_RUNNING = 512,
    DEFAULT_WAITING = 1024,
    CONTEXTS = 8,      /* that the pool holds unless told otherwise */
    MEMORY_SHARE = 8,  /* and its share of memory at most: one in so many */
    SPARE_LOGITS = 64, /* rows for drafts and prompts beside a row of each text */
};
#define DEFAULT_STEP_MS   100.0
#define DEFAULT_AGEING_MS 1000.0

/* ---- requests that end ----------------------------------------------------------------------- */

void request_stop(struct scheduler *s, struct request *r, enum finish_reason why)
{
    for (size_t i = 0; r->lanes && i < r->n_lanes; i++) lane_finish(s, &r->lanes[i], why);
    r->ended = true;
}

void request_fail(struct scheduler *s, struct request *r, enum status st, const struct error *err)
{
    if (r->status != OK) return;
    r->status = st;
    r->error = *err;
    request_stop(s, r, FINISH_STOP);
}

static bool is_done(const struct request *r)
{
    if (r->ended || !r->lanes) return r->ended;
    for (size_t i = 0; i < r->n_lanes; i++)
        if (!r->lanes[i].done) return false;
    return true;
}

/* Under lock: a request that is still alive is to end. */
static bool set_cause(struct scheduler *s, struct request *r, enum finish_reason why)
{
    int none = 0;
    if (!__atomic_compare_exchange_n(&r->cause, &none, 1 + (int)why, false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED))
        return false;
    if (r->in_step && --s->step_alive == 0) __atomic_store_n(&s->step_cancel, 1, __ATOMIC_RELAXED);
    pthread_cond_signal(&s->wake);
    return true;
}

/* ---- clients --------------------------------------------------------------------------------- */

static struct client *client_find(struct scheduler *s, const char *name)
{
    struct client *c = s->clients;
    if (c) do {
            if (strcmp(c->name, name) == 0) return c;
            c = c->next;
        } while (c != s->clients);
    c = calloc(1, sizeof *c);
    if (!c) return NULL;
    memcpy(c->name, name, strlen(name));
    c->next = c->prev = c;
    if (s->clients) {
        c->next = s->clients;
        c->prev = s->clients->prev;
        c->prev->next = c->next->prev = c;
    } else {
        s->clients = c;
    }
    return c;
}

static void client_remove(struct scheduler *s, struct client *c)
{
    for (int k = 0; k < SCHED_CLASSES; k++)
        if (s->turn[k] == c) s->turn[k] = NULL;
    if (s->clients == c) s->clients = c->next == c ? NULL : c->next;
    c->prev->next = c->next;
    c->next->prev = c->prev;
    free(c);
}

static void client_link(struct client *c, struct request *r)
{
    r->client = c;
    r->client_prev = c->last;
    *(c->last ? &c->last->client_next : &c->first) = r;
    c->last = r;
}

static void client_unlink(struct scheduler *s, struct request *r)
{
    struct client *c = r->client;
    if (!c) return;
    *(r->client_prev ? &r->client_prev->client_next : &c->first) = r->client_next;
    *(r->client_next ? &r->client_next->client_prev : &c->last) = r->client_prev;
    if (!c->first) client_remove(s, c);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Tells and frees a request; its pages are back before anybody hears of its end. */
static void bury(struct scheduler *s, struct request *r)
{
    if (s->held == r) s->held = NULL;
    client_unlink(s, r);
    stats_publish(s);
    pthread_mutex_lock(&s->lock);
    *(r->prev ? &r->prev->next : &s->alive) = r->next;
    if (r->next) r->next->prev = r->prev;
    pthread_mutex_unlock(&s->lock);
    request_tell(s, r);
    stats_publish(s);
    request_destroy(r);
    pthread_mutex_lock(&s->lock);
    s->n_alive--;
    pthread_cond_broadcast(&s->ended);
    pthread_mutex_unlock(&s->lock);
}

static enum finish_reason due(const struct request *r, double now, bool *is_due)
{
    int cause = __atomic_load_n(&r->cause, __ATOMIC_RELAXED);
    *is_due = cause != 0 || (r->deadline != 0 && now >= r->deadline);
    return cause ? (enum finish_reason)(cause - 1) : FINISH_DEADLINE;
}

/* Ends what was cancelled or is late, and tells of what has ended. */
static void bury_ended(struct scheduler *s)
{
    double now = clock_now();
    struct request *dead = NULL;
    struct client *c = s->clients;
    if (c) do {
            for (struct request *r = c->first; r; r = r->client_next) {
                bool is_due;
                enum finish_reason why = due(r, now, &is_due);
                if (!is_done(r) && is_due) {
                    int none = 0;
                    __atomic_compare_exchange_n(&r->cause, &none, 1 + (int)why, false,
                                                __ATOMIC_RELAXED, __ATOMIC_RELAXED);
                    request_stop(s, r, why);
                }
                if (!is_done(r)) continue;
                r->inbox_next = dead;
                dead = r;
            }
            c = c->next;
        } while (c != s->clients);
    while (dead) {
        struct request *r = dead;
        dead = r->inbox_next;
        bury(s, r);
    }
}

static void take_in(struct scheduler *s, struct request *r)
{
    for (struct request *next; r; r = next) {
        next = r->inbox_next;
        r->inbox_next = NULL;
        struct client *c = client_find(s, r->r.client);
        if (c) {
            client_link(c, r);
            continue;
        }
        struct error err;
        error_set(&err, ERR_NOMEM, "no memory for a client");
        request_fail(s, r, ERR_NOMEM, &err);
        bury(s, r);
    }
}

/* Waits for something to do; `blocked`: not for long, although there is. False: the end. */
static bool wait_for_work(struct scheduler *s, bool blocked, struct request **in, bool *drop)
{
    pthread_mutex_lock(&s->lock);
    if (blocked && !s->inbox_first && !s->stop) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        ts.tv_nsec += 1000000;
        ts.tv_sec += ts.tv_nsec / 1000000000;
        ts.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&s->wake, &s->lock, &ts);
    }
    while (!s->inbox_first && !s->jobs_first && !s->stop && !s->drop_cache && !s->clients)
        pthread_cond_wait(&s->wake, &s->lock);
    *in = s->inbox_first;
    s->inbox_first = s->inbox_last = NULL;
    *drop = s->drop_cache;
    s->drop_cache = false;
    bool goes_on = !s->stop;
    pthread_mutex_unlock(&s->lock);
    return goes_on;
}

static bool run_one_job(struct scheduler *s, bool cancelled)
{
    pthread_mutex_lock(&s->lock);
    struct job *j = s->jobs_first;
    if (j) {
        s->jobs_first = j->next;
        if (!j->next) s->jobs_last = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    if (!j) return false;
    j->job.run(j->job.ctx, cancelled);
    free(j);
    pthread_mutex_lock(&s->lock);
    s->n_jobs--;
    pthread_cond_broadcast(&s->ended);
    pthread_mutex_unlock(&s->lock);
    return true;
}

static void end_all(struct scheduler *s)
{
    const struct client *c = s->clients;
    if (c) do {
            for (struct request *r = c->first; r; r = r->client_next)
                if (!is_done(r)) {
                    int none = 0;
                    __atomic_compare_exchange_n(&r->cause, &none, 1 + (int)FINISH_CANCELLED, false,
                                                __ATOMIC_RELAXED, __ATOMIC_RELAXED);
                }
            c = c->next;
        } while (c != s->clients);
    bury_ended(s);
    while (run_one_job(s, true)) continue;
}

static void *run(void *arg)
{
    struct scheduler *s = arg;
    bool blocked = false, drop;
    struct request *in;
    while (wait_for_work(s, blocked, &in, &drop)) {
        take_in(s, in);
        bury_ended(s);
        if (drop && s->cache) s->stats.evictions += prefix_cache_evict(s->cache, SIZE_MAX);
        run_one_job(s, false);
        blocked = !step_plan(s);
        if (!blocked) step_run(s);
        bury_ended(s);
        stats_publish(s);
    }
    take_in(s, in);
    end_all(s);
    return NULL;
}

/* ---- other threads --------------------------------------------------------------------------- */

static void supersede(struct scheduler *s, const struct request *by)
{
    for (struct request *r = s->alive; r; r = r->next)
        if (r->r.supersedes && strcmp(r->r.client, by->r.client) == 0)
            set_cause(s, r, FINISH_SUPERSEDED);
}

enum status scheduler_submit(struct scheduler *s, const struct sched_request *req, uint64_t *ticket,
                             struct error *err)
{
    struct request *r;
    enum status st = request_create(s, req, &r, err);
    if (st != OK) return st;
    size_t most = s->opt.max_running + s->opt.max_waiting;
    pthread_mutex_lock(&s->lock);
    if (s->draining) {
        st = error_set(err, ERR_BUSY, "the server is shutting down");
    } else if (s->n_alive >= most) {
        st = error_set(err, ERR_BUSY,
                       "%zu requests are waiting or running, which is the most; "
                       "try again later",
                       s->n_alive);
    } else {
        if (req->supersedes) supersede(s, r);
        r->ticket = s->next_ticket++;
        if (ticket) *ticket = r->ticket;
        r->next = s->alive;
        if (s->alive) s->alive->prev = r;
        s->alive = r;
        s->n_alive++;
        *(s->inbox_last ? &s->inbox_last->inbox_next : &s->inbox_first) = r;
        s->inbox_last = r;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (st != OK) request_destroy(r);
    return st;
}

bool scheduler_cancel(struct scheduler *s, uint64_t ticket)
{
    bool found = false;
    pthread_mutex_lock(&s->lock);
    for (struct request *r = s->alive; r && !found; r = r->next)
        if (r->ticket == ticket) found = set_cause(s, r, FINISH_CANCELLED);
    pthread_mutex_unlock(&s->lock);
    return found;
}

enum status scheduler_run_job(struct scheduler *s, const struct sched_job *job, struct error *err)
{
    struct job *j = calloc(1, sizeof *j);
    if (!j) return error_set(err, ERR_NOMEM, "no memory for a job");
    j->job = *job;
    enum status st = OK;
    pthread_mutex_lock(&s->lock);
    if (s->draining) {
        st = error_set(err, ERR_BUSY, "the server is shutting down");
    } else if (s->n_jobs >= s->opt.max_waiting) {
        st = error_set(err, ERR_BUSY, "%zu jobs are waiting, which is the most; try again later",
                       s->n_jobs);
    } else {
        *(s->jobs_last ? &s->jobs_last->next : &s->jobs_first) = j;
        s->jobs_last = j;
        s->n_jobs++;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (st != OK) free(j);
    return st;
}

void scheduler_drop_cache(struct scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    s->drop_cache = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

bool scheduler_drain(struct scheduler *s, double timeout_ms)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    double end = (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec + 1e-3 * fmax(timeout_ms, 0);
    ts.tv_sec = (time_t)fmin(end, 1e12);
    ts.tv_nsec = (long)(1e9 * (fmin(end, 1e12) - (double)ts.tv_sec));
    pthread_mutex_lock(&s->lock);
    s->draining = true;
    int rc = 0;
    while (s->n_alive + s->n_jobs > 0 && rc != ETIMEDOUT)
        rc = timeout_ms < 0 ? pthread_cond_wait(&s->ended, &s->lock)
                            : pthread_cond_timedwait(&s->ended, &s->lock, &ts);
    bool done = s->n_alive + s->n_jobs == 0;
    pthread_mutex_unlock(&s->lock);
    return done;
}

size_t scheduler_n_ctx(const struct scheduler *s)
{
    return s->opt.n_ctx;
}

/* ---- life ------------------------------------------------------------------------------------ */

static enum status fill_limits(struct sched_options *o, struct error *err)
{
    if (o->max_running == 0) o->max_running = DEFAULT_RUNNING;
    if (o->max_waiting == 0) o->max_waiting = DEFAULT_WAITING;
    if (o->max_rows == 0) o->max_rows = INFER_CHUNK;
    if (o->step_ms == 0) o->step_ms = DEFAULT_STEP_MS;
    if (o->ageing_ms == 0) o->ageing_ms = DEFAULT_AGEING_MS;
    if (o->max_running > MOST_RUNNING || o->max_rows > INFER_CHUNK)
        return error_set(err, ERR_LIMIT, "at most %d texts and %d rows can be in a step",
                         MOST_RUNNING, INFER_CHUNK);
    if (!(o->step_ms > 0) || !(o->ageing_ms > 0))
        return error_set(err, ERR_INVALID, "a step's and the ageing time must be above 0");
    return OK;
}

static uint64_t memory_total(void)
{
    struct machine_limits l;
    machine_limits_read(&l);
    bool limited = l.limit_bytes > 0 && l.limit_bytes < l.total_bytes;
    return limited ? l.limit_bytes : l.total_bytes;
}

static enum status fill_options(const struct engine *e, struct sched_options *o, struct error *err)
{
    const struct model_info *info = model_info(e->model);
    if (o->n_ctx == 0) o->n_ctx = info->n_ctx_train < DEFAULT_CTX ? info->n_ctx_train : DEFAULT_CTX;
    if (o->n_ctx > info->n_ctx_train)
        return error_set(err, ERR_LIMIT,
                         "a context of %zu tokens is more than the model's own %u: ask for %u or "
                         "less",
                         o->n_ctx, info->n_ctx_train, info->n_ctx_train);
    uint64_t page = info->kv_bytes_per_page ? info->kv_bytes_per_page : 1;
    if (o->kv_tokens == 0 && o->kv_bytes > 0) o->kv_tokens = o->kv_bytes / page * KERN_KV_PAGE;
    if (o->kv_tokens == 0) {
        uint64_t most = memory_total() / MEMORY_SHARE / page * KERN_KV_PAGE;
        o->kv_tokens = CONTEXTS * o->n_ctx;
        if (most > 0 && o->kv_tokens > most) o->kv_tokens = most;
        if (o->kv_tokens < o->n_ctx) o->kv_tokens = o->n_ctx;
    }
    if (o->kv_tokens < o->n_ctx)
        return error_set(err, ERR_INVALID,
                         "a KV cache of %zu tokens does not hold one context of %zu: give it more "
                         "memory or make the context shorter",
                         o->kv_tokens, o->n_ctx);
    return fill_limits(o, err);
}

static enum status find_ends(struct scheduler *s)
{
    size_t n = s->e->tok ? tokenizer_n_tokens(s->e->tok) : 0;
    for (size_t i = 0; i < n; i++) s->n_ends += tokenizer_is_end(s->e->tok, (int32_t)i);
    s->ends = malloc((s->n_ends + 1) * sizeof *s->ends);
    if (!s->ends) return ERR_NOMEM;
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        if (tokenizer_is_end(s->e->tok, (int32_t)i)) s->ends[at++] = (int32_t)i;
    return OK;
}

static enum status make_buffers(struct scheduler *s, struct error *err)
{
    const struct sched_options *o = &s->opt;
    s->max_lanes = o->max_running * SCHED_MAX_SAMPLES;
    s->max_logits = o->max_running + SPARE_LOGITS;
    if (s->max_logits > o->max_rows) s->max_logits = o->max_rows;
    s->plan = malloc(o->max_rows * sizeof *s->plan);
    s->ready = malloc(s->max_lanes * sizeof *s->ready);
    s->rows = malloc(o->max_rows * sizeof *s->rows);
    /* Committed as steps first use it. */
    s->logits = calloc(s->max_logits * s->n_vocab, sizeof *s->logits);
    s->scratch = malloc(s->n_vocab * sizeof *s->scratch);
    s->fork_logits = malloc(s->n_vocab * sizeof *s->fork_logits);
    if (!s->plan || !s->ready || !s->rows || !s->logits || !s->scratch || !s->fork_logits ||
        find_ends(s) != OK)
        return error_set(err, ERR_NOMEM, "no memory for steps of %zu rows", o->max_rows);
    return OK;
}

static enum status make_locks(struct scheduler *s, struct error *err)
{
    pthread_condattr_t attr;
    s->has_lock = pthread_mutex_init(&s->lock, NULL) == 0;
    if (pthread_condattr_init(&attr) == 0) {
        bool monotonic = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0;
        s->has_wake = monotonic && pthread_cond_init(&s->wake, &attr) == 0;
        s->has_ended = monotonic && pthread_cond_init(&s->ended, &attr) == 0;
        pthread_condattr_destroy(&attr);
    }
    if (s->has_lock && s->has_wake && s->has_ended) return OK;
    return error_set(err, ERR_NOMEM, "no memory for locks");
}

/* The pool with the pages that a cache holds, or a new one. */
static enum status make_pages(struct scheduler *s, struct error *err)
{
    struct sched_pages *p = s->opt.pages;
    s->opt.pages = NULL;
    bool fits = p && !s->opt.no_cache && sched_pages_fit(p, s);
    if (fits) {
        s->pool = p->pool;
        s->cache = p->cache;
        p->pool = NULL;
        p->cache = NULL;
    }
    sched_pages_destroy(p);
    if (fits) return OK;
    enum status st = kv_pool_create(s->e->model, s->opt.kv_tokens, &s->pool, err);
    if (st == OK) kv_pool_set_context(s->pool, s->opt.n_ctx);
    if (st == OK && !s->opt.no_cache) st = prefix_cache_create(s->pool, &s->cache, err);
    return st;
}

static void free_all(struct scheduler *s)
{
    sched_pages_destroy(s->opt.pages);
    prefix_cache_destroy(s->cache);
    kv_pool_destroy(s->pool);
    if (s->has_lock) pthread_mutex_destroy(&s->lock);
    if (s->has_wake) pthread_cond_destroy(&s->wake);
    if (s->has_ended) pthread_cond_destroy(&s->ended);
    free(s->ends);
    free(s->first_bytes);
    free(s->plan);
    free(s->ready);
    free(s->rows);
    free(s->logits);
    free(s->scratch);
    free(s->fork_logits);
    free(s);
}

enum status scheduler_create(struct engine *e, const struct sched_options *opt,
                             struct scheduler **out, struct error *err)
{
    *out = NULL;
    struct sched_options given = opt ? *opt : (struct sched_options){0};
    struct scheduler *s = calloc(1, sizeof *s);
    if (!s) {
        sched_pages_destroy(given.pages);
        return error_set(err, ERR_NOMEM, "no memory for a scheduler");
    }
    s->e = e;
    s->opt = given;
    s->n_vocab = model_info(e->model)->n_vocab;
    s->next_ticket = 1;
    stats_init(&s->stats);
    enum status st = fill_options(e, &s->opt, err);
    if (st == OK) st = make_locks(s, err);
    if (st == OK) st = make_pages(s, err);
    if (st == OK) st = make_buffers(s, err);
    if (st == OK) stats_publish(s);
    if (st == OK && pthread_create(&s->thread, NULL, run, s) != 0)
        st = error_set(err, ERR_NOMEM, "no thread could be started for the scheduler");
    if (st != OK) {
        free_all(s);
        return st;
    }
    *out = s;
    return OK;
}

static void end_thread(struct scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = s->draining = true;
    for (struct request *r = s->alive; r; r = r->next) set_cause(s, r, FINISH_CANCELLED);
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
}

void scheduler_destroy(struct scheduler *s)
{
    if (!s) return;
    end_thread(s);
    free_all(s);
}

struct sched_pages *scheduler_end(struct scheduler *s, uint64_t max_bytes)
{
    if (!s) return NULL;
    end_thread(s);
    struct sched_pages *p = sched_pages_take(s, max_bytes);
    free_all(s);
    return p;
}
