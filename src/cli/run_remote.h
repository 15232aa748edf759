/* The conversation of `hearth run` with a running server's model. */
#ifndef HEARTH_CLI_RUN_REMOTE_H
#define HEARTH_CLI_RUN_REMOTE_H

#include "cli/run.h"

/* Sets r->client where a server is to be used: one that is named has to be there; without a name,
 * one on this machine that has the model. r->model is then the server's name of it. Else r->client
 * stays NULL, and the model is loaded here. */
enum status run_remote_find(struct run *r, const char *address, struct error *err);

/* Answers r->messages; fills r->res. on_text is told what comes; its errors end the answer. *cancel
 * ends it too: OK, and FINISH_CANCELLED. */
enum status run_remote_answer(struct run *r, const volatile int *cancel, uint64_t seed,
                              enum status (*on_text)(void *ctx, bool reasoning, const char *text,
                                                     size_t len),
                              void *ctx, struct error *err);

#endif
