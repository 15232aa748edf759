#include "store/wheel.h"

#include <archive.h>
#include <archive_entry.h>
#include <fnmatch.h>

#include "store/partial.h"

enum { MAX_MEMBERS = 4096, READ_BLOCK = 1 << 16 };

static enum status bad_archive(struct archive *a, const char *path, struct error *err)
{
    const char *why = archive_error_string(a);
    return error_set(err, ERR_FORMAT, "%s is no readable wheel: %s", path, why ? why : "cut short");
}

static enum status stream_member(struct archive *a, const char *path, uint64_t size, uint64_t max,
                                 struct partial *p, struct error *err)
{
    uint64_t got = 0;
    for (;;) {
        const void *block;
        size_t len;
        la_int64_t offset;
        int rc = archive_read_data_block(a, &block, &len, &offset);
        if (rc == ARCHIVE_EOF) break;
        if (rc != ARCHIVE_OK) return bad_archive(a, path, err);
        if (offset < 0 || (uint64_t)offset != got)
            return error_set(err, ERR_FORMAT, "%s: a member with holes", path);
        if (len > max - got)
            return error_set(err, ERR_INTEGRITY, "%s holds more than the %llu bytes expected", path,
                             (unsigned long long)max);
        enum status st = partial_write(p, block, len, err);
        if (st) return st;
        got += len;
        if (!partial_report(p, STORE_DOWNLOADING, p->len))
            return error_set(err, ERR_CANCELLED, "interrupted");
    }
    if (size && got != size)
        return error_set(err, ERR_INTEGRITY, "%s holds %llu bytes where %llu are expected", path,
                         (unsigned long long)got, (unsigned long long)size);
    return got ? OK : error_set(err, ERR_INTEGRITY, "%s holds an empty file", path);
}

enum status wheel_extract(const char *path, const char *pattern, uint64_t size, uint64_t max,
                          struct partial *p, struct error *err)
{
    if (size && size < max) max = size;
    struct archive *a = archive_read_new();
    if (!a) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    int found = 0, members = 0;
    if (archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
        archive_read_open_filename(a, path, READ_BLOCK) != ARCHIVE_OK) {
        st = bad_archive(a, path, err);
        goto out;
    }
    for (;;) {
        struct archive_entry *e;
        int rc = archive_read_next_header(a, &e);
        if (rc == ARCHIVE_EOF) break;
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) {
            st = bad_archive(a, path, err);
            goto out;
        }
        if (++members > MAX_MEMBERS) {
            st = error_set(err, ERR_LIMIT, "%s has more than %d members", path, MAX_MEMBERS);
            goto out;
        }
        const char *name = archive_entry_pathname(e);
        if (!name || archive_entry_filetype(e) != AE_IFREG ||
            fnmatch(pattern, name, FNM_PATHNAME | FNM_PERIOD) != 0)
            continue;
        if (found++) {
            st = error_set(err, ERR_INTEGRITY, "%s has two members like %s", path, pattern);
            goto out;
        }
        st = stream_member(a, path, size, max, p, err);
        if (st) goto out;
    }
    if (!found) st = error_set(err, ERR_NOT_FOUND, "%s has no member like %s", path, pattern);
out:
    archive_read_free(a);
    return st;
}
