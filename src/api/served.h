/* The models that requests name, over infer/models.h: what stands behind a name, and what the
 * endpoints need of a model beside its engine. Any thread. */
#ifndef HEARTH_API_SERVED_H
#define HEARTH_API_SERVED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "assist/fim.h"
#include "base/status.h"
#include "gguf/gguf.h"

struct served;
struct api_options;
struct engine;
struct scheduler;
struct tokenizer;
struct chat;
struct model_use;

/* A loaded model, as long as it is held. */
struct loaded_model {
    char name[160]; /* as the store knows it, or the file's name */
    struct model_use *use;
    struct engine *engine;
    struct scheduler *scheduler; /* NULL: an encoder, which writes no text */
    const struct tokenizer *tok;
    size_t n_ctx;
    struct chat *chat; /* its template; or NULL */
    struct json_t *settings; /* of the name, see store/settings.h; or NULL; owned by this holder */
    struct chat *own_chat;   /* of the settings' template, which `chat` is then; or NULL; owned likewise */
    struct gguf_str template_source;
    uint64_t bytes; /* of the weights in memory */
    bool has_fim;
    struct fim_template fim;
    int64_t loaded_at; /* seconds since 1970 */
};

enum status served_create(const struct api_options *opt, struct served **out, struct error *err);
/* Ends what still runs. */
void served_destroy(struct served *p);

/* The name that `typed` stands for: NULL or "" the default; the store's full name, or the name
 * given at start. ERR_NOT_FOUND. */
enum status served_resolve(struct served *p, const char *typed, char name[160], struct error *err);

/* Loads the model where it is not, waiting for it, and holds it. ERR_NOT_FOUND, ERR_BUSY where it
 * does not fit beside models in use, or as engine_open. */
enum status served_acquire(struct served *p, const char *typed, struct loaded_model **out,
                           struct error *err);
/* The same for a model that no client named but this machine's own data, an index say: a path to a
 * file is one, too. */
enum status served_acquire_local(struct served *p, const char *model, struct loaded_model **out,
                                 struct error *err);
/* Gives it back. seconds: how long it is kept from now on; NAN = as before or the default, negative
 * = for ever, 0 = unloaded as soon as nobody holds it. */
void served_release(struct loaded_model *m, double seconds);
/* Unloads the model as soon as nobody holds it. ERR_NOT_FOUND: not loaded. */
enum status served_unload(struct served *p, const char *typed, struct error *err);

/* visit(ctx, model, expires): for each loaded model; expires in seconds since 1970, 0 = never. */
void served_each(struct served *p,
                 void (*visit)(void *ctx, const struct loaded_model *m, int64_t expires),
                 void *ctx);
#endif
