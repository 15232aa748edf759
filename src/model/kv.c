/* KV pages: a pool of equal pages in one lazily committed mapping, and sequences that are arrays of
 * page addresses. Pages are reference-counted so that sequences can share a prefix; a page that
 * more than one sequence holds is never written. After Kwon et al. 2023, "Efficient Memory
 * Management for Large Language Model Serving with PagedAttention" (arXiv:2309.06180). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "model/kv_file.h"
#include "model/model_int.h"

#define REGION_ALIGN                                                                               \
    ((uint64_t)2 << 20)             /* so that the kernel can back the region by huge pages        \
                                     */
#define MAX_PAGES ((size_t)1 << 24) /* caps the pool's own bookkeeping: half a billion tokens */

struct kv_pool {
    uint8_t *map; /* the whole mapping, unaligned */
    uint64_t map_bytes;
    uint8_t *base; /* first page */
    struct kv_layout layout;
    size_t page_bytes; /* of layout */
    uint32_t n_pages;
    uint32_t n_free;
    uint32_t *free; /* [n_pages], a stack: the next page to hand out is free[n_free - 1] */
    uint32_t *refs; /* [n_pages], 0 for a free page */
    size_t n_seqs;  /* alive */
    size_t n_ctx;   /* of a sequence */
};

struct kv_seq {
    struct kv_pool *pool;
    uint8_t **pages; /* [cap], the first n_pages of them held */
    size_t n_pages;
    size_t cap;
    size_t len;
};

static size_t pages_for(size_t n_tokens)
{
    return n_tokens / KERN_KV_PAGE + (n_tokens % KERN_KV_PAGE != 0);
}

/* ---- pool ------------------------------------------------------------------------------------ */

enum status kv_pool_create(const struct model *m, size_t n_tokens, struct kv_pool **out,
                           struct error *err)
{
    *out = NULL;
    struct kv_layout layout;
    enum status st = kv_layout_init(&layout, &m->info, m->info.kv_type, err);
    if (st) return st;
    size_t page_bytes = layout.page_bytes;
    size_t n_pages = pages_for(n_tokens);
    uint64_t bytes, map_bytes;
    if (n_tokens == 0 || page_bytes == 0)
        return error_set(err, ERR_INVALID, "a KV cache needs room for at least one token");
    if (n_pages > MAX_PAGES || !checked_mul(page_bytes, n_pages, &bytes) ||
        !checked_add(bytes, REGION_ALIGN, &map_bytes) || map_bytes > SIZE_MAX / 2)
        return error_set(err, ERR_LIMIT,
                         "a KV cache for %zu tokens is too large; use a shorter context", n_tokens);

    struct kv_pool *p = calloc(1, sizeof *p);
    if (!p) return error_set(err, ERR_NOMEM, "out of memory for the KV cache");
    p->map = MAP_FAILED;
    p->map_bytes = map_bytes;
    p->layout = layout;
    p->page_bytes = page_bytes;
    p->n_pages = p->n_free = (uint32_t)n_pages;
    p->n_ctx = n_tokens;
    p->free = malloc(n_pages * sizeof *p->free);
    p->refs = calloc(n_pages, sizeof *p->refs);
    if (p->free && p->refs)
        p->map = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->map == MAP_FAILED) {
        kv_pool_destroy(p);
        return error_set(err, ERR_NOMEM,
                         "out of memory for the KV cache of %zu tokens (%llu MiB); use a shorter "
                         "context",
                         n_tokens, (unsigned long long)(bytes >> 20));
    }
    p->base = (uint8_t *)(((uintptr_t)p->map + REGION_ALIGN - 1) & ~(uintptr_t)(REGION_ALIGN - 1));
    for (uint32_t i = 0; i < p->n_pages; i++) p->free[i] = p->n_pages - 1 - i;
    *out = p;
    return OK;
}

void kv_pool_destroy(struct kv_pool *p)
{
    if (!p) return;
    assert(p->n_seqs == 0);
    if (p->map != MAP_FAILED) munmap(p->map, p->map_bytes);
    free(p->free);
    free(p->refs);
    free(p);
}

