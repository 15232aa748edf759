#include "eval/peer.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "assist/fim_families.h"
#include "base/clock.h"
#include "eval/peer_int.h"

extern const struct eval_api eval_api_hearth, eval_api_llama, eval_api_openai, eval_api_ollama;

const struct eval_api *const eval_apis[] = {
    &eval_api_hearth, &eval_api_llama, &eval_api_openai, &eval_api_ollama, NULL,
};

struct peer {
    struct peer_options o;
    const struct eval_api *api;
    const struct fim_family *family;
    struct peer_pipe *pipe; /* or the next ones */
    CURL *curl;
    struct curl_slist *headers;
    char *url;
};

static const struct fim_family *find_family(const char *name, const char *model)
{
    for (const struct fim_family *f = fim_families; f->name; f++) {
        size_t len = strcspn(f->name, "-");
        if (name ? strcmp(f->name, name) == 0 : model && strcasestr(model, f->name)) return f;
        /* "qwen2.5-coder:0.5b" and "Qwen2.5-Coder-0.5B-Instruct-Q4_K_M" are of the same family; so
         * is "deepseek" with whatever comes after it. */
        char first[32];
        if (name || !model || len >= sizeof first) continue;
        memcpy(first, f->name, len);
        first[len] = 0;
        if (strcasestr(model, first)) return f;
    }
    return NULL;
}

static enum status open_http(struct peer *p, struct error *err)
{
    const struct peer_options *o = &p->o;
    for (size_t i = 0; eval_apis[i]; i++)
        if (strcmp(eval_apis[i]->name, o->api) == 0) p->api = eval_apis[i];
    if (!p->api)
        return error_set(err, ERR_INVALID,
                         "no API is called '%s'; there are hearth, llama.cpp, openai, ollama",
                         o->api);
    p->family = find_family(o->family, o->model);
    if (o->family && !p->family)
        return error_set(err, ERR_INVALID, "no template is called '%s'", o->family);
    if (p->api->needs_family && !p->family)
        return error_set(err, ERR_INVALID,
                         "which template does the model '%s' want? Name it with --template",
                         o->model ? o->model : "");
    size_t len = strlen(o->url);
    while (len && o->url[len - 1] == '/') len--;
    if (asprintf(&p->url, "%.*s%s", (int)len, o->url, p->api->path) < 0) p->url = NULL;
    p->curl = curl_easy_init();
    p->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (o->key && p->headers) {
        char *line;
        if (asprintf(&line, "Authorization: Bearer %s", o->key) < 0)
            return error_set(err, ERR_NOMEM, "out of memory");
        curl_slist_append(p->headers, line);
        free(line);
    }
    return p->url && p->curl && p->headers ? OK : error_set(err, ERR_NOMEM, "out of memory");
}

enum status peer_create(const struct peer_options *o, struct peer **out, struct error *err)
{
    *out = NULL;
    struct peer *p = calloc(1, sizeof *p);
    if (!p) return error_set(err, ERR_NOMEM, "out of memory");
    p->o = *o;
    enum status st = o->command ? peer_pipe_start(o->command, &p->pipe, err) : open_http(p, err);
    if (st == OK)
        *out = p;
    else
        peer_destroy(p);
    return st;
}

void peer_destroy(struct peer *p)
{
    if (!p) return;
    peer_pipe_stop(p->pipe);
    if (p->curl) curl_easy_cleanup(p->curl);
    curl_slist_free_all(p->headers);
    free(p->url);
    free(p);
}

void peer_answer_fini(struct peer_answer *a)
{
    buf_fini(&a->text);
}

char *peer_prompt(const struct fim_family *f, const struct peer_question *q)
{
    char *s;
    bool spm = f->order == FIM_SPM;
    const char *first = spm ? f->suffix : f->prefix, *second = spm ? f->prefix : f->suffix;
    if (asprintf(&s, "%s%.*s%s%.*s%s", first, (int)(spm ? q->suffix_len : q->prefix_len),
                 spm ? q->suffix : q->prefix, second, (int)(spm ? q->prefix_len : q->suffix_len),
                 spm ? q->prefix : q->suffix, f->middle ? f->middle : "") < 0)
        return NULL;
    return s;
}

