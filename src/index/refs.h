/* A file's references and imports in one piece of bytes: for each a kind, a line, a column and a name. */
#ifndef HEARTH_INDEX_REFS_H
#define HEARTH_INDEX_REFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "syntax/syntax_facts.h"

enum { REFS_IMPORT = 255 }; /* beside enum syntax_reference_kind */

struct refs_item {
    unsigned kind;
    uint32_t line, column;
    const char *name; /* not NUL-terminated */
    size_t len;
};

enum status refs_write(const struct syntax_facts *f, struct buf *out);
/* The item at *at, and moves there; false at the end or where the bytes make no sense. */
bool refs_next(const void *data, size_t len, size_t *at, struct refs_item *out);

#endif
