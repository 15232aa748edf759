/* Numeric kernels: what a forward pass is made of.
 *
 * Weights are used in *packed* form: 16 rows of a matrix interleaved into a panel, so that one
 * broadcast activation feeds 16 outputs and one kernel shape serves one row of activations and a
 * thousand. A panel has the bytes of its rows, but for the types that have no kernels of their own and
 * are carried by a larger form (kern/pack.h), in which they are the same numbers. Activations meet
 * quantized weights as int8 in blocks of 32 or 16 with a float scale. Integer sums are exact and the
 * float sums run over the blocks in ascending order with fused multiply-adds, so every implementation,
 * every batch size and every split over threads gives the same bits.
 *
 * `struct kern_ops` is the table of operations; kern_select picks the best one for this CPU. */
#ifndef HEARTH_KERN_KERN_H
#define HEARTH_KERN_KERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "quant/quant.h"

#define KERN_PANEL 16      /* rows per panel */
#define KERN_KV_PAGE 32    /* positions per page of the KV cache */
#define KERN_TILE_MAX 12   /* activation rows that one kernel call interleaves */
#define KERN_MATMUL_SCRATCH (96 * 1024)
#define KERN_HEAD_MAX 576  /* dimensions of a key or a value: those of multi-head latent attention */

/* ---- packed weights --------------------------------------------------------------------------- */

/* A matrix of n_rows outputs by n_cols inputs. data holds ceil(n_rows / 16) panels; missing rows of
 * the last panel are zero. 64-byte aligned. */
struct kern_matrix {
    const struct quant_traits *type;
    size_t n_rows, n_cols;
    const uint8_t *data;
    float scale; /* multiplies every output; 0 stands for 1 */
};

/* Changes whenever the packed layout does: part of a packed cache's key. */
#define KERN_PACK_VERSION 1
/* Changes whenever arithmetic moves a bit of what a forward pass computes, or a page of the KV cache is
 * laid out otherwise: part of what a kept session is known by. tests/model/test_kv_file.c notices. */
#define KERN_NUMERIC_VERSION 1

/* True where this type has kernels. */
bool kern_type_supported(const struct quant_traits *type);
/* Of a type that has kernels; n_cols is a whole number of its blocks. Between 1 and 4 times the bytes of
 * 16 rows in a file. */
size_t kern_panel_bytes(const struct quant_traits *type, size_t n_cols);
/* Packs n_rows (1..16) consecutive rows as they stand in a model file, row_bytes apart. */
void kern_pack_panel(const struct quant_traits *type, const uint8_t *rows, size_t row_bytes,
                     size_t n_rows, size_t n_cols, uint8_t *panel);

/* ---- activations ------------------------------------------------------------------------------ */

/* Quantized activations: int8 with a scale for each block of 32 columns, or of 16 for the weight
 * types that are exact enough to deserve it (Q8_0) or have scales of 16 columns anyway (Q2_K, Q3_K,
 * Q6_K, NVFP4, and those that a form with such scales carries); int16 with a scale for each 32 columns
 * for F16 and BF16. */
enum kern_act_format { KERN_ACT_32, KERN_ACT_16, KERN_ACT_INT16, KERN_ACT_FLOAT };
#define KERN_ACT_FORMATS 3

struct kern_act_q {
    int8_t *q; /* [n_rows * n_cols], for KERN_ACT_INT16 twice as many bytes */
    /* [n_rows * n_cols / block] each */
    float *scale;
    int32_t *neg_sum; /* minus the sum of the block's quantized values */
    float *bias;      /* scale times that sum */
};

/* n_rows vectors of n_cols floats, prepared once and shared by all matrices that read them. Rows are
 * grouped in tiles of up to KERN_TILE_MAX rows; within a tile of width w the int8 values stand as
 * [n_cols/4][w][4], int16 as [n_cols/2][w][2], the others as [n_cols/block][w]. Tile t starts at row
 * t * KERN_TILE_MAX. n_cols is a multiple of 32 when int8 is used. */
struct kern_act {
    size_t n_rows, n_cols;
    const float *f32; size_t f32_stride; /* the rows themselves, for float weights */
    struct kern_act_q fmt[KERN_ACT_FORMATS];
};

