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
    float norm_eps; /* of every stage with a norm */
    size_t stages_cap;
    struct stage sink; /* stands in for a stage once building has failed */
    bool *used;        /* [gguf_n_tensors]: the model takes this tensor */
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

/* What every decoder of this family has: block_count, context_length, embedding_length,
 * feed_forward_length, attention.head_count, head_count_kv, key_length, value_length and
 * layer_norm_rms_epsilon go to the model's info, n_vocab comes from the rows of token_embd.weight.
 * Mixtures of experts are ERR_UNSUPPORTED. */
void arch_decoder_params(struct arch_builder *b);

/* The rope.* keys: dimension_count, freq_base, and scaling none, linear or YaRN. neox: pairs are
 * (i, i + n/2), else neighbours. `factors` names a tensor of n_dims / 2 divisors of the frequencies
 * that a file may have, or is NULL. */
void arch_rope(struct arch_builder *b, bool neox, const char *factors);

/* ---- stages and weights ---------------------------------------------------------------------- */

/* Appends a stage. The pointer is valid until the next arch_stage; never NULL. */
struct stage *arch_stage(struct arch_builder *b, enum stage_kind kind, uint32_t layer);

/* A tensor of rows outputs by cols inputs: ne = {cols, rows}. The last arguments make its name. */
void arch_matrix(struct arch_builder *b, struct weight *w, uint64_t rows, uint64_t cols,
                 const char *name_fmt, ...) __attribute__((format(printf, 5, 6)));
/* A tensor of n elements as floats. */
void arch_vector(struct arch_builder *b, const float **v, uint64_t n, const char *name_fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same; *v stays NULL where the file has no such tensor. */
void arch_vector_opt(struct arch_builder *b, const float **v, uint64_t n, const char *name_fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* EMBED from token_embd.weight, and HEAD with output_norm.weight and output.weight, or the
 * embedding again where the file has no output.weight. */
void arch_embed(struct arch_builder *b);
void arch_head(struct arch_builder *b);

/* The layers of the Llama family: ATTN_IN, ATTN and ATTN_OUT with attn_norm, attn_q, attn_k, attn_v
 * and attn_output and whichever biases the file has, then FFN_IN and FFN_OUT with ffn_norm, ffn_gate,
 * ffn_up and ffn_down. Biases of the feed-forward part are refused. */
void arch_gated_decoder_layers(struct arch_builder *b, enum activation act);

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
