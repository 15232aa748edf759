#include "infer/session_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sha256.h"
#include "gguf/gguf.h"
#include "infer/infer_int.h"
#include "model/kv_file.h"

enum { LAYOUT_VERSION = 2 };

/* The file: this, the tokens as int32, the pages. No padding, so that it can be compared. */
struct header {
    char magic[8];
    uint64_t layout;
    char identity[64]; /* of the model file */
    struct kv_form form;
    uint64_t n_tokens;
    uint8_t digest[SHA256_BYTES]; /* of the whole file, these bytes being zero */
};

/* One file being read or written. */
struct session_io {
    int fd;
    struct sha256 sha;
    char *path;
};

static enum status make_header(const struct session *s, uint64_t n_tokens, struct header *h,
                               struct error *err)
{
    memset(h, 0, sizeof *h);
    if (!s->e->g)
        return error_set(err, ERR_UNSUPPORTED, "a session without a model file is not kept");
    memcpy(h->magic, "HRTHSESS", 8);
    h->layout = LAYOUT_VERSION;
    const char *identity = gguf_identity(s->e->g);
    memcpy(h->identity, identity, strnlen(identity, sizeof h->identity));
    h->n_tokens = n_tokens;
    return kv_file_form(s->e->model, s->seq, &h->form, err);
}

/* dir/HEX.session, HEX being a digest of key and model: the name tells nothing. */
static enum status make_path(const struct session *s, const char *dir, const char *key, char **out,
                             struct error *err)
{
    struct sha256 sha;
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_SIZE];
    const char *identity = s->e->g ? gguf_identity(s->e->g) : "";
    *out = NULL;
    enum status st = sha256_init(&sha);
    if (!st) {
        sha256_update(&sha, key, strlen(key) + 1);
        sha256_update(&sha, identity, strlen(identity));
        st = sha256_final(&sha, digest);
    }
    if (!st) sha256_hex(digest, hex);
    if (st || asprintf(out, "%s/%.40s.session", dir, hex) < 0) {
        *out = NULL;
        return error_set(err, ERR_NOMEM, "no memory for a session's file name");
    }
    return OK;
}

