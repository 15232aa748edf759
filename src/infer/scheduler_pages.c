/* Which lane holds which pages: what the cache has is shared, what it lacks is counted before a
 * step, and where there is too little the youngest lane of the lowest class gives its pages up. */
#include <string.h>

#include "infer/scheduler_int.h"

static size_t lane_len(const struct lane *l)
{
    return l->seq ? kv_seq_len(l->seq) : 0;
}

size_t lane_pending(const struct lane *l)
{
    return l->n_text - lane_len(l);
}

bool lane_reads(const struct lane *l)
{
    return !l->done && !l->awaits_prompt && (!l->seq || lane_pending(l) > 1);
}

/* ---- the cache ------------------------------------------------------------------------------- */

/* The key of page k, which the text holds whole; NULL where there is no memory to compute it. */
static const struct prefix_key *lane_key(struct lane *l, size_t k)
{
    while (l->n_keys <= k) {
        size_t i = l->n_keys;
        const struct prefix_key *parent = i ? &l->keys[i - 1] : &l->req->root;
        if (prefix_key_next(parent, l->text + i * KERN_KV_PAGE, &l->keys[i]) != OK) return NULL;
        l->n_keys++;
    }
    return &l->keys[k];
}

/* Whether all of page k could come from elsewhere: the last token is always computed, since its
 * logits are not kept, and so are all of a prompt whose logits are asked for. */
static bool may_adopt(const struct scheduler *s, const struct lane *l, size_t k)
{
    if (!s->cache || (k + 1) * KERN_KV_PAGE > l->n_text - 1) return false;
    return !l->req->r.prompt_logprobs || l->n_text > l->req->r.n_prompt;
}

size_t lane_adopt(struct scheduler *s, struct lane *l)
{
    size_t before = lane_len(l);
    if (before % KERN_KV_PAGE) return 0;
    uint32_t page = PREFIX_NO_PAGE;
    for (size_t k = before / KERN_KV_PAGE; may_adopt(s, l, k) && l->keeps && l->n_kept == k; k++) {
        const struct prefix_key *key = lane_key(l, k);
        uint32_t found = key ? prefix_cache_find(s->cache, key) : PREFIX_NO_PAGE;
        if (found == PREFIX_NO_PAGE || kv_seq_append_page(l->seq, found, NULL) != OK) break;
        page = found;
        l->n_kept++;
    }
    if (page != PREFIX_NO_PAGE) prefix_cache_touch(s->cache, page);
    return lane_len(l) - before;
}

void lane_keep(struct scheduler *s, struct lane *l)
{
    while (l->keeps && (l->n_kept + 1) * KERN_KV_PAGE <= lane_len(l)) {
        size_t k = l->n_kept;
        const struct prefix_key *key = lane_key(l, k);
        uint32_t own = kv_seq_page(l->seq, k), kept = PREFIX_NO_PAGE;
        if (key)
            kept = prefix_cache_keep(s->cache, k ? kv_seq_page(l->seq, k - 1) : PREFIX_NO_PAGE, key,
                                     own);
        if (kept == PREFIX_NO_PAGE) {
            l->keeps = false;
            return;
        }
        if (kept != own) kv_seq_replace_page(l->seq, k, kept);
        l->n_kept++;
    }
}

/* The first page that it would have to compute. */
static size_t first_missing(const struct scheduler *s, struct lane *l)
{
    size_t k = lane_len(l) / KERN_KV_PAGE;
    while (!l->seq && may_adopt(s, l, k)) {
        const struct prefix_key *key = lane_key(l, k);
        if (!key || prefix_cache_find(s->cache, key) == PREFIX_NO_PAGE) break;
        k++;
    }
    return k;
}

/* Whether `o` is going to compute page k of `l`. */
static bool computes(const struct lane *o, const struct lane *l, size_t k)
{
    if (o == l || !o->seq || !lane_reads(o) || !o->keeps || o->n_keys <= k) return false;
    if (l->seq && l->admitted < o->admitted) return false;
    if (lane_len(o) / KERN_KV_PAGE > k) return false;
    return memcmp(&o->keys[k], &l->keys[k], sizeof *l->keys) == 0;
}

struct lane *lane_same_page(struct scheduler *s, struct lane *l)
{
    if (lane_len(l) % KERN_KV_PAGE || !l->keeps) return NULL;
    size_t k = first_missing(s, l);
    if (!may_adopt(s, l, k) || l->n_keys <= k) return NULL;
    const struct client *c = s->clients;
    do {
        for (struct request *r = c->first; r; r = r->client_next)
            for (size_t i = 0; r->lanes && i < r->n_lanes; i++)
                if (computes(&r->lanes[i], l, k)) return &r->lanes[i];
        c = c->next;
    } while (c != s->clients);
    return NULL;
}

/* ---- taking pages away ----------------------------------------------------------------------- */

static void unplan(struct scheduler *s, struct lane *l)
{
    s->plan_pages -= l->planned;
    s->plan_rows -= l->take + l->draft.n;
    l->planned = l->take = l->draft.n = 0;
}

