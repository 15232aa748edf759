/* Ollama's endpoints about models: which there are, which are loaded, pulling and removing them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/ollama.h"
#include "gguf/gguf.h"
#include "infer/engine.h"
#include "model/model.h"
#include "net/sse.h"
#include "store/modelfile.h"
#include "store/settings.h"
#include "store/store.h"

static void get_root(struct call *c)
{
    /* Clients look for these words. */
    call_text(c, 200, "text/plain; charset=utf-8", "Ollama is running");
}

static void get_version(struct call *c)
{
    /* The version of Ollama whose API this is, as clients compare it. */
    call_json(c, 200, json_pack("{s:s, s:s}", "version", "0.12.0", "hearth", HEARTH_VERSION));
}

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

static json_t *details_of(const struct store_model *of)
{
    const struct catalogue_model *m = &of->info;
    const char *family = or_empty(m->architecture), *parent = json_string_value(json_object_get(of->settings, "parent"));
    return json_pack("{s:s, s:s, s:s, s:[s], s:s, s:s}", "parent_model", or_empty(parent), "format", "gguf",
                     "family", family, "families", family, "parameter_size",
                     or_empty(m->parameters), "quantization_level", or_empty(m->quantization));
}

static json_t *entry_of(const struct store_model *m)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "name", m->name, "model", m->name,
                     "modified_at",
                     m->pulled_at && *m->pulled_at ? m->pulled_at : "1970-01-01T00:00:00Z", "size",
                     (json_int_t)m->bytes, "digest", m->sha256, "details", details_of(m));
}

static void get_tags(struct call *c)
{
    struct store_models all = {0};
    struct error err = {0};
    pthread_mutex_lock(&c->api->store_lock);
    enum status st = store_list(c->api->opt.store, &all, &err);
    pthread_mutex_unlock(&c->api->store_lock);
    if (st != OK) {
        call_error(c, &err);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < all.len; i++)
        if (!all.items[i].problem) json_array_append_new(list, entry_of(&all.items[i]));
    store_models_fini(&all);
    call_json(c, 200, json_pack("{s:o}", "models", list));
}

struct loaded {
    struct api *api;
    json_t *list;
};

static void add_loaded(void *ctx, const struct loaded_model *m, int64_t expires)
{
    struct loaded *l = ctx;
    char when[40];
    /* "For ever" is a far day, as Ollama has it. */
    ollama_time(expires ? expires : (int64_t)time(NULL) + 100LL * 365 * 86400, when);
    const struct model_info *info = engine_model_info(m->engine);
    json_array_append_new(
        l->list, json_pack("{s:s, s:s, s:I, s:s, s:{s:s, s:s}, s:s, s:I, s:I}", "name", m->name,
                           "model", m->name, "size", (json_int_t)m->bytes, "digest", "", "details",
                           "format", "gguf", "family", info->arch, "expires_at", when, "size_vram",
                           (json_int_t)0, "context_length", (json_int_t)m->n_ctx));
}

static void get_ps(struct call *c)
{
    struct loaded l = {c->api, json_array()};
    served_each(c->api->served, add_loaded, &l);
    call_json(c, 200, json_pack("{s:o}", "models", l.list));
}

/* The installed model that `key` of the body names; answers where there is none. */
static bool find_model(struct call *c, struct store_model *out)
{
    const char *name = json_string_value(json_object_get(c->body, "model"));
    if (!name) name = json_string_value(json_object_get(c->body, "name"));
    struct error err = {0};
    char full[160];
    if (!name || !*name) {
        call_failf(c, 400, "invalid_value", "'model' is missing");
        return false;
    }
    enum status st = served_resolve(c->api->served, name, full, &err);
    pthread_mutex_lock(&c->api->store_lock);
    if (st == OK) st = store_find(c->api->opt.store, full, out, &err);
    pthread_mutex_unlock(&c->api->store_lock);
    if (st != OK) call_error(c, &err);
    return st == OK;
}

/* ---- show -------------------------------------------------------------------------------------
 */

static json_t *info_of(const struct gguf *g)
{
    json_t *info = json_object();
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        struct gguf_str name = gguf_key_name(g, i), text;
        char key[128];
        uint64_t u;
        double d;
        bool b;
        if (name.len >= sizeof key) continue;
        memcpy(key, name.data, name.len);
        key[name.len] = 0;
        if (strncmp(key, "tokenizer.chat_template", 23) == 0) continue;
        json_t *v = NULL;
        if (gguf_get_str(g, key, &text, NULL) == OK)
            v = json_stringn(text.data, text.len);
        else if (gguf_get_bool(g, key, &b, NULL) == OK)
            v = json_boolean(b);
        else if (gguf_get_u64(g, key, &u, NULL) == OK)
            v = json_integer((json_int_t)u);
        else if (gguf_get_f64(g, key, &d, NULL) == OK)
            v = json_real(d);
        if (v) json_object_set_new(info, key, v);
    }
    return info;
}

static bool has_text(struct gguf_str s, const char *part)
{
    return s.data && memmem(s.data, s.len, part, strlen(part)) != NULL;
}

