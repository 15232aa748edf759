/* Making a model of another one, of a file or of a folder, with settings: what a Modelfile and
 * /api/create ask for. */
#ifndef HEARTH_API_CREATE_H
#define HEARTH_API_CREATE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"
#include "store/store.h"

struct create_request {
    const char *name;       /* full (store_new_name) */
    const char *from;       /* a model's name; or NULL */
    const char *path;       /* a GGUF file, or a folder as `hearth import` takes it; or NULL */
    bool take;              /* the file at `path` lies in the store for this, and is moved */
    const json_t *settings; /* settings.h; laid over those of `from`; or NULL */
    const char *quantize;   /* a type such as Q4_K_M, or NULL */
    bool pull;     /* fetches `from` where it is not installed and the catalogue knows it */
    int n_threads; /* 0: one */
    const struct store_events *events; /* their notices tell each step; or NULL */
};

/* ERR_INVALID, ERR_FORMAT, ERR_UNSUPPORTED: the settings or the template are at fault, or the type;
 * others as of the store, of import_folder and of quantize_file. Nothing has changed then. */
enum status create_model(const struct store *s, const struct create_request *rq,
                         struct store_model *out, struct error *err);

/* Whether a template can be used. */
enum status create_check_template(const json_t *settings, struct error *err);

#endif
