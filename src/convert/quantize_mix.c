/* The choices are llama.cpp's, found there by measuring perplexities: llama_tensor_get_type_impl in
 * its src/llama-quant.cpp; the numbers of file types are its enum llama_ftype's. */
#include "convert/quantize_mix.h"

#include <strings.h>

#include "quant/quant.h"

enum { ANY = QUANT_F32 };
#define END                                                                                        \
    {                                                                                              \
        0                                                                                          \
    }

static const struct quantize_rule none[] = {END};

static const struct quantize_rule q4_0[] = {
    {ROLE_FFN_DOWN, WHEN_FIRST_8TH_WEIGHTED, ANY, QUANT_Q4_1},
    END,
};
static const struct quantize_rule q5_0[] = {
    {ROLE_FFN_DOWN, WHEN_FIRST_8TH_WEIGHTED, ANY, QUANT_Q5_1},
    END,
};
static const struct quantize_rule q2_k[] = {
    {ROLE_ATTN_V, WHEN_SHARED_KV, ANY, QUANT_Q4_K},
    {ROLE_ATTN_V, WHEN_ALWAYS, ANY, QUANT_Q3_K},
    {ROLE_FFN_DOWN, WHEN_ALWAYS, ANY, QUANT_Q3_K},
    {ROLE_ATTN_OUTPUT, WHEN_8_EXPERTS, ANY, QUANT_Q5_K},
    {ROLE_ATTN_OUTPUT, WHEN_ALWAYS, ANY, QUANT_Q3_K},
    END,
};
static const struct quantize_rule q3_k_s[] = {
    {ROLE_ATTN_OUTPUT, WHEN_8_EXPERTS, ANY, QUANT_Q5_K},
    END,
};
static const struct quantize_rule q3_k_m[] = {
    {ROLE_ATTN_V, WHEN_FIRST_2, ANY, QUANT_Q5_K},
    {ROLE_ATTN_V, WHEN_ALWAYS, ANY, QUANT_Q4_K},
    {ROLE_FFN_DOWN, WHEN_FIRST_16TH, ANY, QUANT_Q5_K},
    {ROLE_FFN_DOWN, WHEN_ALWAYS, ANY, QUANT_Q4_K},
    {ROLE_ATTN_OUTPUT, WHEN_8_EXPERTS, ANY, QUANT_Q5_K},
    {ROLE_ATTN_OUTPUT, WHEN_ALWAYS, ANY, QUANT_Q4_K},
    END,
};
static const struct quantize_rule q3_k_l[] = {
    {ROLE_ATTN_V, WHEN_ALWAYS, ANY, QUANT_Q5_K},
    {ROLE_FFN_DOWN, WHEN_ALWAYS, ANY, QUANT_Q5_K},
    {ROLE_ATTN_OUTPUT, WHEN_8_EXPERTS, ANY, QUANT_Q3_K},
    {ROLE_ATTN_OUTPUT, WHEN_ALWAYS, ANY, QUANT_Q5_K},
    END,
};
static const struct quantize_rule q4_k_s[] = {
    {ROLE_ATTN_V, WHEN_FIRST_4, ANY, QUANT_Q5_K},
    {ROLE_FFN_DOWN, WHEN_FIRST_8TH, ANY, QUANT_Q5_K},
    {ROLE_ATTN_OUTPUT, WHEN_8_EXPERTS, ANY, QUANT_Q5_K},
    END,
};
static const struct quantize_rule q4_k_m[] = {
    {ROLE_ATTN_V, WHEN_SENSITIVE, ANY, QUANT_Q6_K},
    {ROLE_FFN_DOWN, WHEN_SENSITIVE, ANY, QUANT_Q6_K},
    {ROLE_ATTN_OUTPUT, WHEN_8_EXPERTS, ANY, QUANT_Q5_K},
    END,
};
static const struct quantize_rule q5_k_m[] = {
    {ROLE_ATTN_V, WHEN_SENSITIVE, ANY, QUANT_Q6_K},
    {ROLE_FFN_DOWN, WHEN_SENSITIVE, ANY, QUANT_Q6_K},
    END,
};
static const struct quantize_rule iq4[] = {
    {ROLE_ATTN_V, WHEN_SHARED_KV, ANY, QUANT_Q5_K},
    {ROLE_FFN_DOWN, WHEN_FIRST_8TH_UNWEIGHTED, ANY, QUANT_Q5_K},
    {ROLE_ATTN_OUTPUT, WHEN_8_EXPERTS, ANY, QUANT_Q5_K},
    END,
};
static const struct quantize_rule mxfp4_moe[] = {
    {ROLE_FFN_UP, WHEN_EXPERTS, ANY, QUANT_MXFP4},
    {ROLE_FFN_GATE, WHEN_EXPERTS, ANY, QUANT_MXFP4},
    {ROLE_FFN_DOWN, WHEN_EXPERTS, ANY, QUANT_MXFP4},
    END,
};

