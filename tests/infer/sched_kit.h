/* For the tests of the scheduler: a fake or golden engine, requests that collect what they are
 * given, and the text that a session writes for the same request. */
#ifndef HEARTH_TESTS_SCHED_KIT_H
#define HEARTH_TESTS_SCHED_KIT_H

#include <pthread.h>

#include "infer/engine.h"
#include "infer/scheduler.h"

enum { KIT_MAX = 64 };

/* What a request gives; every field may be read once `done` is seen. */
struct got {
    int32_t *ids[KIT_MAX]; /* by sample */
    float *logprob[KIT_MAX];
    size_t n[KIT_MAX];
    char *text[KIT_MAX];
    size_t n_text[KIT_MAX];
    float *prompt_logprob;
    size_t n_prompt_logprobs;
    struct sched_sample samples[KIT_MAX];
    struct sched_result result; /* its pointers are no longer valid */
    struct error error;
    struct scheduler *s; /* where cancel_at or give_up_at is set */
    uint64_t ticket;
    size_t cancel_at, give_up_at; /* at this token of sample 0; 0: never */
    bool broken;                  /* a promise about the callbacks was not kept */
    int done;
    double done_at;
};

/* Sets the callbacks. */
void got_init(struct got *g, struct sched_request *r);
void got_fini(struct got *g);
/* Fails the test where it takes longer than a minute. */
void got_wait(struct got *g);

/* Greedy, one sample. */
struct sched_request kit_request(const int32_t *prompt, size_t n, size_t max_tokens);
/* Ids below n_vocab, the same for equal seeds. */
void kit_tokens(int32_t *t, size_t n, uint64_t seed, uint32_t n_vocab);
uint64_t kit_random(uint64_t *state);

/* Sample i of the request as a session gives it, and fails the test where it is another. */
void kit_expect_same(struct engine *e, size_t n_ctx, const struct sched_request *r, size_t i,
                     const struct got *g, size_t sample);

/* Waits for the end of all requests; no page is held by any of them then. */
void kit_expect_no_pages(struct scheduler *s);

#endif
