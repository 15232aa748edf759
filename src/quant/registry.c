#include "quant/quant_int.h"

/* Ordered by id. */
static const struct quant_traits *const all[] = {
    &quant_f32,    &quant_f16,     &quant_q4_0,   &quant_q4_1,   &quant_q5_0,   &quant_q5_1,
    &quant_q8_0,   &quant_q2_k,    &quant_q3_k,   &quant_q4_k,   &quant_q5_k,   &quant_q6_k,
    &quant_iq2_xxs, &quant_iq2_xs, &quant_iq3_xxs, &quant_iq1_s, &quant_iq4_nl, &quant_iq3_s,
    &quant_iq2_s,  &quant_iq4_xs,  &quant_iq1_m,  &quant_bf16,   &quant_tq1_0,  &quant_tq2_0,
    &quant_mxfp4,  &quant_nvfp4,   &quant_q1_0,   &quant_q2_0,   NULL,
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
