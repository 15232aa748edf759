#include "api/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "api/served.h"
#include "infer/scheduler.h"

static const double bounds[METRICS_BUCKETS] = {0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5,
                                               1,     2.5,   5,    10,   30,  60,   120};

void metrics_init(struct metrics *m)
{
    memset(m, 0, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
}

void metrics_fini(struct metrics *m)
{
    pthread_mutex_destroy(&m->lock);
}

void metrics_count(struct metrics *m, const char *route, int code, double seconds)
{
    pthread_mutex_lock(&m->lock);
    size_t i = 0, b = 0;
    while (i < METRICS_ROUTES - 1 && m->routes[i].route && strcmp(m->routes[i].route, route) != 0)
        i++;
    if (!m->routes[i].route) m->routes[i].route = route;
    size_t k = 0;
    while (k < METRICS_CODES - 1 && m->routes[i].codes[k] && m->routes[i].codes[k] != code) k++;
    m->routes[i].codes[k] = code;
    m->routes[i].counts[k]++;
    while (b < METRICS_BUCKETS && seconds > bounds[b]) b++;
    m->seconds[b]++;
    m->seconds_sum += seconds;
    m->seconds_n++;
    pthread_mutex_unlock(&m->lock);
}

static enum status family(struct buf *out, const char *name, const char *type, const char *help)
{
    return buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static enum status own(struct metrics *m, struct buf *out)
{
    enum status st =
        family(out, "hearth_http_requests_total", "counter", "Requests by route and status.");
    for (size_t i = 0; i < METRICS_ROUTES && m->routes[i].route; i++)
        for (size_t k = 0; k < METRICS_CODES && m->routes[i].codes[k] && !st; k++)
            st = buf_printf(out, "hearth_http_requests_total{route=\"%s\",code=\"%d\"} %llu\n",
                            m->routes[i].route, m->routes[i].codes[k],
                            (unsigned long long)m->routes[i].counts[k]);
    if (!st)
        st = family(out, "hearth_http_request_seconds", "histogram",
                    "From a request's head to its answer's last byte.");
    uint64_t n = 0;
    for (size_t b = 0; b < METRICS_BUCKETS && !st; b++) {
        n += m->seconds[b];
        st = buf_printf(out, "hearth_http_request_seconds_bucket{le=\"%g\"} %llu\n", bounds[b],
                        (unsigned long long)n);
    }
    if (!st)
        st = buf_printf(
            out,
            "hearth_http_request_seconds_bucket{le=\"+Inf\"} %llu\n"
            "hearth_http_request_seconds_sum %g\nhearth_http_request_seconds_count %llu\n",
            (unsigned long long)m->seconds_n, m->seconds_sum, (unsigned long long)m->seconds_n);
    return st;
}

/* ---- the models' figures ----------------------------------------------------------------------
 */

enum { MAX_MODELS = 64 };
struct model_stats {
    char name[160];
    struct sched_stats s;
};
struct all_stats {
    struct model_stats *items;
    size_t n;
};

static void take_stats(void *ctx, const struct loaded_model *m, int64_t expires)
{
    (void)expires;
    struct all_stats *a = ctx;
    if (a->n == MAX_MODELS || !m->scheduler) return;
    struct model_stats *t = &a->items[a->n++];
    memcpy(t->name, m->name, sizeof t->name);
    scheduler_stats(m->scheduler, &t->s);
}

static double queued(const struct sched_stats *s)
{
    return (double)(s->waiting[0] + s->waiting[1] + s->waiting[2]);
}
static double running(const struct sched_stats *s)
{
    return (double)(s->running[0] + s->running[1] + s->running[2]);
}
static double kv_used(const struct sched_stats *s)
{
    return s->pages ? (double)(s->pages - s->pages_free - s->pages_cached) / (double)s->pages : 0;
}
#define FIGURE(name)                                                                               \
    static double get_##name(const struct sched_stats *s)                                          \
    {                                                                                              \
        return (double)s->name;                                                                    \
    }
FIGURE(prompt_tokens)
FIGURE(cached_tokens)
FIGURE(generated_tokens)
FIGURE(drafted_tokens)
FIGURE(accepted_tokens)
FIGURE(preemptions)
FIGURE(evictions)
FIGURE(requests)
FIGURE(failed)
FIGURE(steps)

static const struct {
    const char *name, *type, *help;
    double (*get)(const struct sched_stats *s);
} figures[] = {
    {"hearth_requests_running", "gauge", "Requests that hold KV pages.", running},
    {"hearth_requests_waiting", "gauge", "Requests that wait.", queued},
    {"hearth_kv_usage_ratio", "gauge", "KV pages held by requests, of all.", kv_used},
    {"hearth_requests_total", "counter", "Requests given to the scheduler.", get_requests},
    {"hearth_requests_failed_total", "counter", "Requests that ended with an error.", get_failed},
    {"hearth_prompt_tokens_total", "counter", "Tokens of prompts.", get_prompt_tokens},
    {"hearth_prompt_tokens_cached_total", "counter", "Tokens of prompts found computed.",
     get_cached_tokens},
    {"hearth_generated_tokens_total", "counter", "Tokens generated.", get_generated_tokens},
    {"hearth_drafted_tokens_total", "counter", "Tokens checked ahead.", get_drafted_tokens},
    {"hearth_accepted_tokens_total", "counter", "Tokens checked ahead and right.",
     get_accepted_tokens},
    {"hearth_preemptions_total", "counter", "Texts put off and recomputed.", get_preemptions},
    {"hearth_kv_evictions_total", "counter", "Pages dropped from the prefix cache.", get_evictions},
    {"hearth_steps_total", "counter", "Forward passes.", get_steps},
};

static const struct {
    const char *name, *help;
    size_t offset;
} histograms[] = {
    {"hearth_queue_seconds", "From submission to the first step.",
     offsetof(struct sched_stats, queue_seconds)},
    {"hearth_first_token_seconds", "From submission to the first token.",
     offsetof(struct sched_stats, first_token_seconds)},
    {"hearth_inter_token_seconds", "Between two tokens.",
     offsetof(struct sched_stats, token_seconds)},
    {"hearth_e2e_seconds", "From submission to the end.",
     offsetof(struct sched_stats, total_seconds)},
};

static enum status histogram(struct buf *out, const char *name, const char *model,
                             const struct sched_histogram *h)
{
    enum status st = OK;
    uint64_t n = 0;
    for (size_t b = 0; b < SCHED_BUCKETS && !st; b++) {
        n += h->count[b];
        st = buf_printf(out, "%s_bucket{model=\"%s\",le=\"%g\"} %llu\n", name, model, h->bound[b],
                        (unsigned long long)n);
    }
    if (!st)
        st = buf_printf(out,
                        "%s_bucket{model=\"%s\",le=\"+Inf\"} %llu\n%s_sum{model=\"%s\"} "
                        "%g\n%s_count{model=\"%s\"} %llu\n",
                        name, model, (unsigned long long)h->n, name, model, h->sum, name, model,
                        (unsigned long long)h->n);
    return st;
}

static enum status models(struct buf *out, const struct all_stats *a)
{
    enum status st = OK;
    for (size_t i = 0; i < sizeof figures / sizeof *figures && !st; i++) {
        st = family(out, figures[i].name, figures[i].type, figures[i].help);
        for (size_t m = 0; m < a->n && !st; m++)
            st = buf_printf(out, "%s{model=\"%s\"} %.17g\n", figures[i].name, a->items[m].name,
                            figures[i].get(&a->items[m].s));
    }
    for (size_t i = 0; i < sizeof histograms / sizeof *histograms && !st; i++) {
        st = family(out, histograms[i].name, "histogram", histograms[i].help);
        for (size_t m = 0; m < a->n && !st; m++)
            st = histogram(out, histograms[i].name, a->items[m].name,
                           (const struct sched_histogram *)((const char *)&a->items[m].s +
                                                            histograms[i].offset));
    }
    return st;
}

enum status metrics_write(struct metrics *m, struct served *p, size_t active, struct buf *out)
{
    struct all_stats a = {calloc(MAX_MODELS, sizeof *a.items), 0};
    if (!a.items) return ERR_NOMEM;
    served_each(p, take_stats, &a);
    enum status st = family(out, "hearth_models_loaded", "gauge", "Models in memory.");
    if (!st) st = buf_printf(out, "hearth_models_loaded %zu\n", a.n);
    if (!st)
        st = family(out, "hearth_http_requests_active", "gauge",
                    "Requests whose answer is not out.");
    if (!st) st = buf_printf(out, "hearth_http_requests_active %zu\n", active);
    pthread_mutex_lock(&m->lock);
    if (!st) st = own(m, out);
    pthread_mutex_unlock(&m->lock);
    if (!st) st = models(out, &a);
    free(a.items);
    return st;
}
