/* Inside of module model: weights, stages, architectures, KV pages. */
#ifndef HEARTH_MODEL_MODEL_INT_H
#define HEARTH_MODEL_MODEL_INT_H

#include "gguf/gguf.h"
#include "kern/kern.h"
#include "model/model.h"

/* ---- weights ----------------------------------------------------------------------------------
 */

/* A matrix in packed form; n_rows == 0 where the model has none. It may be a stack of equal parts,
 * one for each expert or head: part i's panels begin at mat.data + i * part_bytes. It may also be
 * some of the rows of a tensor that several matrices share, from src_row on. */
struct weight {
    struct kern_matrix mat; /* of a part */
    const struct gguf_tensor *src;
    uint64_t src_row;        /* first row of src */
    uint64_t src_rows;       /* of src from one part to the next */
    uint32_t n_parts;        /* 1 for a plain matrix */
    uint32_t n_read;         /* parts that one token reads */
    size_t part_bytes;       /* of a part's panels */
    const float *part_scale; /* [n_parts]: each part's mat.scale; or NULL */
};

/* Part i of a stack. */
struct kern_matrix weight_part(const struct weight *w, uint32_t i);

/* Vectors are plain float arrays, or NULL where the model has none. */

/* ---- the program of a forward pass ------------------------------------------------------------
 */

enum norm_kind {
    NORM_NONE,
    NORM_RMS,   /* x / sqrt(mean(x^2) + eps) * w */
    NORM_LAYER, /* (x - mean) / sqrt(variance + eps) * w + b */
};

struct norm {
    enum norm_kind kind;
    const float *w;
    const float *b; /* NORM_LAYER; may be NULL */
    float eps;
};

/* How positions turn queries and keys. */
struct rope {
    bool neox;
    uint32_t n_dims; /* rotated part of a head, its first dimensions */
    float *inv_freq; /* [n_dims / 2], scaling applied */
    /* The same for sequences in contexts longer than `long_from` positions; NULL where nothing
     * changes there (LongRoPE, Ding et al. 2024, arXiv:2402.13753). */
    float *long_inv_freq;
    uint32_t long_from;
    float magnitude; /* factor on cos and sin (YaRN), else 1 */
};
#define MODEL_MAX_ROPES 2

/* How a layer attends; shared by the layers that attend alike. */
struct attn {
    const struct rope *rope; /* NULL: positions do not turn this layer's queries and keys */
    float scale;             /* of query times key, usually 1 / sqrt(head_dim) */
    uint32_t window;         /* a position sees itself and the window - 1 before; 0: all before */
    uint32_t chunk;          /* a position sees only its own chunk of so many; 0: all before */
    bool both_ways;          /* all positions of the batch see each other (encoders) */
    float softcap;           /* scores are bent to within +-softcap; 0: not */
    float alibi;             /* largest slope exponent of ALiBi (Press et al. 2021); 0: none */
    bool key_norm;           /* after RoPE queries and keys are divided by their RMS (Llama 4) */
    /* Queries grow with their position: times 1 + temp_scale * log(1 + floor((p + 1) / temp_floor))
     */
    float temp_scale, temp_floor; /* 0: not */
};

/* How a mixture of experts (Shazeer et al. 2017, arXiv:1701.06538) chooses among its experts. */
enum moe_score {
    MOE_SOFTMAX,      /* weights are a softmax over all experts' scores */
    MOE_SOFTMAX_USED, /* over those of the chosen alone */
    MOE_SIGMOID,      /* each expert's sigmoid */
};

#define MODEL_MAX_EXPERTS 1024u /* of a layer */

struct moe {
    uint32_t n_expert, n_used, n_ff; /* n_ff: of each expert */
    uint32_t n_group,
        n_group_used; /* experts come from the best groups only; 0 or 1 groups: from all */
    enum moe_score score;
    bool normalise;   /* the chosen weights are divided by their sum */
    bool weigh_input; /* weights multiply an expert's input, not its output */
    float scale;      /* of the weights */
};

/* Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): keys and values of all heads are
 * made from one short vector a position. Absorbed: that vector is what is cached, as the one key
 * and value head of all queries, which are brought to its space; else keys and values are made for
 * every head and cached. The rotated part stands first in queries and keys, so that a rope's first
 * dimensions are it. */
struct mla {
    bool absorbed;
    uint32_t q_rank;  /* queries are made through a vector of so many numbers; 0: directly */
    uint32_t kv_rank; /* numbers of the short vector */
    uint32_t n_rope, n_plain; /* rotated and other part of a head's query and key */
    uint32_t n_value;         /* of a head's value */
};

/* A stage is the unit that a backend may fuse, place barriers in and split over threads.
 * The residual stream x has n_embd floats per row. */