/* What a matrix of that type and width multiplies with. */
enum kern_act_format kern_act_format(const struct quant_traits *type, size_t n_cols);

/* ---- attention -------------------------------------------------------------------------------- */

/* How a page of the KV cache keeps the 32 keys or values of one layer and KV head. Keys stand as
 * [head_dim][32 positions], so that a vector holds one dimension of 16 positions; values as
 * [32 positions][head_dim]. The quantized formats have blocks of 32 dimensions of a position with a
 * half as scale; the scales, [head_dim / 32][32 positions], follow the numbers. Four-bit numbers are
 * two a byte: dimensions i and i + 16 of a block. */
enum kern_kv_format {
    KERN_KV_F16,
    KERN_KV_Q8, /* int8 times the scale */
    KERN_KV_Q4, /* (0..15) - 8 times the scale */
};
#define KERN_KV_FORMATS 3

/* Bytes of 32 keys or values of head_dim dimensions, up to KERN_HEAD_MAX: a multiple of 64; 0 where the
 * format cannot hold vectors of that size (Q8, Q4: head_dim is a multiple of 32). Keys and values may
 * differ in it. */
size_t kern_kv_bytes(enum kern_kv_format f, size_t head_dim);
/* Position `at` (0..31) of such keys or values as floats: plain C, the reference for the kernels. */
void kern_kv_read(enum kern_kv_format f, bool keys, const uint8_t *data, size_t head_dim, size_t at,
                  float *x);

/* out[i] = sum over the positions j that query i sees of softmax(score(i, j)) * value(j), where
 *
 *     score(i, j) = cap(scale * q[i] . key(j)) - slope[i] * |pos[i] - j|
 *     cap(x)      = softcap * tanh(x / softcap), or x without a softcap
 *
 * What is optional is unused where zero or NULL. The result of a query is the same, bit for bit, whatever
 * the other queries of the call and the positions that it does not see. */
struct kern_attn {
    const float *q;          /* n_q query vectors of head_dim floats, q_stride floats apart */
    float *out;              /* n_q output vectors of v_dim floats, out_stride floats apart */
    size_t q_stride, out_stride;
    const uint32_t *n_kv;    /* [n_q]: query i sees positions before n_kv[i]; >= 1 */
    const uint32_t *kv0;     /* optional [n_q], kv0[i] < n_kv[i]: and none before kv0[i] */
    size_t n_q;              /* 1 .. KERN_ATTN_MAX_Q */
    size_t head_dim;         /* of queries and keys: a multiple of 16 up to KERN_HEAD_MAX */
    size_t v_dim;            /* of values and outputs: the same; 0 stands for head_dim */
    float scale;             /* > 0 */
    float softcap;           /* optional, > 0: Gemma 2, arXiv:2408.00118 */
    const float *sink;       /* optional [n_q]: the score of one more position, whose value is zero
                              * (gpt-oss, arXiv:2508.10925); minus infinity has no effect */
    const float *slope;      /* optional [n_q]: ALiBi, arXiv:2108.12409 */
    const uint32_t *pos;     /* [n_q], needed with slope: the queries' positions, < 2^24 */
    /* Page p of the sequence; K and V at the offsets below. Pages before the least kv0 / KERN_KV_PAGE
     * are not read and may be missing. */
    const uint8_t *const *pages;
    size_t k_offset, v_offset;
    enum kern_kv_format k_format, v_format;
    void *scratch; /* kern_attn_scratch_bytes(head_dim, v_dim), 64-byte aligned, one per thread */
};
#define KERN_ATTN_MAX_Q 192

/* What the kernels keep beside the vectors, at most. */
#define KERN_ATTN_STATE_BYTES 16384
size_t kern_attn_scratch_bytes(size_t head_dim, size_t v_dim);

/* ---- operations ------------------------------------------------------------------------------- */

/* Functions of feed-forward networks, to within 5 units of the last place (300 without fused
 * multiply-adds) or |x| * 1e-38. A NaN stays one, and minus infinity gives NaN or minus infinity, except
 * with RELU and RELU2: what is broken shows. */
