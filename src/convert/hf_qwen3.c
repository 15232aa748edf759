/* Qwen3, without experts: heads have norms of their own. */
#include "convert/hf_model.h"

static const char *const classes[] = {"Qwen3ForCausalLM", "Qwen3Model", NULL};

static const struct hf_rule rules[] = {
    {"model.embed_tokens.weight", "token_embd.weight", NULL, false},
    {"model.norm.weight", "output_norm.weight", NULL, false},
    {"lm_head.weight", "output.weight", NULL, false},
    {"model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", NULL, true},
    {"model.layers.#.self_attn.q_proj.*", "blk.#.attn_q.*", NULL, true},
    {"model.layers.#.self_attn.k_proj.*", "blk.#.attn_k.*", NULL, true},
    {"model.layers.#.self_attn.v_proj.*", "blk.#.attn_v.*", NULL, true},
    {"model.layers.#.self_attn.q_norm.weight", "blk.#.attn_q_norm.weight", NULL, true},
    {"model.layers.#.self_attn.k_norm.weight", "blk.#.attn_k_norm.weight", NULL, true},
    {"model.layers.#.self_attn.o_proj.*", "blk.#.attn_output.*", NULL, true},
    {"model.layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight", NULL, true},
    {"model.layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight", NULL, true},
    {"model.layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight", NULL, true},
    {"model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight", NULL, true},
    {0},
};

static void keys(struct hf_keys *k)
{
    hf_keys_common(k, true);
    hf_keys_pooling(k);
}

extern const struct hf_arch hf_qwen3;
const struct hf_arch hf_qwen3 = {
    .name = "qwen3",
    .classes = classes,
    .rules = rules,
    .keys = keys,
    .without_prefix = "model.",
};
