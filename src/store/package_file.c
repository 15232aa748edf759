#include "store/package_file.h"

#include <archive.h>
#include <archive_entry.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/sha256.h"
#include "store/pip.h"
#include "store/store_int.h"

/* Whether the bytes are those that are wanted. */
static enum status check(const struct package_file *f, const struct buf *b, struct error *err)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_SIZE];
    if (sha256_of(b->data ? b->data : "", b->len, digest) != OK)
        return error_set(err, ERR_NOMEM, "out of memory");
    sha256_hex(digest, hex);
    if (strcmp(hex, f->sha256) == 0) return OK;
    return error_set(err, ERR_INTEGRITY,
                     "%s of package %s %s has another SHA-256 than expected (%.16s... instead of "
                     "%.16s...); it was not used",
                     f->name, f->package, f->version, hex, f->sha256);
}

static enum status read_member(struct archive *a, struct buf *out, const char *wheel,
                               struct error *err)
{
    char chunk[16384];
    for (;;) {
        la_ssize_t n = archive_read_data(a, chunk, sizeof chunk);
        if (n == 0) return OK;
        if (n < 0) return error_set(err, ERR_FORMAT, "%s is no readable wheel", wheel);
        enum status st = buf_append(out, chunk, (size_t)n);
        if (st) return error_set(err, st, "%s holds more than expected", wheel);
    }
}

static enum status extract(const char *wheel, const char *pattern, struct buf *out,
                           struct error *err)
{
    struct archive *a = archive_read_new();
    if (!a) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = ERR_NOT_FOUND;
    if (archive_read_support_format_zip_seekable(a) == ARCHIVE_OK &&
        archive_read_open_filename(a, wheel, 1 << 16) == ARCHIVE_OK) {
        struct archive_entry *e;
        while (st == ERR_NOT_FOUND && archive_read_next_header(a, &e) == ARCHIVE_OK) {
            const char *name = archive_entry_pathname(e);
            if (name && fnmatch(pattern, name, FNM_PATHNAME | FNM_PERIOD) == 0)
                st = read_member(a, out, wheel, err);
        }
    }
    archive_read_free(a);
    if (st == ERR_NOT_FOUND) error_set(err, st, "%s has no member like %s", wheel, pattern);
    return st;
}

static enum status fetch(const struct package_file *f, const char *work, bool (*tick)(void *ctx),
                         void *ctx, struct buf *out, struct error *err)
{
    struct pip pip;
    char *wheel = NULL;
    store_remove_tree(work);
    enum status st = pip_find(&pip, err);
    if (st == OK) st = pip_download(&pip, &f->package, 1, f->version, work, tick, ctx, err);
    if (st == OK) st = pip_wheel(work, f->package, &wheel, err);
    if (st == OK) st = extract(wheel, f->member, out, err);
    store_remove_tree(work);
    free(wheel);
    return st ? st : check(f, out, err);
}

enum status store_package_file(struct store *s, const struct package_file *f,
                               bool (*tick)(void *ctx), void *ctx, char **path, struct error *err)
{
    char *file = NULL, *work = NULL, *dir = NULL;
    struct buf b;
    buf_init(&b, PACKAGE_FILE_MAX_BYTES);
    enum status st = OK;
    *path = NULL;
    if (asprintf(&file, "%s/data/%s", store_root(s), f->name) < 0) file = NULL;
    if (asprintf(&dir, "%s/data", store_root(s)) < 0) dir = NULL;
    /* A folder of this process alone: two that fetch at once must not share it. */
    if (asprintf(&work, "%s/partial/%s.%ld", store_root(s), f->package, (long)getpid()) < 0)
        work = NULL;
    if (!file || !work || !dir) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    bool here =
        file_exists(file) && file_read_all(file, &b, NULL) == OK && check(f, &b, NULL) == OK;
    if (!here) {
        buf_clear(&b);
        st = fetch(f, work, tick, ctx, &b, err);
        if (st == OK) st = file_make_dirs(dir, err);
        if (st == OK) st = file_replace(file, b.data, b.len, err);
    }
    if (st == OK) {
        *path = file;
        file = NULL;
    }
out:
    buf_fini(&b);
    free(file);
    free(work);
    free(dir);
    return st;
}
