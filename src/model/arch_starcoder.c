/* StarCoder and SantaCoder (Li et al. 2023, arXiv:2305.06161): GPT-2's layers, learned positions,
 * one key and value head for all queries, layer norms and biases everywhere. */
#include "model/arch.h"

static enum status starcoder_build(struct arch_builder *b)
{
    b->norm_kind = NORM_LAYER;
    arch_decoder_params(b);
    arch_refuse_experts(b);
    arch_embed(b);
    arch_positions(b);
    struct arch_attention attention = {.attn = arch_attn(b)};
    struct arch_ffn ffn = {.act = KERN_FN_GELU_TANH, .plain = true};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        arch_attention(b, i, &attention);
        arch_ffn(b, i, &ffn);
    }
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_starcoder = {.name = "starcoder", .build = starcoder_build};
