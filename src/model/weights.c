/* Packing a model's matrices: all threads take chunks of panels and interleave them, into a cache
 * file that later runs map as it is, or into memory where there can be no such file. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/machine.h"
#include "base/pool.h"
#include "model/model_int.h"
#include "model/pack_cache.h"

#define DATA_ALIGN  64
#define CHUNK_BYTES ((size_t)1 << 20)
#define MAX_THREADS 64

/* Panels [panel0, panel1) of one matrix: the unit of work. */
struct chunk {
    uint32_t matrix;
    uint32_t panel0, panel1;
};

/* A matrix of the model and its place in the packed data. */
struct item {
    struct weight *w;
    size_t panel_bytes;
    atomic_uint chunks_left; /* when none is, the file's pages are let go */
};

struct packing {
    const struct model *m;
    struct pack_plan plan;
    struct item *items; /* [plan.n_entries] */
    struct chunk *chunks;
    size_t n_chunks;
    size_t max_chunk_bytes;
    int n_threads;
    const struct model_options *opt;
    /* of one run: one of the two */
    uint8_t *memory;
    struct pack_writer *file;
    atomic_size_t next;
    _Atomic uint64_t done; /* bytes */
    atomic_bool failed;
    pthread_mutex_t lock; /* over err */
    struct error err;
};

/* ---- the plan -------------------------------------------------------------------------------- */

static size_t count_matrices(const struct model *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_stages; i++)
        for (size_t k = 0; k < STAGE_MATRICES; k++) n += m->stages[i].w[k].src != NULL;
    return n;
}

static uint64_t part_panels(const struct weight *w)
{
    return w->mat.n_rows / KERN_PANEL + (w->mat.n_rows % KERN_PANEL != 0);
}

struct kern_matrix weight_part(const struct weight *w, uint32_t i)
{
    struct kern_matrix m = w->mat;
    m.data += i * w->part_bytes;
    if (w->part_scale) m.scale = w->part_scale[i];
    return m;
}

/* Fills items and entries; false where the sizes overflow. */
static bool place_matrices(struct packing *p, struct model *m)
{
    uint64_t at = 0, n_panels, bytes, n_chunks = 0;
    size_t n = 0;
    for (size_t i = 0; i < m->n_stages * STAGE_MATRICES; i++) {
        struct weight *w = &m->stages[i / STAGE_MATRICES].w[i % STAGE_MATRICES];
        if (!w->src) continue;
        size_t panel_bytes = kern_panel_bytes(w->mat.type, w->mat.n_cols);
        n_panels = part_panels(w);
        if (!checked_mul(panel_bytes, n_panels, &bytes)) return false;
        w->part_bytes = bytes;
        if (!checked_mul(n_panels, w->n_parts, &n_panels) ||
            !checked_mul(panel_bytes, n_panels, &bytes) || n_panels > UINT32_MAX)
            return false;
        p->items[n].w = w;
        p->items[n].panel_bytes = panel_bytes;
        p->plan.entries[n++] = (struct pack_entry){
            .name_hash = pack_name_hash(w->src->name.data, w->src->name.len),
            .first_row = w->src_row,
            .rows = w->mat.n_rows * w->n_parts,
            .cols = w->mat.n_cols,
            .offset = at,
            .bytes = bytes,
            .type = w->mat.type->id,
        };
        if (!checked_add(at, bytes, &at) || !checked_align(at, DATA_ALIGN, &at)) return false;
        size_t per_chunk = panel_bytes < CHUNK_BYTES ? CHUNK_BYTES / panel_bytes : 1;
        n_chunks += (n_panels + per_chunk - 1) / per_chunk;
    }
    p->plan.data_bytes = at;
    p->n_chunks = n_chunks;
    return at < SIZE_MAX / 2;
}

static void cut_chunks(struct packing *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->plan.n_entries; i++) {
        size_t panel_bytes = p->items[i].panel_bytes;
        uint32_t n_panels = (uint32_t)(p->plan.entries[i].bytes / panel_bytes);
        uint32_t per_chunk = panel_bytes < CHUNK_BYTES ? (uint32_t)(CHUNK_BYTES / panel_bytes) : 1;
        for (uint32_t at = 0; at < n_panels; at += per_chunk) {
            uint32_t end = n_panels - at > per_chunk ? at + per_chunk : n_panels;
            p->chunks[n++] = (struct chunk){(uint32_t)i, at, end};
            size_t bytes = (end - at) * panel_bytes;
            if (bytes > p->max_chunk_bytes) p->max_chunk_bytes = bytes;
        }
    }
}

