/* Which tokens may come next. What a token does inside of the rule at hand depends on the rule's state
 * alone: for each state the tokens that stay inside are found once, with the places of the vocabulary's
 * tree where the rule may be left or another is called; only what lies below these is walked each time
 * (the division is XGrammar's, Dong et al. 2024). Whole masks are kept by a hash of all that can
 * follow. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/grammar_int.h"
#include "text/tokenizer.h"

enum { N_MASKS = 128, MAX_WORK = 1 << 26, N_RECENT = 4 };

/* Below this node of the tree the rule's state is one that ends or calls. */
struct leave {
    uint32_t state, node;
};

struct inside {
    uint32_t state;
    uint64_t *bits;   /* or NULL: */
    int32_t *tokens;  /* where there are few */
    size_t n_tokens;
    struct leave *leaves; /* by state */
    size_t n_leaves;
    size_t bytes;
};

struct whole {
    uint64_t hash; /* 0: empty */
    uint64_t *bits;
};

struct mask_cache {
    struct inside **table; /* by state, of a power of two */
    size_t size, n, bytes, max_bytes;
    struct whole whole[N_MASKS];
    uint32_t recent[N_RECENT]; /* states with bits that were asked for last; FA_NONE: none */
    size_t at_recent;
    /* While one is found out: */
    int32_t *tokens;
    size_t n_tokens, cap_tokens;
    struct leave *leaves;
    size_t n_leaves, cap_leaves;
};

enum status mask_cache_create(struct grammar *g)
{
    g->cache = calloc(1, sizeof *g->cache);
    if (!g->cache) return ERR_NOMEM;
    g->cache->max_bytes = g->limits.max_cache;
    for (size_t i = 0; i < N_RECENT; i++) g->cache->recent[i] = FA_NONE;
    return OK;
}

static void inside_destroy(struct inside *i)
{
    if (!i) return;
    free(i->bits);
    free(i->tokens);
    free(i->leaves);
    free(i);
}

static void forget(struct mask_cache *c)
{
    for (size_t i = 0; i < c->size; i++) inside_destroy(c->table[i]);
    free(c->table);
    c->table = NULL;
    c->size = c->n = c->bytes = 0;
}

void mask_cache_destroy(struct mask_cache *c)
{
    if (!c) return;
    forget(c);
    for (size_t i = 0; i < N_MASKS; i++) free(c->whole[i].bits);
    free(c->tokens);
    free(c->leaves);
    free(c);
}

static bool grow(struct grammar_state *s, void *array, size_t n, size_t *cap, size_t size)
{
    void **at = array;
    if (n < *cap) return true;
    size_t want = *cap ? 2 * *cap : 256;
    void *p = realloc(*at, want * size);
    if (!p) {
        s->st = ERR_NOMEM;
        return false;
    }
    *at = p;
    *cap = want;
    return true;
}

/* ---- inside of one rule -------------------------------------------------------------------------
 */

/* Only what is at least `least` bytes long. */
static void walk_inside(struct grammar_state *s, uint32_t node, uint32_t state, unsigned least)
{
    const struct grammar_vocab *v = s->g->vocab;
    struct mask_cache *c = s->g->cache;
    uint32_t child = v->nodes[node].child, end = child + v->nodes[node].n_children;
    uint32_t e = s->g->states[state].edge, e_end = e + s->g->states[state].n_edges;
    while (child < end && e < e_end && s->st == OK) {
        struct grammar_edge edge = s->g->edges[e];
        const struct vocab_node *n = &v->nodes[child];
        if (n->byte > edge.hi) {
            e++;
            continue;
        }
        if (n->byte >= edge.lo && n->longest >= least) {
            for (uint32_t t = 0; t < n->n_tokens && n->depth >= least; t++) {
                if (!grow(s, &c->tokens, c->n_tokens, &c->cap_tokens, sizeof *c->tokens)) return;
                c->tokens[c->n_tokens++] = v->tokens[n->token + t];
            }
            if (s->g->states[edge.to].flags & STATE_LAZY) s->st = grammar_state_expand(s->g, edge.to);
            unsigned flags = s->g->states[edge.to].flags;
            if (n->n_children && n->depth >= least && flags & (STATE_RETURNS | STATE_CALLS)) {
                if (!grow(s, &c->leaves, c->n_leaves, &c->cap_leaves, sizeof *c->leaves)) return;
                c->leaves[c->n_leaves++] = (struct leave){edge.to, child};
            }
            if (n->n_children && flags & STATE_BYTES) walk_inside(s, child, edge.to, least);
        }
        child++;
    }
}

