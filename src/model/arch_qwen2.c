/* Qwen2 and Qwen2.5, Coder included (Yang et al. 2024, arXiv:2407.10671): Llama's layers with
 * biases on queries, keys and values, and rotary pairs half a head apart. The sliding window that
 * some files name applies only beyond the trained context and is not used. */
#include "model/arch.h"

static enum status qwen2_build(struct arch_builder *b)
{
    arch_decoder_params(b);
    arch_refuse_experts(b);
    arch_rope(b, true, NULL);
    arch_embed(b);
    arch_gated_decoder_layers(b);
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_qwen2 = {.name = "qwen2", .build = qwen2_build};
