/* Packed weights kept on disk between runs.
 *
 * A cache is one file, IDENTITY-VERSION.pack, where IDENTITY is gguf_identity() of the model file
 * and VERSION is KERN_PACK_VERSION: a header that is a function of the plan alone, then the packed
 * bytes of all matrices at the offsets that the plan names. It is written beside its final place,
 * synced and then renamed, so a file of that name is whole; it is used only where its size and
 * every byte of its header are what this model's plan makes. Integers are those of this machine: a
 * cache does not travel. */
#ifndef HEARTH_MODEL_PACK_CACHE_H
#define HEARTH_MODEL_PACK_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* One matrix, as it stands in the header. */
struct pack_entry {
    uint64_t name_hash;             /* pack_name_hash of the tensor's name */
    uint64_t first_row, rows, cols; /* first_row: in the tensor of that name */
    uint64_t offset, bytes;         /* in the packed data; offsets are multiples of 64 */
    uint64_t type;                  /* quant_id */
};

/* What a model wants packed. */
struct pack_plan {
    const char *identity;
    struct pack_entry *entries;
    size_t n_entries;
    uint64_t data_bytes;
};

uint64_t pack_name_hash(const char *name, size_t len);

/* A mapping of packed data, read-only. */
struct pack_map {
    void *map;
    uint64_t map_bytes;
    const uint8_t *data; /* plan.data_bytes of them */
};

/* ERR_NOT_FOUND where there is no cache, ERR_FORMAT where it is not this plan's, ERR_IO or
 * ERR_NOMEM. */
enum status pack_cache_open(const char *dir, const struct pack_plan *plan, struct pack_map *out,
                            struct error *err);
void pack_map_close(struct pack_map *m);

/* A cache being written. Folders are made as needed and the disk space is set aside at once, so
 * that a full disk shows here. */
struct pack_writer;
enum status pack_writer_begin(const char *dir, const struct pack_plan *plan,
                              struct pack_writer **out, struct error *err);
/* Writes packed data at an offset of the plan; any thread, disjoint ranges. */
enum status pack_writer_put(struct pack_writer *w, uint64_t offset, const void *data, size_t len,
                            struct error *err);
/* Makes the cache durable and visible. The writer is gone either way. */
enum status pack_writer_commit(struct pack_writer *w, struct error *err);
void pack_writer_abandon(struct pack_writer *w); /* NULL is fine */

#endif
