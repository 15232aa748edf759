/* The APIs that clients speak: OpenAI's, Ollama's, llama.cpp's and Anthropic's, over one pool of
 * models. Each family of endpoints is a file that exports its routes; routes.c lists the families.
 */
#ifndef HEARTH_API_API_H
#define HEARTH_API_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "net/http_server.h"
#include "net/keys.h"
#include "net/origin.h"

struct api;
struct store;

/* Who may ask for what: may change while requests run. Everything is borrowed. */
struct api_rules {
    const struct keys *keys; /* none: all may ask */
    struct origin_rules origins;
    bool pull;           /* whether clients may pull and delete models */
    bool metrics_public; /* /metrics without a key */
    size_t max_tokens;   /* that a request may ask for; 0 = the context */
    double max_seconds;  /* of one request; 0 = none */
};

struct api_options {
    struct store *store;       /* borrowed */
    const char *default_model; /* a name or a path, for requests that name none; or NULL */
    /* A model's name or path to its file, malloc'd: what `hearth complete -m` takes. */
    enum status (*resolve)(const char *name, char **path, struct error *err);
    const char *cache_dir; /* packed weights; or NULL */
    const char *kv_type;   /* NULL = f16 */
    int n_threads;         /* 0 = all physical cores */
    size_t n_ctx;          /* positions of a request at most; 0 = 16,384 or the model's own */
    uint64_t kv_bytes;     /* KV pages of a model; 0 = the scheduler's choice */
    size_t max_running, max_waiting; /* of a model; 0 = the scheduler's choice */
    size_t max_models;               /* loaded at once; 0 = as many as memory holds */
    uint64_t memory_bytes;           /* of all models together; 0 = three quarters of the machine's */
    double keep_alive;               /* seconds that an unused model stays; negative: for ever */
    const char *slots_dir;           /* where clients may keep prompts' beginnings; NULL = nowhere */
    const char *const *projects;     /* [n_projects] folders whose indexes clients may search; NULL = none */
    size_t n_projects;
    const char *index_cache;         /* where indexes live; with projects */
    const char *vector_store, *store_key; /* the server that holds the projects' vectors (remote/stores.h), and its
                                      * key; NULL: the indexes do */
    bool no_speculation;             /* tokens are never checked ahead; the texts are the same */
    struct api_rules rules;          /* to begin with */
    /* One line of JSON about something that happened; from any thread. Never a prompt's text. */
    void (*log)(void *ctx, const char *line);
    void *log_ctx;
};

/* Strings of `opt` are borrowed for the api's life. */
enum status api_create(const struct api_options *opt, struct api **out, struct error *err);
/* Fills the callbacks and ctx of a server's options. */
void api_serve(struct api *a, struct http_options *o);
/* Other rules from here on; requests that were admitted keep theirs. On the server's thread: see
 * http_server_call. */
void api_set_rules(struct api *a, const struct api_rules *rules);
/* Loads the default model now; ERR_* as engine_open. */
enum status api_preload(struct api *a, struct error *err);
/* From here on new requests are refused; those that run go on. */
void api_shut_down(struct api *a);
/* Ends what still runs. The server must have been stopped. NULL is fine. */
void api_destroy(struct api *a);

/* The OpenAPI description's text; static. */
const char *api_openapi(size_t *len);
/* The i-th route as "GET /path"; false past the last. */
bool api_route_name(size_t i, char *dst, size_t cap);

#endif
