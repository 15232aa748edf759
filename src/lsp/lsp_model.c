/* Models: loaded on a thread, shared by completions and chat, told of by hearth/status. */
#include <stdlib.h>
#include <string.h>

#include "infer/engine.h"
#include "lsp/lsp_int.h"
#include "text/chat.h"

/* What a loading thread knows. It outlives the server where that ends first. */
struct loading {
    pthread_mutex_t lock;
    struct lsp *l; /* under lock; NULL: nobody waits any more */
    struct lsp_slot *slot;
    char *name, *cache_dir;
    int threads, percent;
    size_t n_ctx;
    bool fim;
    enum status (*resolve)(void *ctx, const char *name, char **path, struct error *err);
    void *ctx;
    struct lsp_model *model; /* the result, or NULL and err */
    struct error err;
};

static void model_free(struct lsp_model *m)
{
    completer_fini(&m->completer);
    session_destroy(m->session);
    chat_destroy(m->chat);
    session_destroy(m->chat_session);
    engine_close(m->engine);
    pthread_mutex_destroy(&m->chat_lock);
    free(m->name);
    free(m->label);
    free(m);
}

void lsp_model_unref(struct lsp_model *m)
{
    if (m && __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) == 0) model_free(m);
}

/* ---- loading -----------------------------------------------------------------------------------
 */

struct percent {
    int value;
};

static void tell_percent(struct lsp *l, void *data)
{
    struct percent *p = data;
    if (l->load_token && !l->ending)
        lsp_progress(l, l->load_token,
                     json_pack("{s:s, s:s, s:i}", "kind", "report", "message",
                               "preparing weights (first use)", "percentage", p->value));
    free(p);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct loading *j = ctx;
    int percent = total ? (int)(100.0 * (double)done / (double)total) : 0;
    if (percent == j->percent) return;
    j->percent = percent;
    struct percent *p = malloc(sizeof *p);
    if (!p) return;
    p->value = percent;
    pthread_mutex_lock(&j->lock);
    if (j->l)
        lsp_post(j->l, tell_percent, p);
    else
        free(p);
    pthread_mutex_unlock(&j->lock);
}

static enum status open_model(struct loading *j, struct lsp_model *m, struct error *err)
{
    char *path = NULL;
    enum status st = j->resolve(j->ctx, j->name, &path, err);
    struct engine_options opt = {.n_threads = j->threads,
                                 .cache_dir = j->cache_dir,
                                 .progress = on_progress,
                                 .progress_ctx = j};
    if (!st) st = engine_open(path, &opt, &m->engine, err);
    const char *base = path ? strrchr(path, '/') : NULL;
    m->name = j->name ? strdup(j->name) : NULL;
    m->label = strdup(j->name ? j->name : base ? base + 1 : "");
    free(path);
    if (st || !j->fim) return st;
    st = session_create(m->engine, j->n_ctx, &m->session, err);
    if (!st)
        st = completer_init(&m->completer, engine_tokenizer(m->engine), m->session,
                            m->label ? m->label : "", &m->why_no_fim);
    if (st && m->why_no_fim.code) *err = m->why_no_fim;
    return st;
}

static void loaded(struct lsp *l, void *data);

static void *load(void *loading)
{
    struct loading *j = loading;
    struct lsp_model *m = calloc(1, sizeof *m);
    enum status st = m ? OK : error_set(&j->err, ERR_NOMEM, "no memory for a model");
    if (m) {
        m->refs = 1;
        pthread_mutex_init(&m->chat_lock, NULL);
        st = open_model(j, m, &j->err);
    }
    if (st && m) {
        model_free(m);
        m = NULL;
    }
    j->model = m;
    pthread_mutex_lock(&j->lock);
    struct lsp *l = j->l;
    if (l) lsp_post(l, loaded, j);
    pthread_mutex_unlock(&j->lock);
    if (!l) {
        lsp_model_unref(m);
        free(j->name);
        free(j->cache_dir);
        free(j);
    }
    return NULL;
}

