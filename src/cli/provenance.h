/* Where an installed model is from, who vouches for it and what was done to it: hearth show
 * --provenance. */
#ifndef HEARTH_CLI_PROVENANCE_H
#define HEARTH_CLI_PROVENANCE_H

#include <jansson.h>

#include "store/store.h"

/* Everything that is known, as one object (docs/trust.md has its fields); *out is the caller's. */
enum status provenance_gather(const struct store *s, const struct store_model *m, json_t **out,
                              struct error *err);
void provenance_print(const json_t *p);

#endif
