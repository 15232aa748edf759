/* One record for each page of the pool, hashed by key, chained to its parent, and linked from the
 * one used last to the one unused for longest. A parent is always used later than its children, so
 * that the list ends with pages that nothing follows. */
#include "infer/prefix_cache.h"

#include <stdlib.h>
#include <string.h>

#include "kern/kern.h"
#include "model/model.h"

#define NONE PREFIX_NO_PAGE

struct record {
    struct prefix_key key;
    bool kept;
    uint32_t parent, n_children;
    uint32_t newer, older; /* by use */
    uint32_t next;         /* of the same bucket */
};

struct prefix_cache {
    struct kv_pool *pool;
    struct record *records; /* [pages of the pool] */
    uint32_t *buckets;      /* [mask + 1] */
    size_t mask;
    uint32_t newest, oldest;
};

/* ---- keys ------------------------------------------------------------------------------------ */

static void put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> 8 * i);
}

enum status prefix_key_root(uint64_t adapter, const void *salt, size_t n_salt,
                            struct prefix_key *out)
{
    static const char name[] = "hearth KV pages 1";
    uint8_t head[16];
    struct sha256 h;
    put_u64(head, adapter);
    put_u64(head + 8, n_salt);
    enum status st = sha256_init(&h);
    if (st != OK) return st;
    sha256_update(&h, name, sizeof name);
    sha256_update(&h, head, sizeof head);
    if (n_salt) sha256_update(&h, salt, n_salt);
    return sha256_final(&h, out->digest);
}

enum status prefix_key_next(const struct prefix_key *parent, const int32_t *tokens,
                            struct prefix_key *out)
{
    uint8_t bytes[SHA256_BYTES + 4 * KERN_KV_PAGE];
    memcpy(bytes, parent->digest, SHA256_BYTES);
    for (size_t i = 0; i < KERN_KV_PAGE; i++)
        for (int k = 0; k < 4; k++)
            bytes[SHA256_BYTES + 4 * i + (size_t)k] = (uint8_t)((uint32_t)tokens[i] >> 8 * k);
    return sha256_of(bytes, sizeof bytes, out->digest);
}

static uint32_t *bucket_of(const struct prefix_cache *c, const struct prefix_key *key)
{
    uint64_t h;
    memcpy(&h, key->digest, sizeof h);
    return &c->buckets[h & c->mask];
}

/* ---- life ------------------------------------------------------------------------------------ */

enum status prefix_cache_create(struct kv_pool *pool, struct prefix_cache **out, struct error *err)
{
    *out = NULL;
    size_t n = kv_pool_pages(pool), n_buckets = 16;
    while (n_buckets < n) n_buckets *= 2;
    struct prefix_cache *c = calloc(1, sizeof *c);
    if (c) {
        c->records = calloc(n, sizeof *c->records);
        c->buckets = malloc(n_buckets * sizeof *c->buckets);
    }
    if (!c || !c->records || !c->buckets) {
        if (c) free(c->records);
        if (c) free(c->buckets);
        free(c);
        return error_set(err, ERR_NOMEM, "no memory for a cache of %zu pages", n);
    }
    c->pool = pool;
    c->mask = n_buckets - 1;
    c->newest = c->oldest = NONE;
    for (size_t i = 0; i < n_buckets; i++) c->buckets[i] = NONE;
    *out = c;
    return OK;
}

static void unlink_use(struct prefix_cache *c, uint32_t page)
{
    struct record *r = &c->records[page];
    *(r->newer == NONE ? &c->newest : &c->records[r->newer].older) = r->older;
    *(r->older == NONE ? &c->oldest : &c->records[r->older].newer) = r->newer;
}

static void link_newest(struct prefix_cache *c, uint32_t page)
{
    struct record *r = &c->records[page];
    r->newer = NONE;
    r->older = c->newest;
    *(c->newest == NONE ? &c->oldest : &c->records[c->newest].newer) = page;
    c->newest = page;
}

static void drop(struct prefix_cache *c, uint32_t page)
{
    struct record *r = &c->records[page];
    uint32_t *at = bucket_of(c, &r->key);
    while (*at != page) at = &c->records[*at].next;
    *at = r->next;
    unlink_use(c, page);
    if (r->parent != NONE) c->records[r->parent].n_children--;
    r->kept = false;
    kv_page_unref(c->pool, page);
}

void prefix_cache_destroy(struct prefix_cache *c)
{
    if (!c) return;
    while (c->newest != NONE) drop(c, c->newest);
    free(c->records);
    free(c->buckets);
    free(c);
}

/* ---- finding and keeping --------------------------------------------------------------------- */

uint32_t prefix_cache_find(const struct prefix_cache *c, const struct prefix_key *key)
{
    uint32_t page = *bucket_of(c, key);
    while (page != NONE && memcmp(&c->records[page].key, key, sizeof *key) != 0)
        page = c->records[page].next;
    return page;
}

void prefix_cache_touch(struct prefix_cache *c, uint32_t page)
{
    for (; page != NONE; page = c->records[page].parent) {
        unlink_use(c, page);
        link_newest(c, page);
    }
}

uint32_t prefix_cache_keep(struct prefix_cache *c, uint32_t parent, const struct prefix_key *key,
                           uint32_t page)
{
    if (parent != NONE && !c->records[parent].kept) return NONE;
    uint32_t there = prefix_cache_find(c, key);
    if (there != NONE) {
        prefix_cache_touch(c, there);
        return there;
    }
    uint32_t *bucket = bucket_of(c, key);
    c->records[page] =
        (struct record){.key = *key, .kept = true, .parent = parent, .next = *bucket};
    *bucket = page;
    if (parent != NONE) c->records[parent].n_children++;
    kv_page_ref(c->pool, page);
    link_newest(c, page);
    prefix_cache_touch(c, parent);
    return page;
}

/* A parent is used later than its children, so it comes first. */
uint32_t prefix_cache_next(const struct prefix_cache *c, uint32_t page)
{
    return page == NONE ? c->newest : c->records[page].older;
}

void prefix_cache_look(const struct prefix_cache *c, uint32_t page, struct prefix_key *key,
                       uint32_t *parent)
{
    *key = c->records[page].key;
    *parent = c->records[page].parent;
}

/* ---- giving back ----------------------------------------------------------------------------- */

size_t prefix_cache_idle(const struct prefix_cache *c)
{
    size_t n = 0;
    for (uint32_t p = c->newest; p != NONE; p = c->records[p].older)
        n += kv_page_refs(c->pool, p) == 1;
    return n;
}

size_t prefix_cache_evict(struct prefix_cache *c, size_t n)
{
    size_t done = 0;
    for (uint32_t p = c->oldest, newer; p != NONE && done < n; p = newer) {
        newer = c->records[p].newer;
        if (c->records[p].n_children > 0 || kv_page_refs(c->pool, p) > 1) continue;
        drop(c, p);
        done++;
    }
    return done;
}