static void count_chunks_left(struct packing *p)
{
    for (size_t i = 0; i < p->plan.n_entries; i++) atomic_store(&p->items[i].chunks_left, 0);
    for (size_t i = 0; i < p->n_chunks; i++)
        atomic_fetch_add(&p->items[p->chunks[i].matrix].chunks_left, 1);
}

static enum status packing_init(struct packing *p, struct model *m, const struct model_options *opt,
                                struct error *err)
{
    memset(p, 0, sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    p->m = m;
    p->opt = opt;
    p->n_threads = opt->n_threads > 0 ? opt->n_threads : machine_physical_cores();
    if (p->n_threads > MAX_THREADS) p->n_threads = MAX_THREADS;
    p->plan.identity = gguf_identity(m->g);
    p->plan.n_entries = count_matrices(m);
    p->items = calloc(p->plan.n_entries + 1, sizeof *p->items);
    p->plan.entries = calloc(p->plan.n_entries + 1, sizeof *p->plan.entries);
    if (!p->items || !p->plan.entries) goto no_memory;
    if (!place_matrices(p, m))
        return error_set(err, ERR_LIMIT, "%s: the weights are larger than the address space",
                         gguf_path(m->g));
    p->chunks = calloc(p->n_chunks + 1, sizeof *p->chunks);
    if (!p->chunks) goto no_memory;
    cut_chunks(p);
    return OK;
no_memory:
    return error_set(err, ERR_NOMEM, "out of memory for the list of weights");
}

static void packing_fini(struct packing *p)
{
    free(p->items);
    free(p->plan.entries);
    free(p->chunks);
    pthread_mutex_destroy(&p->lock);
}

/* ---- the work -------------------------------------------------------------------------------- */

static void packing_fail(struct packing *p, const struct error *err)
{
    pthread_mutex_lock(&p->lock);
    if (!atomic_exchange(&p->failed, true)) p->err = *err;
    pthread_mutex_unlock(&p->lock);
}

static void pack_chunk(struct packing *p, const struct chunk *c, uint8_t *dst)
{
    struct item *it = &p->items[c->matrix];
    const struct kern_matrix *mat = &it->w->mat;
    const struct gguf_tensor *src = it->w->src;
    size_t row_bytes = mat->n_cols / mat->type->block_elems * mat->type->block_bytes;
    size_t panels = part_panels(it->w);
    for (size_t i = c->panel0; i < c->panel1; i++) {
        size_t row = i % panels * KERN_PANEL;
        size_t n = mat->n_rows - row < KERN_PANEL ? mat->n_rows - row : KERN_PANEL;
        size_t src_row = it->w->src_row + i / panels * it->w->src_rows + row;
        kern_pack_panel(mat->type, src->data + src_row * row_bytes, row_bytes, n, mat->n_cols,
                        dst + (i - c->panel0) * it->panel_bytes);
    }
    if (atomic_fetch_sub(&it->chunks_left, 1) == 1) gguf_tensor_release_pages(p->m->g, src);
}

/* Takes chunks until there are none; thread 0 reports progress. */
static void pack_chunks(void *ctx, int thread)
{
    struct packing *p = ctx;
    struct error err;
    uint8_t *buffer = p->file ? aligned_alloc(DATA_ALIGN, (p->max_chunk_bytes + DATA_ALIGN - 1) /
                                                              DATA_ALIGN * DATA_ALIGN)
                              : NULL;
    if (p->file && !buffer) {
        error_set(&err, ERR_NOMEM, "out of memory while packing the weights");
        packing_fail(p, &err);
    }
    size_t i;
    while (!atomic_load(&p->failed) && (i = atomic_fetch_add(&p->next, 1)) < p->n_chunks) {
        const struct chunk *c = &p->chunks[i];
        size_t panel_bytes = p->items[c->matrix].panel_bytes;
        size_t bytes = (c->panel1 - c->panel0) * panel_bytes;
        uint64_t offset = p->plan.entries[c->matrix].offset + c->panel0 * (uint64_t)panel_bytes;
        pack_chunk(p, c, p->file ? buffer : p->memory + offset);
        if (p->file && pack_writer_put(p->file, offset, buffer, bytes, &err)) packing_fail(p, &err);
        uint64_t done = atomic_fetch_add(&p->done, bytes) + bytes;
        if (thread == 0 && p->opt->progress)
            p->opt->progress(p->opt->progress_ctx, done, p->plan.data_bytes);
    }
    free(buffer);
}

/* Packs everything into p->memory or p->file. */
static enum status pack_all(struct packing *p, struct error *err)
{
    struct pool *pool = NULL;
    atomic_store(&p->next, 0);
    atomic_store(&p->done, 0);
    atomic_store(&p->failed, false);
    count_chunks_left(p);
    /* Fewer threads than wanted is no failure: this one can pack alone. */
    for (int n = p->n_threads; n > 1 && !pool; n /= 2)
        if (pool_create(n, &pool, NULL) != OK) pool = NULL;
    if (pool)
        pool_run(pool, pack_chunks, p);
    else
        pack_chunks(p, 0);
    pool_destroy(pool);
    if (!atomic_load(&p->failed)) {
        if (p->opt->progress)
            p->opt->progress(p->opt->progress_ctx, p->plan.data_bytes, p->plan.data_bytes);
        return OK;
    }
    if (err) *err = p->err;
    return p->err.code;
}

static enum status pack_to_cache(struct packing *p, struct error *err)
{
    enum status st = pack_writer_begin(p->opt->cache_dir, &p->plan, &p->file, err);
    if (!st) {
        st = pack_all(p, err);
        if (st)
            pack_writer_abandon(p->file);
        else
            st = pack_writer_commit(p->file, err);
    }
    p->file = NULL;
    return st;
}

static enum status pack_to_memory(struct packing *p, struct pack_map *out, struct error *err)
{
    size_t bytes = p->plan.data_bytes ? p->plan.data_bytes : 1;
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return error_set(err, ERR_NOMEM, "%s: out of memory for %zu MiB of weights",
                         gguf_path(p->m->g), bytes >> 20);
    (void)madvise(map, bytes, MADV_HUGEPAGE);
    *out = (struct pack_map){map, bytes, map};
    p->memory = map;
    enum status st = pack_all(p, err);
    if (st)
        pack_map_close(out);
    else
        (void)mprotect(map, bytes, PROT_READ);
    return st;
}

/* gguf has checked every size; a tensor that would overflow when packed counts as in the file. */
uint64_t model_weight_memory(const struct gguf *g)
{
    uint64_t sum = 0, packed;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        const struct quant_traits *type = quant_find(t->type);
        uint64_t rows = t->n_dims > 1 ? t->ne[1] * t->ne[2] * t->ne[3] : 0;
        if (rows && type && kern_type_supported(type) &&
            checked_mul(kern_panel_bytes(type, t->ne[0]), rows, &packed))
            sum += packed / KERN_PANEL;
        else
            sum += t->size;
    }
    return sum;
}

