/* The JSON of a request's body, read strictly: RFC 8259 and nothing more. */
#ifndef HEARTH_API_BODY_H
#define HEARTH_API_BODY_H

#include <jansson.h>
#include <stddef.h>

/* An object or an array, or NULL with e->line and e->column. A member that is there twice counts as
 * its last; a NUL in a member's name becomes U+FFFD, in values it stays. */
json_t *body_parse(const char *text, size_t len, json_error_t *e);

#endif
