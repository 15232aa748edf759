#include "text/grammar_fa.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/checked.h"

enum { LOOK_EVERY = 2048 };

double fa_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool fa_spend(struct fa_budget *b, size_t n)
{
    if (b->st != OK) return false;
    b->since_look += n;
    if (b->since_look >= LOOK_EVERY) {
        b->since_look = 0;
        if (fa_clock() > b->deadline) b->st = ERR_LIMIT;
    }
    if (n > b->states) b->st = ERR_LIMIT;
    if (b->st != OK) return false;
    b->states -= n;
    return true;
}

void *fa_realloc(struct fa_budget *b, void *p, size_t n, size_t size)
{
    uint64_t bytes;
    if (b->st != OK) return NULL;
    void *out = checked_mul(n, size, &bytes) ? realloc(p, bytes ? bytes : 1) : NULL;
    if (!out) b->st = ERR_NOMEM;
    return out;
}

bool fa_grow(struct fa_budget *b, void *array, size_t n, size_t *cap, size_t size)
{
    if (b->st != OK) return false;
    if (n < *cap) return true;
    void **at = array;
    size_t want = *cap ? 2 * *cap : 16;
    void *p = fa_realloc(b, *at, want, size);
    if (!p) return false;
    *at = p;
    *cap = want;
    return true;
}

/* ---- nfa ----------------------------------------------------------------------------------------
 */

void nfa_fini(struct nfa *a)
{
    free(a->head);
    free(a->edges);
    a->head = NULL;
    a->edges = NULL;
    a->n = a->cap = a->n_edges = a->cap_edges = 0;
}

uint32_t nfa_state(struct nfa *a)
{
    if (!fa_spend(a->budget, 1) || !fa_grow(a->budget, &a->head, a->n, &a->cap, sizeof *a->head))
        return 0;
    a->head[a->n] = FA_NONE;
    return (uint32_t)a->n++;
}

void nfa_edge(struct nfa *a, uint32_t from, uint32_t lo, uint32_t hi, uint32_t to)
{
    if (!fa_grow(a->budget, &a->edges, a->n_edges, &a->cap_edges, sizeof *a->edges)) return;
    a->edges[a->n_edges] = (struct nfa_edge){lo, hi, to, a->head[from]};
    a->head[from] = (uint32_t)a->n_edges++;
}

void nfa_skip(struct nfa *a, uint32_t from, uint32_t to)
{
    nfa_edge(a, from, 1, 0, to);
}

void nfa_call(struct nfa *a, uint32_t from, uint32_t rule, uint32_t to)
{
    nfa_edge(a, from, FA_CALL + rule, FA_CALL + rule, to);
}

void nfa_bytes(struct nfa *a, uint32_t from, const char *s, size_t n, uint32_t to)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t next = i + 1 == n ? to : nfa_state(a);
        nfa_edge(a, from, (unsigned char)s[i], (unsigned char)s[i], next);
        from = next;
    }
    if (n == 0) nfa_skip(a, from, to);
}

static int encode(uint32_t c, unsigned char out[4])
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6) out[i] = (unsigned char)(0x80 | (c & 0x3F));
    out[0] = (unsigned char)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | c);
    return n;
}