enum stage_kind {
    STAGE_EMBED,    /* x = rows of the table * scale + positions' rows + segments' rows */
    STAGE_NORM,     /* x = norm(x), or of x + what the layer kept */
    STAGE_ATTN_IN,  /* q, k, v = norm(x) Wq, Wk, Wv + bias; head norms; RoPE; k, v to the cache */
    STAGE_MLA_DOWN, /* short vectors of queries (or queries), and of keys and values, from norm(x)
                     */
    STAGE_MLA_Q,    /* queries from their short vectors' norm */
    STAGE_MLA_KV, /* q, k, v as after ATTN_IN; w[0]: what brings queries to the latent space, a part
                   * for each head, or, not absorbed, what makes keys and values */
    STAGE_ATTN,   /* a = attention(q, cache) */
    STAGE_MLA_OUT,  /* each head's values from what attention gathered; a part for each head */
    STAGE_ATTN_OUT, /* x += scale * post(a Wo + bias) */
    STAGE_FFN_IN,   /* h = act(norm(x) Wgate + bias) * (norm(x) Wup + bias), or act(norm(x) Wup +
                       bias) */
    STAGE_FFN_OUT,  /* x += scale * post(h Wdown + bias) */
    /* The experts' activations are made before, their sum is added after those of a shared expert,
     * whose FFN_IN and FFN_OUT stand between. */
    STAGE_MOE_ROUTE, /* the experts of each row, from norm(x) Wrouter + bias */
    STAGE_MOE_IN,    /* each chosen expert's h, as FFN_IN */
    STAGE_MOE_OUT,   /* x += scale * sum of weight * (h Wdown + bias) */
    STAGE_HEAD,      /* logits = cap(scale * (norm(x) Wout + bias)); without Wout norm(x), or x */
};

#define STAGE_MATRICES 3

struct stage {
    enum stage_kind kind;
    uint32_t layer;
    struct norm norm; /* of the input */
    struct norm post; /* ATTN_OUT, FFN_OUT: of what is added to x */
    float scale;      /* 1 where the model has none */
    float softcap;    /* HEAD: logits are bent to within +-softcap; 0: not */
    /* ATTN_IN: q, k, v; FFN_IN and MOE_IN: up and, where gated, gate; others: w[0] */
    struct weight w[STAGE_MATRICES];
    const float
        *bias[STAGE_MATRICES]; /* as many numbers as the matrix has rows, in all its parts */
    /* ATTN_IN, ATTN */
    const struct attn *attn;
    struct norm head_norm[2]; /* of each query and key, before RoPE: [head_dim] */
    struct norm row_norm[2];  /* of all heads' queries and keys together, after the bias */
    bool keep;                /* ATTN_IN: x is kept; NORM: and added again */
    const float *key_centre;  /* [n_head_kv * head_dim], what its keys have in common; or NULL */
    const float *sinks;       /* [n_head], logits that take weight and give no value; or NULL */
    enum kern_activation act; /* FFN_IN, MOE_IN */
    const struct mla *mla;    /* MLA_*, and ATTN_OUT behind MLA_OUT */
    const struct moe *moe;    /* MOE_ROUTE, MOE_IN, MOE_OUT */
    const float
        *preference; /* MOE_ROUTE: [n_expert], added when choosing, not to the weights; or NULL */
    const float *shared_gate; /* MOE_ROUTE: [n_embd], a shared expert counts sigmoid(this .
                                 norm(x)); or NULL */
    bool by_shared_gate;      /* FFN_OUT: what is added counts as much as that says */
    /* EMBED */
    const struct gguf_tensor *table, *positions; /* rows as in the file; positions may be NULL */
    const float *segments;                       /* [info.n_segments][n_embd]; or NULL */
};

/* What rerankers end in: out * tanh(dense * x + dense_bias) + out_bias, or out alone. */
struct score_head {
    const float *dense, *dense_bias; /* [n_embd][n_embd], [n_embd]; or NULL */
    const float *out, *out_bias;     /* [n_scores][n_embd]; [n_scores] or NULL */
};

