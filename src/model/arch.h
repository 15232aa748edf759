/* What an architecture is described with.
 *
 * An architecture is one file, arch_NAME.c, whose build function reads like a description: which
 * hyperparameters, how positions rotate, and the stages in order with their named weights. It is
 * listed in arch.c. docs/HOWTO-add-an-architecture.md walks through one.
 *
 * The first failure of any helper is kept (arch_status) and later calls do nothing, so a
 * description needs no checks of its own. After a failure the hyperparameters may be zero: loops
 * over them end, and nothing divides by them. */
#ifndef HEARTH_MODEL_ARCH_H
#define HEARTH_MODEL_ARCH_H

#include "model/model_int.h"

struct arch_builder {
    struct model *m;
    const struct gguf *g;
    const char *name;  /* prefix of the architecture's keys */
    struct error *err; /* of model_open; may be NULL */
    enum status st;
    enum norm_kind norm_kind; /* of arch_norm; NORM_RMS until the description says otherwise */
    float norm_eps;           /* of arch_norm */
    bool yarn_unrounded;      /* arch_rope: YaRN's ramp does not begin and end at whole pairs */
    size_t stages_cap;
    struct stage sink; /* stand in for what is returned once building has failed */
    struct attn attn_sink;
    struct rope rope_sink;
    struct moe moe_sink;
    struct mla mla_sink;
    bool *used; /* [gguf_n_tensors]: the model takes this tensor */
};

