/* Putting a described file on the disk. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/file.h"
#include "gguf/gguf_write_int.h"

enum { VERSION = 3 };

static enum status os_error(const struct gguf_writer *w, const char *verb, struct error *err)
{
    int e = errno;
    bool full = e == ENOSPC || e == EDQUOT || e == EFBIG;
    return error_set(err, ERR_IO, "cannot %s %s: %s%s", verb, w->path, strerror(e),
                     full ? "; free some space or choose another place" : "");
}

static void describe_header(const struct gguf_writer *w, uint8_t head[GGUF_HEADER_BYTES])
{
    memcpy(head, (const uint8_t[8]){'G', 'G', 'U', 'F', VERSION}, 8);
    for (int i = 0; i < 8; i++) {
        head[8 + i] = (uint8_t)((uint64_t)w->n_tensors >> 8 * i);
        head[16 + i] = (uint8_t)((uint64_t)w->n_keys >> 8 * i);
    }
}

static enum status write_header(const struct gguf_writer *w, struct error *err)
{
    uint8_t head[GGUF_HEADER_BYTES];
    describe_header(w, head);
    uint64_t at = sizeof head;
    enum status st = file_write_at(w->fd, w->path, 0, head, sizeof head, err);
    if (!st) st = file_write_at(w->fd, w->path, at, w->keys.data, w->keys.len, err);
    at += w->keys.len;
    if (!st) st = file_write_at(w->fd, w->path, at, w->tensors.data, w->tensors.len, err);
    return st;
}

static struct gguf_str name_at(const struct buf *b, size_t at)
{
    uint64_t len = gguf_load_u64((const uint8_t *)b->data + at);
    return (struct gguf_str){b->data + at + 8, (size_t)len};
}

/* ERR_INVALID where two names are the same. */
static enum status check_unique(const struct gguf_writer *w, const struct gguf_str *names, size_t n,
                                const char *kind, struct error *err)
{
    const struct gguf_str **index = NULL, *twice = NULL;
    enum status st = gguf_index(names, n, sizeof *names, &index, &twice);
    if (st) error_set(err, st, "out of memory");
    if (!st && twice)
        st = error_set(err, ERR_INVALID, "cannot write %s: %s '%s' occurs twice", w->path, kind,
                       gguf_show(*twice).s);
    free(index);
    return st;
}

static enum status check_names(const struct gguf_writer *w, struct error *err)
{
    size_t most = w->n_keys > w->n_tensors ? w->n_keys : w->n_tensors;
    struct gguf_str *names = calloc(most + 1, sizeof *names);
    if (!names) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < w->n_keys; i++) names[i] = name_at(&w->keys, w->key_at[i]);
    enum status st = check_unique(w, names, w->n_keys, "key", err);
    for (size_t i = 0; i < w->n_tensors; i++) names[i] = name_at(&w->tensors, w->places[i].name_at);
    if (!st) st = check_unique(w, names, w->n_tensors, "tensor", err);
    free(names);
    return st;
}

static enum status open_temporary(struct gguf_writer *w, struct error *err)
{
    if (asprintf(&w->tmp, "%s.tmp-XXXXXX", w->path) < 0) {
        w->tmp = NULL;
        return error_set(err, ERR_NOMEM, "out of memory");
    }
    w->fd = mkostemp(w->tmp, O_CLOEXEC);
    if (w->fd >= 0) return OK;
    free(w->tmp);
    w->tmp = NULL;
    return os_error(w, "create", err);
}

/* The lock ends with the process. The name is looked up again under it: another process may have
 * given the file its final name between our opening and our locking. */
static enum status open_part(struct gguf_writer *w, struct error *err)
{
    struct stat mine, named;
    w->fd = open(w->tmp, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w->fd < 0) return os_error(w, "create", err);
    if (flock(w->fd, LOCK_EX | LOCK_NB) != 0 || fstat(w->fd, &mine) != 0 ||
        stat(w->tmp, &named) != 0 || mine.st_ino != named.st_ino || mine.st_dev != named.st_dev) {
        close(w->fd);
        w->fd = -1;
        return error_set(err, ERR_BUSY, "another process is writing %s; wait for it", w->tmp);
    }
    return S_ISREG(mine.st_mode) ? OK : error_set(err, ERR_INVALID, "%s is not a file", w->tmp);
}

