#include "assist/suggest.h"

#include <stdlib.h>
#include <string.h>

#include "assist/cursor.h"
#include "assist/suggest_int.h"
#include "base/clock.h"

const char *suggest_source_name(enum suggest_source s)
{
    static const char *const names[] = {"computed", "cached", "prefetched"};
    return (size_t)s < sizeof names / sizeof *names ? names[s] : "computed";
}

/* ---- backend -----------------------------------------------------------------------------------
 */

static enum status backend_run(void *ctx, const struct complete_request *req,
                               struct complete_result *res, struct error *err)
{
    return complete_run(ctx, req, res, err);
}

static enum status backend_prepare(void *ctx, const struct complete_request *req,
                                   struct complete_ahead *ahead, struct error *err)
{
    return complete_prepare(ctx, req, ahead, err);
}

struct suggest_backend suggest_backend_of(struct completer *c)
{
    return (struct suggest_backend){.run = backend_run, .prepare = backend_prepare, .ctx = c};
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void set_defaults(struct suggest_options *o)
{
    if (!o->max_tokens) o->max_tokens = 128;
    if (o->deadline_ms == 0) o->deadline_ms = 1000;
    if (o->prefetch_ms == 0) o->prefetch_ms = 1000;
    if (o->idle_ms == 0) o->idle_ms = 400;
    if (!o->cache_entries) o->cache_entries = SUGGEST_CACHE;
    if (o->context_share == 0) o->context_share = 0.25;
}

static void fini(struct suggester *s)
{
    suggest_ask_free(s->pending);
    suggest_ask_free(s->last);
    suggest_ask_free(s->ahead);
    for (size_t i = 0; i < s->n_items; i++) {
        free((char *)s->items[i].path);
        free((char *)s->items[i].text);
    }
    free(s->items_path);
    answers_destroy(s->answers);
    ring_destroy(s->ring);
    outline_destroy(s->outline);
    if (s->backend.destroy) s->backend.destroy(s->backend.ctx);
    free(s->repository);
    free(s);
}

enum status suggester_create(const struct suggest_options *opt,
                             const struct suggest_backend *backend, struct suggester **out,
                             struct error *err)
{
    *out = NULL;
    struct suggester *s = calloc(1, sizeof *s);
    if (!s) {
        if (backend->destroy) backend->destroy(backend->ctx);
        return error_set(err, ERR_NOMEM, "no memory for the completions' thread");
    }
    s->opt = *opt;
    s->backend = *backend;
    set_defaults(&s->opt);
    enum status st = answers_create(s->opt.cache_entries, &s->answers, err);
    if (!st) st = ring_create(&s->opt.ring, &s->ring, err);
    if (!st) st = outline_create(&s->outline, err);
    if (!st && opt->repository) {
        s->repository = strdup(opt->repository);
        if (!s->repository) st = error_set(err, ERR_NOMEM, "no memory for a name");
    }
    if (st) {
        fini(s);
        return st;
    }
    s->opt.repository = s->repository;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&s->thread, NULL, suggest_work, s) != 0) {
        fini(s);
        return error_set(err, ERR_NOMEM, "the system has no thread left for completions");
    }
    *out = s;
    return OK;
}

void suggester_destroy(struct suggester *s)
{
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    __atomic_store_n(&s->cancel, 1, __ATOMIC_RELAXED);
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    fini(s);
}

/* ---- requests ----------------------------------------------------------------------------------
 */

void suggest_ask_free(struct ask *a)
{
    if (!a) return;
    for (size_t i = 0; i < a->n_more; i++) {
        free((char *)a->more[i].path);
        free((char *)a->more[i].text);
    }
    free(a->more);
    free(a->path);
    free(a->name);
    free(a->text);
    free(a);
}

static char *copy_of(const char *text, size_t len)
{
    char *p = malloc(len + 1);
    if (!p) return NULL;
    if (len) memcpy(p, text, len);
    p[len] = 0;
    return p;
}

static bool copy_items(struct ask *a, const struct context_item *items, size_t n)
{
    if (!n) return true;
    a->more = calloc(n, sizeof *a->more);
    if (!a->more) return false;
    for (size_t i = 0; i < n; i++) {
        struct context_item *to = &a->more[i];
        *to = items[i];
        to->path = items[i].path ? strdup(items[i].path) : NULL;
        to->text = copy_of(items[i].text, items[i].len);
        a->n_more = i + 1;
        if (!to->text || (items[i].path && !to->path)) return false;
    }
    return true;
}

