/* Chat: jobs in order, one at a time on a thread of its own. */
#include <stdlib.h>
#include <string.h>

#include "lsp/lsp_int.h"

enum { MAX_ANSWER = 16 << 20 };

struct chat_job *lsp_job_new(struct lsp *l, const json_t *id)
{
    struct chat_job *j = calloc(1, sizeof *j);
    if (!j) return NULL;
    j->l = l;
    j->id = json_incref((json_t *)id);
    j->max_tokens = 1024;
    j->temperature = 0.2;
    j->finish = "stop";
    buf_init(&j->text, MAX_ANSWER);
    return j;
}

void lsp_job_free(struct chat_job *j)
{
    json_decref(j->id);
    json_decref(j->token);
    json_decref(j->work);
    json_decref(j->messages);
    free(j->uri);
    free(j->title);
    free(j->endpoint);
    free(j->remote_model);
    lsp_model_unref(j->model);
    buf_fini(&j->text);
    free(j);
}

/* ---- the worker --------------------------------------------------------------------------------
 */

struct delta {
    struct chat_job *j;
    size_t len;
    char text[];
};

static void tell_text(struct lsp *l, void *data)
{
    struct delta *d = data;
    if (!l->ending && d->j->id && d->j->on_text) d->j->on_text(d->j, d->text, d->len);
    free(d);
}

void lsp_job_text(struct chat_job *j, const char *text, size_t len)
{
    struct delta *d = malloc(sizeof *d + len + 1);
    if (!d) return;
    d->j = j;
    d->len = len;
    memcpy(d->text, text, len);
    d->text[len] = 0;
    lsp_post(j->l, tell_text, d);
}

static void job_over(struct lsp *l, void *data)
{
    struct chat_job *j = data;
    if (l->ending) return; /* lsp_jobs_fini has freed it */
    pthread_join(l->job_thread, NULL);
    l->job = NULL;
    if (j->fell_back) { /* nobody at the endpoint: in this process, then */
        j->fell_back = j->may_fall_back = false;
        free(j->endpoint);
        j->endpoint = NULL;
        j->status = OK;
        j->next = l->jobs;
        l->jobs = j;
    } else {
        if (j->id) {
            if (j->work) lsp_progress(l, j->work, json_pack("{s:s}", "kind", "end"));
            if (j->status)
                lsp_fail(l, j->id, LSP_REQUEST_FAILED, "%s", j->err.msg);
            else
                j->on_done(j);
        }
        lsp_job_free(j);
    }
    lsp_jobs_pump(l);
}

static void *work(void *job)
{
    struct chat_job *j = job;
    if (j->endpoint && j->may_fall_back && lsp_endpoint_reach(j->endpoint, &j->err) != OK)
        j->fell_back = true;
    else
        j->status = j->endpoint ? lsp_chat_remote(j, &j->err) : lsp_chat_local(j, &j->err);
    lsp_post(j->l, job_over, j);
    return NULL;
}

/* ---- the queue ---------------------------------------------------------------------------------
 */

static void fail_first(struct lsp *l, const char *message)
{
    struct chat_job *j = l->jobs;
    l->jobs = j->next;
    if (j->id) lsp_fail(l, j->id, LSP_REQUEST_FAILED, "%s", message);
    if (j->id && j->work) lsp_progress(l, j->work, json_pack("{s:s}", "kind", "end"));
    lsp_job_free(j);
}

void lsp_jobs_pump(struct lsp *l)
{
    while (l->jobs && !l->job) {
        struct chat_job *j = l->jobs;
        if (!j->endpoint) {
            struct lsp_slot *s = lsp_chat_slot(l);
            if (s->state == LSP_STARTING) lsp_slot_load(l, s);
            if (s->state == LSP_LOADING && !s->model) return; /* pumped again when it is there */
            if (!s->model) {
                fail_first(l, s->message);
                if (s == &l->chat) s->state = LSP_STARTING; /* it may be pulled meanwhile */
                continue;
            }
            j->model = s->model;
            __atomic_add_fetch(&s->model->refs, 1, __ATOMIC_RELAXED);
        }
        l->jobs = j->next;
        j->next = NULL;
        l->job = j;
        if (pthread_create(&l->job_thread, NULL, work, j) != 0) {
            l->job = NULL;
            j->next = l->jobs;
            l->jobs = j;
            fail_first(l, "the system has no thread left");
        }
    }
}

void lsp_job_start(struct lsp *l, struct chat_job *j)
{
    const char *e = l->set.endpoint;
    j->allow_remote = l->set.allow_remote;
    j->n_ctx = l->set.n_ctx;
    if (e && strcmp(e, "auto") == 0) {
        const char *host = getenv("HEARTH_HOST");
        char url[256];
        snprintf(url, sizeof url, "%s%s", host && strstr(host, "://") ? "" : "http://",
                 host && *host ? host : "127.0.0.1:11434");
        j->endpoint = strdup(url);
        j->may_fall_back = true;
    } else if (e) {
        j->endpoint = strdup(e);
    }
    const char *name = l->chat.name ? l->chat.name : l->fim.name;
    j->remote_model = name ? strdup(name) : NULL;
    if (j->work)
        lsp_progress(l, j->work,
                     json_pack("{s:s, s:s, s:b}", "kind", "begin", "title",
                               j->title ? j->title : "Hearth", "cancellable", 1));
    struct chat_job **p = &l->jobs;
    while (*p) p = &(*p)->next;
    *p = j;
    lsp_jobs_pump(l);
}

