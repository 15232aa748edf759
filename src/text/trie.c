#include "text/trie.h"

#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

enum { MAX_NODES = 1 << 28 };

/* The strings below a node: a range of the sorted ids, whose first `depth` bytes are equal. */
struct range {
    uint32_t begin, end, depth;
};

struct builder {
    struct trie *t;
    struct range *ranges; /* one for each node */
    size_t cap;
};

static int by_text(const void *a, const void *b, void *tokens)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    struct text_str s = ((const struct text_str *)tokens)[x], r = ((const struct text_str *)tokens)[y];
    size_t n = s.len < r.len ? s.len : r.len;
    int order = n ? memcmp(s.data, r.data, n) : 0;
    if (order) return order;
    if (s.len != r.len) return s.len < r.len ? -1 : 1;
    return x < y ? -1 : x > y;
}

static enum status add_node(struct builder *b, uint8_t byte, struct range range)
{
    struct trie *t = b->t;
    if (t->n == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 256;
        if (cap > MAX_NODES) return ERR_LIMIT;
        struct trie_node *nodes = realloc(t->nodes, cap * sizeof *nodes);
        if (nodes) t->nodes = nodes;
        struct range *ranges = realloc(b->ranges, cap * sizeof *ranges);
        if (ranges) b->ranges = ranges;
        if (!nodes || !ranges) return ERR_NOMEM;
        b->cap = cap;
    }
    t->nodes[t->n] = (struct trie_node){.id = -1, .byte = byte};
    b->ranges[t->n++] = range;
    return OK;
}

/* Level by level, so that a node's children lie side by side. */
static enum status grow(struct builder *b, const struct text_str *tokens, const int32_t *ids, size_t n)
{
    enum status st = add_node(b, 0, (struct range){0, (uint32_t)n, 0});
    for (size_t at = 0; st == OK && at < b->t->n; at++) {
        struct range r = b->ranges[at];
        uint32_t i = r.begin;
        for (; i < r.end && tokens[ids[i]].len == r.depth; i++)
            if (r.depth) b->t->nodes[at].id = ids[i];
        b->t->nodes[at].first = (uint32_t)b->t->n;
        while (i < r.end && st == OK) {
            uint8_t byte = (uint8_t)tokens[ids[i]].data[r.depth];
            uint32_t begin = i;
            while (i < r.end && (uint8_t)tokens[ids[i]].data[r.depth] == byte) i++;
            st = add_node(b, byte, (struct range){begin, i, r.depth + 1});
            b->t->nodes[at].n_children++;
        }
    }
    return st;
}

enum status trie_build(struct trie *t, const struct text_str *tokens, int32_t *ids, size_t n,
                       struct error *err)
{
    struct builder b = {.t = t};
    qsort_r(ids, n, sizeof *ids, by_text, (void *)tokens);
    enum status st = grow(&b, tokens, ids, n);
    free(b.ranges);
    if (st == OK) return OK;
    trie_fini(t);
    if (st == ERR_LIMIT) return error_set(err, st, "the vocabulary's texts are too long");
    return error_set(err, st, "out of memory");
}

void trie_fini(struct trie *t)
{
    free(t->nodes);
    *t = (struct trie){0};
}
