/* A model as its signature sees it: names of files and their SHA-256. One file is called "."; the files of a
 * folder by their paths in it, "/" between the parts, sorted by parts as Python's pathlib does.
 * As the PyPI package model-signing 1.1.1 has it (its manifest.py and _serialization/file.py). */
#ifndef HEARTH_TRUST_TREE_H
#define HEARTH_TRUST_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"

enum { TREE_MAX_FILES = 100000, TREE_MAX_DEPTH = 64, TREE_NAME_SIZE = 4096 };

struct tree_file {
    char *name; /* owned; UTF-8 */
    uint8_t digest[SHA256_BYTES];
};
struct tree {
    struct tree_file *files; /* owned; sorted where tree_read made it */
    size_t n;
};

struct tree_options {
    /* Left out, each with all that is under it: paths as above. */
    const char *const *ignore;
    size_t n_ignore;
    bool follow_links; /* symbolic links to files count as files; without it they are an error */
    /* Bytes hashed so far and in the file being read; false asks to stop (ERR_CANCELLED). May be NULL. */
    bool (*progress)(void *ctx, uint64_t done);
    void *ctx;
};

/* Reads and hashes a file, or all files of a folder. No link is followed, and what is neither file nor folder
 * is an error (ERR_UNSUPPORTED), as are names that are no UTF-8. ERR_LIMIT past the limits above. */
enum status tree_read(const char *path, const struct tree_options *opt, struct tree *out, struct error *err);
/* Takes a copy of the name. ERR_LIMIT, ERR_NOMEM. */
enum status tree_add(struct tree *t, const char *name, const uint8_t digest[SHA256_BYTES], struct error *err);
void tree_fini(struct tree *t);

/* Whether a path in a signature is in its normal form: parts that are neither empty, "." nor "..", at most
 * TREE_NAME_SIZE - 1 bytes; or "." alone. */
bool tree_name_valid(const char *name);
/* Order of paths by their parts: <0, 0, >0. */
int tree_name_compare(const char *a, const char *b);
/* SHA-256 over the digests in their order. */
enum status tree_root(const struct tree *t, uint8_t digest[SHA256_BYTES]);
/* ERR_INTEGRITY names the first differences: files that are missing, too many, or changed. `actual` is from
 * tree_read; `due` holds valid names, in any order, each once. */
enum status tree_compare(const struct tree *due, const struct tree *actual, struct error *err);

#endif
