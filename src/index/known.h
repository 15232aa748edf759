/* The files that the index knows, by path, and the work that an update finds. */
#ifndef HEARTH_INDEX_KNOWN_H
#define HEARTH_INDEX_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sha256.h"
#include "index/db.h"
#include "index/parse_files.h"

struct known_file {
    char *path;             /* owned */
    struct parse_stat stat; /* of the last reading */
    uint8_t hash[SHA256_BYTES];
    bool indexed;           /* in the database; else the walk found it */
    bool seen;              /* by the walk */
    bool changed;           /* wants to be read */
};

struct known {
    struct known_file *list; /* owned */
    size_t n, cap;
    uint32_t *table; /* position + 1 by the hash of the path; 0 is free */
    size_t table_cap;
};

enum { KNOWN_MAX_FILES = 10000000 };

/* Loads all files of the index. */
enum status known_load(struct known *k, const struct db *db, struct error *err);
/* The file of that path, added where missing; ERR_NOMEM, ERR_LIMIT. */
enum status known_get(struct known *k, const char *path, size_t *at);
/* Notes what the walk saw: a file whose size and times are not the known ones wants to be read. */
enum status known_see(struct known *k, const char *path, const struct parse_stat *st);
void known_fini(struct known *k);

#endif