static void make_suggester(struct lsp *l)
{
    suggester_destroy(l->suggester);
    l->suggester = NULL;
    struct lsp_model *m = l->fim.model;
    struct suggest_backend backend = suggest_backend_of(&m->completer);
    struct suggest_options opt = {.sample = sample_params_default(),
                                  .any_file = false,
                                  .allowed = lsp_path_allowed,
                                  .ctx = l};
    struct error err;
    if (suggester_create(&opt, &backend, &l->suggester, &err) != OK) {
        l->fim.state = LSP_FAILED;
        snprintf(l->fim.message, sizeof l->fim.message, "%s", err.msg);
        return;
    }
    for (struct lsp_doc *d = l->docs.first; d && l->set.context; d = d->next)
        if (!*lsp_refused(l, d) && d->text.data)
            suggester_note(l->suggester, RING_OPENED, d->path, d->text.data, d->text.len, 0);
}

static void end_progress(struct lsp *l)
{
    if (l->load_token) lsp_progress(l, l->load_token, json_pack("{s:s}", "kind", "end"));
    json_decref(l->load_token);
    l->load_token = NULL;
}

/* Takes the loaded model into use; the server's thread. */
static void loaded(struct lsp *l, void *data)
{
    struct loading *j = data;
    struct lsp_slot *s = j->slot;
    struct lsp_model *m = j->model;
    if (!l->ending) {
        s->job = NULL;
        if (m) {
            if (j->fim) { /* whoever computes with the old one ends first */
                suggester_destroy(l->suggester);
                l->suggester = NULL;
            }
            lsp_model_unref(s->model);
            s->model = m;
            s->state = LSP_READY;
            s->message[0] = 0;
            if (j->fim) make_suggester(l);
            m = NULL;
        } else {
            /* With the old one, if there is one, work goes on. */
            s->state = s->model ? LSP_READY : LSP_FAILED;
            snprintf(s->message, sizeof s->message, "%s", j->err.msg);
        }
        lsp_log(l, "model %s: %s", j->name ? j->name : "(default)", *s->message ? s->message : "ready");
        end_progress(l);
        if (s->again) {
            s->again = false;
            lsp_slot_load(l, s);
        }
        lsp_status_changed(l);
        lsp_fills_ready(l);
        lsp_jobs_pump(l);
    }
    lsp_model_unref(m);
    pthread_mutex_lock(&j->lock); /* the thread may not have let go yet */
    pthread_mutex_unlock(&j->lock);
    pthread_mutex_destroy(&j->lock);
    free(j->name);
    free(j->cache_dir);
    free(j);
}

static void begin_progress(struct lsp *l)
{
    if (!l->client.progress || l->load_token) return;
    char token[48];
    snprintf(token, sizeof token, "hearth-load-%lld", ++l->next_id);
    l->load_token = json_string(token);
    lsp_call(l, "window/workDoneProgress/create", json_pack("{s:s}", "token", token), NULL);
    lsp_progress(l, l->load_token,
                 json_pack("{s:s, s:s, s:b}", "kind", "begin", "title", "Hearth: loading the model",
                           "cancellable", 0));
}

void lsp_slot_load(struct lsp *l, struct lsp_slot *s)
{
    if (s->job) {
        s->again = true;
        return;
    }
    struct loading *j = calloc(1, sizeof *j);
    pthread_t thread;
    if (!j) return;
    pthread_mutex_init(&j->lock, NULL);
    j->l = l;
    j->slot = s;
    j->name = s->name ? strdup(s->name) : NULL;
    j->cache_dir = l->opt.cache_dir ? strdup(l->opt.cache_dir) : NULL;
    j->threads = l->set.threads;
    j->n_ctx = l->set.n_ctx;
    j->fim = s == &l->fim;
    j->resolve = l->opt.resolve;
    j->ctx = l->opt.ctx;
    j->percent = -1;
    s->state = LSP_LOADING;
    s->job = j;
    if (pthread_create(&thread, NULL, load, j) != 0) {
        s->job = NULL;
        s->state = LSP_FAILED;
        snprintf(s->message, sizeof s->message, "the system has no thread left");
        free(j->name);
        free(j->cache_dir);
        free(j);
        return;
    }
    pthread_detach(thread);
    begin_progress(l);
    lsp_status_changed(l);
}

