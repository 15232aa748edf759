#include "store/verify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/chain_file.h"
#include "store/verify_int.h"

enum { THREADS = 2, RUN_BYTES = 4 << 20, MAX_BAD = 1 << 20 };

/* One blob while it is checked. */
struct work {
    struct verify_blob *blob;
    struct sha256_chain chain;
    uint8_t digest[SHA256_BYTES];
    int fd;        /* -1 = it could not be opened */
    uint64_t size; /* as it lies on the disk */
    bool chained;
    size_t next; /* piece that nobody took yet */
};

struct check {
    const struct store *s;
    struct work *works;
    size_t n, at; /* works[at] is being handed out */
    pthread_mutex_t lock;
    atomic_uint_fast64_t done;
    atomic_bool stop;
    atomic_int running;
    enum status failed; /* under the lock */
};

/* ---- what is there ------------------------------------------------------------------------ */

static enum status add_blob(struct verify_report *r, const char *digest, const char *name,
                            uint64_t bytes, struct error *err)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->blobs[i].sha256, digest) == 0) return OK;
    if ((r->n & (r->n - 1)) == 0) {
        struct verify_blob *p = realloc(r->blobs, (r->n ? 2 * r->n : 1) * sizeof *p);
        if (!p) return error_set(err, ERR_NOMEM, "out of memory");
        r->blobs = p;
    }
    struct verify_blob *b = &r->blobs[r->n++];
    *b = (struct verify_blob){.bytes = bytes};
    snprintf(b->sha256, sizeof b->sha256, "%s", digest);
    snprintf(b->name, sizeof b->name, "%s", name);
    return OK;
}

static enum status add_model(struct verify_report *r, const struct store_model *m, struct error *err)
{
    if (m->sha256[0]) return add_blob(r, m->sha256, m->name, m->bytes, err);
    return error_set(err, ERR_FORMAT, "%s: %s", m->name, m->problem ? m->problem : "no manifest");
}

static enum status add_unnamed(const struct store *s, struct verify_report *r, struct error *err)
{
    char *dir;
    enum status st = store_path(s, STORE_BLOBS, NULL, &dir, err);
    if (st) return st;
    DIR *d = opendir(dir);
    if (!d && errno != ENOENT)
        st = error_set(err, ERR_IO, "cannot list %s: %s", dir, strerror(errno));
    for (const struct dirent *e; d && st == OK && (e = readdir(d));)
        if (strncmp(e->d_name, "sha256-", 7) == 0 && store_digest_valid(e->d_name + 7))
            st = add_blob(r, e->d_name + 7, "", 0, err);
    if (d) closedir(d);
    free(dir);
    return st;
}

static enum status collect(const struct store *s, const char *const *names, size_t n,
                           struct verify_report *r, struct error *err)
{
    enum status st = OK;
    for (size_t i = 0; st == OK && i < n; i++) {
        struct store_model m;
        st = store_find(s, names[i], &m, err);
        if (st) break;
        st = add_model(r, &m, err);
        store_model_fini(&m);
    }
    if (st || n) return st;
    struct store_models all;
    st = store_list(s, &all, err);
    for (size_t i = 0; st == OK && i < all.len; i++) st = add_model(r, &all.items[i], err);
    store_models_fini(&all);
    return st ? st : add_unnamed(s, r, err);
}

/* ---- checking ----------------------------------------------------------------------------- */

