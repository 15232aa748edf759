/* Makes small model files for tests: a valid model, then whatever is changed about it. */
#ifndef HEARTH_TESTS_TINY_MODEL_H
#define HEARTH_TESTS_TINY_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "gguf/gguf.h"
#include "quant/quant.h"

#define TINY_MAX_KEYS    64
#define TINY_MAX_TENSORS 64

struct tiny_key {
    char name[80];
    enum gguf_type type; /* GGUF_U32, _F32, _STRING, or GGUF_ARRAY of u32 */
    uint32_t u32[4];
    uint32_t count; /* of the array */
    float f32;
    char str[32];
};

struct tiny_tensor {
    char name[80];
    uint32_t type, n_dims;
    uint64_t ne[4];
};

struct tiny_model {
    struct tiny_key keys[TINY_MAX_KEYS];
    size_t n_keys;
    struct tiny_tensor tensors[TINY_MAX_TENSORS];
    size_t n_tensors;
    uint32_t seed; /* of the tensors' bytes */
};

/* A model of two layers, 64 wide, 4 heads of 16 on 2 key/value heads, 96 in the feed-forward layer,
 * 50 tokens, its matrices Q8_0; tied where the architecture is llama, with biases where qwen2. */
void tiny_init(struct tiny_model *t, const char *arch);
/* These replace a key of the same name. */
void tiny_u32(struct tiny_model *t, const char *key, uint32_t value);
void tiny_f32(struct tiny_model *t, const char *key, float value);
void tiny_str(struct tiny_model *t, const char *key, const char *value);
void tiny_array(struct tiny_model *t, const char *key, uint32_t count, const uint32_t *values);
void tiny_drop_key(struct tiny_model *t, const char *key);
/* Adds or replaces a tensor; ne1 0 makes a vector. */
void tiny_tensor(struct tiny_model *t, const char *name, uint32_t type, uint64_t ne0, uint64_t ne1);
void tiny_drop_tensor(struct tiny_model *t, const char *name);

/* Writes the file: F32 tensors hold numbers in [0.5, 1.5), others random bytes. */
void tiny_write(const struct tiny_model *t, const char *path);

/* A new empty folder under the system's temporary one; the caller frees the name. */
char *tiny_make_dir(void);
/* Removes a folder with all that is in it, one level deep. */
void tiny_remove_dir(const char *dir);

#endif