static const struct quantize_mix mixes[] = {
    {"Q2_K", "2.6 bits; the smallest, with a clear loss", 10, QUANT_Q2_K, QUANT_Q6_K, q2_k},
    {"Q3_K_S", "3.4 bits", 11, QUANT_Q3_K, QUANT_Q6_K, q3_k_s},
    {"Q3_K_M", "3.4 bits, more where it matters", 12, QUANT_Q3_K, QUANT_Q6_K, q3_k_m},
    {"Q3_K_L", "3.4 bits, yet more", 13, QUANT_Q3_K, QUANT_Q6_K, q3_k_l},
    {"IQ4_XS", "4.25 bits, unevenly spaced", 30, QUANT_IQ4_XS, QUANT_Q6_K, iq4},
    {"IQ4_NL", "4.5 bits, unevenly spaced, small blocks", 25, QUANT_IQ4_NL, QUANT_Q6_K, iq4},
    {"MXFP4", "4.25 bits, 4-bit floats", 38, QUANT_MXFP4, QUANT_Q8_0, none},
    {"MXFP4_MOE", "experts in MXFP4, the rest in Q8_0", 38, QUANT_Q8_0, QUANT_Q8_0, mxfp4_moe},
    {"Q4_0", "4.5 bits", 2, QUANT_Q4_0, QUANT_Q6_K, q4_0},
    {"Q4_1", "5 bits", 3, QUANT_Q4_1, QUANT_Q6_K, none},
    {"Q4_K_S", "4.5 bits", 14, QUANT_Q4_K, QUANT_Q6_K, q4_k_s},
    {"Q4_K_M", "4.5 bits, more where it matters: the usual choice", 15, QUANT_Q4_K, QUANT_Q6_K,
     q4_k_m},
    {"Q5_0", "5.5 bits", 8, QUANT_Q5_0, QUANT_Q6_K, q5_0},
    {"Q5_1", "6 bits", 9, QUANT_Q5_1, QUANT_Q6_K, none},
    {"Q5_K_S", "5.5 bits", 16, QUANT_Q5_K, QUANT_Q6_K, none},
    {"Q5_K_M", "5.5 bits, more where it matters", 17, QUANT_Q5_K, QUANT_Q6_K, q5_k_m},
    {"Q6_K", "6.6 bits", 18, QUANT_Q6_K, QUANT_Q6_K, none},
    {"Q8_0", "8.5 bits; hardly any loss", 7, QUANT_Q8_0, QUANT_Q8_0, none},
    {"F16", "16 bits", 1, QUANT_F16, QUANT_F16, none},
    {"BF16", "16 bits, the range of F32", 32, QUANT_BF16, QUANT_BF16, none},
    {"F32", "32 bits", 0, QUANT_F32, QUANT_F32, none},
    {0},
};

static const struct {
    const char *alias, *name;
} aliases[] = {{"Q3_K", "Q3_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q5_K", "Q5_K_M"}};

const struct quantize_mix *quantize_mix_find(const char *name)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcasecmp(name, aliases[i].alias) == 0) name = aliases[i].name;
    for (const struct quantize_mix *m = mixes; m->name; m++)
        if (strcasecmp(name, m->name) == 0) return m;
    return NULL;
}

const struct quantize_mix *quantize_mix_all(void)
{
    return mixes;
}
