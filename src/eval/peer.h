/* Who is asked to fill holes: Hearth's own `complete`, or a server. A kind of server is one file
 * that exports a `struct eval_api`, and one line in peer.c. */
#ifndef HEARTH_EVAL_PEER_H
#define HEARTH_EVAL_PEER_H

#include <jansson.h>

#include "base/buf.h"
#include "eval/holes.h"

enum { PEER_MAX_ANSWER = 4 << 20 };

struct peer_question {
    const char *prefix, *suffix, *path;
    size_t prefix_len, suffix_len;
    int max_tokens;
};

struct peer_answer {
    struct buf text; /* buf_init by peer_ask */
    int64_t tokens;  /* generated; -1 = not told */
    int64_t prompt;  /* tokens of the prompt; -1 = not told */
    double first_ms; /* to the first text; 0 = there was none */
    double total_ms;
};
void peer_answer_fini(struct peer_answer *a);

struct peer_options {
    const char *url;    /* "http://127.0.0.1:8080"; NULL with `command` */
    const char *api;    /* name of the kind of server */
    const char *model;  /* as the server calls it; or NULL */
    const char *family; /* fill-in-the-middle template for servers without one of their own (name as
                           in assist/fim_families.h); NULL = from the model's name where needed */
    const char *key;    /* bearer token; or NULL */
    double seconds;     /* most time of one answer */
    char *const *command; /* a program that speaks `hearth complete --stdio`; instead of `url` */
    const volatile int *cancel;
};

struct fim_family;

struct eval_api {
    const char *name, *path;
    bool needs_family; /* it writes the prompt itself */
    /* The body of a request; NULL = out of memory. `family` is NULL where none is known. */
    json_t *(*body)(const struct peer_options *o, const struct fim_family *family,
                    const struct peer_question *q);
    /* One event of the streamed answer. Appends text and sets what it tells. */
    enum status (*event)(const json_t *e, struct peer_answer *a);
};

/* The registry, ended by NULL. */
extern const struct eval_api *const eval_apis[];

struct peer;

/* Borrows what the options point at. Connects to nothing yet, but starts the command. ERR_INVALID
 * for an unknown kind or template. */
enum status peer_create(const struct peer_options *o, struct peer **out, struct error *err);
void peer_destroy(struct peer *p); /* NULL is fine; ends the command */

/* Asks and waits for the whole answer; `a` needs peer_answer_fini in any case. ERR_NETWORK where
 * the server does not answer or says why not, ERR_CANCELLED. One caller at a time. */
enum status peer_ask(struct peer *p, const struct peer_question *q, struct peer_answer *a,
                     struct error *err);

/* "<prefix>P<suffix>S<middle>" as one text, for servers that read control tokens from it; malloc'd.
 */
char *peer_prompt(const struct fim_family *f, const struct peer_question *q);

#endif
