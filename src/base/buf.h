/* A growable byte buffer that must name its maximum. After a failed append the buffer is unchanged.
 * Contents are always followed by a NUL that `len` does not count. */
#ifndef HEARTH_BASE_BUF_H
#define HEARTH_BASE_BUF_H

#include <stddef.h>

#include "base/status.h"

struct buf {
    char *data; /* owned; NULL until the first append */
    size_t len;
    size_t cap;
    size_t max; /* largest permitted len */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
void buf_clear(struct buf *b); /* len = 0, memory kept */

/* ERR_LIMIT past `max`, ERR_NOMEM when malloc fails. */
enum status buf_append(struct buf *b, const void *data, size_t len);
enum status buf_append_str(struct buf *b, const char *s);
enum status buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for `len` more bytes without a further allocation. */
enum status buf_reserve(struct buf *b, size_t len);

#endif
