#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/sha256_chain.h"
#include "store/store_int.h"

/* $HEARTH_HOME, else $XDG_DATA_HOME/hearth, else ~/.local/share/hearth; made absolute, since
 * programs started later may have another working folder. */
static enum status default_root(char **out, struct error *err)
{
    const char *home = getenv("HEARTH_HOME"), *xdg = getenv("XDG_DATA_HOME"), *h = getenv("HOME");
    int n = -1;
    *out = NULL;
    if (home && *home) {
        if (home[0] == '/') {
            n = asprintf(out, "%s", home);
        } else {
            char *cwd = getcwd(NULL, 0);
            if (!cwd)
                return error_set(err, ERR_IO,
                                 "HEARTH_HOME is relative, and the working folder "
                                 "cannot be told: %s",
                                 strerror(errno));
            n = asprintf(out, "%s/%s", cwd, home);
            free(cwd);
        }
    } else if (xdg && xdg[0] == '/') { /* the XDG specification has relative values ignored */
        n = asprintf(out, "%s/hearth", xdg);
    } else if (h && *h) {
        n = asprintf(out, "%s/.local/share/hearth", h);
    } else {
        return error_set(err, ERR_INVALID,
                         "neither HEARTH_HOME nor HOME is set, so there is no place for models");
    }
    if (n >= 0) return OK;
    *out = NULL;
    return error_set(err, ERR_NOMEM, "out of memory");
}

enum status store_open(const char *root, struct store **out, struct error *err)
{
    *out = NULL;
    struct store *s = calloc(1, sizeof *s);
    if (!s) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    char *user = NULL;
    if (root) {
        s->root = strdup(root);
        if (!s->root) st = error_set(err, ERR_NOMEM, "out of memory");
    } else {
        st = default_root(&s->root, err);
    }
    if (st == OK) st = store_path(s, STORE_CATALOGUE, NULL, &user, err);
    if (st == OK) st = catalogue_load(user, &s->catalogue, err);
    free(user);
    if (st)
        store_close(s);
    else
        *out = s;
    return st;
}

void store_close(struct store *s)
{
    if (!s) return;
    catalogue_destroy(s->catalogue);
    free(s->root);
    free(s);
}

const char *store_root(const struct store *s)
{
    return s->root;
}

const struct catalogue *store_catalogue(const struct store *s)
{
    return s->catalogue;
}

