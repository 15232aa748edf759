/* DeepSeek-V2 (DeepSeek-Coder-V2) and V3: latent attention, shared experts. llama.cpp runs the
 * latent attention as multi-query attention over the latent vector, so the matrix that makes keys
 * and values of it is split, and its half for the keys transposed. */
#include <string.h>

#include "convert/hf_model.h"

static const char *const classes[] = {"DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", NULL};

/* kv_b_proj: heads * (qk_nope + v) rows. Leaves `rows` rows of each head, from row `skip`. */
static enum status split_heads(const struct hf_model *m, struct hf_view *v, bool values,
                               struct error *err)
{
    struct error why = {0};
    uint32_t nope = 0, value = 0;
    hf_config_u32(&m->config, "qk_nope_head_dim", &nope, &why);
    hf_config_u32(&m->config, "v_head_dim", &value, &why);
    if (why.code) return error_set(err, why.code, "%s", why.msg);
    uint64_t each = (uint64_t)nope + value;
    if (nope == 0 || value == 0 || v->n_dims != 2 || v->rows != m->n_head * each)
        return error_set(err, ERR_FORMAT, "weight '%.200s' does not have the rows of %u heads",
                         v->src->name.data, m->n_head);
    v->n_dims = 3;
    v->n = m->n_head;
    v->sn = each * v->sr;
    v->rows = values ? value : nope;
    if (values) v->base += nope * v->sr;
    return OK;
}

static enum status key_half(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    enum status st = split_heads(m, v, false, err);
    return st ? st : hf_fix_transpose(m, v, err);
}

static enum status value_half(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    return split_heads(m, v, true, err);
}

static const struct hf_rule rules[] = {
    {"model.embed_tokens.weight", "token_embd.weight", NULL, false},
    {"model.norm.weight", "output_norm.weight", NULL, false},
    {"lm_head.weight", "output.weight", NULL, false},
    {"model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", NULL, true},
    {"model.layers.#.self_attn.q_proj.weight", "blk.#.attn_q.weight", NULL, false},
    {"model.layers.#.self_attn.q_a_proj.weight", "blk.#.attn_q_a.weight", NULL, false},
    {"model.layers.#.self_attn.q_a_layernorm.weight", "blk.#.attn_q_a_norm.weight", NULL, false},
    {"model.layers.#.self_attn.q_b_proj.weight", "blk.#.attn_q_b.weight", NULL, false},
    {"model.layers.#.self_attn.kv_a_proj_with_mqa.weight", "blk.#.attn_kv_a_mqa.weight", NULL,
     true},
    {"model.layers.#.self_attn.kv_a_layernorm.weight", "blk.#.attn_kv_a_norm.weight", NULL, true},
    {"model.layers.#.self_attn.kv_b_proj.weight", "blk.#.attn_k_b.weight", key_half, true},
    {"model.layers.#.self_attn.kv_b_proj.weight", "blk.#.attn_v_b.weight", value_half, true},
    {"model.layers.#.self_attn.o_proj.weight", "blk.#.attn_output.weight", NULL, true},
    {"model.layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight", NULL, true},
    {"model.layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight", NULL, false},
    {"model.layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight", NULL, false},
    {"model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight", NULL, false},
    {"model.layers.#.mlp.gate.weight", "blk.#.ffn_gate_inp.weight", NULL, false},
    {"model.layers.#.mlp.gate.e_score_correction_bias", "blk.#.exp_probs_b.bias", NULL, false},
    {"model.layers.#.mlp.experts.@.gate_proj.weight", "blk.#.ffn_gate_exps.weight", NULL, false},
    {"model.layers.#.mlp.experts.@.up_proj.weight", "blk.#.ffn_up_exps.weight", NULL, false},
    {"model.layers.#.mlp.experts.@.down_proj.weight", "blk.#.ffn_down_exps.weight", NULL, false},
    {"model.layers.#.mlp.experts.gate_up_proj", "blk.#.ffn_gate_exps.weight", hf_fix_first_half,
     false},
    {"model.layers.#.mlp.experts.gate_up_proj", "blk.#.ffn_up_exps.weight", hf_fix_second_half,
     false},
    {"model.layers.#.mlp.experts.down_proj", "blk.#.ffn_down_exps.weight", NULL, false},
    {"model.layers.#.mlp.shared_experts.gate_proj.weight", "blk.#.ffn_gate_shexp.weight", NULL,
     false},
    {"model.layers.#.mlp.shared_experts.up_proj.weight", "blk.#.ffn_up_shexp.weight", NULL, false},
    {"model.layers.#.mlp.shared_experts.down_proj.weight", "blk.#.ffn_down_shexp.weight", NULL,
     false},
    {"model.layers.#.self_attn.rotary_emb.inv_freq", NULL, NULL, false},
    {0},
};

static void keys(struct hf_keys *k)
{
    uint32_t heads_kv = k->m->n_head_kv, rank = hf_get_u32(k, "kv_lora_rank", 512);
    uint32_t nope = hf_need_u32(k, "qk_nope_head_dim"), turned = hf_need_u32(k, "qk_rope_head_dim");
    double mscale;
    k->m->n_head_kv = 1;
    hf_keys_shape(k);
    k->m->n_head_kv = heads_kv;
    hf_keys_rope(k);
    hf_keys_experts(k);
    hf_key_f32(k, "attention.layer_norm_rms_epsilon", hf_get_f64(k, "rms_norm_eps", 1e-6));
    hf_key_u32(k, "leading_dense_block_count",
               hf_get_u32(k, "first_k_dense_replace", k->m->n_expert ? 0 : k->m->n_layer));
    hf_key_u32(k, "vocab_size", hf_need_u32(k, "vocab_size"));
    hf_copy_u32(k, "attention.q_lora_rank", "q_lora_rank");
    hf_key_u32(k, "attention.kv_lora_rank", rank);
    hf_key_u32(k, "attention.key_length", rank + turned);
    hf_key_u32(k, "attention.value_length", rank);
    hf_key_u32(k, "attention.key_length_mla", nope + turned);
    hf_key_u32(k, "attention.value_length_mla", hf_need_u32(k, "v_head_dim"));
    hf_key_u32(k, "expert_feed_forward_length",
               hf_need_u32(k, "moe_intermediate_size|intermediate_size"));
    hf_key_u32(k, "expert_shared_count", hf_get_u32(k, "n_shared_experts", 0));
    hf_copy_f32(k, "expert_weights_scale", "routed_scaling_factor");
    if (hf_get_bool(k, "norm_topk_prob", false)) hf_key_bool(k, "expert_weights_norm", true);
    hf_key_u32(k, "rope.dimension_count", turned);
    if (hf_rope_f64(&k->m->config, &k->m->rope, "mscale_all_dim", &mscale, k->err))
        hf_key_f32(k, "rope.scaling.yarn_log_multiplier", 0.1 * mscale);
}

extern const struct hf_arch hf_deepseek2;
const struct hf_arch hf_deepseek2 = {
    .name = "deepseek2", .classes = classes, .rules = rules, .keys = keys};