struct ask *suggest_ask_copy(const struct ask *a, const char *insert, size_t len)
{
    struct ask *n = malloc(sizeof *n);
    if (!n) return NULL;
    *n = *a;
    n->next = NULL;
    n->more = NULL;
    n->n_more = 0;
    n->path = a->path ? strdup(a->path) : NULL;
    n->name = a->name ? strdup(a->name) : NULL;
    n->text = malloc(a->len + len + 1);
    if (!n->text || (a->path && !n->path) || (a->name && !n->name) || !copy_items(n, a->more, a->n_more)) {
        suggest_ask_free(n);
        return NULL;
    }
    memcpy(n->text, a->text, a->offset);
    if (len) memcpy(n->text + a->offset, insert, len);
    memcpy(n->text + a->offset + len, a->text + a->offset, a->len - a->offset);
    n->len += len;
    n->offset += len;
    n->text[n->len] = 0;
    return n;
}

struct answer_place suggest_place(const struct ask *a)
{
    return (struct answer_place){.path = a->path,
                                 .kind = (uint64_t)a->mode,
                                 .prefix = a->text,
                                 .prefix_len = a->offset,
                                 .suffix = a->text + a->offset,
                                 .suffix_len = a->len - a->offset};
}

void suggest_tell(struct ask *a, struct suggestion *s)
{
    double now = clock_now();
    s->id = a->id;
    if (!s->text) s->text = "";
    if (s->len && a->first == 0) a->first = now;
    s->waited_ms = (a->due - a->asked) * 1e3;
    s->first_ms = a->first > 0 ? (a->first - a->asked) * 1e3 : 0;
    s->total_ms = (now - a->asked) * 1e3;
    a->on_suggestion(a->ctx, s);
}

void suggest_tell_cached(struct ask *a, char *text, size_t len, bool ahead)
{
    struct suggestion out = {.text = text,
                             .len = len,
                             .final = true,
                             .source = ahead ? SUGGEST_PREFETCHED : SUGGEST_CACHED,
                             .stopped_by = "cached"};
    suggest_tell(a, &out);
    free(text);
    suggest_ask_free(a);
}

static bool may_use(const struct suggester *s, const char *path)
{
    if (!path) return true;
    if (!s->opt.any_file && cursor_is_secret(path)) return false;
    return !s->opt.allowed || s->opt.allowed(s->opt.ctx, path);
}

static enum status check(const struct suggester *s, const struct suggest_request *req,
                         struct error *err)
{
    const char *name = req->path ? req->path : "the document";
    if (req->path && !s->opt.any_file && cursor_is_secret(req->path))
        return error_set(err, ERR_INVALID,
                         "%s looks like a file of keys or passwords and is not completed", name);
    if (!may_use(s, req->path))
        return error_set(err, ERR_INVALID, "%s is ignored here and is not completed", name);
    if (req->offset > req->len ||
        (req->offset < req->len && ((unsigned char)req->text[req->offset] & 0xC0) == 0x80))
        return error_set(err, ERR_INVALID, "there is no position %zu in %s, which has %zu bytes",
                         req->offset, name, req->len);
    return cursor_check_text(req->text, req->len, name, err);
}

static struct ask *make_ask(const struct suggester *s, const struct suggest_request *req)
{
    struct ask from = {.path = (char *)req->path,
                       .name = (char *)req->name,
                       .text = (char *)(req->text ? req->text : ""),
                       .len = req->len,
                       .offset = req->offset,
                       .mode = req->mode,
                       .partial = req->partial,
                       .automatic = req->automatic,
                       .max_tokens = req->max_tokens ? req->max_tokens : s->opt.max_tokens,
                       .deadline_ms = req->deadline_ms > 0 ? req->deadline_ms : s->opt.deadline_ms,
                       .on_suggestion = req->on_suggestion,
                       .ctx = req->ctx};
    struct ask *a = suggest_ask_copy(&from, "", 0);
    if (a && !copy_items(a, req->more, req->n_more)) {
        suggest_ask_free(a);
        return NULL;
    }
    return a;
}

