/* Counted repetitions unroll to a state for each count, and those differ only near their ends: what a
 * token may do in one is known from the other, but for the tokens that are long enough to get there. */
#include <string.h>

#include "text/grammar_int.h"

enum { MAX_PAIRS = 1024, TABLE = 4096 };

struct pairs {
    uint32_t p[MAX_PAIRS], q[MAX_PAIRS]; /* in the order of their depths */
    size_t n;
    uint16_t table[TABLE]; /* number + 1 */
};

/* false: no more room. */
static bool add(struct pairs *s, uint32_t p, uint32_t q)
{
    uint64_t h = ((uint64_t)p << 32 | q) * 0x9e3779b97f4a7c15u;
    for (size_t at = h >> 52;; at = (at + 1) & (TABLE - 1)) {
        if (s->table[at] == 0) {
            if (s->n == MAX_PAIRS) return false;
            s->p[s->n] = p;
            s->q[s->n++] = q;
            s->table[at] = (uint16_t)s->n;
            return true;
        }
        size_t i = s->table[at] - 1u;
        if (s->p[i] == p && s->q[i] == q) return true;
    }
}

unsigned grammar_alike(const struct grammar *g, uint32_t p, uint32_t q, unsigned most)
{
    const unsigned leaves = STATE_RETURNS | STATE_CALLS;
    struct pairs s;
    s.n = 0;
    memset(s.table, 0, sizeof s.table);
    add(&s, p, q);
    size_t i = 0;
    for (unsigned depth = 0; depth < most; depth++) {
        size_t end = s.n;
        if (i == end) return most;
        for (; i < end; i++) {
            const struct grammar_node_state *a = &g->states[s.p[i]], *b = &g->states[s.q[i]];
            if ((a->flags | b->flags) & STATE_LAZY) return depth;
            if (depth > 0 && (a->flags | b->flags) & leaves) return depth;
            if (a->n_edges != b->n_edges) return depth + 1;
            for (size_t k = 0; k < a->n_edges; k++) {
                struct grammar_edge x = g->edges[a->edge + k], y = g->edges[b->edge + k];
                if (x.lo != y.lo || x.hi != y.hi) return depth + 1;
                if (x.to != y.to && !add(&s, x.to, y.to)) return depth + 1;
            }
        }
    }
    return most;
}
