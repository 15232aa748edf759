/* A synthetic model for one run of bench, or for other programs too. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/machine.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "model/synthetic.h"

struct making {
    struct progress *bar;
    const volatile int *cancel;
};

static bool show(void *ctx, uint64_t done, uint64_t total)
{
    struct making *m = ctx;
    progress_update(m->bar, done, total);
    return !*m->cancel;
}

/* The folder part of a path, malloc'd. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
}

static enum status check_disk(const char *path, uint64_t bytes, struct error *err)
{
    char *dir = folder_of(path), need[32], have[32];
    struct statvfs fs;
    if (!dir) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    if (statvfs(dir, &fs) != 0)
        st = error_set(err, ERR_IO, "cannot look at the folder %s: %s", dir, strerror(errno));
    else if ((uint64_t)fs.f_bavail * fs.f_frsize < bytes)
        st = error_set(err, ERR_IO,
                       "the synthetic model takes %s, but %s has only %s left; free some space, or "
                       "name another place with --keep",
                       cli_format_bytes(bytes, need, sizeof need), dir,
                       cli_format_bytes((uint64_t)fs.f_bavail * fs.f_frsize, have, sizeof have));
    free(dir);
    return st;
}

static enum status check_fits(const char *what, uint64_t bytes, struct error *err)
{
    char need[32], have[32];
    uint64_t available = machine_available_bytes();
    if (available == 0 || bytes <= available) return OK;
    return error_set(
        err, ERR_LIMIT,
        "%s needs %s of memory and %s are free: what is read from the disk for each "
        "token measures the disk; close other programs or choose a smaller model or type",
        what, cli_format_bytes(bytes, need, sizeof need),
        cli_format_bytes(available, have, sizeof have));
}

enum status bench_check_memory(const char *path, struct error *err)
{
    struct gguf *g;
    if (gguf_open(path, &g, NULL)) return OK; /* opening it for use says what is wrong */
    uint64_t bytes = gguf_file_bytes(g), memory = model_weight_memory(g);
    gguf_close(g);
    return check_fits(path, memory > bytes ? memory : bytes, err);
}

/* Removes what runs that were killed left behind; names end in their process ids. */
static void remove_stale(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        const char *id = strrchr(e->d_name, '@');
        long pid = id ? strtol(id + 1, NULL, 10) : 0;
        if (pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH) unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d) closedir(d);
}

static enum status temporary_path(const struct synthetic *s, char **path, struct error *err)
{
    char name[96], *dir = NULL;
    char *cache = cli_cache_dir(err);
    if (!cache) return err->code;
    enum status st = OK;
    if (asprintf(&dir, "%s/synthetic", cache) < 0) dir = NULL;
    if (!dir) st = error_set(err, ERR_NOMEM, "out of memory");
    if (!st) st = file_make_dirs(dir, err);
    if (!st) {
        remove_stale(dir);
        if (asprintf(path, "%s/%s.gguf@%ld", dir, synthetic_file_name(s, name, sizeof name),
                     (long)getpid()) < 0) {
            *path = NULL;
            st = error_set(err, ERR_NOMEM, "out of memory");
        }
    }
    free(dir);
    free(cache);
    return st;
}

static enum status write_file(const struct synthetic *s, const char *path,
                              const volatile int *cancel, struct error *err)
{
    char label[128], name[96];
    snprintf(label, sizeof label, "Making %s", synthetic_file_name(s, name, sizeof name));
    struct making m = {progress_start(label, true), cancel};
    struct synthetic_options opt = {machine_physical_cores(), show, &m};
    enum status st = synthetic_write(s, path, &opt, err);
    progress_end(m.bar);
    return st;
}

enum status bench_synthetic(const char *spec, const char *keep, const volatile int *cancel,
                            char **path, struct error *err)
{
    struct synthetic s;
    uint64_t bytes;
    *path = NULL;
    enum status st = synthetic_parse(spec, &s, err);
    if (!st) st = synthetic_file_bytes(&s, &bytes, err);
    if (st) return st;
    if (!keep) {
        if (!model_knows_arch(synthetic_arch(&s)))
            return error_set(
                err, ERR_UNSUPPORTED,
                "Hearth cannot run %s models yet; to make the file for another program, "
                "name it with --keep FILE and say -p 0 -n 0",
                synthetic_arch(&s));
        st = check_fits(spec, bytes, err);
        if (!st) st = temporary_path(&s, path, err);
    } else if (file_exists(keep) && !synthetic_is_at(&s, keep)) {
        st = error_set(err, ERR_INVALID, "%s exists and is not %s; remove it or name another file",
                       keep, spec);
    } else if (!(*path = strdup(keep))) {
        st = error_set(err, ERR_NOMEM, "out of memory");
    } else if (file_exists(keep)) {
        return OK;
    }
    if (!st) st = check_disk(*path, bytes, err);
    if (!st) st = write_file(&s, *path, cancel, err);
    if (st) {
        free(*path);
        *path = NULL;
    }
    return st;
}
