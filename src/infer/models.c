/* A list of models under one lock. Opening and closing take long and happen outside of it, with a
 * state that makes others wait; a thread closes what nobody has used for long. */
#include "infer/models.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/machine.h"
#include "gguf/gguf.h"
#include "model/model.h"

enum use_state { OPENING, OPEN, CLOSING };

struct model_use {
    struct models *m;
    char *path, *name;
    enum use_state state;
    size_t users;
    double idle_since, keep_ms;
    uint64_t bytes;
    struct engine *engine;
    struct scheduler *scheduler;
    struct sched_pages *pages; /* that it begins with, until it is open */
    void *beside;
    struct model_use *next;
};

/* What a closed model left behind. */
struct kept {
    char *path;
    struct sched_pages *pages;
    struct kept *next;
};

struct models {
    struct models_options opt;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* any state or count of users */
    pthread_t thread;
    bool stop;
    struct model_use *first;
    struct kept *kept; /* newest first */
};

/* ---- the list, under lock -------------------------------------------------------------------- */

static struct model_use *find(struct models *m, const char *path)
{
    struct model_use *u = m->first;
    while (u && strcmp(u->path, path) != 0) u = u->next;
    return u;
}

static void drop(struct models *m, struct model_use *u)
{
    struct model_use **at = &m->first;
    while (*at != u) at = &(*at)->next;
    *at = u->next;
    sched_pages_destroy(u->pages);
    free(u->path);
    free(u->name);
    free(u);
    pthread_cond_broadcast(&m->changed);
}

/* Takes what was kept of the model; NULL: nothing. */
static struct sched_pages *take_kept(struct models *m, const char *path)
{
    struct kept **at = &m->kept;
    while (*at && strcmp((*at)->path, path) != 0) at = &(*at)->next;
    struct kept *k = *at;
    if (!k) return NULL;
    struct sched_pages *pages = k->pages;
    *at = k->next;
    free(k->path);
    free(k);
    return pages;
}

static void keep(struct models *m, const char *path, struct sched_pages *pages)
{
    struct kept *k = pages ? calloc(1, sizeof *k) : NULL;
    if (k) k->path = strdup(path);
    if (!k || !k->path) {
        free(k);
        sched_pages_destroy(pages);
        return;
    }
    k->pages = pages;
    k->next = m->kept;
    m->kept = k;
}

static void drop_oldest_kept(struct models *m)
{
    struct kept *k = m->kept;
    while (k->next) k = k->next;
    sched_pages_destroy(take_kept(m, k->path));
}

static uint64_t kept_bytes(const struct models *m)
{
    uint64_t n = 0;
    for (const struct kept *k = m->kept; k; k = k->next) n += sched_pages_bytes(k->pages);
    return n;
}

/* Closes a model that nobody uses; gives the lock up meanwhile. Of its kept beginnings so many
 * bytes stay. */
static void close_one(struct models *m, struct model_use *u, uint64_t keep_bytes)
{
    u->state = CLOSING;
    pthread_mutex_unlock(&m->lock);
    if (u->beside && m->opt.detach) m->opt.detach(u->beside);
    struct sched_pages *pages = scheduler_end(u->scheduler, keep_bytes);
    engine_close(u->engine);
    pthread_mutex_lock(&m->lock);
    keep(m, u->path, pages);
    drop(m, u);
}

