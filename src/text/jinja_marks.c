/* Marks of the bytes that came in with the variables: see jinja_int.h. */
#include "text/jinja_int.h"

static struct jinja_block *block_of(struct jinja_arena *a, const char *p)
{
    uintptr_t at = (uintptr_t)p;
    struct jinja_block *b = a->seen;
    if (b && at - (uintptr_t)b->data < b->size) return b;
    for (b = a->blocks; b; b = b->next)
        if (at - (uintptr_t)b->data < b->size) return a->seen = b;
    return NULL;
}

static void set_bit(unsigned char *bits, size_t i)
{
    bits[i / 8] |= (unsigned char)(1u << i % 8);
}

void jinja_marks_copy(struct jinja_arena *a, const char *to, const char *from, size_t len)
{
    if (!a->marking || len == 0) return;
    const struct jinja_block *s = block_of(a, from);
    if (!s || !s->any) return; /* fresh memory has no marks */
    struct jinja_block *d = block_of(a, to);
    const unsigned char *src = s->marks;
    size_t i = (size_t)(from - s->data), o = (size_t)(to - d->data), end = o + len;
    d->any = true;
    for (; o < end && o % 8; o++, i++)
        if (src[i / 8] >> i % 8 & 1) set_bit(d->marks, o);
    for (; o + 8 <= end; o += 8, i += 8)
        d->marks[o / 8] = (unsigned char)((src[i / 8] | src[i / 8 + 1] << 8) >> i % 8);
    for (; o < end; o++, i++)
        if (src[i / 8] >> i % 8 & 1) set_bit(d->marks, o);
}

void jinja_marks_set(struct jinja_arena *a, const char *to, size_t len)
{
    if (!a->marking || len == 0) return;
    struct jinja_block *d = block_of(a, to);
    size_t o = (size_t)(to - d->data), end = o + len;
    d->any = true;
    for (; o < end && o % 8; o++) set_bit(d->marks, o);
    for (; o + 8 <= end; o += 8) d->marks[o / 8] = 0xFF;
    for (; o < end; o++) set_bit(d->marks, o);
}

bool jinja_marked(struct jinja_arena *a, const char *p)
{
    const struct jinja_block *b = a->marking ? block_of(a, p) : NULL;
    size_t i = b ? (size_t)(p - b->data) : 0;
    return b && b->marks[i / 8] >> i % 8 & 1;
}
