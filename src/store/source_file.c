/* A file that is on this machine already. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/partial.h"
#include "store/source.h"
#include "store/store_int.h"
#include "store/verify.h"

static const char *path_of(const json_t *spec)
{
    return json_string_value(json_object_get(spec, "path"));
}

static enum status file_check(const json_t *spec, const char *digest, struct error *err)
{
    (void)digest;
    const char *path = path_of(spec);
    if (!path || !*path) return error_set(err, ERR_FORMAT, "\"path\" is missing");
    return OK;
}

static void file_describe(const json_t *spec, char *dst, size_t cap)
{
    snprintf(dst, cap, "file %s", path_of(spec));
}

static enum status open_regular(const char *path, int *fd, uint64_t *size, struct error *err)
{
    struct stat sb;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 || fstat(*fd, &sb) != 0) {
        int e = errno;
        if (*fd >= 0) close(*fd);
        return error_set(err, ERR_NOT_FOUND, "cannot open %s: %s", path, strerror(e));
    }
    if (!S_ISREG(sb.st_mode) || sb.st_size == 0) {
        close(*fd);
        return error_set(err, ERR_INVALID, "%s is not a file with anything in it", path);
    }
    *size = (uint64_t)sb.st_size;
    return OK;
}

static enum status file_probe(const json_t *spec, const struct store *store,
                              const struct store_events *events, struct source_facts *out,
                              struct error *err)
{
    (void)store;
    *out = (struct source_facts){.computed = true};
    int fd;
    enum status st = open_regular(path_of(spec), &fd, &out->bytes, err);
    if (st) return st;
    struct sha256_chain hash = {0};
    uint8_t bin[SHA256_BYTES];
    uint64_t n;
    sha256_chain_init(&hash);
    st = store_hash_fd(fd, out->bytes, path_of(spec), &hash, events, &n, err);
    if (st == OK) st = sha256_chain_final(&hash, bin);
    sha256_chain_fini(&hash);
    close(fd);
    if (st == OK)
        sha256_hex(bin, out->digest);
    else if (!err || !err->msg[0])
        error_set(err, st, "cannot hash %s: %s", path_of(spec), status_name(st));
    return st;
}

static enum status copy(int fd, const char *path, struct fetch *f, struct error *err)
{
    enum { CHUNK = 1 << 20 };
    struct partial *p = f->part;
    char *chunk = malloc(CHUNK);
    if (!chunk) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    while (st == OK) {
        ssize_t n = pread(fd, chunk, CHUNK, (off_t)p->len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) st = error_set(err, ERR_NETWORK, "cannot read %s: %s", path, strerror(errno));
        if (n <= 0) break;
        st = partial_write(p, chunk, (size_t)n, err);
        if (st == OK && !store_progress(f->events, STORE_COPYING, p->len, p->expected))
            st = error_set(err, ERR_CANCELLED, "interrupted");
    }
    free(chunk);
    return st;
}

static enum status file_fetch(const json_t *spec, struct fetch *f, struct error *err)
{
    int fd;
    uint64_t size;
    struct partial *p = f->part;
    enum status st = open_regular(path_of(spec), &fd, &size, err);
    if (st) return st;
    if (p->expected && p->expected != size) {
        st = partial_expect(p, size, err); /* its message */
        close(fd);
        return st;
    }
    /* Where the file system can share blocks, the copy costs nothing; it is hashed as it lies. */
    if (ioctl(p->fd, FICLONE, fd) == 0) st = partial_truncate(p, size, err);
    if (st == OK) st = partial_expect(p, size, err);
    if (st == OK) st = copy(fd, path_of(spec), f, err);
    close(fd);
    return st;
}

static enum status file_mend(const json_t *spec, struct mend *m, struct error *err)
{
    enum { CHUNK = 1 << 20 };
    int fd;
    uint64_t size;
    enum status st = open_regular(path_of(spec), &fd, &size, err);
    if (st) return st;
    char *chunk = malloc(CHUNK);
    if (!chunk) st = error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK && size != m->bytes)
        st = error_set(err, ERR_INTEGRITY, "%s has another size now", path_of(spec));
    for (size_t i = 0; st == OK && i < m->n; i++) {
        for (uint64_t at = m->ranges[i].from; st == OK && at < m->ranges[i].to;) {
            uint64_t left = m->ranges[i].to - at;
            ssize_t n = pread(fd, chunk, left < CHUNK ? (size_t)left : CHUNK, (off_t)at);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0)
                st = error_set(err, ERR_NETWORK, "cannot read %s: %s", path_of(spec),
                               n ? strerror(errno) : "it is too short");
            else
                st = file_write_at(m->fd, m->path, at, chunk, (size_t)n, err);
            if (st) break;
            at += (uint64_t)n;
            m->fetched += (uint64_t)n;
        }
    }
    free(chunk);
    close(fd);
    return st;
}

const struct source_type source_file = {
    .name = "file",
    .check = file_check,
    .describe = file_describe,
    .probe = file_probe,
    .fetch = file_fetch,
    .mend = file_mend,
};
