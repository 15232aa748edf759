/* An open index, as the files that search share it. */
#ifndef HEARTH_INDEX_READER_H
#define HEARTH_INDEX_READER_H

#include <time.h>

#include "base/buf.h"
#include "base/pool.h"
#include "index/db.h"
#include "index/index.h"
#include "index/store_local.h"
#include "index/vectors.h"

struct index {
    struct db db;
    struct timespec current; /* when the generation was chosen, of the file that names it */
    uint64_t current_inode;
    struct vectors vectors;
    struct pool *pool;
    struct store_local local; /* finds among `vectors` */
};

/* Goes over to a new generation where there is one. */
enum status reader_refresh(struct index *ix, struct error *err);

/* "a" OR "b" of the tokens of a text, for FTS5; whole words alone where `whole`. Empty where it has none. */
enum status reader_match(const char *text, size_t len, bool whole, const char *join, struct buf *out);

#endif
