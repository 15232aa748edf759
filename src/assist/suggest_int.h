/* Inside of the suggester: what its functions (suggest.c) and its thread (suggest_work.c) share. */
#ifndef HEARTH_ASSIST_SUGGEST_INT_H
#define HEARTH_ASSIST_SUGGEST_INT_H

#include <pthread.h>

#include "assist/answers.h"
#include "assist/suggest.h"

enum { SUGGEST_GAPS = 16, SUGGEST_ITEMS = 64 };

/* A request with copies of its texts. */
struct ask {
    uint64_t id;
    struct ask *next; /* in the list of those to be told that they are superseded */
    char *path, *name, *text; /* name may be NULL */
    size_t len, offset;
    enum trim_mode mode;
    bool partial, automatic;
    size_t max_tokens;
    double deadline_ms;
    struct context_item *more; /* owned with their texts */
    size_t n_more;
    double asked, due; /* clock_now() */
    double first;      /* of the first text; 0 = none yet */
    void (*on_suggestion)(void *ctx, const struct suggestion *s);
    void *ctx;
};

struct suggester {
    struct suggest_options opt;
    char *repository;
    struct suggest_backend backend;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below but `items` */
    pthread_cond_t wake;
    bool stop;
    uint64_t last_id;
    struct ask *pending; /* not begun; owned */
    struct ask *running; /* the thread's */
    struct ask *dead;    /* superseded before they began */
    struct ask *last;    /* a copy of the last request's text, for idle work; owned */
    struct ask *ahead;   /* the text as if the shown suggestion were accepted; owned */
    int cancel;          /* atomic: what the thread computes is not wanted any more */
    bool fresh;          /* something happened since the last idle work */
    double gaps[SUGGEST_GAPS], last_key;
    size_t n_gaps;
    struct answers *answers;
    struct ring *ring;
    struct suggest_stats stats;
    /* The thread's own: the context as the prompts have it now. */
    struct context_item items[SUGGEST_ITEMS];
    size_t n_items;
    char *items_path;
};

/* Where the answer to a request belongs. */
struct answer_place suggest_place(const struct ask *a);
void suggest_ask_free(struct ask *a);
/* A copy with other text; NULL without memory. */
struct ask *suggest_ask_copy(const struct ask *a, const char *insert, size_t len);
/* Tells a request of its end, or of text on the way (`s->final` false); fills in id and times. */
void suggest_tell(struct ask *a, struct suggestion *s);
void *suggest_work(void *suggester);

#endif
