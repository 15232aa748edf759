/* Gemma (Gemma Team 2024, arXiv:2403.08295), CodeGemma among them: Llama's layers with a gated
 * GELU, heads of their own width, and an embedding that is scaled by the square root of its width.
 * The norms' weights stand in files with 1 added. */
#include "model/arch.h"

#include <math.h>

static enum status gemma_build(struct arch_builder *b)
{
    arch_decoder_params(b);
    arch_refuse_experts(b);
    arch_rope(b, true, NULL);
    arch_embed(b)->scale = (float)sqrt((double)b->m->info.n_embd);
    struct arch_attention attention = {.attn = arch_attn(b)};
    struct arch_ffn ffn = {.act = KERN_FN_GELU_TANH};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        arch_attention(b, i, &attention);
        arch_ffn(b, i, &ffn);
    }
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_gemma = {.name = "gemma", .build = gemma_build};