static void work_open(const struct store *s, struct work *w)
{
    struct stat sb;
    char *path;
    w->fd = -1;
    if (!sha256_from_hex(w->blob->sha256, w->digest)) return;
    if (store_path(s, STORE_BLOB, w->blob->sha256, &path, NULL) != OK) return;
    w->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (w->fd < 0 || fstat(w->fd, &sb) != 0) {
        snprintf(w->blob->problem, sizeof w->blob->problem, "cannot open it: %s", strerror(errno));
        w->blob->state = VERIFY_DAMAGED;
    } else {
        w->size = (uint64_t)sb.st_size;
        w->chained = chain_read(s, w->blob->sha256, &w->chain, NULL) == OK;
        if (w->chained && w->blob->bytes && w->chain.bytes != w->blob->bytes) w->chained = false;
        if (w->chained) w->blob->bytes = w->chain.bytes;
        posix_fadvise(w->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    free(path);
}

/* Bytes from `at` on; fewer only at the end of the file or where the disk cannot read. */
static size_t read_at(int fd, uint8_t *buf, size_t len, uint64_t at)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(fd, buf + got, len - got, (off_t)(at + got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        got += (size_t)n;
    }
    return got;
}

/* Under the lock. Pieces come in any order, so neighbours are joined afterwards. */
static enum status note_bad(struct work *w, uint64_t from, uint64_t to)
{
    struct verify_blob *b = w->blob;
    b->state = VERIFY_DAMAGED;
    if (b->n_bad >= MAX_BAD) return ERR_LIMIT;
    if ((b->n_bad & (b->n_bad - 1)) == 0) {
        struct byte_range *p = realloc(b->bad, (b->n_bad ? 2 * b->n_bad : 1) * sizeof *p);
        if (!p) return ERR_NOMEM;
        b->bad = p;
    }
    b->bad[b->n_bad++] = (struct byte_range){from, to};
    return OK;
}

static void check_pieces(struct check *c, struct work *w, size_t first, size_t count, uint8_t *buf)
{
    uint64_t at = first * w->chain.step;
    size_t len = 0;
    for (size_t i = first; i < first + count; i++) len += sha256_chain_piece_bytes(&w->chain, i);
    size_t got = read_at(w->fd, buf, len, at), offset = 0;
    for (size_t i = first; i < first + count && !c->stop; i++) {
        size_t n = sha256_chain_piece_bytes(&w->chain, i);
        bool good = offset + n <= got && sha256_chain_piece_good(&w->chain, i, buf + offset, w->digest);
        if (!good) {
            pthread_mutex_lock(&c->lock);
            enum status st = note_bad(w, at + offset, at + offset + n);
            if (st) c->failed = st;
            pthread_mutex_unlock(&c->lock);
        }
        offset += n;
    }
    c->done += len;
}

static void check_whole(struct check *c, struct work *w, uint8_t *buf)
{
    uint8_t digest[SHA256_BYTES];
    sha256_chain_init(&w->chain);
    for (uint64_t at = 0; !c->stop;) {
        size_t n = read_at(w->fd, buf, RUN_BYTES, at);
        sha256_chain_update(&w->chain, buf, n);
        at += n;
        c->done += n;
        if (n < RUN_BYTES) break;
    }
    if (c->stop) return;
    if (sha256_chain_final(&w->chain, digest) == OK && memcmp(digest, w->digest, sizeof digest) == 0) {
        w->blob->bytes = w->chain.bytes;
        chain_write(c->s, w->blob->sha256, &w->chain, NULL);
    } else {
        w->blob->state = VERIFY_DAMAGED;
        snprintf(w->blob->problem, sizeof w->blob->problem,
                 "it has another SHA-256; which part of it changed is not known, since it was never "
                 "verified before");
    }
}

/* The next piece of work; false at the end. count 0 = the whole blob. */
static bool take(struct check *c, struct work **w, size_t *first, size_t *count)
{
    pthread_mutex_lock(&c->lock);
    bool found = false;
    for (; !found && c->at < c->n; c->at += found ? 0 : 1) {
        struct work *k = &c->works[c->at];
        if (k->fd < 0) continue;
        if (!k->chained) {
            if (k->next++) continue;
            *count = 0;
        } else {
            size_t left = sha256_chain_pieces(&k->chain) - k->next, run = RUN_BYTES / k->chain.step;
            if (!left) continue;
            *first = k->next;
            *count = left < run ? left : run;
            k->next += *count;
        }
        *w = k;
        found = true;
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

static void *worker(void *ctx)
{
    struct check *c = ctx;
    struct work *w;
    size_t first, count;
    uint8_t *buf = malloc(RUN_BYTES);
    if (!buf) {
        pthread_mutex_lock(&c->lock);
        c->failed = ERR_NOMEM;
        pthread_mutex_unlock(&c->lock);
        c->stop = true;
    }
    while (buf && !c->stop && take(c, &w, &first, &count)) {
        if (count)
            check_pieces(c, w, first, count, buf);
        else
            check_whole(c, w, buf);
    }
    free(buf);
    c->running--;
    return NULL;
}

static enum status run_workers(struct check *c, const struct store_events *ev, uint64_t total,
                               struct error *err)
{
    pthread_t threads[THREADS];
    int started = 0;
    bool cancelled = false;
    for (; started < THREADS; started++) {
        c->running++;
        if (pthread_create(&threads[started], NULL, worker, c) == 0) continue;
        c->running--;
        break;
    }
    if (!started) return error_set(err, ERR_NOMEM, "cannot start a thread");
    while (c->running) {
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        if (!store_progress(ev, STORE_CHECKING, c->done, total)) {
            c->stop = true;
            cancelled = true;
        }
    }
    for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
    if (cancelled) return error_set(err, ERR_CANCELLED, "interrupted while checking");
    return c->failed ? error_set(err, c->failed, "cannot check: %s", status_name(c->failed)) : OK;
}

static int by_start(const void *a, const void *b)
{
    const struct byte_range *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

static void conclude(struct work *w)
{
    struct verify_blob *b = w->blob;
    if (b->n_bad) qsort(b->bad, b->n_bad, sizeof *b->bad, by_start);
    size_t k = 0;
    for (size_t i = 1; i < b->n_bad; i++) {
        if (b->bad[i].from == b->bad[k].to)
            b->bad[k].to = b->bad[i].to;
        else
            b->bad[++k] = b->bad[i];
    }
    if (b->n_bad) b->n_bad = k + 1;
    if (w->chained && w->size > w->chain.bytes) {
        b->state = VERIFY_DAMAGED;
        snprintf(b->problem, sizeof b->problem, "%llu bytes follow its end",
                 (unsigned long long)(w->size - w->chain.bytes));
    } else if (b->n_bad) {
        snprintf(b->problem, sizeof b->problem, "%zu range%s of it changed", b->n_bad,
                 b->n_bad == 1 ? "" : "s");
    }
    if (w->fd >= 0) close(w->fd);
    sha256_chain_fini(&w->chain);
}

static enum status check_all(const struct store *s, struct verify_report *r,
                             const struct store_events *ev, struct error *err)
{
    struct check c = {.s = s, .n = r->n, .lock = PTHREAD_MUTEX_INITIALIZER};
    uint64_t total = 0;
    enum status st = OK;
    enum { OPEN_AT_ONCE = 256 }; /* descriptors */
    for (size_t i = 0; i < r->n; i++) total += r->blobs[i].bytes;
    if (!(c.works = calloc(OPEN_AT_ONCE, sizeof *c.works)))
        return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; st == OK && i < r->n; i += OPEN_AT_ONCE) {
        c.n = r->n - i < OPEN_AT_ONCE ? r->n - i : OPEN_AT_ONCE;
        c.at = 0;
        memset(c.works, 0, OPEN_AT_ONCE * sizeof *c.works);
        for (size_t k = 0; k < c.n; k++) {
            c.works[k].blob = &r->blobs[i + k];
            work_open(s, &c.works[k]);
        }
        st = run_workers(&c, ev, total, err);
        for (size_t k = 0; k < c.n; k++) conclude(&c.works[k]);
    }
    free(c.works);
    return st;
}

enum status store_verify_blobs(const struct store *s, const char *const *names, size_t n, bool repair,
                               const struct store_events *ev, struct verify_report *out,
                               struct error *err)
{
    *out = (struct verify_report){0};
    enum status st = collect(s, names, n, out, err);
    if (st == OK) st = check_all(s, out, ev, err);
    for (size_t i = 0; st == OK && i < out->n; i++) {
        struct verify_blob *b = &out->blobs[i];
        if (b->state == VERIFY_DAMAGED && repair) st = verify_mend(s, b, ev, err);
        if (b->state == VERIFY_DAMAGED) out->damaged++;
    }
    if (st) store_verify_report_fini(out);
    return st;
}

void store_verify_report_fini(struct verify_report *r)
{
    for (size_t i = 0; i < r->n; i++) free(r->blobs[i].bad);
    free(r->blobs);
    *r = (struct verify_report){0};
}