static void cancelled(struct lsp *l, struct chat_job *j)
{
    lsp_fail(l, j->id, LSP_CANCELLED, "cancelled");
    if (j->work) lsp_progress(l, j->work, json_pack("{s:s}", "kind", "end"));
    json_decref(j->id);
    j->id = NULL;
}

bool lsp_job_cancel(struct lsp *l, const json_t *id)
{
    if (l->job && l->job->id && json_equal(l->job->id, id)) {
        __atomic_store_n(&l->job->cancel, 1, __ATOMIC_RELAXED);
        cancelled(l, l->job);
        return true;
    }
    for (struct chat_job **p = &l->jobs; *p; p = &(*p)->next) {
        struct chat_job *j = *p;
        if (!json_equal(j->id, id)) continue;
        cancelled(l, j);
        *p = j->next;
        lsp_job_free(j);
        return true;
    }
    return false;
}

void lsp_jobs_fini(struct lsp *l)
{
    /* The running one is freed by its last task. */
    if (l->job) __atomic_store_n(&l->job->cancel, 1, __ATOMIC_RELAXED);
    while (l->jobs) {
        struct chat_job *j = l->jobs;
        l->jobs = j->next;
        lsp_job_free(j);
    }
    if (l->job) {
        pthread_t t = l->job_thread;
        pthread_join(t, NULL);
        lsp_job_free(l->job); /* its tasks look at `ending` first */
        l->job = NULL;
    }
}

/* ---- hearth/chat -------------------------------------------------------------------------------
 */

static void on_text(struct chat_job *j, const char *text, size_t len)
{
    if (j->token)
        lsp_notify(j->l, "hearth/chatDelta",
                   json_pack("{s:O, s:s%}", "token", j->token, "text", text, len));
}

static void on_done(struct chat_job *j)
{
    const char *model = j->model ? j->model->label : j->remote_model;
    lsp_respond(j->l, j->id,
                json_pack("{s:s%, s:s, s:s, s:I, s:I}", "text", j->text.data ? j->text.data : "",
                          j->text.len, "finish", j->finish, "model", model ? model : "",
                          "promptTokens", (json_int_t)j->n_prompt, "completionTokens",
                          (json_int_t)j->n_generated));
}

/* Only what a message may have; NULL where one is none. */
static json_t *take_messages(const json_t *list)
{
    size_t i;
    const json_t *m;
    json_t *out = json_array();
    json_array_foreach(list, i, m)
    {
        const char *role = lsp_json_text(m, "role");
        const json_t *text = json_object_get(m, "content");
        bool known = role && (strcmp(role, "user") == 0 || strcmp(role, "assistant") == 0 ||
                              strcmp(role, "system") == 0);
        if (!known || !json_is_string(text)) {
            json_decref(out);
            return NULL;
        }
        json_array_append_new(out, json_pack("{s:s, s:O}", "role", role, "content", text));
    }
    if (json_array_size(out)) return out;
    json_decref(out);
    return NULL;
}

/* Puts the pieces of documents in front of the last message. */
static void add_context(struct lsp *l, json_t *messages, const json_t *context)
{
    struct buf b;
    size_t i;
    const json_t *c;
    json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    buf_init(&b, MAX_ANSWER);
    json_array_foreach(context, i, c)
    {
        const struct lsp_doc *d = lsp_docs_find(&l->docs, lsp_json_text(c, "uri"));
        const char *why = d ? lsp_refused(l, d) : "secret";
        if (strcmp(why, "secret") == 0 || strcmp(why, "ignored") == 0) continue;
        size_t start = 0, end = d->text.len;
        lsp_doc_range(&l->docs, d, json_object_get(c, "range"), &start, &end);
        if (lsp_prompt_fence(&b, d, start, end) != OK) break;
    }
    if (b.len) {
        const json_t *text = json_object_get(last, "content");
        if (buf_append(&b, json_string_value(text), json_string_length(text)) == OK)
            json_object_set_new(last, "content", json_stringn(b.data, b.len));
    }
    buf_fini(&b);
}

void lsp_chat(struct lsp *l, const json_t *id, const json_t *params)
{
    json_t *messages = take_messages(json_object_get(params, "messages"));
    struct chat_job *j = messages ? lsp_job_new(l, id) : NULL;
    if (!j) {
        json_decref(messages);
        lsp_fail(l, id, LSP_INVALID_PARAMS, "\"messages\" is no list of messages with role and text");
        return;
    }
    add_context(l, messages, json_object_get(params, "context"));
    j->messages = messages;
    const json_t *temperature = json_object_get(params, "temperature");
    long long tokens = lsp_json_int(params, "maxTokens", 1024);
    if (json_is_number(temperature) && json_number_value(temperature) >= 0 &&
        json_number_value(temperature) <= 100)
        j->temperature = json_number_value(temperature);
    if (tokens >= 1 && tokens <= 1 << 20) j->max_tokens = (size_t)tokens;
    j->token = json_incref(json_object_get(params, "token"));
    j->work = json_incref(json_object_get(params, "workDoneToken"));
    j->on_text = on_text;
    j->on_done = on_done;
    lsp_job_start(l, j);
}
