/* Names to keys and tensors: a sorted array of pointers. A header holds tens of keys and hundreds
 * of tensors, each looked up once or twice in a run, and a file made to collide cannot slow it
 * down. */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf_int.h"

static_assert(offsetof(struct gguf_key, name) == 0, "one index serves both");
static_assert(offsetof(struct gguf_tensor, name) == 0, "one index serves both");

static int compare_str(const struct gguf_str *a, const struct gguf_str *b)
{
    size_t n = a->len < b->len ? a->len : b->len;
    int c = memcmp(a->data, b->data, n);
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

/* Equal names stay in file order, so that the later one is reported. */
static int compare_entries(const void *pa, const void *pb)
{
    const struct gguf_str *a = *(const struct gguf_str *const *)pa;
    const struct gguf_str *b = *(const struct gguf_str *const *)pb;
    int c = compare_str(a, b);
    return c ? c : (a > b) - (a < b);
}

enum status gguf_index(const void *names, size_t n, size_t stride, const struct gguf_str ***index,
                       const struct gguf_str **duplicate)
{
    *index = NULL;
    *duplicate = NULL;
    if (n == 0) return OK;
    const struct gguf_str **v = calloc(n, sizeof *v);
    if (!v) return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) v[i] = (const void *)((const char *)names + i * stride);
    qsort(v, n, sizeof *v, compare_entries);
    for (size_t i = 1; i < n && !*duplicate; i++)
        if (compare_str(v[i - 1], v[i]) == 0) *duplicate = v[i];
    *index = v;
    return OK;
}

const void *gguf_index_find(const struct gguf_str *const *index, size_t n, const char *name)
{
    struct gguf_str want = {name, strlen(name)};
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = compare_str(index[mid], &want);
        if (c == 0) return index[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