/* OK, or the first failure. */
enum status arch_status(const struct arch_builder *b);
/* Records a failure found by the architecture itself; the message gets the file's path in front. */
void arch_fail(struct arch_builder *b, enum status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- metadata -------------------------------------------------------------------------------- */

/* Key "ARCH.key" as an integer in [lo, hi]; also an array whose elements are all the same.
 * ERR_FORMAT where it is missing or out of range. */
void arch_u32(struct arch_builder *b, const char *key, uint32_t lo, uint32_t hi, uint32_t *out);
/* The same with a value for a file that does not have the key. */
void arch_u32_or(struct arch_builder *b, const char *key, uint32_t lo, uint32_t hi,
                 uint32_t fallback, uint32_t *out);
/* A finite number in [lo, hi]. */
void arch_f64(struct arch_builder *b, const char *key, double lo, double hi, double *out);
void arch_f64_or(struct arch_builder *b, const char *key, double lo, double hi, double fallback,
                 double *out);

/* The widest head that attention has kernels for. */
#define ARCH_MAX_HEAD ((uint32_t)KERN_HEAD_MAX)

/* A truth value. */
void arch_bool_or(struct arch_builder *b, const char *key, bool fallback, bool *out);

/* What every decoder has: block_count, context_length, embedding_length, feed_forward_length,
 * attention.head_count, head_count_kv, key_length, value_length and the epsilon of the kind of
 * norms that the builder is set to go to the model's info, n_vocab comes from the rows of
 * token_embd.weight. */
void arch_decoder_params(struct arch_builder *b);
/* ERR_UNSUPPORTED where attention has no kernels for the info's head_dim or v_dim; for descriptions
 * that change them. */
void arch_check_heads(struct arch_builder *b);
/* ERR_UNSUPPORTED for a mixture of experts: for architectures that have none. */
void arch_refuse_experts(struct arch_builder *b);

/* The rope.* keys: dimension_count, freq_base, and scaling none, linear or YaRN. neox: pairs are
 * (i, i + n/2), else neighbours. `factors` names a tensor of n_dims / 2 divisors of the frequencies
 * that a file may have, or is NULL; LongRoPE's two tensors are found by themselves. Returns the
 * model's next rope, never NULL, valid as long as the model. */
struct rope *arch_rope(struct arch_builder *b, bool neox, const char *factors);
/* A rope of this base, its frequencies divided by `factor`, for layers that differ from the rest.
 */
const struct rope *arch_rope_plain(struct arch_builder *b, bool neox, uint32_t n_dims, double base,
                                   double factor);

/* Which layers look back over the sliding window only: [n_layer], from
 * attention.sliding_window_pattern where the file has it, else all but every period-th layer. Valid
 * as long as the model; NULL after a failure. */
const bool *arch_window_layers(struct arch_builder *b, uint32_t period);

/* ---- stages and weights ---------------------------------------------------------------------- */

/* Appends a stage. The pointer is valid until the next arch_stage; never NULL. */
struct stage *arch_stage(struct arch_builder *b, enum stage_kind kind, uint32_t layer);

/* In what follows the last arguments make the tensor's name. A tensor that is missing or of another
 * shape is ERR_FORMAT. */

/* Whether the file has the tensor. */
bool arch_has(const struct arch_builder *b, const char *name_fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A tensor of rows outputs by cols inputs: ne = {cols, rows}. */
void arch_matrix(struct arch_builder *b, struct weight *w, uint64_t rows, uint64_t cols,
                 const char *name_fmt, ...) __attribute__((format(printf, 5, 6)));
/* Rows [row0, row0 + rows) of a tensor of `total` rows, ne = {cols, total}, which several matrices
 * share. */
void arch_slice(struct arch_builder *b, struct weight *w, uint64_t row0, uint64_t rows,
                uint64_t total, uint64_t cols, const char *name_fmt, ...)
    __attribute__((format(printf, 7, 8)));
/* n_parts matrices in one tensor, ne = {cols, rows, n_parts}, of which a token reads n_read. */
void arch_stack(struct arch_builder *b, struct weight *w, uint32_t n_parts, uint32_t n_read,
                uint64_t rows, uint64_t cols, const char *name_fmt, ...)
    __attribute__((format(printf, 7, 8)));
/* Rows [row0, row0 + rows) of each of n_parts matrices, ne = {cols, total, n_parts}. */
void arch_stack_slice(struct arch_builder *b, struct weight *w, uint32_t n_parts, uint32_t n_read,
                      uint64_t row0, uint64_t rows, uint64_t total, uint64_t cols,
                      const char *name_fmt, ...) __attribute__((format(printf, 9, 10)));
/* A tensor of n elements as floats. */
void arch_vector(struct arch_builder *b, const float **v, uint64_t n, const char *name_fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same; *v stays NULL where the file has no such tensor. */
void arch_vector_opt(struct arch_builder *b, const float **v, uint64_t n, const char *name_fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* `count` vectors of n elements, ne = {n, count}, one after the other. */
void arch_vectors_opt(struct arch_builder *b, const float **v, uint64_t n, uint64_t count,
                      const char *name_fmt, ...) __attribute__((format(printf, 5, 6)));
/* A norm of the builder's kind from NAME.weight and, for NORM_LAYER where the file has it,
 * NAME.bias. */
void arch_norm(struct arch_builder *b, struct norm *n, uint64_t width, const char *name_fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A tensor that is read row by row as it stands in the file. */
void arch_table(struct arch_builder *b, const struct gguf_tensor **table, uint64_t rows,
                uint64_t cols, const char *name_fmt, ...) __attribute__((format(printf, 5, 6)));

/* EMBED from token_embd.weight; returned for its scale. The model's first stage. */
struct stage *arch_embed(struct arch_builder *b);
/* After arch_embed: every position has an embedding of its own, in position_embd.weight. */
void arch_positions(struct arch_builder *b);
/* HEAD with output_norm, and output.weight or the embedding again where the file has none; returned
 * for scale and cap. */
struct stage *arch_head(struct arch_builder *b);

/* A new way to attend: causal, over all positions, with the model's first rope where it has one and
 * a scale of 1 / sqrt(head_dim). Never NULL; valid as long as the model. */
struct attn *arch_attn(struct arch_builder *b);

/* What a layer's attention has beside what all have; zero is Llama's. */
struct arch_attention {
    const struct attn *attn;
    bool no_norm;          /* of the input */
    bool head_norms;       /* attn_q_norm and attn_k_norm, of each head */
    bool row_norms;        /* the same over all heads, where the file has them */
    bool sinks;            /* attn_sinks */
    const char *post_norm; /* name of the norm of what is added to the residual stream; or NULL */
    float scale;           /* of what is added; 0 = 1 */
};
/* ATTN_IN, ATTN and ATTN_OUT of layer i, with attn_norm, attn_q, attn_k and attn_v or attn_qkv, and
 * attn_output, and whichever of their biases the file has. */
void arch_attention(struct arch_builder *b, uint32_t i, const struct arch_attention *opt);

/* What a layer's feed-forward part has; zero is SwiGLU between ffn_norm and the residual stream. */
struct arch_ffn {
    enum kern_activation act;
    bool plain;            /* no gate */
    bool no_norm;          /* of the input */
    const char *norm;      /* its name; NULL = "ffn_norm" */
    const char *post_norm; /* as in arch_attention */
    float scale;           /* the same */
    uint32_t n_ff;         /* 0 = the info's */
    /* What stands behind ffn_up, ffn_gate and ffn_down in the tensors' names, as in "_shexp"; NULL
     * = nothing */
    const char *suffix;
};
/* FFN_IN and FFN_OUT of layer i, with ffn_up, ffn_gate and ffn_down, or the gate's rows before up's
 * in ffn_up, and whichever of their biases the file has. */
void arch_ffn(struct arch_builder *b, uint32_t i, const struct arch_ffn *opt);

/* A mixture of experts from expert_count, expert_used_count and expert_feed_forward_length (without
 * that key: feed_forward_length): a softmax over all experts, nothing else. Never NULL. */
struct moe *arch_moe_params(struct arch_builder *b);
/* What a layer's experts have; zero is SwiGLU without a shared expert. */
struct arch_moe {
    const struct moe *moe;
    enum kern_activation act;
    const char *norm;              /* of the input; NULL = "ffn_norm" */
    float scale;                   /* as in arch_attention */
    const struct arch_ffn *shared; /* a feed-forward part that all rows go through; NULL = none */
};
/* MOE_ROUTE, MOE_IN and MOE_OUT of layer i with ffn_gate_inp and ffn_up_exps, ffn_gate_exps (or
 * both in ffn_gate_up_exps, the gate's rows first) and ffn_down_exps, and whichever of their biases
 * the file has; a shared expert's FFN_IN and FFN_OUT among them. */
void arch_moe(struct arch_builder *b, uint32_t i, const struct arch_moe *opt);

/* ---- encoders: arch_encoder.c ---------------------------------------------------------------- */

/* arch_decoder_params for an encoder with layer norms. */
void arch_encoder_params(struct arch_builder *b);
/* EMBED with token_types, and the norm behind it, token_embd_norm. */
void arch_encoder_embed(struct arch_builder *b);
/* A way to attend to all of the text. */
struct attn *arch_encoder_attn(struct arch_builder *b);
/* NORM from NAME of layer i. */
struct stage *arch_encoder_norm(struct arch_builder *b, uint32_t i, const char *name);
/* HEAD that gives the hidden states as they are. */
void arch_encoder_head(struct arch_builder *b);
/* pooling_type, and the cls tensors of classifiers and rerankers, of any architecture. */
void arch_pooling(struct arch_builder *b);

/* All layers of the Llama family. */
void arch_gated_decoder_layers(struct arch_builder *b);

/* For tensors that would change the result but that this architecture does not implement:
 * ERR_UNSUPPORTED where the file has one of this name. */
void arch_refuse(struct arch_builder *b, const char *name_fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- for model_open -------------------------------------------------------------------------- */

enum status arch_builder_init(struct arch_builder *b, struct model *m, const struct gguf *g,
                              const char *name, struct error *err);
/* Checks that the program is complete, fills the counts in the model's info, frees what is only
 * needed while building. */
enum status arch_builder_finish(struct arch_builder *b);
void arch_builder_fini(struct arch_builder *b);

/* Comma-separated names of all architectures; returns dst. */
const char *arch_names(char *dst, size_t cap);

/* Memory that lives as long as the model; NULL where there is none. */
void *model_alloc(struct model *m, size_t bytes);

#endif
