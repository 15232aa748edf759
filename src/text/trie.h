/* A set of byte strings as a tree of their prefixes: which tokens begin at a place of a text is found
 * in one walk. */
#ifndef HEARTH_TEXT_TRIE_H
#define HEARTH_TEXT_TRIE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct text_str;

struct trie_node {
    uint32_t first;      /* the first child; the others follow it, ascending by byte */
    int32_t id;          /* of the string that ends here, or -1 */
    uint16_t n_children;
    uint8_t byte;        /* on the way here */
};

/* Zero-initialise. Immutable after building: any thread may walk. */
struct trie {
    struct trie_node *nodes; /* owned; [0] is the root */
    size_t n;
};

/* The strings tokens[ids[0 .. n-1]]; the list of ids is put in another order. Of equal strings the
 * highest id stays; empty ones are left out. ERR_LIMIT past 2^28 nodes. */
enum status trie_build(struct trie *t, const struct text_str *tokens, int32_t *ids, size_t n,
                       struct error *err);
void trie_fini(struct trie *t);

/* The node that `byte` leads to from `node`, or -1. */
static inline int32_t trie_step(const struct trie *t, int32_t node, uint8_t byte)
{
    const struct trie_node *at = &t->nodes[node];
    uint32_t low = at->first, high = at->first + at->n_children;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        uint8_t b = t->nodes[mid].byte;
        if (b == byte) return (int32_t)mid;
        if (b < byte)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}

#endif