/* ---- loading --------------------------------------------------------------------------------- */

static enum status load_cached(struct packing *p, struct pack_map *map, struct error *note)
{
    const char *dir = p->opt->cache_dir;
    if (pack_cache_open(dir, &p->plan, map, note) == OK) return OK;
    enum status st = pack_to_cache(p, note);
    return st ? st : pack_cache_open(dir, &p->plan, map, note);
}

enum status weights_load(struct model *m, const struct model_options *opt, struct error *err)
{
    struct packing p;
    struct pack_map map = {0};
    enum status st = packing_init(&p, m, opt, err);
    if (st) goto out;
    struct error note = {0};
    if (opt->cache_dir && load_cached(&p, &map, &note) == OK) {
        m->packed_mapped = true;
    } else {
        if (opt->cache_dir) m->cache_note = note;
        st = pack_to_memory(&p, &map, err);
        if (st) goto out;
    }
    m->packed = map.data;
    m->packed_bytes = p.plan.data_bytes;
    m->packed_map = map.map;
    m->packed_map_bytes = map.map_bytes;
    for (size_t i = 0; i < p.plan.n_entries; i++)
        p.items[i].w->mat.data = m->packed + p.plan.entries[i].offset;
    /* Reading the vectors has mapped what lies around them: matrices that are used packed. */
    for (size_t i = 0; i < gguf_n_tensors(m->g); i++)
        gguf_tensor_release_pages(m->g, gguf_tensor_at(m->g, i));
out:
    packing_fini(&p);
    return st;
}

void weights_unload(struct model *m)
{
    struct pack_map map = {m->packed_map, m->packed_map_bytes, m->packed};
    pack_map_close(&map);
    if (m->settle.to) (void)munmap(m->settle.to, m->settle.bytes);
    m->settle.to = NULL;
    m->packed = NULL;
    m->packed_map = NULL;
}
