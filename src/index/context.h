/* What a completion should know of the rest of the project: declarations of what the text around
 * the cursor names, members of the types it seems to hold, and code like it. Found in the index
 * alone, by words and names, in a few milliseconds. */
#ifndef HEARTH_INDEX_CONTEXT_H
#define HEARTH_INDEX_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct index;

struct index_context_query {
    /* Of the text, relative to the root; NULL: it has none. Of this file itself nothing is found
     * but its imports and signatures that stand too far from the cursor to be seen (near_bytes). */
    const char *path;
    const char *text;   /* as it stands in the editor; any bytes */
    size_t len, offset; /* offset: the cursor's */
    size_t near_bytes;  /* before the cursor, and a third of it behind, that are seen anyway */
    size_t max_bytes;   /* of all that is found, paths included; 0 = INDEX_CONTEXT_BYTES */
    double seconds;     /* what is found by then is answered; 0 = INDEX_CONTEXT_SECONDS */
};
enum { INDEX_CONTEXT_BYTES = 3072 };
#define INDEX_CONTEXT_SECONDS 0.012

/* Pieces of one file, in its order. */
struct index_context_item {
    const char *path; /* relative to the root, UTF-8 without control characters */
    const char *text; /* NUL-terminated; ends with a line end */
    size_t len;
    uint32_t line;                 /* of the first piece */
    uint32_t declarations, chunks; /* how many pieces are signatures, and how many are code */
    uint32_t imports; /* that the text itself has, far from the cursor: then the path is the text's
                         own */
    float score;
};
struct index_context {
    struct index_context_item *list; /* the best last, as it stands nearest to the text */
    size_t n;
    uint64_t *keys; /* one a piece, by score: what it is and where */
    size_t n_keys;
    bool late; /* the time was over before all was looked at */
};
/* Nothing found is OK with n == 0. ERR_INTEGRITY and the like as index_search. */
enum status index_context_find(struct index *ix, const struct index_context_query *q,
                               struct index_context *out, struct error *err);
void index_context_fini(struct index_context *c); /* zeroed is fine */

#endif
