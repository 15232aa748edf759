/* Nomic's BERT (Nussbaum et al. 2024, arXiv:2402.01613): BERT with rotating positions and SwiGLU.
 */
#include "model/arch.h"

static enum status nomic_bert_build(struct arch_builder *b)
{
    arch_encoder_params(b);
    arch_rope(b, true, NULL);
    arch_encoder_embed(b);
    struct arch_attention attention = {.attn = arch_encoder_attn(b), .no_norm = true};
    struct arch_ffn ffn = {.act = KERN_FN_SILU, .no_norm = true};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        arch_attention(b, i, &attention);
        arch_encoder_norm(b, i, "attn_output_norm");
        arch_ffn(b, i, &ffn);
        arch_encoder_norm(b, i, "layer_output_norm");
    }
    arch_encoder_head(b);
    return arch_status(b);
}

const struct arch arch_nomic_bert = {.name = "nomic-bert", .build = nomic_bert_build};
