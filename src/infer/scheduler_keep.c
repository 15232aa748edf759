/* The beginnings that a scheduler kept, beyond its end: the pool itself lives on, with those pages
 * and without the memory of the others, so that nothing is copied. */
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf.h"
#include "infer/scheduler_int.h"

static size_t pages_held(const struct sched_pages *p)
{
    return kv_pool_pages(p->pool) - kv_pool_pages_free(p->pool);
}

static void identify(const struct engine *e, char out[64])
{
    const char *identity = e->g ? gguf_identity(e->g) : "";
    memset(out, 0, 64);
    memcpy(out, identity, strnlen(identity, 64));
}

bool sched_pages_fit(const struct sched_pages *p, const struct scheduler *s)
{
    const struct model_info *info = model_info(s->e->model);
    const char *kv_type = info->kv_type ? info->kv_type : "";
    char identity[64];
    identify(s->e, identity);
    return memcmp(p->identity, identity, sizeof identity) == 0 &&
           strncmp(p->kv_type, kv_type, sizeof p->kv_type) == 0 &&
           p->page_bytes == info->kv_bytes_per_page && p->n_ctx == s->opt.n_ctx &&
           kv_pool_pages(p->pool) == pages_for(s->opt.kv_tokens);
}

struct sched_pages *sched_pages_take(struct scheduler *s, uint64_t max_bytes)
{
    const struct model_info *info = model_info(s->e->model);
    uint64_t most = info->kv_bytes_per_page ? max_bytes / info->kv_bytes_per_page : 0;
    struct sched_pages *p = s->cache && most ? calloc(1, sizeof *p) : NULL;
    if (!p) return NULL;
    p->pool = s->pool;
    p->cache = s->cache;
    p->n_ctx = s->opt.n_ctx;
    p->page_bytes = info->kv_bytes_per_page;
    identify(s->e, p->identity);
    if (info->kv_type) memcpy(p->kv_type, info->kv_type, strnlen(info->kv_type, sizeof p->kv_type));
    s->pool = NULL;
    s->cache = NULL;
    if (pages_held(p) > most) prefix_cache_evict(p->cache, pages_held(p) - (size_t)most);
    if (pages_held(p) == 0 || pages_held(p) > most) {
        sched_pages_destroy(p);
        return NULL;
    }
    kv_pool_trim(p->pool);
    return p;
}

uint64_t sched_pages_bytes(const struct sched_pages *p)
{
    return p ? pages_held(p) * p->page_bytes : 0;
}

void sched_pages_destroy(struct sched_pages *p)
{
    if (!p) return;
    prefix_cache_destroy(p->cache);
    kv_pool_destroy(p->pool);
    free(p);
}
