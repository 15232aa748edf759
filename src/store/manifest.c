/* Installed models: manifests, pins, and what reads and removes them. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "store/chain_file.h"
#include "store/settings.h"
#include "store/store_int.h"
#include "store/trusted_int.h"

enum { MAX_MANIFEST_BYTES = 1 << 20, MAX_INSTALLED = 100000 };

enum status store_json_write(const char *path, const json_t *json, struct error *err)
{
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    if (!text) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = store_make_parent(path, err);
    if (st == OK) st = file_replace(path, text, strlen(text), err);
    /* A new family's folder must survive a power cut as well as the file in it. */
    char *slash = st == OK ? strrchr(path, '/') : NULL;
    if (slash) {
        char *dir = strndup(path, (size_t)(slash - path));
        st = dir ? file_sync_parent(dir, err) : error_set(err, ERR_NOMEM, "out of memory");
        free(dir);
    }
    free(text);
    return st;
}

static enum status read_json(const char *path, json_t **out, struct error *err)
{
    struct buf text;
    buf_init(&text, MAX_MANIFEST_BYTES);
    *out = NULL;
    enum status st = file_read_all(path, &text, err);
    if (st == OK) {
        json_error_t je;
        *out = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &je);
        if (!*out) st = error_set(err, ERR_FORMAT, "%s: line %d: %s", path, je.line, je.text);
    }
    buf_fini(&text);
    return st;
}

static void now_text(char dst[32])
{
    time_t t = time(NULL);
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(dst, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) dst[0] = 0;
}

enum status manifest_write(const struct store *s, const struct manifest *m, struct error *err)
{
    char *path = NULL, when[32];
    enum status st = store_path(s, STORE_MANIFEST, m->name, &path, err);
    if (st) return st;
    now_text(when);
    json_t *json =
        json_pack("{s:i, s:s, s:s, s:I, s:s, s:s, s:s, s:O}", "version", 1, "name", m->name,
                  "sha256", m->sha256, "bytes", (json_int_t)m->bytes, "digest_from", m->digest_from,
                  "source", m->source, "pulled_at", when, "model", m->model);
    int rc = 0;
    if (json) rc = json_object_set_new(json, "recorded", provenance_stamp());
    if (json && rc == 0 && m->origin) rc = json_object_set(json, "origin", m->origin);
    if (json && rc == 0 && json_object_size(m->settings)) rc = json_object_set(json, "settings", (json_t *)m->settings);
    if (rc != 0) {
        json_decref(json);
        json = NULL;
    }
    st = json ? store_json_write(path, json, err) : error_set(err, ERR_NOMEM, "out of memory");
    json_decref(json);
    free(path);
    return st;
}

/* A manifest's text, taken apart; the strings point into json. */
static enum status manifest_parse(const json_t *json, const char *path, const char *name,
                                  struct store_model *out, struct error *err)
{
    const char *own, *sha256, *from, *source, *when;
    json_int_t version, bytes;
    json_t *model;
    if (json_unpack((json_t *)json, "{s:I, s:s, s:s, s:I, s:s, s:s, s:s, s:o}", "version", &version,
                    "name", &own, "sha256", &sha256, "bytes", &bytes, "digest_from", &from,
                    "source", &source, "pulled_at", &when, "model", &model) != 0)
        return error_set(err, ERR_FORMAT, "%s lacks a field", path);
    if (version != 1)
        return error_set(err, ERR_UNSUPPORTED, "%s was written by a newer Hearth", path);
    if (strcmp(own, name) != 0 || !store_digest_valid(sha256) || bytes <= 0)
        return error_set(err, ERR_FORMAT, "%s does not describe %s", path, name);
    enum status st = catalogue_model_parse(model, path, 0, &out->info, err);
    if (st) return st;
    snprintf(out->sha256, sizeof out->sha256, "%s", sha256);
    out->bytes = (uint64_t)bytes;
    out->origin = json_incref(json_object_get(json, "origin")); /* manifests of before have none */
    out->recorded = json_incref(json_object_get(json, "recorded"));
    const json_t *settings = json_object_get(json, "settings");
    struct error why = {0};
    if (settings_check(settings, &why) != OK && why.code != ERR_UNSUPPORTED)
        return error_set(err, ERR_FORMAT, "%s: %s", path, why.msg);
    out->settings = json_object_size(settings) ? json_incref((json_t *)settings) : NULL;
    out->digest_from = strdup(from);
    out->source = strdup(source);
    out->pulled_at = strdup(when);
    if (!out->digest_from || !out->source || !out->pulled_at)
        return error_set(err, ERR_NOMEM, "out of memory");
    return OK;
}

