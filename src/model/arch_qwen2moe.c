/* Mixtures of the Qwen1.5 and Qwen2 families (Yang et al. 2024, arXiv:2407.10671): Qwen2's
 * attention, experts whose weights are those of the softmax over all of them, and a shared expert
 * that counts as much as a gate of its own says. */
#include "model/arch.h"

static enum status qwen2moe_build(struct arch_builder *b)
{
    arch_decoder_params(b);
    arch_rope(b, true, NULL);
    arch_embed(b);
    struct arch_attention attention = {.attn = arch_attn(b)};
    struct arch_ffn shared = {.act = KERN_FN_SILU, .suffix = "_shexp"};
    struct arch_moe experts = {.moe = arch_moe_params(b), .act = KERN_FN_SILU, .shared = &shared};
    arch_u32_or(b, "expert_shared_feed_forward_length", 1, 1u << 20, b->m->info.n_ff, &shared.n_ff);
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        arch_attention(b, i, &attention);
        arch_moe(b, i, &experts);
    }
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_qwen2moe = {.name = "qwen2moe", .build = qwen2moe_build};
