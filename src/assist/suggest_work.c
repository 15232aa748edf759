/* The suggester's thread: the newest request, then the one that is likely to come, then what can be
 * got ready. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "assist/suggest_int.h"
#include "base/clock.h"

enum {
    WINDOW = 4096, /* bytes on each side of the cursor that context must not repeat */
    NEAR = 1024,   /* and in which what other files define may be named */
};

/* ---- context -----------------------------------------------------------------------------------
 */

static void drop_items(struct suggester *s)
{
    for (size_t i = 0; i < s->n_items; i++) {
        free((char *)s->items[i].path);
        free((char *)s->items[i].text);
    }
    s->n_items = 0;
    free(s->items_path);
    s->items_path = NULL;
}

static bool same_path(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Under the lock. Takes the ring's chunks, and the signatures of what other open files define, over
 * as the context of the prompts to come. Done when idle, or when another file is completed: in
 * between the prompt's beginning stays as it is. */
static void take_items(struct suggester *s, const struct ask *a)
{
    struct context_item found[SUGGEST_ITEMS];
    size_t from = a->offset > WINDOW ? a->offset - WINDOW : 0;
    size_t to = a->len - a->offset > WINDOW ? a->offset + WINDOW : a->len;
    size_t n = ring_items(s->ring, a->path, a->text + from, to - from, found,
                          SUGGEST_ITEMS - OUTLINE_ITEMS);
    n += outline_items(s->outline, a->path, a->text, a->len, a->offset, NEAR, found + n,
                       OUTLINE_ITEMS);
    drop_items(s);
    s->items_path = a->path ? strdup(a->path) : NULL;
    for (size_t i = 0; i < n; i++) {
        struct context_item item = found[i];
        item.path = found[i].path ? strdup(found[i].path) : NULL;
        char *text = malloc(item.len + 1);
        if (!text || (found[i].path && !item.path)) {
            free((char *)item.path);
            free(text);
            return; /* less context is no error */
        }
        memcpy(text, found[i].text, item.len);
        text[item.len] = 0;
        item.text = text;
        s->items[s->n_items++] = item;
    }
}

/* ---- one computation ---------------------------------------------------------------------------
 */

static void fill_request(struct suggest_run *r, struct complete_request *req, double deadline_ms)
{
    const struct suggester *s = r->s;
    const struct ask *a = r->base;
    size_t n = 0;
    for (size_t i = 0; i < s->n_items; i++) r->all[n++] = s->items[i];
    for (size_t i = 0; i < a->n_more && n < 2 * SUGGEST_ITEMS; i++) r->all[n++] = a->more[i];
    *req = (struct complete_request){.prefix = a->text,
                                     .prefix_len = a->offset,
                                     .suffix = a->text + a->offset,
                                     .suffix_len = a->len - a->offset,
                                     .path = a->path,
                                     /* Told where other files stand in front. */
                                     .file_name = n && s->opt.context_share > 0 ? (a->name ? a->name : a->path)
                                                                                : NULL,
                                     .context = s->opt.context_share > 0 ? r->all : NULL,
                                     .n_context = s->opt.context_share > 0 ? n : 0,
                                     .context_share = s->opt.context_share,
                                     .repository = s->opt.repository,
                                     .max_tokens = a->max_tokens,
                                     .deadline_ms = deadline_ms,
                                     .sample = s->opt.sample,
                                     .mode = a->mode,
                                     .effort = a->automatic ? EFFORT_FAST : s->opt.effort,
                                     .cancel = &r->s->cancel,
                                     .ctx = r};
}

/* An answer that was cut short by the clock or a newer request is no answer for later. */
static bool is_whole(const struct complete_result *res)
{
    return res->finish == FINISH_STOP || res->finish == FINISH_LENGTH;
}

/* Keeps what a computation found and, where it is shown, has the next one computed. */
static void keep(struct suggester *s, const struct ask *a, const struct complete_result *res,
                 bool ahead)
{
    pthread_mutex_lock(&s->lock);
    struct answer_place at = suggest_place(a);
    if (is_whole(res)) answers_put(s->answers, &at, res->text, res->len, ahead);
    if (!ahead) {
        s->stats.computed++;
        s->stats.empty += res->len == 0;
        if (res->len && (is_whole(res) || res->finish == FINISH_DEADLINE) && !s->pending &&
            s->opt.prefetch_ms > 0) {
            suggest_ask_free(s->ahead);
            s->ahead = suggest_ask_copy(a, res->text, res->len);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

static void fail(struct suggest_run *r, enum status st, const struct error *err)
{
    struct suggester *s = r->s;
    struct suggestion out = {.final = true, .status = st, .error = err, .stopped_by = "error"};
    if (!r->a) return;
    pthread_mutex_lock(&s->lock);
    s->stats.failed++;
    pthread_mutex_unlock(&s->lock);
    suggest_tell(r->a, &out);
}

/* Computes for `a`; `ahead`: nobody waits for it yet. */
static void run(struct suggester *s, struct ask *a, bool ahead)
{
    struct suggest_run r = {.s = s, .base = a, .a = ahead ? NULL : a};
    struct complete_request req;
    struct complete_result res = {0};
    struct error err = {0};
    fill_request(&r, &req, ahead ? s->opt.prefetch_ms : a->deadline_ms);
    if (ahead) req.effort = s->opt.effort;
    req.on_text = suggest_on_text;
    enum status st = s->backend.run(s->backend.ctx, &req, &res, &err);
    suggest_run_settle(&r);
    if (st) {
        fail(&r, st, &err);
    } else {
        if (res.finish != FINISH_CANCELLED) keep(s, a, &res, ahead && !r.a);
        suggest_run_tell(&r, &res, ahead ? SUGGEST_PREFETCHED : SUGGEST_COMPUTED);
        complete_result_fini(&res);
    }
    suggest_ask_free(r.taken);
}

/* ---- idle --------------------------------------------------------------------------------------
 */

/* Brings the context up to date and reads the prompt that the next request will want. */
static void get_ready(struct suggester *s, struct ask *a)
{
    struct suggest_run r = {.s = s, .base = a};
    struct complete_request req;
    struct complete_ahead ahead;
    struct error err = {0};
    fill_request(&r, &req, 0);
    if (s->backend.prepare) (void)s->backend.prepare(s->backend.ctx, &req, &ahead, &err);
}

/* Under the lock, which it gives up meanwhile. */
static void idle(struct suggester *s)
{
    s->fresh = ring_join(s->ring); /* one at a time, as long as some wait */
    if (!s->last) {
        s->fresh = s->fresh && ring_waiting(s->ring);
        return;
    }
    take_items(s, s->last);
    struct ask *a = suggest_ask_copy(s->last, "", 0);
    s->stats.warm_ups++;
    __atomic_store_n(&s->cancel, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&s->lock);
    if (a) get_ready(s, a);
    suggest_ask_free(a);
    pthread_mutex_lock(&s->lock);
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

/* Under the lock: waits until `until` (clock_now()) or a signal. */
static void wait_until(struct suggester *s, double until)
{
    struct timespec t;
    double whole = floor(until);
    t.tv_sec = (time_t)whole;
    t.tv_nsec = (long)((until - whole) * 1e9);
    pthread_cond_timedwait(&s->wake, &s->lock, &t);
}

/* Under the lock: tells those whose place was taken. */
static void bury(struct suggester *s)
{
    while (s->dead) {
        struct ask *a = s->dead;
        s->dead = a->next;
        pthread_mutex_unlock(&s->lock);
        struct suggestion out = {.final = true, .stopped_by = "superseded"};
        suggest_tell(a, &out);
        suggest_ask_free(a);
        pthread_mutex_lock(&s->lock);
    }
}

/* Under the lock, which is given up while telling: a request that followed may have its answer by
 * now. */
static bool serve_cached(struct suggester *s)
{
    struct ask *a = s->pending;
    size_t len = 0;
    bool ahead = false;
    char *text = a->follows ? suggest_look_up(s, a, &len, &ahead) : NULL;
    a->follows = false;
    if (!text) return false;
    s->pending = NULL;
    s->stats.cached++;
    if (len && s->opt.prefetch_ms > 0) s->ahead = suggest_ask_copy(a, text, len);
    pthread_mutex_unlock(&s->lock);
    suggest_tell_cached(a, text, len, ahead);
    pthread_mutex_lock(&s->lock);
    return true;
}

/* Under the lock, which is given up while computing. */
static void work_on_pending(struct suggester *s)
{
    if (serve_cached(s)) return;
    if (clock_now() < s->pending->due) {
        wait_until(s, s->pending->due);
        return; /* it may have been replaced */
    }
    struct ask *a = s->running = s->pending;
    s->pending = NULL;
    __atomic_store_n(&s->cancel, 0, __ATOMIC_RELAXED);
    if (!same_path(a->path, s->items_path)) take_items(s, a);
    s->base = a;
    pthread_mutex_unlock(&s->lock);
    run(s, a, false);
    suggest_ask_free(a);
    pthread_mutex_lock(&s->lock);
}

static void work_ahead(struct suggester *s)
{
    struct ask *a = s->ahead;
    s->ahead = NULL;
    s->stats.prefetches++;
    __atomic_store_n(&s->cancel, 0, __ATOMIC_RELAXED);
    s->base = a;
    pthread_mutex_unlock(&s->lock);
    run(s, a, true);
    suggest_ask_free(a);
    pthread_mutex_lock(&s->lock);
}

void *suggest_work(void *suggester)
{
    struct suggester *s = suggester;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        bury(s);
        if (s->stop) break;
        if (s->pending) {
            work_on_pending(s);
        } else if (s->ahead) {
            work_ahead(s);
        } else if (s->fresh && s->opt.idle_ms > 0) {
            double due = s->last_key + 1e-3 * s->opt.idle_ms;
            if (clock_now() >= due)
                idle(s);
            else
                wait_until(s, due);
        } else {
            pthread_cond_wait(&s->wake, &s->lock);
        }
    }
    if (s->pending) {
        s->pending->next = s->dead;
        s->dead = s->pending;
        s->pending = NULL;
    }
    bury(s);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
