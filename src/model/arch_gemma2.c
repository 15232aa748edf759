/* Gemma 2 (Gemma Team 2024, arXiv:2408.00118): Gemma with a norm behind each part as well as before
 * it, a sliding window in every second layer, and caps on attention's scores and on the logits. */
#include "model/arch.h"

#include <math.h>

/* Its 27B divides by the width of a head that the residual stream would have, not by that of its
 * heads. */
static float score_scale(const struct model_info *i, uint32_t layers_of_27b)
{
    double width =
        i->n_layer == layers_of_27b ? (double)i->n_embd / i->n_head : (double)i->head_dim;
    return (float)(1 / sqrt(width));
}

static enum status gemma2_build(struct arch_builder *b)
{
    uint32_t window;
    double cap, logits_cap, scale;
    arch_decoder_params(b);
    arch_refuse_experts(b);
    arch_u32_or(b, "attention.sliding_window", 1, INT32_MAX, 4096, &window);
    arch_f64_or(b, "attn_logit_softcapping", 0, 1e6, 50, &cap);
    arch_f64_or(b, "final_logit_softcapping", 0, 1e6, 30, &logits_cap);
    arch_f64_or(b, "attention.scale", 0, 1e6, 0, &scale);
    arch_rope(b, true, NULL);
    arch_embed(b)->scale = (float)sqrt((double)b->m->info.n_embd);
    struct attn *full = arch_attn(b), *near = arch_attn(b);
    if (!arch_status(b)) full->scale = scale > 0 ? (float)scale : score_scale(&b->m->info, 46);
    full->softcap = (float)cap;
    *near = *full;
    near->window = window;
    const bool *is_near = arch_window_layers(b, 2);
    struct arch_attention attention = {.post_norm = "post_attention_norm"};
    struct arch_ffn ffn = {.act = KERN_FN_GELU_TANH, .post_norm = "post_ffw_norm"};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        attention.attn = is_near[i] ? near : full;
        arch_attention(b, i, &attention);
        arch_ffn(b, i, &ffn);
    }
    struct stage *head = arch_head(b);
    head->softcap = (float)logits_cap;
    return arch_status(b);
}

const struct arch arch_gemma2 = {.name = "gemma2", .build = gemma2_build};
