/* From config fields to GGUF keys. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/hf_model.h"

static const char *full(const struct hf_keys *k, const char *key, char dst[160])
{
    snprintf(dst, 160, "%s.%s", k->m->arch->name, key);
    return dst;
}

void hf_key_u32(struct hf_keys *k, const char *key, uint32_t value)
{
    char name[160];
    if (!k->err->code) gguf_writer_u64(k->w, full(k, key, name), GGUF_U32, value);
}

void hf_key_f32(struct hf_keys *k, const char *key, double value)
{
    char name[160];
    if (!k->err->code) gguf_writer_f64(k->w, full(k, key, name), GGUF_F32, value);
}

void hf_key_bool(struct hf_keys *k, const char *key, bool value)
{
    char name[160];
    if (!k->err->code) gguf_writer_bool(k->w, full(k, key, name), value);
}

void hf_key_str(struct hf_keys *k, const char *key, const char *value)
{
    char name[160];
    if (!k->err->code) gguf_writer_str(k->w, full(k, key, name), value);
}

static void missing(struct hf_keys *k, const char *names)
{
    if (!k->err->code)
        error_set(k->err, ERR_FORMAT, "%s: it lacks \"%.*s\"", k->m->config.path,
                  (int)strcspn(names, "|"), names);
}

uint32_t hf_need_u32(struct hf_keys *k, const char *names)
{
    uint32_t v = 0;
    if (!hf_config_u32(&k->m->config, names, &v, k->err)) missing(k, names);
    return v;
}

uint32_t hf_get_u32(struct hf_keys *k, const char *names, uint32_t otherwise)
{
    hf_config_u32(&k->m->config, names, &otherwise, k->err);
    return otherwise;
}

double hf_get_f64(struct hf_keys *k, const char *names, double otherwise)
{
    hf_config_f64(&k->m->config, names, &otherwise, k->err);
    return otherwise;
}

bool hf_get_bool(struct hf_keys *k, const char *names, bool otherwise)
{
    hf_config_bool(&k->m->config, names, &otherwise, k->err);
    return otherwise;
}

void hf_copy_u32(struct hf_keys *k, const char *key, const char *names)
{
    uint32_t v;
    if (hf_config_u32(&k->m->config, names, &v, k->err)) hf_key_u32(k, key, v);
}

void hf_copy_f32(struct hf_keys *k, const char *key, const char *names)
{
    double v;
    if (hf_config_f64(&k->m->config, names, &v, k->err)) hf_key_f32(k, key, v);
}

uint32_t hf_head_dim(struct hf_keys *k)
{
    uint32_t width = hf_need_u32(k, "hidden_size|n_embd");
    return hf_get_u32(k, "head_dim", k->m->n_head ? width / k->m->n_head : 0);
}

/* ---- groups of keys ----------------------------------------------------------------------------
 */

void hf_keys_shape(struct hf_keys *k)
{
    hf_key_u32(k, "block_count", k->m->n_layer);
    hf_copy_u32(k, "context_length", "max_position_embeddings|n_ctx|n_positions|model_max_length");
    hf_key_u32(k, "embedding_length", hf_need_u32(k, "hidden_size|n_embd"));
    hf_copy_u32(k, "feed_forward_length", "intermediate_size|n_inner");
    hf_key_u32(k, "attention.head_count", k->m->n_head);
    hf_key_u32(k, "attention.head_count_kv", k->m->n_head_kv);
}

static void copy_scaling(struct hf_keys *k, const char *key, const char *name)
{
    double v;
    if (hf_rope_f64(&k->m->config, &k->m->rope, name, &v, k->err)) hf_key_f32(k, key, v);
}

