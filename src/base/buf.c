#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max)
{
    /* No allocation can be larger than PTRDIFF_MAX; below it, len + 1 cannot wrap. */
    *b = (struct buf){.max = max < PTRDIFF_MAX ? max : PTRDIFF_MAX - 1};
}

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->data) b->data[0] = 0;
}

enum status buf_reserve(struct buf *b, size_t len)
{
    if (len > b->max || b->len > b->max - len) return ERR_LIMIT;
    size_t need = b->len + len + 1;
    if (need <= b->cap) return OK;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need) cap = cap > b->max / 2 ? b->max + 1 : cap * 2;
    if (cap > b->max + 1) cap = b->max + 1; /* who fills the room directly cannot pass max either */
    char *p = realloc(b->data, cap);
    if (!p) return ERR_NOMEM;
    b->data = p;
    b->cap = cap;
    b->data[b->len] = 0;
    return OK;
}

enum status buf_append(struct buf *b, const void *data, size_t len)
{
    enum status st = buf_reserve(b, len);
    if (st) return st;
    if (len) memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
    return OK;
}

enum status buf_append_str(struct buf *b, const char *s)
{
    return buf_append(b, s, strlen(s));
}

enum status buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    enum status st = n < 0 ? ERR_INVALID : buf_reserve(b, (size_t)n);
    if (st == OK) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return st;
}
