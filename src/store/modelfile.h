/* Modelfiles, in which a person writes what a model's name stands for: a model, and what goes with
 * it.
 *
 *   FROM a name, a file or a folder          SYSTEM the system message
 *   PARAMETER name value (stop: several)     MESSAGE role text (several, in order)
 *   TEMPLATE a Go template                   LICENSE text (several)
 *   ADAPTER a file or a folder (several)     REQUIRES a version
 *
 * Commands may be in any case. A value reaches to the line's end, or from one quote or three to as
 * many at a line's end; there are no escapes. A line that begins with # is a comment. Format:
 * Ollama's docs/modelfile and parser/parser.go (2026-08), whose files mean the same here. */
#ifndef HEARTH_STORE_MODELFILE_H
#define HEARTH_STORE_MODELFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"

struct json_t;

enum { MODELFILE_MAX_BYTES = 4 << 20, MODELFILE_MAX_COMMANDS = 4096 };

struct modelfile {
    char *from;              /* as written; owned */
    struct json_t *settings; /* as settings.h has them; "adapters" are paths as written; owned */
    /* Lines that mean nothing here but are no fault, "line 3: ...", each ended by a newline. */
    struct buf notes;
};

/* ERR_FORMAT and ERR_UNSUPPORTED name `where` and the line; ERR_LIMIT. On failure *out is empty. */
enum status modelfile_parse(const char *text, size_t len, const char *where, struct modelfile *out,
                            struct error *err);
void modelfile_fini(struct modelfile *m);

/* Appends a Modelfile that reads back as the same. settings may be NULL. ERR_UNSUPPORTED: a text
 * that the format has no way to quote, such as one with three quotes at a line's end. */
enum status modelfile_print(const char *from, const struct json_t *settings, struct buf *out,
                            struct error *err);

#endif
