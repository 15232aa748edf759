/* Qwen2-MoE (with shared experts) and Qwen3-MoE, as which Qwen3-Coder is published. Experts lie one
 * by one, or, as newer transformers keep them, in one matrix for gates and ups and one for downs.
 */
#include "convert/hf_model.h"

static const char *const classes2[] = {"Qwen2MoeForCausalLM", NULL};
static const char *const classes3[] = {"Qwen3MoeForCausalLM", NULL};

static const struct hf_rule rules[] = {
    {"model.embed_tokens.weight", "token_embd.weight", NULL, false},
    {"model.norm.weight", "output_norm.weight", NULL, false},
    {"lm_head.weight", "output.weight", NULL, false},
    {"model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", NULL, true},
    {"model.layers.#.self_attn.q_proj.*", "blk.#.attn_q.*", NULL, true},
    {"model.layers.#.self_attn.k_proj.*", "blk.#.attn_k.*", NULL, true},
    {"model.layers.#.self_attn.v_proj.*", "blk.#.attn_v.*", NULL, true},
    {"model.layers.#.self_attn.q_norm.weight", "blk.#.attn_q_norm.weight", NULL, false},
    {"model.layers.#.self_attn.k_norm.weight", "blk.#.attn_k_norm.weight", NULL, false},
    {"model.layers.#.self_attn.o_proj.*", "blk.#.attn_output.*", NULL, true},
    {"model.layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight", NULL, true},
    {"model.layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight", NULL, false},
    {"model.layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight", NULL, false},
    {"model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight", NULL, false},
    {"model.layers.#.mlp.gate.weight", "blk.#.ffn_gate_inp.weight", NULL, false},
    {"model.layers.#.mlp.experts.@.gate_proj.weight", "blk.#.ffn_gate_exps.weight", NULL, false},
    {"model.layers.#.mlp.experts.@.up_proj.weight", "blk.#.ffn_up_exps.weight", NULL, false},
    {"model.layers.#.mlp.experts.@.down_proj.weight", "blk.#.ffn_down_exps.weight", NULL, false},
    {"model.layers.#.mlp.experts.gate_up_proj", "blk.#.ffn_gate_exps.weight", hf_fix_first_half,
     false},
    {"model.layers.#.mlp.experts.gate_up_proj", "blk.#.ffn_up_exps.weight", hf_fix_second_half,
     false},
    {"model.layers.#.mlp.experts.down_proj", "blk.#.ffn_down_exps.weight", NULL, false},
    {"model.layers.#.mlp.shared_expert.gate_proj.weight", "blk.#.ffn_gate_shexp.weight", NULL,
     false},
    {"model.layers.#.mlp.shared_expert.up_proj.weight", "blk.#.ffn_up_shexp.weight", NULL, false},
    {"model.layers.#.mlp.shared_expert.down_proj.weight", "blk.#.ffn_down_shexp.weight", NULL,
     false},
    {"model.layers.#.mlp.shared_expert_gate.weight", "blk.#.ffn_gate_inp_shexp.weight", NULL,
     false},
    {0},
};

static void keys(struct hf_keys *k)
{
    hf_keys_common(k, true);
    hf_copy_u32(k, "expert_feed_forward_length", "moe_intermediate_size");
    hf_copy_u32(k, "expert_shared_feed_forward_length", "shared_expert_intermediate_size");
}

/* Whether the chosen experts' weights are scaled to a sum of one is part of the architecture for
 * readers of GGUF: Qwen3's are, Qwen2's are not. */
static enum status check_sum(struct hf_model *m, bool want, struct error *err)
{
    bool scaled = false; /* transformers' default */
    struct error why = {0};
    hf_config_bool(&m->config, "norm_topk_prob", &scaled, &why);
    if (why.code) return error_set(err, why.code, "%s", why.msg);
    if (scaled == want) return OK;
    return error_set(err, ERR_UNSUPPORTED,
                     "%s: \"norm_topk_prob\" is %s, unlike that of any published %s model",
                     m->config.path, scaled ? "true" : "false", m->arch->name);
}

static enum status prepare2(struct hf_model *m, struct error *err)
{
    return check_sum(m, false, err);
}

static enum status prepare3(struct hf_model *m, struct error *err)
{
    return check_sum(m, true, err);
}

extern const struct hf_arch hf_qwen2moe, hf_qwen3moe;
const struct hf_arch hf_qwen2moe = {
    .name = "qwen2moe", .classes = classes2, .rules = rules, .keys = keys, .prepare = prepare2};
const struct hf_arch hf_qwen3moe = {
    .name = "qwen3moe", .classes = classes3, .rules = rules, .keys = keys, .prepare = prepare3};