static int by_state(const void *a, const void *b)
{
    const struct leave *x = a, *y = b;
    if (x->state != y->state) return x->state < y->state ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static struct inside *look_up(const struct mask_cache *c, uint32_t state)
{
    for (size_t at = state * 0x9e3779b1u; c->size; at++) {
        at &= c->size - 1;
        if (!c->table[at]) break;
        if (c->table[at]->state == state) return c->table[at];
    }
    return NULL;
}

/* A state like this one whose tokens are known; tokens of *length bytes and more may differ. NULL, and 0:
 * there is none. `shorter` is the mask of the other tokens. */
static const struct inside *like(struct grammar_state *s, uint32_t state, unsigned *length,
                                 const uint64_t **shorter)
{
    const struct mask_cache *c = s->g->cache;
    const struct inside *best = NULL;
    size_t most = 0; /* number of a length, + 1 */
    for (size_t i = 0; i < N_RECENT && most < GRAMMAR_LENGTHS; i++) {
        const struct inside *other = c->recent[i] == FA_NONE ? NULL : look_up(c, c->recent[i]);
        if (!other) continue;
        unsigned n = grammar_alike(s->g, state, other->state, grammar_lengths[GRAMMAR_LENGTHS - 1]);
        size_t at = GRAMMAR_LENGTHS;
        while (at > most && grammar_lengths[at - 1] > n) at--;
        if (at > most) {
            most = at;
            best = other;
        }
    }
    *length = most ? grammar_lengths[most - 1] : 0;
    *shorter = most ? s->g->vocab->shorter[most - 1] : NULL;
    return best;
}

static struct inside *find_out(struct grammar_state *s, uint32_t state)
{
    struct mask_cache *c = s->g->cache;
    size_t words = GRAMMAR_MASK_WORDS(s->g->vocab->n_vocab);
    unsigned length;
    const uint64_t *shorter;
    const struct inside *known = like(s, state, &length, &shorter);
    c->n_tokens = c->n_leaves = 0;
    walk_inside(s, 0, state, length);
    for (size_t i = 0; known && i < known->n_leaves && s->st == OK; i++) {
        if (s->g->vocab->nodes[known->leaves[i].node].depth >= length) continue;
        if (grow(s, &c->leaves, c->n_leaves, &c->cap_leaves, sizeof *c->leaves))
            c->leaves[c->n_leaves++] = known->leaves[i];
    }
    struct inside *in = s->st == OK ? calloc(1, sizeof *in) : NULL;
    if (!in) goto fail;
    in->state = state;
    in->leaves = malloc((c->n_leaves + 1) * sizeof *in->leaves);
    bool few = !known && c->n_tokens < 2 * words;
    if (few)
        in->tokens = malloc((c->n_tokens + 1) * sizeof *in->tokens);
    else
        in->bits = calloc(words, sizeof *in->bits);
    if (!in->leaves || (few ? !in->tokens : !in->bits)) goto fail;
    if (c->n_leaves) {
        memcpy(in->leaves, c->leaves, c->n_leaves * sizeof *in->leaves);
        qsort(in->leaves, c->n_leaves, sizeof *in->leaves, by_state);
    }
    in->n_leaves = c->n_leaves;
    in->n_tokens = c->n_tokens;
    for (size_t i = 0; known && i < words; i++) in->bits[i] = known->bits[i] & shorter[i];
    for (size_t i = 0; i < c->n_tokens; i++) {
        if (few)
            in->tokens[i] = c->tokens[i];
        else
            in->bits[c->tokens[i] / 64] |= UINT64_C(1) << c->tokens[i] % 64;
    }
    in->bytes = sizeof *in + in->n_leaves * sizeof *in->leaves +
                (few ? in->n_tokens * sizeof *in->tokens : words * sizeof *in->bits);
    return in;
fail:
    if (s->st == OK) s->st = ERR_NOMEM;
    inside_destroy(in);
    return NULL;
}

static bool rehash(struct mask_cache *c)
{
    size_t size = c->size ? 2 * c->size : 64;
    struct inside **table = calloc(size, sizeof *table);
    if (!table) return false;
    for (size_t i = 0; i < c->size; i++) {
        if (!c->table[i]) continue;
        size_t at = c->table[i]->state * 0x9e3779b1u & (size - 1);
        while (table[at]) at = (at + 1) & (size - 1);
        table[at] = c->table[i];
    }
    free(c->table);
    c->table = table;
    c->size = size;
    return true;
}

static const struct inside *inside_of(struct grammar_state *s, uint32_t state)
{
    struct mask_cache *c = s->g->cache;
    struct inside *in = look_up(c, state);
    if (in) return in;
    in = find_out(s, state);
    if (!in) return NULL;
    if (in->bits) c->recent[c->at_recent++ % N_RECENT] = state;
    if (c->bytes + in->bytes > c->max_bytes) forget(c);
    if (2 * c->n >= c->size && !rehash(c)) {
        s->st = ERR_NOMEM;
        inside_destroy(in);
        return NULL;
    }
    size_t at = state * 0x9e3779b1u & (c->size - 1);
    while (c->table[at]) at = (at + 1) & (c->size - 1);
    c->table[at] = in;
    c->n++;
    c->bytes += in->bytes;
    return in;
}

/* ---- beyond it ----------------------------------------------------------------------------------
 */

struct walk {
    struct grammar_state *s;
    uint64_t *mask;
    size_t work;
};

static void walk(struct walk *w, uint32_t node, struct reach at, const uint64_t allowed[4])
{
    struct grammar_state *s = w->s;
    const struct grammar_vocab *v = s->g->vocab;
    uint32_t child = v->nodes[node].child, end = child + v->nodes[node].n_children;
    for (; child < end && s->st == OK; child++) {
        const struct vocab_node *n = &v->nodes[child];
        if (!(allowed[n->byte / 64] >> n->byte % 64 & 1)) continue;
        size_t frames = s->n_frames, links = s->n_links, places = s->n_places;
        struct reach next = grammar_step(s, at, n->byte);
        w->work += next.n + 1;
        if (w->work > MAX_WORK) s->st = ERR_LIMIT;
        if (next.n || next.complete)
            for (uint32_t t = 0; t < n->n_tokens; t++) {
                int32_t id = v->tokens[n->token + t];
                w->mask[id / 64] |= UINT64_C(1) << id % 64;
            }
        if (next.n && n->n_children) {
            uint64_t bytes[4];
            grammar_bytes_allowed(s, next, bytes);
            walk(w, child, next, bytes);
        }
        s->n_frames = frames;
        s->n_links = links;
        s->n_places = places;
    }
}

/* Below each of these nodes the text is in `state` of the rule, and the rule may go on elsewhere. */
static void walk_leaves(struct walk *w, const struct leave *leaves, size_t n, uint32_t frame)
{
    struct grammar_state *s = w->s;
    size_t frames = s->n_frames, links = s->n_links, first = s->n_places;
    if (s->n_places == s->cap_places &&
        !grow(s, &s->places, s->n_places, &s->cap_places, sizeof *s->places))
        return;
    s->places[s->n_places++] = (struct place){leaves[0].state, frame};
    struct reach r = grammar_close(s, first, frames);
    /* What stays inside is known. */
    size_t kept = 0;
    for (size_t i = 0; i < r.n; i++) {
        struct place p = s->places[first + i];
        if (p.state != leaves[0].state || p.frame != frame) s->places[first + kept++] = p;
    }
    r.n = kept;
    s->n_places = first + kept;
    if (r.n) {
        uint64_t allowed[4];
        grammar_bytes_allowed(s, r, allowed);
        for (size_t i = 0; i < n; i++) walk(w, leaves[i].node, r, allowed);
    }
    s->n_frames = frames;
    s->n_links = links;
    s->n_places = first;
}

static void add_place_tokens(struct walk *w, struct place p, size_t words)
{
    const struct inside *in = inside_of(w->s, p.state);
    if (!in) return;
    if (in->bits)
        for (size_t i = 0; i < words; i++) w->mask[i] |= in->bits[i];
    else
        for (size_t i = 0; i < in->n_tokens; i++)
            w->mask[in->tokens[i] / 64] |= UINT64_C(1) << in->tokens[i] % 64;
    /* The cache may be forgotten, but not before all of this is walked: nothing is found out here. */
    for (size_t i = 0, end; i < in->n_leaves && w->s->st == OK; i = end) {
        for (end = i + 1; end < in->n_leaves && in->leaves[end].state == in->leaves[i].state;) end++;
        walk_leaves(w, in->leaves + i, end - i, p.frame);
    }
}

/* ---- masks --------------------------------------------------------------------------------------
 */

static uint64_t hash_of(const struct grammar_state *s)
{
    const struct step *now = grammar_now(s);
    uint64_t h = 0x2545f4914f6cdd1du + now->complete;
    for (size_t i = 0; i < now->n_places; i++) {
        struct place p = s->places[now->place + i];
        uint64_t below = s->frames[p.frame].hash;
        if (below == 0) return 0;
        uint64_t x = (p.state + 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu ^ below;
        x ^= x >> 31;
        x *= 0x94d049bb133111ebu;
        h += x ^ x >> 29;
    }
    return h ? h : 1;
}

static void keep(struct mask_cache *c, uint64_t hash, const uint64_t *mask, size_t words)
{
    struct whole *w = &c->whole[hash % N_MASKS];
    if (hash == 0) return;
    if (!w->bits) w->bits = malloc(words * sizeof *w->bits);
    if (!w->bits) return;
    memcpy(w->bits, mask, words * sizeof *w->bits);
    w->hash = hash;
}

static enum status mask_locked(struct grammar_state *s, uint64_t *mask)
{
    const struct grammar_vocab *v = s->g->vocab;
    const struct step now = *grammar_now(s);
    size_t words = GRAMMAR_MASK_WORDS(v->n_vocab);
    memset(mask, 0, words * sizeof *mask);
    s->st = OK;
    if (now.ended) return OK;
    uint64_t hash = hash_of(s);
    const struct whole *known = &s->g->cache->whole[hash % N_MASKS];
    if (hash && known->hash == hash) {
        memcpy(mask, known->bits, words * sizeof *mask);
        return OK;
    }
    struct walk w = {s, mask, 0};
    for (size_t i = 0; i < now.n_places && s->st == OK; i++)
        add_place_tokens(&w, s->places[now.place + i], words);
    if (now.complete)
        for (size_t i = 0; i < v->n_ends; i++)
            mask[v->ends[i] / 64] |= UINT64_C(1) << v->ends[i] % 64;
    if (s->st == OK) keep(s->g->cache, hash, mask, words);
    return s->st;
}

enum status grammar_mask(struct grammar_state *s, uint64_t *mask, struct error *err)
{
    if (!s->g->vocab) return error_set(err, ERR_INVALID, "a grammar without a vocabulary has no masks");
    pthread_mutex_lock(&s->g->lock);
    enum status st = mask_locked(s, mask);
    pthread_mutex_unlock(&s->g->lock);
    if (st == ERR_NOMEM) return error_set(err, st, "no memory for the grammar's mask");
    if (st != OK) return error_set(err, st, "the grammar is too ambiguous at this place of the text");
    return OK;
}

enum status grammar_mask_logits(struct grammar_state *s, float *logits, size_t *n_allowed,
                                struct error *err)
{
    if (!s->g->vocab) return error_set(err, ERR_INVALID, "a grammar without a vocabulary has no masks");
    size_t n = s->g->vocab->n_vocab, count = 0;
    uint64_t *mask = malloc(GRAMMAR_MASK_WORDS(n) * sizeof *mask);
    if (!mask) return error_set(err, ERR_NOMEM, "no memory for the grammar's mask");
    enum status st = grammar_mask(s, mask, err);
    for (size_t w = 0; st == OK && 64 * w < n; w++) {
        size_t first = 64 * w, len = n - first < 64 ? n - first : 64;
        count += (size_t)__builtin_popcountll(mask[w]);
        if (mask[w] == UINT64_MAX) continue;
        for (size_t i = 0; i < len; i++)
            if (!(mask[w] >> i & 1)) logits[first + i] = -INFINITY;
    }
    free(mask);
    if (n_allowed) *n_allowed = count;
    return st;
}