/* ---- one request ------------------------------------------------------------------------------
 */

struct transfer {
    const struct peer *p;
    struct peer_answer *a;
    struct buf body; /* what came and is no whole line yet; of an error, all of it */
    double started;
    enum status st;
    struct error *err;
};

/* A line of server-sent events or of JSON Lines. */
static enum status take_line(struct transfer *t, const char *line, size_t len)
{
    if (len >= 5 && strncmp(line, "data:", 5) == 0) {
        line += 5;
        len -= 5;
    }
    while (len && strchr(" \r\n", line[len - 1])) len--;
    while (len && *line == ' ') {
        line++;
        len--;
    }
    if (len == 0 || *line != '{') return OK; /* "[DONE]", event names, comments */
    json_t *e = json_loadb(line, len, 0, NULL);
    size_t before = t->a->text.len;
    enum status st = OK;
    const json_t *error = json_object_get(e, "error");
    if (!e)
        st = error_set(t->err, ERR_NETWORK, "the server's answer is no JSON");
    else if (error)
        st = error_set(t->err, ERR_NETWORK, "the server says: %.200s",
                       json_string_value(error) ? json_string_value(error)
                       : json_string_value(json_object_get(error, "message"))
                           ? json_string_value(json_object_get(error, "message"))
                           : "error");
    else if (t->p->api->event(e, t->a) != OK)
        st = error_set(t->err, ERR_LIMIT, "the answer is longer than %d bytes", PEER_MAX_ANSWER);
    if (t->a->text.len > before && t->a->first_ms == 0)
        t->a->first_ms = 1e3 * (clock_now() - t->started);
    json_decref(e);
    return st;
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = size * n, at = 0;
    if (buf_append(&t->body, data, len) != OK) {
        t->st = error_set(t->err, ERR_LIMIT, "the server's answer is too long");
        return 0;
    }
    long code = 0;
    curl_easy_getinfo(t->p->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code >= 300) return len; /* read whole, for its message */
    for (char *stop; t->st == OK && (stop = memchr(t->body.data + at, '\n', t->body.len - at));) {
        size_t end = (size_t)(stop - t->body.data);
        t->st = take_line(t, t->body.data + at, end - at);
        at = end + 1;
    }
    memmove(t->body.data, t->body.data + at, t->body.len - at);
    t->body.len -= at;
    return t->st == OK ? len : 0;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct peer *p = ctx;
    (void)a, (void)b, (void)c, (void)d;
    return p->o.cancel && *p->o.cancel;
}

static enum status perform(struct peer *p, const char *body, struct transfer *t)
{
    CURL *c = p->curl;
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, p->url);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, p->headers);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, p);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(1e3 * p->o.seconds));
    t->started = clock_now();
    CURLcode rc = curl_easy_perform(c);
    t->a->total_ms = 1e3 * (clock_now() - t->started);
    long code = 0;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &code);
    if (t->st) return t->st;
    if (rc == CURLE_ABORTED_BY_CALLBACK) return error_set(t->err, ERR_CANCELLED, "interrupted");
    if (rc != CURLE_OK)
        return error_set(t->err, ERR_NETWORK, "%s: %s", p->url, curl_easy_strerror(rc));
    if (code >= 300)
        return error_set(t->err, ERR_NETWORK, "%s answers with %ld: %.300s", p->url, code,
                         t->body.data ? t->body.data : "");
    return t->body.len ? take_line(t, t->body.data, t->body.len) : OK;
}

enum status peer_ask(struct peer *p, const struct peer_question *q, struct peer_answer *a,
                     struct error *err)
{
    *a = (struct peer_answer){.tokens = -1, .prompt = -1};
    buf_init(&a->text, PEER_MAX_ANSWER);
    if (p->pipe) return peer_pipe_ask(p->pipe, &p->o, q, a, err);
    json_t *body = p->api->body(&p->o, p->family, q);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text)
        return error_set(err, ERR_NOMEM,
                         "the request cannot be made: no memory, or a text that is not UTF-8");
    struct transfer t = {.p = p, .a = a, .err = err};
    buf_init(&t.body, 2 * PEER_MAX_ANSWER);
    enum status st = perform(p, text, &t);
    buf_fini(&t.body);
    free(text);
    return st;
}