static enum status note_problem(struct store_model *m, const char *words, const char *detail)
{
    if (asprintf(&m->problem, "%s%s", words, detail) >= 0) return OK;
    m->problem = NULL;
    return ERR_NOMEM;
}

/* What is wrong with a model becomes its `problem`; only running out of memory is an error. */
static enum status check_blob(const struct store *s, struct store_model *m, struct error *err)
{
    struct stat sb;
    enum status st = store_path(s, STORE_BLOB, m->sha256, &m->path, err);
    if (st) return st;
    if (stat(m->path, &sb) != 0)
        st = note_problem(m, "its file cannot be found: ", strerror(errno));
    else if (!S_ISREG(sb.st_mode) || (uint64_t)sb.st_size != m->bytes)
        st = note_problem(m, "its file has another size than when it was pulled", "");
    return st ? error_set(err, st, "out of memory") : OK;
}

enum status store_find(const struct store *s, const char *name, struct store_model *out,
                       struct error *err)
{
    *out = (struct store_model){0};
    char *path;
    enum status st = store_path(s, STORE_MANIFEST, name, &path, err);
    if (st) return st;
    struct error why = {0};
    json_t *json = NULL;
    snprintf(out->name, sizeof out->name, "%s", name);
    st = read_json(path, &json, &why);
    if (st == ERR_NOT_FOUND) {
        error_set(err, st, "%s is not installed", name);
        goto out;
    }
    if (st == OK) st = manifest_parse(json, path, name, out, &why);
    if (st == OK)
        st = check_blob(s, out, &why);
    else if (st != ERR_NOMEM)
        st = note_problem(out, why.msg, "");
    if (st) error_set(err, st, "%s", why.msg);
out:
    json_decref(json);
    free(path);
    if (st) store_model_fini(out);
    return st;
}

void store_model_fini(struct store_model *m)
{
    free(m->path);
    free(m->source);
    free(m->pulled_at);
    free(m->digest_from);
    free(m->problem);
    catalogue_model_fini(&m->info);
    json_decref(m->origin);
    json_decref(m->recorded);
    json_decref(m->settings);
    *m = (struct store_model){0};
}

void store_models_fini(struct store_models *list)
{
    for (size_t i = 0; i < list->len; i++) store_model_fini(&list->items[i]);
    free(list->items);
    *list = (struct store_models){0};
}

/* What each_manifest calls with every full name; a status other than OK ends the walk. */
struct visitor {
    enum status (*visit)(void *ctx, const char *name, struct error *err);
    void *ctx;
};

static enum status each_tag(const char *dir, const char *family, const struct visitor *v,
                            struct error *err)
{
    DIR *d = opendir(dir);
    if (!d) return OK; /* not a folder, or gone meanwhile */
    enum status st = OK;
    for (const struct dirent *e; st == OK && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        char name[STORE_NAME_SIZE];
        if (len <= 5 || len - 5 >= STORE_PART_SIZE || strcmp(e->d_name + len - 5, ".json") != 0)
            continue;
        int n = snprintf(name, sizeof name, "%s:%.*s", family, (int)(len - 5), e->d_name);
        if (n < (int)sizeof name && store_name_valid(name)) st = v->visit(v->ctx, name, err);
    }
    closedir(d);
    return st;
}