/* Sequences of n bytes from lo to hi, whose encodings have equal length. */
static void between(struct nfa *a, uint32_t from, const unsigned char *lo, const unsigned char *hi,
                    int n, uint32_t to)
{
    static const unsigned char least[3] = {0x80, 0x80, 0x80}, most[3] = {0xBF, 0xBF, 0xBF};
    if (a->budget->st != OK) return;
    if (n == 1) {
        nfa_edge(a, from, lo[0], hi[0], to);
        return;
    }
    if (lo[0] == hi[0]) {
        uint32_t mid = nfa_state(a);
        nfa_edge(a, from, lo[0], lo[0], mid);
        between(a, mid, lo + 1, hi + 1, n - 1, to);
        return;
    }
    unsigned first = lo[0], last = hi[0];
    if (memcmp(lo + 1, least, (size_t)n - 1) != 0) {
        uint32_t mid = nfa_state(a);
        nfa_edge(a, from, first, first, mid);
        between(a, mid, lo + 1, most, n - 1, to);
        first++;
    }
    if (memcmp(hi + 1, most, (size_t)n - 1) != 0) {
        uint32_t mid = nfa_state(a);
        nfa_edge(a, from, last, last, mid);
        between(a, mid, least, hi + 1, n - 1, to);
        last--;
    }
    if (first <= last) {
        uint32_t mid = nfa_state(a);
        nfa_edge(a, from, first, last, mid);
        between(a, mid, least, most, n - 1, to);
    }
}

void nfa_utf8(struct nfa *a, uint32_t from, uint32_t lo, uint32_t hi, uint32_t to)
{
    static const uint32_t pieces[][2] = {
        {0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, FA_MAX_POINT}};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        uint32_t l = lo > pieces[i][0] ? lo : pieces[i][0];
        uint32_t h = hi < pieces[i][1] ? hi : pieces[i][1];
        unsigned char first[4], last[4];
        if (l > h) continue;
        int n = encode(l, first);
        encode(h, last);
        between(a, from, first, last, n, to);
    }
}

/* ---- sets of numbers, each stored once -----------------------------------------------------------
 */

struct sets {
    struct fa_budget *budget;
    uint32_t *items; /* all sets, one behind the other */
    size_t n_items, cap_items;
    size_t *begin; /* [n + 1] */
    size_t n, cap;
    uint32_t *table; /* of a power of two: number + 1, or 0 */
    size_t size;
};

static void sets_fini(struct sets *s)
{
    free(s->items);
    free(s->begin);
    free(s->table);
}

static uint64_t hash_of(const uint32_t *v, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15u + n;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ v[i]) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

static bool rehash(struct sets *s)
{
    size_t size = s->size ? 2 * s->size : 64;
    uint32_t *table = fa_realloc(s->budget, NULL, size, sizeof *table);
    if (!table) return false;
    memset(table, 0, size * sizeof *table);
    for (size_t i = 0; i < s->n; i++) {
        size_t at = hash_of(s->items + s->begin[i], s->begin[i + 1] - s->begin[i]) & (size - 1);
        while (table[at]) at = (at + 1) & (size - 1);
        table[at] = (uint32_t)i + 1;
    }
    free(s->table);
    s->table = table;
    s->size = size;
    return true;
}

/* The number of a set, a new one where it is new; FA_NONE on failure. */
static uint32_t sets_put(struct sets *s, const uint32_t *v, size_t n)
{
    if (!fa_grow(s->budget, &s->items, s->n_items, &s->cap_items, sizeof *s->items)) return FA_NONE;
    if (2 * s->n >= s->size && !rehash(s)) return FA_NONE;
    size_t at = hash_of(v, n) & (s->size - 1);
    for (; s->table[at]; at = (at + 1) & (s->size - 1)) {
        size_t i = s->table[at] - 1, len = s->begin[i + 1] - s->begin[i];
        if (len == n && memcmp(s->items + s->begin[i], v, n * sizeof *v) == 0) return (uint32_t)i;
    }
    if (!fa_spend(s->budget, 1 + n / 16)) return FA_NONE;
    if (!fa_grow(s->budget, &s->begin, s->n + 1, &s->cap, sizeof *s->begin)) return FA_NONE;
    if (s->n == 0) s->begin[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (!fa_grow(s->budget, &s->items, s->n_items, &s->cap_items, sizeof *s->items))
            return FA_NONE;
        s->items[s->n_items++] = v[i];
    }
    s->table[at] = (uint32_t)++s->n;
    s->begin[s->n] = s->n_items;
    return (uint32_t)(s->n - 1);
}

