#include "store/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "store/http_curl.h"
#include "store/reach.h"
#include "store/store_int.h"

enum {
    MAX_HOPS = 8,
    CONNECT_SECONDS = 7,
    MAX_URL = 8192,
    MAX_IGNORED_BODY = 1 << 20,
    MAX_HEAD = 1 << 18, /* bytes of an answer's head, all lines together */
};

/* One parsed URL's parts, owned by libcurl. */
struct parts {
    char *scheme, *host, *port, *user;
};

static void parts_fini(struct parts *p)
{
    curl_free(p->scheme);
    curl_free(p->host);
    curl_free(p->port);
    curl_free(p->user);
    *p = (struct parts){0};
}

static bool parts_get(CURLU *u, struct parts *p)
{
    *p = (struct parts){0};
    if (curl_url_get(u, CURLUPART_SCHEME, &p->scheme, 0) ||
        curl_url_get(u, CURLUPART_HOST, &p->host, 0) ||
        curl_url_get(u, CURLUPART_PORT, &p->port, CURLU_DEFAULT_PORT)) {
        parts_fini(p);
        return false;
    }
    curl_url_get(u, CURLUPART_USER, &p->user, 0);
    return true;
}

static bool parts_parse(const char *url, struct parts *p)
{
    CURLU *u = curl_url();
    bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK && parts_get(u, p);
    curl_url_cleanup(u);
    return ok;
}

static bool same_origin(const struct parts *a, const struct parts *b)
{
    return strcasecmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
           strcmp(a->port, b->port) == 0;
}

static bool is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

bool http_is_offline(void)
{
    const char *v = getenv("HEARTH_OFFLINE");
    return v && *v && strcmp(v, "0") != 0;
}

static enum status check_parts(const struct parts *p, bool allow_http, struct error *err)
{
    if (p->user)
        return error_set(err, ERR_INVALID, "a URL with a user name or password is refused");
    if (strcasecmp(p->scheme, "https") == 0) return OK;
    if (strcasecmp(p->scheme, "http") != 0)
        return error_set(err, ERR_INVALID, "only https URLs can be fetched, not %.20s:", p->scheme);
    if (allow_http || is_loopback(p->host)) return OK;
    return error_set(err, ERR_INVALID, "plain http to %.200s is refused; use https", p->host);
}

enum status http_url_check(const char *url, bool allow_http, struct error *err)
{
    struct parts p;
    if (strlen(url) > MAX_URL || !parts_parse(url, &p))
        return error_set(err, ERR_INVALID, "'%.200s' is not an https URL", url);
    enum status st = check_parts(&p, allow_http, err);
    parts_fini(&p);
    return st;
}

bool http_url_is_loopback(const char *url)
{
    struct parts p;
    if (!parts_parse(url, &p)) return false;
    bool yes = is_loopback(p.host);
    parts_fini(&p);
    return yes;
}

void http_url_host(const char *url, char *dst, size_t cap)
{
    struct parts p;
    dst[0] = 0;
    if (!parts_parse(url, &p)) return;
    snprintf(dst, cap, "%s", p.host);
    parts_fini(&p);
}

long http_stall_seconds(void)
{
    const char *v = getenv("HEARTH_STALL_SECONDS");
    long n = v ? strtol(v, NULL, 10) : 0;
    return n >= 1 && n <= 3600 ? n : 30;
}

uint64_t http_rate_limit(void)
{
    const char *v = getenv("HEARTH_LIMIT_RATE");
    char *end;
    if (!v || *v < '0' || *v > '9') return 0;
    uint64_t n = strtoull(v, &end, 10), unit = 1;
    if (*end == 'k' || *end == 'K') unit = 1000;
    if (*end == 'm' || *end == 'M') unit = 1000000;
    if (*end == 'g' || *end == 'G') unit = 1000000000;
    return n > INT64_MAX / unit ? INT64_MAX : n * unit;
}

bool http_same_origin(const char *a, const char *b)
{
    struct parts pa, pb;
    if (!parts_parse(a, &pa)) return false;
    bool same = parts_parse(b, &pb) && same_origin(&pa, &pb);
    parts_fini(&pa);
    parts_fini(&pb);
    return same;
}

