#include <string.h>

#include "infer/scheduler_int.h"

static void set_bounds(struct sched_histogram *h, const double *bound)
{
    memcpy(h->bound, bound, SCHED_BUCKETS * sizeof *bound);
}

void stats_init(struct sched_stats *st)
{
    static const double rows[SCHED_BUCKETS] = {1,  2,  3,  4,  6,   8,   12,  16,
                                               24, 32, 48, 64, 128, 256, 384, 512};
    static const double seconds[SCHED_BUCKETS] = {0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2,
                                                  0.3,   0.5,  1,    2,    5,    10,    30,  60};
    static const double waits[SCHED_BUCKETS] = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                1,     2.5,   5,    10,    30,   60,  120,  300};
    memset(st, 0, sizeof *st);
    st->page_tokens = KERN_KV_PAGE;
    set_bounds(&st->step_rows, rows);
    set_bounds(&st->step_seconds, seconds);
    set_bounds(&st->token_seconds, seconds);
    set_bounds(&st->queue_seconds, waits);
    set_bounds(&st->first_token_seconds, waits);
    set_bounds(&st->total_seconds, waits);
}

void stats_add(struct sched_histogram *h, double value)
{
    size_t i = 0;
    while (i < SCHED_BUCKETS && value > h->bound[i]) i++;
    h->count[i]++;
    h->n++;
    h->sum += value;
}

static bool is_running(const struct request *r)
{
    for (size_t i = 0; r->lanes && i < r->n_lanes; i++)
        if (r->lanes[i].seq) return true;
    return false;
}

void stats_publish(struct scheduler *s)
{
    struct sched_stats *st = &s->stats;
    st->pages = kv_pool_pages(s->pool);
    st->pages_free = kv_pool_pages_free(s->pool);
    st->pages_cached = s->cache ? prefix_cache_idle(s->cache) : 0;
    memset(st->running, 0, sizeof st->running);
    memset(st->waiting, 0, sizeof st->waiting);
    const struct client *c = s->clients;
    if (c) do {
            for (const struct request *r = c->first; r; r = r->client_next)
                (is_running(r) ? st->running : st->waiting)[r->r.cls]++;
            c = c->next;
        } while (c != s->clients);
    pthread_mutex_lock(&s->lock);
    s->published = *st;
    pthread_mutex_unlock(&s->lock);
}

void scheduler_stats(const struct scheduler *s, struct sched_stats *out)
{
    struct scheduler *m = (struct scheduler *)(uintptr_t)s;
    pthread_mutex_lock(&m->lock);
    *out = s->published;
    out->requests = s->next_ticket - 1;
    out->jobs = s->n_jobs;
    for (const struct request *r = s->inbox_first; r; r = r->inbox_next) out->waiting[r->r.cls]++;
    pthread_mutex_unlock(&m->lock);
}
