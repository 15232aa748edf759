/* gpt-oss (OpenAI 2025, arXiv:2508.10925): every second layer looks back over a short window only,
 * a learned sink takes part in each softmax, everything has biases, and the weights of the chosen
 * experts are a softmax over them alone. */
#include "model/arch.h"

static enum status gpt_oss_build(struct arch_builder *b)
{
    uint32_t window;
    arch_decoder_params(b);
    arch_u32(b, "attention.sliding_window", 1, INT32_MAX, &window);
    b->yarn_unrounded = true; /* as in the publisher's own code; no key of the file says so */
    arch_rope(b, true, NULL);
    arch_embed(b);
    struct attn *full = arch_attn(b), *near = arch_attn(b);
    near->window = window;
    struct moe *moe = arch_moe_params(b);
    moe->score = MOE_SOFTMAX_USED;
    struct arch_attention attention = {.sinks = true};
    struct arch_moe experts = {
        .moe = moe, .act = KERN_FN_SWIGLU_OAI, .norm = "post_attention_norm"};
    const bool *is_near = arch_window_layers(b, 2);
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        attention.attn = is_near[i] ? near : full;
        arch_attention(b, i, &attention);
        arch_moe(b, i, &experts);
    }
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_gpt_oss = {.name = "gpt-oss", .build = gpt_oss_build};
