/* Small answers over HTTP: manifests, tokens, listings. Inside of module store. */
#ifndef HEARTH_STORE_HTTP_TEXT_H
#define HEARTH_STORE_HTTP_TEXT_H

#include <jansson.h>

#include "store/http.h"

struct buf;

enum { HTTP_TEXT_MAX = 8 << 20, HTTP_TEXT_SECONDS = 60 };

/* Runs `rq` (its begin, data and ctx are set here) and appends the answer to `out`, which is
 * initialised by the caller and bounds it. Overloaded servers are asked three times. ERR_LIMIT for a
 * longer answer; else as http_request_run. `a` gets the answer's head. */
enum status http_text(struct http_request *rq, struct buf *out, struct http_answer *a,
                      struct error *err);

/* The same for JSON: an object or array, to be released by the caller. ERR_NETWORK where it is not
 * JSON. `body` may be NULL; else it gets the bytes as they came. */
enum status http_json(struct http_request *rq, struct buf *body, json_t **out,
                      struct http_answer *a, struct error *err);

#endif
