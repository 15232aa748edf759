/* Files that clients send. They are no blobs yet: nobody vouched for their being models. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sha256.h"
#include "base/sha256_chain.h"
#include "store/store_int.h"

enum { KEEP_SECONDS = 24 * 3600 };

struct store_upload {
    const struct store *s;
    char digest[65];
    char *part, *path;
    int fd;
    uint64_t bytes;
    struct sha256_chain hash;
};

/* Deletes what nobody made a model of. */
static void sweep(const struct store *s)
{
    char *dir;
    if (store_path(s, STORE_UPLOADS, NULL, &dir, NULL) != OK) return;
    DIR *d = opendir(dir);
    time_t now = time(NULL);
    for (const struct dirent *e; d && (e = readdir(d));) {
        struct stat sb;
        if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &sb, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (now - sb.st_mtime <= KEEP_SECONDS) continue;
        char *folder;
        if (!S_ISDIR(sb.st_mode))
            unlinkat(dirfd(d), e->d_name, 0);
        else if (asprintf(&folder, "%s/%s", dir, e->d_name) >= 0)
            store_upload_folder_remove(folder);
    }
    if (d) closedir(d);
    free(dir);
}

void store_upload_abort(struct store_upload *u)
{
    if (!u) return;
    if (u->fd >= 0) {
        unlink(u->part);
        close(u->fd);
    }
    sha256_chain_fini(&u->hash);
    free(u->part);
    free(u->path);
    free(u);
}

enum status store_upload_begin(const struct store *s, const char *digest, struct store_upload **out,
                               struct error *err)
{
    *out = NULL;
    struct store_upload *u = calloc(1, sizeof *u);
    if (!u) return error_set(err, ERR_NOMEM, "no memory for the file");
    u->fd = -1;
    u->s = s;
    sha256_chain_init(&u->hash);
    enum status st = store_path(s, STORE_UPLOAD, digest, &u->path, err);
    if (st == OK) st = store_path(s, STORE_UPLOAD_PART, digest, &u->part, err);
    if (st == OK) st = store_make_parent(u->path, err);
    if (st == OK) {
        sweep(s);
        snprintf(u->digest, sizeof u->digest, "%s", digest);
        /* Two senders of the same file have a file each, and the last one's stays. */
        u->fd = mkostemp(u->part, O_CLOEXEC);
        if (u->fd < 0)
            st = error_set(err, ERR_IO, "cannot create %s: %s", u->part, strerror(errno));
    }
    if (st != OK) {
        store_upload_abort(u);
        return st;
    }
    *out = u;
    return OK;
}

enum status store_upload_write(struct store_upload *u, const void *data, size_t len,
                               struct error *err)
{
    enum { CHECK = 64 << 20 };
    if (u->bytes / CHECK != (u->bytes + len) / CHECK) {
        enum status st = store_need_space(u->s, CHECK, err);
        if (st != OK) return st;
    }
    enum status st = file_write_at(u->fd, u->part, u->bytes, data, len, err);
    if (st == OK) sha256_chain_update(&u->hash, data, len);
    u->bytes += len;
    return st;
}

enum status store_upload_finish(struct store_upload *u, struct error *err)
{
    uint8_t bin[SHA256_BYTES];
    char hex[SHA256_HEX_SIZE];
    enum status st = sha256_chain_final(&u->hash, bin);
    if (st != OK) error_set(err, st, "cannot hash the file");
    if (st == OK) {
        sha256_hex(bin, hex);
        if (strcmp(hex, u->digest) != 0)
            st = error_set(err, ERR_INTEGRITY,
                           "the bytes that came have the digest sha256:%s, not sha256:%s", hex,
                           u->digest);
    }
    if (st == OK && fsync(u->fd) != 0)
        st = error_set(err, ERR_IO, "cannot write %s: %s", u->part, strerror(errno));
    if (st == OK && rename(u->part, u->path) != 0)
        st = error_set(err, ERR_IO, "cannot move %s to its place: %s", u->part, strerror(errno));
    if (st == OK) {
        close(u->fd);
        u->fd = -1;
    }
    store_upload_abort(u);
    return st;
}

enum status store_upload_path(const struct store *s, const char *digest, char **out,
                              struct error *err)
{
    static const enum store_place places[] = {STORE_UPLOAD, STORE_BLOB};
    for (size_t i = 0; i < 2; i++) {
        struct stat sb;
        enum status st = store_path(s, places[i], digest, out, err);
        if (st != OK) return st;
        if (lstat(*out, &sb) == 0 && S_ISREG(sb.st_mode)) return OK;
        free(*out);
        *out = NULL;
    }
    return error_set(err, ERR_NOT_FOUND, "there is no file sha256:%s here; send it first", digest);
}

void store_upload_forget(const struct store *s, const char *digest)
{
    char *path;
    if (store_path(s, STORE_UPLOAD, digest, &path, NULL) != OK) return;
    unlink(path);
    free(path);
}

static bool fits_name(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strspn(name, letters);
    return n > 0 && n < 200 && name[n] == 0 && *name != '.';
}

enum status store_upload_folder(const struct store *s, const struct store_file *files, size_t n,
                                char **out, struct error *err)
{
    char *base, *dir = NULL;
    *out = NULL;
    enum status st = store_path(s, STORE_UPLOADS, NULL, &base, err);
    if (st != OK) return st;
    if (asprintf(&dir, "%s/folder-XXXXXX", base) < 0) dir = NULL;
    free(base);
    if (!dir) return error_set(err, ERR_NOMEM, "out of memory");
    st = store_make_parent(dir, err);
    if (st == OK && !mkdtemp(dir))
        st = error_set(err, ERR_IO, "cannot create %s: %s", dir, strerror(errno));
    if (st != OK) {
        free(dir);
        return st;
    }
    for (size_t i = 0; i < n && st == OK; i++) {
        char *file = NULL, *link = NULL;
        if (!fits_name(files[i].name))
            st = error_set(err, ERR_INVALID, "'%.80s' is no plain name of a file", files[i].name);
        if (st == OK) st = store_upload_path(s, files[i].digest, &file, err);
        if (st == OK && asprintf(&link, "%s/%s", dir, files[i].name) < 0) {
            link = NULL;
            st = error_set(err, ERR_NOMEM, "out of memory");
        }
        /* A symbolic link where the file lies on another disk; the sandbox allows none. */
        if (st == OK && linkat(AT_FDCWD, file, AT_FDCWD, link, 0) != 0 && symlink(file, link) != 0)
            st = error_set(err, ERR_IO, "cannot create %s: %s", link, strerror(errno));
        free(link);
        free(file);
    }
    if (st == OK)
        *out = dir;
    else
        store_upload_folder_remove(dir);
    return st;
}

void store_upload_folder_remove(char *path)
{
    if (!path) return;
    store_remove_tree(path);
    free(path);
}
