/* The folder of kept sessions: which go when it is full, and all of them when asked. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "infer/session_file.h"

enum { STALE_SECONDS = 3600 }; /* a temporary file this old has lost its writer */

struct entry {
    char name[80];
    uint64_t bytes;
    struct timespec used;
};

struct listing {
    struct entry *items;
    size_t n, cap;
    uint64_t bytes;
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool list_add(struct listing *l, const char *name, const struct stat *sb)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        struct entry *items = realloc(l->items, cap * sizeof *items);
        if (!items) return false;
        l->items = items;
        l->cap = cap;
    }
    struct entry *e = &l->items[l->n++];
    memcpy(e->name, name, strlen(name) + 1);
    e->bytes = (uint64_t)sb->st_size;
    e->used = sb->st_mtim;
    l->bytes += e->bytes;
    return true;
}

/* Sessions, and temporary files whose writer is gone. */
static enum status list_sessions(DIR *d, struct listing *l, struct error *err)
{
    time_t now = time(NULL);
    for (const struct dirent *e; (e = readdir(d));) {
        struct stat sb;
        bool temporary = strstr(e->d_name, ".session.tmp") != NULL;
        if (!temporary && !ends_with(e->d_name, ".session")) continue;
        if (strlen(e->d_name) >= sizeof l->items->name) continue;
        if (fstatat(dirfd(d), e->d_name, &sb, AT_SYMLINK_NOFOLLOW) || !S_ISREG(sb.st_mode))
            continue;
        if (temporary && now - sb.st_mtime < STALE_SECONDS) continue;
        if (temporary)
            unlinkat(dirfd(d), e->d_name, 0);
        else if (!list_add(l, e->d_name, &sb))
            return error_set(err, ERR_NOMEM, "no memory to list kept sessions");
    }
    return OK;
}

static int older_first(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return (x->used.tv_nsec > y->used.tv_nsec) - (x->used.tv_nsec < y->used.tv_nsec);
}

/* Deletes the oldest until max_bytes are left; counts what went. */
static enum status shrink(const char *dir, const char *keep, uint64_t max_bytes, size_t *count,
                          uint64_t *bytes, struct error *err)
{
    *count = 0;
    *bytes = 0;
    DIR *d = opendir(dir);
    if (!d) {
        if (errno == ENOENT) return OK;
        return error_set(err, ERR_IO, "cannot open %s: %s", dir, strerror(errno));
    }
    struct listing l = {0};
    enum status st = list_sessions(d, &l, err);
    if (l.n) qsort(l.items, l.n, sizeof *l.items, older_first);
    for (size_t i = 0; st == OK && i < l.n && l.bytes - *bytes > max_bytes; i++) {
        const struct entry *e = &l.items[i];
        if (keep && strcmp(e->name, keep) == 0) continue;
        if (unlinkat(dirfd(d), e->name, 0) && errno != ENOENT) {
            st = error_set(err, ERR_IO, "cannot delete %s/%s: %s", dir, e->name, strerror(errno));
        } else {
            *bytes += e->bytes;
            ++*count;
        }
    }
    free(l.items);
    closedir(d);
    return st;
}

enum status session_files_limit(const char *dir, const char *keep, uint64_t max_bytes,
                                struct error *err)
{
    size_t count;
    uint64_t bytes;
    return shrink(dir, keep, max_bytes, &count, &bytes, err);
}

enum status session_files_remove(const char *dir, size_t *count, uint64_t *bytes, struct error *err)
{
    return shrink(dir, NULL, 0, count, bytes, err);
}
