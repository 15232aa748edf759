/* HTTP/1.1 messages as bytes: a strict reader of request heads and of chunked bodies.
 *
 * Where RFC 9112 lets a recipient be lenient, or two recipients could read a message differently
 * (request smuggling), the message is refused: bare CR or LF, folded lines, blanks before a colon,
 * two lengths, a length beside a coding, any coding but "chunked", numbers with leading zeros, a
 * target that names another host, bodies where none belongs, framing among trailers, NULs. Pure
 * functions over memory; no allocation, no I/O. */
#ifndef HEARTH_NET_HTTP_PARSE_H
#define HEARTH_NET_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_MAX_HEADERS = 100 };

/* Bytes of the buffer that was parsed, not NUL-terminated. */
struct http_str {
    const char *data;
    size_t len;
};

struct http_field {
    struct http_str name, value;
};

struct http_head {
    struct http_str method;
    struct http_str path;  /* of the target, still percent-encoded; "*" for OPTIONS * */
    struct http_str query; /* behind '?', else empty */
    int minor;             /* of HTTP/1.x */
    struct http_field fields[HTTP_MAX_HEADERS];
    size_t n_fields;
    struct http_str authority; /* of a target in absolute form: the same as host; else data NULL */
    struct http_str host;      /* the Host header; data NULL in HTTP/1.0 without one */
    bool has_length;           /* Content-Length is there */
    uint64_t content_length;   /* 0 where it is not */
    bool chunked;
    bool keep_alive;
    bool expect_continue;
};

enum http_parse {
    HTTP_PARSE_MORE, /* the buffer holds no whole head yet */
    HTTP_PARSE_DONE,
    HTTP_PARSE_WRONG, /* refuse with *code and close: what follows cannot be trusted */
};

/* Reads a head from the buffer's start; *used is its length with the empty line. On WRONG *code is
 * the status to answer with (400, 431, 501, 505) and *reason a constant sentence. */
enum http_parse http_parse_head(const char *data, size_t len, struct http_head *out, size_t *used,
                                int *code, const char **reason);

/* The value of a field, names compared without case; data NULL where there is none. */
struct http_str http_head_find(const struct http_head *h, const char *name);

bool http_str_is(struct http_str s, const char *text); /* exactly */
bool http_str_is_nocase(struct http_str s, const char *text);

/* Decoder of chunked bodies. Zero-initialise. */
struct http_chunks {
    int state;
    uint64_t left; /* bytes of the chunk */
    size_t n_line; /* of a size line's extensions, or of the trailers */
    size_t part;   /* of a name or value among them */
    char name[24]; /* of a trailer */
    unsigned digits;
};

/* Decodes data[0..len) in place: the body's bytes move to the front, *body counts them, *used how
 * much input they took. DONE at the end of the last chunk's trailers. */
enum http_parse http_chunks_feed(struct http_chunks *c, char *data, size_t len, size_t *body,
                                 size_t *used, const char **reason);

/* Percent-decodes [src, src+len) into dst (len + 1 bytes are enough), NUL-terminated; '+' stays.
 * False for a broken escape, and for an encoded NUL or control character. */
bool http_percent_decode(const char *src, size_t len, char *dst);

#endif
