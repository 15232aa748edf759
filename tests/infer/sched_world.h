/* A scheduler over the fake model, for the tests that need no vocabulary. */
#ifndef HEARTH_TESTS_SCHED_WORLD_H
#define HEARTH_TESTS_SCHED_WORLD_H

#include "fake_model.h"
#include "sched_kit.h"

enum { N_VOCAB = 97, N_CTX = 512 };

struct world {
    struct model *m;
    struct engine *e;
    struct scheduler *s;
    struct sched_options opt;
};

/* n_ctx is N_CTX unless told otherwise. */
void open_world(struct world *w, struct fake_options fake, struct sched_options opt);
/* No page is held by any request then. */
void close_world(struct world *w);
/* Sets the request's callbacks too. */
void submit(struct world *w, struct sched_request *r, struct got *g);
/* After a moment, so that what has just ended is counted. */
struct sched_stats stats_of(struct world *w);
/* Until so many requests of the class have pages. */
void wait_running(struct world *w, enum sched_class cls, size_t n);

#endif
