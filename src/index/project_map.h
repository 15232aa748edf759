/* The repository map of a folder: its files read, ranked and printed (syntax/repo_map.h). */
#ifndef HEARTH_INDEX_PROJECT_MAP_H
#define HEARTH_INDEX_PROJECT_MAP_H

#include "base/buf.h"
#include "syntax/repo_map.h"

enum { PROJECT_MAP_MAX_FILES = 200000, PROJECT_MAP_MAX_BYTES = 64 << 20 };

struct project_map_options {
    const char *const *focus; /* files, relative to the project or to the working folder */
    size_t n_focus;
    const char *const *mention; /* identifiers that weigh more */
    size_t n_mention;
};

struct project_map {
    struct repo_map map;
    struct repo_map_file *files; /* owned, with paths and facts; sorted by path */
    size_t n, cap;
};

/* Reads every source file under `root` that an index would read, and ranks their definitions.
 * ERR_NOT_FOUND: no source file, or one in focus that is none; ERR_LIMIT, ERR_NOMEM. */
enum status project_map_read(const char *root, const struct project_map_options *opt, struct project_map *out,
                             struct error *err);
void project_map_fini(struct project_map *m); /* zeroed is fine */
/* repo_map_print with a token taken for 3 bytes; `out` needs buf_init. */
enum status project_map_print(const struct project_map *m, size_t tokens, struct buf *out, size_t *n_shown,
                              struct error *err);

#endif
