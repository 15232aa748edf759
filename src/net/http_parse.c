#include "net/http_parse.h"

#include <string.h>
#include <strings.h>

enum { MAX_CHUNK_LINE = 256, MAX_TRAILERS = 4096 };

bool http_str_is(struct http_str s, const char *text)
{
    return s.data && s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

bool http_str_is_nocase(struct http_str s, const char *text)
{
    return s.data && s.len == strlen(text) && strncasecmp(s.data, text, s.len) == 0;
}

struct http_str http_head_find(const struct http_head *h, const char *name)
{
    for (size_t i = 0; i < h->n_fields; i++)
        if (http_str_is_nocase(h->fields[i].name, name)) return h->fields[i].value;
    return (struct http_str){0};
}

/* tchar of RFC 9110 5.6.2. */
static bool is_token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_token_char((unsigned char)s[i])) return false;
    return n > 0;
}

/* What a request target may hold: visible ASCII without what never stands unencoded in one. */
static bool is_target(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c <= ' ' || c >= 0x7F || strchr("\"<>\\^`{|}#", c)) return false;
    }
    return n > 0;
}

static bool is_value(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < ' ' && c != '\t') || c == 0x7F) return false;
    }
    return true;
}

struct refusal {
    int *code;
    const char **reason;
};

static enum http_parse wrong(struct refusal r, int code, const char *reason)
{
    *r.code = code;
    *r.reason = reason;
    return HTTP_PARSE_WRONG;
}

/* Cuts scheme and authority off a target in absolute form (RFC 9112 3.2.2); framing holds the
 * authority to the Host header. */
static struct http_str take_authority(struct http_str target, struct http_head *out)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(schemes[i]), end = n;
        if (target.len < n || strncasecmp(target.data, schemes[i], n) != 0) continue;
        while (end < target.len && target.data[end] != '/' && target.data[end] != '?') end++;
        out->authority = (struct http_str){target.data + n, end - n};
        if (end == target.len) return (struct http_str){"/", 1};
        return (struct http_str){target.data + end, target.len - end};
    }
    return target;
}

/* "GET /path?query HTTP/1.1", single spaces; origin form, absolute form or "*". */
static enum http_parse request_line(const char *s, size_t n, struct http_head *out,
                                    struct refusal r)
{
    const char *space = memchr(s, ' ', n);
    if (!space || !is_token(s, (size_t)(space - s)))
        return wrong(r, 400, "the request line does not begin with a method");
    out->method = (struct http_str){s, (size_t)(space - s)};
    const char *target = space + 1, *end = s + n;
    const char *second = memchr(target, ' ', (size_t)(end - target));
    if (!second) return wrong(r, 400, "the request line has no HTTP version");
    size_t n_target = (size_t)(second - target);
    const char *version = second + 1;
    if (end - version != 8 || memcmp(version, "HTTP/", 5) != 0)
        return wrong(r, 400, "the request line's HTTP version is malformed");
    if (version[5] != '1' || version[6] != '.' || (version[7] != '0' && version[7] != '1'))
        return wrong(r, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    out->minor = version[7] - '0';
    struct http_str t = take_authority((struct http_str){target, n_target}, out);
    target = t.data;
    n_target = t.len;
    bool star = n_target == 1 && *target == '*' && http_str_is(out->method, "OPTIONS");
    if (!star && (*target != '/' || !is_target(target, n_target)))
        return wrong(r, 400, "the request target is no path");
    const char *mark = memchr(target, '?', n_target);
    out->path = (struct http_str){target, mark ? (size_t)(mark - target) : n_target};
    out->query = mark ? (struct http_str){mark + 1, (size_t)(target + n_target - mark - 1)}
                      : (struct http_str){"", 0};
    return HTTP_PARSE_DONE;
}

static enum http_parse header_line(const char *s, size_t n, struct http_head *out, struct refusal r)
{
    if (*s == ' ' || *s == '\t') return wrong(r, 400, "a header line is folded");
    const char *colon = memchr(s, ':', n);
    if (!colon || !is_token(s, (size_t)(colon - s)))
        return wrong(r, 400, "a header line has no valid name");
    if (out->n_fields == HTTP_MAX_HEADERS) return wrong(r, 431, "there are too many headers");
    const char *v = colon + 1, *end = s + n;
    while (v < end && (*v == ' ' || *v == '\t')) v++;
    while (end > v && (end[-1] == ' ' || end[-1] == '\t')) end--;
    if (!is_value(v, (size_t)(end - v)))
        return wrong(r, 400, "a header's value holds a control character");
    out->fields[out->n_fields++] =
        (struct http_field){{s, (size_t)(colon - s)}, {v, (size_t)(end - v)}};
    return HTTP_PARSE_DONE;
}

/* "Content_Length": where a program in front, or behind, takes '_' for '-', this is framing. */
static bool is_framing_in_disguise(struct http_str name)
{
    static const char *const names[] = {"content-length", "transfer-encoding", "host"};
    char plain[20] = "";
    if (name.len >= sizeof plain || !memchr(name.data, '_', name.len)) return false;
    for (size_t i = 0; i < name.len; i++) plain[i] = name.data[i] == '_' ? '-' : name.data[i];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(plain, names[i]) == 0) return true;
    return false;
}