struct model {
    struct model_info info;
    const struct gguf *g;
    struct stage *stages;
    size_t n_stages;
    struct score_head score;
    struct rope ropes[MODEL_MAX_ROPES];
    uint32_t n_ropes;
    uint32_t max_used;            /* experts of a row, at most; 0 where there are none */
    const struct stage **attn_in; /* [n_layer]: that layer's ATTN_IN or MLA_KV stage */
    const struct mla *mla;        /* NULL where the model has none */
    /* owned memory, freed by model_close */
    void **owned;
    size_t n_owned;
    const uint8_t *packed; /* packed weights: a mapped cache file or anonymous memory */
    uint64_t packed_bytes;
    bool packed_mapped;
    void *packed_map; /* the mapping that holds `packed` */
    uint64_t packed_map_bytes;
    struct settle {
        uint8_t *to;     /* packed_bytes in huge pages, written up to here; NULL before and after */
        uint64_t bytes;  /* mapped there */
        size_t at;       /* the matrix being copied: its place among all stages' */
        uint64_t copied; /* of its bytes */
        bool begun, ready;
        bool forced; /* for tests: whatever the model's size and the machine */
    } settle;
    struct error cache_note; /* why there is no cache file; code OK where there is one */
};

/* Packs the matrices of all stages, or maps the cache of an earlier run, and sets their mat.data.
 * Only a lack of memory is an error; a cache that cannot be used is not. */
enum status weights_load(struct model *m, const struct model_options *opt, struct error *err);
void weights_unload(struct model *m);

/* ---- architectures: one file each, listed in arch.c -------------------------------------------
 */

struct arch_builder;
struct arch {
    const char *name; /* general.architecture */
    /* Fills the model's info, rope and stages; see arch.h for what it builds with, which also keeps
     * the error's message. */
    enum status (*build)(struct arch_builder *b);
};
const struct arch *arch_find(struct gguf_str name);

/* ---- KV pages ---------------------------------------------------------------------------------
 */

/* A type of cache. Rotated: keys lose their layer's centre, and keys, queries and values are turned
 * by a Hadamard matrix before they are stored or multiplied; attention's output is turned back.
 * Weights do not change by it, but a few large channels no longer take all of a block's precision.
 */
struct kv_type {
    const char *name;
    enum kern_kv_format k, v;
    bool rotated;
};

/* A page holds KERN_KV_PAGE positions of all layers: per layer and KV head first K, then V, each as
 * kern.h describes its format. Pages hold no addresses: saved as they are they can be loaded by
 * a model of the same type->name, n_layer, n_head_kv, head_dim and v_dim, on the same byte order.
 */
struct kv_layout {
    const struct kv_type *type;
    uint32_t n_layer, n_head_kv, head_dim, v_dim;
    size_t k_bytes, v_bytes; /* of one layer and KV head in a page */
    size_t page_bytes;
};
/* name: as in model_options.kv_type, with its errors. */
enum status kv_layout_init(struct kv_layout *l, const struct model_info *info, const char *name,
                           struct error *err);
/* Writes or reads position `at` (0..31) of a page for one layer and KV head: keys (RoPE applied)
 * and values as they come from the model, head_dim and v_dim floats. `centre`: that of the layer's
 * ATTN_IN stage and head, or NULL. Writing may change k and v. Reading gives what was written to
 * within the type's rounding. */
void kv_write(const struct kv_layout *l, const struct kern_ops *ops, uint8_t *page, uint32_t layer,
              uint32_t head_kv, size_t at, const float *centre, float *k, float *v);
void kv_read(const struct kv_layout *l, const struct kern_ops *ops, const uint8_t *page,
             uint32_t layer, uint32_t head_kv, size_t at, const float *centre, float *k, float *v);
/* Sets key_centre of the stages whose keys have a bias. */
enum status kv_centre_keys(struct model *m, struct error *err);

struct kv_pool;

/* Makes room for n more positions (whole pages; a shared last page is copied first) and makes the
 * pages from position len on writable by this sequence alone, until a fork or truncate of it. On
 * failure the sequence is unchanged; ERR_LIMIT where the pool has too few free pages. Does not
 * change its length. */
enum status kv_seq_reserve(struct kv_seq *s, size_t n, struct error *err);
/* Positions [len, len + n) now hold data. */
void kv_seq_advance(struct kv_seq *s, size_t n);
/* Addresses of the sequence's pages, position p in page p / KERN_KV_PAGE; 64-byte aligned. Valid
 * until the next reserve or truncate. */
uint8_t *const *kv_seq_pages(const struct kv_seq *s);
/* Byte offsets of one layer's and KV head's K and V inside a page. */
size_t kv_k_offset(const struct kv_layout *l, uint32_t layer, uint32_t head_kv);
size_t kv_v_offset(const struct kv_layout *l, uint32_t layer, uint32_t head_kv);
/* The frequencies that a sequence's positions turn with. */
const float *rope_frequencies(const struct rope *r, const struct kv_seq *s);
/* The same for all sequences of a pool: how its pages are laid out, and kv_pool_set_context's
 * context. */
size_t kv_seq_context(const struct kv_seq *s);
const struct kv_layout *kv_seq_layout(const struct kv_seq *s);

#endif
