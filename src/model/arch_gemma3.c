/* Gemma 3, text (Gemma Team 2025, arXiv:2503.19786): Gemma 2 with norms on each query and key head
 * in place of the caps, and five layers of six that look back over a window only and rotate faster.
 */
#include "model/arch.h"

#include <math.h>

static float score_scale(const struct model_info *i)
{
    /* The 27B differs from the others. */
    double width = i->n_layer == 62 ? (double)i->n_embd / i->n_head : (double)i->head_dim;
    return (float)(1 / sqrt(width));
}

static enum status gemma3_build(struct arch_builder *b)
{
    uint32_t window;
    double near_base, logits_cap, scale;
    arch_decoder_params(b);
    arch_refuse_experts(b);
    arch_u32_or(b, "attention.sliding_window", 0, INT32_MAX, 0, &window);
    arch_f64_or(b, "rope.freq_base_swa", 1e-3, 1e30, 10000, &near_base);
    arch_f64_or(b, "final_logit_softcapping", 0, 1e6, 0, &logits_cap);
    arch_f64_or(b, "attention.scale", 0, 1e6, 0, &scale);
    const struct rope *rope = arch_rope(b, true, NULL);
    const struct rope *near_rope = arch_rope_plain(b, true, rope->n_dims, near_base, 1);
    arch_embed(b)->scale = (float)sqrt((double)b->m->info.n_embd);
    struct attn *full = arch_attn(b), *near = arch_attn(b);
    if (!arch_status(b)) full->scale = scale > 0 ? (float)scale : score_scale(&b->m->info);
    *near = *full;
    near->window = window;
    near->rope = near_rope;
    const bool *is_near = arch_window_layers(b, 6);
    struct arch_attention attention = {.head_norms = true, .post_norm = "post_attention_norm"};
    struct arch_ffn ffn = {.act = KERN_FN_GELU_TANH, .post_norm = "post_ffw_norm"};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        attention.attn = window && is_near[i] ? near : full;
        arch_attention(b, i, &attention);
        arch_ffn(b, i, &ffn);
    }
    struct stage *head = arch_head(b);
    head->softcap = (float)logits_cap;
    return arch_status(b);
}

const struct arch arch_gemma3 = {.name = "gemma3", .build = gemma3_build};
