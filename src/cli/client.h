/* A client of a running `hearth serve`: what `ps`, `stop` and `run` ask it. */
#ifndef HEARTH_CLI_CLIENT_H
#define HEARTH_CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"

struct client;

#define CLIENT_OPTION(type)                                                                        \
    {                                                                                              \
        "server", 0, OPTION_STRING, "URL",                                                         \
            "A running server (default: HEARTH_HOST, or this machine's port 11434)",               \
            offsetof(type, server)                                                                 \
    }

/* `address` is "URL", "HOST:PORT" or "HOST"; NULL = $HEARTH_HOST, else this machine, at
 * $HEARTH_SERVE_PORT or the usual port. The API key is $HEARTH_API_KEY, which goes over https or to
 * this machine only: ERR_INVALID otherwise. Nothing is asked yet. */
enum status client_open(const char *address, struct client **out, struct error *err);
void client_close(struct client *c); /* NULL is fine */
const char *client_url(const struct client *c);
/* Whether the address was given, by option or environment. */
bool client_is_named(const struct client *c);

/* One request and its whole answer, an owned object. `body` is stolen; NULL: GET. ERR_NETWORK where
 * no server answers; ERR_NOT_FOUND, ERR_INVALID and so on as the server's status says, with its
 * words. */
enum status client_ask(struct client *c, const char *path, json_t *body, json_t **out,
                       struct error *err);
/* The same for an answer of one JSON object a line. on_line: an error ends the request and is
 * returned. *cancel != 0 (may be NULL) ends it within a tenth of a second: ERR_CANCELLED. */
enum status client_stream(struct client *c, const char *path, json_t *body,
                          const volatile int *cancel,
                          enum status (*on_line)(void *ctx, const json_t *line, struct error *err),
                          void *ctx, struct error *err);

/* Whether a Hearth answers there that can be used with the key at hand, without waiting for long.
 */
bool client_finds_hearth(struct client *c);

#endif
