/* Model files made on this machine: written into the store's own folder, so that giving them their
 * name moves no bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sha256_chain.h"
#include "gguf/gguf.h"
#include "store/chain_file.h"
#include "store/store_int.h"

enum status store_import_path(const struct store *s, const char *name, char **out,
                              struct error *err)
{
    enum status st = store_path(s, STORE_IMPORT, name, out, err);
    if (st) return st;
    st = store_make_parent(*out, err);
    if (st) {
        free(*out);
        *out = NULL;
    }
    return st;
}

/* `hash` keeps the states for chain_write. */
static enum status digest_file(const char *path, const struct store_events *ev,
                               struct sha256_chain *hash, char digest[65], uint64_t *bytes,
                               struct error *err)
{
    struct stat sb;
    uint8_t bin[SHA256_BYTES];
    uint64_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &sb) != 0) {
        enum status st = error_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return st;
    }
    *bytes = (uint64_t)sb.st_size;
    sha256_chain_init(hash);
    enum status st = store_hash_fd(fd, *bytes, path, hash, ev, &n, err);
    if (!st && (st = sha256_chain_final(hash, bin))) error_set(err, st, "cannot hash %s", path);
    close(fd);
    if (!st) sha256_hex(bin, digest);
    return st;
}

/* Under the digest's lock. A file that is there already is the same file. */
static enum status place_blob(const struct store *s, const char *path, const char *digest,
                              struct error *err)
{
    char *blob;
    enum status st = store_path(s, STORE_BLOB, digest, &blob, err);
    if (st) return st;
    st = store_make_parent(blob, err);
    if (!st && chmod(path, 0444) != 0)
        st = error_set(err, ERR_IO, "cannot make %s read-only: %s", path, strerror(errno));
    if (!st && rename(path, blob) != 0)
        st = error_set(err, ERR_IO, "cannot move %s to its place: %s", path, strerror(errno));
    if (!st) st = file_sync_parent(blob, err);
    free(blob);
    return st;
}

static enum status describe(const struct store *s, const char *name, const char *digest,
                            json_t **out, struct error *err)
{
    char *blob;
    struct gguf *g;
    enum status st = store_path(s, STORE_BLOB, digest, &blob, err);
    if (st) return st;
    st = gguf_open(blob, &g, err);
    free(blob);
    if (st) return st;
    *out = json_pack("{s:s}", "name", name);
    if (*out) facts_add(g, *out);
    gguf_close(g);
    return *out ? OK : error_set(err, ERR_NOMEM, "out of memory");
}

static enum status name_it(const struct store *s, const struct manifest *m, const char *old,
                           const struct store_events *ev, struct error *err)
{
    struct store_lock commit;
    uint64_t freed;
    enum status st = store_lock_take(s, STORE_LOCK_COMMIT, NULL, "the store", ev, &commit, err);
    if (st) return st;
    st = manifest_write(s, m, err);
    if (!st && old[0] && strcmp(old, m->sha256) != 0) st = blob_release(s, old, false, &freed, err);
    store_lock_drop(&commit);
    return st;
}

static enum status adopt_locked(const struct store *s, const char *name, const char *path,
                                const char *source, const struct store_events *ev,
                                struct error *err)
{
    struct manifest m = {.name = name, .source = source, .digest_from = "file"};
    struct store_lock lock = {-1};
    struct store_model old;
    struct sha256_chain hash = {0};
    char digest[65];
    enum status st = store_find(s, name, &old, NULL);
    if (st != OK) old.sha256[0] = 0;
    st = digest_file(path, ev, &hash, digest, &m.bytes, err);
    if (!st) st = store_lock_take(s, STORE_LOCK_DIGEST, digest, name, ev, &lock, err);
    if (!st) st = place_blob(s, path, digest, err);
    if (!st) chain_write(s, digest, &hash, NULL); /* only speeds up verifying */
    if (!st) st = describe(s, name, digest, &m.model, err);
    m.sha256 = digest;
    if (!st) st = name_it(s, &m, old.sha256, ev, err);
    sha256_chain_fini(&hash);
    json_decref(m.model);
    store_lock_drop(&lock);
    store_model_fini(&old);
    return st;
}

enum status store_adopt(const struct store *s, const char *name, const char *path,
                        const char *source, const struct store_events *ev, struct store_model *out,
                        struct error *err)
{
    struct store_lock lock;
    *out = (struct store_model){0};
    enum status st = store_lock_take(s, STORE_LOCK_NAME, name, name, ev, &lock, err);
    if (st) return st;
    st = adopt_locked(s, name, path, source, ev, err);
    if (!st) st = store_find(s, name, out, err);
    store_lock_drop(&lock);
    return st;
}