/* ---- one hop ------------------------------------------------------------------------------ */

struct hop {
    const struct http_request *rq;
    struct http_answer *answer;
    bool origin;      /* this hop asks the origin itself */
    bool begun;       /* rq->begin was called */
    uint64_t ignored; /* bytes of a body that nobody wants */
    double moved_at;  /* when a byte last came, or the hop began */
    curl_off_t moved; /* bytes until then */
    bool stalled;
    size_t head;          /* bytes of the answer's head so far */
    enum reach *home;     /* of the origin's address; shared by all hops */
    bool away;            /* this hop asks another host than the origin's */
    bool unreachable;     /* the address was refused */
    char location[MAX_URL];
    enum status failed; /* by a callback; err is filled then */
    struct error *err;
};

static bool header_value(const char *line, size_t len, const char *name, char *dst, size_t cap)
{
    size_t n = strlen(name);
    if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':') return false;
    const char *v = line + n + 1, *end = line + len;
    while (v < end && (*v == ' ' || *v == '\t')) v++;
    while (end > v && strchr("\r\n \t", end[-1])) end--;
    if ((size_t)(end - v) >= cap) return false;
    memcpy(dst, v, (size_t)(end - v));
    dst[end - v] = 0;
    return true;
}

static bool parse_count(const char *s, uint64_t *out)
{
    uint64_t v = 0;
    if (*s < '0' || *s > '9') return false;
    for (; *s >= '0' && *s <= '9'; s++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s - '0', &v))
            return false;
    *out = v;
    return *s == 0;
}

/* "bytes 100-199/200", or with a star for the total. */
static void parse_range(const char *v, struct http_answer *a)
{
    char first[24], total[24];
    if (strncasecmp(v, "bytes ", 6) != 0) return;
    if (sscanf(v + 6, "%23[0-9]-%*[0-9]/%23[0-9*]", first, total) != 2) return;
    a->range_total = UINT64_MAX;
    a->has_range = parse_count(first, &a->range_start) &&
                   (strcmp(total, "*") == 0 || parse_count(total, &a->range_total));
}

/* The hub quotes the digest; anything that is not a SHA-256 (a Git id, say) is no digest. */
static void parse_linked_etag(const char *v, struct http_answer *a)
{
    size_t len = strlen(v);
    if (len < 2 || v[0] != '"' || v[len - 1] != '"' || len - 2 != 64) return;
    char hex[65];
    memcpy(hex, v + 1, 64);
    hex[64] = 0;
    if (store_digest_valid(hex)) memcpy(a->linked_digest, hex, sizeof hex);
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct hop *h = ctx;
    struct http_answer *a = h->answer;
    size_t len = size * count;
    char v[MAX_URL];
    h->head += len;
    if (h->head > MAX_HEAD) {
        h->failed = error_set(h->err, ERR_NETWORK, "%s sends an endless head", a->host);
        return 0;
    }
    if (len >= 5 && strncmp(line, "HTTP/", 5) == 0) { /* a new answer, perhaps after a 1xx one */
        a->code = 0;
        a->length = UINT64_MAX;
        a->has_range = false;
        a->etag[0] = h->location[0] = a->challenge[0] = 0;
        const char *space = memchr(line, ' ', len);
        if (space) a->code = strtol(space + 1, NULL, 10);
    } else if (header_value(line, len, "content-length", v, sizeof v)) {
        if (!parse_count(v, &a->length)) a->length = UINT64_MAX;
    } else if (header_value(line, len, "content-range", v, sizeof v)) {
        parse_range(v, a);
    } else if (header_value(line, len, "location", v, sizeof v)) {
        memcpy(h->location, v, strlen(v) + 1);
    } else if (header_value(line, len, "etag", v, sizeof v)) {
        if (strlen(v) < sizeof a->etag) memcpy(a->etag, v, strlen(v) + 1);
    } else if (h->origin && header_value(line, len, "x-linked-etag", v, sizeof v)) {
        parse_linked_etag(v, a);
    } else if (h->origin && header_value(line, len, "x-linked-size", v, sizeof v)) {
        if (!parse_count(v, &a->linked_size)) a->linked_size = 0;
    } else if (h->origin && header_value(line, len, "www-authenticate", v, sizeof v)) {
        if (strlen(v) < sizeof a->challenge) memcpy(a->challenge, v, strlen(v) + 1);
    }
    return len;
}

