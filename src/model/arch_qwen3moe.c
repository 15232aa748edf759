/* Mixtures of the Qwen3 family, Qwen3-Coder among them (Yang et al. 2025, arXiv:2505.09388):
 * Qwen3's attention, 128 small experts of which 8 are used, their weights adding up to 1, none
 * shared. */
#include "model/arch.h"

static enum status qwen3moe_build(struct arch_builder *b)
{
    arch_decoder_params(b);
    arch_rope(b, true, NULL);
    arch_embed(b);
    struct moe *moe = arch_moe_params(b);
    moe->normalise = true;
    struct arch_attention attention = {.attn = arch_attn(b), .head_norms = true};
    struct arch_moe experts = {.moe = moe, .act = KERN_FN_SILU};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        arch_attention(b, i, &attention);
        arch_moe(b, i, &experts);
    }
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_qwen3moe = {.name = "qwen3moe", .build = qwen3moe_build};