enum status store_path(const struct store *s, enum store_place place, const char *key, char **out,
                       struct error *err)
{
    static const struct {
        char key; /* 0, 'd'igest, 'n'ame */
        const char *format;
    } places[] = {
        [STORE_BLOBS] = {0, "blobs"},
        [STORE_MANIFESTS] = {0, "manifests"},
        [STORE_PARTIALS] = {0, "partial"},
        [STORE_CHAINS] = {0, "chains"},
        [STORE_IMPORTS] = {0, "imports"},
        [STORE_CATALOGUE] = {0, "catalogue.json"},
        [STORE_POLICY] = {0, "trust.json"},
        [STORE_LOCK_COMMIT] = {0, "locks/commit"},
        [STORE_BLOB] = {'d', "blobs/sha256-"},
        [STORE_PARTIAL] = {'d', "partial/"},
        [STORE_PARTIAL_NOTE] = {'d', "partial/"},
        [STORE_WORK] = {'d', "partial/"},
        [STORE_REPAIR] = {'d', "partial/"},
        [STORE_SIGNATURES] = {'d', "signatures/"},
        [STORE_CHAIN] = {'d', "chains/"},
        [STORE_LOCK_DIGEST] = {'d', "locks/sha256-"},
        [STORE_MANIFEST] = {'n', "manifests/"},
        [STORE_PIN] = {'n', "pins/"},
        [STORE_LOCK_NAME] = {'n', "locks/"},
        [STORE_IMPORT] = {'n', "imports/"},
        [STORE_UPLOADS] = {0, "uploads"},
        [STORE_UPLOAD] = {'d', "uploads/"},
        [STORE_UPLOAD_PART] = {'d', "uploads/"},
    };
    char family[STORE_PART_SIZE], tag[STORE_PART_SIZE];
    const char *prefix = places[place].format;
    *out = NULL;
    int n;
    if (places[place].key == 'd') {
        if (!key || !store_digest_valid(key))
            return error_set(err, ERR_INVALID, "'%.80s' is no SHA-256 in 64 lower-case hex digits",
                             key ? key : "");
        const char *suffix = place == STORE_PARTIAL_NOTE || place == STORE_SIGNATURES ? ".json"
                             : place == STORE_WORK       ? ".work"
                             : place == STORE_REPAIR     ? ".repair"
                             : place == STORE_UPLOAD_PART ? ".part-XXXXXX"
                                                         : "";
        n = asprintf(out, "%s/%s%s%s", s->root, prefix, key, suffix);
    } else if (places[place].key == 'n') {
        enum status st = store_name_split(key ? key : "", family, tag, err);
        if (st) return st;
        if (!tag[0]) return error_set(err, ERR_INVALID, "model name %s lacks a tag", key);
        /* '@' cannot occur in a name, so that a:b-c and a-b:c have different locks. */
        if (place == STORE_LOCK_NAME)
            n = asprintf(out, "%s/%s%s@%s", s->root, prefix, family, tag);
        else if (place == STORE_IMPORT)
            n = asprintf(out, "%s/%s%s@%s.gguf", s->root, prefix, family, tag);
        else
            n = asprintf(out, "%s/%s%s/%s.json", s->root, prefix, family, tag);
    } else {
        n = asprintf(out, "%s/%s", s->root, prefix);
    }
    if (n >= 0) return OK;
    *out = NULL;
    return error_set(err, ERR_NOMEM, "out of memory");
}

enum status store_make_parent(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return OK;
    char *dir = strndup(path, (size_t)(slash - path));
    if (!dir) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = file_make_dirs(dir, err);
    free(dir);
    return st;
}

static enum status lock_open(const struct store *s, enum store_place place, const char *key,
                             struct store_lock *out, struct error *err)
{
    char *path;
    out->fd = -1;
    enum status st = store_path(s, place, key, &path, err);
    if (st) return st;
    st = store_make_parent(path, err);
    if (st == OK) {
        out->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (out->fd < 0)
            st = error_set(err, ERR_IO, "cannot open the lock %s: %s", path, strerror(errno));
    }
    free(path);
    return st;
}

/* Lock files are never deleted: deleting one that another process has open would let two hold
 * "the" lock. */
static enum status lock_now(struct store_lock *lock, struct error *err)
{
    if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK || errno == EINTR) return ERR_BUSY;
        return error_set(err, ERR_IO, "cannot lock the store: %s", strerror(errno));
    }
    char pid[32];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    /* Only for messages; a full disk must not stop the lock. */
    if (ftruncate(lock->fd, 0) == 0 && pwrite(lock->fd, pid, (size_t)n, 0) < 0) errno = 0;
    return OK;
}

enum status store_lock_try(const struct store *s, enum store_place place, const char *key,
                           struct store_lock *out, struct error *err)
{
    enum status st = lock_open(s, place, key, out, err);
    if (st == OK) st = lock_now(out, err);
    if (st) store_lock_drop(out);
    if (st == ERR_BUSY) error_set(err, st, "another hearth is working on it");
    return st;
}

enum status store_lock_take(const struct store *s, enum store_place place, const char *key,
                            const char *what, const struct store_events *ev, struct store_lock *out,
                            struct error *err)
{
    enum status st = lock_open(s, place, key, out, err);
    bool told = false;
    while (st == OK && (st = lock_now(out, err)) == ERR_BUSY) {
        char pid[32] = "";
        ssize_t n = pread(out->fd, pid, sizeof pid - 1, 0);
        if (!told && n > 0) {
            pid[strcspn(pid, "\n")] = 0;
            store_notice(ev, "another hearth (process %ld) is working on %s; waiting for it",
                         strtol(pid, NULL, 10), what);
            told = true;
        }
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        st = store_progress(ev, STORE_CHECKING, 0, 0)
                 ? OK
                 : error_set(err, ERR_CANCELLED, "interrupted while waiting for another hearth");
    }
    if (st) store_lock_drop(out);
    return st;
}

