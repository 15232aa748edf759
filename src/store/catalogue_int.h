/* Entries outside of a catalogue: those kept in manifests and made for one pull. */
#ifndef HEARTH_STORE_CATALOGUE_INT_H
#define HEARTH_STORE_CATALOGUE_INT_H

#include <jansson.h>

#include "store/catalogue.h"

/* Checks an entry and takes a reference to it. `where` and `index` serve messages only. */
enum status catalogue_model_parse(json_t *json, const char *where, size_t index,
                                  struct catalogue_model *out, struct error *err);
void catalogue_model_fini(struct catalogue_model *m);

#endif
