#include "store/source_http.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "store/http.h"
#include "store/partial.h"
#include "store/store_int.h"
#include "store/verify.h"

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

/* ---- parts of a file ---------------------------------------------------------------------- */

struct piece {
    struct mend *m;
    struct byte_range want;
    uint64_t at; /* where the next byte goes */
};

static enum status on_piece_begin(void *ctx, const struct http_answer *a, struct error *err)
{
    const struct piece *p = ctx;
    if (a->linked_digest[0] && strcmp(a->linked_digest, p->m->digest) != 0)
        return error_set(err, ERR_INTEGRITY,
                         "the hub publishes another file there now (SHA-256 %s, not %s)",
                         a->linked_digest, p->m->digest);
    if (a->code == 200 && a->length == p->m->bytes && p->at == 0 && p->want.to == p->m->bytes)
        return OK; /* the whole was wanted */
    if (a->code != 206 || !a->has_range)
        return error_set(err, ERR_UNSUPPORTED, "%s sends whole files only", a->host);
    if (a->range_start != p->at || (a->range_total != UINT64_MAX && a->range_total != p->m->bytes))
        return error_set(err, ERR_INTEGRITY, "%s has another file there now", a->host);
    return OK;
}

static enum status on_piece_data(void *ctx, const void *data, size_t len, struct error *err)
{
    struct piece *p = ctx;
    if (len > p->want.to - p->at)
        return error_set(err, ERR_INTEGRITY, "it sends more than was asked for");
    enum status st = file_write_at(p->m->fd, p->m->path, p->at, data, len, err);
    if (st) return st;
    p->at += len;
    p->m->fetched += len;
    return OK;
}

static void on_piece_position(void *ctx, uint64_t *done, uint64_t *total)
{
    const struct mend *m = ((const struct piece *)ctx)->m;
    *done = m->fetched;
    *total = 0;
    for (size_t i = 0; i < m->n; i++) *total += m->ranges[i].to - m->ranges[i].from;
}

static enum status mend_range(const char *url, const char *token, bool allow_http, struct mend *m,
                              struct byte_range want, struct error *err)
{
    struct piece p = {.m = m, .want = want, .at = want.from};
    for (int failures = 0;;) {
        struct http_request rq = {
            .url = url,
            .token = token,
            .allow_http = allow_http,
            .from = p.at,
            .to = want.to,
            .events = m->events,
            .begin = on_piece_begin,
            .data = on_piece_data,
            .position = on_piece_position,
            .ctx = &p,
        };
        struct http_answer a;
        bool again;
        uint64_t before = p.at;
        enum status st = http_request_run(&rq, &a, &again, err);
        if (st == OK && p.at == want.to) return OK;
        if (st == OK) st = error_set(err, ERR_NETWORK, "%s sent less than was asked for", a.host);
        failures = p.at > before ? 1 : failures + 1;
        if (st != ERR_NETWORK || (!again && p.at == before) || failures > RETRIES_FRESH) return st;
    }
}

enum status http_mend(const char *url, const char *token, bool allow_http, struct mend *m,
                      struct error *err)
{
    enum status st = OK;
    for (size_t i = 0; st == OK && i < m->n; i++)
        st = mend_range(url, token, allow_http, m, m->ranges[i], err);
    return st;
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

static enum status url_mend(const json_t *spec, struct mend *m, struct error *err)
{
    return http_mend(url_of(spec), NULL, m->digest_given, m, err);
}

const struct source_type source_url = {
    .name = "url",
    .check = url_check,
    .describe = url_describe,
    .fetch = url_fetch,
    .mend = url_mend,
};
