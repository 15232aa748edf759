#include "index/words.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { MAX_WORDS = 1 << 22, MAX_NEW_BYTES = 64 << 20 };

struct words {
    uint64_t *set; /* hashes; 0 is free */
    size_t n, cap; /* cap: a power of two */
    struct buf fresh; /* NUL-terminated, one behind the other */
    size_t taken;
};

struct words *words_create(void)
{
    struct words *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    buf_init(&w->fresh, MAX_NEW_BYTES);
    return w;
}

void words_destroy(struct words *w)
{
    if (!w) return;
    free(w->set);
    buf_fini(&w->fresh);
    free(w);
}

void words_forget(struct words *w)
{
    if (!w) return;
    if (w->set) memset(w->set, 0, w->cap * sizeof *w->set);
    w->n = w->taken = 0;
    buf_clear(&w->fresh);
}

static uint64_t hash(const char *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
    h ^= h >> 32;
    return h ? h : 1;
}

static void put(uint64_t *set, size_t cap, uint64_t h)
{
    size_t i = h & (cap - 1);
    while (set[i]) i = (i + 1) & (cap - 1);
    set[i] = h;
}

static int grow(struct words *w)
{
    size_t cap = w->cap ? 2 * w->cap : 1024;
    if (cap > 2 * MAX_WORDS) {
        memset(w->set, 0, w->cap * sizeof *w->set); /* words of old are offered once more */
        w->n = 0;
        return 1;
    }
    uint64_t *set = calloc(cap, sizeof *set);
    if (!set) return 0;
    for (size_t i = 0; i < w->cap; i++)
        if (w->set[i]) put(set, cap, w->set[i]);
    free(w->set);
    w->set = set;
    w->cap = cap;
    return 1;
}

void words_add(struct words *w, const char *word, size_t n)
{
    if (n < 3) return;
    uint64_t h = hash(word, n);
    for (size_t i = h & (w->cap - 1); w->cap && w->set[i]; i = (i + 1) & (w->cap - 1))
        if (w->set[i] == h) return;
    if (2 * (w->n + 1) > w->cap && !grow(w)) return;
    put(w->set, w->cap, h);
    w->n++;
    int letters = 0;
    for (size_t i = 0; i < n; i++) letters += word[i] >= 'a' && word[i] <= 'z';
    if (!letters) return;
    size_t before = w->fresh.len;
    if (buf_append(&w->fresh, word, n) != OK || buf_append(&w->fresh, "", 1) != OK) w->fresh.len = before;
}

const char *words_take(struct words *w)
{
    if (w->taken >= w->fresh.len) {
        w->taken = 0;
        buf_clear(&w->fresh);
        return NULL;
    }
    const char *word = w->fresh.data + w->taken;
    w->taken += strlen(word) + 1;
    return word;
}
