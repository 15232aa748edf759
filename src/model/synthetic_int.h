/* What the files of synthetic models share: names and shapes (synthetic.c), types
 * (synthetic_form.c), files (synthetic_write.c). */
#ifndef HEARTH_MODEL_SYNTHETIC_INT_H
#define HEARTH_MODEL_SYNTHETIC_INT_H

#include "model/synthetic.h"
#include "quant/quant.h"

enum { SYNTHETIC_LABEL_SIZE = 64 };

enum synthetic_part {
    SYNTHETIC_QKV_BIAS = 1,    /* queries, keys and values have biases */
    SYNTHETIC_ALL_BIAS = 2,    /* so do all other matrices but the output */
    SYNTHETIC_LAYER_NORM = 4,  /* norms are layer norms with biases, not RMS norms */
    SYNTHETIC_GATED = 8,       /* the feed-forward layer has a gate */
    SYNTHETIC_TIED = 16,       /* the table of tokens is the output too */
    SYNTHETIC_HEAD_NORMS = 32, /* each query and key head has a norm */
    SYNTHETIC_SINKS = 64,      /* each head has a learned sink */
};

/* Experts in place of the feed-forward layer; their router is F32, as in files by llama.cpp. */
struct synthetic_experts {
    uint32_t n, n_used, n_ff;
    uint32_t n_dense;  /* first layers with a plain feed-forward layer instead */
    uint32_t n_shared; /* experts that all rows go through beside the chosen ones */
};

/* Multi-head latent attention, with keys and values absorbed into queries and outputs. */
struct synthetic_latent {
    uint32_t kv_rank, n_rope, n_plain, n_value;
};

struct synthetic_shape {
    const char *name, *arch;
    unsigned parts;
    uint32_t n_layer, n_embd, n_ff, n_head, n_head_kv, n_vocab, n_ctx;
    double rope_base, rope_scale, eps; /* rope_scale: linear or YaRN; 1 = none */
    /* zero where a model has none */
    uint32_t head_dim;      /* n_embd / n_head */
    uint32_t window;        /* every second layer looks back over so many positions only */
    uint32_t yarn_context;  /* positions that were trained before rope_scale, by YaRN, came */
    double yarn_multiplier; /* of YaRN's logarithm */
    const char *ffn_norm;   /* name of the norm before the feed-forward layer */
    struct synthetic_experts experts;
    struct synthetic_latent latent;
};

/* The file's `general.name`; returns dst. */
const char *synthetic_label(const struct synthetic *s, char dst[SYNTHETIC_LABEL_SIZE]);

/* How random bytes become blocks of a type. */
struct synthetic_form {
    uint32_t type;
    uint32_t file_type; /* general.file_type: which of llama.cpp's mixes comes nearest */
    uint32_t output;    /* type of the output matrix */
    uint32_t small;     /* type for rows that are not a whole number of this one's blocks */
    /* Blocks: offsets of the two halves that scale them, -1 where there is none, and how much
     * larger the second is, so that values have a mean of 0. */
    int16_t scale_at, min_at;
    float min_ratio;
    /* Blocks with scales of one byte: how many stand from scale_at on, the largest that is a
     * number, and what a byte means; it grows with the byte. */
    uint8_t n_byte_scales, max_byte_scale;
    float (*byte_scale)(uint8_t byte);
    /* Blocks whose half lies in pieces: puts it there instead. */
    void (*put_half)(uint8_t *block, uint16_t half);
    /* Plain floats: where the exponent lies, its bias, and the other bits, in each 64. */
    uint8_t exponent_at;
    int16_t exponent_bias;
    uint64_t keep;
};

/* By a type's id or by its name in any case; NULL for one that there is no form of. */
const struct synthetic_form *synthetic_form_find(uint32_t type);
const struct synthetic_form *synthetic_form_named(const char *name);
/* "F32, F16, ..."; returns dst. */
const char *synthetic_form_names(char *dst, size_t cap);

/* The form that rows of n_cols elements can have: this one, or the one for small blocks. */
const struct synthetic_form *synthetic_form_for(const struct synthetic_form *f, uint64_t n_cols);

/* Fills n_blocks blocks with values of mean 0 and about this standard deviation. The same seed
 * gives the same bytes. dst has room for 7 more bytes. */
void synthetic_form_fill(const struct synthetic_form *f, double deviation, uint64_t seed, void *dst,
                         size_t n_blocks);

#endif
