/* The registry of architectures: a new one is its file and two lines here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "convert/hf_model.h"

extern const struct hf_arch hf_llama, hf_qwen2, hf_qwen3, hf_qwen2moe, hf_qwen3moe, hf_gemma,
    hf_gemma2, hf_gemma3, hf_phi3, hf_granite, hf_starcoder, hf_starcoder2, hf_deepseek2,
    hf_gpt_oss, hf_llama4, hf_bert, hf_bert_rank, hf_nomic_bert, hf_jina_bert_v2;

const struct hf_arch *const hf_archs[] = {
    &hf_llama,     &hf_qwen2,      &hf_qwen3,      &hf_qwen2moe,     &hf_qwen3moe,
    &hf_gemma,     &hf_gemma2,     &hf_gemma3,     &hf_phi3,         &hf_granite,
    &hf_starcoder, &hf_starcoder2, &hf_deepseek2,  &hf_gpt_oss,      &hf_llama4,
    &hf_bert,      &hf_bert_rank,  &hf_nomic_bert, &hf_jina_bert_v2, NULL,
};

enum status hf_arch_find(const struct hf_config *c, const struct hf_arch **out, struct error *err)
{
    struct buf known;
    buf_init(&known, 600);
    for (size_t i = 0; hf_archs[i]; i++) {
        for (const char *const *name = hf_archs[i]->classes; *name; name++)
            if (strcmp(*name, c->class) == 0) {
                *out = hf_archs[i];
                buf_fini(&known);
                return OK;
            }
        if (i == 0 || strcmp(hf_archs[i]->name, hf_archs[i - 1]->name) != 0)
            buf_printf(&known, "%s%s", i ? ", " : "", hf_archs[i]->name);
    }
    enum status st = error_set(err, ERR_UNSUPPORTED,
                               "%s: models of the class '%.80s' cannot be imported; known "
                               "families: %s",
                               c->path, c->class, known.data ? known.data : "");
    buf_fini(&known);
    return st;
}

enum status hf_model_init(struct hf_model *m, struct error *err)
{
    struct error why = {0};
    struct hf_keys k = {.m = m, .err = &why};
    enum status st = hf_arch_find(&m->config, &m->arch, err);
    if (st) return st;
    m->n_layer = hf_need_u32(&k, "num_hidden_layers|n_layer|n_layers|num_layers");
    m->n_head = hf_need_u32(&k, "num_attention_heads|n_head|n_heads");
    m->n_head_kv = hf_get_u32(&k, "num_key_value_heads|n_head_kv", m->n_head);
    m->n_expert = hf_get_u32(&k, "num_local_experts|num_experts|n_routed_experts", 0);
    m->tied = hf_get_bool(&k, "tie_word_embeddings", false);
    if (why.code) return error_set(err, why.code, "%s", why.msg);
    if (m->n_layer == 0 || m->n_layer > 1024 || m->n_head == 0 || m->n_expert > 65536)
        return error_set(err, ERR_FORMAT, "%s: %u layers, %u heads and %u experts are no model",
                         m->config.path, m->n_layer, m->n_head, m->n_expert);
    st = hf_config_rope(&m->config, &m->rope, err);
    return st || !m->arch->prepare ? st : m->arch->prepare(m, err);
}

enum status hf_model_load(const char *folder, struct hf_model *m, struct error *err)
{
    *m = (struct hf_model){.folder = folder};
    enum status st = hf_config_load(folder, &m->config, err);
    if (!st) st = hf_model_init(m, err);
    if (st) hf_model_fini(m);
    return st;
}

void hf_model_fini(struct hf_model *m)
{
    for (size_t i = 0; i < m->n_extra; i++) free(m->extra[i].values);
    m->n_extra = 0;
    hf_config_fini(&m->config);
}