void kv_pool_set_context(struct kv_pool *p, size_t n_ctx)
{
    assert(p->n_seqs == 0);
    p->n_ctx = n_ctx;
}

size_t kv_seq_context(const struct kv_seq *s)
{
    return s->pool->n_ctx;
}

size_t kv_pool_pages(const struct kv_pool *p)
{
    return p->n_pages;
}

size_t kv_pool_pages_free(const struct kv_pool *p)
{
    return p->n_free;
}

/* Neighbours go in one call; of a page's memory only whole system pages can. */
void kv_pool_trim(struct kv_pool *p)
{
    uintptr_t unit = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (uint32_t i = 0, end; i < p->n_pages; i = end + 1) {
        for (end = i; end < p->n_pages && p->refs[end] == 0; end++) continue;
        uintptr_t from = (uintptr_t)(p->base + (size_t)i * p->page_bytes);
        uintptr_t to = (uintptr_t)(p->base + (size_t)end * p->page_bytes);
        from = (from + unit - 1) / unit * unit;
        to = to / unit * unit;
        if (to > from) madvise((void *)from, to - from, MADV_DONTNEED);
    }
}

static uint32_t page_index(const struct kv_pool *p, const uint8_t *page)
{
    return (uint32_t)((size_t)(page - p->base) / p->page_bytes);
}

static uint8_t *page_take(struct kv_pool *p)
{
    assert(p->n_free > 0);
    uint32_t i = p->free[--p->n_free];
    p->refs[i] = 1;
    return p->base + (size_t)i * p->page_bytes;
}

static void page_unref(struct kv_pool *p, const uint8_t *page)
{
    uint32_t i = page_index(p, page);
    assert(p->refs[i] > 0);
    if (--p->refs[i] == 0) p->free[p->n_free++] = i;
}

/* ---- sequences ------------------------------------------------------------------------------- */

enum status kv_seq_create(struct kv_pool *p, struct kv_seq **out, struct error *err)
{
    struct kv_seq *s = *out = calloc(1, sizeof *s);
    if (!s) return error_set(err, ERR_NOMEM, "out of memory for a sequence");
    s->pool = p;
    p->n_seqs++;
    return OK;
}

void kv_seq_destroy(struct kv_seq *s)
{
    if (!s) return;
    kv_seq_truncate(s, 0);
    s->pool->n_seqs--;
    free(s->pages);
    free(s);
}

size_t kv_seq_len(const struct kv_seq *s)
{
    return s->len;
}

const struct kv_layout *kv_seq_layout(const struct kv_seq *s)
{
    return &s->pool->layout;
}

uint8_t *const *kv_seq_pages(const struct kv_seq *s)
{
    return s->pages;
}

void kv_seq_truncate(struct kv_seq *s, size_t n)
{
    if (n < s->len) s->len = n;
    /* Pages reserved but never advanced over go too; last first, so that they are reused in order.
     */
    size_t keep = pages_for(s->len);
    while (s->n_pages > keep) page_unref(s->pool, s->pages[--s->n_pages]);
}

static bool grow_array(struct kv_seq *s, size_t need)
{
    if (need <= s->cap) return true;
    size_t cap = s->cap ? s->cap * 2 : 8;
    if (cap < need) cap = need;
    uint8_t **pages = realloc(s->pages, cap * sizeof *pages);
    if (!pages) return false;
    s->pages = pages;
    s->cap = cap;
    return true;
}

enum status kv_seq_reserve(struct kv_seq *s, size_t n, struct error *err)
{
    struct kv_pool *p = s->pool;
    if (n == 0) return OK;
    if (n > SIZE_MAX - s->len || pages_for(s->len + n) > p->n_pages)
        return error_set(err, ERR_LIMIT, "%zu more tokens do not fit into a KV cache of %zu tokens",
                         n, (size_t)p->n_pages * KERN_KV_PAGE);
    size_t need = pages_for(s->len + n);
    size_t added = need > s->n_pages ? need - s->n_pages : 0;

