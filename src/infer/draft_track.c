#include "infer/draft_track.h"

#include <string.h>

enum {
    WINDOW = 96,    /* how far behind the place of a change the source is searched for its end */
    MAX_STRAY = 64, /* tokens after which a copy is lost */
    SURE_RUN = 2,   /* tokens that have to agree for the end of a change */
};

void track_init(struct track *t, const struct draft_index *ix)
{
    *t = (struct track){.ix = ix};
}

/* ---- rules -------------------------------------------------------------------------------------
 */

static bool rule_fits(const struct track *t, const struct track_rule *r, size_t at)
{
    if (r->hits <= r->misses || at + r->n_from > t->ix->n) return false;
    return r->from[0] == t->ix->text[at] &&
           memcmp(r->from, t->ix->text + at, r->n_from * sizeof *r->from) == 0;
}

/* The most trusted rule for what stands at `at`, the longer one among equals; -1: none. */
static int rule_at(const struct track *t, size_t at)
{
    int best = -1, trust = 0;
    for (size_t i = 0; i < t->n_rules; i++) {
        const struct track_rule *r = &t->rules[i];
        int own = r->hits - r->misses;
        if (own < trust || !rule_fits(t, r, at)) continue;
        if (best >= 0 && own == trust && r->n_from <= t->rules[best].n_from) continue;
        best = (int)i;
        trust = own;
    }
    return best;
}

static bool same_rule(const struct track_rule *r, const struct track_rule *q)
{
    return r->n_from == q->n_from && r->n_to == q->n_to &&
           memcmp(r->from, q->from, r->n_from * sizeof *r->from) == 0 &&
           memcmp(r->to, q->to, r->n_to * sizeof *r->to) == 0;
}

static void add_rule(struct track *t, const struct track_rule *q)
{
    struct track_rule *worst = NULL;
    for (size_t i = 0; i < t->n_rules; i++) {
        struct track_rule *r = &t->rules[i];
        if (same_rule(r, q)) {
            r->hits++;
            return;
        }
        if (!worst || r->hits - r->misses < worst->hits - worst->misses) worst = r;
    }
    *(t->n_rules < TRACK_RULES ? &t->rules[t->n_rules++] : worst) = *q;
}

/* The copy has text[since..end) where the source has text[from..back). */
static void learn(struct track *t, size_t back, size_t end)
{
    const int32_t *text = t->ix->text;
    size_t from = t->from, since = t->since;
    struct track_rule r = {.hits = 1};
    /* An insertion or a removal holds only beside the token before it, and has to be seen twice. */
    if (from == back || since == end) {
        if (from == 0 || since == 0 || text[from - 1] != text[since - 1]) return;
        from--;
        since--;
        r.hits = 0;
    }
    r.n_from = back - from;
    r.n_to = end - since;
    if (r.n_from > TRACK_FROM || r.n_to > TRACK_TO) return;
    memcpy(r.from, text + from, r.n_from * sizeof *r.from);
    memcpy(r.to, text + since, r.n_to * sizeof *r.to);
    add_rule(t, &r);
}

/* ---- following ---------------------------------------------------------------------------------
 */

static void stray(struct track *t, size_t from, size_t since)
{
    t->state = TRACK_STRAYED;
    t->from = from;
    t->since = since;
    t->has_back = false;
}

void track_set(struct track *t, size_t at, size_t run)
{
    t->state = TRACK_ON;
    t->place = (struct track_place){at, -1, 0};
    t->run = run;
}

static void finish_rule(struct track *t)
{
    struct track_rule *r = &t->rules[t->place.rule];
    if (t->place.done < r->n_to) return;
    r->hits++;
    t->place = (struct track_place){t->place.at + r->n_from, -1, 0};
}