static enum status each_manifest(const struct store *s, const struct visitor *v, struct error *err)
{
    char *root;
    enum status st = store_path(s, STORE_MANIFESTS, NULL, &root, err);
    if (st) return st;
    DIR *d = opendir(root);
    if (!d && errno != ENOENT)
        st = error_set(err, ERR_IO, "cannot list %s: %s", root, strerror(errno));
    for (const struct dirent *e; d && st == OK && (e = readdir(d));) {
        if (!store_name_valid(e->d_name) || strchr(e->d_name, ':')) continue;
        char *dir;
        if (asprintf(&dir, "%s/%s", root, e->d_name) < 0) {
            st = error_set(err, ERR_NOMEM, "out of memory");
            break;
        }
        st = each_tag(dir, e->d_name, v, err);
        free(dir);
    }
    if (d) closedir(d);
    free(root);
    return st;
}

struct listing {
    const struct store *s;
    struct store_models *out;
    size_t cap;
};

static enum status list_one(void *ctx, const char *name, struct error *err)
{
    struct listing *l = ctx;
    if (l->out->len >= MAX_INSTALLED)
        return error_set(err, ERR_LIMIT, "more than %d models are installed", MAX_INSTALLED);
    if (l->out->len == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct store_model *p = realloc(l->out->items, cap * sizeof *p);
        if (!p) return error_set(err, ERR_NOMEM, "out of memory");
        l->out->items = p;
        l->cap = cap;
    }
    enum status st = store_find(l->s, name, &l->out->items[l->out->len], err);
    if (st == ERR_NOT_FOUND) return OK; /* removed meanwhile */
    if (st == OK) l->out->len++;
    return st;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct store_model *)a)->name, ((const struct store_model *)b)->name);
}

enum status store_list(const struct store *s, struct store_models *out, struct error *err)
{
    *out = (struct store_models){0};
    struct listing l = {.s = s, .out = out};
    enum status st = each_manifest(s, &(struct visitor){list_one, &l}, err);
    if (st)
        store_models_fini(out);
    else if (out->len)
        qsort(out->items, out->len, sizeof *out->items, by_name);
    return st;
}

struct usage {
    const struct store *s;
    const char *digest;
    bool used;
};

static enum status use_one(void *ctx, const char *name, struct error *err)
{
    (void)err;
    struct usage *u = ctx;
    struct store_model m;
    enum status st = store_find(u->s, name, &m, NULL);
    if (st == ERR_NOT_FOUND) return OK;
    /* Without a digest the manifest could not be read: it might be this one's. */
    if (st || !m.sha256[0] || strcmp(m.sha256, u->digest) == 0) u->used = true;
    if (st == OK) store_model_fini(&m);
    return OK;
}

bool manifest_digest_used(const struct store *s, const char *digest)
{
    struct usage u = {.s = s, .digest = digest};
    struct error ignored;
    return each_manifest(s, &(struct visitor){use_one, &u}, &ignored) != OK || u.used;
}

enum status store_verify(const struct store *s, const char *name, const struct store_events *ev,
                         struct error *err)
{
    struct store_model m;
    enum status st = store_find(s, name, &m, err);
    if (st) return st;
    if (m.problem)
        st = error_set(err, ERR_INTEGRITY, "%s: %s; run: hearth pull %s", name, m.problem, name);
    else if ((st = store_check_file(m.path, m.sha256, ev, err)) == ERR_INTEGRITY)
        error_set(err, st,
                  "%s: %s changed on disk since it was pulled; run: hearth pull --verify %s", name,
                  m.path, name);
    store_model_fini(&m);
    return st;
}

