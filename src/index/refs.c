#include "index/refs.h"

#include <string.h>

static enum status put(struct buf *out, unsigned kind, uint32_t line, uint32_t column, const char *name)
{
    unsigned char head[10];
    size_t n = strlen(name);
    if (n == 0 || n > SYNTAX_MAX_NAME) return OK;
    head[0] = (unsigned char)kind;
    head[1] = (unsigned char)(n - 1);
    memcpy(head + 2, &line, 4);
    memcpy(head + 6, &column, 4);
    enum status st = buf_append(out, head, sizeof head);
    return st ? st : buf_append(out, name, n);
}

enum status refs_write(const struct syntax_facts *f, struct buf *out)
{
    enum status st = OK;
    for (size_t i = 0; i < f->n_imports && st == OK; i++)
        st = put(out, REFS_IMPORT, f->imports[i].line, 0, f->imports[i].target);
    for (size_t i = 0; i < f->n_references && st == OK; i++)
        st = put(out, f->references[i].kind, f->references[i].line, f->references[i].column, f->references[i].name);
    return st;
}

bool refs_next(const void *data, size_t len, size_t *at, struct refs_item *out)
{
    const unsigned char *p = data;
    if (*at > len || len - *at < 10) return false;
    p += *at;
    out->kind = p[0];
    out->len = (size_t)p[1] + 1;
    memcpy(&out->line, p + 2, 4);
    memcpy(&out->column, p + 6, 4);
    if (len - *at - 10 < out->len) return false;
    out->name = (const char *)p + 10;
    *at += 10 + out->len;
    return true;
}
