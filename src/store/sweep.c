/* What interrupted pulls leave behind: how much it is, and its removal. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/store_int.h"

enum { STALE_SECONDS = 3600 };

static int remove_entry(const char *path, const struct stat *sb, int kind, struct FTW *walk)
{
    (void)sb, (void)kind, (void)walk;
    remove(path);
    return 0;
}

void store_remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Temporary files of file_replace whose process was killed. */
static void sweep_temporaries(const char *dir)
{
    DIR *d = opendir(dir);
    time_t now = time(NULL);
    for (const struct dirent *e; d && (e = readdir(d));) {
        struct stat sb;
        if (!strstr(e->d_name, ".tmp-")) continue;
        if (fstatat(dirfd(d), e->d_name, &sb, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(sb.st_mode) &&
            now - sb.st_mtime > STALE_SECONDS)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d) closedir(d);
}

/* The digest that a name in partial/ or blobs/ is about; false where it is none. */
static bool digest_of(const char *entry, char digest[65])
{
    if (strncmp(entry, "sha256-", 7) == 0) entry += 7;
    if (strlen(entry) < 64) return false;
    memcpy(digest, entry, 64);
    digest[64] = 0;
    return store_digest_valid(digest);
}

static void remove_repair(const struct store *s, const char *digest)
{
    struct store_lock lock;
    char *path;
    if (store_lock_try(s, STORE_LOCK_DIGEST, digest, &lock, NULL) != OK) return;
    if (store_path(s, STORE_REPAIR, digest, &path, NULL) == OK) unlink(path);
    free(path);
    store_lock_drop(&lock);
}

static void remove_work(const struct store *s, const char *digest)
{
    struct store_lock lock;
    char *work;
    if (store_lock_try(s, STORE_LOCK_DIGEST, digest, &lock, NULL) != OK) return;
    if (store_path(s, STORE_WORK, digest, &work, NULL) == OK) store_remove_tree(work);
    free(work);
    store_lock_drop(&lock);
}

void store_sweep(const struct store *s)
{
    char *dir;
    if (store_path(s, STORE_PARTIALS, NULL, &dir, NULL) != OK) return;
    sweep_temporaries(dir);
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));) {
        char digest[65];
        if (digest_of(e->d_name, digest) && strcmp(e->d_name + 64, ".work") == 0)
            remove_work(s, digest);
        if (digest_of(e->d_name, digest) && strcmp(e->d_name + 64, ".repair") == 0)
            remove_repair(s, digest);
    }
    if (d) closedir(d);
    free(dir);
    if (store_path(s, STORE_MANIFESTS, NULL, &dir, NULL) != OK) return;
    d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));) {
        char *family;
        if (e->d_name[0] == '.' || asprintf(&family, "%s/%s", dir, e->d_name) < 0) continue;
        sweep_temporaries(family);
        free(family);
    }
    if (d) closedir(d);
    free(dir);
}

/* Visits what is left over in partial/, and files in blobs/ that no manifest names. */
struct leftover {
    const struct store *s;
    bool remove;
    size_t count;
    uint64_t bytes;
};

static uint64_t size_of(const char *path)
{
    struct stat sb;
    return lstat(path, &sb) == 0 && S_ISREG(sb.st_mode) ? (uint64_t)sb.st_size : 0;
}

static enum status leftover_partial(struct leftover *l, const char *digest, struct error *err)
{
    struct store_lock lock = {-1};
    char *file = NULL, *note = NULL, *work = NULL;
    enum status st;
    if ((st = store_path(l->s, STORE_PARTIAL, digest, &file, err)) ||
        (st = store_path(l->s, STORE_PARTIAL_NOTE, digest, &note, err)) ||
        (st = store_path(l->s, STORE_WORK, digest, &work, err)))
        goto out;
    if (l->remove) {
        st = store_lock_try(l->s, STORE_LOCK_DIGEST, digest, &lock, err);
        if (st == ERR_BUSY) {
            st = OK; /* a pull is writing it */
            goto out;
        }
        if (st) goto out;
    }
    uint64_t size = size_of(file);
    if (l->remove) {
        if (unlink(file) != 0 && errno != ENOENT)
            st = error_set(err, ERR_IO, "cannot remove %s: %s", file, strerror(errno));
        unlink(note);
        store_remove_tree(work);
    }
    if (size) l->count++; /* a pull that has just begun, or was killed as it did */
    l->bytes += size;
out:
    store_lock_drop(&lock);
    free(file);
    free(note);
    free(work);
    return st;
}

