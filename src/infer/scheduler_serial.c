/* The scheduler's interface with one request after the other. */
#include "infer/scheduler.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "infer/text_io.h"

struct item {
    struct item *next;
    uint64_t ticket;
    struct sched_request q;
    struct sched_job job;
    volatile int cancel;
    double at;
    char *stops;
};

struct scheduler {
    struct engine *e;
    struct session *s;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct item *first, *last, *now;
    uint64_t tickets;
    bool stop;
    struct sched_stats stats;
};

struct run {
    struct scheduler *s;
    struct item *it;
    size_t sample;
    struct text_stream ts;
    struct buf text;
    size_t given;
    int stop_text;
};

static size_t hold(const struct sched_request *q, const char *t, size_t n)
{
    size_t most = 0;
    for (size_t i = 0; i < q->n_stop_text; i++)
        for (size_t k = q->stop_text[i].len - 1; k > most; k--)
            if (k <= n && memcmp(t + n - k, q->stop_text[i].data, k) == 0) most = k;
    return most;
}

static bool give(struct run *r, bool end, const struct sched_token *tok)
{
    const struct sched_request *q = &r->it->q;
    char *t = r->text.data ? r->text.data : (char *)"";
    for (size_t i = 0; i < q->n_stop_text && r->stop_text < 0; i++) {
        char *at = r->text.len ? memmem(t, r->text.len, q->stop_text[i].data, q->stop_text[i].len) : NULL;
        if (!at) continue;
        r->stop_text = (int)i;
        r->text.len = (size_t)(at - t);
    }
    size_t upto = r->text.len;
    if (!end && r->stop_text < 0) upto -= hold(q, t, upto);
    if (upto < r->given) upto = r->given;
    struct sched_chunk c = {.sample = r->sample, .text = t + r->given, .n_text = upto - r->given, .tokens = tok, .n_tokens = tok ? 1 : 0};
    r->given = upto;
    return (!c.n_text && !tok) || !q->on_text || q->on_text(q->ctx, &c);
}

static bool on_token(void *ctx, int32_t id)
{
    struct run *r = ctx;
    struct sched_token t = {.id = id, .logprob = NAN, .text_offset = r->text.len};
    if (text_stream_push(&r->ts, id, &r->text) != OK) return false;
    return give(r, false, r->it->q.logprobs ? &t : NULL) && r->stop_text < 0;
}

static void run_item(struct scheduler *s, struct item *it)
{
    struct sched_request *q = &it->q;
    struct error err = {0};
    size_t n = q->n ? q->n : 1;
    struct sched_sample samples[SCHED_MAX_SAMPLES] = {0};
    struct sched_result res = {.samples = samples, .n_samples = n, .n_prompt = q->n_prompt, .error = &err, .queue_ms = 1e3 * (clock_now() - it->at)};
    for (size_t i = 0; i < n && res.status == OK; i++) {
        struct run r = {.s = s, .it = it, .sample = i, .stop_text = -1};
        text_stream_init(&r.ts, engine_tokenizer(s->e), q->special);
        buf_init(&r.text, 1 << 24);
        struct generate_request g = {.prompt = q->prompt, .n_prompt = q->n_prompt, .max_tokens = q->max_tokens, .sample = q->sample,
            .stop = q->stop, .n_stop = q->n_stop, .deadline_ms = q->deadline_ms, .cancel = &it->cancel, .on_token = on_token, .ctx = &r};
        g.sample.seed += i;
        struct generate_result gr = {0};
        res.status = session_generate(s->s, &g, &gr, &err);
        if (res.status == OK && gr.finish != FINISH_CANCELLED) {
            text_stream_end(&r.ts, &r.text);
            give(&r, true, NULL);
        }
        samples[i] = (struct sched_sample){gr.finish == FINISH_CALLBACK && r.stop_text >= 0 ? FINISH_STOP : gr.finish, r.stop_text, TOKEN_NONE, gr.n_generated, 0};
        res.n_generated += gr.n_generated;
        if (i == 0) res.n_cached = gr.n_cached, res.prefill_ms = gr.prefill_ms, res.first_token_ms = gr.first_token_ms;
        res.decode_ms += gr.decode_ms;
        buf_fini(&r.text);
    }
    res.finish = samples[0].finish;
    res.total_ms = 1e3 * (clock_now() - it->at);
    pthread_mutex_lock(&s->lock);
    s->stats.requests++;
    s->stats.prompt_tokens += res.n_prompt;
    s->stats.cached_tokens += res.n_cached;
    s->stats.generated_tokens += res.n_generated;
    pthread_mutex_unlock(&s->lock);
    q->on_done(q->ctx, &res);
}

