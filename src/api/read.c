#include "api/read.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void read_fail(struct reader *r, const char *fmt, ...)
{
    if (r->err.code) return;
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    error_set(&r->err, ERR_INVALID, "%s", text);
}

const json_t *read_any(struct reader *r, const char *key)
{
    const json_t *v = r->err.code ? NULL : json_object_get(r->obj, key);
    return json_is_null(v) ? NULL : v;
}

void read_double(struct reader *r, const char *key, double min, double max, double *out)
{
    const json_t *v = read_any(r, key);
    if (!v) return;
    double x = json_number_value(v);
    if (!json_is_number(v) || !(x >= min && x <= max)) {
        read_fail(r, "'%s' must be a number from %.10g to %.10g", key, min, max);
        return;
    }
    *out = x;
}

void read_float(struct reader *r, const char *key, double min, double max, float *out)
{
    double x = (double)*out;
    read_double(r, key, min, max, &x);
    *out = (float)x;
}

void read_int(struct reader *r, const char *key, int64_t min, int64_t max, int64_t *out)
{
    const json_t *v = read_any(r, key);
    if (!v) return;
    int64_t x = 0;
    bool whole = json_is_integer(v);
    if (whole) x = json_integer_value(v);
    /* Clients written in JavaScript send 5.0 and 1e3. */
    if (json_is_real(v) && json_real_value(v) == floor(json_real_value(v)) &&
        fabs(json_real_value(v)) < 9e15) {
        whole = true;
        x = (int64_t)json_real_value(v);
    }
    if (!whole || x < min || x > max) {
        read_fail(r, "'%s' must be a whole number from %lld to %lld", key, (long long)min,
                  (long long)max);
        return;
    }
    *out = x;
}

void read_size(struct reader *r, const char *key, size_t max, size_t *out)
{
    int64_t x = (int64_t)*out;
    read_int(r, key, 0, (int64_t)max, &x);
    *out = (size_t)x;
}

void read_bool(struct reader *r, const char *key, bool *out)
{
    const json_t *v = read_any(r, key);
    if (!v) return;
    if (json_is_boolean(v))
        *out = json_is_true(v);
    else
        read_fail(r, "'%s' must be true or false", key);
}

void read_string(struct reader *r, const char *key, const char **out, size_t *len)
{
    const json_t *v = read_any(r, key);
    if (!v) return;
    if (!json_is_string(v)) {
        read_fail(r, "'%s' must be a string", key);
        return;
    }
    if (!len && strlen(json_string_value(v)) != json_string_length(v)) {
        read_fail(r, "'%s' must not hold a NUL", key);
        return;
    }
    *out = json_string_value(v);
    if (len) *len = json_string_length(v);
}

const json_t *read_object(struct reader *r, const char *key)
{
    const json_t *v = read_any(r, key);
    if (v && !json_is_object(v)) {
        read_fail(r, "'%s' must be an object", key);
        return NULL;
    }
    return v;
}

const json_t *read_array(struct reader *r, const char *key, size_t max)
{
    const json_t *v = read_any(r, key);
    if (v && !json_is_array(v)) {
        read_fail(r, "'%s' must be an array", key);
        return NULL;
    }
    if (v && json_array_size(v) > max) {
        read_fail(r, "'%s' has more than %zu entries", key, max);
        return NULL;
    }
    return v;
}
