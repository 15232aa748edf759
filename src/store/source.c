#include "store/source.h"

#include <string.h>

static const struct source_type *const types[] = {
    &source_hub,
    &source_url,
    &source_packages,
    &source_file,
    &source_hf,
    &source_ollama,
    &source_oci,
    &source_store,
};

const struct source_type *source_type_find(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i]->name, name) == 0) return types[i];
    return NULL;
}

enum status source_from_url(const char *url, json_t **out, char name[STORE_NAME_SIZE],
                            struct error *err)
{
    *out = NULL;
    name[0] = 0;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (!types[i]->from_url) continue;
        enum status st = types[i]->from_url(url, out, name, err);
        if (st || *out) return st;
    }
    return OK;
}
