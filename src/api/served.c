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
#include "infer/scheduler.h"
#include "model/model.h"
#include "store/store.h"
#include "text/chat.h"
#include "text/grammar.h"

enum { MAX_LOADED = 64, DEFAULT_CTX = 16384 };

enum entry_state { LOADING, READY, UNLOADING };

struct entry {
    struct loaded_model m;
    enum entry_state state;
    size_t users;
    double keep;    /* seconds; negative: for ever */
    double used_at; /* clock_now() of the last release */
};

struct served {
    const struct api_options *opt;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct entry *entries[MAX_LOADED];
    size_t n;
    pthread_mutex_t store_lock;
};

enum status served_create(const struct api_options *opt, struct served **out, struct error *err)
{
    struct served *p = *out = calloc(1, sizeof *p);
    if (!p) return error_set(err, ERR_NOMEM, "no memory for the models");
    p->opt = opt;
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->store_lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    return OK;
}

static void entry_destroy(struct entry *e)
{
    scheduler_destroy(e->m.scheduler);
    grammar_vocab_destroy(e->m.grammar_vocab);
    chat_destroy(e->m.chat);
    engine_close(e->m.engine);
    free(e->m.path);
    free(e);
}

void served_destroy(struct served *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->n; i++) entry_destroy(p->entries[i]);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->store_lock);
    pthread_cond_destroy(&p->changed);
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

enum status served_resolve(struct served *p, const char *typed, char name[160], struct error *err)
{
    const char *d = p->opt->default_model;
    if (!typed || !*typed) {
        if (!d) {
            const struct catalogue_model *m = catalogue_default(store_catalogue(p->opt->store));
            if (!m)
                return error_set(err, ERR_INVALID,
                                 "the request names no model, and there is no default");
            d = m->name;
        }
        if (is_path(d)) {
            snprintf(name, 160, "%.159s", base_name(d));
            return OK;
        }
        typed = d;
    }
    if (means_default_file(p, typed)) {
        snprintf(name, 160, "%.159s", base_name(d));
        return OK;
    }
    /* A path in a request would let a client open any file. */
    char plain[160];
    size_t len = strlen(typed);
    if (len >= sizeof plain) return error_set(err, ERR_NOT_FOUND, "there is no model of that name");
    memcpy(plain, typed, len + 1);
    if (len > 7 && strcmp(plain + len - 7, ":latest") == 0) plain[len - 7] = 0;
    char full[STORE_NAME_SIZE];
    struct store_model m;
    pthread_mutex_lock(&p->store_lock);
    enum status st = store_resolve(p->opt->store, plain, full, err);
    if (st == OK) st = store_find(p->opt->store, full, &m, err);
    pthread_mutex_unlock(&p->store_lock);
    if (st == ERR_NOT_FOUND || st == ERR_INVALID)
        return error_set(err, ERR_NOT_FOUND,
                         "model '%.100s' is not installed; run: hearth pull %.100s", typed, plain);
    if (st != OK) return st;
    store_model_fini(&m);
    snprintf(name, 160, "%s", full);
    return OK;
}

static enum status find_path(struct served *p, const char *name, char **path, struct error *err)
{
    const char *d = p->opt->default_model;
    if (d && is_path(d) && strcmp(base_name(d), name) == 0) {
        *path = strdup(d);
        return *path ? OK : error_set(err, ERR_NOMEM, "out of memory");
    }
    pthread_mutex_lock(&p->store_lock);
    struct store_model m;
    enum status st = store_find(p->opt->store, name, &m, err);
    pthread_mutex_unlock(&p->store_lock);
    if (st != OK) return st;
    if (m.problem) {
        st = error_set(err, ERR_INTEGRITY, "model %s: %s; run: hearth pull %s", name, m.problem,
                       name);
    } else {
        *path = m.path;
        m.path = NULL;
    }
    store_model_fini(&m);
    return st;
}

/* ---- loading and unloading --------------------------------------------------------------------
 */

static struct entry *find_entry(struct served *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->entries[i]->m.name, name) == 0) return p->entries[i];
    return NULL;
}

