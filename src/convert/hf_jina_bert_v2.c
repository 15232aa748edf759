/* jina-embeddings-v2, among them the one for code: BERT with ALiBi and a gated feed-forward layer.
 */
#include "convert/hf_model.h"

static const char *const classes[] = {"JinaBertModel", "JinaBertForMaskedLM", NULL};

static const struct hf_rule rules[] = {
    {"embeddings.word_embeddings.weight", "token_embd.weight", NULL, false},
    {"embeddings.token_type_embeddings.weight", "token_types.weight", NULL, false},
    {"embeddings.LayerNorm.*", "token_embd_norm.*", NULL, false},
    {"embeddings.position_ids", NULL, NULL, false},
    {"pooler.dense.*", NULL, NULL, false},
    {"encoder.layer.#.attention.self.query.*", "blk.#.attn_q.*", NULL, true},
    {"encoder.layer.#.attention.self.key.*", "blk.#.attn_k.*", NULL, true},
    {"encoder.layer.#.attention.self.value.*", "blk.#.attn_v.*", NULL, true},
    {"encoder.layer.#.attention.self.layer_norm_q.*", "blk.#.attn_q_norm.*", NULL, false},
    {"encoder.layer.#.attention.self.layer_norm_k.*", "blk.#.attn_k_norm.*", NULL, false},
    {"encoder.layer.#.attention.output.dense.*", "blk.#.attn_output.*", NULL, true},
    {"encoder.layer.#.attention.output.LayerNorm.*", "blk.#.attn_output_norm.*", NULL, false},
    {"encoder.layer.#.layer_norm_1.*", "blk.#.attn_norm_2.*", NULL, false},
    {"encoder.layer.#.layer_norm_2.*", "blk.#.layer_output_norm.*", NULL, false},
    {"encoder.layer.#.mlp.gated_layers.*", "blk.#.ffn_up.*", NULL, false},
    {"encoder.layer.#.mlp.up_gated_layer.*", "blk.#.ffn_up.*", NULL, false},
    {"encoder.layer.#.mlp.wo.*", "blk.#.ffn_down.*", NULL, false},
    {"encoder.layer.#.mlp.down_layer.*", "blk.#.ffn_down.*", NULL, false},
    {"encoder.layer.#.mlp.layernorm.*", "blk.#.layer_output_norm.*", NULL, false},
    {"classifier.*", "cls.*", NULL, false},
    {"cls.predictions.bias", NULL, NULL, false},
    {"cls.predictions.decoder.*", NULL, NULL, false},
    {"cls.predictions.transform.dense.*", NULL, NULL, false},
    {"cls.predictions.transform.LayerNorm.*", NULL, NULL, false},
    {0},
};

static void keys(struct hf_keys *k)
{
    hf_key_u32(k, "block_count", k->m->n_layer);
    hf_key_u32(k, "context_length", hf_need_u32(k, "max_position_embeddings"));
    hf_key_u32(k, "embedding_length", hf_need_u32(k, "hidden_size"));
    hf_key_u32(k, "feed_forward_length", hf_need_u32(k, "intermediate_size"));
    hf_key_u32(k, "attention.head_count", k->m->n_head);
    hf_key_f32(k, "attention.layer_norm_epsilon", hf_get_f64(k, "layer_norm_eps", 1e-12));
    hf_key_bool(k, "attention.causal", false);
    hf_keys_pooling(k);
}

extern const struct hf_arch hf_jina_bert_v2;
const struct hf_arch hf_jina_bert_v2 = {
    .name = "jina-bert-v2", .classes = classes, .rules = rules, .keys = keys, .encoder = true};
