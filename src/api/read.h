/* Typed members of a request's JSON. The first error stays; the others are then no-ops, so that a
 * request is read in one go and checked once. `null` counts as absent. */
#ifndef HEARTH_API_READ_H
#define HEARTH_API_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct reader {
    const json_t *obj;
    struct error err; /* code OK until something is wrong */
};

/* Absent: the value stays as it is. */
void read_int(struct reader *r, const char *key, int64_t min, int64_t max, int64_t *out);
void read_size(struct reader *r, const char *key, size_t max, size_t *out);
void read_float(struct reader *r, const char *key, double min, double max, float *out);
void read_double(struct reader *r, const char *key, double min, double max, double *out);
void read_bool(struct reader *r, const char *key, bool *out);
/* Borrowed; `len` may be NULL where NULs are refused. */
void read_string(struct reader *r, const char *key, const char **out, size_t *len);
/* The member where it has this type; NULL where absent. */
const json_t *read_object(struct reader *r, const char *key);
const json_t *read_array(struct reader *r, const char *key, size_t max);
const json_t *read_any(struct reader *r, const char *key); /* NULL where absent or null */
void read_fail(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
