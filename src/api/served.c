#include "api/served.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/api.h"
#include "base/clock.h"
#include "infer/engine.h"
#include "infer/models.h"
#include "infer/scheduler.h"
#include "model/model.h"
#include "store/store.h"
#include "store/trusted.h"
#include "text/chat.h"

enum { DEFAULT_CTX = 16384 };

struct served {
    const struct api_options *opt;
    struct models *models;
    pthread_mutex_t store_lock;
};

/* ---- what a model has beside its engine -------------------------------------------------------
 */

/* A model without a usable template completes text and has no conversations. */
static void open_chat(struct loaded_model *m)
{
    const struct gguf *g = engine_gguf(m->engine);
    struct gguf_str tools = {0};
    gguf_get_str(g, "tokenizer.chat_template", &m->template_source, NULL);
    gguf_get_str(g, "tokenizer.chat_template.tool_use", &tools, NULL);
    struct chat_source src = {.plain = {m->template_source.data, m->template_source.len},
                              .with_tools = {tools.data, tools.len},
                              .vocab = m->tok,
                              .architecture = engine_model_info(m->engine)->arch};
    chat_create(&src, &m->chat, NULL);
}

static void detach(void *beside)
{
    struct loaded_model *m = beside;
    chat_destroy(m->chat);
    free(m);
}

/* A line of the log, in the form of api_log's. */
static void log_notice(void *ctx, const char *text)
{
    const struct served *p = ctx;
    time_t now = time(NULL);
    struct tm tm;
    char when[32] = "";
    if (!p->opt->log) return;
    if (gmtime_r(&now, &tm)) strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_t *line = json_pack("{s:s, s:s, s:s, s:s}", "time", when, "level", "warning", "msg", "trust", "text", text);
    char *dump = line ? json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    if (dump) p->opt->log(p->opt->log_ctx, dump);
    free(dump);
    json_decref(line);
}

/* What is done once for each time that a file is opened: the policy's warning, and hashing where it wants that. */
static enum status check_trust(struct served *p, struct model_use *u, struct error *err)
{
    struct store_events ev = {.notice = log_notice, .ctx = p};
    char *path = NULL;
    if (!p->opt->store) return OK;
    /* It was allowed a moment ago; a name that the store does not know is that of a file. */
    pthread_mutex_lock(&p->store_lock);
    store_load_path(p->opt->store, model_use_name(u), &ev, &path, NULL);
    pthread_mutex_unlock(&p->store_lock);
    enum status st = path ? store_load_hash(p->opt->store, path, NULL, err) : OK;
    free(path);
    return st;
}

static enum status attach(void *ctx, struct model_use *u, void **beside, struct error *err)
{
    struct served *p = ctx;
    enum status st = check_trust(p, u, err);
    if (st) return st;
    struct loaded_model *m = calloc(1, sizeof *m);
    if (!m) return error_set(err, ERR_NOMEM, "no memory for a model's name");
    snprintf(m->name, sizeof m->name, "%s", model_use_name(u));
    m->engine = model_use_engine(u);
    m->scheduler = model_use_scheduler(u);
    const struct model_info *info = engine_model_info(m->engine);
    size_t n_ctx = p->opt->n_ctx ? p->opt->n_ctx : DEFAULT_CTX;
    if (info->n_ctx_train && n_ctx > info->n_ctx_train) n_ctx = info->n_ctx_train;
    m->n_ctx = m->scheduler ? scheduler_n_ctx(m->scheduler) : n_ctx;
    m->tok = engine_tokenizer(m->engine);
    m->bytes = info->weight_bytes;
    m->has_fim = m->tok && fim_detect(m->tok, m->name, &m->fim, NULL) == OK;
    m->loaded_at = (int64_t)time(NULL);
    if (!m->tok) {
        st = error_set(err, ERR_UNSUPPORTED,
                                   "model %s has no vocabulary and cannot serve texts", m->name);
        free(m);
        return st;
    }
    open_chat(m);
    *beside = m;
    return OK;
}

/* ---- life -------------------------------------------------------------------------------------
 */

