/* The user's own pip, asked to download wheels and nothing else: no dependencies, no builds, no
 * installation, no code of a package run. Inside of module store. */
#ifndef HEARTH_STORE_PIP_H
#define HEARTH_STORE_PIP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { PIP_MAX_WORDS = 8, PIP_MAX_BATCH = 16 };

struct pip {
    char *words[PIP_MAX_WORDS + 1]; /* the command's first words, NULL-ended; point into text */
    size_t n;
    char text[1024];
};

/* $HEARTH_PIP (a path, or words as in "python3 -m pip"), else the first of the usual ones that
 * runs. ERR_UNSUPPORTED says what to install. The object must not be moved afterwards. */
enum status pip_find(struct pip *p, struct error *err);

/* Downloads packages[0..n) (n <= PIP_MAX_BATCH) of one version into `work`/wheels, with pip's
 * temporary files in `work`/tmp. Names and version must be plain words. `tick` as in process_run.
 * ERR_NETWORK with pip's own words where it fails, ERR_IO where the disk is full. */
enum status pip_download(const struct pip *p, const char *const *packages, size_t n,
                         const char *version, const char *work, bool (*tick)(void *ctx), void *ctx,
                         struct error *err);

/* The wheel of `package` in `work`/wheels; malloc'd. ERR_NETWORK where there is none. */
enum status pip_wheel(const char *work, const char *package, char **out, struct error *err);

#endif
