/* Architectures: how a family's Hugging Face weights and config become GGUF's.
 *
 * An architecture is one file, hf_NAME.c, that exports one `struct hf_arch`, and one line in
 * hf_arch.c. Names of keys and tensors: llama.cpp's conversion/ and gguf-py/gguf/constants.py. */
#ifndef HEARTH_CONVERT_HF_MODEL_H
#define HEARTH_CONVERT_HF_MODEL_H

#include "convert/hf_config.h"
#include "convert/hf_view.h"
#include "gguf/gguf_write.h"

/* A weight's way. In `from`, '#' stands for the layer's number, '@' for an expert's and a final '*'
 * for "weight" or "bias"; in `to` they stand for the same. Experts become one matrix after the
 * other of one tensor. A source may have several rules: each makes a tensor. */
struct hf_rule {
    const char *from;
    const char *to;   /* NULL: left out on purpose */
    hf_fix *fix;      /* or NULL */
    bool every_layer; /* a model without it in some layer is refused */
};

/* A tensor that no weight is the source of, such as RoPE's factors. */
struct hf_extra {
    const char *name;
    float *values; /* owned */
    uint64_t n;
};
enum { HF_MAX_EXTRAS = 2 };

struct hf_model {
    const char *folder;
    struct hf_config config;
    const struct hf_arch *arch;
    uint32_t n_layer, n_head, n_head_kv, n_expert; /* n_expert: 0 without */
    bool tied;                                     /* the output matrix is the token embedding */
    struct hf_rope rope;
    uint32_t n_tokens; /* rows of the embedding that the tokenizer has; 0: as many as there are */
    struct hf_extra extra[HF_MAX_EXTRAS];
    size_t n_extra;
};

/* What writes an architecture's keys: "embedding_length" becomes "llama.embedding_length". The
 * first mistake is kept in err; whatever follows it does nothing. */
struct hf_keys {
    struct hf_model *m;
    struct gguf_writer *w;
    struct error *err; /* code 0 so far */
};

struct hf_arch {
    const char *name;            /* general.architecture */
    const char *const *classes;  /* of transformers, ended by NULL */
    const struct hf_rule *rules; /* ended by a NULL `from` */
    void (*keys)(struct hf_keys *k);
    /* Reads and adjusts what it needs before anything is planned, or NULL. */
    enum status (*prepare)(struct hf_model *m, struct error *err);
    const char *without_prefix; /* prefix that models without a head leave out, or NULL */
    bool encoder;               /* makes embeddings: no output matrix, no causal attention */
};

/* NULL-terminated registry. hf_arch.c. */
extern const struct hf_arch *const hf_archs[];
/* By a class of transformers; ERR_UNSUPPORTED lists what there is. */
enum status hf_arch_find(const struct hf_config *c, const struct hf_arch **out, struct error *err);

/* Reads config.json and what beside it every architecture needs. */
enum status hf_model_load(const char *folder, struct hf_model *m, struct error *err);
/* The same from a config that is there already and taken. */
enum status hf_model_init(struct hf_model *m, struct error *err);
void hf_model_fini(struct hf_model *m);

/* ---- keys -------------------------------------------------------------------------------------
 */

void hf_key_u32(struct hf_keys *k, const char *key, uint32_t value);
void hf_key_f32(struct hf_keys *k, const char *key, double value);
void hf_key_bool(struct hf_keys *k, const char *key, bool value);
void hf_key_str(struct hf_keys *k, const char *key, const char *value);

/* From the config: names as hf_config_get takes them. The `need` ones are errors where absent. */
uint32_t hf_need_u32(struct hf_keys *k, const char *names);
uint32_t hf_get_u32(struct hf_keys *k, const char *names, uint32_t otherwise);
double hf_get_f64(struct hf_keys *k, const char *names, double otherwise);
bool hf_get_bool(struct hf_keys *k, const char *names, bool otherwise);
/* Writes a key where the config has a value. */
void hf_copy_u32(struct hf_keys *k, const char *key, const char *names);
void hf_copy_f32(struct hf_keys *k, const char *key, const char *names);

/* The keys of most: layers, context, widths, heads, RoPE, norms, experts. `head_dim`: write the
 * heads' lengths where the config names them. */
void hf_keys_common(struct hf_keys *k, bool head_dim);
/* The parts of it. */
void hf_keys_shape(struct hf_keys *k);
void hf_keys_rope(struct hf_keys *k);
void hf_keys_norm(struct hf_keys *k);
void hf_keys_experts(struct hf_keys *k);
/* pooling_type, from modules.json where sentence-transformers left one. */
void hf_keys_pooling(struct hf_keys *k);

/* head_dim, or the embedding's width by the number of heads. */
uint32_t hf_head_dim(struct hf_keys *k);

/* ---- extra tensors -----------------------------------------------------------------------------
 */

enum status hf_add_extra(struct hf_model *m, const char *name, const float *values, uint64_t n,
                         struct error *err);
/* "rope_freqs.weight" where RoPE is scaled as Llama 3 has it. */
enum status hf_prepare_llama3(struct hf_model *m, struct error *err);

#endif
