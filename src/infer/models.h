/* Several models in one process: opened when they are first asked for, closed when nobody has used
 * them for a while or when another one needs their memory, never while somebody uses them. A model
 * that gives way to another leaves its kept beginnings behind as far as memory allows, and finds
 * them again when it comes back.
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
    struct sched_options sched; /* an n_ctx above the model's own stands for that */
    /* Of all models' weights and KV pages together; 0 = three quarters of the machine's. A model
     * alone may take more. */
    uint64_t memory_bytes;
    size_t max_open; /* models; 0 = as many as the memory holds */
    double keep_ms;  /* for models_acquire without a wish; 0 = MODELS_KEEP_DEFAULT */
    /* What the caller has beside each open model: made when it has been opened (an error closes it
     * again), ended before it is closed. Both may be NULL. Called without locks. */
    enum status (*attach)(void *ctx, struct model_use *u, void **beside, struct error *err);
    void (*detach)(void *beside);
    void *ctx;
};

enum status models_create(const struct models_options *opt, struct models **out, struct error *err);
/* Nobody may use a model any more. NULL is fine. */
void models_destroy(struct models *m);

/* Opens the model file, or finds it open; waits while another thread opens it. `name` is what
 * people call it; the first one counts. keep_ms: how long it stays once nobody uses it, negative:
 * for ever, NAN: as before; the last user's word counts. ERR_BUSY: the memory is taken by models in
 * use. The errors of engine_open, scheduler_create and attach. */
enum status models_acquire(struct models *m, const char *path, const char *name, double keep_ms,
                           struct model_use **out, struct error *err);
/* The same wish, later; NAN changes nothing. */
void models_keep(struct model_use *u, double keep_ms);
/* To be called when the last request has ended; does not wait. */
void models_release(struct model_use *u);
/* Of the open model, valid until models_release. An encoder writes no text and has no scheduler. */
struct engine *model_use_engine(const struct model_use *u);
struct scheduler *model_use_scheduler(const struct model_use *u);
void *model_use_beside(const struct model_use *u);
const char *model_use_name(const struct model_use *u);

/* Closes the model as soon as nobody uses it, and forgets what was kept of it. False where it is
 * not open. */
bool models_unload(struct models *m, const char *path);

struct model_status {
    const char *path, *name;
    uint64_t bytes; /* weights and KV pages */
    size_t users;
    /* From now, or from the last user's end; negative: never. */
    double expires_ms;
    struct scheduler *scheduler; /* for scheduler_stats, during the call; or NULL */
    const void *beside;
};
/* Calls `fn` for every open model; it must not call into `models`. */
void models_each(struct models *m, void (*fn)(void *ctx, const struct model_status *s), void *ctx);
/* Memory of the beginnings kept of models that are closed. */
uint64_t models_kept_bytes(struct models *m);

#endif
