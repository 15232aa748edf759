#include "infer/cache_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "gguf/gguf.h"
#include "infer/scheduler_int.h"
#include "model/kv_file.h"

enum { LAYOUT_VERSION = 1, PIECE = 1 << 16 };

/* The file: this, then for each page a record and its bytes, parents before children. No padding.
 */
struct header {
    char magic[8];
    uint64_t layout;
    char identity[64]; /* of the model file */
    struct kv_form form;
    uint64_t n_pages;
    uint8_t digest[SHA256_BYTES]; /* of the whole file, these bytes being zero */
};

struct record {
    struct prefix_key key;
    uint64_t parent; /* index of an earlier one; n_pages: none */
};

struct work {
    struct scheduler *s;
    const char *path;
    bool save;
    size_t n_tokens;
    uint64_t bytes;
    enum status st;
    struct error *err;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done; /* under lock */
};

static enum status make_header(const struct scheduler *s, uint64_t n_pages, struct header *h,
                               struct error *err)
{
    struct kv_seq *seq;
    memset(h, 0, sizeof *h);
    if (!s->cache || !s->e->g)
        return error_set(err, ERR_UNSUPPORTED, "there are no kept beginnings to write or to read");
    enum status st = kv_seq_create(s->pool, &seq, err);
    if (st != OK) return st;
    st = kv_file_form(s->e->model, seq, &h->form, err);
    kv_seq_destroy(seq);
    memcpy(h->magic, "HRTHKEPT", sizeof h->magic);
    h->layout = LAYOUT_VERSION;
    const char *identity = gguf_identity(s->e->g);
    memcpy(h->identity, identity, strnlen(identity, sizeof h->identity));
    h->n_pages = n_pages;
    return st;
}

/* False where no file can be so long. */
static bool file_bytes(const struct header *h, uint64_t *out)
{
    uint64_t one, all;
    return checked_add(sizeof(struct record), h->form.page_bytes, &one) &&
           checked_mul(one, h->n_pages, &all) && checked_add(all, sizeof *h, out) &&
           *out <= INT64_MAX;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static enum status put(int fd, struct sha256 *sha, const void *data, size_t len, struct error *err)
{
    const char *p = data;
    sha256_update(sha, data, len);
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return error_set(err, ERR_IO, "cannot write the file: %s",
                             n ? strerror(errno) : "no progress");
        p += n;
        len -= (size_t)n;
    }
    return OK;
}

static enum status put_pages(struct work *w, int fd, struct sha256 *sha, const struct header *h)
{
    struct scheduler *s = w->s;
    uint64_t *place = calloc(kv_pool_pages(s->pool), sizeof *place), at = 0; /* by page */
    if (!place) return error_set(w->err, ERR_NOMEM, "no memory to write the file");
    enum status st = OK;
    uint32_t page = prefix_cache_next(s->cache, PREFIX_NO_PAGE), parent;
    for (; page != PREFIX_NO_PAGE && st == OK; page = prefix_cache_next(s->cache, page)) {
        struct record r = {0};
        prefix_cache_look(s->cache, page, &r.key, &parent);
        r.parent = parent == PREFIX_NO_PAGE ? h->n_pages : place[parent];
        place[page] = at++;
        st = put(fd, sha, &r, sizeof r, w->err);
        if (st == OK)
            st = put(fd, sha, kv_file_page(s->pool, page), (size_t)h->form.page_bytes, w->err);
    }
    free(place);
    return st;
}

static enum status put_all(struct work *w, int fd, struct header *h)
{
    struct sha256 sha;
    enum status st = sha256_init(&sha);
    if (st != OK) return error_set(w->err, st, "no memory to write the file");
    st = put(fd, &sha, h, sizeof *h, w->err);
    if (st == OK) st = put_pages(w, fd, &sha, h);
    if (st == OK && sha256_final(&sha, h->digest) != OK)
        st = error_set(w->err, ERR_NOMEM, "no memory to write the file");
    sha256_fini(&sha);
    if (st != OK || pwrite(fd, h, sizeof *h, 0) == (ssize_t)sizeof *h) return st;
    return error_set(w->err, ERR_IO, "cannot write the file: %s", strerror(errno));
}

