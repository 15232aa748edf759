#include "remote/rest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "store/http_curl.h"

enum { CONNECT_SECONDS = 5, MAX_URL = 2048, MAX_PAUSE = 10 };
static const double first_pause = 0.25;

struct rest {
    CURL *curl;
    struct curl_slist *headers;
    char *base;
    double seconds;
    int tries;
    const volatile int *cancel;
    struct buf answer;
    bool large;         /* the answer went past the limit */
    double retry_after; /* seconds; 0 = not told */
    char detail[CURL_ERROR_SIZE];
};

static bool cancelled(const struct rest *r)
{
    return r->cancel && *r->cancel;
}

static size_t on_data(char *data, size_t size, size_t count, void *ctx)
{
    struct rest *r = ctx;
    size_t len = size * count;
    if (buf_append(&r->answer, data, len) == OK) return len;
    r->large = true;
    return 0;
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct rest *r = ctx;
    size_t len = size * count;
    static const char name[] = "retry-after:";
    char value[16];
    if (len < sizeof name || strncasecmp(line, name, sizeof name - 1) != 0) return len;
    size_t n = len - (sizeof name - 1);
    if (n >= sizeof value) return len; /* a date: the pauses of our own do */
    memcpy(value, line + sizeof name - 1, n);
    value[n] = 0;
    double s = strtod(value, NULL);
    r->retry_after = s > 0 && s <= MAX_PAUSE ? s : 0;
    return len;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    (void)dt, (void)dn, (void)ut, (void)un;
    return cancelled(ctx);
}

static enum status add_header(struct rest *r, const char *name, const char *value, struct error *err)
{
    struct buf line;
    buf_init(&line, 8192);
    enum status st = buf_printf(&line, "%s: %s", name, value);
    struct curl_slist *more = st == OK ? curl_slist_append(r->headers, line.data) : NULL;
    if (more) r->headers = more;
    buf_fini(&line);
    return more ? OK : error_set(err, ERR_NOMEM, "out of memory, or a header of more than 8 KiB");
}

enum status rest_open(const struct rest_options *o, struct rest **out, struct error *err)
{
    /* A line break would add headers of its own. */
    for (const char *p = o->key; p && *p; p++)
        if (*p <= ' ' || *p >= 0x7f)
            return error_set(err, ERR_INVALID, "the store's key has a character that no key has");
    struct rest *r = calloc(1, sizeof *r);
    if (!r) return error_set(err, ERR_NOMEM, "out of memory");
    buf_init(&r->answer, REST_MAX_ANSWER);
    r->base = strdup(o->base);
    r->seconds = o->seconds;
    r->tries = o->tries;
    r->cancel = o->cancel;
    enum status st = r->base && curl_global_init(CURL_GLOBAL_DEFAULT) == 0 ? OK : ERR_NOMEM;
    if (st) {
        free(r->base);
        free(r);
        return error_set(err, st, "cannot start libcurl");
    }
    r->curl = curl_easy_init();
    if (!r->curl) st = error_set(err, ERR_NOMEM, "cannot start libcurl");
    if (st == OK) st = add_header(r, "Content-Type", "application/json", err);
    if (st == OK && o->key) st = add_header(r, o->key_header, o->key, err);
    /* Without, libcurl waits a second for leave to send a large body. */
    if (st == OK) st = add_header(r, "Expect", "", err);
    if (st) rest_close(r);
    else *out = r;
    return st;
}

void rest_close(struct rest *r)
{
    if (!r) return;
    curl_easy_cleanup(r->curl);
    curl_slist_free_all(r->headers);
    curl_global_cleanup();
    buf_fini(&r->answer);
    free(r->base);
    free(r);
}

static CURLcode try_once(struct rest *r, const char *method, const char *url, const char *body, long *code)
{
    CURL *c = r->curl;
    buf_clear(&r->answer);
    r->large = false;
    r->retry_after = 0;
    *code = 0;
    http_curl_reset(c, url, CONNECT_SECONDS, r->detail);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(r->seconds * 1000));
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, r->headers);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    if (body) curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, r);
    CURLcode rc = curl_easy_perform(c);
    if (rc == CURLE_OK) curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, code);
    return rc;
}

