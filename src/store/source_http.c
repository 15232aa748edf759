#include "store/source_http.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/http.h"
#include "store/partial.h"
#include "store/store_int.h"

enum {
    RETRIES_FRESH = 2,         /* before a byte came: the next source may be better */
    RETRIES_UNDER_WAY = 5,     /* after that: a flaky line */
    ENOUGH_PROGRESS = 1 << 16, /* bytes that make an attempt count as one that worked */
};

struct download {
    struct fetch *f;
    uint64_t asked_from;
    bool restart; /* what is here belongs to another file: drop it and ask anew */
};

static bool strong_etag(const char *etag)
{
    return etag[0] == '"';
}

static enum status on_begin(void *ctx, const struct http_answer *a, struct error *err)
{
    struct download *d = ctx;
    struct partial *p = d->f->part;
    enum status st = OK;
    if (a->linked_digest[0] && strcmp(a->linked_digest, p->digest) != 0)
        return error_set(err, ERR_INTEGRITY,
                         "the hub publishes another file there now (SHA-256 %s, not %s)",
                         a->linked_digest, p->digest);
    if (a->code == 200) {
        if (p->len > 0) st = partial_truncate(p, 0, err);
        if (st == OK && a->length != UINT64_MAX) st = partial_expect(p, a->length, err);
    } else {
        bool other = p->etag[0] && strong_etag(a->etag) && strcmp(p->host, a->host) == 0 &&
                     strcmp(p->etag, a->etag) != 0;
        if (!a->has_range || a->range_start != p->len || other) {
            d->restart = true;
            return error_set(err, ERR_NETWORK, "%s offers another file than before", a->host);
        }
        if (a->range_total != UINT64_MAX) st = partial_expect(p, a->range_total, err);
    }
    if (st == OK) partial_note(p, a->host, strong_etag(a->etag) ? a->etag : "");
    return st;
}

static enum status on_data(void *ctx, const void *data, size_t len, struct error *err)
{
    struct download *d = ctx;
    return partial_write(d->f->part, data, len, err);
}

static void on_position(void *ctx, uint64_t *done, uint64_t *total)
{
    const struct download *d = ctx;
    *done = d->f->part->len;
    *total = d->f->part->expected;
}

static enum status pause_between(double seconds, struct fetch *f, struct error *err)
{
    for (double waited = 0; waited < seconds; waited += 0.1) {
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        if (!store_progress(f->events, STORE_DOWNLOADING, f->part->len, f->part->expected))
            return error_set(err, ERR_CANCELLED, "interrupted");
    }
    return OK;
}

static enum status attempt(const char *url, const char *token, bool allow_http, struct fetch *f,
                           bool *again, struct error *err)
{
    struct partial *p = f->part;
    struct download d = {.f = f, .asked_from = p->len};
    struct http_request rq = {
        .url = url,
        .token = token,
        .allow_http = allow_http,
        .from = p->len,
        .if_range = p->etag[0] ? p->etag : NULL,
        .if_range_host = p->host,
        .events = f->events,
        .begin = on_begin,
        .data = on_data,
        .position = on_position,
        .ctx = &d,
    };
    struct http_answer a;
    enum status st = http_request_run(&rq, &a, again, err);
    if (st == ERR_NETWORK && p->len > 0 && (d.restart || a.code == 416)) {
        *again = true;
        partial_note(p, "", "");
        struct error cut;
        if (partial_truncate(p, 0, &cut) != OK) return error_set(err, cut.code, "%s", cut.msg);
    }
    return st;
}

enum status http_download(const char *url, const char *token, bool allow_http, struct fetch *f,
                          struct error *err)
{
    struct partial *p = f->part;
    int failures = 0;
    bool flowed = false; /* some bytes came from here */
    for (;;) {
        if (p->expected && p->len == p->expected) return OK;
        uint64_t before = p->len;
        bool again;
        enum status st = attempt(url, token, allow_http, f, &again, err);
        if (st != ERR_NETWORK) return st;
        if (p->len > before) flowed = true;
        if (p->len > before && p->len - before >= ENOUGH_PROGRESS) failures = 0;
        failures++;
        if (!flowed && !again) return st;
        if (failures > (flowed ? RETRIES_UNDER_WAY : RETRIES_FRESH)) return st;
        store_notice(f->events, "%s; trying again", err ? err->msg : "the transfer failed");
        st = pause_between(0.25 * (1 << failures), f, err);
        if (st) return st;
    }
}

/* ---- a plain URL -------------------------------------------------------------------------- */

static const char *url_of(const json_t *spec)
{
    return json_string_value(json_object_get(spec, "url"));
}

static enum status url_check(const json_t *spec, const char *digest, struct error *err)
{
    const char *url = url_of(spec);
    if (!url) return error_set(err, ERR_FORMAT, "\"url\" is missing");
    return http_url_check(url, digest != NULL, err);
}

static void url_describe(const json_t *spec, char *dst, size_t cap)
{
    char host[256];
    http_url_host(url_of(spec), host, sizeof host);
    snprintf(dst, cap, "%s", host);
}

static enum status url_fetch(const json_t *spec, struct fetch *f, struct error *err)
{
    /* Whoever gave the digest needs no encryption to know that the file is the right one. */
    return http_download(url_of(spec), NULL, f->digest_given, f, err);
}

const struct source_type source_url = {
    .name = "url",
    .check = url_check,
    .describe = url_describe,
    .fetch = url_fetch,
};
