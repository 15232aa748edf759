/* Llama and what shares its graph: CodeLlama, DeepSeek-Coder 1, Mistral, SmolLM, and Mixtral's
 * experts. llama.cpp pairs neighbours in RoPE where transformers pairs a head's halves. */
#include "convert/hf_model.h"

static const char *const classes[] = {
    "LlamaForCausalLM",
    "LLaMAForCausalLM",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "IQuestCoderForCausalLM",
    "LlamaModel",
    NULL,
};

static const struct hf_rule rules[] = {
    {"model.embed_tokens.weight", "token_embd.weight", NULL, false},
    {"model.norm.weight", "output_norm.weight", NULL, false},
    {"lm_head.weight", "output.weight", NULL, false},
    {"model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", NULL, true},
    {"model.layers.#.self_attn.q_proj.*", "blk.#.attn_q.*", hf_fix_rope_q, true},
    {"model.layers.#.self_attn.k_proj.*", "blk.#.attn_k.*", hf_fix_rope_k, true},
    {"model.layers.#.self_attn.v_proj.*", "blk.#.attn_v.*", NULL, true},
    {"model.layers.#.self_attn.o_proj.*", "blk.#.attn_output.*", NULL, true},
    {"model.layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight", NULL, true},
    {"model.layers.#.mlp.gate_proj.*", "blk.#.ffn_gate.*", NULL, false},
    {"model.layers.#.mlp.up_proj.*", "blk.#.ffn_up.*", NULL, false},
    {"model.layers.#.mlp.down_proj.*", "blk.#.ffn_down.*", NULL, false},
    {"model.layers.#.block_sparse_moe.gate.weight", "blk.#.ffn_gate_inp.weight", NULL, false},
    {"model.layers.#.block_sparse_moe.experts.@.w1.weight", "blk.#.ffn_gate_exps.weight", NULL,
     false},
    {"model.layers.#.block_sparse_moe.experts.@.w2.weight", "blk.#.ffn_down_exps.weight", NULL,
     false},
    {"model.layers.#.block_sparse_moe.experts.@.w3.weight", "blk.#.ffn_up_exps.weight", NULL,
     false},
    {"model.layers.#.self_attn.rotary_emb.inv_freq", NULL, NULL, false},
    {0},
};

static void keys(struct hf_keys *k)
{
    hf_keys_common(k, true);
    hf_key_u32(k, "vocab_size", hf_need_u32(k, "vocab_size"));
    hf_key_u32(k, "rope.dimension_count", hf_head_dim(k));
}

extern const struct hf_arch hf_llama;
const struct hf_arch hf_llama = {
    .name = "llama",
    .classes = classes,
    .rules = rules,
    .keys = keys,
    .prepare = hf_prepare_llama3,
    .without_prefix = "model.",
};
