/* The ring of context: pieces of files that somebody works with, the newest and most different
 * ones, kept in an order that changes rarely, so that the prompt's beginning stays cached.
 *
 * After llama.vim (@a1c8e6e): chunks of 64 lines, 16 of them; one that is like a new one (Dice's
 * coefficient of their lines above 0.9) is replaced by it. New chunks wait until the caller has a
 * quiet moment. Not thread-safe. */
#ifndef HEARTH_ASSIST_RING_H
#define HEARTH_ASSIST_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum context_kind {
    CONTEXT_CHUNK,     /* a piece of a file */
    CONTEXT_SIGNATURE, /* declarations of an imported file */
    CONTEXT_SYMBOL,    /* the definition of a symbol near the cursor */
    CONTEXT_CLIPBOARD,
};

/* Text that may stand in front of a file's own in a prompt. */
struct context_item {
    const char *path; /* NULL = none */
    const char *text;
    size_t len;
    enum context_kind kind;
    double score; /* the higher the nearer to the cursor's text */
};

enum ring_event { RING_OPENED, RING_EDITED, RING_SAVED, RING_YANKED };

struct ring_options {
    size_t chunks;      /* 0 = 16 */
    size_t chunk_lines; /* 0 = 64 */
    size_t waiting;     /* chunks that may wait; 0 = 16 */
    double similar;     /* Dice above which two chunks are one; 0 = 0.9 */
};

struct ring;

enum status ring_create(const struct ring_options *opt, struct ring **out, struct error *err);
void ring_destroy(struct ring *r);

/* Cuts a chunk around `line` (from 0) out of a text and lets it wait. Texts of fewer than three
 * lines, yanked ones excepted, are passed over, and so are chunks like one that is there already.
 * ERR_NOMEM. */
enum status ring_note(struct ring *r, enum ring_event event, const char *path, const char *text,
                      size_t len, size_t line);
/* Drops a file's chunks. */
void ring_forget(struct ring *r, const char *path);

/* One waiting chunk joins the ring, in place of one that is like it or of the oldest where the ring
 * is full. False where none waits. */
bool ring_join(struct ring *r);

/* The ring's chunks, the oldest first, without those of which a third of the lines stands in the
 * window around the cursor. Borrowed until the ring changes. Returns how many, at most `cap`. */
size_t ring_items(const struct ring *r, const char *path, const char *window, size_t len,
                  struct context_item *out, size_t cap);

size_t ring_size(const struct ring *r);
size_t ring_waiting(const struct ring *r);

/* Dice's coefficient of the lines of two texts, blanks at their ends and blank lines left out: 1
 * for equal ones, 0 where no line is common or both are empty. */
double ring_similarity(const char *a, size_t n_a, const char *b, size_t n_b);

#endif
