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
    QUANT_IQ2_XXS = 16,
    QUANT_IQ2_XS = 17,
    QUANT_IQ3_XXS = 18,
    QUANT_IQ1_S = 19,
    QUANT_IQ4_NL = 20,
    QUANT_IQ3_S = 21,
    QUANT_IQ2_S = 22,
    QUANT_IQ4_XS = 23,
    QUANT_IQ1_M = 29,
    QUANT_BF16 = 30,
    QUANT_TQ1_0 = 34,
    QUANT_TQ2_0 = 35,
    QUANT_MXFP4 = 39,
    QUANT_NVFP4 = 40,
    QUANT_Q1_0 = 41,
    QUANT_Q2_0 = 42,
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
     * weights has n_blocks * block_elems non-negative finite numbers; NULL weighs larger elements
     * somewhat more. The result depends on nothing else. False where a value is not finite or
     * larger than the type holds; dst is then of no use. */
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

/* Half of the eight-bit scales of the FP4 types, so that values of E2M1 can stand doubled, as
 * integers. E8M0: 2^(e - 128), for e of 255 as well. E4M3: seven bits of exponent (bias 7) and
 * mantissa, the eighth without a meaning; the byte 0x7f is 0 as ggml has it (0xff is not). */
float quant_e8m0_half_to_f32(uint8_t e);
float quant_e4m3_half_to_f32(uint8_t e);

#endif
