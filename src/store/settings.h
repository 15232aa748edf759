/* What goes with a model's name beside its file. Kept in the manifest, so that names share one
 * file:
 *
 *   {"template": TEXT, "system": TEXT, "parameters": {NAME: VALUE}, "messages": [{"role",
 * "content"}], "license": [TEXT], "adapters": [PATH], "requires": VERSION, "parent": NAME}
 *
 * All are optional. An object without members is the same as none. */
#ifndef HEARTH_STORE_SETTINGS_H
#define HEARTH_STORE_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/status.h"

enum { SETTINGS_MAX_BYTES = 768 << 10, SETTINGS_MAX_MESSAGES = 1024 };

enum parameter_kind { PARAMETER_INT, PARAMETER_FLOAT, PARAMETER_BOOL, PARAMETER_TEXTS };

/* A parameter by the name that Ollama's options have. */
struct parameter {
    const char *name;
    enum parameter_kind kind;
    double min, max;
    bool ignored; /* taken, and without effect here */
};
const struct parameter *parameter_find(const char *name); /* NULL where there is none */

/* A parameter's text as its value, a new reference; NULL with a reason. PARAMETER_TEXTS: one text.
 */
json_t *parameter_parse(const struct parameter *p, const char *text, size_t len, struct error *err);

/* Whether the object is as above: types, known parameters and their ranges, roles. ERR_INVALID
 * names the member; ERR_UNSUPPORTED for what Hearth cannot do with it (adapters). */
enum status settings_check(const json_t *settings, struct error *err);

/* Lays `over` over `base` (either may be NULL), as a new reference: texts, lists and parameters
 * replace those of the same name. NULL: no memory. */
json_t *settings_merge(const json_t *base, const json_t *over);

/* "name value" lines as Ollama shows parameters. */
enum status settings_print_parameters(const json_t *settings, struct buf *out, struct error *err);

#endif
