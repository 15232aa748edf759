/* Files: mapping, bounded reads, durable replacement. Errors name the path. */
#ifndef HEARTH_BASE_FILE_H
#define HEARTH_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

/* A whole regular file mapped read-only. The mapping outlives the descriptor. */
struct file_map {
    const uint8_t *data; /* NULL for an empty file */
    uint64_t size;
    uint64_t dev, ino;   /* identity and version of the mapped file */
    int64_t mtime_ns;
};

enum status file_map_open(const char *path, struct file_map *out, struct error *err);
void file_map_close(struct file_map *m);

/* Appends the file's bytes to `out`; ERR_LIMIT past the buffer's maximum. "-" is standard input. */
enum status file_read_all(const char *path, struct buf *out, struct error *err);
/* The same for files that nobody named just now: a pipe or device, at which one would wait for ever, is
 * ERR_UNSUPPORTED. */
enum status file_read_regular(const char *path, struct buf *out, struct error *err);

/* Writes `len` bytes to a temporary file beside `path`, syncs it, renames it over `path` and syncs
 * the folder: readers see the old contents or the new, never a part. */
enum status file_replace(const char *path, const void *data, size_t len, struct error *err);

/* Writes all of `data` at an offset of an open file; errors name `path`. Threads may write to different
 * places of one file at once. */
enum status file_write_at(int fd, const char *path, uint64_t offset, const void *data, size_t len,
                          struct error *err);
/* Gives an open file its size and sets the space aside, so that a full disk shows now, and not later
 * in the middle. Where the file system cannot set space aside, only the size. */
enum status file_set_size(int fd, const char *path, uint64_t bytes, struct error *err);

/* mkdir -p with mode 0700 for what it creates. */
enum status file_make_dirs(const char *path, struct error *err);

bool file_exists(const char *path);

/* fsync on the folder that holds `path`, so that a rename in it survives a power cut. */
enum status file_sync_parent(const char *path, struct error *err);

#endif