static enum status save(struct work *w)
{
    struct header h;
    struct rlimit limit;
    char *tmp;
    uint64_t n = 0;
    enum status st = make_header(w->s, 0, &h, w->err);
    if (st != OK) return st;
    for (uint32_t p = PREFIX_NO_PAGE; (p = prefix_cache_next(w->s->cache, p)) != PREFIX_NO_PAGE;)
        n++;
    h.n_pages = n;
    if (!file_bytes(&h, &w->bytes))
        return error_set(w->err, ERR_LIMIT, "the file would be too long");
    /* Going past this limit would not fail but kill the process (SIGXFSZ). */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        w->bytes > limit.rlim_cur)
        return error_set(w->err, ERR_IO, "files may not become so long (ulimit -f)");
    if (asprintf(&tmp, "%s.tmpXXXXXX", w->path) < 0)
        return error_set(w->err, ERR_NOMEM, "no memory");
    int fd = mkostemp(tmp, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        st = error_set(w->err, ERR_IO, "cannot make the file: %s", strerror(errno));
        free(tmp);
        return st;
    }
    st = put_all(w, fd, &h);
    if (close(fd) != 0 && st == OK)
        st = error_set(w->err, ERR_IO, "cannot write the file: %s", strerror(errno));
    if (st == OK && rename(tmp, w->path) != 0)
        st = error_set(w->err, ERR_IO, "cannot keep the file: %s", strerror(errno));
    if (st != OK) unlink(tmp);
    free(tmp);
    w->n_tokens = (size_t)n * KERN_KV_PAGE;
    return st;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static enum status get(int fd, uint64_t at, void *data, size_t len, struct error *err)
{
    char *p = data;
    while (len) {
        ssize_t n = pread(fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set(err, ERR_IO, "cannot read the file: %s", strerror(errno));
        if (n == 0) return error_set(err, ERR_FORMAT, "the file ends too early");
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return OK;
}

/* The header is what this scheduler would write, and the file as long as it says. */
static enum status get_header(struct work *w, int fd, struct header *h)
{
    struct header want;
    struct stat sb;
    if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode))
        return error_set(w->err, ERR_FORMAT, "it is no file");
    enum status st = get(fd, 0, h, sizeof *h, w->err);
    if (st == OK) st = make_header(w->s, h->n_pages, &want, w->err);
    if (st != OK) return st;
    memcpy(want.digest, h->digest, sizeof want.digest);
    if (memcmp(h, &want, sizeof want) != 0)
        return error_set(w->err, ERR_FORMAT,
                         "the file is of another model, KV cache type or version of Hearth");
    if (!file_bytes(h, &w->bytes) || sb.st_size < 0 || (uint64_t)sb.st_size != w->bytes)
        return error_set(w->err, ERR_FORMAT, "the file has not the size that it says");
    return OK;
}

static enum status check_digest(struct work *w, int fd, const struct header *h)
{
    struct header plain = *h;
    uint8_t digest[SHA256_BYTES];
    struct sha256 sha;
    char *piece = malloc(PIECE);
    memset(plain.digest, 0, sizeof plain.digest);
    enum status st = piece ? sha256_init(&sha) : ERR_NOMEM;
    if (st != OK) {
        free(piece);
        return error_set(w->err, st, "no memory to read the file");
    }
    sha256_update(&sha, &plain, sizeof plain);
    for (uint64_t at = sizeof plain; at < w->bytes && st == OK;) {
        size_t n = w->bytes - at < PIECE ? (size_t)(w->bytes - at) : PIECE;
        st = get(fd, at, piece, n, w->err);
        if (st == OK) sha256_update(&sha, piece, n);
        at += n;
    }
    if (st == OK &&
        (sha256_final(&sha, digest) != OK || memcmp(digest, h->digest, sizeof digest) != 0))
        st = error_set(w->err, ERR_INTEGRITY, "the file is damaged");
    sha256_fini(&sha);
    free(piece);
    return st;
}

