#include "store/pip.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "store/http.h"
#include "store/process.h"

static bool pip_set(struct pip *p, const char *command, bool split)
{
    *p = (struct pip){0};
    if (strlen(command) >= sizeof p->text) return false;
    memcpy(p->text, command, strlen(command) + 1);
    char *save = NULL;
    for (char *w = split ? strtok_r(p->text, " ", &save) : p->text; w && p->n < PIP_MAX_WORDS;
         w = split ? strtok_r(NULL, " ", &save) : NULL)
        p->words[p->n++] = w;
    return p->n > 0;
}

static bool pip_works(const struct pip *p)
{
    char *argv[PIP_MAX_WORDS + 2];
    memcpy(argv, p->words, p->n * sizeof argv[0]);
    argv[p->n] = (char *)"--version";
    argv[p->n + 1] = NULL;
    struct process_result r;
    return process_run(argv, NULL, NULL, NULL, &r, NULL) == OK && r.exit_code == 0;
}

enum status pip_find(struct pip *p, struct error *err)
{
    static const char *const usual[] = {"pip", "pip3", "python3 -m pip", "python -m pip"};
    const char *own = getenv("HEARTH_PIP");
    if (http_is_offline())
        return error_set(err, ERR_NETWORK,
                         "HEARTH_OFFLINE is set; unset it to pull, or use a copy: --from FILE");
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

static enum status pip_failed(const struct pip *p, const struct process_result *r,
                              const char *const *packages, size_t n, struct error *err)
{
    char words[512];
    process_last_words(r->tail, words, sizeof words);
    if (r->exit_code == 127 && !words[0])
        return error_set(err, ERR_UNSUPPORTED, "%s was not found", p->words[0]);
    if (strstr(r->tail, "No space left on device") || strstr(r->tail, "Errno 28"))
        return error_set(err, ERR_IO,
                         "no space left on the disk for %s; free some, or set HEARTH_HOME to a "
                         "folder on another disk; what was downloaded is kept",
                         packages[0]);
    return error_set(err, ERR_NETWORK, "pip could not fetch %s%s: %s", packages[0],
                     n > 1 ? " and those after it" : "",
                     words[0] ? words : "it failed without a word");
}

/* pip's command line; `requirements` get malloc'd strings. */
static enum status compose(const struct pip *p, const char *const *packages, size_t n,
                           const char *version, char *dest, char **requirements, char **argv,
                           struct error *err)
{
    static const char options[][32] = {
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-cache-dir",
        "--no-input",
        "--progress-bar",
        "off",
        "--disable-pip-version-check",
        "--ignore-requires-python",
        "-d",
    };
    size_t k = p->n;
    memcpy(argv, p->words, k * sizeof argv[0]);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) argv[k++] = (char *)options[i];
    argv[k++] = dest;
    for (size_t i = 0; i < n; i++) {
        if (asprintf(&requirements[i], "%s==%s", packages[i], version) < 0) {
            requirements[i] = NULL;
            return error_set(err, ERR_NOMEM, "out of memory");
        }
        argv[k++] = requirements[i];
    }
    argv[k] = NULL;
    return OK;
}

enum status pip_download(const struct pip *p, const char *const *packages, size_t n,
                         const char *version, const char *work, bool (*tick)(void *ctx), void *ctx,
                         struct error *err)
{
    char *requirements[PIP_MAX_BATCH] = {NULL}, *tmpdir = NULL, *dest = NULL;
    char *argv[PIP_MAX_WORDS + PIP_MAX_BATCH + 16];
    enum status st = OK;
    if (n > PIP_MAX_BATCH) return error_set(err, ERR_LIMIT, "too many packages at once");
    if (asprintf(&tmpdir, "TMPDIR=%s/tmp", work) < 0) tmpdir = NULL;
    if (asprintf(&dest, "%s/wheels", work) < 0) dest = NULL;
    if (!tmpdir || !dest) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    if ((st = file_make_dirs(dest, err)) ||
        (st = file_make_dirs(tmpdir + strlen("TMPDIR="), err)) ||
        (st = compose(p, packages, n, version, dest, requirements, argv, err)))
        goto out;
    /* Temporary files go where the model goes, and are swept with it. A demand for an active
     * virtual environment is about installing, which this does not do. */
    char *env[] = {tmpdir, (char *)"PIP_REQUIRE_VIRTUALENV=0", (char *)"PYTHONUNBUFFERED=1", NULL};
    struct process_result r;
    st = process_run(argv, env, tick, ctx, &r, err);
    if (st == OK && r.exit_code != 0) st = pip_failed(p, &r, packages, n, err);
out:
    for (size_t i = 0; i < PIP_MAX_BATCH; i++) free(requirements[i]);
    free(tmpdir);
    free(dest);
    return st;
}

/* Whether a wheel's file name is that of a package: the part before the first '-' is the package's
 * name with runs of "-_." written as one '_' (binary distribution format specification). */
static bool is_wheel_of(const char *file, const char *package)
{
    size_t len = strlen(file);
    if (len < 5 || strcmp(file + len - 4, ".whl") != 0) return false;
    for (;;) {
        bool file_ends = *file == '-', package_ends = !*package;
        if (file_ends || package_ends || !*file) return file_ends && package_ends;
        if (strchr("._", *file) && strchr("-._", *package)) {
            file += strspn(file, "._");
            package += strspn(package, "-._");
        } else {
            char a = *file++, b = *package++;
            if (a >= 'A' && a <= 'Z') a = (char)(a - 'A' + 'a');
            if (b >= 'A' && b <= 'Z') b = (char)(b - 'A' + 'a');
            if (a != b) return false;
        }
    }
}

enum status pip_wheel(const char *work, const char *package, char **out, struct error *err)
{
    char *dir;
    *out = NULL;
    if (asprintf(&dir, "%s/wheels", work) < 0) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && st == OK && !*out && (e = readdir(d));) {
        if (is_wheel_of(e->d_name, package) && asprintf(out, "%s/%s", dir, e->d_name) < 0) {
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
