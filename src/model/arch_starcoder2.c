/* StarCoder2 (Lozhkov et al. 2024, arXiv:2402.19173): grouped-query attention with rotary
 * positions, layer norms, GELU and biases everywhere. The smaller models were trained with a
 * sliding window, which files written from the publisher's configuration name. */
#include "model/arch.h"

static enum status starcoder2_build(struct arch_builder *b)
{
    uint32_t window;
    b->norm_kind = NORM_LAYER;
    arch_decoder_params(b);
    arch_refuse_experts(b);
    arch_u32_or(b, "attention.sliding_window", 0, INT32_MAX, 0, &window);
    arch_rope(b, true, NULL);
    arch_embed(b);
    struct attn *attn = arch_attn(b);
    attn->window = window;
    struct arch_attention attention = {.attn = attn};
    struct arch_ffn ffn = {.act = KERN_FN_GELU_TANH, .plain = true};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        arch_attention(b, i, &attention);
        arch_ffn(b, i, &ffn);
    }
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_starcoder2 = {.name = "starcoder2", .build = starcoder2_build};
