/* Qwen3 (Yang et al. 2025, arXiv:2505.09388): Llama's layers with a norm on each query and key head
 * in place of biases. */
#include "model/arch.h"

static enum status qwen3_build(struct arch_builder *b)
{
    arch_decoder_params(b);
    arch_refuse_experts(b);
    arch_rope(b, true, NULL);
    arch_embed(b);
    struct arch_attention attention = {.attn = arch_attn(b), .head_norms = true};
    struct arch_ffn ffn = {.act = KERN_FN_SILU};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        arch_attention(b, i, &attention);
        arch_ffn(b, i, &ffn);
    }
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_qwen3 = {.name = "qwen3", .build = qwen3_build};