/* What goes with the name stands before what the file has. */
static json_t *show_of(const struct store_model *m, const struct gguf *g, struct gguf_str template, json_t *can)
{
    struct buf parameters, modelfile, license;
    const json_t *own = json_object_get(m->settings, "template"), *text;
    size_t i;
    buf_init(&parameters, 1 << 20);
    buf_init(&modelfile, 4 << 20);
    buf_init(&license, 4 << 20);
    buf_append_str(&modelfile, "# Made by Hearth; `hearth create NAME -f FILE` takes it.\n");
    if (modelfile_print(m->name, m->settings, &modelfile, NULL) != OK) buf_printf(&modelfile, "FROM %s\n", m->name);
    settings_print_parameters(m->settings, &parameters, NULL);
    json_array_foreach(json_object_get(m->settings, "license"), i, text)
    {
        if (i) buf_append_str(&license, "\n");
        buf_append_str(&license, json_string_value(text));
    }
    if (!license.len) buf_append_str(&license, or_empty(m->info.license));
    json_t *out = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "license", api_string(license.data ? license.data : "", license.len),
                            "modelfile", api_string(modelfile.data ? modelfile.data : "", modelfile.len), "parameters",
                            api_string(parameters.data ? parameters.data : "", parameters.len), "template",
                            own ? json_incref((json_t *)own) : api_string(template.data ? template.data : "", template.len),
                            "details", details_of(m), "model_info", info_of(g), "modified_at", or_empty(m->pulled_at),
                            "capabilities", can);
    static const char *const more[] = {"system", "messages", "requires"};
    for (i = 0; out && i < 3; i++) {
        json_t *v = json_object_get(m->settings, more[i]);
        if (v) json_object_set(out, more[i], v);
    }
    buf_fini(&parameters);
    buf_fini(&modelfile);
    buf_fini(&license);
    return out;
}

static void post_show(struct call *c)
{
    struct store_model m;
    struct error err = {0};
    struct gguf *g;
    if (!find_model(c, &m)) return;
    if (gguf_open(m.path, &g, &err) != OK) {
        store_model_fini(&m);
        call_error(c, &err);
        return;
    }
    struct gguf_str template = {0};
    gguf_get_str(g, "tokenizer.chat_template", &template, NULL);
    const json_t *own = json_object_get(m.settings, "template");
    struct gguf_str used = own ? (struct gguf_str){json_string_value(own), json_string_length(own)} : template;
    json_t *can = json_pack("[s]", "completion");
    if (m.info.fim) json_array_append_new(can, json_string("insert"));
    if (has_text(used, "tools") || has_text(used, ".Tools")) json_array_append_new(can, json_string("tools"));
    if (has_text(used, "enable_thinking") || has_text(used, ".Think")) json_array_append_new(can, json_string("thinking"));
    call_json(c, 200, show_of(&m, g, template, can));
    gguf_close(g);
    store_model_fini(&m);
}

/* ---- changes ----------------------------------------------------------------------------------
 */

void ollama_say(struct ollama_work *w, json_t *line)
{
    size_t len = 0;
    char *text = api_dump(line, &len);
    w->told_any = true;
    if (w->stream && text) ndjson_write(w->c->r, text, len);
    free(text);
}

static bool on_progress(void *ctx, enum store_phase phase, uint64_t done, uint64_t total)
{
    struct ollama_work *w = ctx;
    json_t *line = json_pack("{s:s}", "status", phase == STORE_CHECKING  ? "verifying sha256 digest"
                                                : phase == STORE_COPYING ? "writing model"
                                                : phase == STORE_SENDING ? "pushing"
                                                                         : "pulling");
    if (line && w->what[0]) json_object_set_new(line, "digest", json_string(w->what));
    json_object_set_new(line, "total", json_integer((json_int_t)total));
    json_object_set_new(line, "completed", json_integer((json_int_t)done));
    ollama_say(w, line);
    return !http_gone(w->c->r) && !atomic_load(&w->c->api->shutting);
}

static void on_notice(void *ctx, const char *line)
{
    ollama_say(ctx, json_pack("{s:s}", "status", line));
}

static void run_work(struct ollama_work *w)
{
    struct error err = {0};
    struct store_events ev = {.progress = on_progress, .notice = on_notice, .ctx = w};
    struct store *own;
    enum status st = store_open(store_root(w->c->api->opt.store), &own, &err);
    if (st == OK) {
        st = w->run(w, own, &ev, &err);
        store_close(own);
    }
    if (st != OK)
        call_error(w->c, &err);
    else if (w->stream)
        http_stream_end(w->c->r);
    else
        call_json(w->c, 200, json_pack("{s:s}", "status", "success"));
}

static void *work_thread(void *arg)
{
    struct ollama_work *w = arg;
    struct api *a = w->c->api;
    struct http_request *r = w->c->r;
    run_work(w);
    w->destroy(w);
    http_request_unref(r);
    atomic_fetch_sub(&a->n_jobs, 1);
    return NULL;
}