enum status served_create(const struct api_options *opt, struct served **out, struct error *err)
{
    struct served *p = *out = calloc(1, sizeof *p);
    if (!p) return error_set(err, ERR_NOMEM, "no memory for the models");
    p->opt = opt;
    pthread_mutex_init(&p->store_lock, NULL);
    struct models_options mo = {.engine = {.n_threads = opt->n_threads,
                                           .settle = true,
                                           .cache_dir = opt->cache_dir,
                                           .kv_type = opt->kv_type},
                                .sched = {.n_ctx = opt->n_ctx ? opt->n_ctx : DEFAULT_CTX,
                                          .kv_bytes = opt->kv_bytes,
                                          .max_running = opt->max_running,
                                          .max_waiting = opt->max_waiting},
                                .memory_bytes = opt->memory_bytes,
                                .max_open = opt->max_models,
                                /* 0 means "at once" here and "as usual" there. */
                                .keep_ms = opt->keep_alive == 0 ? 1e-6 : 1e3 * opt->keep_alive,
                                .attach = attach,
                                .detach = detach,
                                .ctx = p};
    enum status st = models_create(&mo, &p->models, err);
    if (st != OK) {
        served_destroy(p);
        *out = NULL;
    }
    return st;
}

void served_destroy(struct served *p)
{
    if (!p) return;
    models_destroy(p->models);
    pthread_mutex_destroy(&p->store_lock);
    free(p);
}

/* ---- names ------------------------------------------------------------------------------------
 */