/* Inside of a rule's text; what is there may also be the beginning of the source's own. */
static void follow_rule(struct track *t, int32_t token)
{
    struct track_place *p = &t->place;
    struct track_rule *r = &t->rules[p->rule];
    const int32_t *source = t->ix->text + p->at;
    t->run++;
    if (r->to[p->done] == token) {
        p->done++;
        finish_rule(t);
        return;
    }
    r->misses++;
    size_t own_end = t->ix->n - 1;
    if (p->at + p->done < own_end && source[p->done] == token &&
        memcmp(source, r->to, p->done * sizeof *source) == 0)
        *p = (struct track_place){p->at + p->done + 1, -1, 0};
    else
        stray(t, p->at, own_end - p->done);
}

static void follow(struct track *t, int32_t token)
{
    struct track_place *p = &t->place;
    if (p->rule >= 0) {
        follow_rule(t, token);
        return;
    }
    int rule = rule_at(t, p->at);
    t->run++;
    if (rule >= 0 && t->rules[rule].to[0] == token) {
        p->rule = rule;
        p->done = 1;
        finish_rule(t);
    } else if (t->ix->text[p->at] == token) {
        if (rule >= 0) t->rules[rule].misses++;
        p->at++;
    } else {
        stray(t, p->at, t->ix->n - 1);
    }
}

/* How many of the tokens since the change equal those before text[q] that are behind it. */
static size_t agreement(const struct track *t, size_t q)
{
    const int32_t *text = t->ix->text;
    size_t end = t->ix->n, m = 0;
    while (m < end - t->since && m < q - t->from && text[q - 1 - m] == text[end - 1 - m] &&
           text[q - 1 - m] != DRAFT_GAP)
        m++;
    return m;
}

/* Looks for the end of the change: the place where most tokens agree, among equals the one that
 * makes both sides of the change most alike in length. */
static void realign(struct track *t)
{
    size_t end = t->ix->n, length = end - t->since, best = 0, best_off = 0;
    size_t last = t->from + WINDOW < t->since ? t->from + WINDOW : t->since;
    t->has_back = false;
    for (size_t q = t->from + 1; q < last && t->ix->text[q - 1] != DRAFT_GAP; q++) {
        size_t m = agreement(t, q), moved = q - t->from;
        size_t off = moved > length ? moved - length : length - moved;
        /* With nothing to go by, one token may have been replaced by one other. */
        if (m == 0 && (length != 1 || moved != 1)) continue;
        if (t->has_back && (m < best || (m == best && off >= best_off))) continue;
        t->has_back = true;
        t->back = q;
        t->run = best = m;
        best_off = off;
    }
    if (t->has_back && best >= SURE_RUN) {
        learn(t, t->back - best, end - best);
        track_set(t, t->back, best);
    } else if (length > MAX_STRAY) {
        t->state = TRACK_LOST;
    }
}

void track_take(struct track *t)
{
    if (t->state == TRACK_ON) follow(t, t->ix->text[t->ix->n - 1]);
    if (t->state == TRACK_STRAYED) realign(t);
    if (t->state == TRACK_ON && t->place.rule < 0 &&
        (t->place.at >= t->ix->n || t->ix->text[t->place.at] == DRAFT_GAP))
        t->state = TRACK_LOST;
}

bool track_walk(const struct track *t, struct track_place *place, const int32_t *draft,
                size_t n_draft, int32_t *token, int *hits)
{
    if (place->rule < 0 && place->at < t->ix->n) {
        place->rule = rule_at(t, place->at);
        place->done = 0;
    }
    *hits = -1;
    if (place->rule >= 0) {
        const struct track_rule *r = &t->rules[place->rule];
        *hits = r->hits;
        *token = r->to[place->done++];
        if (place->done == r->n_to) *place = (struct track_place){place->at + r->n_from, -1, 0};
        return true;
    }
    if (place->at >= t->ix->n + n_draft) return false;
    *token = place->at < t->ix->n ? t->ix->text[place->at] : draft[place->at - t->ix->n];
    place->at++;
    return *token != DRAFT_GAP;
}
