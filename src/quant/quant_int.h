/* The descriptors that registry.c lists: one line here and one there adds a tensor type. */
#ifndef HEARTH_QUANT_QUANT_INT_H
#define HEARTH_QUANT_QUANT_INT_H

#include "quant/quant.h"

extern const struct quant_traits quant_f32, quant_f16, quant_bf16;
extern const struct quant_traits quant_q4_0, quant_q4_1;
extern const struct quant_traits quant_q5_0, quant_q5_1;
extern const struct quant_traits quant_q8_0;
extern const struct quant_traits quant_q2_k, quant_q3_k, quant_q4_k, quant_q5_k, quant_q6_k;
extern const struct quant_traits quant_iq1_s, quant_iq1_m;
extern const struct quant_traits quant_iq2_xxs, quant_iq2_xs, quant_iq2_s;
extern const struct quant_traits quant_iq3_xxs, quant_iq3_s;
extern const struct quant_traits quant_iq4_nl, quant_iq4_xs;
extern const struct quant_traits quant_mxfp4, quant_nvfp4;
extern const struct quant_traits quant_tq1_0, quant_tq2_0;
extern const struct quant_traits quant_q1_0, quant_q2_0;

/* The encoders, as quant_traits.encode has them. */
bool quant_encode_q4_0(const float *src, const float *weights, void *dst, size_t n_blocks);
bool quant_encode_q4_1(const float *src, const float *weights, void *dst, size_t n_blocks);
bool quant_encode_q5_0(const float *src, const float *weights, void *dst, size_t n_blocks);
bool quant_encode_q5_1(const float *src, const float *weights, void *dst, size_t n_blocks);
bool quant_encode_q8_0(const float *src, const float *weights, void *dst, size_t n_blocks);
bool quant_encode_q2_k(const float *src, const float *weights, void *dst, size_t n_blocks);
bool quant_encode_q3_k(const float *src, const float *weights, void *dst, size_t n_blocks);
bool quant_encode_q4_k(const float *src, const float *weights, void *dst, size_t n_blocks);
bool quant_encode_q5_k(const float *src, const float *weights, void *dst, size_t n_blocks);
bool quant_encode_q6_k(const float *src, const float *weights, void *dst, size_t n_blocks);
bool quant_encode_iq4_nl(const float *src, const float *weights, void *dst, size_t n_blocks);
bool quant_encode_iq4_xs(const float *src, const float *weights, void *dst, size_t n_blocks);
bool quant_encode_mxfp4(const float *src, const float *weights, void *dst, size_t n_blocks);

#endif