static bool begin_body(struct hop *h)
{
    if (h->begun || !h->rq->begin) return true;
    h->begun = true;
    h->failed = h->rq->begin(h->rq->ctx, h->answer, h->err);
    return h->failed == OK;
}

static size_t on_data(char *data, size_t size, size_t count, void *ctx)
{
    struct hop *h = ctx;
    size_t len = size * count;
    long code = h->answer->code;
    if (code != 200 && code != 206) {
        h->ignored += len;
        return h->ignored <= MAX_IGNORED_BODY ? len : 0;
    }
    if (!begin_body(h)) return 0;
    if (h->rq->data) h->failed = h->rq->data(h->rq->ctx, data, len, h->err);
    return h->failed ? 0 : len;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
    (void)dt, (void)ut, (void)un;
    struct hop *h = ctx;
    uint64_t done = 0, total = 0;
    double now = clock_now();
    if (dn != h->moved) {
        h->moved = dn;
        h->moved_at = now;
    } else if (now - h->moved_at > (double)http_stall_seconds()) {
        h->stalled = true;
        return 1;
    }
    if (h->rq->position) h->rq->position(h->rq->ctx, &done, &total);
    if (store_progress(h->rq->events, STORE_DOWNLOADING, done, total)) return 0;
    h->failed = error_set(h->err, ERR_CANCELLED, "interrupted");
    return 1;
}

/* The last word on where a redirect leads: a name may stand for any address. */
static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
    (void)purpose;
    struct hop *h = ctx;
    enum reach reach = reach_of_address(&to->addr);
    if (!h->away)
        *h->home = reach;
    else if (!reach_allowed(*h->home, reach) && !reach_by_proxy()) {
        h->unreachable = true;
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static const char *token_name(const struct http_request *rq)
{
    return rq->token_from ? rq->token_from : "HF_TOKEN";
}

static enum status add_header(struct curl_slist **list, const char *name, const char *value,
                              struct error *err)
{
    char line[4200];
    if (snprintf(line, sizeof line, "%s: %s", name, value) >= (int)sizeof line)
        return error_set(err, ERR_INVALID, "the header %s is too long", name);
    struct curl_slist *grown = curl_slist_append(*list, line);
    if (!grown) return error_set(err, ERR_NOMEM, "out of memory");
    *list = grown;
    return OK;
}

static enum status set_headers(const struct http_request *rq, const struct http_answer *a,
                               bool origin, struct curl_slist **headers, struct error *err)
{
    enum status st = OK;
    *headers = NULL;
    if (rq->token && origin) {
        char value[4100];
        /* A line break in a token would add headers of its own. */
        for (const char *t = rq->token; *t; t++)
            if (*t <= ' ' || *t >= 0x7f)
                return error_set(err, ERR_INVALID, "%s is no token", token_name(rq));
        if (snprintf(value, sizeof value, "Bearer %s", rq->token) >= (int)sizeof value)
            return error_set(err, ERR_INVALID, "%s is too long", token_name(rq));
        st = add_header(headers, "Authorization", value, err);
    }
    if (st == OK && rq->from && rq->if_range && strcmp(rq->if_range_host, a->host) == 0)
        st = add_header(headers, "If-Range", rq->if_range, err);
    if (st == OK && rq->accept) st = add_header(headers, "Accept", rq->accept, err);
    return st;
}

static enum status network_error(CURLcode rc, const char *detail, const struct http_answer *a,
                                 bool *again, struct error *err)
{
    const char *host = a->host;
    *again = a->code != 0;
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return error_set(err, ERR_NETWORK, "cannot find host %s", host);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return error_set(err, ERR_NETWORK, "cannot find the proxy that the environment names");
    case CURLE_COULDNT_CONNECT:
        return error_set(err, ERR_NETWORK, "cannot connect to %s (%s)", host,
                         *detail ? detail : curl_easy_strerror(rc));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        *again = false;
        return error_set(err, ERR_NETWORK, "the certificate of %s is not trusted (%s)", host,
                         *detail ? detail : curl_easy_strerror(rc));
    case CURLE_OPERATION_TIMEDOUT:
        if (a->code == 0) return error_set(err, ERR_NETWORK, "%s does not answer", host);
        return error_set(err, ERR_NETWORK, "%s sent nothing for %ld s", host, http_stall_seconds());
    case CURLE_PARTIAL_FILE:
        return error_set(err, ERR_NETWORK, "%s cut the connection", host);
    default:
        return error_set(err, ERR_NETWORK, "%s: %s", host,
                         *detail ? detail : curl_easy_strerror(rc));
    }
}

