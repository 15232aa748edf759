/* Hugging Face folders for tests: safetensors files from tensors, and weights that a test can make
 * again from their names (tools/golden/hf_golden.py has the same formula). */
#ifndef HEARTH_TESTS_CONVERT_HF_KIT_H
#define HEARTH_TESTS_CONVERT_HF_KIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "gguf_files.h"

struct st_build {
    struct buf header, data;
};
void st_begin(struct st_build *b);
/* shape: n_dims numbers, slowest first. */
void st_add(struct st_build *b, const char *name, const char *type, size_t n_dims,
            const uint64_t *shape, const void *data, size_t size);
/* The file's bytes into `out`, which is initialised here; frees `b`. */
void st_end(struct st_build *b, struct buf *out);
/* The same as a file of the folder. */
void st_write(struct st_build *b, const struct files *f, const char *name);

/* Element i of the weight of that name: a multiple of 1/1024 in [-1/8, 1/8). */
float hf_weight(const char *name, uint64_t i);
/* Adds a weight of those numbers; type: "F32", "F16", "BF16", or "U8" for
 * bytes that are 1024 times them. */
void st_add_weight(struct st_build *b, const char *name, const char *type, size_t n_dims,
                   const uint64_t *shape);

/* Adds every tensor of a safetensors file, `from` in their names replaced by `to`. */
void st_add_file(struct st_build *b, const char *path, const char *from, const char *to);

/* A llama of one layer in BF16, `width` wide with four heads and one head for keys and values,
 * whose weights with `without` in their names (NULL: none) are left to the caller. Begins `b`, and
 * writes the folder's config.json with `more` in it ("" or ", ..."). */
void hf_tiny_llama(struct st_build *b, const struct files *f, uint64_t width, const char *without,
                   const char *more);

#endif