static void take_out(struct served *p, struct entry *e)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->entries[i] != e) continue;
        p->entries[i] = p->entries[--p->n];
        break;
    }
    pthread_cond_broadcast(&p->changed);
}

/* The lock is held, and given up meanwhile. */
static void unload(struct served *p, struct entry *e)
{
    e->state = UNLOADING;
    pthread_mutex_unlock(&p->lock);
    scheduler_destroy(e->m.scheduler);
    grammar_vocab_destroy(e->m.grammar_vocab);
    chat_destroy(e->m.chat);
    engine_close(e->m.engine);
    e->m.scheduler = NULL;
    e->m.engine = NULL;
    pthread_mutex_lock(&p->lock);
    take_out(p, e);
    free(e->m.path);
    free(e);
}

static struct entry *idle_longest(struct served *p)
{
    struct entry *best = NULL;
    for (size_t i = 0; i < p->n; i++) {
        struct entry *e = p->entries[i];
        if (e->state == READY && !e->users && (!best || e->used_at < best->used_at)) best = e;
    }
    return best;
}

static uint64_t memory_available(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    unsigned long long kb = 0;
    char line[128];
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kb) == 1) break;
    if (f) fclose(f);
    return kb ? (uint64_t)kb << 10 : UINT64_MAX;
}

static uint64_t file_bytes(const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    long n = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : 0;
    fclose(f);
    return n > 0 ? (uint64_t)n : 0;
}

/* Makes room for one more model of so many bytes by unloading idle ones; the lock is held. */
static enum status make_room(struct served *p, uint64_t bytes, struct error *err)
{
    size_t most = p->opt->max_models ? p->opt->max_models : MAX_LOADED;
    if (most > MAX_LOADED) most = MAX_LOADED;
    for (;;) {
        bool many = p->n > most; /* the new one counts already */
        bool large = p->n > 1 && bytes + bytes / 4 > memory_available();
        if (!many && !large) return OK;
        struct entry *e = idle_longest(p);
        if (!e && large && !many) return OK; /* mapped weights can still be paged */
        if (!e)
            return error_set(err, ERR_BUSY,
                             "%zu models are loaded and in use, no more fit; try again later",
                             p->n - 1);
        unload(p, e);
    }
}

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

static enum status open_model(struct served *p, struct loaded_model *m, struct error *err)
{
    const struct api_options *o = p->opt;
    double start = clock_now();
    struct engine_options eo = {
        .n_threads = o->n_threads, .cache_dir = o->cache_dir, .kv_type = o->kv_type, .settle = true};
    enum status st = engine_open(m->path, &eo, &m->engine, err);
    if (st != OK) return st;
    const struct model_info *info = engine_model_info(m->engine);
    size_t n_ctx = o->n_ctx ? o->n_ctx : DEFAULT_CTX;
    if (info->n_ctx_train && n_ctx > info->n_ctx_train) n_ctx = info->n_ctx_train;
    struct sched_options so = {.n_ctx = n_ctx,
                               .kv_bytes = o->kv_bytes,
                               .max_running = o->max_running,
                               .max_waiting = o->max_waiting};
    if (!info->encoder) st = scheduler_create(m->engine, &so, &m->scheduler, err);
    if (st != OK) return st;
    m->n_ctx = m->scheduler ? scheduler_n_ctx(m->scheduler) : n_ctx;
    m->tok = engine_tokenizer(m->engine);
    m->bytes = info->weight_bytes;
    m->has_fim = m->tok && fim_detect(m->tok, m->name, &m->fim, NULL) == OK;
    m->load_seconds = clock_now() - start;
    m->loaded_at = (int64_t)time(NULL);
    if (!m->tok)
        return error_set(err, ERR_UNSUPPORTED, "model %s has no vocabulary and cannot serve texts",
                         m->name);
    /* Without memory for it the model still serves; structured output is then refused. */
    grammar_vocab_create(m->tok, info->n_vocab, &m->grammar_vocab, NULL);
    open_chat(m);
    return OK;
}

