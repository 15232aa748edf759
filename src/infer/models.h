/* Several models in one process: opened when they are first asked for, closed when nobody has used
 * them for a while or when another one needs their memory, never while somebody uses them.
 *
 * All functions may be called by any thread, but not from a scheduler's callbacks (they wait for
 * schedulers to end), save models_release. */
#ifndef HEARTH_INFER_MODELS_H
#define HEARTH_INFER_MODELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "infer/engine.h"
#include "infer/scheduler.h"

struct models;
struct model_use; /* one user's hold on an open model */

#define MODELS_KEEP_DEFAULT 300000.0 /* five minutes, as Ollama's */

struct models_options {
    /* How models are opened; strings are borrowed for the life of `models`. A progress callback is
     * called by the thread that opens. */
    struct engine_options engine;
    struct sched_options sched;
    /* Of all models' weights and KV pages together; 0 = three quarters of the machine's. A model
     * alone may take more. */
    uint64_t memory_bytes;
};

enum status models_create(const struct models_options *opt, struct models **out, struct error *err);
/* Nobody may use a model any more. NULL is fine. */
void models_destroy(struct models *m);

/* Opens the model file, or finds it open; waits while another thread opens it. keep_ms: how long it
 * stays once nobody uses it, negative: for ever; the last user's word counts. ERR_BUSY: the memory
 * is taken by models in use. The errors of engine_open and scheduler_create. */
enum status models_acquire(struct models *m, const char *path, double keep_ms,
                           struct model_use **out, struct error *err);
/* To be called when the last request has ended; does not wait. */
void models_release(struct model_use *u);
/* Of the open model, valid until models_release. */
struct engine *model_use_engine(const struct model_use *u);
struct scheduler *model_use_scheduler(const struct model_use *u);

/* Closes the model as soon as nobody uses it. False where it is not open. */
bool models_unload(struct models *m, const char *path);

struct model_status {
    const char *path;
    uint64_t bytes; /* weights and KV pages */
    size_t users;
    double expires_ms;           /* from now; negative: never; 0 while somebody uses it */
    struct scheduler *scheduler; /* for scheduler_stats, during the call */
};
/* Calls `fn` for every open model; it must not call into `models`. */
void models_each(struct models *m, void (*fn)(void *ctx, const struct model_status *s), void *ctx);

#endif
