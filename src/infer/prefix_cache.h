/* Pages of keys and values kept after their text has ended, found by what they were computed from.
 *
 * A page's key is a SHA-256 chain over all tokens up to the page's end, begun with an adapter's id
 * and a salt; so equal keys mean equal contents, and nobody can tell or reach what was kept under
 * another salt. The cache holds each page by a reference; a page that texts use as well takes no
 * memory of its own. Used by the thread that owns the pool. */
#ifndef HEARTH_INFER_PREFIX_CACHE_H
#define HEARTH_INFER_PREFIX_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"

struct kv_pool;
struct prefix_cache;

#define PREFIX_NO_PAGE UINT32_MAX

struct prefix_key {
    uint8_t digest[SHA256_BYTES];
};

/* What chains begin with. ERR_NOMEM. Any thread, as the next one. */
enum status prefix_key_root(uint64_t adapter, const void *salt, size_t n_salt,
                            struct prefix_key *out);
/* Of the page with these KERN_KV_PAGE tokens behind the one whose key (or root) is `parent`. */
enum status prefix_key_next(const struct prefix_key *parent, const int32_t *tokens,
                            struct prefix_key *out);

/* All the memory that it will ever need. The pool outlives it. */
enum status prefix_cache_create(struct kv_pool *pool, struct prefix_cache **out, struct error *err);
void prefix_cache_destroy(struct prefix_cache *c); /* NULL is fine */

/* The page kept under the key, or PREFIX_NO_PAGE. */
uint32_t prefix_cache_find(const struct prefix_cache *c, const struct prefix_key *key);
/* The page and those before it count as used now. */
void prefix_cache_touch(struct prefix_cache *c, uint32_t page);
/* Keeps a page that follows `parent` (PREFIX_NO_PAGE: a first one) and returns it, or the page that
 * is kept under this key already and has the same content. PREFIX_NO_PAGE where the parent is not
 * kept: what follows it could not be found. */
uint32_t prefix_cache_keep(struct prefix_cache *c, uint32_t parent, const struct prefix_key *key,
                           uint32_t page);

/* All kept pages, each behind its parent: the one after `page`, which begins with PREFIX_NO_PAGE
 * and ends with it. Nothing may be kept or given back meanwhile. */
uint32_t prefix_cache_next(const struct prefix_cache *c, uint32_t page);
/* Of a kept page; *parent is PREFIX_NO_PAGE for a first one. */
void prefix_cache_look(const struct prefix_cache *c, uint32_t page, struct prefix_key *key,
                       uint32_t *parent);

/* Pages that only the cache holds. */
size_t prefix_cache_idle(const struct prefix_cache *c);
/* Gives up to n of them back to the pool, those not used for longest first, but none before those
 * that follow it; returns how many. */
size_t prefix_cache_evict(struct prefix_cache *c, size_t n);

#endif
