/* Mixes: which tensor of a model gets which type. A mix is one entry of quantize_mix.c's table. */
#ifndef HEARTH_CONVERT_QUANTIZE_MIX_H
#define HEARTH_CONVERT_QUANTIZE_MIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a matrix does in the model, told from its name. */
enum quantize_role {
    ROLE_OTHER,
    ROLE_TOKEN_EMBD,
    ROLE_OUTPUT,
    ROLE_ATTN_Q,
    ROLE_ATTN_K,
    ROLE_ATTN_V, /* also those that hold V among others */
    ROLE_ATTN_OUTPUT,
    ROLE_FFN_UP,
    ROLE_FFN_GATE,
    ROLE_FFN_DOWN,
};

/* When a rule applies. `i` of `n` is the matrix's place among those of its role. */
enum quantize_when {
    WHEN_ALWAYS,
    WHEN_FIRST_2,
    WHEN_FIRST_4,
    WHEN_FIRST_16TH,
    WHEN_FIRST_8TH,
    WHEN_FIRST_8TH_UNWEIGHTED, /* and there is no importance matrix */
    WHEN_FIRST_8TH_WEIGHTED,   /* and there is one */
    WHEN_SENSITIVE,            /* the first and the last eighth, and every third between */
    WHEN_SHARED_KV,            /* four or more query heads use one pair of keys and values */
    WHEN_EXPERTS,              /* the matrix is a stack of experts' */
    WHEN_8_EXPERTS,            /* the model has eight, as Mixtral */
    WHEN_80_LAYERS,            /* the 70B models: values' matrices are small there */
};

struct quantize_rule {
    enum quantize_role role;
    enum quantize_when when;
    uint32_t only; /* where the type so far is this one; QUANT_F32: any */
    uint32_t type; /* enum quant_id */
};

struct quantize_mix {
    const char *name;   /* "Q4_K_M" */
    const char *note;   /* for people, a few words */
    uint32_t file_type; /* general.file_type */
    uint32_t type;      /* of the matrices that no rule names */
    uint32_t output;    /* of the output matrix, or of the embedding that serves as it */
    const struct quantize_rule *rules; /* the first that fits counts; ended by type QUANT_F32 */
};

/* By its name, or an alias such as "Q4_K", in any case; NULL where there is none. */
const struct quantize_mix *quantize_mix_find(const char *name);
/* All, ended by one without a name. */
const struct quantize_mix *quantize_mix_all(void);

#endif