enum kern_activation {
    KERN_FN_SILU,      /* x / (1 + e^-x) */
    KERN_FN_GELU_TANH, /* x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3))) */
    KERN_FN_GELU_ERF,  /* x/2 * (1 + erf(x / sqrt(2))) */
    KERN_FN_RELU,      /* max(x, 0) */
    KERN_FN_RELU2,     /* max(x, 0)^2 */
    /* With c = min(x, 7): c / (1 + e^(-1.702 * c)). Its gated product is with max(min(y, 7), -7) + 1 in
     * place of y (gpt-oss). */
    KERN_FN_SWIGLU_OAI,
};
#define KERN_FNS 6

struct kern_ops {
    const char *name; /* "scalar", "sse2", "avx2", "avxvnni", "avx512" */

    /* Quantizes tiles [tile0, tile1) of act->f32 into act->fmt[format]. */
    void (*act_quantize)(struct kern_act *act, enum kern_act_format format, size_t tile0,
                         size_t tile1);

    /* y[r * y_stride + o] for all rows r of `act` and the outputs o of panels [panel0, panel1).
     * `scratch`: KERN_MATMUL_SCRATCH bytes, 64-byte aligned, one per thread. */
    void (*matmul)(const struct kern_matrix *w, const struct kern_act *act, float *y,
                   size_t y_stride, size_t panel0, size_t panel1, void *scratch);

    void (*attention)(const struct kern_attn *a);
    /* Writes position `at` (0..31) of a page's keys or values, aligned to 64 bytes. */
    void (*kv_write)(enum kern_kv_format f, bool keys, uint8_t *data, size_t head_dim, size_t at,
                     const float *x);
    /* x times the normalised Hadamard matrix of the largest power of two that divides n, block by
     * block: its own inverse. n is a multiple of 32. Outliers spread over the block, so that four
     * bits hold it better; products of two vectors stay the same. */
    void (*hadamard)(float *x, size_t n);

    /* The norms allow y == x. w and b of n floats; NULL stands for ones and zeros.
     * y = x / sqrt(mean(x^2) + eps) * w */
    void (*rms_norm)(float *y, const float *x, const float *w, size_t n, float eps);
    /* y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * w + b, as PyTorch's LayerNorm */
    void (*layer_norm)(float *y, const float *x, const float *w, const float *b, size_t n, float eps);
    /* y = x / max(sqrt(sum(x^2)), eps) */
    void (*l2_norm)(float *y, const float *x, size_t n, float eps);
    void (*add)(float *y, const float *x, size_t n); /* y += x */
    void (*scale)(float *y, float s, size_t n);      /* y *= s */
    void (*softcap)(float *y, float cap, size_t n);  /* y = cap * tanh(y / cap); cap > 0 */
    void (*activate)(enum kern_activation f, float *y, size_t n);                  /* y = f(y) */
    void (*gated)(enum kern_activation f, float *y, const float *gate, size_t n);  /* y = f(gate) * y */
    void (*silu_mul)(float *y, const float *gate, size_t n); /* gated(KERN_FN_SILU, ..) */
    /* Rotates n_dims of a head: pairs (2i, 2i+1), or (i, i + n_dims/2) where neox. cs holds
     * cos, sin of each pair. */
    void (*rope)(float *x, const float *cs, size_t n_dims, bool neox);
    void (*f32_to_f16)(uint16_t *dst, const float *src, size_t n);

    /* out[16 * p + r] = sum over i of (panel p's byte of row r, column i, minus 128) * q[i], exact up to
     * 1024 columns: a search among int8 vectors. A panel is [n / 4][16 rows][4] bytes; n is a multiple
     * of 4, q within +-127. */
    void (*dot_panels)(float *out, const uint8_t *panels, size_t n_panels, const int8_t *q, size_t n);
};

/* The best table for this CPU, or the one that `force` names (NULL: the HEARTH_CPU environment
 * variable, and without it the best). ERR_UNSUPPORTED where the CPU lacks it. */
enum status kern_select(const char *force, const struct kern_ops **out, struct error *err);
/* Writes up to max tables that this CPU can run, best first; returns how many. */
size_t kern_available(const struct kern_ops **out, size_t max);

#endif
