/* Qwen2 and Qwen2.5, Coder included (Yang et al. 2024, arXiv:2407.10671): Llama's layers with
 * biases on queries, keys and values, and rotary pairs half a head apart. The sliding window that
 * some files name applies only beyond the trained context and is not used. */
#include "model/arch.h"

static enum status qwen2_build(struct arch_builder *b, struct error *err)
{
    (void)err;
    arch_decoder_params(b);
    arch_rope(b, true, NULL);
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

        s = arch_stage(b, STAGE_FFN_OUT, i);
        arch_matrix(b, &s->w[0], embd, ff, "blk.%u.ffn_down.weight", i);
    }
    arch_head(b);
    arch_refuse(b, "output.bias");
    return arch_status(b);
}

const struct arch arch_qwen2 = {.name = "qwen2", .build = qwen2_build};
