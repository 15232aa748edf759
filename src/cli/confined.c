#include "cli/confined.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/confined_int.h"
#include "cli/index_embed.h"
#include "index/index.h"
#include "stats/stats.h"
#include "store/store.h"

/* A process has one set of walls, so this is a global as the walls are. */
static struct {
    const struct command *cmd;
    const void *options;
    int argc;
    char **argv;
    const struct confined_row *row; /* NULL: the command reads nothing that others made */
    unsigned needs;
    bool off, up, quiet_net;
    const char *why_not;
    struct confined now;
    struct confine rules; /* while they are being put together */
    struct error *err;    /* the first that confine_allow met; while they are */
} own;

/* ---- what is asked for ---- */

void confined_take_flag(int *argc, char **argv)
{
    int n = 0;
    bool ended = false;
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--") == 0) ended = true;
        if (ended || strcmp(argv[i], "--no-sandbox") != 0)
            argv[n++] = argv[i];
        else
            own.off = true, own.why_not = "--no-sandbox";
    }
    *argc = n;
}

void confined_off(const char *why)
{
    own.off = true;
    own.why_not = why;
}

void confined_need(unsigned needs)
{
    own.needs |= needs;
}

/* ---- rules ---- */

static void allow(const char *path, enum confine_access access)
{
    if (own.err->code == OK) confine_allow(&own.rules, path, access, own.err);
}

/* A file that is replaced has another identity afterwards, which only its folder's rule covers. */
static void allow_folder(const char *path, enum confine_access access)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof dir) return;
    memcpy(dir, path, n);
    dir[n] = 0;
    allow(!slash ? "." : n ? dir : "/", access);
}

void confined_path(const char *path, enum confine_access access, bool folder)
{
    char real[PATH_MAX];
    if (!path || !own.err) return;
    if (folder) allow_folder(path, access);
    if (!folder) allow(path, access);
    if (folder && realpath(path, real)) allow_folder(real, access);
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The parts of a model lie beside each other. */
static void allow_model(const char *path)
{
    char real[PATH_MAX];
    allow(path, CONFINE_READ);
    if (!strstr(path, "-of-")) return;
    allow_folder(path, CONFINE_READ);
    if (realpath(path, real)) allow_folder(real, CONFINE_READ);
}

static void allow_named_model(const char *name)
{
    struct error ignored;
    char *path;
    if (cli_resolve_model(name, &path, &ignored) == OK) allow_model(path);
    free(path);
}

static bool is_written(const char *option)
{
    for (size_t i = 0; i < CONFINED_MAX_WRITTEN && own.row->written[i]; i++)
        if (strcmp(own.row->written[i], option) == 0) return true;
    return false;
}

static void allow_value(const struct option *o, const char *value)
{
    bool model = strcmp(o->metavar, "MODEL") == 0;
    bool file = strstr(o->metavar, "FILE") || strcmp(o->metavar, "DIR") == 0;
    if (is_written(o->name)) {
        if (value) confined_path(value, CONFINE_WRITE, !is_folder(value));
    } else if (model && (value || strcmp(o->name, "model") == 0)) {
        allow_named_model(value);
    } else if (file && value) {
        allow(value, CONFINE_READ);
    }
}

static void allow_options(void)
{
    for (const struct option *o = own.cmd->options; o && o->name; o++) {
        const char *field = (const char *)own.options + o->offset;
        const struct string_list *list = (const void *)field;
        if (!o->metavar) continue;
        if (o->kind == OPTION_STRING) allow_value(o, *(const char *const *)field);
        for (size_t i = 0; o->kind == OPTION_LIST && i < list->len; i++)
            allow_value(o, list->items[i]);
    }
}

/* The folder of the project: the argument that is one, else the option that names one, else here. */
static const char *project_folder(void)
{
    for (int i = 0; i < own.argc; i++)
        if (is_folder(own.argv[i])) return own.argv[i];
    for (const struct option *o = own.cmd->options; o && o->name; o++)
        if (o->metavar && strcmp(o->metavar, "DIR") == 0 && o->kind == OPTION_STRING) {
            const char *dir = *(const char *const *)((const char *)own.options + o->offset);
            if (dir) return dir;
        }
    return ".";
}

/* An index remembers the model of its vectors, by a path perhaps. */
static void allow_index_model(void)
{
    struct error ignored;
    struct index *ix = NULL;
    struct index_info info;
    char *cache = cli_index_cache(&ignored);
    if (cache && index_open(project_folder(), cache, &ix, &ignored) == OK &&
        index_info(ix, &info, &ignored) == OK && info.model[0])
        allow_named_model(info.model);
    index_close(ix);
    free(cache);
}

/* Hugging Face's cache has folders of links. */
static void allow_links(const char *folder)
{
    DIR *d = opendir(folder);
    char path[PATH_MAX], real[PATH_MAX];
    for (const struct dirent *e; d && (e = readdir(d));)
        if (e->d_type == DT_LNK &&
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name) < (int)sizeof path &&
            realpath(path, real))
            allow(real, CONFINE_READ);
    if (d) closedir(d);
}

