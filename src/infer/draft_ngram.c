/* Drafts from what was there before: the prompt, the answer so far, texts that the caller gives.
 *
 * The ending of the text is looked up among all earlier places (as SuffixDecoding does:
 * arXiv:2411.04975). An edit repeats its source with changes, and at each change such a match is
 * lost until a few tokens agree again; so a track also remembers where the copy stands in the
 * source, finds the end of a change close behind its beginning, and makes the same replacement
 * where it is due again. Which of these guesses to trust is counted as the text goes on, also where
 * nothing is drafted, so that drafting that never paid can begin to and the other way round. */
#include <stdlib.h>

#include "infer/draft.h"
#include "infer/draft_track.h"
#include "infer/infer_int.h"

enum {
    BUCKETS = 11,
    RULE_BUCKETS = 4,
    MIN_ADOPT = 4, /* tokens of a match that a track may start from */
    PATIENCE = 12, /* tokens for which a track that strayed looks for its own way back */
};

/* Where a guess comes from. */
enum origin { FROM_TRACK, FROM_BACK, FROM_MATCH, FROM_SURE_MATCH, N_ORIGINS };

struct guess {
    bool there;
    enum origin origin;
    size_t run; /* tokens that agree */
    struct track_place place;
    int32_t token;         /* the first one */
    struct chance *chance; /* of it */
};

struct ngram {
    struct draft_index ix;
    struct track track;
    struct guess guess[3]; /* track, back, match */
    struct draft_match match;
    struct chance plain[N_ORIGINS][BUCKETS]; /* by agreeing tokens */
    struct chance rule[RULE_BUCKETS];        /* by how often a rule was right */
};

static size_t bucket_of(size_t run)
{
    static const size_t top[BUCKETS - 1] = {0, 1, 2, 3, 4, 6, 9, 15, 31, 63};
    size_t b = 0;
    while (b < BUCKETS - 1 && run > top[b]) b++;
    return b;
}

static void guess_chances(struct ngram *d)
{
    static const double p[N_ORIGINS][BUCKETS] = {
        [FROM_TRACK] = {0.4, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98},
        [FROM_BACK] = {0.2, 0.4, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7},
        [FROM_MATCH] = {0.05, 0.05, 0.08, 0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9},
        [FROM_SURE_MATCH] = {0.05, 0.05, 0.1, 0.2, 0.4, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97}};
    static const double rule[RULE_BUCKETS] = {0.5, 0.7, 0.8, 0.9};
    for (int o = 0; o < N_ORIGINS; o++)
        for (int b = 0; b < BUCKETS; b++) d->plain[o][b] = chance_guess(p[o][b]);
    for (int b = 0; b < RULE_BUCKETS; b++) d->rule[b] = chance_guess(rule[b]);
}

static struct chance *chance_of(struct ngram *d, enum origin origin, size_t run, int rule_hits)
{
    if (rule_hits < 0) return &d->plain[origin][bucket_of(run)];
    return &d->rule[rule_hits < RULE_BUCKETS ? rule_hits : RULE_BUCKETS - 1];
}

static void set_guess(struct ngram *d, struct guess *g, enum origin origin, size_t run,
                      struct track_place place)
{
    struct track_place next = place;
    int hits;
    *g = (struct guess){.origin = origin, .run = run, .place = place};
    g->there = track_walk(&d->track, &next, NULL, 0, &g->token, &hits);
    if (g->there) g->chance = chance_of(d, origin, run, hits);
}

static void make_guesses(struct ngram *d)
{
    const struct track *t = &d->track;
    for (int i = 0; i < 3; i++) d->guess[i].there = false;
    if (t->state == TRACK_ON) set_guess(d, &d->guess[0], FROM_TRACK, t->run, t->place);
    if (t->state == TRACK_STRAYED && t->has_back)
        set_guess(d, &d->guess[1], FROM_BACK, t->run, (struct track_place){t->back, -1, 0});
    if (d->match.len > 0)
        set_guess(d, &d->guess[2], d->match.sure ? FROM_SURE_MATCH : FROM_MATCH, d->match.len,
                  (struct track_place){d->match.at, -1, 0});
}

/* Whether the track may go elsewhere. A change looks like earlier ones, which are not its place. */
static bool is_free(const struct track *t)
{
    if (t->state == TRACK_STRAYED) return t->ix->n - t->since >= PATIENCE;
    return t->state == TRACK_LOST;
}

static void ngram_accept(void *drafter, int32_t token)
{
    struct ngram *d = drafter;
    if (d->ix.n == d->ix.cap) return;
    for (int i = 0; i < 3; i++)
        if (d->guess[i].there) chance_note(d->guess[i].chance, d->guess[i].token == token);
    draft_index_push(&d->ix, token);
    track_take(&d->track);
    d->match = draft_index_find(&d->ix);
    if (is_free(&d->track) && d->match.len >= MIN_ADOPT)
        track_set(&d->track, d->match.at, d->match.len);
    make_guesses(d);
}

static enum status ngram_propose(void *drafter, size_t max, double floor, const struct watch *w,
                                 struct draft *out, struct error *err)
{
    (void)w;
    (void)err;
    struct ngram *d = drafter;
    const struct guess *best = NULL;
    for (int i = 0; i < 3; i++) {
        const struct guess *g = &d->guess[i];
        if (g->there && (!best || chance_get(g->chance) > chance_get(best->chance))) best = g;
    }
    out->n = 0;
    if (!best) return OK;
    struct track_place place = best->place;
    double all = 1;
    while (out->n < max) {
        int32_t token;
        int hits;
        if (!track_walk(&d->track, &place, out->token, out->n, &token, &hits)) break;
        float p = chance_get(chance_of(d, best->origin, best->run + out->n, hits));
        all *= p;
        if (all < floor) break;
        out->token[out->n] = token;
        out->p[out->n++] = p;
    }
    return OK;
}

static enum status ngram_create(const struct draft_source *src, void **out, struct error *err)
{
    *out = NULL;
    size_t cap = src->n_text;
    for (size_t i = 0; i < src->opt->n_corpus; i++) cap += src->opt->corpus[i].n + 1;
    struct ngram *d = calloc(1, sizeof *d);
    if (!d) return error_set(err, ERR_NOMEM, "no memory to draft with");
    enum status st = draft_index_init(&d->ix, cap, err);
    if (st != OK) {
        free(d);
        return st;
    }
    for (size_t i = 0; i < src->opt->n_corpus; i++) {
        for (size_t j = 0; j < src->opt->corpus[i].n; j++)
            draft_index_push(&d->ix, src->opt->corpus[i].ids[j]);
        draft_index_push(&d->ix, DRAFT_GAP);
    }
    for (size_t i = 0; i < src->n_prompt; i++) draft_index_push(&d->ix, src->prompt[i]);
    track_init(&d->track, &d->ix);
    guess_chances(d);
    if (src->opt->predicts && src->opt->n_corpus && src->opt->corpus[0].n) {
        track_set(&d->track, 0, 0);
        make_guesses(d);
    }
    *out = d;
    return OK;
}

static void ngram_destroy(void *drafter)
{
    struct ngram *d = drafter;
    draft_index_fini(&d->ix);
    free(d);
}

const struct drafter_type draft_ngram = {.name = "ngram",
                                         .create = ngram_create,
                                         .destroy = ngram_destroy,
                                         .accept = ngram_accept,
                                         .propose = ngram_propose};