static bool read_at(const struct gguf_writer *w, uint64_t offset, void *data, size_t len)
{
    char *p = data;
    while (len) {
        ssize_t n = pread(w->fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = EIO;
        if (n <= 0) return false;
        p += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

static bool same_bytes(const struct gguf_writer *w, uint64_t at, const void *want, size_t len)
{
    char chunk[4096];
    for (size_t i = 0; i < len; i += sizeof chunk) {
        size_t n = len - i < sizeof chunk ? len - i : sizeof chunk;
        if (!read_at(w, at + i, chunk, n) || memcmp(chunk, (const char *)want + i, n) != 0)
            return false;
    }
    return true;
}

static bool same_description(const struct gguf_writer *w)
{
    struct stat sb;
    uint8_t head[GGUF_HEADER_BYTES];
    describe_header(w, head);
    return fstat(w->fd, &sb) == 0 && (uint64_t)sb.st_size == w->file_bytes &&
           same_bytes(w, 0, head, sizeof head) &&
           same_bytes(w, sizeof head, w->keys.data, w->keys.len) &&
           same_bytes(w, sizeof head + w->keys.len, w->tensors.data, w->tensors.len);
}

enum status gguf_writer_start(struct gguf_writer *w, struct error *err)
{
    if (w->mistake.code) return error_set(err, w->mistake.code, "%s", w->mistake.msg);
    if (w->file_bytes)
        return error_set(err, ERR_INVALID, "cannot write %s: it was started already", w->path);
    uint64_t bytes = gguf_writer_file_bytes(w);
    if (bytes == 0 || bytes > INT64_MAX)
        return error_set(err, ERR_LIMIT, "cannot write %s: no file is that large", w->path);
    enum status st = check_names(w, err);
    if (st) return st;
    st = w->keep ? open_part(w, err) : open_temporary(w, err);
    if (st) return st;
    w->file_bytes = bytes;
    checked_align(GGUF_HEADER_BYTES + w->keys.len + w->tensors.len, w->alignment, &w->data_start);
    if (w->keep && same_description(w)) {
        w->resumed = true;
        return OK;
    }
    if (w->keep && ftruncate(w->fd, 0) != 0) return os_error(w, "write", err);
    st = file_set_size(w->fd, w->path, w->file_bytes, err);
    if (!st) st = write_header(w, err);
    if (st && w->keep) unlink(w->tmp);
    return st;
}

enum status gguf_writer_keep(struct gguf_writer *w, const char *part, struct error *err)
{
    if (w->file_bytes || w->tmp)
        return error_set(err, ERR_INVALID, "cannot write %s: it was started already", w->path);
    w->tmp = strdup(part);
    w->keep = true;
    return w->tmp ? OK : error_set(err, ERR_NOMEM, "out of memory");
}

bool gguf_writer_resumed(const struct gguf_writer *w)
{
    return w->resumed;
}

enum status gguf_writer_get(struct gguf_writer *w, size_t i, uint64_t offset, void *data,
                            size_t len, struct error *err)
{
    uint64_t end;
    if (w->fd < 0 || i >= w->n_tensors || !checked_add(offset, len, &end) ||
        end > w->places[i].bytes)
        return error_set(err, ERR_INVALID,
                         "cannot read %s: %zu bytes of tensor %zu are not part of it", w->path, len,
                         i);
    return read_at(w, w->data_start + w->places[i].offset + offset, data, len)
               ? OK
               : os_error(w, "read", err);
}

void gguf_writer_have(struct gguf_writer *w, size_t i)
{
    if (i < w->n_tensors) w->places[i].written = w->places[i].bytes;
}

enum status gguf_writer_put(struct gguf_writer *w, size_t i, uint64_t offset, const void *data,
                            size_t len, struct error *err)
{
    uint64_t end;
    if (w->fd < 0 || i >= w->n_tensors || !checked_add(offset, len, &end) ||
        end > w->places[i].bytes)
        return error_set(err, ERR_INVALID,
                         "cannot write %s: %zu bytes at %" PRIu64
                         " of tensor %zu are not part of it",
                         w->path, len, offset, i);
    enum status st =
        file_write_at(w->fd, w->path, w->data_start + w->places[i].offset + offset, data, len, err);
    if (!st) atomic_fetch_add(&w->places[i].written, len);
    return st;
}

static enum status check_complete(const struct gguf_writer *w, struct error *err)
{
    if (w->fd < 0)
        return error_set(err, ERR_INVALID, "cannot write %s: it was not started", w->path);
    for (size_t i = 0; i < w->n_tensors; i++)
        if (w->places[i].written != w->places[i].bytes)
            return error_set(err, ERR_INVALID,
                             "cannot write %s: tensor %zu got %" PRIu64 " of its %" PRIu64 " bytes",
                             w->path, i, w->places[i].written, w->places[i].bytes);
    return OK;
}

enum status gguf_writer_commit(struct gguf_writer *w, struct error *err)
{
    enum status st = check_complete(w, err);
    if (!st && fsync(w->fd) != 0) st = os_error(w, "write", err);
    if (!st && rename(w->tmp, w->path) != 0) st = os_error(w, "create", err);
    if (!st) {
        free(w->tmp); /* it has its final name */
        w->tmp = NULL;
        st = file_sync_parent(w->path, err);
    }
    gguf_writer_abandon(w);
    return st;
}

void gguf_writer_abandon(struct gguf_writer *w)
{
    if (!w) return;
    if (w->tmp && !w->keep) unlink(w->tmp);
    if (w->fd >= 0) close(w->fd);
    buf_fini(&w->keys);
    buf_fini(&w->tensors);
    free(w->key_at);
    free(w->places);
    free(w->path);
    free(w->tmp);
    free(w);
}