static bool is_path(const char *arg)
{
    size_t n = strlen(arg);
    return strchr(arg, '/') || (n > 5 && strcmp(arg + n - 5, ".gguf") == 0) || file_exists(arg);
}

static void allow_args(void)
{
    for (int i = 0; i < own.argc; i++) {
        if (own.needs & NEED_OUT_ARG && i == 1) {
            if (is_path(own.argv[i])) allow_folder(own.argv[i], CONFINE_WRITE);
        } else if (file_exists(own.argv[i])) {
            allow_model(own.argv[i]);
            allow_links(own.argv[i]);
        } else if (own.needs & NEED_START)
            allow_named_model(own.argv[i]);
    }
}

/* Not where a shell would run what is written. */
static void allow_save(void)
{
    char here[PATH_MAX], home[PATH_MAX];
    const char *h = getenv("HOME");
    if (!getcwd(here, sizeof here)) return;
    size_t n = strlen(here);
    if (h && realpath(h, home) && strncmp(home, here, n) == 0 && (n == 1 || !home[n] || home[n] == '/')) return;
    allow(here, CONFINE_WRITE);
}

/* Its folders, where they are links to a larger disk. */
static void allow_linked_parts(const char *root, enum confine_access access)
{
    DIR *d = opendir(root);
    char path[PATH_MAX], real[PATH_MAX];
    for (const struct dirent *e; d && (e = readdir(d));)
        if (e->d_type == DT_LNK && snprintf(path, sizeof path, "%s/%s", root, e->d_name) < (int)sizeof path &&
            realpath(path, real) && is_folder(real))
            allow(real, access);
    if (d) closedir(d);
}

/* Models that are linked into the store lie elsewhere. */
static void allow_store(void)
{
    struct error ignored;
    struct store *s = NULL;
    struct store_models list = {0};
    char real[PATH_MAX];
    if (store_open(NULL, &s, &ignored) != OK) return;
    if (own.needs & (NEED_STORE | NEED_STATS | NEED_CHATS)) (void)file_make_dirs(store_root(s), &ignored);
    enum confine_access access = own.needs & NEED_STORE ? CONFINE_WRITE : CONFINE_READ;
    allow(store_root(s), access);
    allow_linked_parts(store_root(s), access);
    if (store_list(s, &list, &ignored) == OK)
        for (size_t i = 0; i < list.len; i++)
            if (list.items[i].path && realpath(list.items[i].path, real)) allow_model(real);
    store_models_fini(&list);
    store_close(s);
}

/* Files of Hearth's own folder that are written in place; they have to be there to be allowed. */
static void allow_own_file(const char *name)
{
    struct error ignored;
    struct store *s = NULL;
    char path[PATH_MAX];
    if (store_open(NULL, &s, &ignored) != OK) return;
    if (snprintf(path, sizeof path, "%s/%s", store_root(s), name) < (int)sizeof path)
        confined_own_file(path, allow);
    store_close(s);
}

/* Those that the environment names for curl and OpenSSL. */
static void allow_certificates(void)
{
    static const char *const names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"};
    for (size_t i = 0; i < sizeof names / sizeof *names && own.needs & (NEED_NET | NEED_NET_LATER); i++) {
        const char *path = getenv(names[i]);
        if (path && *path) allow(path, CONFINE_READ);
    }
}

/* SQLite makes a new database's journal by files that the walls would not let it delete. */
static void allow_stats(void)
{
    struct error ignored;
    struct store *s = NULL;
    struct stats *made = NULL;
    struct stat st;
    char path[PATH_MAX];
    if (store_open(NULL, &s, &ignored) != OK) return;
    int n = snprintf(path, sizeof path, "%s/stats.sqlite", store_root(s));
    store_close(s);
    if (n >= (int)sizeof path) return;
    if ((stat(path, &st) != 0 || st.st_size == 0) && stats_open(path, &made, &ignored) == OK) stats_close(made);
    confined_own_file(path, allow);
}

static void allow_needs(void)
{
    struct error ignored;
    char *cache = own.needs & NEED_CACHE ? cli_cache_dir(&ignored) : cli_cache_path(&ignored);
    if (cache) allow(cache, own.needs & NEED_CACHE ? CONFINE_WRITE : CONFINE_READ);
    free(cache);
    confined_system(own.needs, allow);
    allow_certificates();
    allow_store();
    allow_options();
    if (own.needs & NEED_ANYWHERE) allow("/", CONFINE_READ);
    if (own.needs & NEED_ARGS) allow_args();
    if (own.needs & NEED_HERE) allow(project_folder(), CONFINE_READ);
    if (own.needs & NEED_INDEX) allow_index_model();
    if (own.needs & NEED_SAVE) allow_save();
    if (own.needs & NEED_STATS) allow_stats();
    if (own.needs & NEED_HISTORY) allow_own_file("history");
    if (own.needs & NEED_CHATS) allow_own_file("chats/");
}

/* ---- the walls ---- */

