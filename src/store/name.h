/* Model names ("family:tag") and digests: the only two kinds of text that ever become a file name
 * in the store, so both are checked here, by the letter. */
#ifndef HEARTH_STORE_NAME_H
#define HEARTH_STORE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum {
    STORE_PART_SIZE = 65,  /* a family or a tag with its NUL */
    STORE_NAME_SIZE = 130, /* family, colon, tag, NUL */
};

/* ^[a-z0-9][a-z0-9._-]{0,63}(:[a-z0-9][a-z0-9._-]{0,63})?$ */
bool store_name_valid(const char *name);

/* ^[0-9a-f]{64}$ */
bool store_digest_valid(const char *digest);

/* Splits a valid name; `tag` becomes "" where the name has none. ERR_INVALID explains the rule. */
enum status store_name_split(const char *name, char family[STORE_PART_SIZE],
                             char tag[STORE_PART_SIZE], struct error *err);

/* A valid name out of a file's name: lower case, other characters as '-', ".gguf" dropped.
 * False where nothing usable is left. */
bool store_name_from_file(const char *path, char name[STORE_NAME_SIZE]);

/* How near a mistyped name is to a known one: 0 = the same, SIZE_MAX = not near. */
size_t store_name_distance(const char *typed, const char *known);

#endif
