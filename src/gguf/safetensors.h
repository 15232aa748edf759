/* safetensors files: one file, or the shards of a Hugging Face folder, mapped read-only.
 *
 * Format: a u64 with the header's length, a JSON object {name: {dtype, shape, data_offsets}}, the
 * tensors' bytes (huggingface/safetensors, README). Opening checks every count, length and offset
 * against the file's size: tensors that overlap, leave gaps, occur twice or have another size than
 * their shape are refused. Afterwards the object is immutable: any thread may read it. */
#ifndef HEARTH_GGUF_SAFETENSORS_H
#define HEARTH_GGUF_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"
#include "gguf/gguf.h"

enum safetensor_type {
    ST_BOOL,
    ST_U8,
    ST_I8,
    ST_F8_E4M3,
    ST_F8_E5M2,
    ST_F8_E8M0,
    ST_U16,
    ST_I16,
    ST_F16,
    ST_BF16,
    ST_U32,
    ST_I32,
    ST_F32,
    ST_U64,
    ST_I64,
    ST_F64,
};

enum { SAFETENSORS_MAX_DIMS = 8 };

struct safetensor {
    struct gguf_str name; /* NUL-terminated, without a NUL inside */
    enum safetensor_type type;
    uint32_t n_dims;                      /* 0..SAFETENSORS_MAX_DIMS; 0 is a single number */
    uint64_t shape[SAFETENSORS_MAX_DIMS]; /* slowest first; unused ones are 1 */
    uint64_t count;                       /* of elements: the product of the shape */
    const uint8_t *data;                  /* little-endian, in the mapping, of any alignment */
    uint64_t size;                        /* bytes */
    uint32_t shard;
};

struct safetensors;

/* Opens a file, or a folder: its model.safetensors.index.json and the shards that it names, else
 * its model.safetensors, else its only *.safetensors file or complete set of *-00001-of-0000N
 * ones. On failure *out is NULL and err names the file and the tensor at fault. */
enum status safetensors_open(const char *path, struct safetensors **out, struct error *err);
void safetensors_close(struct safetensors *s); /* NULL is fine */

size_t safetensors_count(const struct safetensors *s);
/* In the order of the shards, and of each shard's header. */
const struct safetensor *safetensors_at(const struct safetensors *s, size_t i);
const struct safetensor *safetensors_find(const struct safetensors *s,
                                          const char *name); /* or NULL */

size_t safetensors_n_shards(const struct safetensors *s);
uint64_t safetensors_bytes(const struct safetensors *s); /* of all shards */

/* Identity of the opened bytes: path, device, inode, size and time of change of every shard and the
 * headers' bytes, as a lower-case hex SHA-256. */
enum status safetensors_identity(const struct safetensors *s, char hex[SHA256_HEX_SIZE],
                                 struct error *err);

/* Tells the kernel that a tensor's pages are not needed any more (they stay readable). */
void safetensors_release_pages(const struct safetensors *s, const struct safetensor *t);

/* "BF16", as the header spells it, and bytes per element. */
const char *safetensor_type_name(enum safetensor_type type);
size_t safetensor_type_size(enum safetensor_type type);

#endif