static enum status check_required(struct error *err)
{
    const char *v = getenv("HEARTH_SANDBOX");
    if (!v || strcmp(v, "require") != 0 || (own.now.files && own.now.calls)) return OK;
    return error_set(err, ERR_UNSUPPORTED,
                     "HEARTH_SANDBOX=require: this kernel has no %s, or a sanitizer or an option switched it off",
                     own.now.files ? "filters of system calls" : "Landlock");
}

static enum status put_up(const char *model, void (*more)(void *ctx), void *ctx, struct error *err)
{
    bool start = (own.needs & NEED_START) != 0;
    bool net = (own.needs & NEED_NET_LATER) || (start && own.needs & NEED_NET);
    bool on = false;
    own.up = true;
    enum status st = confine_begin(&own.rules, net, (own.needs & NEED_STORE) != 0, err);
    if (st != OK) return st;
    struct error first = {0};
    own.err = &first;
    allow_needs();
    if (model) allow_model(model);
    if (more) more(ctx);
    own.err = NULL;
    if (first.code != OK) {
        confine_drop(&own.rules);
        *err = first;
        return err->code;
    }
    st = confine_enter(&own.rules, &own.now, err);
    bool sockets = net || own.needs & NEED_LISTEN;
    unsigned refuse = (own.needs & NEED_EXEC ? 0 : CONFINE_NO_EXEC) | (sockets ? 0 : CONFINE_NO_SOCKETS);
    if (st == OK) st = confine_filter(refuse, &on, err);
    own.now.calls = on;
    return st;
}

static bool switched_off(void)
{
    const char *v = getenv("HEARTH_SANDBOX");
    if (!own.off && v && (strcmp(v, "off") == 0 || strcmp(v, "0") == 0))
        own.off = true, own.why_not = "HEARTH_SANDBOX";
    if (!own.off && confine_sanitized() && !(v && strcmp(v, "on") == 0))
        own.off = true, own.why_not = "built with a sanitizer";
    return own.off;
}

enum status confined_up(const char *model, void (*more)(void *ctx), void *ctx, struct error *err)
{
    if (switched_off() || !own.row) return check_required(err);
    if (!own.up) {
        enum status st = put_up(model, more, ctx, err);
        if (st == OK) st = check_required(err);
        if (st != OK) error_prefix(err, "the sandbox (--no-sandbox goes without)");
        return st;
    }
    if (!(own.needs & NEED_NET) || own.needs & NEED_NET_LATER || own.quiet_net) return OK;
    own.quiet_net = true;
    return confine_filter(CONFINE_NO_SOCKETS, NULL, err);
}

enum status confined_model(const char *model, struct error *err)
{
    return confined_up(model, NULL, NULL, err);
}

/* Whether the vectors are on a server (cli/index_store.h). */
static bool names_vector_server(void)
{
    const char *env = getenv("HEARTH_STORE");
    for (const struct option *o = own.cmd->options; o && o->name; o++)
        if (strcmp(o->name, "store") == 0 && o->kind == OPTION_STRING)
            return *(const char *const *)((const char *)own.options + o->offset) || (env && *env);
    return false;
}

enum status confined_begin(const struct command *cmd, const void *options, int argc, char **argv,
                           struct error *err)
{
    own.cmd = cmd;
    own.options = options;
    own.argc = argc;
    own.argv = argv;
    own.row = confined_row_find(cmd->name);
    own.needs = own.row ? own.row->needs : 0;
    if (own.row && names_vector_server()) own.needs |= NEED_NET | NEED_NET_LATER;
    if (own.needs & NEED_LOCAL && (argc == 0 || !file_exists(argv[0]))) own.row = NULL;
    return own.row && own.needs & NEED_START ? confined_up(NULL, NULL, NULL, err) : OK;
}

enum status confined_seal(bool opens, struct error *err)
{
    if (!own.up) return OK;
    clock_since_process_start(); /* reads a file the first time */
    return confine_filter(CONFINE_NO_EXEC | CONFINE_NO_SOCKETS | CONFINE_NO_WRITES |
                              (opens ? CONFINE_NO_OPENS : 0),
                          NULL, err);
}

enum status confined_no_sockets(struct error *err)
{
    if (!own.up || own.needs & NEED_NET_LATER) return OK;
    own.now.connections = own.now.calls || own.now.connections;
    return confine_filter(CONFINE_NO_SOCKETS, NULL, err);
}

/* ---- telling ---- */

const struct confined *confined_state(void)
{
    return &own.now;
}

const char *confined_why_not(void)
{
    switched_off();
    return own.off ? own.why_not : NULL;
}

const char *confined_text(const struct confined *c, char *dst, size_t cap)
{
    static const char *const names[] = {"files", "connections", "signals", "system calls"};
    const bool on[] = {c->files, c->connections, c->signals, c->calls};
    size_t used = 0;
    dst[0] = 0;
    for (size_t i = 0; i < 4 && used < cap; i++)
        if (on[i]) used += (size_t)snprintf(dst + used, cap - used, "%s%s", used ? ", " : "", names[i]);
    return dst;
}
