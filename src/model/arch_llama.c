/* Llama (Touvron et al. 2023, arXiv:2302.13971) and its many relatives: Code Llama, DeepSeek-Coder
 * with linearly scaled positions, SmolLM2, and Llama 3, whose rope_freqs.weight stretches the slow
 * frequencies. Grouped-query attention, neighbouring rotary pairs, SwiGLU, RMS norm before each
 * part. Mixtral (Jiang et al. 2024, arXiv:2401.04088) has the same with a mixture of experts. */
#include "model/arch.h"

static void mixture_layers(struct arch_builder *b)
{
    struct moe *moe = arch_moe_params(b);
    moe->score = MOE_SOFTMAX_USED;
    struct arch_attention attention = {.attn = arch_attn(b)};
    struct arch_moe experts = {.moe = moe, .act = KERN_FN_SILU};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        arch_attention(b, i, &attention);
        arch_moe(b, i, &experts);
    }
}

static enum status llama_build(struct arch_builder *b)
{
    uint32_t n_expert;
    arch_decoder_params(b);
    arch_u32_or(b, "expert_count", 0, UINT32_MAX, 0, &n_expert);
    arch_rope(b, false, "rope_freqs.weight");
    arch_embed(b);
    if (n_expert)
        mixture_layers(b);
    else
        arch_gated_decoder_layers(b);
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_llama = {.name = "llama", .build = llama_build};
