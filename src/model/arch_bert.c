/* BERT (Devlin et al. 2018, arXiv:1810.04805), RoBERTa and XLM-RoBERTa: an encoder whose norms
 * stand behind each part, on what is added up. Learned positions; RoBERTa's begin with row 0 in
 * model files. */
#include "model/arch.h"

static enum status bert_build(struct arch_builder *b)
{
    arch_encoder_params(b);
    arch_encoder_embed(b);
    arch_positions(b);
    struct arch_attention attention = {.attn = arch_encoder_attn(b), .no_norm = true};
    struct arch_ffn ffn = {.act = KERN_FN_GELU_ERF, .plain = true, .no_norm = true};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        arch_attention(b, i, &attention);
        arch_encoder_norm(b, i, "attn_output_norm");
        arch_ffn(b, i, &ffn);
        arch_encoder_norm(b, i, "layer_output_norm");
    }
    arch_encoder_head(b);
    return arch_status(b);
}

const struct arch arch_bert = {.name = "bert", .build = bert_build};
