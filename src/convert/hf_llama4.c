/* Llama 4, text only: experts fused and transposed, a shared expert, no permutation of heads. */
#include <stdbool.h>
#include <string.h>

#include "convert/hf_model.h"

static const char *const classes[] = {"Llama4ForConditionalGeneration", "Llama4ForCausalLM", NULL};

static const struct hf_rule rules[] = {
    {"model.embed_tokens.weight", "token_embd.weight", NULL, false},
    {"model.norm.weight", "output_norm.weight", NULL, false},
    {"lm_head.weight", "output.weight", NULL, false},
    {"model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", NULL, true},
    {"model.layers.#.self_attn.q_proj.*", "blk.#.attn_q.*", NULL, true},
    {"model.layers.#.self_attn.k_proj.*", "blk.#.attn_k.*", NULL, true},
    {"model.layers.#.self_attn.v_proj.*", "blk.#.attn_v.*", NULL, true},
    {"model.layers.#.self_attn.o_proj.*", "blk.#.attn_output.*", NULL, true},
    {"model.layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight", NULL, true},
    {"model.layers.#.feed_forward.gate_proj.weight", "blk.#.ffn_gate.weight", NULL, false},
    {"model.layers.#.feed_forward.up_proj.weight", "blk.#.ffn_up.weight", NULL, false},
    {"model.layers.#.feed_forward.down_proj.weight", "blk.#.ffn_down.weight", NULL, false},
    {"model.layers.#.feed_forward.router.weight", "blk.#.ffn_gate_inp.weight", NULL, false},
    {"model.layers.#.feed_forward.experts.gate_up_proj", "blk.#.ffn_gate_exps.weight",
     hf_fix_transpose_first_half, false},
    {"model.layers.#.feed_forward.experts.gate_up_proj", "blk.#.ffn_up_exps.weight",
     hf_fix_transpose_second_half, false},
    {"model.layers.#.feed_forward.experts.down_proj", "blk.#.ffn_down_exps.weight",
     hf_fix_transpose, false},
    {"model.layers.#.feed_forward.shared_expert.gate_proj.weight", "blk.#.ffn_gate_shexp.weight",
     NULL, false},
    {"model.layers.#.feed_forward.shared_expert.up_proj.weight", "blk.#.ffn_up_shexp.weight", NULL,
     false},
    {"model.layers.#.feed_forward.shared_expert.down_proj.weight", "blk.#.ffn_down_shexp.weight",
     NULL, false},
    {0},
};

/* Models that give every layer the whole context say so layer by layer. */
static bool all_layers_full(const struct hf_model *m)
{
    const json_t *types = hf_config_get(&m->config, "layer_types"), *one;
    size_t i;
    json_array_foreach((json_t *)types, i, one)
    {
        const char *type = json_string_value(one);
        if (!type || strcmp(type, "full_attention") != 0) return false;
    }
    return json_array_size(types) > 0;
}

static void keys(struct hf_keys *k)
{
    uint32_t length;
    hf_key_u32(k, "block_count", k->m->n_layer);
    hf_copy_u32(k, "context_length", "max_position_embeddings");
    hf_key_u32(k, "embedding_length", hf_need_u32(k, "hidden_size"));
    /* "intermediate_size" is an expert's here. */
    hf_key_u32(k, "feed_forward_length", hf_need_u32(k, "intermediate_size_mlp"));
    hf_key_u32(k, "attention.head_count", k->m->n_head);
    hf_key_u32(k, "attention.head_count_kv", k->m->n_head_kv);
    hf_keys_rope(k);
    hf_keys_norm(k);
    hf_keys_experts(k);
    if (hf_config_u32(&k->m->config, "head_dim", &length, k->err)) {
        hf_key_u32(k, "attention.key_length", length);
        hf_key_u32(k, "attention.value_length", length);
    }
    hf_key_u32(k, "vocab_size", hf_need_u32(k, "vocab_size"));
    hf_key_u32(k, "rope.dimension_count", hf_head_dim(k));
    hf_key_u32(k, "interleave_moe_layer_step", hf_get_u32(k, "interleave_moe_layer_step", 1));
    hf_key_u32(k, "expert_feed_forward_length", hf_need_u32(k, "intermediate_size"));
    if (all_layers_full(k->m)) hf_key_u32(k, "attention.sliding_window", 0);
}

extern const struct hf_arch hf_llama4;
const struct hf_arch hf_llama4 = {.name = "llama4",
                                  .classes = classes,
                                  .rules = rules,
                                  .keys = keys,
                                  .prepare = hf_prepare_llama3};
