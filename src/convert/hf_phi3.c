/* Phi-3, Phi-3.5 and Phi-4 (mini): fused matrices, which llama.cpp keeps fused, and for long
 * contexts two sets of RoPE factors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/hf_model.h"

static const char *const classes[] = {"Phi3ForCausalLM", NULL};

static const struct hf_rule rules[] = {
    {"model.embed_tokens.weight", "token_embd.weight", NULL, false},
    {"model.norm.weight", "output_norm.weight", NULL, false},
    {"lm_head.weight", "output.weight", NULL, false},
    {"model.layers.#.input_layernorm.weight", "blk.#.attn_norm.weight", NULL, true},
    {"model.layers.#.self_attn.qkv_proj.weight", "blk.#.attn_qkv.weight", NULL, true},
    {"model.layers.#.self_attn.o_proj.weight", "blk.#.attn_output.weight", NULL, true},
    {"model.layers.#.post_attention_layernorm.weight", "blk.#.ffn_norm.weight", NULL, true},
    {"model.layers.#.mlp.gate_up_proj.weight", "blk.#.ffn_up.weight", NULL, true},
    {"model.layers.#.mlp.down_proj.weight", "blk.#.ffn_down.weight", NULL, true},
    {0},
};

static uint32_t rope_dims(struct hf_keys *k)
{
    return (uint32_t)(k->m->rope.partial * hf_need_u32(k, "hidden_size")) / k->m->n_head;
}

static uint32_t trained_context(struct hf_keys *k)
{
    double v;
    if (hf_rope_f64(&k->m->config, &k->m->rope, "original_max_position_embeddings", &v, k->err) &&
        v >= 1 && v <= INT32_MAX)
        return (uint32_t)v;
    return hf_need_u32(k, "original_max_position_embeddings|max_position_embeddings");
}

static void keys(struct hf_keys *k)
{
    double context = hf_need_u32(k, "max_position_embeddings"), trained = trained_context(k);
    hf_keys_shape(k);
    hf_keys_norm(k);
    hf_key_u32(k, "rope.scaling.original_context_length", (uint32_t)trained);
    hf_key_u32(k, "rope.dimension_count", rope_dims(k));
    hf_key_f32(k, "rope.freq_base", k->m->rope.theta > 0 ? k->m->rope.theta : 10000);
    /* 0 tells Phi-4 from the others. */
    hf_key_u32(k, "attention.sliding_window", hf_get_u32(k, "sliding_window", 0));
    if (k->m->n_extra == 0 || trained < 1) return;
    double scale = context / trained, factor = 1;
    if (scale > 1 && strcmp(k->m->rope.type, "yarn") == 0)
        factor = 0.1 * log(scale) + 1;
    else if (scale > 1)
        factor = sqrt(1 + log(scale) / log(trained));
    hf_key_f32(k, "rope.scaling.attn_factor", factor);
}

static enum status add_factors(struct hf_model *m, const char *field, const char *name, uint32_t n,
                               struct error *err)
{
    const json_t *list = json_object_get(m->rope.of, field);
    if (!json_is_array(list) || json_array_size(list) != n)
        return error_set(err, ERR_FORMAT, "%s: \"%s\" are not %u numbers", m->config.path, field,
                         n);
    float *values = calloc(n + 1, sizeof *values);
    if (!values) return error_set(err, ERR_NOMEM, "out of memory");
    for (uint32_t i = 0; i < n; i++) values[i] = (float)json_number_value(json_array_get(list, i));
    enum status st = hf_add_extra(m, name, values, n, err);
    free(values);
    return st;
}

static enum status prepare(struct hf_model *m, struct error *err)
{
    struct error why = {0};
    struct hf_keys k = {.m = m, .err = &why};
    const json_t *factors = json_object_get(m->rope.of, "long_factor");
    if (!factors || json_is_null(factors)) return OK;
    uint32_t n = rope_dims(&k) / 2;
    if (why.code) return error_set(err, why.code, "%s", why.msg);
    enum status st = add_factors(m, "long_factor", "rope_factors_long.weight", n, err);
    return st ? st : add_factors(m, "short_factor", "rope_factors_short.weight", n, err);
}

extern const struct hf_arch hf_phi3;
const struct hf_arch hf_phi3 = {
    .name = "phi3", .classes = classes, .rules = rules, .keys = keys, .prepare = prepare};
