#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "syntax/syntax_int.h"

enum { BLOCK_BYTES = 32 << 10 };

struct syntax_block {
    struct syntax_block *next;
    size_t size;
    _Alignas(16) unsigned char bytes[];
};

void *syntax_arena_alloc(struct syntax_arena *a, size_t bytes, size_t align)
{
    if (a->failed || bytes > SIZE_MAX / 2) return NULL;
    size_t at = a->blocks ? (a->used + align - 1) & ~(align - 1) : 0;
    if (!a->blocks || at + bytes > a->blocks->size) {
        size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        struct syntax_block *n = malloc(sizeof *n + size);
        if (!n) {
            a->failed = true;
            return NULL;
        }
        n->next = a->blocks;
        n->size = size;
        a->blocks = n;
        at = 0;
    }
    a->used = at + bytes;
    return a->blocks->bytes + at;
}

char *syntax_arena_text(struct syntax_arena *a, const char *text, size_t len)
{
    char *s = syntax_arena_alloc(a, len + 1, 1);
    if (!s) return NULL;
    if (len) memcpy(s, text, len);
    s[len] = '\0';
    return s;
}

void syntax_arena_fini(struct syntax_arena *a)
{
    while (a->blocks) {
        struct syntax_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
}

bool syntax_room(struct syntax_build *b, void **items, size_t *cap, size_t len, size_t max,
                 size_t bytes)
{
    if (len >= max) {
        b->truncated = true;
        return false;
    }
    if (len < *cap) return true;
    size_t n = *cap ? 2 * *cap : 32;
    void *p = realloc(*items, n * bytes);
    if (!p) {
        b->failed = true;
        return false;
    }
    *items = p;
    *cap = n;
    return true;
}
