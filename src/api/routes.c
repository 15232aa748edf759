/* From a request to its endpoint: who may ask, which route, which answer where there is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/api_int.h"
#include "api/body.h"
#include "api/ollama.h"
#include "base/clock.h"

extern const struct route routes_openai[], routes_chat[], routes_embed[], routes_responses[],
    routes_ollama[], routes_ollama_models[], routes_ollama_create[], routes_ollama_push[], routes_llama[], routes_llama_fill[],
    routes_llama_slots[], routes_anthropic[], routes_search[];

/* The registry: one line for each file with endpoints. */
const struct route_family api_families[] = {
    {routes_openai},      {routes_chat},          {routes_embed}, {routes_responses},
    {routes_ollama},      {routes_ollama_models}, {routes_llama}, {routes_llama_fill},
    {routes_ollama_create}, {routes_ollama_push},
    {routes_llama_slots}, {routes_anthropic},     {routes_search}, {NULL},
};

/* In whose shape an unknown path is refused; the first that fits. */
static const struct {
    const char *prefix;
    const struct dialect *dialect;
} shapes[] = {
    {"/api/", &dialect_ollama},
    {"/v1/messages", &dialect_anthropic},
    {"/v1", &dialect_openai},
    {"", &dialect_llama},
};

static const struct dialect *shape_of(const char *path)
{
    size_t i = 0;
    while (strncmp(path, shapes[i].prefix, strlen(shapes[i].prefix)) != 0) i++;
    return shapes[i].dialect;
}

static bool path_fits(const struct route *t, const char *path)
{
    if (!(t->flags & ROUTE_PREFIX)) return strcmp(t->path, path) == 0;
    size_t n = strlen(t->path);
    return strncmp(t->path, path, n) == 0 && path[n];
}

/* HEAD is GET. *known: the path exists with some method. */
static const struct route *find_route(const char *method, const char *path, bool *known)
{
    if (strcmp(method, "HEAD") == 0) method = "GET";
    *known = false;
    for (const struct route_family *f = api_families; f->routes; f++) {
        for (const struct route *t = f->routes; t->method; t++) {
            if (!path_fits(t, path)) continue;
            *known = true;
            if (strcmp(t->method, method) == 0) return t;
        }
    }
    return NULL;
}

bool api_route_name(size_t i, char *dst, size_t cap)
{
    for (const struct route_family *f = api_families; f->routes; f++)
        for (const struct route *t = f->routes; t->method; t++)
            if (i-- == 0) {
                snprintf(dst, cap, "%s %s%s", t->method, t->path,
                         t->flags & ROUTE_PREFIX ? "{rest}" : "");
                return true;
            }
    return false;
}

static void call_destroy(void *p)
{
    struct call *c = p;
    store_upload_abort(c->upload);
    json_decref(c->body);
    free(c);
}

static struct call *call_create(struct api *a, struct http_request *r)
{
    struct call *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->api = a;
    c->r = r;
    c->dialect = shape_of(http_path(r));
    c->max_tokens = a->opt.rules.max_tokens;
    c->max_seconds = a->opt.rules.max_seconds;
    http_set_data(r, c, call_destroy);
    return c;
}

/* ---- admission --------------------------------------------------------------------------------
 */

static struct http_str given_key(const struct http_request *r)
{
    struct http_str v = http_header(r, "authorization");
    if (v.data && v.len > 7 && strncasecmp(v.data, "Bearer ", 7) == 0)
        return (struct http_str){v.data + 7, v.len - 7};
    return http_header(r, "x-api-key");
}

/* Who asks. False where a key is needed and none, or an unknown one, is given. */
static bool identify(struct call *c)
{
    const struct api_rules *o = &c->api->opt.rules;
    snprintf(c->client, sizeof c->client, "%s", http_peer(c->r));
    struct http_str own = http_header(c->r, "x-hearth-client");
    bool plain = own.data && own.len && own.len < 64;
    for (size_t i = 0; plain && i < own.len; i++)
        plain = own.data[i] > ' ' && (unsigned char)own.data[i] < 0x7F; /* fit for the log */
    if (plain) {
        c->named_client = true;
        snprintf(c->client, sizeof c->client, "%s/%.*s", http_peer(c->r), (int)own.len, own.data);
    }
    if (!o->keys || !o->keys->n) return true;
    struct http_str key = given_key(c->r);
    const struct key_entry *e = key.data ? keys_find(o->keys, key.data, key.len) : NULL;
    if (!e) return false;
    sha256_hex(e->hash, c->salt);
    char name[128];
    snprintf(name, sizeof name, "%s%s%.*s", e->name, c->named_client ? "/" : "",
             c->named_client ? (int)own.len : 0, own.data ? own.data : "");
    memcpy(c->client, name, sizeof name);
    return true;
}

static void add_cors(struct call *c, struct http_str origin)
{
    char value[256];
    if (!origin.data || origin.len >= sizeof value ||
        !origin_listed(&c->api->opt.rules.origins, origin))
        return;
    snprintf(value, sizeof value, "%.*s", (int)origin.len, origin.data);
    http_add_header(c->r, "Access-Control-Allow-Origin", value);
    http_add_header(c->r, "Vary", "Origin");
}