/* On a thread of its own: it takes minutes, and the workers are few. */
void ollama_start(struct ollama_work *w)
{
    struct call *c = w->c;
    if (w->stream) http_stream_begin(c->r, 200, NDJSON_TYPE);
    http_request_ref(c->r);
    atomic_fetch_add(&c->api->n_jobs, 1);
    pthread_t t;
    if (pthread_create(&t, NULL, work_thread, w) == 0) {
        pthread_detach(t);
        return;
    }
    w->destroy(w);
    call_failf(c, 503, "out_of_memory", "cannot start a thread for this");
    atomic_fetch_sub(&c->api->n_jobs, 1);
    http_request_unref(c->r);
}

struct pulling {
    struct ollama_work work; /* first */
    char name[STORE_NAME_SIZE];
};

static void pulling_free(struct ollama_work *w)
{
    free(w);
}

static enum status run_pull(struct ollama_work *w, struct store *s, const struct store_events *ev, struct error *err)
{
    struct pulling *p = (struct pulling *)w;
    struct store_model m;
    enum pull_outcome outcome;
    struct pull_request rq = {.name = p->name};
    struct store_events quiet = {.progress = ev->progress, .ctx = ev->ctx};
    ollama_say(w, json_pack("{s:s}", "status", "pulling manifest"));
    enum status st = store_pull(s, &rq, &quiet, &outcome, &m, err);
    if (st != OK) return st;
    store_model_fini(&m);
    ollama_say(w, json_pack("{s:s}", "status", "verifying sha256 digest"));
    ollama_say(w, json_pack("{s:s}", "status", "writing manifest"));
    ollama_say(w, json_pack("{s:s}", "status", "success"));
    return OK;
}

static void post_pull(struct call *c)
{
    struct reader rd = {.obj = c->body};
    const char *name = NULL;
    struct pulling *p = calloc(1, sizeof *p);
    bool stream = true;
    read_string(&rd, "name", &name, NULL);
    read_string(&rd, "model", &name, NULL);
    read_bool(&rd, "stream", &stream);
    if (!p)
        error_set(&rd.err, ERR_NOMEM, "no memory for the request");
    else if (!name || !*name)
        read_fail(&rd, "'model' is missing");
    if (!rd.err.code) {
        pthread_mutex_lock(&c->api->store_lock);
        store_resolve(c->api->opt.store, name, p->name, &rd.err);
        pthread_mutex_unlock(&c->api->store_lock);
    }
    if (rd.err.code) {
        free(p);
        call_error(c, &rd.err);
        return;
    }
    p->work = (struct ollama_work){.c = c, .stream = stream, .run = run_pull, .destroy = pulling_free};
    snprintf(p->work.what, sizeof p->work.what, "%.95s", p->name);
    ollama_start(&p->work);
}

static void delete_model(struct call *c)
{
    struct store_model m;
    struct error err = {0};
    if (!find_model(c, &m)) return;
    pthread_mutex_lock(&c->api->store_lock);
    enum status st = store_remove(c->api->opt.store, m.name, false, NULL, NULL, &err);
    pthread_mutex_unlock(&c->api->store_lock);
    store_model_fini(&m);
    if (st == OK)
        http_respond(c->r, 200, NULL, "", 0);
    else
        call_error(c, &err);
}

static void post_copy(struct call *c)
{
    struct reader rd = {.obj = c->body};
    const char *to = NULL, *from = NULL;
    char full[160], name[STORE_NAME_SIZE];
    read_string(&rd, "source", &from, NULL);
    read_string(&rd, "destination", &to, NULL);
    if (!from || !to) read_fail(&rd, "'source' and 'destination' are needed");
    enum status st = rd.err.code ? rd.err.code : store_new_name(to, name, &rd.err);
    if (st == OK) st = served_resolve(c->api->served, from, full, &rd.err);
    pthread_mutex_lock(&c->api->store_lock);
    struct store_model m = {0};
    if (st == OK) st = store_find(c->api->opt.store, full, &m, &rd.err);
    if (st == OK) st = store_give_name(c->api->opt.store, full, name, m.settings, NULL, NULL, &rd.err);
    store_model_fini(&m);
    pthread_mutex_unlock(&c->api->store_lock);
    if (st == OK)
        http_respond(c->r, 200, NULL, "", 0);
    else
        call_error(c, &rd.err);
}

const struct route routes_ollama_models[] = {
    {"GET", "/", &dialect_ollama, ROUTE_PUBLIC | ROUTE_AT_ONCE, get_root},
    {"GET", "/api/version", &dialect_ollama, ROUTE_AT_ONCE, get_version},
    {"GET", "/api/tags", &dialect_ollama, 0, get_tags},
    {"GET", "/api/ps", &dialect_ollama, 0, get_ps},
    {"POST", "/api/show", &dialect_ollama, ROUTE_JSON, post_show},
    {"POST", "/api/pull", &dialect_ollama, ROUTE_JSON | ROUTE_CHANGES, post_pull},
    {"DELETE", "/api/delete", &dialect_ollama, ROUTE_JSON | ROUTE_CHANGES, delete_model},
    {"POST", "/api/copy", &dialect_ollama, ROUTE_JSON | ROUTE_CHANGES, post_copy},
    {0},
};