/* ---- dfa ----------------------------------------------------------------------------------------
 */

void dfa_fini(struct dfa *d)
{
    free(d->first);
    free(d->edges);
    free(d->final);
    *d = (struct dfa){0};
}

uint32_t dfa_step(const struct dfa *d, uint32_t state, uint32_t symbol)
{
    uint32_t lo = d->first[state], hi = d->first[state + 1];
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (d->edges[mid].hi < symbol)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < d->first[state + 1] && d->edges[lo].lo <= symbol) return d->edges[lo].to;
    return FA_NONE;
}

/* A dfa being made, states in the order of their numbers. */
struct making {
    struct fa_budget *budget;
    struct dfa d;
    size_t cap_first, cap_final, cap_edges;
};

static bool begin_state(struct making *m, bool final)
{
    if (!fa_grow(m->budget, &m->d.first, m->d.n + 1, &m->cap_first, sizeof *m->d.first) ||
        !fa_grow(m->budget, &m->d.final, m->d.n, &m->cap_final, sizeof *m->d.final))
        return false;
    m->d.first[m->d.n] = (uint32_t)m->d.n_edges;
    m->d.final[m->d.n++] = final;
    m->d.first[m->d.n] = (uint32_t)m->d.n_edges;
    return true;
}

static bool put_edge(struct making *m, uint32_t lo, uint32_t hi, uint32_t to)
{
    struct dfa_edge *last = m->d.n_edges ? &m->d.edges[m->d.n_edges - 1] : NULL;
    if (m->d.n_edges > m->d.first[m->d.n - 1] && last->to == to && last->hi + 1 == lo &&
        lo < FA_BEGIN) {
        last->hi = hi;
        return true;
    }
    if (!fa_grow(m->budget, &m->d.edges, m->d.n_edges, &m->cap_edges, sizeof *m->d.edges))
        return false;
    m->d.edges[m->d.n_edges++] = (struct dfa_edge){lo, hi, to};
    m->d.first[m->d.n] = (uint32_t)m->d.n_edges;
    return true;
}

/* Which states reach an end: backwards, by rounds over reversed edges. */
static bool *reaches_end(const struct dfa *d, struct fa_budget *budget)
{
    bool *good = fa_realloc(budget, NULL, d->n, sizeof *good);
    uint32_t *head = fa_realloc(budget, NULL, d->n, sizeof *head);
    uint32_t *next = fa_realloc(budget, NULL, d->n_edges, sizeof *next);
    uint32_t *from = fa_realloc(budget, NULL, d->n_edges, sizeof *from);
    uint32_t *todo = fa_realloc(budget, NULL, d->n, sizeof *todo);
    size_t n = 0;
    if (!good || !head || !next || !from || !todo) {
        free(good);
        good = NULL;
        goto out;
    }
    for (size_t i = 0; i < d->n; i++) head[i] = FA_NONE;
    for (uint32_t i = 0; i < d->n; i++)
        for (uint32_t e = d->first[i]; e < d->first[i + 1]; e++) {
            from[e] = i;
            next[e] = head[d->edges[e].to];
            head[d->edges[e].to] = e;
        }
    for (uint32_t i = 0; i < d->n; i++)
        if ((good[i] = d->final[i])) todo[n++] = i;
    while (n > 0)
        for (uint32_t e = head[todo[--n]]; e != FA_NONE; e = next[e])
            if (!good[from[e]]) {
                good[from[e]] = true;
                todo[n++] = from[e];
            }
out:
    free(head);
    free(next);
    free(from);
    free(todo);
    return good;
}

