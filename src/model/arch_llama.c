/* Llama (Touvron et al. 2023, arXiv:2302.13971) and its many relatives: Code Llama, DeepSeek-Coder
 * with linearly scaled positions, SmolLM2, and Llama 3, whose rope_freqs.weight stretches the slow
 * frequencies. Grouped-query attention, neighbouring rotary pairs, SwiGLU, RMS norm before each
 * part. */
#include "model/arch.h"

static enum status llama_build(struct arch_builder *b)
{
    arch_decoder_params(b);
    arch_refuse_experts(b);
    arch_rope(b, false, "rope_freqs.weight");
    arch_embed(b);
    arch_gated_decoder_layers(b);
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_llama = {.name = "llama", .build = llama_build};
