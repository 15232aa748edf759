/* Qwen2, Qwen2.5 and Qwen2.5-Coder. */
#include "convert/hf_model.h"

static const char *const classes[] = {"Qwen2ForCausalLM", "Qwen2Model", NULL};

static const struct hf_rule rules[] = {
    {"model.embed_tokens.weight", "token_embd.weight", NULL, false},
    {"model.norm.weight", "output_norm.weight", NULL, false},
    {"lm_head.weight", "output.weight", NULL, false},
    {"model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", NULL, true},
    {"model.layers.#.self_attn.q_proj.*", "blk.#.attn_q.*", NULL, true},
    {"model.layers.#.self_attn.k_proj.*", "blk.#.attn_k.*", NULL, true},
    {"model.layers.#.self_attn.v_proj.*", "blk.#.attn_v.*", NULL, true},
    {"model.layers.#.self_attn.o_proj.weight", "blk.#.attn_output.weight", NULL, true},
    {"model.layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight", NULL, true},
    {"model.layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight", NULL, true},
    {"model.layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight", NULL, true},
    {"model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight", NULL, true},
    {"model.layers.#.self_attn.rotary_emb.inv_freq", NULL, NULL, false},
    {0},
};

static void keys(struct hf_keys *k)
{
    hf_keys_common(k, true);
    hf_keys_pooling(k);
}

extern const struct hf_arch hf_qwen2;
const struct hf_arch hf_qwen2 = {
    .name = "qwen2",
    .classes = classes,
    .rules = rules,
    .keys = keys,
    .without_prefix = "model.",
};
