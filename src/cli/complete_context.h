/* What `hearth complete --project` tells the model of the project. */
#ifndef HEARTH_CLI_COMPLETE_CONTEXT_H
#define HEARTH_CLI_COMPLETE_CONTEXT_H

#include <jansson.h>

#include "assist/complete.h"
#include "index/context_keep.h"

enum { COMPLETE_CONTEXT_ITEMS = 32 };

/* Zeroed: no project, and the calls do nothing. */
struct complete_context {
    char *cache; /* owned */
    struct context_keep *keep;
    double share;   /* of a prompt that other files may have; 0 = 0.4, less in a small one */
    double seconds; /* to look for them, at most; 0 = INDEX_CONTEXT_SECONDS */
    size_t n_ctx;   /* of the session; set by the caller once there is one */
    struct context_item items[COMPLETE_CONTEXT_ITEMS]; /* of the last request; borrow from `keep` */
    size_t n;
    struct context_kept last;
};

/* ERR_NOT_FOUND where the folder is none. An index need not be there. */
enum status complete_context_init(struct complete_context *cc, const char *project, double share,
                                  struct error *err);
void complete_context_fini(struct complete_context *cc);

/* Puts the project's pieces in front of a request whose texts and max_tokens are set. `path`:
 * absolute, or relative to the project; NULL has no context. Borrowed by the request until the next
 * call. */
void complete_context_take(struct complete_context *cc, const char *path,
                           struct complete_request *req);

/* Adds "context" and timings.context_ms to an answer; false without memory. */
bool complete_context_json(const struct complete_context *cc, json_t *answer);

#endif
