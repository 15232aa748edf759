#include "cli/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "net/origin.h"

enum { MAX_ANSWER = 64 << 20, CONNECT_MS = 5000, PROBE_MS = 300 };

struct client {
    CURL *curl;
    char url[512]; /* without a slash at the end */
    bool named, probing;
};

/* One request at work. */
struct exchange {
    struct buf body; /* whole, or the line that is not whole yet */
    enum status (*on_line)(void *ctx, const json_t *line, struct error *err);
    void *ctx;
    const volatile int *cancel;
    CURL *curl;
    enum status st;
    struct error *err;
};

/* ---- where ------------------------------------------------------------------------------------
 */

static enum status set_url(struct client *c, const char *text, struct error *err)
{
    const char *scheme = strstr(text, "://") ? "" : "http://";
    const char *host = strstr(text, "://") ? strstr(text, "://") + 3 : text;
    size_t n = strcspn(host, "/");
    bool v6 = *host == '[';
    const char *end = v6 ? memchr(host, ']', n) : host;
    bool port = end && memchr(end, ':', n - (size_t)(end - host));
    bool tls = strncmp(text, "https://", 8) == 0;
    if (!tls && *scheme == 0 && strncmp(text, "http://", 7) != 0)
        return error_set(err, ERR_INVALID, "%.200s is no http or https address", text);
    if (n == 0 || !end || (host[n] && host[n + 1]))
        return error_set(err, ERR_INVALID, "%.200s is no server's address; use HOST:PORT or a URL",
                         text);
    int len = snprintf(c->url, sizeof c->url, "%s%.*s%s", scheme, (int)(host + n - text), text,
                       port || tls ? "" : ":11434");
    if (len < 0 || (size_t)len >= sizeof c->url)
        return error_set(err, ERR_LIMIT, "the server's address is too long");
    return OK;
}

static bool is_private(const char *url)
{
    char host[256];
    const char *p = strstr(url, "://") + 3;
    size_t n = *p == '[' ? strcspn(++p, "]") : strcspn(p, ":/");
    if (n >= sizeof host) return false;
    memcpy(host, p, n);
    host[n] = 0;
    return strncmp(url, "https://", 8) == 0 || origin_is_loopback(host);
}

enum status client_open(const char *address, struct client **out, struct error *err)
{
    const char *env = getenv("HEARTH_HOST"), *port = getenv("HEARTH_SERVE_PORT");
    const char *key = getenv("HEARTH_API_KEY");
    char own[64];
    struct client *c = *out = calloc(1, sizeof *c);
    if (!c) return error_set(err, ERR_NOMEM, "out of memory");
    if (!address && env && *env) address = env;
    c->named = address != NULL;
    snprintf(own, sizeof own, "127.0.0.1:%.8s", port && *port ? port : "11434");
    enum status st = set_url(c, address ? address : own, err);
    if (st == OK && key && *key && !is_private(c->url))
        st = error_set(err, ERR_INVALID,
                       "the API key is not sent to %s: only https is safe beyond this machine",
                       c->url);
    c->curl = st == OK ? curl_easy_init() : NULL;
    if (st == OK && !c->curl) st = error_set(err, ERR_NOMEM, "cannot start libcurl");
    if (st == OK) return OK;
    client_close(c);
    *out = NULL;
    return st;
}

void client_close(struct client *c)
{
    if (!c) return;
    if (c->curl) curl_easy_cleanup(c->curl);
    free(c);
}

const char *client_url(const struct client *c)
{
    return c->url;
}

bool client_is_named(const struct client *c)
{
    return c->named;
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static void take_lines(struct exchange *x)
{
    size_t from = 0;
    char *end;
    while (x->st == OK && from < x->body.len &&
           (end = memchr(x->body.data + from, '\n', x->body.len - from))) {
        size_t len = (size_t)(end - (x->body.data + from));
        json_t *line = len ? json_loadb(x->body.data + from, len, 0, NULL) : NULL;
        const char *problem = json_string_value(json_object_get(line, "error"));
        from += len + 1;
        if (len && !line)
            x->st = error_set(x->err, ERR_FORMAT, "the server's answer is no JSON");
        else if (problem)
            x->st = error_set(x->err, ERR_IO, "the server: %.400s", problem);
        else if (line)
            x->st = x->on_line(x->ctx, line, x->err);
        json_decref(line);
    }
    if (from) memmove(x->body.data, x->body.data + from, x->body.len - from);
    x->body.len -= from;
}

static size_t on_data(char *data, size_t one, size_t n, void *ctx)
{
    struct exchange *x = ctx;
    long code = 0;
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &code);
    if (buf_append(&x->body, data, one * n) != OK)
        x->st = error_set(x->err, ERR_LIMIT, "the server's answer is too long");
    if (x->st == OK && x->on_line && code == 200) take_lines(x);
    return x->st == OK ? n * one : 0;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    const struct exchange *x = ctx;
    return x->cancel && *x->cancel;
}

