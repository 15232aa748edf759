/* A text of tokens that finds where its own ending stood before.
 *
 * Inside of the n-gram drafter. Appending and finding take constant time: the positions after each
 * sequence of a few fixed lengths are chained by hash, as LZ77 compressors do. */
#ifndef HEARTH_INFER_DRAFT_INDEX_H
#define HEARTH_INFER_DRAFT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Parts the text: nothing matches across it. */
#define DRAFT_GAP (-1)

enum { DRAFT_ORDERS = 3 };

struct draft_index {
    int32_t *text;
    size_t n, cap;
    unsigned bits;
    /* Positions right after a sequence of order o; 0 ends a chain. */
    uint32_t *head[DRAFT_ORDERS]; /* [1 << bits]: the last one */
    uint32_t *prev[DRAFT_ORDERS]; /* [cap + 1]: the one before */
};

/* Room for `cap` tokens, gaps included. On failure there is nothing to free. */
enum status draft_index_init(struct draft_index *ix, size_t cap, struct error *err);
void draft_index_fini(struct draft_index *ix);
/* Beyond the capacity nothing happens. */
void draft_index_push(struct draft_index *ix, int32_t token);

struct draft_match {
    size_t at; /* text[at] is what followed */
    size_t
        len;   /* tokens before it that equal the text's last ones, counted up to 64; 0: no match */
    bool sure; /* nearly all places agree on what follows */
};
/* Where the text's ending stood before with what followed most often, long matches counting more.
 */
struct draft_match draft_index_find(const struct draft_index *ix);

#endif