void store_lock_drop(struct store_lock *lock)
{
    if (lock->fd >= 0) close(lock->fd);
    lock->fd = -1;
}

bool store_progress(const struct store_events *ev, enum store_phase phase, uint64_t done,
                    uint64_t total)
{
    return !ev || !ev->progress || ev->progress(ev->ctx, phase, done, total);
}

void store_notice(const struct store_events *ev, const char *fmt, ...)
{
    if (!ev || !ev->notice) return;
    char text[sizeof((struct error *)0)->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct error line; /* error_set makes it one clean line */
    error_set(&line, OK, "%s", text);
    ev->notice(ev->ctx, line.msg);
}

enum status store_hash_fd(int fd, uint64_t len, const char *path, struct sha256_chain *hash,
                          const struct store_events *ev, uint64_t *hashed, struct error *err)
{
    enum { CHUNK = 1 << 20 };
    *hashed = 0;
    struct stat sb;
    if (fstat(fd, &sb) != 0)
        return error_set(err, ERR_IO, "cannot stat %s: %s", path, strerror(errno));
    uint64_t total = (uint64_t)sb.st_size < len ? (uint64_t)sb.st_size : len;
    char *chunk = malloc(CHUNK);
    if (!chunk) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    double told = clock_now();
    while (*hashed < len) {
        size_t want = len - *hashed < CHUNK ? (size_t)(len - *hashed) : CHUNK;
        ssize_t n = pread(fd, chunk, want, (off_t)*hashed);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) st = error_set(err, ERR_IO, "cannot read %s: %s", path, strerror(errno));
        if (n <= 0) break;
        sha256_chain_update(hash, chunk, (size_t)n);
        *hashed += (uint64_t)n;
        if (clock_now() - told < 0.1) continue;
        told = clock_now();
        if (!store_progress(ev, STORE_CHECKING, *hashed, total)) {
            st = error_set(err, ERR_CANCELLED, "interrupted while checking %s", path);
            break;
        }
    }
    free(chunk);
    return st;
}

enum status store_check_file(const char *path, const char *digest, const struct store_events *ev,
                             struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", path,
                         strerror(errno));
    struct sha256_chain hash = {0};
    uint8_t bin[SHA256_BYTES];
    char hex[SHA256_HEX_SIZE];
    uint64_t n;
    sha256_chain_init(&hash);
    enum status st = store_hash_fd(fd, UINT64_MAX, path, &hash, ev, &n, err);
    if (st == OK && (st = sha256_chain_final(&hash, bin)) != OK)
        error_set(err, st, "cannot hash %s: %s", path, status_name(st));
    sha256_chain_fini(&hash);
    close(fd);
    if (st) return st;
    sha256_hex(bin, hex);
    if (strcmp(hex, digest) == 0) return OK;
    return error_set(err, ERR_INTEGRITY, "%s changed: its SHA-256 is %s, and it must be %s", path,
                     hex, digest);
}

enum status store_need_space(const struct store *s, uint64_t need, struct error *err)
{
    struct statvfs vfs;
    if (statvfs(s->root, &vfs) != 0) return OK; /* the write itself will tell */
    uint64_t free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    if (free_bytes >= need) return OK;
    return error_set(
        err, ERR_IO,
        "not enough space on the disk that holds %s: %.2f GB needed, %.2f GB free; free "
        "some, or set HEARTH_HOME to a folder on another disk",
        s->root, (double)need / 1e9, (double)free_bytes / 1e9);
}
