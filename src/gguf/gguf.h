/* GGUF model files, versions 2 and 3, one file or shards, mapped read-only.
 * Format: ggml's docs/gguf.md.
 *
 * Opening checks every count, length, offset, type and string against the file's size before it is
 * used; afterwards all accessors are infallible or report a wrong type. The object is immutable:
 * any thread may read it. Strings and arrays point into the mapping and live as long as it. */
#ifndef HEARTH_GGUF_GGUF_H
#define HEARTH_GGUF_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct gguf;

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64
};

/* Borrowed bytes, not NUL-terminated, not necessarily UTF-8. */
struct gguf_str {
    const char *data;
    size_t len;
};

struct gguf_array {
    enum gguf_type type; /* of the elements; never GGUF_ARRAY */
    uint64_t count;
    uint64_t bytes;      /* of data */
    const uint8_t *data; /* packed little-endian elements, unaligned; strings: u64 length + bytes */
};

struct gguf_tensor {
    struct gguf_str name;
    uint32_t type;       /* a type that quant_find() knows */
    uint32_t n_dims;     /* 1..4 */
    uint64_t ne[4];      /* elements per dimension, fastest first; unused ones are 1 */
    const uint8_t *data; /* inside the mapping, aligned to general.alignment */
    uint64_t size;       /* bytes, checked to lie inside the file */
};

/* Opens a file; for the first of several shards (split.count > 1) the others beside it too.
 * On failure *out is NULL and err names the file and the key or tensor at fault. */
enum status gguf_open(const char *path, struct gguf **out, struct error *err);
void gguf_close(struct gguf *g); /* NULL is fine */

const char *gguf_path(const struct gguf *g);
uint32_t gguf_version(const struct gguf *g);
uint64_t gguf_file_bytes(const struct gguf *g); /* all shards together */

/* Identity of the opened bytes for caches: device, inode, size and time of change of every shard
 * and the header's bytes (of a long header, a sample of them), as a lower-case hex SHA-256. */
const char *gguf_identity(const struct gguf *g);

/* Keys, in file order, those of the first shard. */
size_t gguf_n_keys(const struct gguf *g);
struct gguf_str gguf_key_name(const struct gguf *g, size_t i);
enum gguf_type gguf_key_type(const struct gguf *g, size_t i);

/* Each getter returns OK, ERR_NOT_FOUND where the key is absent, or ERR_FORMAT where it has another
 * type; err (may be NULL) names file and key. Integer getters accept every integer type whose value
 * fits; get_f64 accepts integers and floats. */
enum status gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out, struct error *err);
enum status gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct error *err);
enum status gguf_get_i64(const struct gguf *g, const char *key, int64_t *out, struct error *err);
enum status gguf_get_f64(const struct gguf *g, const char *key, double *out, struct error *err);
enum status gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct error *err);
enum status gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out,
                         struct error *err);
enum status gguf_get_array(const struct gguf *g, const char *key, struct gguf_array *out,
                           struct error *err);

/* Walks an array of strings: start with *cursor = 0, returns false at the end. */
bool gguf_array_next_str(const struct gguf_array *a, uint64_t *cursor, struct gguf_str *out);
/* Element i of a numeric array, converted; values that int64_t cannot hold become the nearest that
 * it can, a NaN and a string 0. i < count is the caller's duty. */
double gguf_array_f64(const struct gguf_array *a, uint64_t i);
int64_t gguf_array_i64(const struct gguf_array *a, uint64_t i);

/* Tensors of all shards, in one array: tensor i is gguf_tensor_at(g, 0) + i. */
size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name); /* or NULL */

/* Tells the kernel that a tensor's pages are not needed any more (they stay readable). */
void gguf_tensor_release_pages(const struct gguf *g, const struct gguf_tensor *t);

bool gguf_str_eq(struct gguf_str a, const char *b);

#endif
