/* The beginnings that a scheduler keeps (its prefix cache), kept in a file and put back.
 *
 * A file holds keys and values as they stand in memory, each page under its key (prefix_cache.h),
 * and no text; but whoever can read it can find out what the text was. It is made with mode 0600
 * beside its final place and then renamed, and carries a SHA-256 of all of it. One that is damaged,
 * cut off, too long, or of another model or arithmetic is an error, and nothing of it is taken.
 * Integers are those of this machine. */
#ifndef HEARTH_INFER_CACHE_FILE_H
#define HEARTH_INFER_CACHE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct scheduler;

/* Both wait for the scheduler's thread, which does it between two steps: no request runs meanwhile.
 * Any thread but that one. ERR_UNSUPPORTED without a cache or a model file, ERR_BUSY, ERR_CANCELLED
 * where the scheduler ends. */

/* *n_tokens: positions written; *bytes: of the file. ERR_IO. */
enum status cache_file_save(struct scheduler *s, const char *path, size_t *n_tokens,
                            uint64_t *bytes, struct error *err);
/* What finds no free page, or is there already, is left out; *n_tokens: positions taken.
 * ERR_NOT_FOUND, ERR_IO, ERR_FORMAT, ERR_INTEGRITY. */
enum status cache_file_load(struct scheduler *s, const char *path, size_t *n_tokens,
                            uint64_t *bytes, struct error *err);

#endif
