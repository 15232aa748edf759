/* Merging the segments of the full text, a bounded step at a time, so that no save has to wait for it.
 *
 * FTS5 writes a segment for each commit. Left alone it merges a whole level once 16 stand on it, in the midst of
 * the commit that brings the last one, and after a long run the large segments stand among the small. So the
 * limit is far away (TIDY_CRISIS), and merging is done here: at the end of a long run, and while a watch is idle
 * (sqlite.org/fts5.html, "The 'merge' command"). */
#ifndef HEARTH_INDEX_TIDY_H
#define HEARTH_INDEX_TIDY_H

#include "index/db.h"

/* The SQL that sets what FTS5 does by itself: nothing, until that many segments stand on a level. */
#define TIDY_CONFIG                                                                                                    \
    "INSERT INTO fts(fts, rank) VALUES('automerge', 0); INSERT INTO pieces(pieces, rank) VALUES('automerge', 0);"      \
    "INSERT INTO fts(fts, rank) VALUES('crisismerge', 64); INSERT INTO pieces(pieces, rank) VALUES('crisismerge', 64);"

/* Merges until nothing is left to do (*done) or `seconds` are over; a step takes some milliseconds and is
 * committed. `all`: into one segment each, else where four stand on a level. Stops early, with OK, at
 * *cancel != 0 (may be NULL). */
enum status tidy_merge(const struct db *db, bool all, double seconds, const volatile int *cancel, bool *done,
                       struct error *err);

#endif
