/* Answers and errors in each API's own shape, ids, the log. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "api/api_int.h"
#include "infer/text_io.h"
#include "net/sse.h"

/* ---- JSON -------------------------------------------------------------------------------------
 */

char *api_dump(json_t *j, size_t *len)
{
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(j);
    if (text && len) *len = strlen(text);
    return text;
}

json_t *api_string(const char *text, size_t len)
{
    json_t *j = json_stringn(text, len);
    if (j) return j;
    struct buf b;
    buf_init(&b, 3 * len + 1);
    if (text_append_valid(&b, text, len) == OK) j = json_stringn(b.data ? b.data : "", b.len);
    buf_fini(&b);
    return j;
}

double api_round(double x)
{
    return floor(x * 1000 + 0.5) / 1000;
}

void api_make_id(const char *prefix, char *dst, size_t cap)
{
    uint64_t x[2] = {0};
    if (getrandom(x, sizeof x, 0) != (ssize_t)sizeof x) x[0] = (uint64_t)time(NULL);
    snprintf(dst, cap, "%s%016llx%016llx", prefix, (unsigned long long)x[0],
             (unsigned long long)x[1]);
}

/* ---- errors -----------------------------------------------------------------------------------
 */

static json_t *openai_error(const struct failure *f)
{
    const char *type = f->code == 401   ? "authentication_error"
                       : f->code == 403 ? "permission_error"
                       : f->code == 429 ? "rate_limit_error"
                       : f->code >= 500 ? "server_error"
                                        : "invalid_request_error";
    return json_pack("{s:{s:s, s:s, s:n, s:s}}", "error", "message", f->message, "type", type,
                     "param", "code", f->kind);
}

static json_t *ollama_error(const struct failure *f)
{
    return json_pack("{s:s}", "error", f->message);
}

static json_t *llama_error(const struct failure *f)
{
    bool context = strcmp(f->kind, "context_length_exceeded") == 0;
    const char *type = context          ? "exceed_context_size_error"
                       : f->code == 401 ? "authentication_error"
                       : f->code == 403 ? "permission_error"
                       : f->code == 404 ? "not_found_error"
                       : f->code == 501 ? "not_supported_error"
                       : f->code == 503 ? "unavailable_error"
                       : f->code >= 500 ? "server_error"
                                        : "invalid_request_error";
    json_t *j = json_pack("{s:{s:i, s:s, s:s}}", "error", "code", f->code, "message", f->message,
                          "type", type);
    json_t *e = json_object_get(j, "error");
    if (e && context) {
        json_object_set_new(e, "n_prompt_tokens", json_integer((json_int_t)f->n_prompt));
        json_object_set_new(e, "n_ctx", json_integer((json_int_t)f->n_ctx));
    }
    return j;
}

static json_t *anthropic_error(const struct failure *f)
{
    const char *type = f->code == 401   ? "authentication_error"
                       : f->code == 403 ? "permission_error"
                       : f->code == 404 ? "not_found_error"
                       : f->code == 413 ? "request_too_large"
                       : f->code == 429 ? "rate_limit_error"
                       : f->code == 503 ? "overloaded_error"
                       : f->code >= 500 ? "api_error"
                                        : "invalid_request_error";
    return json_pack("{s:s, s:{s:s, s:s}}", "type", "error", "error", "type", type, "message",
                     f->message);
}

static void sse_error(struct http_request *r, const json_t *error)
{
    char *text = json_dumps(error, JSON_COMPACT);
    if (text) sse_write(r, NULL, text, strlen(text));
    free(text);
}

static void sse_error_event(struct http_request *r, const json_t *error)
{
    char *text = json_dumps(error, JSON_COMPACT);
    if (text) sse_write(r, "error", text, strlen(text));
    free(text);
}

static void ndjson_error(struct http_request *r, const json_t *error)
{
    char *text = json_dumps(error, JSON_COMPACT);
    if (text) ndjson_write(r, text, strlen(text));
    free(text);
}

const struct dialect dialect_openai = {"openai", openai_error, sse_error};
const struct dialect dialect_ollama = {"ollama", ollama_error, ndjson_error};
const struct dialect dialect_llama = {"llama.cpp", llama_error, sse_error};
const struct dialect dialect_anthropic = {"anthropic", anthropic_error, sse_error_event};

int api_code_of(enum status st)
{
    switch (st) {
    case OK:
        return 200;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_INVALID:
    case ERR_FORMAT:
    case ERR_UNSUPPORTED:
    case ERR_LIMIT:
        return 400;
    case ERR_BUSY:
        return 503;
    case ERR_NOMEM:
        return 503;
    case ERR_CANCELLED:
        return 499;
    default:
        return 500;
    }
}

void call_fail(struct call *c, const struct failure *f)
{
    json_t *error = c->dialect->error(f);
    if (!error) { /* no memory, or a message that is no UTF-8 */
        struct failure plain = *f;
        plain.message = "the request failed";
        error = c->dialect->error(&plain);
    }
    if (http_begun(c->r)) {
        if (error) c->dialect->error_in_stream(c->r, error);
        http_stream_end(c->r);
        json_decref(error);
        return;
    }
    if (f->code == 503) http_add_header(c->r, "Retry-After", "1");
    call_json(c, f->code, error);
}

void call_failf(struct call *c, int code, const char *kind, const char *fmt, ...)
{
    char text[700];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct failure f = {.code = code, .kind = kind, .message = text};
    call_fail(c, &f);
}

void call_error(struct call *c, const struct error *err)
{
    static const struct {
        enum status st;
        const char *kind;
    } kinds[] = {{ERR_NOT_FOUND, "model_not_found"}, {ERR_INVALID, "invalid_value"},
                 {ERR_FORMAT, "invalid_value"},      {ERR_UNSUPPORTED, "not_supported"},
                 {ERR_LIMIT, "limit_exceeded"},      {ERR_BUSY, "overloaded"},
                 {ERR_NOMEM, "out_of_memory"}};
    const char *kind = "internal_error";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].st == err->code) kind = kinds[i].kind;
    struct failure f = {.code = api_code_of(err->code), .kind = kind, .message = err->msg};
    call_fail(c, &f);
}

void call_json(struct call *c, int code, json_t *body)
{
    size_t len = 0;
    char *text = api_dump(body, &len);
    if (text)
        http_respond(c->r, code, "application/json; charset=utf-8", text, len);
    else
        http_respond(c->r, 503, NULL, "", 0);
    free(text);
}

void call_text(struct call *c, int code, const char *type, const char *text)
{
    http_respond(c->r, code, type, text, strlen(text));
}

/* ---- log --------------------------------------------------------------------------------------
 */

void api_log(struct api *a, const char *level, const char *msg, json_t *fields)
{
    if (!fields || !a->opt.log) {
        json_decref(fields);
        return;
    }
    struct timespec now;
    struct tm tm;
    char when[64];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + n, sizeof when - n, ".%03ldZ", now.tv_nsec / 1000000);
    json_t *line = json_pack("{s:s, s:s, s:s}", "time", when, "level", level, "msg", msg);
    if (line) json_object_update(line, fields);
    json_decref(fields);
    char *text = api_dump(line, NULL);
    if (text) a->opt.log(a->opt.log_ctx, text);
    free(text);
}
