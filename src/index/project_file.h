/* One file of a project, for somebody who asked for it by name: the walk's rules hold. */
#ifndef HEARTH_INDEX_PROJECT_FILE_H
#define HEARTH_INDEX_PROJECT_FILE_H

#include "base/buf.h"
#include "base/status.h"

enum { PROJECT_FILE_MAX = 1 << 20 }; /* bytes, as the index takes them */

/* The path in the form of the index: relative to root, without "." and doubled slashes, malloc'd. An absolute
 * path has to lie below root. ERR_INVALID: empty, too long, or it leads out by ".." or an absolute path. */
enum status project_file_path(const char *root, const char *path, char **out, struct error *err);

/* Appends the file's bytes; `path` as project_file_path gives it. Symbolic links are not followed on any part of
 * the way, even where one is put there meanwhile. ERR_NOT_FOUND: there is none, or it is ignored; ERR_INVALID:
 * by its name it holds secrets, or it is no text; ERR_LIMIT: larger than PROJECT_FILE_MAX; ERR_IO. */
enum status project_file_read(const char *root, const char *path, struct buf *out, struct error *err);

#endif
