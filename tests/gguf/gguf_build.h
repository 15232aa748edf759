/* Writes GGUF files in memory, sound ones and broken ones, for the tests of the reader. Any failure
 * of the writer itself aborts the test program. */
#ifndef HEARTH_TESTS_GGUF_BUILD_H
#define HEARTH_TESTS_GGUF_BUILD_H

#include "base/buf.h"
#include "gguf/gguf.h"

struct gguf_build {
    uint32_t version;
    uint32_t alignment;         /* of the data; write the key yourself where it is not 32 */
    uint64_t n_keys, n_tensors; /* counted as they are added; change them to lie */
    struct buf keys, tensors, data;
};

void build_init(struct gguf_build *b, uint32_t version);
void build_fini(struct gguf_build *b);

/* Numbers are written in as many bytes as the type has. */
void build_number(struct gguf_build *b, const char *key, enum gguf_type type, uint64_t bits);
void build_f32(struct gguf_build *b, const char *key, float value);
void build_str(struct gguf_build *b, const char *key, const char *value);
void build_array(struct gguf_build *b, const char *key, enum gguf_type elem, uint64_t count,
                 const void *bytes, size_t len);
void build_strings(struct gguf_build *b, const char *key, const char *const *values, size_t n);
/* A key with any name, any type number and any bytes after it. */
void build_raw_key(struct gguf_build *b, const char *name, size_t name_len, uint32_t type,
                   const void *bytes, size_t len);

/* A tensor with its data, `size` bytes counting up from the tensor's number. Dimensions end at a 0.
 */
void build_tensor(struct gguf_build *b, const char *name, uint32_t type, const uint64_t *ne,
                  size_t size);
/* Only the entry, as given. */
void build_raw_tensor(struct gguf_build *b, const char *name, uint32_t n_dims, const uint64_t *ne,
                      uint32_t type, uint64_t offset);

/* Appends the file to `out`. */
void build_finish(const struct gguf_build *b, struct buf *out);

/* A model with keys of every type and tensors of several, in `out`. */
void build_sample(uint32_t version, struct buf *out);

#endif