static struct model_use *add(struct models *m, const char *path, const char *name)
{
    struct model_use *u = calloc(1, sizeof *u);
    if (u) u->path = strdup(path);
    if (u) u->name = strdup(name);
    if (!u || !u->path || !u->name) {
        if (u) free(u->path);
        if (u) free(u->name);
        free(u);
        return NULL;
    }
    u->m = m;
    u->users = 1;
    u->keep_ms = m->opt.keep_ms;
    u->pages = take_kept(m, path);
    u->next = m->first;
    m->first = u;
    return u;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t memory_limit(const struct models *m)
{
    struct machine_limits l;
    if (m->opt.memory_bytes) return m->opt.memory_bytes;
    machine_limits_read(&l);
    uint64_t all = l.total_bytes;
    if (l.limit_bytes && l.limit_bytes < all) all = l.limit_bytes;
    return all ? all / 4 * 3 : UINT64_MAX;
}

/* The other models, as one that is to be opened finds them. */
struct others {
    size_t n;
    uint64_t bytes;
    struct model_use *idle; /* the one unused for longest */
    bool closing;
};

static struct others look_at_others(const struct models *m, const struct model_use *own)
{
    struct others o = {0};
    for (struct model_use *u = m->first; u; u = u->next) {
        if (u == own) continue;
        o.n++;
        o.bytes += u->bytes;
        o.closing |= u->state == CLOSING;
        if (u->state == OPEN && u->users == 0 && (!o.idle || u->idle_since < o.idle->idle_since))
            o.idle = u;
    }
    return o;
}

static enum status refuse(const struct others *o, const struct model_use *own, bool many,
                          uint64_t limit, struct error *err)
{
    if (many)
        return error_set(err, ERR_BUSY,
                         "%zu models are open and in use, which is the most: try again when their "
                         "requests have ended",
                         o->n);
    return error_set(err, ERR_BUSY,
                     "%s needs %llu MB, but models in use hold %llu of %llu MB: try again when "
                     "their requests have ended, or allow more memory",
                     own->name, (unsigned long long)(own->bytes >> 20),
                     (unsigned long long)(o->bytes >> 20), (unsigned long long)(limit >> 20));
}

/* Until the model fits beside the others: forgets what closed ones left, and closes those that
 * nobody uses, the one unused for longest first. Under lock, which is given up now and then. */
static enum status make_room(struct models *m, struct model_use *own, struct error *err)
{
    uint64_t limit = memory_limit(m);
    for (;;) {
        struct others o = look_at_others(m, own);
        uint64_t kept = kept_bytes(m), used = o.bytes + kept;
        bool many = m->opt.max_open && o.n >= m->opt.max_open;
        bool fits = used == 0 || (used <= limit && own->bytes <= limit - used);
        if (fits && !many) return OK;
        if (o.closing) {
            pthread_cond_wait(&m->changed, &m->lock);
        } else if (!fits && kept) {
            drop_oldest_kept(m);
        } else if (o.idle) {
            uint64_t rest = used - o.idle->bytes + own->bytes;
            close_one(m, o.idle, rest < limit ? limit - rest : 0);
        } else {
            return refuse(&o, own, many, limit, err);
        }
    }
}

/* ---- opening --------------------------------------------------------------------------------- */

static enum status weigh(const char *path, uint64_t *bytes, struct error *err)
{
    struct gguf *g;
    enum status st = gguf_open(path, &g, err);
    if (st != OK) return st;
    *bytes = model_weight_memory(g);
    gguf_close(g);
    return OK;
}

static enum status open_scheduler(struct models *m, struct model_use *u, struct error *err)
{
    const struct model_info *info = engine_model_info(u->engine);
    struct sched_options opt = m->opt.sched;
    if (info->encoder) return OK;
    if (info->n_ctx_train && opt.n_ctx > info->n_ctx_train) opt.n_ctx = info->n_ctx_train;
    opt.pages = u->pages;
    u->pages = NULL;
    return scheduler_create(u->engine, &opt, &u->scheduler, err);
}

static enum status open_parts(struct models *m, struct model_use *u, struct error *err)
{
    enum status st = engine_open(u->path, &m->opt.engine, &u->engine, err);
    if (st != OK) return st;
    st = open_scheduler(m, u, err);
    if (st == OK && m->opt.attach) st = m->opt.attach(m->opt.ctx, u, &u->beside, err);
    if (st == OK) return OK;
    scheduler_destroy(u->scheduler);
    engine_close(u->engine);
    u->scheduler = NULL;
    u->engine = NULL;
    return st;
}

/* What the model takes in fact. */
static uint64_t bytes_of(const struct model_use *u)
{
    struct sched_stats st;
    if (!u->scheduler) return u->bytes;
    scheduler_stats(u->scheduler, &st);
    return u->bytes + st.pages * engine_model_info(u->engine)->kv_bytes_per_page;
}

/* Under lock, which is given up meanwhile. */
static enum status open_one(struct models *m, struct model_use *u, struct error *err)
{
    pthread_mutex_unlock(&m->lock);
    uint64_t weights = 0;
    enum status st = weigh(u->path, &weights, err);
    pthread_mutex_lock(&m->lock);
    u->bytes = weights;
    if (st == OK) st = make_room(m, u, err);
    pthread_mutex_unlock(&m->lock);
    if (st == OK) st = open_parts(m, u, err);
    uint64_t bytes = st == OK ? bytes_of(u) : 0;
    pthread_mutex_lock(&m->lock);
    u->bytes = bytes;
    if (st != OK) {
        drop(m, u);
        return st;
    }
    u->state = OPEN;
    pthread_cond_broadcast(&m->changed);
    return OK;
}

enum status models_acquire(struct models *m, const char *path, const char *name, double keep_ms,
                           struct model_use **out, struct error *err)
{
    enum status st = OK;
    *out = NULL;
    pthread_mutex_lock(&m->lock);
    struct model_use *u = find(m, path);
    while (u && u->state != OPEN) {
        pthread_cond_wait(&m->changed, &m->lock);
        u = find(m, path);
    }
    if (u) {
        u->users++;
    } else if ((u = add(m, path, name))) {
        st = open_one(m, u, err);
    } else {
        st = error_set(err, ERR_NOMEM, "no memory for a model's name");
    }
    if (st == OK) {
        if (!isnan(keep_ms)) u->keep_ms = keep_ms;
        *out = u;
    }
    pthread_mutex_unlock(&m->lock);
    return st;
}

void models_keep(struct model_use *u, double keep_ms)
{
    pthread_mutex_lock(&u->m->lock);
    if (!isnan(keep_ms)) u->keep_ms = keep_ms;
    pthread_mutex_unlock(&u->m->lock);
}

void models_release(struct model_use *u)
{
    struct models *m = u->m;
    pthread_mutex_lock(&m->lock);
    u->users--;
    u->idle_since = clock_now();
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

struct engine *model_use_engine(const struct model_use *u)
{
    return u->engine;
}

struct scheduler *model_use_scheduler(const struct model_use *u)
{
    return u->scheduler;
}

void *model_use_beside(const struct model_use *u)
{
    return u->beside;
}

const char *model_use_name(const struct model_use *u)
{
    return u->name;
}

bool models_unload(struct models *m, const char *path)
{
    pthread_mutex_lock(&m->lock);
    struct model_use *u = find(m, path);
    bool there = u && u->state == OPEN;
    if (there) u->keep_ms = 0;
    sched_pages_destroy(take_kept(m, path));
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    return there;
}

static double expiry(const struct model_use *u)
{
    return u->idle_since + 1e-3 * u->keep_ms;
}

void models_each(struct models *m, void (*fn)(void *ctx, const struct model_status *s), void *ctx)
{
    pthread_mutex_lock(&m->lock);
    double now = clock_now();
    for (const struct model_use *u = m->first; u; u = u->next) {
        if (u->state != OPEN) continue;
        double since = u->users > 0 ? 0 : 1e3 * (now - u->idle_since);
        double left = u->keep_ms > since ? u->keep_ms - since : 0;
        struct model_status s = {.path = u->path,
                                 .name = u->name,
                                 .bytes = u->bytes,
                                 .users = u->users,
                                 .expires_ms = u->keep_ms < 0 ? -1 : left,
                                 .scheduler = u->scheduler,
                                 .beside = u->beside};
        fn(ctx, &s);
    }
    pthread_mutex_unlock(&m->lock);
}

uint64_t models_kept_bytes(struct models *m)
{
    pthread_mutex_lock(&m->lock);
    uint64_t n = kept_bytes(m);
    pthread_mutex_unlock(&m->lock);
    return n;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void wait_until(struct models *m, double at)
{
    struct timespec ts = {.tv_sec = (time_t)at};
    ts.tv_nsec = (long)(1e9 * (at - (double)ts.tv_sec));
    pthread_cond_timedwait(&m->changed, &m->lock, &ts);
}

static void *sweep(void *arg)
{
    struct models *m = arg;
    pthread_mutex_lock(&m->lock);
    while (!m->stop) {
        struct model_use *due = NULL;
        for (struct model_use *u = m->first; u; u = u->next)
            if (u->state == OPEN && u->users == 0 && u->keep_ms >= 0 &&
                (!due || expiry(u) < expiry(due)))
                due = u;
        if (!due)
            pthread_cond_wait(&m->changed, &m->lock);
        else if (clock_now() < expiry(due) && expiry(due) < 1e15)
            wait_until(m, expiry(due));
        else if (expiry(due) >= 1e15)
            pthread_cond_wait(&m->changed, &m->lock);
        else
            close_one(m, due, 0); /* its time is over: so is that of what it knew */
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

enum status models_create(const struct models_options *opt, struct models **out, struct error *err)
{
    *out = NULL;
    struct models *m = calloc(1, sizeof *m);
    if (!m) return error_set(err, ERR_NOMEM, "no memory for models");
    m->opt = *opt;
    if (m->opt.keep_ms == 0) m->opt.keep_ms = MODELS_KEEP_DEFAULT;
    pthread_condattr_t attr;
    bool has_lock = pthread_mutex_init(&m->lock, NULL) == 0, has_cond = false;
    if (pthread_condattr_init(&attr) == 0) {
        has_cond = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&m->changed, &attr) == 0;
        pthread_condattr_destroy(&attr);
    }
    if (has_lock && has_cond && pthread_create(&m->thread, NULL, sweep, m) == 0) {
        *out = m;
        return OK;
    }
    if (has_lock) pthread_mutex_destroy(&m->lock);
    if (has_cond) pthread_cond_destroy(&m->changed);
    free(m);
    return error_set(err, ERR_NOMEM, "no memory for locks and a thread");
}

void models_destroy(struct models *m)
{
    if (!m) return;
    pthread_mutex_lock(&m->lock);
    m->stop = true;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->thread, NULL);
    pthread_mutex_lock(&m->lock);
    while (m->first) close_one(m, m->first, 0);
    while (m->kept) drop_oldest_kept(m);
    pthread_mutex_unlock(&m->lock);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
