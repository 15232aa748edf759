/* A model as its signature sees it: names of files and their SHA-256. One file is called "."; the
 * files of a folder by their paths in it, "/" between the parts, sorted by parts as Python's
 * pathlib does. As the PyPI package model-signing 1.1.1 has it (its manifest.py and
 * _serialization/file.py). */
#ifndef HEARTH_TRUST_FILETREE_H
#define HEARTH_TRUST_FILETREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"

enum { FILETREE_MAX_FILES = 100000, FILETREE_MAX_DEPTH = 64, FILETREE_NAME_SIZE = 4096 };

struct filetree_file {
    char *name; /* owned; UTF-8 */
    uint8_t digest[SHA256_BYTES];
};
struct filetree {
    struct filetree_file *files; /* owned; sorted where filetree_read made it */
    size_t n;
};

struct filetree_options {
    /* Left out, each with all that is under it: paths as above. */
    const char *const *ignore;
    size_t n_ignore;
    bool follow_links; /* symbolic links to files count as files; without it they are an error */
    /* Bytes hashed so far and in the file being read; false asks to stop (ERR_CANCELLED). May be
     * NULL. */
    bool (*progress)(void *ctx, uint64_t done);
    void *ctx;
};

/* Reads and hashes a file, or all files of a folder. No link is followed, and what is neither file
 * nor folder is an error (ERR_UNSUPPORTED), as are names that are no UTF-8. ERR_LIMIT past the
 * limits above. */
enum status filetree_read(const char *path, const struct filetree_options *opt,
                          struct filetree *out, struct error *err);
/* Takes a copy of the name. ERR_LIMIT, ERR_NOMEM. */
enum status filetree_add(struct filetree *t, const char *name, const uint8_t digest[SHA256_BYTES],
                         struct error *err);
void filetree_fini(struct filetree *t);

/* Whether a path in a signature is in its normal form: parts that are neither empty, "." nor "..",
 * at most FILETREE_NAME_SIZE - 1 bytes; or "." alone. */
bool filetree_name_valid(const char *name);
/* Order of paths by their parts: <0, 0, >0. */
int filetree_name_compare(const char *a, const char *b);
/* SHA-256 over the digests in their order. */
enum status filetree_root(const struct filetree *t, uint8_t digest[SHA256_BYTES]);
/* ERR_INTEGRITY names the first differences: files that are missing, too many, or changed. `actual`
 * is from filetree_read; `due` holds valid names, in any order, each once. */
enum status filetree_compare(const struct filetree *due, const struct filetree *actual,
                             struct error *err);

#endif