    /* Only the page that position len falls into can be both shared and about to be written. */
    size_t tail = s->len / KERN_KV_PAGE;
    bool copy = tail < s->n_pages && p->refs[page_index(p, s->pages[tail])] > 1;
    if (added + copy > p->n_free)
        return error_set(err, ERR_LIMIT,
                         "the KV cache is full: %zu of %zu pages are free and %zu are needed",
                         (size_t)p->n_free, (size_t)p->n_pages, added + copy);
    if (!grow_array(s, need)) return error_set(err, ERR_NOMEM, "out of memory for a sequence");

    if (copy) {
        uint8_t *own = page_take(p);
        memcpy(own, s->pages[tail], p->page_bytes);
        page_unref(p, s->pages[tail]);
        s->pages[tail] = own;
    }
    while (s->n_pages < need) s->pages[s->n_pages++] = page_take(p);
    return OK;
}

void kv_seq_advance(struct kv_seq *s, size_t n)
{
    assert(n <= s->n_pages * KERN_KV_PAGE - s->len);
    s->len += n;
}

enum status kv_seq_fork(const struct kv_seq *from, size_t n, struct kv_seq **out, struct error *err)
{
    *out = NULL;
    if (n > from->len)
        return error_set(err, ERR_INVALID, "cannot fork %zu positions of a sequence of %zu", n,
                         from->len);
    struct kv_pool *p = from->pool;
    struct kv_seq *s;
    enum status st = kv_seq_create(p, &s, err);
    if (st) return st;
    size_t n_pages = pages_for(n);
    if (!grow_array(s, n_pages)) {
        kv_seq_destroy(s);
        return error_set(err, ERR_NOMEM, "out of memory for a sequence");
    }
    for (size_t i = 0; i < n_pages; i++) {
        s->pages[i] = from->pages[i];
        p->refs[page_index(p, s->pages[i])]++;
    }
    s->n_pages = n_pages;
    s->len = n;
    *out = s;
    return OK;
}

/* ---- pages held beyond a sequence ------------------------------------------------------------ */

uint32_t kv_seq_page(const struct kv_seq *s, size_t i)
{
    assert((i + 1) * KERN_KV_PAGE <= s->len);
    return page_index(s->pool, s->pages[i]);
}

void kv_page_ref(struct kv_pool *p, uint32_t page)
{
    assert(page < p->n_pages && p->refs[page] > 0);
    p->refs[page]++;
}

void kv_page_unref(struct kv_pool *p, uint32_t page)
{
    page_unref(p, p->base + (size_t)page * p->page_bytes);
}

uint32_t kv_page_refs(const struct kv_pool *p, uint32_t page)
{
    return p->refs[page];
}

uint32_t kv_file_take_page(struct kv_pool *p)
{
    return p->n_free ? page_index(p, page_take(p)) : UINT32_MAX;
}

uint8_t *kv_file_page(struct kv_pool *p, uint32_t page)
{
    assert(page < p->n_pages && p->refs[page] > 0);
    return p->base + (size_t)page * p->page_bytes;
}

enum status kv_seq_append_page(struct kv_seq *s, uint32_t page, struct error *err)
{
    struct kv_pool *p = s->pool;
    assert(s->len % KERN_KV_PAGE == 0);
    kv_seq_truncate(s, s->len);
    if (!grow_array(s, s->n_pages + 1))
        return error_set(err, ERR_NOMEM, "out of memory for a sequence");
    kv_page_ref(p, page);
    s->pages[s->n_pages++] = p->base + (size_t)page * p->page_bytes;
    s->len += KERN_KV_PAGE;
    return OK;
}

void kv_seq_replace_page(struct kv_seq *s, size_t i, uint32_t page)
{
    struct kv_pool *p = s->pool;
    assert((i + 1) * KERN_KV_PAGE <= s->len);
    kv_page_ref(p, page);
    page_unref(p, s->pages[i]);
    s->pages[i] = p->base + (size_t)page * p->page_bytes;
}