static bool parse_length(struct http_str v, uint64_t *out)
{
    if (v.len == 0 || v.len > 18 || (v.len > 1 && v.data[0] == '0')) return false;
    *out = 0;
    for (size_t i = 0; i < v.len; i++) {
        if (v.data[i] < '0' || v.data[i] > '9') return false;
        *out = *out * 10 + (uint64_t)(v.data[i] - '0');
    }
    return true;
}

/* One of a comma-separated list. */
static bool list_has(struct http_str v, const char *word)
{
    for (size_t i = 0; i < v.len;) {
        size_t from = i;
        while (i < v.len && v.data[i] != ',') i++;
        size_t to = i++;
        while (from < to && (v.data[from] == ' ' || v.data[from] == '\t')) from++;
        while (to > from && (v.data[to - 1] == ' ' || v.data[to - 1] == '\t')) to--;
        if (http_str_is_nocase((struct http_str){v.data + from, to - from}, word)) return true;
    }
    return false;
}

/* Methods whose bodies mean nothing, so that some readers do not look for them. */
static bool without_body(struct http_str method)
{
    return http_str_is(method, "GET") || http_str_is(method, "HEAD") ||
           http_str_is(method, "OPTIONS") || http_str_is(method, "TRACE");
}

/* The fields that say where the message ends and whom it is for. */
static enum http_parse framing(struct http_head *h, struct refusal r)
{
    size_t n_host = 0, n_length = 0, n_coding = 0;
    h->keep_alive = h->minor == 1;
    for (size_t i = 0; i < h->n_fields; i++) {
        struct http_str name = h->fields[i].name, v = h->fields[i].value;
        if (http_str_is_nocase(name, "host")) {
            n_host++;
            h->host = v;
        } else if (http_str_is_nocase(name, "content-length")) {
            n_length++;
            if (!parse_length(v, &h->content_length))
                return wrong(r, 400, "Content-Length is not a number");
        } else if (http_str_is_nocase(name, "transfer-encoding")) {
            n_coding++;
            if (!http_str_is_nocase(v, "chunked"))
                return wrong(r, 501, "the only transfer coding known here is chunked");
        } else if (is_framing_in_disguise(name)) {
            return wrong(r, 400, "a header's name could be read as another one");
        } else if (http_str_is_nocase(name, "connection")) {
            if (list_has(v, "close"))
                h->keep_alive = false;
            else if (h->minor == 0 && list_has(v, "keep-alive"))
                h->keep_alive = true;
        } else if (http_str_is_nocase(name, "expect")) {
            if (!http_str_is_nocase(v, "100-continue"))
                return wrong(r, 417, "the only expectation met here is 100-continue");
            h->expect_continue = h->minor == 1;
        }
    }
    h->has_length = n_length > 0;
    h->chunked = n_coding > 0;
    if (n_length > 1 || n_coding > 1 || n_host > 1)
        return wrong(r, 400, "Host, Content-Length or Transfer-Encoding is there twice");
    if (n_length && n_coding)
        return wrong(r, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (n_coding && h->minor == 0) return wrong(r, 400, "HTTP/1.0 knows no Transfer-Encoding");
    if (h->minor == 1 && (!n_host || !h->host.len))
        return wrong(r, 400, "the Host header is missing or empty");
    if (h->authority.data && (h->authority.len != h->host.len ||
                              strncasecmp(h->authority.data, h->host.data, h->host.len) != 0))
        return wrong(r, 400, "the request target names another host than the Host header");
    if (without_body(h->method) && (h->chunked || h->content_length))
        return wrong(r, 400, "a request of this method has no body");
    return HTTP_PARSE_DONE;
}

enum http_parse http_parse_head(const char *data, size_t len, struct http_head *out, size_t *used,
                                int *code, const char **reason)
{
    struct refusal r = {code, reason};
    memset(out, 0, offsetof(struct http_head, fields));
    out->n_fields = 0;
    out->host = out->authority = (struct http_str){0};
    out->has_length = out->chunked = out->keep_alive = out->expect_continue = false;
    out->content_length = 0;
    size_t at = 0;
    /* One empty line in front is tolerated (RFC 9112 2.2). */
    if (len >= 2 && data[0] == '\r' && data[1] == '\n') at = 2;
    for (bool first = true;; first = false) {
        const char *lf = memchr(data + at, '\n', len - at);
        const char *cr = memchr(data + at, '\r', (lf ? (size_t)(lf - data) : len) - at);
        if (memchr(data + at, 0, (lf ? (size_t)(lf - data) : len) - at))
            return wrong(r, 400, "the head holds a NUL");
        if (lf ? cr != lf - 1 : cr && cr != data + len - 1)
            return wrong(r, 400, "a line does not end with CR LF");
        if (!lf) return HTTP_PARSE_MORE;
        size_t n = (size_t)(cr - data) - at;
        const char *line = data + at;
        at = (size_t)(lf - data) + 1;
        if (n == 0) {
            if (first) return wrong(r, 400, "the request line is empty");
            break;
        }
        enum http_parse p = first ? request_line(line, n, out, r) : header_line(line, n, out, r);
        if (p != HTTP_PARSE_DONE) return p;
    }
    *used = at;
    return framing(out, r);
}

/* ---- chunked ----------------------------------------------------------------------------------
 */

enum {
    SIZE,
    EXT_NAME,   /* behind ';' */
    EXT_VALUE,  /* behind '=' */
    EXT_QUOTED, /* in a quoted string */
    EXT_ESCAPED,
    EXT_END, /* behind one */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_NAME,
    TRAILER,
    TRAILER_LF,
    LAST_LF,
    END
};

/* A byte of ";name=token" or ";name=\"text\"" behind a chunk's size, without blanks. n_line counts
 * the bytes of all extensions, `part` those of this name or value. */
static bool extension_byte(struct http_chunks *c, char b)
{
    unsigned char u = (unsigned char)b;
    if (++c->n_line > MAX_CHUNK_LINE) return false;
    switch (c->state) {
    case EXT_QUOTED:
        c->state = b == '\\' ? EXT_ESCAPED : b == '"' ? EXT_END : EXT_QUOTED;
        return (u >= ' ' && u != 0x7F) || b == '\t';
    case EXT_ESCAPED:
        c->state = EXT_QUOTED;
        return (u >= ' ' && u != 0x7F) || b == '\t';
    default:
        break;
    }
    if (c->state != EXT_END && is_token_char(u)) {
        c->part++;
        return true;
    }
    if (c->state == EXT_VALUE && c->part == 0 && b == '"') {
        c->state = EXT_QUOTED;
        return true;
    }
    if (c->state != EXT_END && c->part == 0) return false; /* an empty name or value */
    if (c->state == EXT_NAME && b == '=')
        c->state = EXT_VALUE;
    else if (b == ';')
        c->state = EXT_NAME;
    else if (b == '\r')
        c->state = SIZE_LF;
    else
        return false;
    c->part = 0;
    return true;
}

/* What must not stand behind the body (RFC 9110 6.5.1): a reader that took it for a header would
 * read another request. */
static bool is_forbidden_trailer(const char *name)
{
    static const char *const names[] = {
        "content-length",   "transfer-encoding", "host",  "authorization", "content-type",
        "content-encoding", "content-range",     "te",    "expect",        "cookie",
        "x-api-key",        "connection",        "origin"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0) return true;
    return false;
}

/* A byte of a trailer's name; `part` counts them. */
static const char *trailer_name_byte(struct http_chunks *c, char b)
{
    static const char wrong_one[] = "a trailer is malformed or too long";
    if (b == '\r' && c->part == 0) {
        c->state = LAST_LF;
        return NULL;
    }
    if (++c->n_line > MAX_TRAILERS) return wrong_one;
    if (b == ':') {
        if (c->part < sizeof c->name) c->name[c->part] = 0;
        if (c->part == 0) return wrong_one;
        if (c->part < sizeof c->name && is_forbidden_trailer(c->name))
            return "a trailer may not say what a header should";
        c->state = TRAILER;
        return NULL;
    }
    if (!is_token_char((unsigned char)b)) return wrong_one;
    if (c->part < sizeof c->name) c->name[c->part] = b == '_' ? '-' : b;
    c->part++;
    return NULL;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* One byte outside of chunk data; NULL or why it is wrong. */
static const char *chunk_byte(struct http_chunks *c, char b)
{
    switch (c->state) {
    case SIZE: {
        int v = hex_value(b);
        if (v >= 0) {
            if (c->digits++ == 15) return "a chunk's size is too large";
            c->left = c->left << 4 | (uint64_t)v;
            return NULL;
        }
        if (!c->digits || (b != ';' && b != '\r')) return "a chunk's size is malformed";
        c->state = b == ';' ? EXT_NAME : SIZE_LF;
        c->n_line = c->part = 0;
        return NULL;
    }
    case EXT_NAME:
    case EXT_VALUE:
    case EXT_QUOTED:
    case EXT_ESCAPED:
    case EXT_END:
        return extension_byte(c, b) ? NULL : "a chunk's extension is malformed or too long";
    case SIZE_LF:
        if (b != '\n') return "a chunk's size does not end with CR LF";
        c->digits = 0;
        c->n_line = c->part = 0;
        c->state = c->left ? DATA : TRAILER_NAME;
        return NULL;
    case DATA_CR:
        if (b != '\r') return "a chunk is longer than its size";
        c->state = DATA_LF;
        return NULL;
    case DATA_LF:
        if (b != '\n') return "a chunk does not end with CR LF";
        c->state = SIZE;
        return NULL;
    case TRAILER_NAME:
        return trailer_name_byte(c, b);
    case TRAILER:
        if (b == '\r')
            c->state = TRAILER_LF;
        else if (++c->n_line > MAX_TRAILERS || ((unsigned char)b < ' ' && b != '\t') || b == 0x7F)
            return "a trailer is malformed or too long";
        return NULL;
    case TRAILER_LF:
        if (b != '\n') return "a trailer does not end with CR LF";
        c->state = TRAILER_NAME;
        c->part = 0;
        return NULL;
    default:
        if (b != '\n') return "the last chunk does not end with CR LF";
        c->state = END;
        return NULL;
    }
}

enum http_parse http_chunks_feed(struct http_chunks *c, char *data, size_t len, size_t *body,
                                 size_t *used, const char **reason)
{
    size_t in = 0, out = 0;
    while (in < len && c->state != END) {
        if (c->state != DATA) {
            *reason = chunk_byte(c, data[in++]);
            if (*reason) return HTTP_PARSE_WRONG;
            continue;
        }
        size_t n = len - in;
        if (n > c->left) n = (size_t)c->left;
        memmove(data + out, data + in, n);
        in += n;
        out += n;
        c->left -= n;
        if (c->left == 0) c->state = DATA_CR;
    }
    *body = out;
    *used = in;
    return c->state == END ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}

bool http_percent_decode(const char *src, size_t len, char *dst)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = src[i];
        if (c == '%') {
            int hi = i + 2 < len ? hex_value(src[i + 1]) : -1;
            int lo = i + 2 < len ? hex_value(src[i + 2]) : -1;
            if (hi < 0 || lo < 0) return false;
            c = (char)(hi << 4 | lo);
            if ((unsigned char)c < ' ' || c == 0x7F) return false;
            i += 2;
        }
        dst[n++] = c;
    }
    dst[n] = 0;
    return true;
}
