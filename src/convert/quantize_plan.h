/* Choosing a type for each tensor of a model: a mix's rules, what the person asked for instead, and
 * what the shapes allow. */
#ifndef HEARTH_CONVERT_QUANTIZE_PLAN_H
#define HEARTH_CONVERT_QUANTIZE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "convert/quantize_mix.h"

/* What the rules ask about the model. 0 where it has none of something. */
struct quantize_model {
    uint32_t n_layer, n_head, n_head_kv, n_expert;
};

/* A tensor whose name matches gets the type, first come first served. */
struct quantize_override {
    const char *pattern; /* a PCRE2 expression, found anywhere in the name, in any case */
    uint32_t type;       /* enum quant_id, one with an encoder */
};

struct quantize_choices {
    const struct quantize_mix *mix;
    bool pure;                  /* all matrices of one type, no rules */
    bool leave_output;          /* output.weight stays as it is */
    bool weighted;              /* an importance matrix is used */
    int64_t output, token_embd; /* types asked for; -1: as the mix has it */
    const struct quantize_override *overrides;
    size_t n_overrides;
};

struct quantize_tensor {
    const char *name; /* borrowed */
    uint32_t n_dims;
    uint64_t ne[4];
    uint32_t from;   /* enum quant_id */
    uint32_t to;     /* the plan's answer */
    uint32_t wanted; /* differs from `to` where the rows have no whole blocks of it */
};

/* Fills `to` and `wanted` of n tensors, in any order. ERR_INVALID for an expression that cannot be
 * compiled, ERR_NOMEM. */
enum status quantize_plan(const struct quantize_choices *c, const struct quantize_model *m,
                          struct quantize_tensor *tensors, size_t n, struct error *err);

#endif
