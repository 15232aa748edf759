/* What the files of this module share. */
#ifndef HEARTH_GGUF_GGUF_INT_H
#define HEARTH_GGUF_GGUF_INT_H

#include "base/file.h"
#include "base/sha256.h"
#include "gguf/gguf.h"
#include "gguf/gguf_names.h"

enum {
    GGUF_MAX_KEYS = 1 << 16,
    GGUF_MAX_TENSORS = 1 << 20, /* of all shards together */
    GGUF_MAX_KEY_LEN = 65535,   /* the format's own limit */
    GGUF_MAX_NAME_LEN = 1024,
    GGUF_MAX_SHARDS = 4096,
    GGUF_DEFAULT_ALIGNMENT = 32,
};

/* The name comes first in keys and tensors, so that one index serves both. */
struct gguf_key {
    struct gguf_str name;
    enum gguf_type type;
    enum gguf_type elem; /* of an array */
    uint64_t count;      /* array elements; 1 for anything else */
    uint64_t bytes;      /* of the value: a string's without its length field */
    const uint8_t *data; /* the value, in the mapping */
};

struct gguf_key_list {
    struct gguf_key *v;
    size_t n;
    const struct gguf_str **by_name; /* sorted */
};

struct gguf_tensor_list {
    struct gguf_tensor *v;
    size_t n;
    const struct gguf_str **by_name;
};

struct gguf_shard {
    char *path;
    struct file_map map;
    bool mapped; /* by us, as opposed to memory lent by the caller */
    uint32_t version;
    uint64_t header_bytes; /* up to the end of the tensor table */
};

struct gguf {
    struct gguf_shard *shards;
    size_t n_shards;
    uint64_t file_bytes;
    struct gguf_key_list keys; /* the first shard's */
    struct gguf_tensor_list tensors;
    char identity[SHA256_HEX_SIZE];
};

/* Opens a file's bytes that lie in memory and stay there, for tests and fuzzing. `name` stands for
 * the path in messages. Shards are looked for beside that path. */
enum status gguf_open_memory(const void *data, size_t size, const char *name, struct gguf **out,
                             struct error *err);

/* Reads a shard's header: fills `keys`, which must be empty, and appends to `tensors`. On failure
 * the lists hold what the caller frees anyway. */
enum status gguf_parse(struct gguf_shard *shard, struct gguf_key_list *keys,
                       struct gguf_tensor_list *tensors, struct error *err);
void gguf_keys_fini(struct gguf_key_list *keys);

/* As the public getters, on a list of keys; `path` is for messages. */
const struct gguf_key *gguf_keys_find(const struct gguf_key_list *keys, const char *key);
enum status gguf_keys_u64(const struct gguf_key_list *keys, const char *path, const char *key,
                          uint64_t max, uint64_t *out, struct error *err);

/* Sets the error for a file without GGUF's signature: what it seems to be and what to do. */
enum status gguf_not_a_model(const struct gguf_shard *shard, struct error *err);

/* A name from a file for a message: printable ASCII, shortened. */
struct gguf_shown {
    char s[84];
};
struct gguf_shown gguf_show(struct gguf_str name);

static inline uint32_t gguf_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t gguf_load_u64(const uint8_t *p)
{
    return gguf_load_u32(p) | (uint64_t)gguf_load_u32(p + 4) << 32;
}

#endif