/* Takes m's automaton, without the states that reach no end. */
static void finish(struct making *m, struct dfa *out)
{
    *out = (struct dfa){0};
    struct dfa *d = &m->d;
    uint32_t *map = NULL;
    bool *good = NULL;
    if (m->budget->st != OK || d->n == 0) goto fail;
    good = reaches_end(d, m->budget);
    map = fa_realloc(m->budget, NULL, d->n, sizeof *map);
    if (!good || !map || !good[0]) goto fail;
    uint32_t n = 0, n_edges = 0;
    for (size_t i = 0; i < d->n; i++) map[i] = good[i] ? n++ : FA_NONE;
    for (size_t i = 0; i < d->n; i++) {
        uint32_t begin = d->first[i], end = d->first[i + 1];
        if (!good[i]) continue;
        d->first[map[i]] = n_edges; /* never beyond what is still to be read */
        d->final[map[i]] = d->final[i];
        for (uint32_t e = begin; e < end; e++) {
            struct dfa_edge edge = d->edges[e];
            if (!good[edge.to]) continue;
            edge.to = map[edge.to];
            d->edges[n_edges++] = edge;
        }
    }
    d->first[n] = n_edges;
    d->n = n;
    d->n_edges = n_edges;
    *out = *d;
    free(good);
    free(map);
    return;
fail:
    dfa_fini(d);
    free(good);
    free(map);
}

/* ---- subset construction ------------------------------------------------------------------------
 */

struct subsets {
    const struct nfa *a;
    struct sets sets;
    uint32_t *stack, *list; /* [a->n] */
    uint32_t *mark;         /* [a->n]: the round in which it was taken */
    uint32_t round;
    uint32_t *bounds; /* where ranges begin, and one behind where they end */
    size_t n_bounds, cap_bounds;
    const struct nfa_edge **edges; /* that leave the set at hand */
    size_t n_edges, cap_edges;
};

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Adds a state and what it reaches without a symbol. */
static size_t reach(struct subsets *s, uint32_t state, size_t n)
{
    size_t depth = 0;
    if (s->mark[state] == s->round) return n;
    s->mark[state] = s->round;
    s->stack[depth++] = state;
    while (depth > 0) {
        uint32_t at = s->stack[--depth];
        s->list[n++] = at;
        for (uint32_t e = s->a->head[at]; e != FA_NONE; e = s->a->edges[e].next) {
            const struct nfa_edge *edge = &s->a->edges[e];
            if (edge->lo <= edge->hi || s->mark[edge->to] == s->round) continue;
            s->mark[edge->to] = s->round;
            s->stack[depth++] = edge->to;
        }
    }
    return n;
}

/* Without the states that only lead on, a set stays small and equal ones meet more often. */
static size_t keep_telling(struct subsets *s, uint32_t final, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool tells = s->list[i] == final;
        for (uint32_t e = s->a->head[s->list[i]]; !tells && e != FA_NONE; e = s->a->edges[e].next)
            tells = s->a->edges[e].lo <= s->a->edges[e].hi;
        if (tells) s->list[kept++] = s->list[i];
    }
    qsort(s->list, kept, sizeof *s->list, by_number);
    return kept;
}

static bool collect(struct subsets *s, const uint32_t *set, size_t n)
{
    struct fa_budget *b = s->a->budget;
    s->n_bounds = s->n_edges = 0;
    for (size_t i = 0; i < n; i++)
        for (uint32_t e = s->a->head[set[i]]; e != FA_NONE; e = s->a->edges[e].next) {
            const struct nfa_edge *edge = &s->a->edges[e];
            if (edge->lo > edge->hi) continue;
            if (!fa_grow(b, &s->edges, s->n_edges, &s->cap_edges, sizeof *s->edges) ||
                !fa_grow(b, &s->bounds, s->n_bounds + 1, &s->cap_bounds, sizeof *s->bounds))
                return false;
            s->edges[s->n_edges++] = edge;
            s->bounds[s->n_bounds++] = edge->lo;
            s->bounds[s->n_bounds++] = edge->hi + 1;
        }
    if (s->n_bounds == 0) return true;
    qsort(s->bounds, s->n_bounds, sizeof *s->bounds, by_number);
    size_t kept = 1;
    for (size_t i = 1; i < s->n_bounds; i++)
        if (s->bounds[i] != s->bounds[kept - 1]) s->bounds[kept++] = s->bounds[i];
    s->n_bounds = kept;
    return true;
}

