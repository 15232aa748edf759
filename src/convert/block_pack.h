/* GPTQ and AWQ matrices in GGUF's block types, by their whole numbers and scales and not by the
 * floats that these make, so that nothing is rounded where a type can hold both. */
#ifndef HEARTH_CONVERT_BLOCK_PACK_H
#define HEARTH_CONVERT_BLOCK_PACK_H

#include "convert/hf_view.h"

/* The type for matrices that become one tensor: the smallest that is exact, or whose only error is
 * its own rounding of the smallest element to half precision (Q4_1); with `exact` no such rounding
 * where a larger type avoids it. Where the groups do not lie along the blocks, none is exact: Q8_0,
 * or F16 with `exact`.
 *
 *   q - zero in [-8, 7]       Q4_0: its scale is the group's. 2 and 3 bits always, 4 with zero 8.
 *   q - zero in [-15, 15]     Q4_1: scale, and -scale * zero rounded; Q5_0 with `exact`
 *   q - zero in [-128, 127]   Q8_0
 *   beyond                    Q8_0, nearest, for the blocks that go beyond; F16 with `exact`
 */
uint32_t pack_type(const struct hf_view *parts, size_t n_parts, bool exact);

/* Writes a row of one of those types but F16. `numbers`: scratch of cols; `floats`: the row as
 * hf_view_row gives it. False where a scale is no finite half. */
bool pack_row(const struct hf_view *v, uint64_t row, uint32_t type, int16_t *numbers,
              const float *floats, uint8_t *dst);

/* The same for MXFP4 sources and QUANT_MXFP4, whose bits only move. */
void pack_mxfp4_row(const struct hf_source *s, uint64_t at, uint64_t cols, uint8_t *dst);

#endif
