/* Completion as an editor needs it: what is typed, opened and saved goes in, suggestions come out.
 *
 * A suggester owns a thread, a backend that computes (one model session, or a client of a server),
 * the caches and the ring of context. The newest request wins: whatever was asked for before is
 * cancelled, and at most one is being computed; but where the newest one's text is what the one
 * before becomes by typing, it takes over what is being computed, as long as that begins with what
 * was typed. While a suggestion is shown, the next one is
 * computed as if it were accepted; while nothing happens, the context is brought up to date and the
 * prompt that the next request will need is read.
 *
 * All functions but create and destroy may be called from any thread, the callbacks' own included.
 */
#ifndef HEARTH_ASSIST_SUGGEST_H
#define HEARTH_ASSIST_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "assist/complete.h"
#include "assist/ring.h"
#include "base/status.h"

/* What computes. Called on the suggester's thread, one call at a time. */
struct suggest_backend {
    /* As complete_run; `cancel` of the request ends it soon. */
    enum status (*run)(void *ctx, const struct complete_request *req, struct complete_result *res,
                       struct error *err);
    /* As complete_prepare; may be NULL: there is nothing to get ready. */
    enum status (*prepare)(void *ctx, const struct complete_request *req,
                           struct complete_ahead *ahead, struct error *err);
    void (*destroy)(void *ctx); /* may be NULL */
    void *ctx;
};
/* A completer, borrowed. */
struct suggest_backend suggest_backend_of(struct completer *c);

struct suggest_options {
    size_t max_tokens;        /* of a suggestion; 0 = 128 */
    double deadline_ms;       /* of a request without its own; 0 = 1000 */
    double prefetch_ms;       /* of the next one, while this one shows; 0 = 1000, < 0: never */
    double idle_ms;           /* without a request before getting ready; 0 = 400, < 0: never */
    size_t cache_entries;     /* 0 = SUGGEST_CACHE */
    struct ring_options ring; /* zeroed: defaults */
    double context_share;     /* of the prompt, at most, for other files; 0 = 0.25, < 0: none */
    const char *repository;   /* its name, for models that are told; or NULL; copied */
    struct sample_params sample;
    /* Of requests that nobody waits for or that somebody asked for; automatic ones are EFFORT_FAST.
     */
    enum complete_effort effort;
    bool any_file; /* also files that by their name hold keys or passwords */
    /* False: this file is ignored (.gitignore and the like), it is neither completed nor used as
     * context. May be NULL: all are allowed. */
    bool (*allowed)(void *ctx, const char *path);
    void *ctx;
};
enum { SUGGEST_CACHE = 250, SUGGEST_TYPED = 128 };

struct suggester;

/* The backend is the suggester's from here on, also where this fails. */
enum status suggester_create(const struct suggest_options *opt,
                             const struct suggest_backend *backend, struct suggester **out,
                             struct error *err);
/* Cancels what is being computed and waits for its end; every request has had its callback then. */
void suggester_destroy(struct suggester *s);

/* ---- requests ---------------------------------------------------------------------------------
 */

enum suggest_source {
    SUGGEST_COMPUTED,
    SUGGEST_CACHED,     /* an earlier answer, or what is left of it after typing */
    SUGGEST_PREFETCHED, /* computed as if the suggestion before were accepted */
};
const char *suggest_source_name(enum suggest_source s); /* "computed", "cached", "prefetched" */

struct suggestion {
    uint64_t id;      /* the request's */
    const char *text; /* valid during the call; "" where there is nothing to say */
    size_t len;
    bool final; /* false: the beginning of a text that grows */
    enum suggest_source source;
    enum status status; /* not OK: it failed, and `error` says why */
    const struct error *error;
    const char *stopped_by; /* as in complete_result; "superseded" where a newer request won,
                             * "cached" */
    const struct complete_result *result; /* of a computed one that is final; else NULL */
    double waited_ms;                     /* on purpose, for the typing to pause */
    double first_ms, total_ms;            /* from the request to the first text, and to now */
};

struct suggest_request {
    const char *path;     /* of the document, or its URI without the scheme; NULL = unnamed */
    const char *name;     /* for the prompt, where other files stand in it; NULL = path */
    const char *language; /* "python", ...; NULL = by the path */
    const char *text;     /* the whole document, UTF-8 */
    size_t len, offset;   /* the cursor's byte */
    enum trim_mode mode;
    bool automatic;     /* nobody asked: wait for the typing to pause (suggest_delay_ms) */
    bool partial;       /* give beginnings, too */
    size_t max_tokens;  /* 0 = the option's */
    double deadline_ms; /* computing time; 0 = the option's */
    /* Text to use besides the ring's, the clipboard for instance: behind the ring's chunks. */
    const struct context_item *more;
    size_t n_more;
    /* Called on the suggester's thread, or within suggester_ask where the cache answers; exactly
     * one call is final, and it is the last. Must not block. */
    void (*on_suggestion)(void *ctx, const struct suggestion *s);
    void *ctx;
};

/* Everything is copied. *id names the request. ERR_INVALID: the offset lies outside or within a
 * character, the text is not UTF-8, the file is not to be completed (the message says why);
 * ERR_NOMEM. After an error no callback comes. */
enum status suggester_ask(struct suggester *s, const struct suggest_request *req, uint64_t *id,
                          struct error *err);
/* The request ends soon, with what there is. An automatic one that is being computed goes on to its
 * own end, for somebody who types along, unless a request comes that does not. False where it has
 * ended or another took its place. */
bool suggester_cancel(struct suggester *s, uint64_t id);

/* ---- what happens in the editor ----------------------------------------------------------------
 */

/* Text that was opened, edited, saved or yanked: a candidate for the context of later requests.
 * `line`: the one around which a chunk is cut (0 = the first). Files that are not allowed are
 * passed over. Takes the text's chunk, not the text; of one that was opened or saved the whole
 * text's definitions, too, whose signatures go into the prompt where they are named near the
 * cursor. */
void suggester_note(struct suggester *s, enum ring_event event, const char *path, const char *text,
                    size_t len, size_t line);
/* Forgets what came from a file: it was closed without need, deleted, or is not allowed any more.
 */
void suggester_forget(struct suggester *s, const char *path);

/* Milliseconds to wait after a key before asking, from the times between the last keys
 * (milliseconds, the newest last): short where somebody pauses, long in the middle of fast typing.
 * 40 to 400; 75 without a history. */
double suggest_delay_ms(const double *gaps_ms, size_t n);

/* ---- figures -----------------------------------------------------------------------------------
 */

struct suggest_stats {
    uint64_t asked, computed, cached, prefetched, superseded, empty, failed;
    uint64_t followed; /* took over what was being computed for the request before */
    uint64_t prefetches, warm_ups;
    size_t cache_entries, ring_chunks, ring_waiting;
};
void suggester_stats(struct suggester *s, struct suggest_stats *out);

#endif
