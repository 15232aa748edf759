#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status os_error(struct error *err, const char *verb, const char *path)
{
    int e = errno;
    enum status code = e == ENOENT || e == ENOTDIR ? ERR_NOT_FOUND : e == ENOMEM ? ERR_NOMEM : ERR_IO;
    return error_set(err, code, "cannot %s %s: %s", verb, path, strerror(e));
}

enum status file_map_open(const char *path, struct file_map *out, struct error *err)
{
    *out = (struct file_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return os_error(err, "open", path);
    enum status st = OK;
    struct stat sb;
    if (fstat(fd, &sb) != 0) {
        st = os_error(err, "stat", path);
        goto out;
    }
    if (!S_ISREG(sb.st_mode)) {
        st = error_set(err, ERR_INVALID, "%s is not a regular file", path);
        goto out;
    }
    out->size = (uint64_t)sb.st_size;
    out->dev = (uint64_t)sb.st_dev;
    out->ino = (uint64_t)sb.st_ino;
    out->mtime_ns = (int64_t)sb.st_mtim.tv_sec * 1000000000 + sb.st_mtim.tv_nsec;
    if (out->size > 0) {
        void *p = mmap(NULL, (size_t)out->size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            st = os_error(err, "map", path);
            goto out;
        }
        out->data = p;
    }
out:
    close(fd);
    if (st) *out = (struct file_map){0};
    return st;
}

void file_map_close(struct file_map *m)
{
    if (m->data) munmap((void *)m->data, (size_t)m->size);
    *m = (struct file_map){0};
}

static enum status read_to_end(int fd, const char *path, struct buf *out, struct error *err)
{
    enum status st = OK;
    for (;;) {
        st = buf_reserve(out, 1);
        if (st == OK && out->cap - out->len < 65536 && out->max - out->len >= 65536)
            st = buf_reserve(out, 65536);
        if (st == ERR_LIMIT) {
            char probe;
            ssize_t more = read(fd, &probe, 1);
            if (more < 0 && errno == EINTR) continue;
            if (more < 0)
                st = os_error(err, "read", path);
            else if (more == 0)
                st = OK;
            else
                st = error_set(err, ERR_LIMIT, "%s is larger than %zu bytes", path, out->max);
            break;
        }
        if (st) {
            error_set(err, st, "cannot read %s: %s", path, status_name(st));
            break;
        }
        ssize_t n = read(fd, out->data + out->len, out->cap - out->len - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            st = os_error(err, "read", path);
            break;
        }
        if (n == 0) break;
        out->len += (size_t)n;
        out->data[out->len] = 0;
    }
    return st;
}

enum status file_read_all(const char *path, struct buf *out, struct error *err)
{
    bool std_in = strcmp(path, "-") == 0;
    int fd = std_in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return os_error(err, "open", path);
    enum status st = read_to_end(fd, path, out, err);
    if (!std_in) close(fd);
    return st;
}

enum status file_read_regular(const char *path, struct buf *out, struct error *err)
{
    struct stat sb;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return os_error(err, "open", path);
    enum status st = OK;
    if (fstat(fd, &sb) != 0)
        st = os_error(err, "stat", path);
    else if (!S_ISREG(sb.st_mode))
        st = error_set(err, ERR_UNSUPPORTED, "%s is no regular file", path);
    if (st == OK) st = read_to_end(fd, path, out, err);
    close(fd);
    return st;
}

enum status file_sync_parent(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!dir) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) st = os_error(err, "sync", dir);
    if (fd >= 0) close(fd);
    free(dir);
    return st;
}

/* The advice belongs to what a person can act on: a disk, a quota or a size limit that is full. */
static enum status write_error(struct error *err, const char *verb, const char *path)
{
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    return error_set(err, ERR_IO, "cannot %s %s: %s%s", verb, path, strerror(errno),
                     full ? "; free some space or choose another place" : "");
}

enum status file_write_at(int fd, const char *path, uint64_t offset, const void *data, size_t len,
                          struct error *err)
{
    const char *p = data;
    while (len) {
        ssize_t n = pwrite(fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = EIO;
        if (n <= 0) return write_error(err, "write", path);
        p += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return OK;
}

enum status file_set_size(int fd, const char *path, uint64_t bytes, struct error *err)
{
    struct rlimit limit;
    /* Going past this limit would not fail but kill the process (SIGXFSZ). */
    bool over = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
                bytes > limit.rlim_cur;
    if (over) errno = EFBIG;
    if (!over && fallocate(fd, 0, 0, (off_t)bytes) == 0) return OK;
    if (!over && (errno == EOPNOTSUPP || errno == ENOSYS) && ftruncate(fd, (off_t)bytes) == 0)
        return OK;
    write_error(err, "set the size of", path);
    return error_prefix(err, "%llu MiB are needed", (unsigned long long)(bytes >> 20) + 1);
}

enum status file_replace(const char *path, const void *data, size_t len, struct error *err)
{
    size_t plen = strlen(path);
    char *tmp = malloc(plen + 12);
    if (!tmp) return error_set(err, ERR_NOMEM, "out of memory");
    memcpy(tmp, path, plen);
    memcpy(tmp + plen, ".tmp-XXXXXX", 12);
    enum status st;
    int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0) {
        st = os_error(err, "create", tmp);
        free(tmp);
        return st;
    }
    st = file_write_at(fd, path, 0, data, len, err);
    if (st == OK && fsync(fd) != 0) st = os_error(err, "sync", path);
    if (close(fd) != 0 && st == OK) st = os_error(err, "close", path);
    if (st == OK && rename(tmp, path) != 0) st = os_error(err, "replace", path);
    if (st != OK)
        unlink(tmp);
    else
        st = file_sync_parent(path, err);
    free(tmp);
    return st;
}

enum status file_make_dirs(const char *path, struct error *err)
{
    char *p = strdup(path);
    if (!p) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    for (char *s = p + 1; st == OK; s++) {
        if (*s && *s != '/') continue;
        char keep = *s;
        *s = 0;
        if (mkdir(p, 0700) != 0 && errno != EEXIST) st = os_error(err, "create folder", p);
        *s = keep;
        if (!keep) break;
    }
    struct stat sb;
    if (st == OK && (stat(path, &sb) != 0 || !S_ISDIR(sb.st_mode)))
        st = error_set(err, ERR_IO, "%s exists and is not a folder", path);
    free(p);
    return st;
}

bool file_exists(const char *path)
{
    struct stat sb;
    return stat(path, &sb) == 0;
}
