/* JSON over HTTP to one server that the user named: every answer bounded in time and size, tries repeated
 * where that may help. Inside of module remote. */
#ifndef HEARTH_REMOTE_REST_H
#define HEARTH_REMOTE_REST_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"

enum { REST_MAX_ANSWER = 2 << 20 }; /* bytes; what Hearth asks for stays far below */

struct rest;

struct rest_options {
    const char *base;       /* "http://host:port", borrowed during the call */
    const char *key_header; /* the header that carries the key */
    const char *key;        /* NULL: none. ERR_INVALID with characters that no header may have */
    double seconds;         /* of one try, the whole answer included */
    int tries;              /* after a cut, silence, 408, 429 and 5xx, each after twice the pause of the last;
                             * a Retry-After of at most 10 s is kept */
    const volatile int *cancel; /* nonzero: ERR_CANCELLED within a second; may be NULL */
};

/* Connects to nothing yet. */
enum status rest_open(const struct rest_options *o, struct rest **out, struct error *err);
void rest_close(struct rest *r); /* NULL is fine */

/* One request; `body` is taken (NULL: none; a failed allocation of it, where `wants_body`, is ERR_NOMEM).
 * *answer, owned by the caller, is the JSON of a 2xx; may be NULL where nobody wants it. A 404 is
 * ERR_NOT_FOUND, other codes, no JSON, and what is larger than REST_MAX_ANSWER are ERR_NETWORK; the message
 * names the server and quotes what it says. Redirects are not followed. */
enum status rest_call(struct rest *r, const char *method, const char *path, bool wants_body, json_t *body,
                      json_t **answer, struct error *err);

#endif