/* Whether another try may help. */
static bool may_help(CURLcode rc, long code)
{
    switch (rc) {
    case CURLE_OK: return code == 408 || code == 429 || code >= 500;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_URL_MALFORMAT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_WRITE_ERROR:
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_OUT_OF_MEMORY: return false;
    default: return true;
    }
}

static bool sleep_or_cancel(struct rest *r, double seconds)
{
    double until = clock_now() + seconds;
    while (clock_now() < until && !cancelled(r)) nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    return !cancelled(r);
}

/* What the server says of its refusal: Qdrant's {"status":{"error":...}}, Chroma's {"message":...}, or "". */
static void server_says(const struct rest *r, char *out, size_t cap)
{
    json_error_t ignored;
    json_t *j = r->answer.len ? json_loadb(r->answer.data, r->answer.len, 0, &ignored) : NULL;
    const char *text = json_string_value(json_object_get(json_object_get(j, "status"), "error"));
    if (!text) text = json_string_value(json_object_get(j, "message"));
    if (!text) text = json_string_value(json_object_get(j, "error"));
    snprintf(out, cap, "%s%.300s", text ? ": " : "", text ? text : "");
    json_decref(j);
}

static enum status refused(const struct rest *r, long code, struct error *err)
{
    char says[320];
    server_says(r, says, sizeof says);
    if (code == 404) return error_set(err, ERR_NOT_FOUND, "%s answered HTTP 404%s", r->base, says);
    if (code == 401 || code == 403)
        return error_set(err, ERR_NETWORK, "%s wants another key (HTTP %ld%s); set HEARTH_STORE_KEY", r->base, code, says);
    if (code >= 300 && code < 400)
        return error_set(err, ERR_NETWORK, "%s sends us elsewhere (HTTP %ld); name the address itself", r->base, code);
    return error_set(err, ERR_NETWORK, "%s answered HTTP %ld%s", r->base, code, says);
}

static enum status failed(const struct rest *r, CURLcode rc, struct error *err)
{
    if (rc == CURLE_ABORTED_BY_CALLBACK || cancelled(r)) return error_set(err, ERR_CANCELLED, "interrupted");
    if (r->large)
        return error_set(err, ERR_NETWORK, "%s answered with more than %d MiB", r->base, REST_MAX_ANSWER >> 20);
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return error_set(err, ERR_NETWORK, "%s did not answer in %.0f s", r->base, r->seconds);
    return error_set(err, ERR_NETWORK, "%s: %s", r->base, *r->detail ? r->detail : curl_easy_strerror(rc));
}

enum status rest_call(struct rest *r, const char *method, const char *path, bool wants_body, json_t *body,
                      json_t **answer, struct error *err)
{
    char url[MAX_URL], *text = NULL;
    long code = 0;
    CURLcode rc = CURLE_OK;
    if (body) text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(9)); /* a float32 survives 9 digits */
    json_decref(body);
    if (wants_body && !text) return error_set(err, ERR_NOMEM, "out of memory for a request");
    if (snprintf(url, sizeof url, "%s%s", r->base, path) >= (int)sizeof url) {
        free(text);
        return error_set(err, ERR_INVALID, "the store's address is too long");
    }
    double pause = first_pause;
    for (int i = 0; i < r->tries; i++) {
        if (i && !sleep_or_cancel(r, r->retry_after > 0 ? r->retry_after : pause)) break;
        if (i) pause *= 2;
        rc = try_once(r, method, url, text, &code);
        if (!may_help(rc, code)) break;
    }
    free(text);
    if (rc != CURLE_OK || cancelled(r)) return failed(r, rc, err);
    if (code < 200 || code >= 300) return refused(r, code, err);
    if (!answer) return OK;
    json_error_t why;
    *answer = json_loadb(r->answer.data ? r->answer.data : "", r->answer.len, 0, &why);
    return *answer ? OK : error_set(err, ERR_NETWORK, "%s answered with something that is no JSON", r->base);
}
