/* Granite 3 and later, dense (IBM 2024): Llama's layers with factors on the embedding, on
 * attention, on what each part adds to the residual stream, and on the logits. The Granite Code
 * models are `llama` or `starcoder` files. */
#include "model/arch.h"

static enum status granite_build(struct arch_builder *b)
{
    double embedding, attention_scale, residual, logits;
    bool rotated = true;
    arch_decoder_params(b);
    arch_refuse_experts(b);
    arch_f64(b, "logit_scale", 1e-6, 1e6, &logits);
    arch_f64_or(b, "residual_scale", 0, 1e6, 1, &residual);
    arch_f64_or(b, "embedding_scale", 0, 1e6, 1, &embedding);
    arch_f64_or(b, "attention.scale", 0, 1e6, 0, &attention_scale);
    arch_bool_or(b, "rope.scaling.finetuned", true, &rotated);
    if (rotated) arch_rope(b, false, "rope_freqs.weight");
    arch_embed(b)->scale = (float)embedding;
    struct attn *attn = arch_attn(b);
    if (attention_scale > 0) attn->scale = (float)attention_scale;
    struct arch_attention attention = {.attn = attn, .scale = (float)residual};
    struct arch_ffn ffn = {.act = KERN_FN_SILU, .scale = (float)residual};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        arch_attention(b, i, &attention);
        arch_ffn(b, i, &ffn);
    }
    struct stage *head = arch_head(b);
    if (!arch_status(b)) head->scale = (float)(1 / logits);
    return arch_status(b);
}

const struct arch arch_granite = {.name = "granite", .build = granite_build};
