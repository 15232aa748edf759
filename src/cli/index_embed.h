/* What `index` and `search` share: where indexes live, and a model that makes vectors for them. */
#ifndef HEARTH_CLI_INDEX_EMBED_H
#define HEARTH_CLI_INDEX_EMBED_H

#include "base/status.h"
#include "index/index.h"

struct engine;

/* The folder that holds all indexes; malloc'd, NULL with a reason. */
char *cli_index_cache(struct error *err);

struct index_embed {
    struct engine *engine;
    char *model; /* as it is named in the index */
    const volatile int *cancel;
};

/* Loads the model; `out` is an embedder that borrows `e`. */
enum status index_embed_open(struct index_embed *e, const char *model, int threads, struct index_embedder *out,
                             struct error *err);
void index_embed_close(struct index_embed *e);

#endif
