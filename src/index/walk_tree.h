/* The files of a project: what is under a folder and not left out by .gitignore, .hearthignore,
 * .git/info/exclude, by its name as a secret, by its size, or because it is no regular file.
 *
 * Symbolic links are not followed: what they lead to is indexed where it lies, and a link out of the
 * folder shows nothing that is not there. Names are bytes without NUL and slash, nothing more. */
#ifndef HEARTH_INDEX_WALK_TREE_H
#define HEARTH_INDEX_WALK_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/status.h"

enum { WALK_MAX_DEPTH = 128, WALK_MAX_PATH = 4096 };

struct walk_options {
    uint64_t max_file_bytes; /* larger files are left out; 0 = 1 MiB */
    bool no_ignore;          /* read no ignore files; secrets stay out */
    const volatile int *cancel; /* nonzero: ERR_CANCELLED; may be NULL */
    /* Each folder before what is in it, "" for the root; ctx as for files. May be NULL. */
    void (*folder)(void *ctx, const char *path);
};

struct walk_counts {
    uint64_t files, folders, ignored, secret, large, special; /* special: links, devices, sockets */
    uint64_t unreadable; /* folders that could not be opened */
};

/* Calls `file` for each file with its path relative to `root`, in no order; a status other than OK ends the
 * walk and is returned. `counts` may be NULL. ERR_IO where the root cannot be opened; folders below it
 * that cannot are counted. */
enum status walk_files(const char *root, const struct walk_options *opt,
                       enum status (*file)(void *ctx, const char *path, const struct stat *st), void *ctx,
                       struct walk_counts *counts, struct error *err);

/* Whether the walk would reach this file or folder (a path relative to root): for changes that a watch
 * reports. False for what does not exist. `st` is filled where true. */
bool walk_has(const char *root, const struct walk_options *opt, const char *path, struct stat *st);

#endif
