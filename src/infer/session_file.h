/* Sessions kept on disk, so that a process begins with what another had read.
 *
 * A file holds the session's tokens and its keys and values as they stand in memory: whoever can
 * read it can read the text. It is made with mode 0600, is written beside its final place and then
 * renamed, and carries a SHA-256 of all of it: one that is damaged, cut off, or of another model or
 * arithmetic is an error, and the session is empty then, never wrong. The disk is not waited for;
 * after a power cut a file may be found damaged. Integers are those of this machine. */
#ifndef HEARTH_INFER_SESSION_FILE_H
#define HEARTH_INFER_SESSION_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct session;

/* What session_save keeps in one folder unless told otherwise: half a GiB. */
#define SESSION_FILES_BYTES ((uint64_t)512 << 20)

/* Keeps the session in `dir`, which is made as needed (mode 0700), under a name made of `key` (a
 * file's path, say) and the model's identity. Other sessions of the folder, the least recently used
 * first, are removed until all together have at most `max_bytes`; ERR_LIMIT, and nothing is
 * written, where this one alone has more. An empty session writes nothing. */
enum status session_save(const struct session *s, const char *dir, const char *key,
                         uint64_t max_bytes, struct error *err);

/* Puts back what session_save kept; *n_tokens is how many tokens the session then holds.
 * ERR_NOT_FOUND where there is nothing; ERR_FORMAT or ERR_INTEGRITY where the file cannot be used,
 * ERR_LIMIT where it holds more than the session can. On every error the session is empty. */
enum status session_load(struct session *s, const char *dir, const char *key, size_t *n_tokens,
                         struct error *err);

/* Deletes all sessions kept in `dir`; a folder that is not there has none. */
enum status session_files_remove(const char *dir, size_t *count, uint64_t *bytes,
                                 struct error *err);
/* Deletes the least recently used until the rest has at most `max_bytes`, but never `keep` (a file
 * name, may be NULL). */
enum status session_files_limit(const char *dir, const char *keep, uint64_t max_bytes,
                                struct error *err);

#endif