static bool expand(struct subsets *s, struct making *m, uint32_t final, uint32_t at)
{
    struct sets *sets = &s->sets;
    size_t begin = sets->begin[at], n = sets->begin[at + 1] - begin;
    bool ends = false;
    for (size_t i = 0; i < n; i++) ends |= sets->items[begin + i] == final;
    if (!begin_state(m, ends) || !collect(s, sets->items + begin, n)) return false;
    for (size_t k = 0; k + 1 < s->n_bounds; k++) {
        uint32_t lo = s->bounds[k], hi = s->bounds[k + 1] - 1;
        size_t len = 0;
        s->round++;
        for (size_t i = 0; i < s->n_edges; i++)
            if (s->edges[i]->lo <= lo && hi <= s->edges[i]->hi)
                len = reach(s, s->edges[i]->to, len);
        if (len == 0) continue;
        if (!fa_spend(m->budget, s->n_edges / 256)) return false;
        len = keep_telling(s, final, len);
        uint32_t to = sets_put(sets, s->list, len);
        if (to == FA_NONE || !put_edge(m, lo, hi, to)) return false;
    }
    return true;
}

void dfa_from_nfa(const struct nfa *a, uint32_t start, uint32_t final, struct dfa *out)
{
    struct making m = {.budget = a->budget};
    struct subsets s = {.a = a, .sets = {.budget = a->budget}};
    *out = (struct dfa){0};
    if (a->budget->st != OK || a->n == 0) return;
    s.stack = fa_realloc(a->budget, NULL, a->n, sizeof *s.stack);
    s.list = fa_realloc(a->budget, NULL, a->n, sizeof *s.list);
    s.mark = fa_realloc(a->budget, NULL, a->n, sizeof *s.mark);
    if (s.stack && s.list && s.mark) {
        memset(s.mark, 0, a->n * sizeof *s.mark);
        s.round = 1;
        size_t n = keep_telling(&s, final, reach(&s, start, 0));
        if (sets_put(&s.sets, s.list, n) != FA_NONE)
            for (uint32_t i = 0; i < s.sets.n; i++)
                if (!expand(&s, &m, final, i)) break;
    }
    finish(&m, out);
    sets_fini(&s.sets);
    free(s.stack);
    free(s.list);
    free(s.mark);
    free(s.bounds);
    free(s.edges);
}

/* ---- two at once --------------------------------------------------------------------------------
 */

static uint32_t edge_end(const struct dfa *d, uint32_t state)
{
    return state == FA_NONE ? 0 : d->first[state + 1];
}

/* The smallest symbol from `from` on at which what an automaton does changes. */
static uint32_t piece_end(const struct dfa *d, uint32_t e, uint32_t end, uint32_t from)
{
    if (e >= end) return FA_NONE;
    return from < d->edges[e].lo ? d->edges[e].lo - 1 : d->edges[e].hi;
}

static bool combine_state(const struct dfa *a, const struct dfa *b, enum fa_op op,
                          const uint32_t pair[2], struct sets *sets, struct making *m)
{
    uint32_t ea = pair[0] == FA_NONE ? 0 : a->first[pair[0]], end_a = edge_end(a, pair[0]);
    uint32_t eb = pair[1] == FA_NONE ? 0 : b->first[pair[1]], end_b = edge_end(b, pair[1]);
    uint32_t from = 0;
    while (ea < end_a || eb < end_b) {
        uint32_t hi = piece_end(a, ea, end_a, from), hi_b = piece_end(b, eb, end_b, from);
        if (hi_b < hi) hi = hi_b;
        uint32_t ta = ea < end_a && a->edges[ea].lo <= from ? a->edges[ea].to : FA_NONE;
        uint32_t tb = eb < end_b && b->edges[eb].lo <= from ? b->edges[eb].to : FA_NONE;
        bool live = op == FA_AND ? ta != FA_NONE && tb != FA_NONE
                  : op == FA_BUT ? ta != FA_NONE
                                 : ta != FA_NONE || tb != FA_NONE;
        if (live) {
            uint32_t to = sets_put(sets, (uint32_t[]){ta, tb}, 2);
            if (to == FA_NONE || !put_edge(m, from, hi, to)) return false;
        }
        if (ea < end_a && a->edges[ea].hi == hi) ea++;
        if (eb < end_b && b->edges[eb].hi == hi) eb++;
        from = hi + 1;
    }
    return true;
}

