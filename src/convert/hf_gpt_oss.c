/* gpt-oss: experts in MXFP4, which stay as they are, or plain and transposed; gates and ups
 * alternate; attention with sinks. */
#include "convert/hf_model.h"

static const char *const classes[] = {"GptOssForCausalLM", NULL};

/* MXFP4 experts have the rows of a matrix, others its columns. */
static enum status gate(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    if (v->src->kind != HF_MXFP4) hf_fix_transpose(m, v, err);
    return hf_fix_even_rows(m, v, err);
}

static enum status up(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    if (v->src->kind != HF_MXFP4) hf_fix_transpose(m, v, err);
    return hf_fix_odd_rows(m, v, err);
}

static enum status down(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    return v->src->kind == HF_MXFP4 ? OK : hf_fix_transpose(m, v, err);
}

static const struct hf_rule rules[] = {
    {"model.embed_tokens.weight", "token_embd.weight", NULL, false},
    {"model.norm.weight", "output_norm.weight", NULL, false},
    {"lm_head.weight", "output.weight", NULL, false},
    {"model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", NULL, true},
    {"model.layers.#.self_attn.q_proj.*", "blk.#.attn_q.*", NULL, true},
    {"model.layers.#.self_attn.k_proj.*", "blk.#.attn_k.*", NULL, true},
    {"model.layers.#.self_attn.v_proj.*", "blk.#.attn_v.*", NULL, true},
    {"model.layers.#.self_attn.o_proj.*", "blk.#.attn_output.*", NULL, true},
    {"model.layers.#.self_attn.sinks", "blk.#.attn_sinks.weight", NULL, true},
    {"model.layers.#.post_attention_layernorm.weight", "blk.#.post_attention_norm.weight", NULL,
     true},
    {"model.layers.#.mlp.router.*", "blk.#.ffn_gate_inp.*", NULL, true},
    {"model.layers.#.mlp.experts.gate_up_proj", "blk.#.ffn_gate_exps.weight", gate, true},
    {"model.layers.#.mlp.experts.gate_up_proj", "blk.#.ffn_up_exps.weight", up, true},
    {"model.layers.#.mlp.experts.down_proj", "blk.#.ffn_down_exps.weight", down, true},
    {"model.layers.#.mlp.experts.gate_up_proj_bias", "blk.#.ffn_gate_exps.bias", hf_fix_even_cols,
     true},
    {"model.layers.#.mlp.experts.gate_up_proj_bias", "blk.#.ffn_up_exps.bias", hf_fix_odd_cols,
     true},
    {"model.layers.#.mlp.experts.down_proj_bias", "blk.#.ffn_down_exps.bias", NULL, true},
    {0},
};

static void keys(struct hf_keys *k)
{
    hf_keys_common(k, true);
    hf_key_u32(k, "attention.sliding_window", hf_need_u32(k, "sliding_window"));
    hf_key_u32(k, "expert_feed_forward_length", hf_need_u32(k, "intermediate_size"));
}

extern const struct hf_arch hf_gpt_oss;
const struct hf_arch hf_gpt_oss = {
    .name = "gpt-oss", .classes = classes, .rules = rules, .keys = keys};