static uint64_t file_bytes(const struct header *h)
{
    return sizeof *h + h->n_tokens * sizeof(int32_t) +
           kv_file_pages((size_t)h->n_tokens) * h->form.page_bytes;
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static enum status put(struct session_io *f, const void *data, size_t len, struct error *err)
{
    const char *p = data;
    sha256_update(&f->sha, data, len);
    while (len) {
        ssize_t n = write(f->fd, p, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return error_set(err, ERR_IO, "cannot write %s: %s", f->path,
                             n ? strerror(errno) : "no progress");
        p += n;
        len -= (size_t)n;
    }
    return OK;
}

static enum status put_pages(struct session_io *f, const struct session *s, const struct header *h,
                             struct error *err)
{
    size_t n = (size_t)h->n_tokens, bytes = (size_t)h->form.page_bytes;
    uint8_t *page = aligned_alloc(64, bytes);
    if (!page) return error_set(err, ERR_NOMEM, "no memory to keep a session");
    enum status st = OK;
    for (size_t i = 0; i < kv_file_pages(n) && !st; i++) {
        st = kv_file_copy(s->seq, n, i, page, err);
        if (!st) st = put(f, page, bytes, err);
    }
    free(page);
    return st;
}

static enum status put_session(struct session_io *f, const struct session *s, struct header *h,
                               struct error *err)
{
    enum status st = sha256_init(&f->sha);
    if (st) return error_set(err, st, "no memory to keep a session");
    st = put(f, h, sizeof *h, err);
    if (!st) st = put(f, s->tokens, (size_t)h->n_tokens * sizeof *s->tokens, err);
    if (!st) st = put_pages(f, s, h, err);
    if (st) return st;
    st = sha256_final(&f->sha, h->digest);
    if (st) return error_set(err, st, "no memory to keep a session");
    if (pwrite(f->fd, h, sizeof *h, 0) == (ssize_t)sizeof *h) return OK;
    return error_set(err, ERR_IO, "cannot write %s: %s", f->path, strerror(errno));
}

/* Going past this limit would not fail but kill the process (SIGXFSZ). */
static enum status check_file_limit(const struct header *h, struct error *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur == RLIM_INFINITY ||
        file_bytes(h) <= limit.rlim_cur)
        return OK;
    return error_set(err, ERR_IO, "files may not become as large as the session (ulimit -f)");
}

static enum status write_file(const struct session *s, const char *path, struct header *h,
                              struct error *err)
{
    struct session_io f = {.fd = -1};
    enum status st = OK;
    if (asprintf(&f.path, "%s.tmpXXXXXX", path) < 0)
        return error_set(err, ERR_NOMEM, "no memory for a session's file name");
    f.fd = mkostemp(f.path, O_CLOEXEC); /* mode 0600 */
    if (f.fd < 0) {
        st = error_set(err, ERR_IO, "cannot make %s: %s", f.path, strerror(errno));
        free(f.path);
        return st;
    }
    st = put_session(&f, s, h, err);
    if (close(f.fd) && !st)
        st = error_set(err, ERR_IO, "cannot write %s: %s", f.path, strerror(errno));
    if (!st && rename(f.path, path))
        st = error_set(err, ERR_IO, "cannot keep %s: %s", path, strerror(errno));
    if (st) unlink(f.path);
    sha256_fini(&f.sha);
    free(f.path);
    return st;
}

enum status session_save(const struct session *s, const char *dir, const char *key,
                         uint64_t max_bytes, struct error *err)
{
    struct header h;
    char *path;
    size_t n = kv_seq_len(s->seq);
    if (n > s->exact) n = s->exact; /* the rest is approximate */
    if (n == 0) return OK;
    enum status st = make_header(s, n, &h, err);
    if (st) return st;
    if (file_bytes(&h) > max_bytes)
        return error_set(err, ERR_LIMIT, "a session of %zu tokens takes %llu MB, more than is kept",
                         n, (unsigned long long)(file_bytes(&h) >> 20));
    st = check_file_limit(&h, err);
    if (!st) st = file_make_dirs(dir, err);
    if (!st) st = make_path(s, dir, key, &path, err);
    if (st) return st;
    const char *name = strrchr(path, '/') + 1;
    st = write_file(s, path, &h, err);
    if (!st) st = session_files_limit(dir, name, max_bytes, err);
    free(path);
    return st;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static enum status get(struct session_io *f, void *data, size_t len, struct error *err)
{
    char *p = data;
    size_t left = len;
    while (left) {
        ssize_t n = read(f->fd, p, left);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set(err, ERR_IO, "cannot read %s: %s", f->path, strerror(errno));
        if (n == 0) return error_set(err, ERR_FORMAT, "%s ends too early", f->path);
        p += n;
        left -= (size_t)n;
    }
    return OK;
}

/* Reads the header and makes sure that it is what this session would write. */
static enum status get_header(struct session_io *f, const struct session *s, struct header *h,
                              struct error *err)
{
    struct header want;
    struct stat sb;
    if (fstat(f->fd, &sb) || !S_ISREG(sb.st_mode))
        return error_set(err, ERR_FORMAT, "%s is no file", f->path);
    enum status st = get(f, h, sizeof *h, err);
    if (!st) st = make_header(s, h->n_tokens, &want, err);
    if (st) return st;
    memcpy(want.digest, h->digest, sizeof want.digest);
    if (memcmp(h, &want, sizeof want))
        return error_set(err, ERR_FORMAT,
                         "%s is of another model, KV cache type or version of Hearth", f->path);
    if (h->n_tokens > s->n_ctx)
        return error_set(err, ERR_LIMIT, "%s holds more tokens than the context", f->path);
    if (sb.st_size < 0 || (uint64_t)sb.st_size != file_bytes(h))
        return error_set(err, ERR_FORMAT, "%s has not the size that it says", f->path);
    return OK;
}

static enum status get_session(struct session_io *f, struct session *s, struct error *err)
{
    struct header h, plain;
    uint8_t digest[SHA256_BYTES];
    enum status st = get_header(f, s, &h, err);
    if (st) return st;
    size_t n = (size_t)h.n_tokens, n_pages = kv_file_pages(n);
    plain = h;
    memset(plain.digest, 0, sizeof plain.digest);
    st = sha256_init(&f->sha);
    if (st) return error_set(err, st, "no memory to read a session");
    sha256_update(&f->sha, &plain, sizeof plain);
    st = get(f, s->tokens, n * sizeof *s->tokens, err);
    if (!st) sha256_update(&f->sha, s->tokens, n * sizeof *s->tokens);
    if (!st) st = kv_file_begin(s->seq, n, err);
    for (size_t i = 0; i < n_pages && !st; i++) {
        uint8_t *page = kv_file_fill(s->seq, i);
        st = get(f, page, (size_t)h.form.page_bytes, err);
        if (!st) sha256_update(&f->sha, page, (size_t)h.form.page_bytes);
    }
    if (st) return st;
    st = sha256_final(&f->sha, digest);
    if (st) return error_set(err, st, "no memory to read a session");
    if (memcmp(digest, h.digest, sizeof digest))
        return error_set(err, ERR_INTEGRITY, "%s is damaged", f->path);
    st = session_check_tokens(s, s->tokens, n, err);
    if (!st) kv_file_done(s->seq, n);
    return st;
}

enum status session_load(struct session *s, const char *dir, const char *key, size_t *n_tokens,
                         struct error *err)
{
    struct session_io f = {.fd = -1};
    *n_tokens = 0;
    s->exact = SIZE_MAX;
    kv_seq_truncate(s->seq, 0);
    enum status st = make_path(s, dir, key, &f.path, err);
    if (st) return st;
    f.fd = open(f.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (f.fd < 0) {
        st = error_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", f.path,
                       strerror(errno));
    } else {
        st = get_session(&f, s, err);
        if (!st) (void)futimens(f.fd, NULL); /* it was used; where that cannot be noted, no harm */
        close(f.fd);
    }
    if (st) kv_seq_truncate(s->seq, 0);
    *n_tokens = kv_seq_len(s->seq);
    sha256_fini(&f.sha);
    free(f.path);
    return st;
}
