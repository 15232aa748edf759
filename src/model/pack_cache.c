/* Packed weights on disk. Nothing in such a file is trusted: the header that the plan asks for is
 * made anew and compared, so the offsets used are always the plan's own. */
#include "model/pack_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/file.h"
#include "kern/kern.h"

#define LAYOUT_VERSION 1
#define HEADER_ALIGN   4096 /* data begins on a page */

struct header {
    char magic[8];
    uint32_t layout_version;
    uint32_t pack_version;
    char identity[64];
    uint64_t data_bytes;
    uint64_t n_entries;
    /* struct pack_entry [n_entries] follow, then zeros up to HEADER_ALIGN */
};

struct pack_writer {
    int fd;
    uint64_t header_bytes;
    char *tmp, *path; /* owned */
};

/* FNV-1a, 64 bits. */
uint64_t pack_name_hash(const char *name, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++) h = (h ^ (uint8_t)name[i]) * 0x100000001b3u;
    return h;
}

/* Allocates the header that a cache of this plan has, and the size of the whole file. */
static struct header *make_header(const struct pack_plan *plan, uint64_t *header_bytes,
                                  uint64_t *file_bytes)
{
    uint64_t table, bytes;
    if (!checked_mul(plan->n_entries, sizeof *plan->entries, &table) ||
        !checked_add(table, sizeof(struct header), &bytes) ||
        !checked_align(bytes, HEADER_ALIGN, header_bytes) ||
        !checked_add(*header_bytes, plan->data_bytes, file_bytes) || *file_bytes > INT64_MAX)
        return NULL;
    struct header *h = calloc(1, *header_bytes);
    if (!h) return NULL;
    memcpy(h->magic, "HRTHPACK", 8);
    h->layout_version = LAYOUT_VERSION;
    h->pack_version = KERN_PACK_VERSION;
    memcpy(h->identity, plan->identity, strnlen(plan->identity, sizeof h->identity));
    h->data_bytes = plan->data_bytes;
    h->n_entries = plan->n_entries;
    if (table) memcpy(h + 1, plan->entries, table);
    return h;
}

static char *cache_path(const char *dir, const struct pack_plan *plan, const char *suffix)
{
    char *s;
    if (asprintf(&s, "%s/%s-%d.pack%s", dir, plan->identity, KERN_PACK_VERSION, suffix) < 0)
        return NULL;
    return s;
}

/* ---- reading --------------------------------------------------------------------------------- */

enum status pack_cache_open(const char *dir, const struct pack_plan *plan, struct pack_map *out,
                            struct error *err)
{
    uint64_t header_bytes = 0, file_bytes = 0;
    struct stat sb;
    int fd = -1;
    enum status st = OK;
    memset(out, 0, sizeof *out);
    char *path = cache_path(dir, plan, "");
    struct header *want = make_header(plan, &header_bytes, &file_bytes);
    if (!path || !want) {
        st = error_set(err, ERR_NOMEM, "out of memory for the packed weights' cache");
        goto out;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait for its writer */
    if (fd < 0) {
        st = error_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", path,
                       strerror(errno));
        goto out;
    }
    if (fstat(fd, &sb) || !S_ISREG(sb.st_mode) || (uint64_t)sb.st_size != file_bytes) {
        st = error_set(err, ERR_FORMAT, "%s has not the size of this model's packed weights", path);
        goto out;
    }
    void *map = mmap(NULL, file_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        st = error_set(err, ERR_IO, "cannot map %s: %s", path, strerror(errno));
        goto out;
    }
    /* Starts reading what the page cache lacks; costs next to nothing where it has it all. Faulting
     * the pages in ahead of use would not pay: the kernel maps many at a time. */
    (void)madvise(map, file_bytes, MADV_WILLNEED);
    *out = (struct pack_map){map, file_bytes, (const uint8_t *)map + header_bytes};
    if (memcmp(map, want, header_bytes)) {
        st = error_set(err, ERR_FORMAT, "%s does not hold this model's packed weights", path);
        pack_map_close(out);
    }
out:
    if (fd >= 0) close(fd);
    free(want);
    free(path);
    return st;
}

void pack_map_close(struct pack_map *m)
{
    if (m->map) munmap(m->map, m->map_bytes);
    memset(m, 0, sizeof *m);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Removes what writers of this cache that died left behind. A living one holds a lock. */
static void remove_stale(const char *dir, const char *path)
{
    const char *base = strrchr(path, '/') + 1;
    size_t len = strlen(base);
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        if (strncmp(e->d_name, base, len) || strncmp(e->d_name + len, ".tmp", 4)) continue;
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0) continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlinkat(dirfd(d), e->d_name, 0);
        close(fd);
    }
    if (d) closedir(d);
}

enum status pack_writer_begin(const char *dir, const struct pack_plan *plan,
                              struct pack_writer **out, struct error *err)
{
    uint64_t file_bytes = 0;
    *out = NULL;
    struct header *h = NULL;
    struct pack_writer *w = calloc(1, sizeof *w);
    enum status st = ERR_NOMEM;
    if (!w) return error_set(err, st, "out of memory for the packed weights' cache");
    w->fd = -1;
    h = make_header(plan, &w->header_bytes, &file_bytes);
    w->path = cache_path(dir, plan, "");
    char *tmp = cache_path(dir, plan, ".tmpXXXXXX");
    if (!h || !w->path || !tmp) {
        error_set(err, st, "out of memory for the packed weights' cache");
        goto out;
    }
    st = file_make_dirs(dir, err);
    if (st) goto out;
    remove_stale(dir, w->path);
    w->fd = mkostemp(tmp, O_CLOEXEC); /* mode 0600 */
    if (w->fd < 0) {
        st = error_set(err, ERR_IO, "cannot make a file in %s: %s", dir, strerror(errno));
        goto out;
    }
    w->tmp = tmp;
    tmp = NULL;
    flock(w->fd, LOCK_EX | LOCK_NB); /* where locks do not work nothing stale is removed either */
    st = file_set_size(w->fd, w->path, file_bytes, err);
    if (!st) st = file_write_at(w->fd, w->path, 0, h, w->header_bytes, err);
out:
    free(h);
    free(tmp);
    if (st)
        pack_writer_abandon(w);
    else
        *out = w;
    return st;
}

enum status pack_writer_put(struct pack_writer *w, uint64_t offset, const void *data, size_t len,
                            struct error *err)
{
    enum status st = file_write_at(w->fd, w->path, w->header_bytes + offset, data, len, err);
    /* Starts the disk on it at once: commit then waits for little. */
    if (!st)
        (void)sync_file_range(w->fd, (off_t)(w->header_bytes + offset), (off_t)len,
                              SYNC_FILE_RANGE_WRITE);
    return st;
}

enum status pack_writer_commit(struct pack_writer *w, struct error *err)
{
    enum status st = OK;
    if (fsync(w->fd) || rename(w->tmp, w->path)) {
        st = error_set(err, ERR_IO, "cannot keep %s: %s", w->path, strerror(errno));
    } else {
        free(w->tmp); /* it has its final name */
        w->tmp = NULL;
    }
    pack_writer_abandon(w);
    return st;
}

void pack_writer_abandon(struct pack_writer *w)
{
    if (!w) return;
    if (w->tmp) unlink(w->tmp);
    if (w->fd >= 0) close(w->fd);
    free(w->tmp);
    free(w->path);
    free(w);
}