static bool is_path(const char *s)
{
    size_t n = strlen(s);
    return strchr(s, '/') || (n > 5 && strcmp(s + n - 5, ".gguf") == 0);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Whether a request's name means the model given by its path at start. */
static bool means_default_file(const struct served *p, const char *typed)
{
    const char *d = p->opt->default_model;
    if (!d || !is_path(d)) return false;
    const char *base = base_name(d);
    size_t n = strlen(base), stem = n > 5 && strcmp(base + n - 5, ".gguf") == 0 ? n - 5 : n;
    size_t len = strlen(typed);
    if (len > 7 && strcmp(typed + len - 7, ":latest") == 0) len -= 7;
    return (len == n && memcmp(typed, base, n) == 0) ||
           (len == stem && memcmp(typed, base, stem) == 0);
}

/* The store's model of that name, and its file where `path` is not NULL. */
static enum status resolve_installed(struct served *p, const char *typed, char name[160],
                                     char **path, json_t **settings, struct error *err)
{
    /* A path in a request would let a client open any file. */
    char plain[160], full[STORE_NAME_SIZE];
    size_t len = strlen(typed);
    if (len >= sizeof plain) return error_set(err, ERR_NOT_FOUND, "there is no model of that name");
    memcpy(plain, typed, len + 1);
    if (len > 7 && strcmp(plain + len - 7, ":latest") == 0) plain[len - 7] = 0;
    struct store_model m = {0};
    pthread_mutex_lock(&p->store_lock);
    enum status st = store_resolve(p->opt->store, plain, full, err);
    if (st == OK) st = store_find(p->opt->store, full, &m, err);
    if (st == OK && path) st = store_load_path(p->opt->store, full, NULL, path, err);
    pthread_mutex_unlock(&p->store_lock);
    if (st == ERR_NOT_FOUND || st == ERR_INVALID)
        st = error_set(err, ERR_NOT_FOUND,
                       "model '%.100s' is not installed; run: hearth pull %.100s", typed, plain);
    if (st == OK) snprintf(name, 160, "%s", full);
    if (st == OK && settings) *settings = json_incref(m.settings);
    store_model_fini(&m);
    return st;
}

/* `path` and `settings` may be NULL. */
static enum status resolve(struct served *p, const char *typed, char name[160], char **path,
                           json_t **settings, struct error *err)
{
    const char *d = p->opt->default_model;
    bool file = d && is_path(d);
    if (path) *path = NULL;
    if (!typed || !*typed) {
        const struct catalogue_model *m =
            d ? NULL : catalogue_default(store_catalogue(p->opt->store));
        if (!d && !m)
            return error_set(err, ERR_INVALID,
                             "the request names no model, and there is no default");
        typed = d ? d : m->name;
    } else {
        file = file && means_default_file(p, typed);
    }
    if (!file) return resolve_installed(p, typed, name, path, settings, err);
    snprintf(name, 160, "%.159s", base_name(d));
    if (path && !(*path = strdup(d))) return error_set(err, ERR_NOMEM, "out of memory");
    return OK;
}

enum status served_resolve(struct served *p, const char *typed, char name[160], struct error *err)
{
    return resolve(p, typed, name, NULL, NULL, err);
}

/* ---- holding ----------------------------------------------------------------------------------
 */

/* The template that goes with the name, instead of the file's. */
static enum status open_own_chat(struct loaded_model *m, struct error *err)
{
    const json_t *t = json_object_get(m->settings, "template");
    if (json_string_length(t) == 0) return OK;
    struct chat_source src = {.vocab = m->tok, .architecture = engine_model_info(m->engine)->arch};
    chat_source_set(&src, json_string_value(t), json_string_length(t));
    enum status st = chat_create(&src, &m->own_chat, err);
    if (st != OK) return error_prefix(err, "the template of %s", m->name);
    m->chat = m->own_chat;
    m->template_source = (struct gguf_str){json_string_value(t), json_string_length(t)};
    return OK;
}

/* `local`: a path is one, because no client gave it. */
static enum status acquire(struct served *p, const char *typed, bool local, struct loaded_model **out,
                           struct error *err)
{
    char name[160], *path = NULL;
    json_t *settings = NULL;
    struct model_use *u;
    struct loaded_model *own = malloc(sizeof *own);
    if (!own) return error_set(err, ERR_NOMEM, "no memory for the request");
    enum status st = OK;
    if (local && is_path(typed)) {
        snprintf(name, sizeof name, "%.159s", base_name(typed));
        st = store_load_file(p->opt->store, typed, NULL, err);
        if (st == OK && !(path = strdup(typed))) st = error_set(err, ERR_NOMEM, "out of memory");
    } else {
        st = resolve(p, typed, name, &path, &settings, err);
    }
    if (st == OK) st = models_acquire(p->models, path, name, NAN, &u, err);
    if (st == OK) {
        /* Two names of one file are one model, but each is told its own name. */
        *own = *(const struct loaded_model *)model_use_beside(u);
        memcpy(own->name, name, sizeof own->name);
        own->use = u;
        own->settings = settings;
        settings = NULL;
        st = open_own_chat(own, err);
        if (st == OK)
            *out = own;
        else
            served_release(own, NAN);
    } else {
        free(own);
    }
    json_decref(settings);
    if (path) free(path);
    return st;
}

enum status served_acquire(struct served *p, const char *typed, struct loaded_model **out,
                           struct error *err)
{
    return acquire(p, typed, false, out, err);
}

enum status served_acquire_local(struct served *p, const char *model, struct loaded_model **out,
                                 struct error *err)
{
    return acquire(p, model, true, out, err);
}

void served_release(struct loaded_model *m, double seconds)
{
    models_keep(m->use, 1e3 * seconds);
    models_release(m->use);
    chat_destroy(m->own_chat);
    json_decref(m->settings);
    free(m);
}

enum status served_unload(struct served *p, const char *typed, struct error *err)
{
    char name[160], *path;
    enum status st = resolve(p, typed, name, &path, NULL, err);
    if (st == OK && !models_unload(p->models, path))
        st = error_set(err, ERR_NOT_FOUND, "model %s is not loaded", name);
    free(path);
    return st;
}

struct visit {
    void (*fn)(void *ctx, const struct loaded_model *m, int64_t expires);
    void *ctx;
};

static void visit_one(void *ctx, const struct model_status *s)
{
    const struct visit *v = ctx;
    v->fn(v->ctx, s->beside, s->expires_ms < 0 ? 0 : time(NULL) + (int64_t)(1e-3 * s->expires_ms));
}

void served_each(struct served *p,
                 void (*visit)(void *ctx, const struct loaded_model *m, int64_t expires), void *ctx)
{
    struct visit v = {visit, ctx};
    models_each(p->models, visit_one, &v);
}