/* Takes page i into the cache; *page is where it is then, PREFIX_NO_PAGE: nowhere. */
static enum status get_page(struct work *w, int fd, const struct header *h, uint64_t i,
                            const uint32_t *pages, uint32_t *page)
{
    struct scheduler *s = w->s;
    struct record r;
    uint64_t at = sizeof *h + i * (sizeof r + h->form.page_bytes);
    *page = PREFIX_NO_PAGE;
    enum status st = get(fd, at, &r, sizeof r, w->err);
    if (st != OK) return st;
    if (r.parent >= i && r.parent != h->n_pages)
        return error_set(w->err, ERR_FORMAT, "page %llu of the file names no page before it",
                         (unsigned long long)i);
    uint32_t parent = r.parent == h->n_pages ? PREFIX_NO_PAGE : pages[r.parent];
    if (r.parent != h->n_pages && parent == PREFIX_NO_PAGE) return OK;
    *page = prefix_cache_find(s->cache, &r.key);
    uint32_t own = *page == PREFIX_NO_PAGE ? kv_file_take_page(s->pool) : PREFIX_NO_PAGE;
    if (own == PREFIX_NO_PAGE) return OK;
    st = get(fd, at + sizeof r, kv_file_page(s->pool, own), (size_t)h->form.page_bytes, w->err);
    if (st == OK) *page = prefix_cache_keep(s->cache, parent, &r.key, own);
    if (*page == own) w->n_tokens += KERN_KV_PAGE;
    kv_page_unref(s->pool, own); /* the cache holds it */
    return st;
}

static enum status load(struct work *w)
{
    struct header h;
    int fd = open(w->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return error_set(w->err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                         "cannot open the file: %s", strerror(errno));
    enum status st = get_header(w, fd, &h);
    if (st == OK) st = check_digest(w, fd, &h);
    /* The file is so long, so its number of pages is no lie. */
    uint32_t *pages = st == OK ? malloc((size_t)(h.n_pages + 1) * sizeof *pages) : NULL;
    if (st == OK && !pages) st = error_set(w->err, ERR_NOMEM, "no memory to read the file");
    for (uint64_t i = 0; st == OK && i < h.n_pages; i++)
        st = get_page(w, fd, &h, i, pages, &pages[i]);
    free(pages);
    close(fd);
    return st;
}

/* ---- on the scheduler's thread ----------------------------------------------------------------
 */

static void run(void *ctx, bool cancelled)
{
    struct work *w = ctx;
    w->st = cancelled ? error_set(w->err, ERR_CANCELLED, "the model is being unloaded")
            : w->save ? save(w)
                      : load(w);
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static enum status wait_for(struct work *w, size_t *n_tokens, uint64_t *bytes)
{
    struct sched_job job = {run, w};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    enum status st = scheduler_run_job(w->s, &job, w->err);
    pthread_mutex_lock(&w->lock);
    while (st == OK && !w->done) pthread_cond_wait(&w->wake, &w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    *n_tokens = w->n_tokens;
    *bytes = w->bytes;
    return st == OK ? w->st : st;
}

enum status cache_file_save(struct scheduler *s, const char *path, size_t *n_tokens,
                            uint64_t *bytes, struct error *err)
{
    struct work w = {.s = s, .path = path, .save = true, .err = err};
    return wait_for(&w, n_tokens, bytes);
}

enum status cache_file_load(struct scheduler *s, const char *path, size_t *n_tokens,
                            uint64_t *bytes, struct error *err)
{
    struct work w = {.s = s, .path = path, .err = err};
    return wait_for(&w, n_tokens, bytes);
}