void lsp_slot_fini(struct lsp_slot *s)
{
    if (s->job) { /* not waited for: packing weights can take minutes */
        pthread_mutex_lock(&s->job->lock);
        s->job->l = NULL;
        pthread_mutex_unlock(&s->job->lock);
    }
    lsp_model_unref(s->model);
    free(s->name);
    *s = (struct lsp_slot){0};
}

struct lsp_slot *lsp_chat_slot(struct lsp *l)
{
    bool same = !l->chat.name || (l->fim.name && strcmp(l->chat.name, l->fim.name) == 0);
    return same ? &l->fim : &l->chat;
}

void lsp_model_set(struct lsp *l, const json_t *wanted)
{
    const char *model = lsp_json_text(wanted, "model"), *chat = lsp_json_text(wanted, "chatModel");
    bool shared = lsp_chat_slot(l) == &l->fim;
    if (chat && *chat) {
        free(l->chat.name);
        l->chat.name = strdup(chat);
    }
    if (model && *model) {
        free(l->fim.name);
        l->fim.name = strdup(model);
        lsp_slot_load(l, &l->fim);
    }
    if (chat && *chat && lsp_chat_slot(l) == &l->chat) {
        lsp_slot_load(l, &l->chat);
    } else if (!shared && lsp_chat_slot(l) == &l->fim) {
        lsp_model_unref(l->chat.model);
        l->chat.model = NULL;
        l->chat.state = LSP_STARTING;
    }
    lsp_status_changed(l);
}

/* ---- status ------------------------------------------------------------------------------------
 */

static const char *slot_name(const struct lsp_slot *s)
{
    if (s->model && s->model->label) return s->model->label;
    return s->name ? s->name : "";
}

static json_t *counters(struct lsp *l)
{
    struct suggest_stats c = {0};
    if (l->suggester) suggester_stats(l->suggester, &c);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "asked", (json_int_t)c.asked, "computed",
                     (json_int_t)c.computed, "cached", (json_int_t)c.cached, "prefetched",
                     (json_int_t)c.prefetched, "superseded", (json_int_t)c.superseded, "empty",
                     (json_int_t)c.empty, "failed", (json_int_t)c.failed);
}

json_t *lsp_status_json(struct lsp *l, const char *uri)
{
    static const char *const states[] = {"starting", "loading", "ready", "failed"};
    bool local = !l->set.endpoint;
    json_t *s = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:o}", "state", states[l->fim.state],
                          "model", slot_name(&l->fim), "chatModel", slot_name(lsp_chat_slot(l)),
                          "message", l->fim.message, "enabled", l->set.enable, "chat",
                          local ? "embedded" : l->set.endpoint, "counters", counters(l));
    if (s) json_object_set_new(s, "context", json_pack("{s:I, s:f}", "files", (json_int_t)l->context_files, "ms", l->context_ms));
    const struct lsp_doc *d = lsp_docs_find(&l->docs, uri);
    if (s && d) {
        const char *why = lsp_refused(l, d);
        json_object_set_new(s, "file",
                            json_pack("{s:b, s:s}", "allowed", !*why, "reason", why));
    }
    return s;
}

void lsp_status_changed(struct lsp *l)
{
    if (l->state == LSP_RUNNING) lsp_notify(l, "hearth/statusChanged", lsp_status_json(l, NULL));
}