static void *work(void *arg)
{
    struct scheduler *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct item *it = s->first;
        if (!it && s->stop) break;
        if (!it) {
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        s->first = it->next;
        if (!s->first) s->last = NULL;
        s->now = it;
        if (s->stop) it->cancel = 1;
        pthread_mutex_unlock(&s->lock);
        if (it->job.run) it->job.run(it->job.ctx, it->cancel);
        else run_item(s, it);
        pthread_mutex_lock(&s->lock);
        s->now = NULL;
        free((void *)it->q.prompt);
        free((void *)it->q.stop_text);
        free((void *)it->q.stop);
        free(it->stops);
        free((void *)it->q.sample.bias);
        free(it);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

enum status scheduler_create(struct engine *e, const struct sched_options *opt, struct scheduler **out, struct error *err)
{
    struct scheduler *s = *out = calloc(1, sizeof *s);
    s->e = e;
    enum status st = session_create(e, opt->n_ctx, &s->s, err);
    if (st) return st;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    pthread_create(&s->thread, NULL, work, s);
    return OK;
}

void scheduler_destroy(struct scheduler *s)
{
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    if (s->now) s->now->cancel = 1;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    session_destroy(s->s);
    free(s);
}

bool scheduler_drain(struct scheduler *s, double ms) { (void)s; (void)ms; return true; }
size_t scheduler_n_ctx(const struct scheduler *s) { return session_n_ctx(s->s); }
void scheduler_drop_cache(struct scheduler *s) { (void)s; }

static void *copy(const void *p, size_t n)
{
    return n ? memcpy(malloc(n), p, n) : NULL;
}

static void push(struct scheduler *s, struct item *it, uint64_t *ticket)
{
    pthread_mutex_lock(&s->lock);
    it->ticket = ++s->tickets;
    if (ticket) *ticket = it->ticket;
    if (s->last) s->last->next = it;
    else s->first = it;
    s->last = it;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

enum status scheduler_submit(struct scheduler *s, const struct sched_request *q, uint64_t *ticket, struct error *err)
{
    (void)err;
    struct item *it = calloc(1, sizeof *it);
    it->q = *q;
    it->at = clock_now();
    it->q.prompt = copy(q->prompt, q->n_prompt * sizeof *q->prompt);
    it->q.stop = copy(q->stop, q->n_stop * sizeof *q->stop);
    it->q.sample.bias = copy(q->sample.bias, q->sample.n_bias * sizeof *q->sample.bias);
    size_t bytes = 0;
    for (size_t i = 0; i < q->n_stop_text; i++) bytes += q->stop_text[i].len;
    it->stops = malloc(bytes + 1);
    struct text_str *t = copy(q->stop_text, q->n_stop_text * sizeof *t);
    char *at = it->stops;
    for (size_t i = 0; i < q->n_stop_text; i++) {
        memcpy(at, t[i].data, t[i].len);
        t[i].data = at;
        at += t[i].len;
    }
    it->q.stop_text = t;
    push(s, it, ticket);
    return OK;
}

bool scheduler_cancel(struct scheduler *s, uint64_t ticket)
{
    bool found = false;
    pthread_mutex_lock(&s->lock);
    for (struct item *it = s->first; it; it = it->next)
        if (it->ticket == ticket) it->cancel = 1, found = true;
    if (s->now && s->now->ticket == ticket) s->now->cancel = 1, found = true;
    pthread_mutex_unlock(&s->lock);
    return found;
}

enum status scheduler_run_job(struct scheduler *s, const struct sched_job *job, struct error *err)
{
    (void)err;
    struct item *it = calloc(1, sizeof *it);
    it->job = *job;
    push(s, it, NULL);
    return OK;
}

void scheduler_stats(const struct scheduler *s, struct sched_stats *out) { *out = s->stats; }
