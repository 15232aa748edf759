/* What a repository of the Hugging Face hub holds. Inside of module store. */
#ifndef HEARTH_STORE_SOURCE_HF_H
#define HEARTH_STORE_SOURCE_HF_H

#include <jansson.h>

#include "store/store.h"

/* The GGUF files of an "hf" source's repository, as the hub describes them: a new array of objects with
 * "path", "size" and, for large files, "lfs": {"oid": SHA-256, "size"}. */
enum status hf_list(const json_t *spec, const struct store_events *ev, json_t **out,
                    struct error *err);

#endif
