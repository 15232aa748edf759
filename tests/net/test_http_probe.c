/* The cases of Http11Probe (github.com/MDA2AV/Http11Probe, by their names there), sent to a server
 * over a socket: what may be read in two ways gets no 2xx, and nothing behind it is taken for a
 * request. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/http_server.h"
#include "net/origin.h"

static struct http_server *server;

static bool admit(void *ctx, struct http_request *r)
{
    (void)ctx;
    struct origin_rules rules = {0};
    struct http_str host = http_header(r, "host");
    if (!host.data || origin_host_allowed(&rules, host)) return true;
    http_respond(r, 403, "text/plain", "host", 4);
    return false;
}

static void handle(void *ctx, struct http_request *r)
{
    (void)ctx;
    struct http_str b = http_body(r);
    static const char *const known[] = {"GET", "HEAD", "POST", "OPTIONS", "DELETE"};
    int code = 405;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(http_method(r), known[i]) == 0) code = 200;
    http_respond(r, code, "text/plain", b.data, b.len);
}

static void fail_request(void *ctx, struct http_request *r, int code, const char *reason)
{
    (void)ctx;
    http_respond(r, code, "text/plain", reason, strlen(reason));
}

static int start(void **state)
{
    (void)state;
    struct http_options o = {.n_workers = 1,
                             .admit = admit,
                             .handle = handle,
                             .fail = fail_request,
                             .max_body = 1000000};
    return http_server_start(&o, &server, NULL) != OK;
}

static int stop(void **state)
{
    (void)state;
    http_server_stop(server);
    return 0;
}

/* Sends the bytes, says that there are no more, and reads all that comes. */
static size_t exchange(const char *data, size_t len, char *got, size_t cap)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)http_server_port(server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval wait = {8, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, data + at, len - at, MSG_NOSIGNAL);
        if (n <= 0) break; /* refused already */
        at += (size_t)n;
    }
    size_t n_got = 0;
    /* Half-closing tells the server that the client has gone, so that comes after its answers. */
    for (int part = 0; part < 2; part++) {
        struct timeval quiet = {part ? 8 : 0, part ? 0 : 60000};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof quiet);
        for (ssize_t n; (n = recv(fd, got + n_got, cap - 1 - n_got, 0)) > 0;) n_got += (size_t)n;
        shutdown(fd, SHUT_WR);
    }
    close(fd);
    got[n_got] = 0;
    return n_got;
}

/* Status lines; of those that begin with `first`, or of all where it is 0. */
static int count(const char *got, char first)
{
    static const char line[] = "HTTP/1.1 ";
    int n = 0;
    for (const char *at = got; (at = strstr(at, line)); at++) {
        char digit = at[sizeof line - 1];
        n += first ? digit == first : digit >= '0' && digit <= '9';
    }
    return n;
}

enum want {
    REFUSED, /* no 2xx at all, one answer at most */
    ONE,     /* one 2xx and nothing else */
    TWO,     /* two of them: both requests are meant */
    FIRST,   /* one 2xx; what follows is refused */
};

#define H    "Host: localhost\r\n"
#define POST "POST / HTTP/1.1\r\n" H
#define GET  "GET / HTTP/1.1\r\n" H
#define NEXT GET "\r\n"
#define CH   "Transfer-Encoding: chunked\r\n"
#define CL5  "Content-Length: 5\r\n"
#define WS   "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define R(id, want, s)                                                                             \
    {                                                                                              \
        id, s, sizeof(s) - 1, want                                                                 \
    }