static enum status code_error(const struct http_request *rq, const struct http_answer *a,
                              bool *again, struct error *err)
{
    long code = a->code;
    *again = code == 408 || code == 429 || code >= 500;
    if (code == 404 || code == 410)
        return error_set(err, ERR_NOT_FOUND, "%s has no such file (HTTP %ld)", a->host, code);
    if (code == 401 || code == 403)
        return error_set(err, ERR_NETWORK, "%s wants permission (HTTP %ld)%s", a->host, code,
                         rq->token_from && rq->token ? "; the credential was not accepted"
                         : rq->token_from            ? "; it needs an account (HEARTH_REGISTRY_AUTH)"
                         : rq->token                 ? "; HF_TOKEN was not accepted"
                                     : "; for a gated model set HF_TOKEN to your access token");
    if (code == 429) return error_set(err, ERR_NETWORK, "%s asks to slow down (HTTP 429)", a->host);
    return error_set(err, ERR_NETWORK, "%s answered HTTP %ld", a->host, code);
}

static enum status run_hop(CURL *c, const char *url, struct hop *h, bool *again)
{
    const struct http_request *rq = h->rq;
    char detail[CURL_ERROR_SIZE], range[48];
    struct curl_slist *headers = NULL;
    enum status st = set_headers(rq, h->answer, h->origin, &headers, h->err);
    if (st) {
        curl_slist_free_all(headers);
        return st;
    }
    http_curl_reset(c, url, CONNECT_SECONDS, detail);
    curl_easy_setopt(c, CURLOPT_NOBODY, rq->head ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 256L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, http_stall_seconds());
    curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 262144L);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, h);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, h);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, h);
    uint64_t rate = http_rate_limit();
    if (rate) curl_easy_setopt(c, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)rate);
    if (rq->seconds) curl_easy_setopt(c, CURLOPT_TIMEOUT, rq->seconds);
    if (rq->login && h->origin) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(c, CURLOPT_USERPWD, rq->login);
    }
    if ((rq->from || rq->to) && !rq->head) {
        int n = snprintf(range, sizeof range, "%llu-", (unsigned long long)rq->from);
        if (rq->to)
            snprintf(range + n, sizeof range - (size_t)n, "%llu", (unsigned long long)rq->to - 1);
        curl_easy_setopt(c, CURLOPT_RANGE, range);
    }
    h->moved_at = clock_now();
    CURLcode rc = curl_easy_perform(c);
    /* libcurl's own limit looks at a mean over seconds past; both end the same way. */
    if (h->stalled) rc = CURLE_OPERATION_TIMEDOUT;
    curl_slist_free_all(headers);
    if (h->failed) {
        *again = false;
        return h->failed;
    }
    if (h->unreachable) {
        *again = false;
        return error_set(h->err, ERR_NETWORK,
                         "a redirect was not followed: %s is an address of this machine or its "
                         "network",
                         h->answer->host);
    }
    bool redirect = h->answer->code >= 300 && h->answer->code < 400 && h->location[0];
    if (rc != CURLE_OK && !(rc == CURLE_WRITE_ERROR && redirect))
        return network_error(rc, detail, h->answer, again, h->err);
    if (redirect) return OK;
    if (h->answer->code != 200 && h->answer->code != 206)
        return code_error(rq, h->answer, again, h->err);
    return begin_body(h) ? OK : h->failed; /* an empty body calls no on_data */
}

/* ---- the walk ----------------------------------------------------------------------------- */

