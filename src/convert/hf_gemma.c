/* Gemma 1 to 3, text only. Norms are stored as their difference from one; the output matrix is the
 * token embedding, so that an lm_head, which some quantizers write, is a copy of it. */
#include "convert/hf_model.h"

static const char *const classes1[] = {"GemmaForCausalLM", NULL};
static const char *const classes2[] = {"Gemma2ForCausalLM", NULL};
static const char *const classes3[] = {"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration", NULL};

/* Gemma 3's embedding has a few rows behind the last token that nothing names. */
static enum status known_tokens(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    (void)err;
    if (m->n_tokens && m->n_tokens < v->rows) v->rows = m->n_tokens;
    return OK;
}

/* clang-format off */
#define ATTENTION                                                                               \
    {"model.norm.weight", "output_norm.weight", hf_fix_plus_one, false},                        \
    {"lm_head.weight", NULL, NULL, false},                                                      \
    {"model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", hf_fix_plus_one, true}, \
    {"model.layers.#.self_attn.q_proj.weight", "blk.#.attn_q.weight", NULL, true},              \
    {"model.layers.#.self_attn.k_proj.weight", "blk.#.attn_k.weight", NULL, true},              \
    {"model.layers.#.self_attn.v_proj.weight", "blk.#.attn_v.weight", NULL, true},              \
    {"model.layers.#.self_attn.o_proj.weight", "blk.#.attn_output.weight", NULL, true},         \
    {"model.layers.#.mlp.gate_proj.weight", "blk.#.ffn_gate.weight", NULL, true},               \
    {"model.layers.#.mlp.up_proj.weight", "blk.#.ffn_up.weight", NULL, true},                   \
    {"model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight", NULL, true},               \
    {"model.layers.#.self_attn.rotary_emb.inv_freq", NULL, NULL, false}
/* clang-format on */

/* clang-format off */
#define FOUR_NORMS                                                                         \
    {"model.layers.#.post_attention_layernorm.weight", "blk.#.post_attention_norm.weight", \
     hf_fix_plus_one, true},                                                               \
    {"model.layers.#.pre_feedforward_layernorm.weight", "blk.#.ffn_norm.weight",           \
     hf_fix_plus_one, true},                                                               \
    {"model.layers.#.post_feedforward_layernorm.weight", "blk.#.post_ffw_norm.weight",     \
     hf_fix_plus_one, true}
/* clang-format on */

static const struct hf_rule rules1[] = {
    {"model.embed_tokens.weight", "token_embd.weight", NULL, false},
    ATTENTION,
    {"model.layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight", hf_fix_plus_one,
     true},
    {0},
};

static const struct hf_rule rules2[] = {
    {"model.embed_tokens.weight", "token_embd.weight", NULL, false},
    ATTENTION,
    FOUR_NORMS,
    {0},
};

static const struct hf_rule rules3[] = {
    {"model.embed_tokens.weight", "token_embd.weight", known_tokens, false},
    ATTENTION,
    FOUR_NORMS,
    {"model.layers.#.self_attn.q_norm.weight", "blk.#.attn_q_norm.weight", hf_fix_plus_one, true},
    {"model.layers.#.self_attn.k_norm.weight", "blk.#.attn_k_norm.weight", hf_fix_plus_one, true},
    {0},
};

static void heads(struct hf_keys *k, uint32_t otherwise)
{
    uint32_t length = hf_get_u32(k, "head_dim", otherwise);
    hf_key_u32(k, "attention.key_length", length);
    hf_key_u32(k, "attention.value_length", length);
}

static void keys1(struct hf_keys *k)
{
    hf_keys_shape(k);
    hf_keys_norm(k);
    heads(k, 256);
}

static void keys2(struct hf_keys *k)
{
    hf_keys_shape(k);
    hf_keys_norm(k);
    heads(k, 256);
    hf_key_f32(k, "attn_logit_softcapping", hf_get_f64(k, "attn_logit_softcapping", 50));
    hf_key_f32(k, "final_logit_softcapping", hf_get_f64(k, "final_logit_softcapping", 30));
    hf_key_u32(k, "attention.sliding_window", hf_get_u32(k, "sliding_window", 4096));
}

/* Readers scale attention by the heads' length, in the 27B models by width over heads: what the
 * files of both sizes say. */
static enum status check_scale(struct hf_model *m, struct error *err)
{
    struct error why = {0};
    struct hf_keys k = {.m = m, .err = &why};
    uint32_t length = hf_get_u32(&k, "head_dim", 256), width = hf_need_u32(&k, "hidden_size");
    double scalar = hf_get_f64(&k, "query_pre_attn_scalar", 256);
    if (why.code) return error_set(err, why.code, "%s", why.msg);
    bool largest = m->n_layer == 46 || m->n_layer == 62;
    if (scalar == (largest ? width / m->n_head : length)) return OK;
    return error_set(err, ERR_UNSUPPORTED,
                     "%s: \"query_pre_attn_scalar\" is %g, unlike that of any published "
                     "model of its size",
                     m->config.path, scalar);
}

static enum status prepare3(struct hf_model *m, struct error *err)
{
    enum status st = check_scale(m, err);
    if (st) return st;
    /* Multimodal files leave out what is transformers' default. */
    if (!hf_config_get(&m->config, "num_key_value_heads")) m->n_head_kv = 4;
    if (m->rope.theta == 0) m->rope.theta = 1000000;
    if (hf_config_get(&m->config, "attn_logit_softcapping"))
        return error_set(err, ERR_UNSUPPORTED, "%s: a Gemma 3 with softcapped attention",
                         m->config.path);
    return OK;
}

static void keys3(struct hf_keys *k)
{
    double cap = hf_get_f64(k, "final_logit_softcapping", 0);
    hf_key_u32(k, "block_count", k->m->n_layer);
    hf_key_u32(k, "context_length", hf_get_u32(k, "max_position_embeddings", 131072));
    hf_key_u32(k, "embedding_length", hf_need_u32(k, "hidden_size"));
    hf_key_u32(k, "feed_forward_length", hf_need_u32(k, "intermediate_size"));
    hf_key_u32(k, "attention.head_count", k->m->n_head);
    hf_key_u32(k, "attention.head_count_kv", k->m->n_head_kv);
    hf_key_f32(k, "attention.layer_norm_rms_epsilon", hf_get_f64(k, "rms_norm_eps", 1e-6));
    hf_keys_rope(k);
    heads(k, 256);
    if (cap > 0) hf_key_f32(k, "final_logit_softcapping", cap);
    if (hf_get_u32(k, "sliding_window_pattern", 6) != 1)
        hf_key_u32(k, "attention.sliding_window", hf_get_u32(k, "sliding_window", 4096));
}

extern const struct hf_arch hf_gemma, hf_gemma2, hf_gemma3;
const struct hf_arch hf_gemma = {
    .name = "gemma", .classes = classes1, .rules = rules1, .keys = keys1};
const struct hf_arch hf_gemma2 = {
    .name = "gemma2", .classes = classes2, .rules = rules2, .keys = keys2, .prepare = check_scale};
const struct hf_arch hf_gemma3 = {
    .name = "gemma3", .classes = classes3, .rules = rules3, .keys = keys3, .prepare = prepare3};
