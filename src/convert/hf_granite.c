/* IBM Granite 3, dense: llama with four multipliers. */
#include "convert/hf_model.h"

static const char *const classes[] = {"GraniteForCausalLM", NULL};

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
    {"model.layers.#.mlp.gate_proj.*", "blk.#.ffn_gate.*", NULL, true},
    {"model.layers.#.mlp.up_proj.*", "blk.#.ffn_up.*", NULL, true},
    {"model.layers.#.mlp.down_proj.*", "blk.#.ffn_down.*", NULL, true},
    {0},
};

static void keys(struct hf_keys *k)
{
    hf_keys_common(k, false);
    hf_key_u32(k, "vocab_size", hf_need_u32(k, "vocab_size"));
    hf_key_u32(k, "rope.dimension_count", hf_need_u32(k, "hidden_size") / k->m->n_head);
    hf_copy_f32(k, "attention.scale", "attention_multiplier");
    hf_copy_f32(k, "embedding_scale", "embedding_multiplier");
    hf_copy_f32(k, "residual_scale", "residual_multiplier");
    hf_copy_f32(k, "logit_scale", "logits_scaling");
}

extern const struct hf_arch hf_granite;
const struct hf_arch hf_granite = {.name = "granite",
                                   .classes = classes,
                                   .rules = rules,
                                   .keys = keys,
                                   .prepare = hf_prepare_llama3};
