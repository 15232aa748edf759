/* Objects whose members come in any order. A state knows which members were seen; states are made when
 * the text gets there, since there could be two to the power of the number of members. */
#include <stdlib.h>
#include <string.h>

#include "text/grammar_int.h"

enum phase {
    PHASE_OPEN,   /* before "{" */
    PHASE_INNER,  /* behind it: white space */
    PHASE_FIRST,  /* a member, or the end */
    PHASE_MEMBER, /* behind a member: white space */
    PHASE_COMMA,  /* a comma, or the end */
    PHASE_NEXT,   /* behind a comma: white space */
    PHASE_MORE,   /* a member */
    PHASE_CLOSED,
};

/* Objects of one grammar that is followed for long may take 256 MB at most. */
#define MAX_KEYS (1u << 20)

static uint64_t key_hash(const struct object_key *k)
{
    uint64_t h = k->object * 0x9e3779b97f4a7c15u ^ ((uint64_t)k->phase << 17 | (uint64_t)k->count << 1 | k->extra);
    for (int i = 0; i < GRAMMAR_SEEN_WORDS; i++) {
        h = (h ^ k->seen[i]) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h * 0xc4ceb9fe1a85ec53u >> 16;
}

static bool key_equal(const struct object_key *a, const struct object_key *b)
{
    return a->object == b->object && a->phase == b->phase && a->count == b->count &&
           a->extra == b->extra && memcmp(a->seen, b->seen, sizeof a->seen) == 0;
}

static bool grow(void *array, size_t n, size_t *cap, size_t size)
{
    void **at = array;
    if (n < *cap) return true;
    size_t want = *cap ? 2 * *cap : 16;
    void *p = realloc(*at, want * size);
    if (!p) return false;
    *at = p;
    *cap = want;
    return true;
}

static bool rehash(struct grammar *g)
{
    size_t size = g->key_size ? 2 * g->key_size : 64;
    uint32_t *table = calloc(size, sizeof *table);
    if (!table) return false;
    for (size_t i = 0; i < g->n_keys; i++) {
        size_t at = key_hash(&g->keys[i]) & (size - 1);
        while (table[at]) at = (at + 1) & (size - 1);
        table[at] = (uint32_t)i + 1;
    }
    free(g->key_table);
    g->key_table = table;
    g->key_size = size;
    return true;
}

/* The state of a key, a new one where there is none. */
static uint32_t state_of(struct grammar *g, const struct object_key *k, enum status *st)
{
    if (*st != OK) return FA_NONE;
    if (2 * g->n_keys >= g->key_size && !rehash(g)) goto nomem;
    size_t at = key_hash(k) & (g->key_size - 1);
    for (; g->key_table[at]; at = (at + 1) & (g->key_size - 1))
        if (key_equal(&g->keys[g->key_table[at] - 1], k)) return g->first_lazy + g->key_table[at] - 1;
    if (g->n_keys >= MAX_KEYS) {
        *st = ERR_LIMIT;
        return FA_NONE;
    }
    if (!grow(&g->keys, g->n_keys, &g->cap_keys, sizeof *g->keys) ||
        !grow(&g->states, g->n_states, &g->cap_states, sizeof *g->states))
        goto nomem;
    g->keys[g->n_keys++] = *k;
    g->key_table[at] = (uint32_t)g->n_keys;
    g->states[g->n_states++] = (struct grammar_node_state){.flags = STATE_LAZY};
    return (uint32_t)g->n_states - 1;
nomem:
    *st = ERR_NOMEM;
    return FA_NONE;
}

uint32_t grammar_object_start(struct grammar *g, uint32_t object, enum status *st)
{
    return state_of(g, &(struct object_key){.object = object, .phase = PHASE_OPEN}, st);
}

static bool has_seen(const struct object_key *k, size_t i)
{
    return k->seen[i / 64] >> i % 64 & 1;
}

/* Members that must still come. */
static size_t n_missing(const struct grammar_object *o, const struct object_key *k)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n_members; i++) n += o->members[i].required && !has_seen(k, i);
    return n;
}

/* Of `min`, those that are surely different. */
static size_t n_different(const struct grammar_object *o, const struct object_key *k)
{
    size_t n = k->extra;
    for (size_t i = 0; i < o->n_members; i++) n += has_seen(k, i);
    return n;
}

static bool may_close(const struct grammar_object *o, const struct object_key *k)
{
    return n_missing(o, k) == 0 && n_different(o, k) >= o->min;
}

