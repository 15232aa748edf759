/* Memory that is freed all at once: blocks, filled from the front. */
#include <stdlib.h>
#include <string.h>

#include "text/jinja_int.h"

enum { FIRST_BLOCK = 16 << 10, LARGEST_BLOCK = 1 << 20 };

static bool add_block(struct jinja_arena *a, size_t bytes)
{
    size_t want = a->used < FIRST_BLOCK ? FIRST_BLOCK : a->used / 2;
    if (want > LARGEST_BLOCK) want = LARGEST_BLOCK;
    /* The last blocks before the limit are as small as need be, so that all of it can be used. */
    if (want > a->max - a->used) want = a->max - a->used;
    if (want < bytes) want = bytes;
    if (want > a->max - a->used) return false;
    size_t n_marks = a->marking ? want / 8 + 2 : 0;
    struct jinja_block *b = malloc(sizeof *b + want + n_marks);
    if (!b) return false;
    *b = (struct jinja_block){.next = a->blocks, .size = want};
    if (a->marking) {
        b->marks = (unsigned char *)b->data + want;
        memset(b->marks, 0, n_marks);
    }
    a->blocks = b;
    a->at = b->data;
    a->end = b->data + want;
    a->used += want;
    return true;
}

void *jinja_alloc_raw(struct jinja_arena *a, size_t bytes, size_t align)
{
    if (bytes > a->max) return NULL;
    size_t pad = a->at ? (align - (uintptr_t)a->at % align) % align : 0;
    if (!a->at || (size_t)(a->end - a->at) < pad || (size_t)(a->end - a->at) - pad < bytes) {
        if (!add_block(a, bytes)) return NULL;
        pad = 0;
    }
    char *p = a->at + pad;
    a->at = p + bytes;
    return p;
}

void jinja_arena_fini(struct jinja_arena *a)
{
    while (a->blocks) {
        struct jinja_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
    *a = (struct jinja_arena){.max = a->max, .marking = a->marking};
}