/* The lock is held, and given up meanwhile. */
static enum status load(struct served *p, const char *name, struct entry **out, struct error *err)
{
    struct entry *e = calloc(1, sizeof *e);
    if (!e || p->n == MAX_LOADED) {
        free(e);
        return error_set(err, ERR_NOMEM, "no memory for one more model");
    }
    snprintf(e->m.name, sizeof e->m.name, "%s", name);
    e->keep = p->opt->keep_alive;
    e->used_at = clock_now();
    e->users = 1;
    p->entries[p->n++] = e;
    pthread_mutex_unlock(&p->lock);
    enum status st = find_path(p, name, &e->m.path, err);
    uint64_t bytes = st == OK ? file_bytes(e->m.path) : 0;
    pthread_mutex_lock(&p->lock);
    if (st == OK) st = make_room(p, bytes, err);
    pthread_mutex_unlock(&p->lock);
    if (st == OK) st = open_model(p, &e->m, err);
    pthread_mutex_lock(&p->lock);
    if (st != OK) {
        e->users = 0;
        unload(p, e);
        return st;
    }
    e->state = READY;
    pthread_cond_broadcast(&p->changed);
    *out = e;
    return OK;
}

enum status served_acquire(struct served *p, const char *typed, struct loaded_model **out,
                           struct error *err)
{
    char name[160];
    enum status st = served_resolve(p, typed, name, err);
    if (st != OK) return st;
    pthread_mutex_lock(&p->lock);
    struct entry *e;
    while ((e = find_entry(p, name)) && e->state != READY) pthread_cond_wait(&p->changed, &p->lock);
    if (e)
        e->users++;
    else
        st = load(p, name, &e, err);
    pthread_mutex_unlock(&p->lock);
    if (st == OK) *out = &e->m;
    return st;
}

void served_release(struct served *p, struct loaded_model *m, double seconds)
{
    struct entry *e = (struct entry *)m; /* its first member */
    pthread_mutex_lock(&p->lock);
    if (!isnan(seconds)) e->keep = seconds;
    e->used_at = clock_now();
    e->users--;
    pthread_mutex_unlock(&p->lock);
}

enum status served_unload(struct served *p, const char *typed, struct error *err)
{
    char name[160];
    enum status st = served_resolve(p, typed, name, err);
    if (st != OK) return st;
    pthread_mutex_lock(&p->lock);
    struct entry *e = find_entry(p, name);
    if (!e)
        st = error_set(err, ERR_NOT_FOUND, "model %s is not loaded", name);
    else if (e->users || e->state != READY) {
        e->keep = 0; /* as soon as the requests are over */
    } else
        unload(p, e);
    pthread_mutex_unlock(&p->lock);
    return st;
}

void served_tick(struct served *p)
{
    pthread_mutex_lock(&p->lock);
    double now = clock_now();
    for (size_t i = 0; i < p->n;) {
        struct entry *e = p->entries[i];
        if (e->state == READY && !e->users && e->keep >= 0 && now - e->used_at >= e->keep) {
            unload(p, e);
            i = 0;
        } else
            i++;
    }
    pthread_mutex_unlock(&p->lock);
}

void served_each(struct served *p,
                 void (*visit)(void *ctx, const struct loaded_model *m, int64_t expires), void *ctx)
{
    pthread_mutex_lock(&p->lock);
    double now = clock_now();
    for (size_t i = 0; i < p->n; i++) {
        struct entry *e = p->entries[i];
        if (e->state != READY) continue;
        double left = e->keep - (e->users ? 0 : now - e->used_at);
        visit(ctx, &e->m, e->keep < 0 ? 0 : (int64_t)time(NULL) + (int64_t)(left > 0 ? left : 0));
    }
    pthread_mutex_unlock(&p->lock);
}

bool served_is_ready(struct served *p)
{
    pthread_mutex_lock(&p->lock);
    bool ready = true;
    for (size_t i = 0; i < p->n; i++) ready = ready && p->entries[i]->state != LOADING;
    pthread_mutex_unlock(&p->lock);
    return ready;
}
