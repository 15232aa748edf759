/* From what a person writes after -m to a file, and where derived data goes. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/template_use.h"
#include "store/store.h"
#include "store/trusted.h"

static bool looks_like_path(const char *name)
{
    size_t len = strlen(name);
    return strchr(name, '/') || (len > 5 && strcmp(name + len - 5, ".gguf") == 0) ||
           file_exists(name);
}

/* "; installed: a, b (choose one with -m or HEARTH_MODEL)", or "" where none is. */
static void list_installed(const struct store *s, char *dst, size_t cap)
{
    struct store_models list;
    dst[0] = 0;
    if (store_list(s, &list, NULL) != OK) return;
    size_t used = 0;
    for (size_t i = 0; i < list.len && i < 3 && used < cap; i++)
        used += (size_t)snprintf(dst + used, cap - used, "%s%s",
                                 i ? ", " : "; installed: ", list.items[i].name);
    if (list.len > 0 && used < cap)
        snprintf(dst + used, cap - used, "%s (choose with -m or HEARTH_MODEL)",
                 list.len > 3 ? ", ..." : "");
    store_models_fini(&list);
}

static enum status resolve_default(const struct store *s, char name[STORE_NAME_SIZE],
                                   struct error *err)
{
    const struct catalogue_model *m = catalogue_default(store_catalogue(s));
    if (!m)
        return error_set(err, ERR_INVALID,
                         "no model named, and the catalogue has no default; use -m "
                         "MODEL or set HEARTH_MODEL");
    snprintf(name, STORE_NAME_SIZE, "%s", m->name);
    return OK;
}

static void on_notice(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "hearth: %s\n", line);
}

static enum status installed_path(const struct store *s, const char *name, bool by_default,
                                  char **out, struct error *err)
{
    struct store_events ev = {.notice = on_notice};
    enum status st = store_load_path(s, name, &ev, out, err);
    if (st == ERR_NOT_FOUND) {
        char others[512] = "";
        if (by_default) list_installed(s, others, sizeof others);
        return error_set(err, st, "%s%s is not installed; run: hearth pull %s%s",
                         by_default ? "the default model " : "", name, name, others);
    }
    if (st == OK && (st = store_load_hash(s, *out, &ev, err)) != OK) {
        free(*out);
        *out = NULL;
    }
    if (st == OK) template_use_first(s, name, *out);
    return st;
}

enum status cli_resolve_model(const char *name, char **out, struct error *err)
{
    *out = NULL;
    const char *env = getenv("HEARTH_MODEL");
    if (!name && env && *env) name = env;
    struct store *s;
    struct store_events ev = {.notice = on_notice};
    char full[STORE_NAME_SIZE];
    bool path = name && looks_like_path(name);
    enum status st = store_open(NULL, &s, err);
    if (st && path) { /* a file needs no store, and where none can be there is no policy */
        *out = strdup(name);
        return *out ? OK : error_set(err, ERR_NOMEM, "out of memory");
    }
    if (st) return st;
    if (path) {
        st = store_load_file(s, name, &ev, err);
        if (st == OK && !(*out = strdup(name))) st = error_set(err, ERR_NOMEM, "out of memory");
        store_close(s);
        return st;
    }
    st = name ? store_resolve(s, name, full, err) : resolve_default(s, full, err);
    if (st == OK) st = installed_path(s, full, !name, out, err);
    store_close(s);
    return st;
}

json_t *cli_model_settings(const char *name)
{
    const char *env = getenv("HEARTH_MODEL");
    struct store *s;
    struct store_model m;
    char full[STORE_NAME_SIZE];
    json_t *settings = NULL;
    if (!name && env && *env) name = env;
    if ((name && looks_like_path(name)) || store_open(NULL, &s, NULL) != OK) return NULL;
    enum status st = name ? store_resolve(s, name, full, NULL) : resolve_default(s, full, NULL);
    if (st == OK && store_find(s, full, &m, NULL) == OK) {
        settings = json_incref(m.settings);
        store_model_fini(&m);
    }
    store_close(s);
    return settings;
}

char *cli_cache_path(struct error *err)
{
    const char *home = getenv("HEARTH_HOME"), *xdg = getenv("XDG_CACHE_HOME"), *h = getenv("HOME");
    char *dir = NULL;
    int n;
    if (home && *home) {
        n = asprintf(&dir, "%s/cache", home);
    } else if (xdg && xdg[0] == '/') {
        n = asprintf(&dir, "%s/hearth", xdg);
    } else if (h && *h) {
        n = asprintf(&dir, "%s/.cache/hearth", h);
    } else {
        error_set(err, ERR_INVALID,
                  "neither HEARTH_HOME nor HOME is set, so there is no cache folder");
        return NULL;
    }
    if (n >= 0) return dir;
    error_set(err, ERR_NOMEM, "out of memory");
    return NULL;
}

char *cli_cache_dir(struct error *err)
{
    char *dir = cli_cache_path(err);
    if (!dir || file_make_dirs(dir, err) == OK) return dir;
    free(dir);
    return NULL;
}
