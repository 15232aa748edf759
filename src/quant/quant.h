/* Tensor block formats: what a row of a weight matrix looks like in a file, and its exact value.
 *
 * One file per family exports one `struct quant_traits`; registry.c lists them. The ids are GGUF's
 * tensor type numbers. Decoding here is the scalar truth that every kernel is compared with. */
#ifndef HEARTH_QUANT_QUANT_H
#define HEARTH_QUANT_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum quant_id {
    QUANT_F32 = 0,
    QUANT_F16 = 1,
    QUANT_Q4_0 = 2,
    QUANT_Q4_1 = 3,
    QUANT_Q5_0 = 6,
    QUANT_Q5_1 = 7,
    QUANT_Q8_0 = 8,
    QUANT_Q2_K = 10,
    QUANT_Q3_K = 11,
    QUANT_Q4_K = 12,
    QUANT_Q5_K = 13,
    QUANT_Q6_K = 14,
    QUANT_BF16 = 30,
};

struct quant_traits {
    uint32_t id;
    const char *name;     /* "Q4_K", as llama.cpp prints it */
    uint32_t block_elems; /* elements per block; a row is a whole number of blocks */
    uint32_t block_bytes;
    /* Writes n_blocks * block_elems floats. src has any alignment. Values are those of llama.cpp's
     * dequantize_row_* bit for bit. */
    void (*decode)(const void *src, float *dst, size_t n_blocks);
    /* Writes n_blocks * block_bytes bytes that decode to values near those of src, or NULL where
     * Hearth does not write the type. Minimises the squared error, each element's times its weight:
     * weights has n_blocks * block_elems non-negative finite numbers, or is NULL for 1 each. The
     * result depends on nothing else. False where a value is not finite or larger than the type
     * holds; dst is then of no use. */
    bool (*encode)(const float *src, const float *weights, void *dst, size_t n_blocks);
};

/* NULL for an id that Hearth does not know. */
const struct quant_traits *quant_find(uint32_t id);
/* All known types, ended by NULL. */
const struct quant_traits *const *quant_all(void);

/* IEEE half and bfloat16, exact; to half rounds to nearest even. */
float quant_f16_to_f32(uint16_t h);
uint16_t quant_f32_to_f16(float f);
float quant_bf16_to_f32(uint16_t b);
uint16_t quant_f32_to_bf16(float f);

#endif
