#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void one_line(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) *s = '?';
}

/* A cut in the middle of a UTF-8 sequence would print as garbage; drop the partial tail. */
static void trim_partial_utf8(char *s, size_t len)
{
    size_t i = len;
    while (i > 0 && ((unsigned char)s[i - 1] & 0xC0) == 0x80) i--;
    if (i == 0) return;
    unsigned char lead = (unsigned char)s[i - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (len - (i - 1) < need) s[i - 1] = 0;
}

static void finish(struct error *err, int written)
{
    one_line(err->msg);
    if (written >= (int)sizeof err->msg) trim_partial_utf8(err->msg, strlen(err->msg));
}

enum status error_set(struct error *err, enum status code, const char *fmt, ...)
{
    if (!err) return code;
    err->code = code;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    finish(err, n);
    return code;
}

enum status error_prefix(struct error *err, const char *fmt, ...)
{
    if (!err) return ERR_INVALID;
    char old[sizeof err->msg];
    memcpy(old, err->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    if (n < 0) n = 0;
    size_t used = (size_t)n < sizeof err->msg ? (size_t)n : sizeof err->msg - 1;
    int m = snprintf(err->msg + used, sizeof err->msg - used, ": %s", old);
    finish(err, (int)used + m);
    return err->code;
}

const char *status_name(enum status code)
{
    static const char *const names[] = {
        [OK] = "ok",
        [ERR_NOMEM] = "out of memory",
        [ERR_IO] = "input/output error",
        [ERR_FORMAT] = "malformed data",
        [ERR_UNSUPPORTED] = "unsupported",
        [ERR_INVALID] = "invalid argument",
        [ERR_NOT_FOUND] = "not found",
        [ERR_LIMIT] = "limit exceeded",
        [ERR_NETWORK] = "network error",
        [ERR_INTEGRITY] = "integrity check failed",
        [ERR_BUSY] = "busy",
        [ERR_CANCELLED] = "cancelled",
    };
    if ((unsigned)code >= sizeof names / sizeof names[0]) return "unknown error";
    return names[code];
}
