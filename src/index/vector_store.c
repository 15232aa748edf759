#include "index/vector_store.h"

#include <string.h>

#include "base/sha256.h"

const char *vector_store_model(const char *model)
{
    const char *slash = strrchr(model, '/');
    return *model == '/' && slash[1] ? slash + 1 : model;
}

void vector_store_key(const char *model, const uint8_t *from, uint8_t to[VECTOR_KEY_BYTES])
{
    uint8_t mask[SHA256_BYTES];
    const char *name = vector_store_model(model);
    if (sha256_of(name, strlen(name), mask)) memset(mask, 0, sizeof mask);
    for (int i = 0; i < VECTOR_KEY_BYTES; i++) to[i] = from[i] ^ mask[i];
}
