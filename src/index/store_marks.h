/* What an index knows of the vectors that it keeps elsewhere: a row without bytes in `vectors` is a mark that
 * the store has the chunk's. */
#ifndef HEARTH_INDEX_STORE_MARKS_H
#define HEARTH_INDEX_STORE_MARKS_H

#include "index/db.h"
#include "index/vector_store.h"

enum { STORE_MARKS_BATCH = 256 };

/* Sets marks for these items, or takes them away; committed. */
enum status store_marks_set(const struct db *db, const struct vector_item *items, size_t n, bool there,
                            struct error *err);
/* Asks the store for all that is marked, and forgets what it has no longer. */
enum status store_marks_check(const struct db *db, struct vector_store *s, const char *model, struct error *err);
/* Takes the vectors of chunks that stand nowhere any more out of the store. */
enum status store_marks_drop_gone(const struct db *db, struct vector_store *s, const char *model, struct error *err);
/* Fills the rows of what a store found; hits of no chunk of this index, or of one that stands nowhere, go. */
enum status store_marks_resolve(const struct db *db, const char *model, struct vector_found *hits, size_t *n,
                                struct error *err);

#endif
