/* Llama (Touvron et al. 2023, arXiv:2302.13971) and its many relatives: Code Llama, DeepSeek-Coder
 * with linearly scaled positions, SmolLM2, and Llama 3, whose rope_freqs.weight stretches the slow
 * frequencies. Grouped-query attention, neighbouring rotary pairs, SwiGLU, RMS norm before each
 * part. */
#include "model/arch.h"

static enum status llama_build(struct arch_builder *b, struct error *err)
{
    (void)err;
    arch_decoder_params(b);
    arch_rope(b, false, "rope_freqs.weight");
    const struct model_info *info = &b->m->info;
    uint32_t embd = info->n_embd, ff = info->n_ff;
    uint32_t q = info->n_head * info->head_dim, kv = info->n_head_kv * info->head_dim;

    arch_embed(b);
    for (uint32_t i = 0; i < info->n_layer && !arch_status(b); i++) {
        struct stage *s = arch_stage(b, STAGE_ATTN_IN, i);
        arch_vector(b, &s->norm, embd, "blk.%u.attn_norm.weight", i);
        arch_matrix(b, &s->w[0], q, embd, "blk.%u.attn_q.weight", i);
        arch_matrix(b, &s->w[1], kv, embd, "blk.%u.attn_k.weight", i);
        arch_matrix(b, &s->w[2], kv, embd, "blk.%u.attn_v.weight", i);
        arch_vector_opt(b, &s->bias[0], q, "blk.%u.attn_q.bias", i);
        arch_vector_opt(b, &s->bias[1], kv, "blk.%u.attn_k.bias", i);
        arch_vector_opt(b, &s->bias[2], kv, "blk.%u.attn_v.bias", i);

        arch_stage(b, STAGE_ATTN, i);

        s = arch_stage(b, STAGE_ATTN_OUT, i);
        arch_matrix(b, &s->w[0], embd, q, "blk.%u.attn_output.weight", i);
        arch_vector_opt(b, &s->bias[0], embd, "blk.%u.attn_output.bias", i);

        s = arch_stage(b, STAGE_FFN_IN, i);
        s->act = ACT_SILU;
        arch_vector(b, &s->norm, embd, "blk.%u.ffn_norm.weight", i);
        arch_matrix(b, &s->w[0], ff, embd, "blk.%u.ffn_gate.weight", i);
        arch_matrix(b, &s->w[1], ff, embd, "blk.%u.ffn_up.weight", i);
        arch_refuse(b, "blk.%u.ffn_gate.bias", i);
        arch_refuse(b, "blk.%u.ffn_up.bias", i);

        s = arch_stage(b, STAGE_FFN_OUT, i);
        arch_matrix(b, &s->w[0], embd, ff, "blk.%u.ffn_down.weight", i);
        arch_refuse(b, "blk.%u.ffn_down.bias", i);
    }
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_llama = {.name = "llama", .build = llama_build};
