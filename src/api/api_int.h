/* What the endpoints share. */
#ifndef HEARTH_API_API_INT_H
#define HEARTH_API_API_INT_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "api/api.h"
#include "api/metrics.h"
#include "api/served.h"
#include "base/buf.h"

/* ---- dialects ----------------------------------------------------------------------------------
 */

/* What went wrong, for an answer in any dialect. */
struct failure {
    int code; /* HTTP status */
    const char
        *kind; /* a dialect-neutral word: "model_not_found", "context_length_exceeded", ... */
    const char *message;
    size_t n_prompt, n_ctx; /* context_length_exceeded */
};

struct dialect {
    const char *name;
    /* The error's JSON, compact; NULL without memory. */
    json_t *(*error)(const struct failure *f);
    /* Writes an error into a stream that has begun. */
    void (*error_in_stream)(struct http_request *r, const json_t *error);
};
extern const struct dialect dialect_openai, dialect_ollama, dialect_llama, dialect_anthropic;

/* ---- routes ------------------------------------------------------------------------------------
 */

struct call;

enum route_flags {
    ROUTE_PUBLIC = 1,   /* no key needed */
    ROUTE_AT_ONCE = 2,  /* on the loop's thread: must not block */
    ROUTE_JSON = 4,     /* the body is a JSON object, parsed into call.body */
    ROUTE_METRICS = 8,  /* public where the options say so */
    ROUTE_CHANGES = 16, /* changes the store: only where clients may */
    ROUTE_PREFIX = 32,  /* the path's rest is call.rest */
    ROUTE_UPLOAD = 64,  /* the body is a file that goes to the store */
};

struct route {
    const char *method, *path;
    const struct dialect *dialect;
    unsigned flags;
    void (*handle)(struct call *c);
};

/* One family's routes, ended by a NULL method. */
struct route_family {
    const struct route *routes;
};
extern const struct route_family api_families[]; /* ended by NULL */

/* What is known of a request; lives as long as it. */
struct call {
    struct api *api;
    struct http_request *r;
    const struct route *route; /* NULL: there is none */
    const struct dialect *dialect;
    const char *rest;           /* of the path, behind a prefix; decoded */
    json_t *body;               /* owned */
    char client[128];           /* who asks: the key's name, or the peer's address */
    char salt[SHA256_HEX_SIZE]; /* of the key, for the prefix cache; "" without */
    size_t max_tokens;          /* of the rules when it was admitted */
    double max_seconds;
    bool named_client; /* the client names itself: its newest completion supersedes */
    struct store_upload *upload; /* owned: where the body goes; or NULL */
    struct error upload_error;
    /* For the log and the metrics. */
    char model[160];
    size_t n_prompt, n_cached, n_generated;
};

struct api {
    struct api_options opt;
    struct served *served;
    struct search_projects *projects; /* NULL: none */
    struct metrics metrics;
    pthread_mutex_t store_lock;
    atomic_size_t n_jobs; /* that still use the pool */
    atomic_bool shutting;
};

/* ---- answers; all end the call ------------------------------------------------------------------
 */

void call_json(struct call *c, int code, json_t *body); /* steals body; NULL: no memory */
void call_text(struct call *c, int code, const char *type, const char *text);
/* In the dialect's shape; into the stream where one has begun. */
void call_fail(struct call *c, const struct failure *f);
void call_failf(struct call *c, int code, const char *kind, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* An error of a lower module: its status says which code. */
void call_error(struct call *c, const struct error *err);
int api_code_of(enum status st);
/* "<prefix><32 hex digits>", unique. */
void api_make_id(const char *prefix, char *dst, size_t cap);

/* JSON text of compact form, malloc'd; NULL without memory. Steals. */
char *api_dump(json_t *j, size_t *len);
/* A JSON string of any bytes: what is no UTF-8 becomes U+FFFD. */
json_t *api_string(const char *text, size_t len);
double api_round(double x);

/* ---- log ----------------------------------------------------------------------------------------
 */

/* Steals `fields`, an object; adds time, level and msg. */
void api_log(struct api *a, const char *level, const char *msg, json_t *fields);

#endif
