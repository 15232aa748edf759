/* What the files that somebody has open define, so that a prompt can carry the signatures of what
 * stands near the cursor and of what its file imports. Files are read by their grammars (syntax);
 * without one nothing is known of a file. Not thread-safe, but for outline_read. */
#ifndef HEARTH_ASSIST_OUTLINE_H
#define HEARTH_ASSIST_OUTLINE_H

#include "assist/ring.h"

enum {
    OUTLINE_FILES = 64,            /* remembered; the one put longest ago goes first */
    OUTLINE_DEFINITIONS = 512,     /* of one file */
    OUTLINE_MAX_BYTES = 512 << 10, /* of a larger file nothing is known */
    OUTLINE_LINES = 16,            /* signatures of one file in a prompt */
    OUTLINE_ITEMS = 6,             /* files in a prompt */
};

struct outline;
struct outline_file;

enum status outline_create(struct outline **out, struct error *err);
void outline_destroy(struct outline *o);

/* Any thread: a file's definitions, or NULL where there are none, no grammar, no memory or no time
 * (somebody types). Freed by outline_put. */
struct outline_file *outline_read(const char *path, const char *text, size_t len);
/* Takes the place of what is known of `path`; file NULL: nothing is any more. */
void outline_put(struct outline *o, const char *path, struct outline_file *file);

/* For a text with its cursor: of other files the signatures of what is named within `near` bytes of
 * the cursor, and of those that the text imports the first ones. `out` borrows paths and texts
 * until the outline changes or this is called again; the files named most come last. Returns how
 * many. */
size_t outline_items(struct outline *o, const char *path, const char *text, size_t len,
                     size_t offset, size_t near, struct context_item *out, size_t cap);

#endif
