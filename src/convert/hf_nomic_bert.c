/* nomic-embed-text 1 and 1.5: BERT with RoPE, SwiGLU and a fused QKV matrix. */
#include <string.h>

#include "convert/hf_model.h"

static const char *const classes[] = {"NomicBertModel", NULL};

static const struct hf_rule rules[] = {
    {"embeddings.word_embeddings.weight", "token_embd.weight", NULL, false},
    {"embeddings.token_type_embeddings.weight", "token_types.weight", NULL, false},
    {"emb_ln.*", "token_embd_norm.*", NULL, false},
    {"encoder.layers.#.attn.Wqkv.*", "blk.#.attn_qkv.*", NULL, true},
    {"encoder.layers.#.attn.out_proj.*", "blk.#.attn_output.*", NULL, true},
    {"encoder.layers.#.norm1.*", "blk.#.attn_output_norm.*", NULL, true},
    {"encoder.layers.#.mlp.fc11.*", "blk.#.ffn_up.*", NULL, true},
    {"encoder.layers.#.mlp.fc12.*", "blk.#.ffn_gate.*", NULL, true},
    {"encoder.layers.#.mlp.fc2.*", "blk.#.ffn_down.*", NULL, true},
    {"encoder.layers.#.norm2.*", "blk.#.layer_output_norm.*", NULL, true},
    {0},
};

static enum status prepare(struct hf_model *m, struct error *err)
{
    const char *activation = "swiglu";
    struct error why = {0};
    bool interleaved = false, prenorm = false;
    double turned = 1;
    hf_config_str(&m->config, "activation_function", &activation, &why);
    hf_config_bool(&m->config, "rotary_emb_interleaved", &interleaved, &why);
    hf_config_bool(&m->config, "prenorm", &prenorm, &why);
    hf_config_f64(&m->config, "rotary_emb_fraction", &turned, &why);
    if (why.code) return error_set(err, why.code, "%s", why.msg);
    if (strcmp(activation, "swiglu") != 0 || interleaved || prenorm || turned != 1 ||
        hf_config_get(&m->config, "moe_every_n_layers"))
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: only the form of nomic-embed-text 1 and 1.5 can be imported",
                         m->config.path);
    return OK;
}

static void keys(struct hf_keys *k)
{
    uint32_t context = hf_need_u32(k, "n_positions");
    /* The config tells what scaled positions may reach, not what the model was trained for. */
    if (context > 2048) context = hf_get_u32(k, "max_trained_positions", 2048);
    hf_key_u32(k, "block_count", k->m->n_layer);
    hf_key_u32(k, "context_length", context);
    hf_key_u32(k, "embedding_length", hf_need_u32(k, "n_embd"));
    hf_key_u32(k, "feed_forward_length", hf_need_u32(k, "n_inner"));
    hf_key_u32(k, "attention.head_count", k->m->n_head);
    hf_key_f32(k, "attention.layer_norm_epsilon", hf_get_f64(k, "layer_norm_epsilon", 1e-12));
    hf_keys_rope(k);
    hf_key_bool(k, "attention.causal", false);
    hf_keys_pooling(k);
}

extern const struct hf_arch hf_nomic_bert;
const struct hf_arch hf_nomic_bert = {.name = "nomic-bert",
                                      .classes = classes,
                                      .rules = rules,
                                      .keys = keys,
                                      .prepare = prepare,
                                      .encoder = true};
