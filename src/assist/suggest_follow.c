/* Typing along: a request whose text is what an earlier one's becomes by typing takes over what is
 * being computed for that one, as long as the text so far begins with what was typed. */
#include <string.h>

#include "assist/suggest_int.h"

static bool same_path(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool suggest_follows(const struct ask *from, const struct ask *a)
{
    if (a->offset < from->offset || a->offset - from->offset > SUGGEST_TYPED) return false;
    size_t typed = a->offset - from->offset, behind = from->len - from->offset;
    return a->len == from->len + typed && a->mode == from->mode &&
           a->max_tokens == from->max_tokens && same_path(a->path, from->path) &&
           memcmp(a->text, from->text, from->offset) == 0 &&
           memcmp(a->text + a->offset, from->text + from->offset, behind) == 0;
}

static size_t typed_of(const struct suggest_run *r)
{
    return r->a ? r->a->offset - r->base->offset : 0;
}

/* Under the lock. */
static struct ask *take_follower(struct suggester *s)
{
    if (!s->pending || !s->pending->follows) return NULL;
    struct ask *a = s->pending;
    s->pending = NULL;
    s->running = a;
    s->stats.followed++;
    s->stats.superseded++; /* whom it was computed for before */
    return a;
}

/* Tells the one before that its place was taken. */
static void put_follower(struct suggest_run *r, struct ask *a)
{
    struct suggestion out = {.final = true, .stopped_by = "superseded"};
    if (!a) return;
    if (r->a) suggest_tell(r->a, &out);
    suggest_ask_free(r->taken);
    r->taken = r->a = a;
}

static bool begins_as_typed(const struct suggest_run *r, const char *text, size_t len)
{
    size_t typed = typed_of(r), n = typed < len ? typed : len;
    return n == 0 || memcmp(text, r->a->text + r->base->offset, n) == 0;
}

void suggest_on_text(void *ctx, const char *text, size_t len)
{
    struct suggest_run *r = ctx;
    struct suggester *s = r->s;
    if (__atomic_load_n(&s->cancel, __ATOMIC_RELAXED)) return;
    pthread_mutex_lock(&s->lock);
    struct ask *follower = take_follower(s);
    pthread_mutex_unlock(&s->lock);
    put_follower(r, follower);
    if (!begins_as_typed(r, text, len)) {
        r->strayed = true;
        __atomic_store_n(&s->cancel, 1, __ATOMIC_RELAXED);
        return;
    }
    size_t typed = typed_of(r);
    if (!r->a || !r->a->partial || len <= typed) return;
    struct suggestion out = {.text = text + typed, .len = len - typed, .stopped_by = ""};
    suggest_tell(r->a, &out);
}

void suggest_run_settle(struct suggest_run *r)
{
    struct suggester *s = r->s;
    pthread_mutex_lock(&s->lock);
    s->base = NULL;
    struct ask *follower = take_follower(s);
    s->running = NULL;
    pthread_mutex_unlock(&s->lock);
    put_follower(r, follower);
}

/* A follower whose text turned out otherwise is computed on its own, unless a newer one came. */
static bool put_back(struct suggest_run *r)
{
    struct suggester *s = r->s;
    if (!r->taken || r->taken->cancelled) return false;
    pthread_mutex_lock(&s->lock);
    bool free = !s->pending;
    if (free) {
        s->pending = r->taken;
        s->pending->follows = false;
        r->taken = r->a = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    return free;
}

void suggest_run_tell(struct suggest_run *r, const struct complete_result *res,
                      enum suggest_source source)
{
    bool cut = res->finish == FINISH_CANCELLED, fits = begins_as_typed(r, res->text, res->len);
    size_t typed = typed_of(r);
    struct suggestion out = {.final = true, .stopped_by = res->stopped_by, .source = source};
    if (!r->a) return;
    if (!cut && fits && res->len >= typed) {
        out.text = res->text + typed;
        out.len = res->len - typed;
        out.result = res;
    } else if ((r->strayed || !cut) && put_back(r)) {
        return;
    } else { /* stale: the text has changed under it */
        pthread_mutex_lock(&r->s->lock);
        r->s->stats.superseded++;
        pthread_mutex_unlock(&r->s->lock);
        out.stopped_by = "superseded";
    }
    suggest_tell(r->a, &out);
}