enum status blob_release(const struct store *s, const char *digest, bool own_lock, uint64_t *freed,
                         struct error *err)
{
    struct store_lock lock = {-1};
    char *path;
    *freed = 0;
    if (manifest_digest_used(s, digest)) return OK;
    enum status st = own_lock ? OK : store_lock_try(s, STORE_LOCK_DIGEST, digest, &lock, err);
    if (st == ERR_BUSY) return OK; /* a pull is about to give it another name */
    if (st) return st;
    if ((st = store_path(s, STORE_BLOB, digest, &path, err)) == OK) {
        struct stat sb;
        uint64_t size = stat(path, &sb) == 0 ? (uint64_t)sb.st_size : 0;
        if (unlink(path) == 0) {
            *freed = size;
            chain_remove(s, digest);
            trust_forget(s, digest);
        } else if (errno != ENOENT)
            st = error_set(err, ERR_IO, "cannot remove %s: %s", path, strerror(errno));
    }
    free(path);
    store_lock_drop(&lock);
    return st;
}

/* Deletes a manifest's file, and its blob unless it is shared. Under the commit lock. */
static enum status remove_locked(const struct store *s, const char *name, bool forget_pin,
                                 uint64_t *freed, struct error *err)
{
    struct store_model m;
    char *manifest = NULL, *pin = NULL;
    enum status st = store_find(s, name, &m, err);
    if (st) return st;
    if ((st = store_path(s, STORE_MANIFEST, name, &manifest, err)) ||
        (st = store_path(s, STORE_PIN, name, &pin, err)))
        goto out;
    /* The name goes first: a blob without a name is garbage, a name without a blob a broken model.
     */
    if (unlink(manifest) != 0 && errno != ENOENT) {
        st = error_set(err, ERR_IO, "cannot remove %s: %s", manifest, strerror(errno));
        goto out;
    }
    st = file_sync_parent(manifest, err);
    if (st == OK && forget_pin && unlink(pin) != 0 && errno != ENOENT)
        st = error_set(err, ERR_IO, "cannot remove %s: %s", pin, strerror(errno));
    if (st == OK && m.sha256[0]) st = blob_release(s, m.sha256, false, freed, err);
out:
    free(manifest);
    free(pin);
    store_model_fini(&m);
    return st;
}

enum status store_remove(const struct store *s, const char *name, bool forget_pin, uint64_t *freed,
                         const struct store_events *ev, struct error *err)
{
    uint64_t unused;
    if (!freed) freed = &unused;
    *freed = 0;
    struct store_lock own = {-1}, commit = {-1};
    struct store_model m;
    /* Asking first keeps rm of a name that was never there from creating lock files. */
    enum status st = store_find(s, name, &m, err);
    if (st) return st;
    store_model_fini(&m);
    st = store_lock_take(s, STORE_LOCK_NAME, name, name, ev, &own, err);
    if (st == OK) st = store_lock_take(s, STORE_LOCK_COMMIT, NULL, "the store", ev, &commit, err);
    if (st == OK) st = remove_locked(s, name, forget_pin, freed, err);
    store_lock_drop(&commit);
    store_lock_drop(&own);
    return st;
}

enum status pin_read(const struct store *s, const char *name, char digest[65], struct error *err)
{
    char *path;
    json_t *json = NULL;
    enum status st = store_path(s, STORE_PIN, name, &path, err);
    if (st) return st;
    st = read_json(path, &json, err);
    if (st == OK) {
        const char *hex = json_string_value(json_object_get(json, "sha256"));
        if (hex && store_digest_valid(hex))
            snprintf(digest, 65, "%s", hex);
        else
            st = error_set(err, ERR_FORMAT, "%s holds no SHA-256; delete it to pin anew", path);
    }
    json_decref(json);
    free(path);
    return st;
}

enum status pin_write(const struct store *s, const char *name, const char *digest,
                      const char *source, struct error *err)
{
    char *path, when[32];
    enum status st = store_path(s, STORE_PIN, name, &path, err);
    if (st) return st;
    now_text(when);
    json_t *json =
        json_pack("{s:s, s:s, s:s}", "sha256", digest, "source", source, "pinned_at", when);
    st = json ? store_json_write(path, json, err) : error_set(err, ERR_NOMEM, "out of memory");
    json_decref(json);
    free(path);
    return st;
}