static void yarn_keys(struct hf_keys *k)
{
    double context = 0, attention;
    if (!hf_rope_f64(&k->m->config, &k->m->rope, "original_max_position_embeddings", &context,
                     k->err))
        context = hf_need_u32(k, "original_max_position_embeddings|max_position_embeddings");
    if (context < 1 || context > UINT32_MAX || context != floor(context)) {
        missing(k, "original_max_position_embeddings");
        return;
    }
    hf_key_u32(k, "rope.scaling.original_context_length", (uint32_t)context);
    copy_scaling(k, "rope.scaling.yarn_ext_factor", "extrapolation_factor");
    if (hf_rope_f64(&k->m->config, &k->m->rope, "attention_factor", &attention, k->err) ||
        hf_rope_f64(&k->m->config, &k->m->rope, "attn_factor", &attention, k->err))
        hf_key_f32(k, "rope.scaling.yarn_attn_factor", attention);
    copy_scaling(k, "rope.scaling.yarn_beta_fast", "beta_fast");
    copy_scaling(k, "rope.scaling.yarn_beta_slow", "beta_slow");
}

void hf_keys_rope(struct hf_keys *k)
{
    const struct hf_rope *r = &k->m->rope;
    bool linear = strcmp(r->type, "linear") == 0, yarn = strcmp(r->type, "yarn") == 0;
    static const char *const elsewhere[] = {"default", "llama3", "longrope", "proportional"};
    bool known = linear || yarn;
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        known = known || strcmp(r->type, elsewhere[i]) == 0;
    if (!known && !k->err->code)
        error_set(k->err, ERR_UNSUPPORTED, "%s: positions scaled as '%s' are not known",
                  k->m->config.path, r->type);
    if ((linear || yarn) && r->factor > 0) {
        hf_key_str(k, "rope.scaling.type", r->type);
        hf_key_f32(k, "rope.scaling.factor", r->factor);
        if (yarn) yarn_keys(k);
    } else if (strcmp(r->type, "longrope") == 0) {
        hf_key_str(k, "rope.scaling.type", "longrope");
    }
    if (r->theta > 0) hf_key_f32(k, "rope.freq_base", r->theta);
    if (r->theta_local > 0) hf_key_f32(k, "rope.freq_base_swa", r->theta_local);
}

void hf_keys_norm(struct hf_keys *k)
{
    hf_copy_f32(k, "attention.layer_norm_rms_epsilon", "rms_norm_eps");
    hf_copy_f32(k, "attention.layer_norm_epsilon",
                "layer_norm_eps|layer_norm_epsilon|norm_epsilon");
}

void hf_keys_experts(struct hf_keys *k)
{
    if (k->m->n_expert) hf_key_u32(k, "expert_count", k->m->n_expert);
    hf_copy_u32(k, "expert_used_count", "num_experts_per_tok|num_experts_per_token");
    hf_copy_u32(k, "expert_group_count", "n_group");
    hf_copy_u32(k, "expert_group_used_count", "topk_group");
    const char *score;
    if (!hf_config_str(&k->m->config, "scoring_func|score_function", &score, k->err)) return;
    if (strcmp(score, "softmax") == 0)
        hf_key_u32(k, "expert_gating_func", 1);
    else if (strcmp(score, "sigmoid") == 0)
        hf_key_u32(k, "expert_gating_func", 2);
    else if (!k->err->code)
        error_set(k->err, ERR_UNSUPPORTED, "%s: experts chosen by '%.40s' are not known",
                  k->m->config.path, score);
}

void hf_keys_common(struct hf_keys *k, bool head_dim)
{
    uint32_t length = 0;
    hf_keys_shape(k);
    hf_keys_rope(k);
    hf_keys_norm(k);
    hf_keys_experts(k);
    if (!head_dim || !hf_config_u32(&k->m->config, "head_dim", &length, k->err)) return;
    hf_key_u32(k, "attention.key_length", length);
    hf_key_u32(k, "attention.value_length", length);
}

/* The pooling module's folder, from modules.json; it is one beside the model's. */
static void pooling_file(struct hf_keys *k, char *dst, size_t cap)
{
    json_t *list;
    size_t i;
    json_t *one;
    dst[0] = 0;
    if (hf_json_load(k->m->folder, "modules.json", &list, k->err)) return;
    json_array_foreach(list, i, one)
    {
        const char *type = json_string_value(json_object_get(one, "type"));
        const char *path = json_string_value(json_object_get(one, "path"));
        size_t n = type ? strlen(type) : 0;
        if (n < 7 || strcmp(type + n - 7, "Pooling") != 0 || !path || strchr(path, '/') ||
            path[0] == '.')
            continue;
        snprintf(dst, cap, "%s/config.json", path);
        break;
    }
    json_decref(list);
}