static void preflight(struct call *c)
{
    http_add_header(c->r, "Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
    http_add_header(c->r, "Access-Control-Allow-Headers",
                    "Authorization, Content-Type, X-Api-Key, X-Hearth-Client, Anthropic-Version");
    http_add_header(c->r, "Access-Control-Max-Age", "600");
    http_respond(c->r, 204, NULL, "", 0);
}

/* Which methods the path takes. */
static void add_allow(struct http_request *r)
{
    char text[64] = "";
    static const char *const methods[] = {"GET", "HEAD", "POST", "DELETE"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        bool known;
        if (!find_route(methods[i], http_path(r), &known)) continue;
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s%s", n ? ", " : "", methods[i]);
    }
    http_add_header(r, "Allow", text);
}

static bool admit(void *ctx, struct http_request *r)
{
    struct api *a = ctx;
    struct call *c = call_create(a, r);
    if (!c) {
        http_respond(r, 503, NULL, "", 0);
        return false;
    }
    struct http_str host = http_header(r, "host"), origin = http_header(r, "origin");
    if (host.data ? !origin_host_allowed(&a->opt.rules.origins, host) : false) {
        call_failf(
            c, 403, "forbidden_host",
            "the Host header names another server; if this name is right, start with --allow-host");
        return false;
    }
    if (!origin_allowed(&a->opt.rules.origins, origin, host)) {
        call_failf(
            c, 403, "forbidden_origin",
            "pages of this origin may not use this server; to let them, start with --origin");
        return false;
    }
    add_cors(c, origin);
    if (strcmp(http_method(r), "OPTIONS") == 0 && origin.data &&
        origin_listed(&a->opt.rules.origins, origin)) {
        preflight(c);
        return false;
    }
    bool known, authentic = identify(c);
    c->route = find_route(http_method(r), http_path(r), &known);
    if (c->route) c->dialect = c->route->dialect;
    unsigned flags = c->route ? c->route->flags : 0;
    bool open = (flags & ROUTE_PUBLIC) || ((flags & ROUTE_METRICS) && a->opt.rules.metrics_public);
    if (!authentic && !open) {
        http_add_header(r, "WWW-Authenticate", "Bearer");
        call_failf(c, 401, "invalid_api_key",
                   "a valid API key is needed: Authorization: Bearer KEY");
        return false;
    }
    if (!c->route) {
        if (known) add_allow(r);
        call_failf(c, known ? 405 : 404, "unknown_route", "%s %.200s: %s", http_method(r),
                   http_path(r),
                   known ? "this path does not take that method" : "there is no such path");
        return false;
    }
    if ((flags & ROUTE_CHANGES) && !a->opt.rules.pull) {
        call_failf(c, 403, "not_allowed",
                   "clients may not change the installed models; start with --allow-pull, or use "
                   "`hearth pull`");
        return false;
    }
    if (atomic_load(&a->shutting)) {
        http_add_header(r, "Retry-After", "5");
        call_failf(c, 503, "shutting_down", "the server is shutting down");
        return false;
    }
    if (flags & ROUTE_PREFIX) c->rest = http_path(r) + strlen(c->route->path);
    return (flags & ROUTE_UPLOAD) ? ollama_begin_upload(c) : true;
}

static bool at_once(void *ctx, struct http_request *r)
{
    (void)ctx;
    const struct call *c = http_data(r);
    return c && c->route && (c->route->flags & ROUTE_AT_ONCE);
}

static bool parse_body(struct call *c)
{
    struct http_str body = http_body(c->r);
    json_error_t e;
    if (body.len == 0) {
        call_failf(c, 400, "invalid_json", "the request has no body; a JSON object is expected");
        return false;
    }
    c->body = body_parse(body.data, body.len, &e);
    if (!c->body) {
        /* jansson's text can quote the request; its place is enough. */
        call_failf(c, 400, "invalid_json", "the body is no valid JSON: line %d, column %d", e.line,
                   e.column);
        return false;
    }
    if (!json_is_object(c->body)) {
        call_failf(c, 400, "invalid_json", "the body must be a JSON object");
        return false;
    }
    return true;
}

static void handle(void *ctx, struct http_request *r)
{
    (void)ctx;
    struct call *c = http_data(r);
    if ((c->route->flags & ROUTE_JSON) && !parse_body(c)) return;
    c->route->handle(c);
}

static void fail(void *ctx, struct http_request *r, int code, const char *reason)
{
    struct call *c = http_data(r);
    if (!c) c = call_create(ctx, r);
    if (c)
        call_failf(c, code, code == 413 ? "request_too_large" : "bad_http", "%s", reason);
    else
        http_respond(r, code, NULL, "", 0);
}

static void done(void *ctx, struct http_request *r)
{
    struct api *a = ctx;
    struct call *c = http_data(r);
    double seconds = clock_now() - http_request_started(r);
    int code = http_code(r);
    if (!code) code = 499; /* the client left before an answer began */
    const char *route = c && c->route ? c->route->path : "(none)";
    metrics_count(&a->metrics, route, code, seconds);
    json_t *j =
        json_pack("{s:I, s:s, s:s, s:i, s:f, s:s}", "id", (json_int_t)http_request_id(r), "method",
                  *http_method(r) ? http_method(r) : "?", "route", route, "status", code, "ms",
                  api_round(1e3 * seconds), "client", c && *c->client ? c->client : http_peer(r));
    if (j && http_gone(r)) json_object_set_new(j, "gone", json_true());
    if (j && c && *c->model) {
        json_object_set_new(j, "model", json_string(c->model));
        json_object_set_new(j, "prompt_tokens", json_integer((json_int_t)c->n_prompt));
        json_object_set_new(j, "cached_tokens", json_integer((json_int_t)c->n_cached));
        json_object_set_new(j, "completion_tokens", json_integer((json_int_t)c->n_generated));
    }
    api_log(a, code >= 500 ? "error" : "info", "request", j);
}

void api_serve(struct api *a, struct http_options *o)
{
    o->admit = admit;
    o->at_once = at_once;
    o->handle = handle;
    o->fail = fail;
    o->done = done;
    o->ctx = a;
}
