/* StarCoder (GPTBigCode: one key and value head, learned positions) and StarCoder2. */
#include "convert/hf_model.h"

static const char *const classes1[] = {"GPTBigCodeForCausalLM", NULL};
static const char *const classes2[] = {"Starcoder2ForCausalLM", NULL};

static const struct hf_rule rules1[] = {
    {"transformer.wte.weight", "token_embd.weight", NULL, false},
    {"transformer.wpe.weight", "position_embd.weight", NULL, false},
    {"transformer.ln_f.*", "output_norm.*", NULL, false},
    {"lm_head.weight", "output.weight", NULL, false},
    {"transformer.h.#.ln_1.*", "blk.#.attn_norm.*", NULL, true},
    {"transformer.h.#.attn.c_attn.*", "blk.#.attn_qkv.*", NULL, true},
    {"transformer.h.#.attn.c_proj.*", "blk.#.attn_output.*", NULL, true},
    {"transformer.h.#.ln_2.*", "blk.#.ffn_norm.*", NULL, true},
    {"transformer.h.#.mlp.c_fc.*", "blk.#.ffn_up.*", NULL, true},
    {"transformer.h.#.mlp.c_proj.*", "blk.#.ffn_down.*", NULL, true},
    {"transformer.h.#.attn.bias", NULL, NULL, false},
    {"transformer.h.#.attn.masked_bias", NULL, NULL, false},
    {0},
};

static const struct hf_rule rules2[] = {
    {"model.embed_tokens.weight", "token_embd.weight", NULL, false},
    {"model.norm.*", "output_norm.*", NULL, false},
    {"lm_head.weight", "output.weight", NULL, false},
    {"model.layers.#.input_layernorm.*", "blk.#.attn_norm.*", NULL, true},
    {"model.layers.#.self_attn.q_proj.*", "blk.#.attn_q.*", NULL, true},
    {"model.layers.#.self_attn.k_proj.*", "blk.#.attn_k.*", NULL, true},
    {"model.layers.#.self_attn.v_proj.*", "blk.#.attn_v.*", NULL, true},
    {"model.layers.#.self_attn.o_proj.*", "blk.#.attn_output.*", NULL, true},
    {"model.layers.#.post_attention_layernorm.*", "blk.#.ffn_norm.*", NULL, true},
    {"model.layers.#.mlp.c_fc.*", "blk.#.ffn_up.*", NULL, true},
    {"model.layers.#.mlp.c_proj.*", "blk.#.ffn_down.*", NULL, true},
    {0},
};

static enum status prepare1(struct hf_model *m, struct error *err)
{
    bool one = true;
    hf_config_bool(&m->config, "multi_query", &one, NULL);
    if (!one)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: a GPTBigCode model without multi-query attention", m->config.path);
    m->n_head_kv = 1;
    return OK;
}

static void keys1(struct hf_keys *k)
{
    uint32_t width = hf_need_u32(k, "n_embd|hidden_size");
    hf_key_u32(k, "context_length", hf_need_u32(k, "n_positions|max_position_embeddings"));
    hf_key_u32(k, "embedding_length", width);
    hf_key_u32(k, "feed_forward_length", hf_get_u32(k, "n_inner", 4 * width));
    hf_key_u32(k, "block_count", k->m->n_layer);
    hf_key_u32(k, "attention.head_count", k->m->n_head);
    hf_key_u32(k, "attention.head_count_kv", 1);
    hf_key_f32(k, "attention.layer_norm_epsilon", hf_get_f64(k, "layer_norm_epsilon", 1e-5));
}

static void keys2(struct hf_keys *k)
{
    hf_keys_common(k, true);
}

extern const struct hf_arch hf_starcoder, hf_starcoder2;
const struct hf_arch hf_starcoder = {
    .name = "starcoder", .classes = classes1, .rules = rules1, .keys = keys1, .prepare = prepare1};
const struct hf_arch hf_starcoder2 = {
    .name = "starcoder2", .classes = classes2, .rules = rules2, .keys = keys2};