/* Under the lock. */
static double rhythm(struct suggester *s, double now)
{
    if (s->last_key > 0) {
        if (s->n_gaps == SUGGEST_GAPS) memmove(s->gaps, s->gaps + 1, --s->n_gaps * sizeof *s->gaps);
        s->gaps[s->n_gaps++] = (now - s->last_key) * 1e3;
    }
    s->last_key = now;
    return suggest_delay_ms(s->gaps, s->n_gaps);
}

/* Under the lock: what was asked before is not wanted any more, but for what is being computed
 * where `follows`. */
static void supersede(struct suggester *s, bool follows)
{
    if (s->pending) {
        s->pending->next = s->dead;
        s->dead = s->pending;
        s->pending = NULL;
        s->stats.superseded++;
    }
    suggest_ask_free(s->ahead);
    s->ahead = NULL;
    if (!follows) __atomic_store_n(&s->cancel, 1, __ATOMIC_RELAXED);
}

char *suggest_look_up(struct suggester *s, const struct ask *a, size_t *len, bool *ahead)
{
    struct answer_place at = suggest_place(a);
    struct answer found;
    if (!answers_find(s->answers, &at, &found)) return NULL;
    *len = found.len;
    *ahead = found.ahead;
    return copy_of(found.text, found.len);
}

enum status suggester_ask(struct suggester *s, const struct suggest_request *req, uint64_t *id,
                          struct error *err)
{
    enum status st = check(s, req, err);
    if (st) return st;
    struct ask *a = make_ask(s, req), *last = a ? suggest_ask_copy(a, "", 0) : NULL;
    if (!last) {
        suggest_ask_free(a);
        return error_set(err, ERR_NOMEM, "no memory for a copy of the file");
    }
    a->asked = a->due = clock_now();
    size_t len = 0;
    bool ahead = false;
    pthread_mutex_lock(&s->lock);
    double delay = rhythm(s, a->asked);
    a->id = *id = ++s->last_id;
    s->stats.asked++;
    a->follows =
        s->base && !__atomic_load_n(&s->cancel, __ATOMIC_RELAXED) && suggest_follows(s->base, a);
    supersede(s, a->follows);
    suggest_ask_free(s->last);
    s->last = last;
    s->fresh = true;
    char *text = suggest_look_up(s, a, &len, &ahead);
    if (text) {
        if (ahead)
            s->stats.prefetched++;
        else
            s->stats.cached++;
        /* The next one is computed while this one shows. */
        if (len && s->opt.prefetch_ms > 0) s->ahead = suggest_ask_copy(a, text, len);
    } else {
        if (req->automatic) a->due += 1e-3 * delay;
        s->pending = a;
    }
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (!text) return OK;
    suggest_tell_cached(a, text, len, ahead);
    return OK;
}

bool suggester_cancel(struct suggester *s, uint64_t id)
{
    pthread_mutex_lock(&s->lock);
    bool alive = false;
    if (s->pending && s->pending->id == id) {
        supersede(s, false);
        alive = true;
    } else if (s->running && s->running->id == id) {
        s->running->cancelled = true;
        if (!s->running->automatic) __atomic_store_n(&s->cancel, 1, __ATOMIC_RELAXED);
        alive = true;
    }
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    return alive;
}

/* ---- events ------------------------------------------------------------------------------------
 */

void suggester_note(struct suggester *s, enum ring_event event, const char *path, const char *text,
                    size_t len, size_t line)
{
    if (!may_use(s, path) || trim_utf8_prefix(text, len) != len) return;
    bool whole = path && (event == RING_OPENED || event == RING_SAVED);
    struct outline_file *file = whole ? outline_read(path, text, len) : NULL;
    pthread_mutex_lock(&s->lock);
    if (whole) outline_put(s->outline, path, file);
    ring_note(s->ring, event, path, text, len, line);
    s->fresh = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void suggester_forget(struct suggester *s, const char *path)
{
    pthread_mutex_lock(&s->lock);
    ring_forget(s->ring, path);
    if (path) outline_put(s->outline, path, NULL);
    s->fresh = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void suggester_stats(struct suggester *s, struct suggest_stats *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->stats;
    out->cache_entries = answers_count(s->answers);
    out->ring_chunks = ring_size(s->ring);
    out->ring_waiting = ring_waiting(s->ring);
    pthread_mutex_unlock(&s->lock);
}