void hf_keys_pooling(struct hf_keys *k)
{
    static const struct {
        const char *field, *mode;
        uint32_t type;
    } modes[] = {
        {"pooling_mode_mean_tokens", "mean", 1},
        {"pooling_mode_cls_token", "cls", 2},
        {"pooling_mode_lasttoken", "lasttoken", 3},
    };
    char file[300];
    json_t *pooling = NULL;
    if (k->err->code || !k->m->folder) return;
    pooling_file(k, file, sizeof file);
    if (!file[0] || k->err->code || hf_json_load(k->m->folder, file, &pooling, k->err) || !pooling)
        return;
    const char *mode = json_string_value(json_object_get(pooling, "pooling_mode"));
    bool found = false;
    for (size_t i = 0; i < sizeof modes / sizeof *modes && !found; i++) {
        found = json_is_true(json_object_get(pooling, modes[i].field)) ||
                (mode && strcmp(mode, modes[i].mode) == 0);
        if (found) hf_key_u32(k, "pooling_type", modes[i].type);
    }
    if (!found)
        error_set(k->err, ERR_UNSUPPORTED, "%s/%s: a pooling other than mean, CLS or last token",
                  k->m->folder, file);
    json_decref(pooling);
}

/* ---- extra tensors -----------------------------------------------------------------------------
 */

enum status hf_add_extra(struct hf_model *m, const char *name, const float *values, uint64_t n,
                         struct error *err)
{
    struct hf_extra *e = &m->extra[m->n_extra];
    *e = (struct hf_extra){name, calloc(n + 1, sizeof(float)), n};
    if (!e->values) return error_set(err, ERR_NOMEM, "out of memory");
    memcpy(e->values, values, n * sizeof(float));
    m->n_extra++;
    return OK;
}

/* Long wavelengths are stretched by `factor`, short ones stay, those between are blended; as in
 * transformers' modeling_rope_utils.py, _compute_llama3_parameters. */
enum status hf_prepare_llama3(struct hf_model *m, struct error *err)
{
    enum { MAX_DIM = 4096 };
    struct error why = {0};
    struct hf_keys k = {.m = m, .err = &why};
    if (strcmp(m->rope.type, "llama3") != 0) return OK;
    double base = m->rope.theta > 0 ? m->rope.theta : 10000,
           factor = m->rope.factor > 0 ? m->rope.factor : 8;
    double low = 1, high = 4, context = 8192;
    hf_rope_f64(&m->config, &m->rope, "low_freq_factor", &low, &why);
    hf_rope_f64(&m->config, &m->rope, "high_freq_factor", &high, &why);
    hf_rope_f64(&m->config, &m->rope, "original_max_position_embeddings", &context, &why);
    uint32_t dim = hf_head_dim(&k);
    if (why.code) return error_set(err, why.code, "%s", why.msg);
    if (dim == 0 || dim > MAX_DIM || dim % 2 || low <= 0 || high <= 0 || context <= 0)
        return error_set(err, ERR_FORMAT, "%s: numbers of the RoPE scaling that make no sense",
                         m->config.path);
    float *values = calloc(dim / 2, sizeof *values);
    if (!values) return error_set(err, ERR_NOMEM, "out of memory");
    for (uint32_t i = 0; i < dim / 2; i++) {
        double wave = 2 * M_PI * pow(base, (double)(2 * i) / dim);
        double smooth = low == high ? 0 : (context / wave - low) / (high - low);
        values[i] = (float)(wave < context / high  ? 1
                            : wave > context / low ? factor
                                                   : 1 / ((1 - smooth) / factor + smooth));
    }
    enum status st = hf_add_extra(m, "rope_freqs.weight", values, dim / 2, err);
    free(values);
    return st;
}
