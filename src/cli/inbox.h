/* Lines from a file descriptor, read by a thread of their own, so that whoever works on one sees
 * that another has come. */
#ifndef HEARTH_CLI_INBOX_H
#define HEARTH_CLI_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct inbox;

struct inbox_line {
    char
        *text; /* malloc'd, NUL-terminated, without its end; the receiver frees it. NULL: skipped */
    size_t len;
    uint64_t seq;  /* from 1, in the order of arrival; lines that were taken at once count too */
    bool too_long; /* skipped for its length, not for want of memory */
};

/* Starts to read. `at_once`, if not NULL, sees every whole line when it arrives, on the reading
 * thread; true takes the line away, it will not come out of inbox_next. */
enum status inbox_open(int fd, size_t max_line,
                       bool (*at_once)(void *ctx, const struct inbox_line *line), void *ctx,
                       struct inbox **out, struct error *err);
/* The next line, waiting for one; false at the end of the input. */
bool inbox_next(struct inbox *in, struct inbox_line *out);
/* Nonzero while a line waits or the input has ended: a cancel flag for work that can wait. */
const volatile int *inbox_waiting(const struct inbox *in);
/* Stops reading, wherever it is. NULL is fine. */
void inbox_close(struct inbox *in);

#endif