static const struct row {
    const char *id, *data;
    size_t len;
    enum want want;
} rows[] = {
    /* ---- smuggling */
    R("SMUG-CL-TE-BOTH", REFUSED,
      POST "Content-Length: 24\r\n" CH "\r\nD\r\nhello-bananas\r\n0\r\n\r\n"),
    R("SMUG-DUPLICATE-CL", REFUSED, POST CL5 "Content-Length: 10\r\n\r\nhelloworld"),
    R("SMUG-CL-LEADING-ZEROS", REFUSED, POST "Content-Length: 005\r\n\r\nhello"),
    R("SMUG-TE-XCHUNKED", REFUSED, POST "Transfer-Encoding: xchunked\r\n" CL5 "\r\nhello"),
    R("SMUG-TE-TRAILING-SPACE", REFUSED, POST "Transfer-Encoding: chunked \r\n" CL5 "\r\nhello"),
    R("SMUG-TE-SP-BEFORE-COLON", REFUSED, POST "Transfer-Encoding : chunked\r\n" CL5 "\r\nhello"),
    R("SMUG-CL-NEGATIVE", REFUSED, POST "Content-Length: -1\r\n\r\n"),
    R("SMUG-CLTE-PIPELINE", REFUSED, POST "Content-Length: 4\r\n" CH "\r\n0\r\n\r\n"),
    R("SMUG-TECL-PIPELINE", REFUSED, POST CH "Content-Length: 30\r\n\r\n0\r\n\r\n"),
    R("SMUG-CL-TRAILING-SPACE", ONE, POST "Content-Length: 5 \r\n\r\nhello"),
    R("SMUG-TE-DOUBLE-CHUNKED", REFUSED,
      POST "Transfer-Encoding: chunked, chunked\r\n" CL5 "\r\nhello"),
    R("SMUG-CL-EXTRA-LEADING-SP", ONE, POST "Content-Length:  5\r\n\r\nhello"),
    R("SMUG-TE-CASE-MISMATCH", REFUSED, POST "Transfer-Encoding: Chunked\r\n" CL5 "\r\nhello"),
    R("SMUG-CL-COMMA-DIFFERENT", REFUSED, POST "Content-Length: 5, 10\r\n\r\nhello"),
    R("SMUG-TE-NOT-FINAL-CHUNKED", REFUSED,
      POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    R("SMUG-TE-HTTP10", REFUSED, "POST / HTTP/1.0\r\n" H CH CL5 "\r\nhello"),
    R("SMUG-CHUNK-BARE-SEMICOLON", REFUSED, POST CH "\r\n5;\r\nhello\r\n0\r\n\r\n"),
    R("SMUG-CHUNK-EXT-INVALID-TOKEN", REFUSED, POST CH "\r\n5;bad[=x\r\nhello\r\n0\r\n\r\n"),
    R("SMUG-BARE-CR-HEADER-VALUE", REFUSED, POST CL5 "X-Test: val\rue\r\n\r\nhello"),
    R("SMUG-CL-OCTAL", REFUSED, POST "Content-Length: 0o5\r\n\r\nhello"),
    R("SMUG-CHUNK-UNDERSCORE", REFUSED, POST CH "\r\n1_0\r\nhello world!!!!!\r\n0\r\n\r\n"),
    R("SMUG-TE-EMPTY-VALUE", REFUSED, POST "Transfer-Encoding: \r\n" CL5 "\r\nhello"),
    R("SMUG-TE-LEADING-COMMA", REFUSED, POST "Transfer-Encoding: , chunked\r\n" CL5 "\r\nhello"),
    R("SMUG-TE-DUPLICATE-HEADERS", REFUSED,
      POST CH "Transfer-Encoding: identity\r\n" CL5 "\r\nhello"),
    R("SMUG-CHUNK-HEX-PREFIX", REFUSED, POST CH "\r\n0x5\r\nhello\r\n0\r\n\r\n"),
    R("SMUG-CHUNK-SIZE-PLUS", REFUSED, POST CH "\r\n+5\r\nhello\r\n0\r\n\r\n"),
    R("SMUG-CHUNK-SIZE-TRAILING-OWS", REFUSED, POST CH "\r\n5 \r\nhello\r\n0\r\n\r\n"),
    R("SMUG-CL-HEX-PREFIX", REFUSED, POST "Content-Length: 0x5\r\n\r\nhello"),
    R("SMUG-CL-INTERNAL-SPACE", REFUSED, POST "Content-Length: 1 0\r\n\r\nhello12345"),
    R("SMUG-CHUNK-LEADING-SP", REFUSED, POST CH "\r\n 5\r\nhello\r\n0\r\n\r\n"),
    R("SMUG-CHUNK-MISSING-TRAILING-CRLF", REFUSED, POST CH "\r\n5\r\nhello0\r\n\r\n"),
    R("SMUG-CHUNK-EXT-LF", REFUSED, POST CH "\r\n5;\nhello\r\n0\r\n\r\n"),
    R("SMUG-CHUNK-SPILL", REFUSED, POST CH "\r\n5\r\nhello!!\r\n0\r\n\r\n"),
    R("SMUG-CHUNK-LF-TERM", REFUSED, POST CH "\r\n5\r\nhello\n0\r\n\r\n"),
    R("SMUG-CHUNK-EXT-CTRL", REFUSED, POST CH "\r\n5;\0ext\r\nhello\r\n0\r\n\r\n"),
    R("SMUG-CHUNK-EXT-CR", REFUSED, POST CH "\r\n5;a\rX\r\nhello\r\n0\r\n\r\n"),
    R("SMUG-TE-VTAB", REFUSED, POST "Transfer-Encoding: \vchunked\r\n" CL5 "\r\nhello"),
    R("SMUG-TE-FORMFEED", REFUSED, POST "Transfer-Encoding: \fchunked\r\n" CL5 "\r\nhello"),
    R("SMUG-TE-NULL", REFUSED, POST "Transfer-Encoding: chunked\0\r\n" CL5 "\r\nhello"),
    R("SMUG-CHUNK-LF-TRAILER", REFUSED, POST CH "\r\n5\r\nhello\r\n0\r\n\n"),
    R("SMUG-TE-IDENTITY", REFUSED, POST "Transfer-Encoding: identity\r\n" CL5 "\r\nhello"),
    R("SMUG-CHUNK-NEGATIVE", REFUSED, POST CH "\r\n-1\r\nhello\r\n0\r\n\r\n"),
    R("SMUG-TRANSFER_ENCODING", REFUSED, POST "Transfer_Encoding: chunked\r\n" CL5 "\r\nhello"),
    R("SMUG-CL-COMMA-SAME", REFUSED, POST "Content-Length: 5, 5\r\n\r\nhello"),
    R("SMUG-CL-COMMA-TRIPLE", REFUSED, POST "Content-Length: 5, 5, 5\r\n\r\nhello"),
    R("SMUG-CHUNKED-WITH-PARAMS", REFUSED,
      POST "Transfer-Encoding: chunked;ext=val\r\n" CL5 "\r\nhello"),
    R("SMUG-EXPECT-100-CL", ONE, POST CL5 "Expect: 100-continue\r\n\r\nhello"),
    R("SMUG-TRAILER-CL", REFUSED, POST CH "\r\n5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n"),
    R("SMUG-TRAILER-TE", REFUSED,
      POST CH "\r\n5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    R("SMUG-TRAILER-HOST", REFUSED,
      POST CH "\r\n5\r\nhello\r\n0\r\nHost: evil.example.com\r\n\r\n"),
    R("SMUG-TRAILER-AUTH", REFUSED,
      POST CH "\r\n5\r\nhello\r\n0\r\nAuthorization: Bearer evil\r\n\r\n"),
    R("SMUG-TRAILER-CONTENT-TYPE", REFUSED,
      POST CH "\r\n5\r\nhello\r\n0\r\nContent-Type: text/evil\r\n\r\n"),
    R("SMUG-HEAD-CL-BODY", REFUSED, "HEAD / HTTP/1.1\r\n" H CL5 "\r\nhello"),
    R("SMUG-OPTIONS-CL-BODY", REFUSED, "OPTIONS / HTTP/1.1\r\n" H CL5 "\r\nhello"),
    R("SMUG-CL-UNDERSCORE", REFUSED, POST "Content-Length: 1_0\r\n\r\nhelloworld"),
    R("SMUG-CL-NEGATIVE-ZERO", REFUSED, POST "Content-Length: -0\r\n\r\n"),
    R("SMUG-CL-DOUBLE-ZERO", REFUSED, POST "Content-Length: 00\r\n\r\n"),
    R("SMUG-CL-LEADING-ZEROS-OCTAL", REFUSED, POST "Content-Length: 0200\r\n\r\nhello"),
    R("SMUG-TE-OBS-FOLD", REFUSED, POST "Transfer-Encoding:\r\n chunked\r\n" CL5 "\r\nhello"),
    R("SMUG-TE-TRAILING-COMMA", REFUSED, POST "Transfer-Encoding: chunked,\r\n" CL5 "\r\nhello"),
    R("SMUG-TE-TAB-BEFORE-VALUE", REFUSED, POST "Transfer-Encoding:\tchunked\r\n" CL5 "\r\nhello"),
    R("SMUG-ABSOLUTE-URI-HOST-MISMATCH", REFUSED,
      "GET http://other.example.com/ HTTP/1.1\r\n" H "\r\n"),
    R("SMUG-MULTIPLE-HOST-COMMA", REFUSED,
      "GET / HTTP/1.1\r\nHost: localhost, other.example.com\r\n\r\n"),
    R("SMUG-CHUNK-BARE-CR-TERM", REFUSED, POST CH "\r\n5\rhello\r\n0\r\n\r\n"),
    R("SMUG-CLTE-CONN-CLOSE", REFUSED, POST CL5 CH "\r\n0\r\n\r\n" NEXT),
    R("SMUG-TECL-CONN-CLOSE", REFUSED, POST CH CL5 "\r\n0\r\n\r\n" NEXT),
    R("SMUG-CLTE-DESYNC", REFUSED, POST "Content-Length: 6\r\n" CH "\r\n0\r\n\r\nX" NEXT),
    R("SMUG-CLTE-SMUGGLED-GET", REFUSED, POST "Content-Length: 42\r\n" CH "\r\n0\r\n\r\n" NEXT),
    R("SMUG-CLTE-SMUGGLED-GET-CL-PLUS", REFUSED,
      POST "Content-Length: +42\r\n" CH "\r\n0\r\n\r\n" NEXT),
    R("SMUG-CLTE-SMUGGLED-GET-CL-NON-NUMERIC", REFUSED,
      POST "Content-Length: 42x\r\n" CH "\r\n0\r\n\r\n" NEXT),
    R("SMUG-CLTE-SMUGGLED-GET-TE-OBS-FOLD", REFUSED,
      POST "Transfer-Encoding:\r\n chunked\r\nContent-Length: 42\r\n\r\n0\r\n\r\n" NEXT),
    R("SMUG-CLTE-SMUGGLED-HEAD", REFUSED,
      POST "Content-Length: 43\r\n" CH "\r\n0\r\n\r\nHEAD / HTTP/1.1\r\n" H "\r\n"),
    R("SMUG-CLTE-SMUGGLED-GET-TE-TRAILING-SPACE", REFUSED,
      POST "Content-Length: 42\r\nTransfer-Encoding: chunked \r\n\r\n0\r\n\r\n" NEXT),
    R("SMUG-CLTE-SMUGGLED-GET-TE-LEADING-COMMA", REFUSED,
      POST "Content-Length: 42\r\nTransfer-Encoding: , chunked\r\n\r\n0\r\n\r\n" NEXT),
    R("SMUG-CLTE-SMUGGLED-GET-TE-CASE-MISMATCH", REFUSED,
      POST "Content-Length: 42\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n" NEXT),
    R("SMUG-TE-DUPLICATE-HEADERS-SMUGGLED-GET", REFUSED,
      POST CH "Transfer-Encoding: identity\r\nContent-Length: 42\r\n\r\n0\r\n\r\n" NEXT),
    R("SMUG-TECL-SMUGGLED-GET", REFUSED,
      POST CH "Content-Length: 4\r\n\r\n38\r\n" GET "Content-Length: 7\r\n\r\n\r\n0\r\n\r\n"),
    R("SMUG-DUPLICATE-CL-SMUGGLED-GET", REFUSED,
      POST "Content-Length: 4\r\nContent-Length: 41\r\n\r\nPING" NEXT),
    R("SMUG-GET-CL-PREFIX-DESYNC", REFUSED, GET "Content-Length: 33\r\n\r\n" GET "\r\n" NEXT),
    R("SMUG-TECL-DESYNC", REFUSED, POST CH "Content-Length: 30\r\n\r\n0\r\n\r\nX" NEXT),
    R("SMUG-CL0-BODY-POISON", FIRST, POST "Content-Length: 0\r\n\r\nX" NEXT),
    R("SMUG-GET-CL-BODY-DESYNC", REFUSED, GET CL5 "\r\nhello" NEXT),
    R("SMUG-OPTIONS-CL-BODY-DESYNC", REFUSED, "OPTIONS / HTTP/1.1\r\n" H CL5 "\r\nhello" NEXT),
    R("SMUG-EXPECT-100-CL-DESYNC", TWO, POST CL5 "Expect: 100-continue\r\n\r\nhello" NEXT),
    R("SMUG-OPTIONS-TE-OBS-FOLD", REFUSED,
      "OPTIONS / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n" CL5 "\r\nhello" NEXT),
    R("SMUG-CHUNK-INVALID-SIZE-DESYNC", REFUSED, POST CH "\r\n+0\r\n\r\nX" NEXT),
    R("SMUG-PIPELINE-SAFE", TWO, NEXT NEXT),
    /* ---- conformance */
    R("COMP-BASELINE", ONE, NEXT),
    R("RFC9112-2.2-BARE-LF-REQUEST-LINE", REFUSED, "GET / HTTP/1.1\n" H "\r\n"),
    R("RFC9112-2.2-BARE-LF-HEADER", REFUSED,
      "GET / HTTP/1.1\r\nHost: localhost\nX-Test: value\r\n\r\n"),
    R("RFC9112-5.1-OBS-FOLD", REFUSED, GET "X-Test: value\r\n continued\r\n\r\n"),
    R("RFC9110-5.6.2-SP-BEFORE-COLON", REFUSED, GET "X-Test : value\r\n\r\n"),
    R("RFC9112-3-MULTI-SP-REQUEST-LINE", REFUSED, "GET  / HTTP/1.1\r\n" H "\r\n"),
    R("RFC9112-7.1-MISSING-HOST", REFUSED, "GET / HTTP/1.1\r\n\r\n"),
    R("RFC9112-2.3-INVALID-VERSION", REFUSED, "GET / HTTP/9.9\r\n" H "\r\n"),
    R("RFC9112-5-EMPTY-HEADER-NAME", REFUSED, GET ": empty-name\r\n\r\n"),
    R("RFC9112-3-CR-ONLY-LINE-ENDING", REFUSED, "GET / HTTP/1.1\r" H "\r\n"),
    R("RFC9112-3-MISSING-TARGET", REFUSED, "GET HTTP/1.1\r\n" H "\r\n"),
    R("RFC9112-3.2-FRAGMENT-IN-TARGET", REFUSED, "GET /path#frag HTTP/1.1\r\n" H "\r\n"),
    R("RFC9112-2.3-HTTP09-REQUEST", REFUSED, "GET /\r\n"),
    R("RFC9112-5-INVALID-HEADER-NAME", REFUSED, GET "Bad[Name: value\r\n\r\n"),
    R("RFC9112-5-HEADER-NO-COLON", REFUSED, GET "NoColonHere\r\n\r\n"),
    R("RFC9110-5.4-DUPLICATE-HOST", REFUSED, GET "Host: other.example.com\r\n\r\n"),
    R("RFC9112-6.1-CL-NON-NUMERIC", REFUSED, POST "Content-Length: abc\r\n\r\n"),
    R("RFC9112-6.1-CL-PLUS-SIGN", REFUSED, POST "Content-Length: +5\r\n\r\nhello"),
    R("COMP-WHITESPACE-BEFORE-HEADERS", REFUSED, "GET / HTTP/1.1\r\n \r\n" H "\r\n"),
    R("COMP-DUPLICATE-HOST-SAME", REFUSED, GET H "\r\n"),
    R("COMP-HOST-WITH-USERINFO", REFUSED, "GET / HTTP/1.1\r\nHost: user@localhost\r\n\r\n"),
    R("COMP-HOST-WITH-PATH", REFUSED, "GET / HTTP/1.1\r\nHost: localhost/path\r\n\r\n"),
    R("COMP-ASTERISK-WITH-GET", REFUSED, "GET * HTTP/1.1\r\n" H "\r\n"),
    R("COMP-OPTIONS-STAR", ONE, "OPTIONS * HTTP/1.1\r\n" H "\r\n"),
    R("COMP-UNKNOWN-TE-501", REFUSED, POST "Transfer-Encoding: gzip\r\n\r\n"),
    R("COMP-LEADING-CRLF", REFUSED, "\r\n\r\n" NEXT),
    R("COMP-ABSOLUTE-FORM", ONE, "GET http://localhost/ HTTP/1.1\r\n" H "\r\n"),
    R("COMP-METHOD-CASE", REFUSED, "get / HTTP/1.1\r\n" H "\r\n"),
    R("COMP-POST-CL-BODY", ONE, POST CL5 "\r\nhello"),
    R("COMP-POST-CL-ZERO", ONE, POST "Content-Length: 0\r\n\r\n"),
    R("COMP-POST-NO-CL-NO-TE", ONE, POST "\r\n"),
    R("COMP-POST-CL-UNDERSEND", REFUSED, POST "Content-Length: 10\r\n\r\nhello"),
    R("COMP-CHUNKED-BODY", ONE, POST CH "\r\n5\r\nhello\r\n0\r\n\r\n"),
    R("COMP-CHUNKED-MULTI", ONE, POST CH "\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
    R("COMP-CHUNKED-EMPTY", ONE, POST CH "\r\n0\r\n\r\n"),
    R("COMP-CHUNKED-NO-FINAL", REFUSED, POST CH "\r\n5\r\nhello\r\n"),
    R("COMP-UPGRADE-POST", ONE,
      POST "Connection: Upgrade\r\n" WS "Sec-WebSocket-Version: 13\r\n\r\n"),
    R("COMP-UPGRADE-MISSING-CONN", ONE, GET WS "Sec-WebSocket-Version: 13\r\n\r\n"),
    R("COMP-UPGRADE-UNKNOWN", ONE,
      GET "Connection: Upgrade\r\nUpgrade: totally-made-up/1.0\r\n\r\n"),
    R("COMP-METHOD-CONNECT", REFUSED,
      "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"),
    R("COMP-EXPECT-UNKNOWN", REFUSED, GET "Expect: 200-ok\r\n\r\n"),
    R("COMP-GET-WITH-CL-BODY", REFUSED, GET CL5 "\r\nhello"),
    R("COMP-CHUNKED-EXTENSION", ONE,
      POST CH "\r\n5;ext=value\r\nhello\r\n0;a=\"b;\\\"c\";d\r\n\r\n"),
    R("COMP-UPGRADE-INVALID-VER", ONE,
      GET "Connection: Upgrade\r\n" WS "Sec-WebSocket-Version: 99\r\n\r\n"),
    R("COMP-METHOD-TRACE", REFUSED, "TRACE / HTTP/1.1\r\n" H "\r\n"),
    R("COMP-HOST-EMPTY-VALUE", REFUSED, "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
    R("COMP-REQUEST-LINE-TAB", REFUSED, "GET\t/ HTTP/1.1\r\n" H "\r\n"),
    R("COMP-VERSION-MISSING-MINOR", REFUSED, "GET / HTTP/1\r\n" H "\r\n"),
    R("COMP-VERSION-LEADING-ZEROS", REFUSED, "GET / HTTP/01.01\r\n" H "\r\n"),
    R("COMP-VERSION-WHITESPACE", REFUSED, "GET / HTTP/ 1.1\r\n" H "\r\n"),
    R("COMP-CONNECTION-CLOSE", ONE, GET "Connection: close\r\n\r\n" NEXT),
    R("COMP-HTTP10-DEFAULT-CLOSE", ONE, "GET / HTTP/1.0\r\n" H "\r\n" NEXT),
    R("COMP-HTTP10-NO-HOST", ONE, "GET / HTTP/1.0\r\n\r\n"),
    R("COMP-HTTP12-VERSION", REFUSED, "GET / HTTP/1.2\r\n" H "\r\n"),
    R("COMP-TRACE-WITH-BODY", REFUSED, "TRACE / HTTP/1.1\r\n" H CL5 "\r\nhello"),
    R("COMP-CHUNKED-TRAILER-VALID", ONE, POST CH "\r\n5\r\nhello\r\n0\r\nX-Checksum: abc\r\n\r\n"),
    R("COMP-CHUNKED-HEX-UPPERCASE", ONE, POST CH "\r\nA\r\nhelloworld\r\n0\r\n\r\n"),
    R("COMP-RANGE-POST", ONE, POST CL5 "Range: bytes=0-10\r\n\r\nhello"),
    R("COMP-UPGRADE-HTTP10", ONE, "GET / HTTP/1.0\r\n" H "Connection: Upgrade\r\n" WS "\r\n"),
    R("COMP-HEAD-NO-BODY", ONE, "HEAD / HTTP/1.1\r\n" H "\r\n"),
    R("COMP-UNKNOWN-METHOD", REFUSED, "FOOBAR / HTTP/1.1\r\n" H "\r\n"),
    R("COMP-NO-1XX-HTTP10", ONE,
      "POST / HTTP/1.0\r\n" H "Expect: 100-continue\r\n" CL5 "\r\nhello"),
    R("COMP-VERSION-CASE", REFUSED, "GET / http/1.1\r\n" H "\r\n"),
    R("COMP-SPACE-IN-TARGET", REFUSED, "GET /pa th HTTP/1.1\r\n" H "\r\n"),
    R("COMP-RANGE-INVALID", ONE, GET "Range: bytes=abc-xyz\r\n\r\n"),
    R("COMP-ACCEPT-NONSENSE", ONE, GET "Accept: application/x-nonsense\r\n\r\n"),
    /* ---- malformed */
    R("MAL-NUL-IN-URL", REFUSED, "GET /\0test HTTP/1.1\r\n" H "\r\n"),
    R("MAL-CONTROL-CHARS-HEADER", REFUSED,
      GET "X-Test: abc\x07\x08\x0B"
          "def\r\n\r\n"),
    R("MAL-INCOMPLETE-REQUEST", REFUSED, GET "X-Test: value"),
    R("MAL-EMPTY-REQUEST", REFUSED, ""),
    R("MAL-NON-ASCII-HEADER-NAME", REFUSED, GET "X-T\xC3\xABst: value\r\n\r\n"),
    R("MAL-NON-ASCII-URL", REFUSED, "GET /caf\xC3\xA9 HTTP/1.1\r\n" H "\r\n"),
    R("MAL-CL-OVERFLOW", REFUSED, POST "Content-Length: 99999999999999999999\r\n\r\n"),
    R("MAL-WHITESPACE-ONLY-LINE", REFUSED, " \r\n\r\n"),
    R("MAL-NUL-IN-HEADER-VALUE", REFUSED, GET "X-Test: val\0ue\r\n\r\n"),
    R("MAL-CHUNK-SIZE-OVERFLOW", REFUSED, POST CH "\r\nFFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n"),
    R("MAL-H2-PREFACE", REFUSED, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    R("MAL-CL-EMPTY", REFUSED, POST "Content-Length: \r\n\r\n"),
    R("MAL-CL-TAB-BEFORE-VALUE", ONE, POST "Content-Length:\t5\r\n\r\nhello"),
    R("MAL-URL-BACKSLASH", REFUSED, "GET /path\\file HTTP/1.1\r\n" H "\r\n"),
    R("MAL-URL-OVERLONG-UTF8", REFUSED, "GET /\xC0\xAF HTTP/1.1\r\n" H "\r\n"),
    R("MAL-URL-PERCENT-NULL", REFUSED, "GET /path%00.html HTTP/1.1\r\n" H "\r\n"),
    R("MAL-URL-PERCENT-CRLF", REFUSED, "GET /path%0d%0aX-Injected:%20true HTTP/1.1\r\n" H "\r\n"),
    R("MAL-POST-CL-HUGE-NO-BODY", REFUSED, POST "Content-Length: 999999999\r\n\r\n"),
    R("MAL-BINARY-GARBAGE", REFUSED, "\x16\x03\x01\x02\xF3\x8E\n\0\x99\r\n\r\n\xFF\xFE"),
    /* ---- names that look alike */
    R("NORM-UNDERSCORE-CL", REFUSED,
      POST "Content-Length: 11\r\nContent_Length: 99\r\n\r\nhello world"),
    R("NORM-SP-BEFORE-COLON-CL", REFUSED,
      POST "Content-Length: 11\r\nContent-Length : 5\r\n\r\nhello world"),
    R("NORM-TAB-IN-NAME", REFUSED,
      POST "Content-Length: 11\r\nContent\tLength: 99\r\n\r\nhello world"),
    R("NORM-CASE-TE", REFUSED,
      POST "Content-Length: 11\r\nTRANSFER-ENCODING: chunked\r\n\r\nhello world"),
    R("NORM-UNDERSCORE-TE", REFUSED,
      POST "Content-Length: 11\r\nTransfer_Encoding: chunked\r\n\r\nhello world"),
};

static void check(const struct row *row)
{
    static char got[1 << 20];
    exchange(row->data, row->len, got, sizeof got);
    int answers = count(got, 0), good = count(got, '2'), hints = count(got, '1');
    bool right = row->want == REFUSED ? good == 0 && answers <= 1
                 : row->want == ONE   ? good == 1 && answers - hints == 1
                 : row->want == TWO   ? good == 2 && answers - hints == 2
                                      : good == 1 && answers <= 2;
    if (!right || strstr(got, "HTTP/1.1 101")) fail_msg("%s: %s", row->id, got);
}

static void takes_none_of_the_ambiguous_and_all_of_the_plain(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check(&rows[i]);
}

/* A head or a chunk with 100,000 bytes of `fill` in it. */
static void check_long(const char *id, const char *before, const char *fill, const char *after)
{
    size_t n = 100000 / strlen(fill);
    char *text = malloc(strlen(before) + n * strlen(fill) + strlen(after) + 1), *at = text;
    assert_non_null(text);
    at = stpcpy(at, before);
    for (size_t i = 0; i < n; i++) at = stpcpy(at, fill);
    at = stpcpy(at, after);
    struct row row = {id, text, (size_t)(at - text), REFUSED};
    check(&row);
    free(text);
}

static void refuses_the_oversized(void **state)
{
    (void)state;
    check_long("MAL-LONG-URL", "GET /", "A", " HTTP/1.1\r\n" H "\r\n");
    check_long("MAL-LONG-HEADER-VALUE", GET "X-Big: ", "B", "\r\n\r\n");
    check_long("MAL-MANY-HEADERS", GET, "X-H: value\r\n", "\r\n");
    check_long("MAL-LONG-HEADER-NAME", GET, "A", ": val\r\n\r\n");
    check_long("MAL-LONG-METHOD", "", "A", " / HTTP/1.1\r\n" H "\r\n");
    check_long("MAL-CHUNK-EXT-64K", POST CH "\r\n5;ext=", "a", "\r\nhello\r\n0\r\n\r\n");
    check_long("MAL-RANGE-OVERLAPPING", GET "Range: bytes=", "0-,", "\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_none_of_the_ambiguous_and_all_of_the_plain),
        cmocka_unit_test(refuses_the_oversized),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
