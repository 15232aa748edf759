/* Phi-3, Phi-3.5 and Phi-4 (Abdin et al. 2024, arXiv:2404.14219): Llama's layers with queries, keys
 * and values in one tensor and gate and up in another, a sliding window in some models, LongRoPE in
 * those with 128k of context. */
#include "model/arch.h"

static enum status phi3_build(struct arch_builder *b)
{
    uint32_t window;
    arch_decoder_params(b);
    arch_refuse_experts(b);
    arch_u32_or(b, "attention.sliding_window", 0, INT32_MAX, 0, &window);
    arch_rope(b, true, NULL);
    arch_embed(b);
    struct attn *attn = arch_attn(b);
    attn->window = window;
    struct arch_attention attention = {.attn = attn};
    struct arch_ffn ffn = {.act = KERN_FN_SILU};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        arch_attention(b, i, &attention);
        arch_ffn(b, i, &ffn);
    }
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_phi3 = {.name = "phi3", .build = phi3_build};
