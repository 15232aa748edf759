#include "quant/quant_int.h"

/* Ordered by id. */
static const struct quant_traits *const all[] = {
    &quant_f32,  &quant_f16,  &quant_q4_0, &quant_q4_1, &quant_q5_0, &quant_q5_1, &quant_q8_0,
    &quant_q2_k, &quant_q3_k, &quant_q4_k, &quant_q5_k, &quant_q6_k, &quant_bf16, NULL,
};

const struct quant_traits *quant_find(uint32_t id)
{
    for (const struct quant_traits *const *t = all; *t; t++)
        if ((*t)->id == id) return *t;
    return NULL;
}

const struct quant_traits *const *quant_all(void)
{
    return all;
}
