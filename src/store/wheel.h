/* One data file out of a wheel (a zip archive), streamed. Inside of module store. */
#ifndef HEARTH_STORE_WHEEL_H
#define HEARTH_STORE_WHEEL_H

#include <stdint.h>

#include "base/status.h"

struct partial;

/* Appends the one member whose path matches `pattern` (fnmatch, '*' stops at '/') to `p`. The path
 * in the archive is only compared, never written to. `size` is what the member must have, 0 = not
 * known; `max` bounds it either way. ERR_NOT_FOUND where no member matches, ERR_FORMAT for a broken
 * archive, ERR_INTEGRITY for a member of another size or more than one match. What was appended
 * before a failure stays in `p`. */
enum status wheel_extract(const char *path, const char *pattern, uint64_t size, uint64_t max,
                          struct partial *p, struct error *err);

#endif