/* How many members must still come at least; SIZE_MAX: it cannot be. */
static size_t n_needed(const struct grammar_object *o, const struct object_key *k)
{
    size_t missing = n_missing(o, k), have = n_different(o, k) + missing, open = 0;
    if (have >= o->min) return missing;
    for (size_t i = 0; i < o->n_members; i++) open += !o->members[i].required && !has_seen(k, i);
    open += !k->extra && o->n_extras > 0;
    return o->min - have <= open ? missing + (o->min - have) : SIZE_MAX;
}

static bool fits(const struct grammar_object *o, const struct object_key *k)
{
    size_t needed = n_needed(o, k);
    return needed != SIZE_MAX && k->count + needed <= o->max;
}

static struct object_key with_member(const struct grammar_object *o, const struct object_key *k,
                                     size_t i)
{
    struct object_key next = *k;
    next.phase = PHASE_MEMBER;
    if (o->max != SIZE_MAX) next.count++;
    if (i < o->n_members)
        next.seen[i / 64] |= UINT64_C(1) << i % 64;
    else
        next.extra = o->min > 0; /* else nobody asks */
    return next;
}

static bool may_take(const struct grammar_object *o, const struct object_key *k, size_t i,
                     struct object_key *next)
{
    if (i < o->n_members && has_seen(k, i)) return false;
    *next = with_member(o, k, i);
    return fits(o, next);
}

struct writing {
    struct grammar *g;
    struct grammar_node_state s;
    enum status st;
};

static void put_call(struct writing *w, uint32_t rule, const struct object_key *to)
{
    struct grammar *g = w->g;
    uint32_t state = state_of(g, to, &w->st);
    if (w->st != OK) return;
    if (!grow(&g->calls, g->n_calls, &g->cap_calls, sizeof *g->calls)) {
        w->st = ERR_NOMEM;
        return;
    }
    g->calls[g->n_calls++] = (struct grammar_call){rule, state};
    w->s.n_calls++;
    w->s.flags |= STATE_CALLS;
}

static void put_byte(struct writing *w, char byte, const struct object_key *to)
{
    struct grammar *g = w->g;
    uint32_t state = state_of(g, to, &w->st);
    if (w->st != OK) return;
    if (!grow(&g->edges, g->n_edges, &g->cap_edges, sizeof *g->edges)) {
        w->st = ERR_NOMEM;
        return;
    }
    g->edges[g->n_edges++] = (struct grammar_edge){(uint8_t)byte, (uint8_t)byte, state};
    w->s.n_edges++;
    w->s.flags |= STATE_BYTES;
}

static void put_members(struct writing *w, const struct grammar_object *o, const struct object_key *k)
{
    struct object_key next;
    for (size_t i = 0; i < o->n_members; i++)
        if (may_take(o, k, i, &next)) put_call(w, o->members[i].rule, &next);
    if (o->n_extras && may_take(o, k, o->n_members, &next))
        for (size_t i = 0; i < o->n_extras; i++) put_call(w, o->extras[i], &next);
}

static bool has_member(const struct grammar_object *o, const struct object_key *k)
{
    struct object_key next;
    for (size_t i = 0; i < o->n_members; i++)
        if (may_take(o, k, i, &next)) return true;
    return o->n_extras && may_take(o, k, o->n_members, &next);
}

enum status grammar_state_expand(struct grammar *g, uint32_t state)
{
    struct object_key k = g->keys[state - g->first_lazy], next = k, closed = {0};
    const struct grammar_object *o = &g->objects[k.object];
    struct writing w = {.g = g, .s = {.edge = (uint32_t)g->n_edges, .call = (uint32_t)g->n_calls}};
    closed.object = k.object;
    closed.phase = PHASE_CLOSED;
    next.phase = (uint16_t)(k.phase + 1);
    switch ((enum phase)k.phase) {
    case PHASE_OPEN: put_byte(&w, '{', &next); break;
    case PHASE_INNER:
    case PHASE_MEMBER:
    case PHASE_NEXT: put_call(&w, g->space, &next); break;
    case PHASE_FIRST:
        put_members(&w, o, &k);
        if (may_close(o, &k)) put_byte(&w, '}', &closed);
        break;
    case PHASE_COMMA:
        if (has_member(o, &k)) put_byte(&w, ',', &next);
        if (may_close(o, &k)) put_byte(&w, '}', &closed);
        break;
    case PHASE_MORE: put_members(&w, o, &k); break;
    case PHASE_CLOSED: w.s.flags = STATE_FINAL | STATE_TAIL | STATE_RETURNS; break;
    }
    if (w.st == OK) g->states[state] = w.s;
    return w.st;
}
