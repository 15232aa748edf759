#include "store/source.h"

#include <string.h>

static const struct source_type *const types[] = {
    &source_hub,
    &source_url,
    &source_packages,
    &source_file,
};

const struct source_type *source_type_find(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i]->name, name) == 0) return types[i];
    return NULL;
}
