#include "store/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "store/chain_file.h"

static void read_note(struct partial *p)
{
    struct buf text;
    buf_init(&text, 4096);
    if (file_exists(p->note_path) && file_read_all(p->note_path, &text, NULL) == OK && text.len) {
        json_t *j = json_loadb(text.data, text.len, 0, NULL);
        const char *etag = json_string_value(json_object_get(j, "etag"));
        const char *host = json_string_value(json_object_get(j, "host"));
        if (etag && host && strlen(etag) < sizeof p->etag && strlen(host) < sizeof p->host) {
            snprintf(p->etag, sizeof p->etag, "%s", etag);
            snprintf(p->host, sizeof p->host, "%s", host);
        }
        json_decref(j);
    }
    buf_fini(&text);
}

void partial_note(struct partial *p, const char *host, const char *etag)
{
    if (strlen(host) >= sizeof p->host || strlen(etag) >= sizeof p->etag) etag = host = "";
    if (strcmp(p->host, host) == 0 && strcmp(p->etag, etag) == 0) return;
    snprintf(p->host, sizeof p->host, "%s", host);
    snprintf(p->etag, sizeof p->etag, "%s", etag);
    json_t *j = json_pack("{s:s, s:s}", "host", p->host, "etag", p->etag);
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    if (text) file_replace(p->note_path, text, strlen(text), NULL);
    free(text);
    json_decref(j);
}

enum status partial_open(const struct store *s, const char *digest, uint64_t expected,
                         const struct store_events *ev, struct partial *out, struct error *err)
{
    *out = (struct partial){.store = s, .events = ev, .fd = -1, .expected = expected};
    struct stat sb;
    enum status st = store_path(s, STORE_PARTIAL, digest, &out->path, err);
    if (st == OK) st = store_path(s, STORE_PARTIAL_NOTE, digest, &out->note_path, err);
    if (st == OK) st = store_make_parent(out->path, err);
    if (st) goto fail;
    memcpy(out->digest, digest, sizeof out->digest);
    out->fd = open(out->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (out->fd < 0 || fstat(out->fd, &sb) != 0) {
        st = error_set(err, ERR_IO, "cannot open %s: %s", out->path, strerror(errno));
        goto fail;
    }
    read_note(out);
    uint64_t keep = (uint64_t)sb.st_size;
    if (expected && keep > expected) keep = 0;
    st = partial_truncate(out, keep, err);
    if (st == OK) return OK;
fail:
    partial_close(out);
    return st;
}

void partial_close(struct partial *p)
{
    if (p->fd >= 0) close(p->fd);
    sha256_chain_fini(&p->hash);
    free(p->path);
    free(p->note_path);
    *p = (struct partial){.fd = -1};
}

void partial_discard(struct partial *p)
{
    if (p->path) unlink(p->path);
    if (p->note_path) unlink(p->note_path);
    partial_close(p);
}

static enum status write_failed(const struct partial *p, struct error *err)
{
    int e = errno;
    if (e != ENOSPC && e != EDQUOT && e != EFBIG)
        return error_set(err, ERR_IO, "cannot write %s: %s", p->path, strerror(e));
    char more[64] = "";
    if (p->expected > p->len)
        snprintf(more, sizeof more, ", %.2f GB more needed", (double)(p->expected - p->len) / 1e9);
    return error_set(err, ERR_IO,
                     "no space left in %s (%s%s); free some, or set HEARTH_HOME to a folder on "
                     "another disk; what was downloaded is kept, and the next pull goes on from "
                     "there (hearth rm --unfinished deletes it)",
                     p->store->root, strerror(e), more);
}

enum status partial_write(struct partial *p, const void *data, size_t len, struct error *err)
{
    if (p->expected && len > p->expected - p->len)
        return error_set(err, ERR_INTEGRITY, "it sends more than the %llu bytes of the model",
                         (unsigned long long)p->expected);
    size_t done = 0;
    enum status st = OK;
    while (st == OK && done < len) {
        ssize_t n = pwrite(p->fd, (const char *)data + done, len - done, (off_t)(p->len + done));
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            st = write_failed(p, err);
    }
    sha256_chain_update(&p->hash, data, done);
    p->len += done;
    return st;
}

enum status partial_truncate(struct partial *p, uint64_t len, struct error *err)
{
    p->len = p->shown = 0;
    sha256_chain_init(&p->hash);
    if (ftruncate(p->fd, (off_t)len) != 0)
        return error_set(err, ERR_IO, "cannot cut %s: %s", p->path, strerror(errno));
    if (len == 0) return OK;
    enum status st = store_hash_fd(p->fd, len, p->path, &p->hash, p->events, &p->len, err);
    if (st == OK && p->len != len)
        st = error_set(err, ERR_IO, "%s became shorter while it was read", p->path);
    return st;
}

bool partial_report(struct partial *p, enum store_phase phase, uint64_t position)
{
    if (position > p->shown) p->shown = position;
    return store_progress(p->events, phase, p->shown, p->expected);
}

enum status partial_expect(struct partial *p, uint64_t bytes, struct error *err)
{
    if (p->expected && p->expected != bytes)
        return error_set(err, ERR_INTEGRITY, "its file has %llu bytes and the model has %llu",
                         (unsigned long long)bytes, (unsigned long long)p->expected);
    if (bytes < p->len)
        return error_set(err, ERR_INTEGRITY, "its file has %llu bytes, fewer than are here already",
                         (unsigned long long)bytes);
    p->expected = bytes;
    return store_need_space(p->store, bytes - p->len, err);
}

/* To disk, then to its place, then the folder to disk. */
static enum status publish(struct partial *p, struct error *err)
{
    char *blob;
    enum status st = store_path(p->store, STORE_BLOB, p->digest, &blob, err);
    if (st == OK) st = store_make_parent(blob, err);
    if (st) goto out;
    if (fchmod(p->fd, 0444) != 0 || fsync(p->fd) != 0) {
        st =
            error_set(err, ERR_IO, "the disk failed to store %s (%s); it was discarded, pull again",
                      p->path, strerror(errno));
        unlink(p->path);
        goto out;
    }
    if (rename(p->path, blob) != 0) {
        st = error_set(err, ERR_IO, "cannot move %s to %s: %s", p->path, blob, strerror(errno));
        goto out;
    }
    st = file_sync_parent(blob, err);
    unlink(p->note_path);
    if (st == OK) chain_write(p->store, p->digest, &p->hash, NULL); /* only speeds up verifying */
out:
    free(blob);
    return st;
}

enum status partial_finish(struct partial *p, struct error *err)
{
    uint8_t bin[SHA256_BYTES];
    char hex[SHA256_HEX_SIZE];
    enum status st;
    if (p->expected && p->len != p->expected) {
        st = error_set(err, ERR_NETWORK, "it ended after %llu of %llu bytes",
                       (unsigned long long)p->len, (unsigned long long)p->expected);
    } else if ((st = sha256_chain_final(&p->hash, bin)) != OK) {
        error_set(err, st, "cannot hash %s: %s", p->path, status_name(st));
    } else {
        sha256_hex(bin, hex);
        if (strcmp(hex, p->digest) == 0) {
            st = publish(p, err);
        } else {
            st = error_set(err, ERR_INTEGRITY,
                           "wrong checksum: SHA-256 %s expected, %s received; "
                           "the file was deleted",
                           p->digest, hex);
            partial_discard(p);
        }
    }
    partial_close(p);
    return st;
}