static struct curl_slist *headers(bool body)
{
    const char *key = getenv("HEARTH_API_KEY");
    struct curl_slist *list = NULL;
    char line[512];
    if (body) list = curl_slist_append(list, "Content-Type: application/json");
    list = curl_slist_append(list, "Expect:");
    if (key && *key) {
        snprintf(line, sizeof line, "Authorization: Bearer %.400s", key);
        list = curl_slist_append(list, line);
    }
    return list;
}

static enum status failure_of(const struct client *c, long code, const struct exchange *x)
{
    json_t *j = json_loadb(x->body.data ? x->body.data : "", x->body.len, 0, NULL);
    const json_t *e = json_object_get(j, "error");
    const char *text = json_string_value(e);
    if (!text) text = json_string_value(json_object_get(e, "message"));
    enum status st = code == 404   ? ERR_NOT_FOUND
                     : code == 503 ? ERR_BUSY
                     : code < 500  ? ERR_INVALID
                                   : ERR_IO;
    if (code == 401)
        error_set(x->err, st, "the server at %s wants an API key: set HEARTH_API_KEY", c->url);
    else if (text)
        error_set(x->err, st, "%.500s", text);
    else
        error_set(x->err, st, "the server at %s answered %ld", c->url, code);
    json_decref(j);
    return st;
}

static enum status perform(struct client *c, const char *path, json_t *body, struct exchange *x)
{
    char url[640];
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct curl_slist *head = headers(body != NULL);
    enum status st = OK;
    long code = 0;
    if (body && !text) st = error_set(x->err, ERR_NOMEM, "out of memory");
    json_decref(body);
    snprintf(url, sizeof url, "%s%s", c->url, path);
    curl_easy_reset(c->curl);
    x->curl = c->curl;
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "*"); /* it is ours, and near */
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(c->probing ? PROBE_MS : CONNECT_MS));
    if (c->probing) curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, 3L * PROBE_MS);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, head);
    if (text) curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, text);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, x);
    CURLcode rc = st == OK ? curl_easy_perform(c->curl) : CURLE_OK;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &code);
    if (st == OK && x->st != OK) st = x->st;
    if (st == OK && rc == CURLE_ABORTED_BY_CALLBACK)
        st = error_set(x->err, ERR_CANCELLED, "interrupted");
    if (st == OK && rc != CURLE_OK && code == 0)
        st = error_set(x->err, ERR_NETWORK,
                       "no server answers at %s (%s): start one with 'hearth serve', or name it by "
                       "--server or HEARTH_HOST",
                       c->url, curl_easy_strerror(rc));
    if (st == OK && rc != CURLE_OK)
        st = error_set(x->err, ERR_NETWORK, "the answer of %s broke off: %s", c->url,
                       curl_easy_strerror(rc));
    if (st == OK && code != 200) st = failure_of(c, code, x);
    curl_slist_free_all(head);
    free(text);
    return st;
}

enum status client_ask(struct client *c, const char *path, json_t *body, json_t **out,
                       struct error *err)
{
    struct exchange x = {.err = err};
    *out = NULL;
    buf_init(&x.body, MAX_ANSWER);
    enum status st = perform(c, path, body, &x);
    if (st == OK) *out = json_loadb(x.body.data ? x.body.data : "", x.body.len, 0, NULL);
    if (st == OK && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        st = error_set(err, ERR_FORMAT, "what answers at %s is no model server", c->url);
    }
    buf_fini(&x.body);
    return st;
}

enum status client_stream(struct client *c, const char *path, json_t *body,
                          const volatile int *cancel,
                          enum status (*on_line)(void *ctx, const json_t *line, struct error *err),
                          void *ctx, struct error *err)
{
    struct exchange x = {.on_line = on_line, .ctx = ctx, .cancel = cancel, .err = err};
    buf_init(&x.body, MAX_ANSWER);
    enum status st = perform(c, path, body, &x);
    buf_fini(&x.body);
    return st;
}

bool client_finds_hearth(struct client *c)
{
    struct error err;
    json_t *version;
    c->probing = true;
    bool found = client_ask(c, "/api/version", NULL, &version, &err) == OK &&
                 json_object_get(version, "hearth");
    c->probing = false;
    json_decref(version);
    return found;
}