void dfa_combine(const struct dfa *a, const struct dfa *b, enum fa_op op, struct fa_budget *budget,
                 struct dfa *out)
{
    struct making m = {.budget = budget};
    struct sets sets = {.budget = budget};
    *out = (struct dfa){0};
    if (budget->st != OK) return;
    uint32_t start[2] = {a->n ? 0 : FA_NONE, b->n ? 0 : FA_NONE};
    if (sets_put(&sets, start, 2) != FA_NONE)
        for (uint32_t i = 0; i < sets.n; i++) {
            uint32_t pair[2] = {sets.items[2 * i], sets.items[2 * i + 1]};
            bool fa = pair[0] != FA_NONE && a->final[pair[0]];
            bool fb = pair[1] != FA_NONE && b->final[pair[1]];
            bool final = op == FA_AND ? fa && fb : op == FA_BUT ? fa && !fb : fa || fb;
            if (!begin_state(&m, final) || !combine_state(a, b, op, pair, &sets, &m)) break;
        }
    finish(&m, out);
    sets_fini(&sets);
}

void dfa_all(struct fa_budget *budget, struct dfa *out)
{
    struct making m = {.budget = budget};
    if (begin_state(&m, true)) {
        put_edge(&m, 0, 0xD7FF, 0);
        put_edge(&m, 0xE000, FA_MAX_POINT, 0);
    }
    finish(&m, out);
}

void dfa_into(const struct dfa *d, struct nfa *a, uint32_t from, uint32_t to)
{
    if (d->n == 0) return;
    uint32_t base = (uint32_t)a->n;
    for (size_t i = 0; i < d->n; i++) nfa_state(a);
    if (a->budget->st != OK) return;
    nfa_skip(a, from, base);
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->final[i]) nfa_skip(a, base + i, to);
        for (uint32_t e = d->first[i]; e < d->first[i + 1]; e++)
            nfa_edge(a, base + i, d->edges[e].lo, d->edges[e].hi, base + d->edges[e].to);
    }
}

void dfa_strip_ends(const struct dfa *d, struct fa_budget *budget, struct dfa *out)
{
    struct nfa a = {.budget = budget};
    uint32_t start = nfa_state(&a), final = nfa_state(&a);
    *out = (struct dfa){0};
    uint32_t first = d->n ? dfa_step(d, 0, FA_BEGIN) : FA_NONE;
    if (first != FA_NONE) {
        uint32_t base = (uint32_t)a.n;
        for (size_t i = 0; i < d->n; i++) nfa_state(&a);
        for (uint32_t i = 0; budget->st == OK && i < d->n; i++) {
            uint32_t end = dfa_step(d, i, FA_END);
            if (end != FA_NONE && d->final[end]) nfa_skip(&a, base + i, final);
            for (uint32_t e = d->first[i]; e < d->first[i + 1]; e++)
                if (d->edges[e].hi <= FA_MAX_POINT)
                    nfa_edge(&a, base + i, d->edges[e].lo, d->edges[e].hi, base + d->edges[e].to);
        }
        if (budget->st == OK) nfa_skip(&a, start, base + first);
    }
    dfa_from_nfa(&a, start, final, out);
    nfa_fini(&a);
}
