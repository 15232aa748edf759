/* Mending a blob: a copy, the damaged ranges from a source, the digest of the whole, the disk, the
 * name. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/chain_file.h"
#include "store/verify_int.h"

static enum status copy_bytes(int from, int to, const char *path, uint64_t bytes, struct error *err)
{
    enum { CHUNK = 1 << 20 };
    if (ioctl(to, FICLONE, from) == 0) return OK;
    char *chunk = malloc(CHUNK);
    if (!chunk) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    for (uint64_t at = 0; st == OK && at < bytes;) {
        ssize_t n = pread(from, chunk, bytes - at < CHUNK ? (size_t)(bytes - at) : CHUNK, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EIO) { /* a part that the disk lost: it is to be fetched anyhow */
            n = (ssize_t)(bytes - at < 4096 ? bytes - at : 4096);
            memset(chunk, 0, (size_t)n);
        }
        if (n < 0) st = error_set(err, ERR_IO, "cannot read the blob: %s", strerror(errno));
        if (n <= 0) break;
        st = file_write_at(to, path, at, chunk, (size_t)n, err);
        at += (uint64_t)n;
    }
    free(chunk);
    return st;
}

/* The source in the manifest, else those of the catalogue, in turn. */
static enum status bring(const struct store *s, const struct store_model *m, struct mend *job,
                         struct error *err)
{
    const char *name = json_string_value(json_object_get(m->origin, "type"));
    const struct source_type *type = name ? source_type_find(name) : NULL;
    enum status st = ERR_NOT_FOUND;
    error_set(err, st, "no source of it is known; pull it again: hearth pull --verify %s", m->name);
    job->digest_given = !m->digest_from || strcmp(m->digest_from, "hub") != 0;
    if (type && type->mend && type->check(m->origin, m->sha256, err) == OK)
        st = type->mend(m->origin, job, err);
    const struct catalogue_model *entry = catalogue_find(s->catalogue, m->name);
    if (entry && strcmp(entry->name, m->name) != 0) entry = NULL;
    for (size_t i = 0; st && st != ERR_CANCELLED && st != ERR_IO && entry && i < entry->n_sources; i++) {
        const struct model_source *src = &entry->sources[i];
        if (src->type->mend) st = src->type->mend(src->spec, job, err);
    }
    return st;
}

static enum status check_copy(const struct store *s, struct mend *m, struct sha256_chain *hash,
                              struct error *err)
{
    uint8_t bin[SHA256_BYTES];
    char hex[SHA256_HEX_SIZE];
    uint64_t n;
    (void)s;
    sha256_chain_init(hash);
    enum status st = store_hash_fd(m->fd, UINT64_MAX, m->path, hash, m->events, &n, err);
    if (st == OK) st = sha256_chain_final(hash, bin);
    if (st) return st;
    sha256_hex(bin, hex);
    if (strcmp(hex, m->digest) == 0) return OK;
    return error_set(err, ERR_INTEGRITY,
                     "what the source sent does not give the SHA-256 that is due; pull it again");
}

static enum status publish(struct mend *m, const char *blob, struct error *err)
{
    if (fchmod(m->fd, 0444) != 0 || fsync(m->fd) != 0)
        return error_set(err, ERR_IO, "the disk failed to store the mended copy (%s)",
                         strerror(errno));
    if (rename(m->path, blob) != 0)
        return error_set(err, ERR_IO, "cannot move the mended copy to %s: %s", blob,
                         strerror(errno));
    return file_sync_parent(blob, err);
}

/* Under the digest's lock. */
static enum status mend_locked(const struct store *s, const struct store_model *m,
                               struct verify_blob *b, const struct store_events *ev,
                               struct error *err)
{
    char *blob = NULL, *path = NULL;
    struct sha256_chain hash = {0};
    struct byte_range whole = {0, m->bytes};
    struct mend job = {.store = s, .events = ev, .digest = m->sha256, .bytes = m->bytes, .fd = -1};
    int from = -1;
    bool cut_only = b->n_bad == 0 && b->bytes && strstr(b->problem, "follow its end");
    job.ranges = b->n_bad ? b->bad : &whole;
    job.n = cut_only ? 0 : b->n_bad ? b->n_bad : 1;
    enum status st = store_path(s, STORE_BLOB, b->sha256, &blob, err);
    if (st == OK) st = store_path(s, STORE_REPAIR, b->sha256, &path, err);
    if (st == OK) st = store_make_parent(path, err);
    if (st == OK) st = store_make_parent(blob, err);
    if (st == OK) st = store_need_space(s, m->bytes, err);
    if (st) goto out;
    job.path = path;
    unlink(path); /* of a repair that was killed */
    job.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (job.fd < 0) {
        st = error_set(err, ERR_IO, "cannot create %s: %s", path, strerror(errno));
        goto out;
    }
    from = open(blob, O_RDONLY | O_CLOEXEC);
    if (from >= 0 && b->n_bad + cut_only) st = copy_bytes(from, job.fd, path, m->bytes, err);
    if (st == OK && ftruncate(job.fd, (off_t)m->bytes) != 0)
        st = error_set(err, ERR_IO, "cannot set the size of %s: %s", path, strerror(errno));
    if (st == OK && job.n) st = bring(s, m, &job, err);
    b->fetched = job.fetched;
    if (st == OK) st = check_copy(s, &job, &hash, err);
    if (st == OK) st = publish(&job, blob, err);
    if (st == OK) {
        b->state = VERIFY_REPAIRED;
        chain_write(s, b->sha256, &hash, NULL);
    } else {
        unlink(path);
    }
out:
    if (job.fd >= 0) close(job.fd);
    if (from >= 0) close(from);
    sha256_chain_fini(&hash);
    free(blob);
    free(path);
    return st;
}

enum status verify_mend(const struct store *s, struct verify_blob *b, const struct store_events *ev,
                        struct error *err)
{
    struct error why = {0};
    struct store_lock lock = {-1};
    struct store_model m = {0};
    enum status st;
    if (!b->name[0]) {
        size_t used = strlen(b->problem);
        snprintf(b->problem + used, sizeof b->problem - used,
                 "; it has no name and so no source: hearth gc removes it");
        return OK;
    }
    st = store_find(s, b->name, &m, &why);
    if (st == OK) st = store_lock_take(s, STORE_LOCK_DIGEST, b->sha256, b->name, ev, &lock, &why);
    if (st == OK) st = mend_locked(s, &m, b, ev, &why);
    store_lock_drop(&lock);
    store_model_fini(&m);
    if (st == ERR_CANCELLED) return error_set(err, st, "%s", why.msg);
    if (st) {
        size_t used = strlen(b->problem);
        snprintf(b->problem + used, sizeof b->problem - used, "; it was not repaired: %.300s", why.msg);
    }
    return OK;
}
