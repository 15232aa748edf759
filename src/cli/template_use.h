/* The chat template of a model file held against the published ones, and what is said of it before
 * its first use. */
#ifndef HEARTH_CLI_TEMPLATE_USE_H
#define HEARTH_CLI_TEMPLATE_USE_H

#include <jansson.h>

#include "store/store.h"
#include "text/template_known.h"

struct gguf;

/* name: what the store calls the model; or NULL. */
enum status template_use_check(const struct gguf *g, const char *name, struct template_check *out,
                               struct error *err);

/* Warns on standard error, once for each file, where the template of an installed model is not a
 * published one of its family. What was looked at is remembered in templates.json of the store's
 * folder, by the file's digest. */
void template_use_first(const struct store *s, const char *name, const char *path);

json_t *template_use_json(const struct template_check *c);
/* For people, with the differences. */
void template_use_print(const struct template_check *c);

#endif