void lane_release(struct scheduler *s, struct lane *l)
{
    unplan(s, l);
    if (!l->seq) return;
    kv_seq_destroy(l->seq);
    l->seq = NULL;
    l->n_kept = 0;
    l->shares_tail = false;
    s->n_running--;
}

void lane_preempt(struct scheduler *s, struct lane *l)
{
    lane_release(s, l);
    l->keeps = s->cache != NULL;
    l->req->n_preempted++;
    l->req->blocked = s->step; /* it does not come back in the step that it made room for */
    s->stats.preemptions++;
}

/* The youngest lane of the lowest class, among those that have to give way to `l`: those of lower
 * classes, and, `peers`, younger ones of its own. */
static struct lane *victim_for(struct scheduler *s, const struct lane *l, bool peers)
{
    struct lane *v = NULL;
    const struct client *c = s->clients;
    do {
        for (struct request *r = c->first; r; r = r->client_next)
            for (size_t i = 0; r->lanes && i < r->n_lanes; i++) {
                struct lane *o = &r->lanes[i];
                enum sched_class cls = r->r.cls;
                if (o == l || !o->seq || cls < l->req->r.cls) continue;
                if (cls == l->req->r.cls && !(peers && o->admitted > l->admitted)) continue;
                if (v &&
                    (cls < v->req->r.cls || (cls == v->req->r.cls && o->admitted < v->admitted)))
                    continue;
                v = o;
            }
        c = c->next;
    } while (c != s->clients);
    return v;
}

/* `peers` as in victim_for. */
static bool make_room(struct scheduler *s, const struct lane *l, size_t n, bool peers)
{
    for (;;) {
        size_t want = s->plan_pages + n, have = kv_pool_pages_free(s->pool);
        if (have >= want) return true;
        size_t got = s->cache ? prefix_cache_evict(s->cache, want - have) : 0;
        s->stats.evictions += got;
        if (got == want - have) return true;
        struct lane *v = victim_for(s, l, peers);
        if (!v) return false;
        lane_preempt(s, v);
    }
}

/* ---- planning -------------------------------------------------------------------------------- */

bool lane_plan_pages(struct scheduler *s, struct lane *l, size_t n)
{
    size_t need = pages_for(lane_len(l) + l->take + n) - pages_for(lane_len(l)) + l->shares_tail;
    size_t more = need > l->planned ? need - l->planned : 0;
    if (!make_room(s, l, more, true)) return false;
    s->plan_pages += more;
    l->planned += more;
    return true;
}

/* What the lanes that are reading will still take, and a page for each that writes. */
static size_t pages_spoken_for(const struct scheduler *s, const struct lane *l)
{
    size_t n = 0;
    const struct client *c = s->clients;
    do {
        for (const struct request *r = c->first; r; r = r->client_next)
            for (size_t i = 0; r->lanes && i < r->n_lanes; i++) {
                const struct lane *o = &r->lanes[i];
                bool awaits = o->awaits_prompt && r != l->req;
                if (o == l || o->done || (!o->seq && !awaits)) continue;
                n += 1 + (o->seq ? pages_for(o->n_text) - pages_for(lane_len(o)) : 0);
            }
        c = c->next;
    } while (c != s->clients);
    return n;
}

/* Whether all of the lane's text will find pages without taking others' away. */
static bool fits(const struct scheduler *s, const struct lane *l)
{
    size_t lanes = l->awaits_prompt || l->sample ? 1 : l->req->n_lanes;
    size_t need = pages_for(l->n_text) - pages_for(lane_len(l)) + lanes;
    size_t have = kv_pool_pages_free(s->pool);
    if (s->n_running == 0) return true;
    need += pages_spoken_for(s, l);
    return have >= need || have + (s->cache ? prefix_cache_idle(s->cache) : 0) >= need;
}

/* Slots for a lane and those that will share its prompt. */
static bool make_slots(struct scheduler *s, const struct lane *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->req->n_lanes; i++)
        n += !l->req->lanes[i].done && !l->req->lanes[i].seq &&
             (&l->req->lanes[i] == l || l->req->lanes[i].awaits_prompt);
    while (s->n_running > 0 && s->n_running + n > s->opt.max_running) {
        struct lane *v = victim_for(s, l, false);
        if (!v) return false;
        lane_preempt(s, v);
    }
    return true;
}

bool lane_admit(struct scheduler *s, struct lane *l, enum status *st, struct error *err)
{
    *st = OK;
    if (!make_slots(s, l)) return false;
    *st = kv_seq_create(s->pool, &l->seq, err);
    if (*st != OK) return false;
    size_t cached = lane_adopt(s, l);
    while (!fits(s, l)) {
        struct lane *v = victim_for(s, l, false);
        if (!v) {
            kv_seq_destroy(l->seq);
            l->seq = NULL;
            l->n_kept = 0;
            return false;
        }
        lane_preempt(s, v);
    }
    s->n_running++;
    if (l->admitted == 0) {
        l->admitted = ++s->admissions;
        l->req->n_cached += cached;
    }
    return true;
}
