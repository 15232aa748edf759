/* The one who writes: puts parsed files into the database, several to a transaction. */
#ifndef HEARTH_INDEX_WRITER_H
#define HEARTH_INDEX_WRITER_H

#include "index/db.h"
#include "index/index.h"
#include "index/parse_files.h"

enum writer_statement {
    W_FIND_FOLDER, W_ADD_FOLDER, W_STALE_FOLDER, W_FIND_FILE, W_ADD_FILE, W_SET_FILE, W_SET_STAT, W_DROP_FILE,
    W_FIND_CHUNK, W_ADD_CHUNK, W_ADD_FTS, W_ADD_PLACE, W_DROP_PLACES, W_ADD_DEFINITION, W_DROP_DEFINITIONS,
    W_ADD_WORD, W_ADD_PIECE, W_N_STATEMENTS,
};

struct writer {
    struct db *db;
    struct index_counts *counts;
    struct error *err;
    sqlite3_stmt *st[W_N_STATEMENTS];
    bool open;          /* a transaction */
    uint64_t pending;   /* bytes of text in it */
    double since;       /* when it began */
    uint64_t loose;     /* places dropped: at most so many chunks have no place any more */
    char folder[4096];  /* the last one asked for, and its row */
    int64_t folder_id;
};

enum status writer_init(struct writer *w, struct db *db, struct index_counts *counts, struct error *err);
void writer_fini(struct writer *w); /* rolls an open transaction back */

/* Puts a file in place of what the index has of it. The transaction is committed once it is large or old. */
enum status writer_put(struct writer *w, const char *path, struct parsed *p);
/* Takes a file out; a path without a row is OK. */
enum status writer_drop(struct writer *w, const char *path);
enum status writer_commit(struct writer *w);
/* After the last file: hashes of folders, chunks that nobody needs. Commits. */
enum status writer_finish(struct writer *w);
/* Speeds up a long run at the price of more segments; ended by writer_finish. */
enum status writer_bulk(struct writer *w, bool on);
/* Merges segments of the full text: all of them after a long run, else for a fifth of a second. */
enum status writer_tidy(struct writer *w, bool all, const volatile int *cancel);

#endif