/* Moves `u` to the redirect's target; *leave where a HEAD need not follow it. */
static enum status next_hop(const struct http_request *rq, CURLU *u, const struct parts *origin,
                            const struct hop *h, bool *at_origin, bool *away, bool *leave,
                            struct error *err)
{
    struct parts to = {0};
    if (curl_url_set(u, CURLUPART_URL, h->location, 0) != CURLUE_OK || !parts_get(u, &to))
        return error_set(err, ERR_NETWORK, "%s redirects to something that is no URL",
                         origin->host);
    *at_origin = same_origin(origin, &to);
    *away = strcasecmp(origin->host, to.host) != 0;
    *leave = rq->head && !*at_origin;
    struct error why = {0};
    /* A walk that began encrypted stays so. */
    bool allow_http = rq->allow_http && strcasecmp(origin->scheme, "http") == 0;
    enum status st = check_parts(&to, allow_http, &why);
    if (st == OK && http_is_offline() && !is_loopback(to.host))
        st = error_set(&why, ERR_INVALID, "HEARTH_OFFLINE is set");
    if (st == OK && *away && !reach_allowed(*h->home, reach_of_host(to.host)))
        st = error_set(&why, ERR_INVALID, "it points at this machine or its network (%.200s)",
                       to.host);
    if (st && !*leave)
        st = error_set(err, ERR_NETWORK, "a redirect of %s was not followed: %s", origin->host,
                       why.msg);
    parts_fini(&to);
    return *leave ? OK : st;
}

static enum status walk(const struct http_request *rq, CURL *c, CURLU *u, struct http_answer *out,
                        bool *again, struct error *err)
{
    struct parts origin = {0};
    struct hop *h = calloc(1, sizeof *h);
    if (!h) return error_set(err, ERR_NOMEM, "out of memory");
    if (!parts_get(u, &origin)) {
        free(h);
        return error_set(err, ERR_INVALID, "'%.200s' is not a URL", rq->url);
    }
    bool at_origin = true, away = false;
    enum reach home = reach_of_host(origin.host);
    enum status st = OK;
    for (int hop = 0; st == OK; hop++) {
        char *url = NULL, *host = NULL;
        if (curl_url_get(u, CURLUPART_URL, &url, 0) || curl_url_get(u, CURLUPART_HOST, &host, 0)) {
            curl_free(url);
            st = error_set(err, ERR_NOMEM, "out of memory");
            break;
        }
        *h = (struct hop){.rq = rq, .answer = out, .origin = at_origin, .away = away,
                          .home = &home, .err = err};
        out->code = 0;
        snprintf(out->host, sizeof out->host, "%s", host);
        st = run_hop(c, url, h, again);
        curl_free(url);
        curl_free(host);
        if (st || out->code < 300 || out->code >= 400) break;
        bool leave = false;
        if (hop >= MAX_HOPS)
            st = error_set(err, ERR_NETWORK, "%s redirects too often", origin.host);
        else
            st = next_hop(rq, u, &origin, h, &at_origin, &away, &leave, err);
        if (leave) break;
    }
    parts_fini(&origin);
    free(h);
    return st;
}

enum status http_request_run(const struct http_request *rq, struct http_answer *out, bool *again,
                             struct error *err)
{
    *out = (struct http_answer){.length = UINT64_MAX};
    *again = false;
    enum status st = http_url_check(rq->url, rq->allow_http, err);
    if (st) return st;
    if (http_is_offline() && !http_url_is_loopback(rq->url))
        return error_set(err, ERR_NETWORK,
                         "HEARTH_OFFLINE is set; unset it to pull, or use a copy: --from FILE");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return error_set(err, ERR_NOMEM, "cannot start libcurl");
    CURL *c = curl_easy_init();
    CURLU *u = curl_url();
    if (c && u && curl_url_set(u, CURLUPART_URL, rq->url, 0) == CURLUE_OK)
        st = walk(rq, c, u, out, again, err);
    else
        st = error_set(err, ERR_NOMEM, "cannot start a request");
    curl_url_cleanup(u);
    curl_easy_cleanup(c);
    curl_global_cleanup();
    return st;
}