static enum status leftover_blob(struct leftover *l, const char *digest, struct error *err)
{
    char *path;
    if (manifest_digest_used(l->s, digest)) return OK;
    enum status st = store_path(l->s, STORE_BLOB, digest, &path, err);
    if (st) return st;
    uint64_t size = size_of(path);
    if (l->remove) st = blob_release(l->s, digest, false, &size, err);
    if (st == OK && size > 0) {
        l->count++;
        l->bytes += size;
    }
    free(path);
    return st;
}

static enum status each_leftover(struct leftover *l, enum store_place place, struct error *err)
{
    char *dir;
    enum status st = store_path(l->s, place, NULL, &dir, err);
    if (st) return st;
    DIR *d = opendir(dir);
    if (!d && errno != ENOENT)
        st = error_set(err, ERR_IO, "cannot list %s: %s", dir, strerror(errno));
    for (const struct dirent *e; d && st == OK && (e = readdir(d));) {
        char digest[65];
        if (!digest_of(e->d_name, digest)) continue;
        if (place == STORE_BLOBS)
            st = leftover_blob(l, digest, err);
        else if (strlen(e->d_name) == 64) /* the note and work folder belong to it */
            st = leftover_partial(l, digest, err);
    }
    if (d) closedir(d);
    free(dir);
    return st;
}

/* "FAMILY@TAG.gguf.part" and its ".log": an import that was interrupted, or one under way, which
 * holds a lock on the first. */
static enum status leftover_import(struct leftover *l, const char *dir, const char *entry,
                                   struct error *err)
{
    char *part = NULL, *log = NULL;
    int fd = -1;
    enum status st = OK;
    if (asprintf(&part, "%s/%s", dir, entry) < 0) part = NULL;
    if (part && asprintf(&log, "%s.log", part) < 0) log = NULL;
    if (!log) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    uint64_t size = size_of(part);
    if (l->remove) {
        fd = open(part, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) goto out;
        if (unlink(part) != 0 && errno != ENOENT)
            st = error_set(err, ERR_IO, "cannot remove %s: %s", part, strerror(errno));
        unlink(log);
    }
    l->count++;
    l->bytes += size;
out:
    if (fd >= 0) close(fd);
    free(part);
    free(log);
    return st;
}

static enum status each_import(struct leftover *l, struct error *err)
{
    char *dir;
    enum status st = store_path(l->s, STORE_IMPORTS, NULL, &dir, err);
    if (st) return st;
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && st == OK && (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        if (n > 10 && strcmp(e->d_name + n - 10, ".gguf.part") == 0)
            st = leftover_import(l, dir, e->d_name, err);
    }
    if (d) closedir(d);
    free(dir);
    return st;
}

enum status store_unfinished(const struct store *s, size_t *count, uint64_t *bytes,
                             struct error *err)
{
    struct leftover l = {.s = s};
    enum status st = each_leftover(&l, STORE_PARTIALS, err);
    if (st == OK) st = each_leftover(&l, STORE_BLOBS, err);
    if (st == OK) st = each_import(&l, err);
    *count = l.count;
    *bytes = l.bytes;
    return st;
}

enum status store_remove_unfinished(const struct store *s, size_t *count, uint64_t *freed,
                                    struct error *err)
{
    struct leftover l = {.s = s, .remove = true};
    struct store_lock commit = {-1};
    enum status st = each_leftover(&l, STORE_PARTIALS, err);
    if (st == OK) st = each_import(&l, err);
    if (st == OK) st = store_lock_take(s, STORE_LOCK_COMMIT, NULL, "the store", NULL, &commit, err);
    if (st == OK) st = each_leftover(&l, STORE_BLOBS, err);
    store_lock_drop(&commit);
    *count = l.count;
    *freed = l.bytes;
    return st;
}
