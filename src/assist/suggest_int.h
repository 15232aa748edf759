/* Inside of the suggester: what its functions (suggest.c) and its thread (suggest_work.c) share. */
#ifndef HEARTH_ASSIST_SUGGEST_INT_H
#define HEARTH_ASSIST_SUGGEST_INT_H

#include <pthread.h>

#include "assist/answers.h"
#include "assist/outline.h"
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
    bool follows;   /* it is what the text of `base` becomes by typing */
    bool cancelled; /* nobody waits for it any more */
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
    struct ask *running; /* whom the computation is for; the thread's; NULL: nobody */
    struct ask *base;    /* what it began with; the thread's; NULL: none that can be followed */
    struct ask *dead;    /* superseded before they began */
    struct ask *last;    /* a copy of the last request's text, for idle work; owned */
    struct ask *ahead;   /* the text as if the shown suggestion were accepted; owned */
    int cancel;          /* atomic: what the thread computes is not wanted any more */
    bool fresh;          /* something happened since the last idle work */
    double gaps[SUGGEST_GAPS], last_key;
    size_t n_gaps;
    struct answers *answers;
    struct ring *ring;
    struct outline *outline;
    struct suggest_stats stats;
    /* The thread's own: the context as the prompts have it now. */
    struct context_item items[SUGGEST_ITEMS];
    size_t n_items;
    char *items_path;
};

/* One computation. */
struct suggest_run {
    struct suggester *s;
    struct ask *base;  /* what it began with */
    struct ask *a;     /* who is told: `base`, or who followed; NULL: nobody */
    struct ask *taken; /* `a` where it followed; owned */
    bool strayed;      /* the text is not what was typed: cancelled for that */
    struct context_item all[2 * SUGGEST_ITEMS];
};

/* suggest_follow.c: whether what is computed for `from` can answer `a`. */
bool suggest_follows(const struct ask *from, const struct ask *a);
/* A request's on_text. */
void suggest_on_text(void *run, const char *text, size_t len);
/* From now on no request may follow; whoever did is the one to tell. */
void suggest_run_settle(struct suggest_run *r);
/* Tells the result; a follower that it does not fit becomes pending again. */
void suggest_run_tell(struct suggest_run *r, const struct complete_result *res,
                      enum suggest_source source);

/* Under the lock: the cached answer to a request, copied, or NULL. */
char *suggest_look_up(struct suggester *s, const struct ask *a, size_t *len, bool *ahead);

/* Where the answer to a request belongs. */
struct answer_place suggest_place(const struct ask *a);
void suggest_ask_free(struct ask *a);
/* A copy with other text; NULL without memory. */
struct ask *suggest_ask_copy(const struct ask *a, const char *insert, size_t len);
/* Tells a request of its end, or of text on the way (`s->final` false); fills in id and times. */
void suggest_tell(struct ask *a, struct suggestion *s);
/* The same with an answer of the cache; takes both. `ahead`: it was computed before anybody asked. */
void suggest_tell_cached(struct ask *a, char *text, size_t len, bool ahead);
void *suggest_work(void *suggester);

#endif
