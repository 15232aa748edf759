/* Context for one completion after another: opens a project's index when there is one, and gives
 * the same pieces again while they still fit, since every change in front of a prompt makes the
 * model read all of it anew.
 *
 * The pieces stay while somebody types in a line, and from line to line as long as most of what
 * would be chosen now is there already. Never in the way: without an index, with a damaged one,
 * outside of the project, or when the time is over, there is less context and no error. One thread
 * at a time. */
#ifndef HEARTH_INDEX_CONTEXT_KEEP_H
#define HEARTH_INDEX_CONTEXT_KEEP_H

#include "index/context.h"

struct context_keep;

/* Nothing is opened yet; neither folder need exist. ERR_NOMEM. */
enum status context_keep_create(const char *root, const char *cache, struct context_keep **out,
                                struct error *err);
void context_keep_destroy(struct context_keep *k); /* NULL is fine */

struct context_budget { /* as in struct index_context_query */
    size_t near_bytes, max_bytes;
    double seconds;
};
struct context_kept {
    const char *path;       /* of the text, relative to the root; NULL: outside of the project */
    const char *repository; /* the root's name */
    const struct index_context *found;
    bool again; /* the pieces of the call before */
    double ms;  /* that it took */
};
/* The text's path is absolute, or relative to the root. What comes back is borrowed until the next
 * call. */
void context_keep_take(struct context_keep *k, const char *path, const char *text, size_t len,
                       size_t offset, const struct context_budget *budget,
                       struct context_kept *out);

#endif
