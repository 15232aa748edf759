#include "cli/complete_cache.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/load.h"
#include "infer/session_file.h"

static char *sessions_dir(struct error *err)
{
    char *dir, *cache = cli_cache_dir(err);
    if (!cache) return NULL;
    if (asprintf(&dir, "%s/sessions", cache) < 0) {
        dir = NULL;
        error_set(err, ERR_NOMEM, "out of memory");
    }
    free(cache);
    return dir;
}

/* The same file by another path is the same file. */
static char *key_of(const char *file)
{
    char *path = realpath(file, NULL);
    return path ? path : strdup(file);
}

void complete_cache_load(struct session *s, const char *file)
{
    struct error err;
    size_t n;
    enum status st = ERR_NOMEM;
    char *dir = sessions_dir(&err), *key = key_of(file);
    if (dir && key) st = session_load(s, dir, key, &n, &err);
    if (!dir || (key && st != OK && st != ERR_NOT_FOUND))
        fprintf(stderr, "hearth: what was kept of %s is not used: %s\n", file, err.msg);
    free(key);
    free(dir);
}

void complete_cache_save(const struct session *s, const char *file)
{
    struct error err;
    enum status st = ERR_NOMEM;
    char *dir = sessions_dir(&err), *key = key_of(file);
    if (dir && key) st = session_save(s, dir, key, SESSION_FILES_BYTES, &err);
    if (!dir || (key && st != OK))
        fprintf(stderr, "hearth: the session of %s is not kept: %s\n", file, err.msg);
    free(key);
    free(dir);
}

int complete_cache_forget(void)
{
    struct error err;
    size_t count;
    uint64_t bytes;
    char size[32];
    char *dir = sessions_dir(&err);
    enum status st = dir ? session_files_remove(dir, &count, &bytes, &err) : err.code;
    free(dir);
    if (st != OK) return cli_fail(&err);
    printf("Deleted %zu kept session%s (%s).\n", count, count == 1 ? "" : "s",
           cli_format_bytes(bytes, size, sizeof size));
    return EXIT_OK;
}
