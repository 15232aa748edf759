/* Streams of events over HTTP: Server-Sent Events (WHATWG HTML 9.2) and lines of JSON. */
#ifndef HEARTH_NET_SSE_H
#define HEARTH_NET_SSE_H

#include <stddef.h>

#include "base/status.h"
#include "net/http_server.h"

#define SSE_TYPE    "text/event-stream; charset=utf-8"
#define NDJSON_TYPE "application/x-ndjson"

/* One event; `event` may be NULL (a message). `data` may hold line ends. */
enum status sse_write(struct http_request *r, const char *event, const char *data, size_t len);
/* A comment, which clients skip: keeps proxies from closing a quiet stream. */
enum status sse_comment(struct http_request *r, const char *text);
/* One line; `data` holds no line end. */
enum status ndjson_write(struct http_request *r, const char *data, size_t len);

#endif
