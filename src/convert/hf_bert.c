/* Encoders that make embeddings or score pairs: BERT (all-MiniLM, bge), RoBERTa and XLM-RoBERTa
 * (bge-m3, bge-reranker), whose first positions are for padding. */
#include <stdio.h>
#include <string.h>

#include "convert/hf_model.h"

static const char *const classes[] = {
    "BertModel",
    "BertForMaskedLM",
    "RobertaModel",
    "XLMRobertaModel",
    "CamembertModel",
    "RobertaForSequenceClassification",
    "XLMRobertaForSequenceClassification",
    NULL,
};
static const char *const classes_rank[] = {"BertForSequenceClassification", NULL};

static uint32_t padding_positions(const struct hf_model *m)
{
    uint32_t pad = 0;
    bool roberta = strstr(m->config.class, "Roberta") != NULL;
    return roberta && hf_config_u32(&m->config, "pad_token_id", &pad, NULL) ? pad + 1 : 0;
}

static enum status positions(const struct hf_model *m, struct hf_view *v, struct error *err)
{
    uint32_t skip = padding_positions(m);
    if (skip >= v->rows)
        return error_set(err, ERR_FORMAT, "weight '%.200s' has no more rows than padding takes",
                         v->src->name.data);
    v->base += skip * v->sr;
    v->rows -= skip;
    return OK;
}

/* clang-format off */
#define ENCODER                                                                               \
    {"embeddings.word_embeddings.weight", "token_embd.weight", NULL, false},                  \
    {"embeddings.position_embeddings.weight", "position_embd.weight", positions, false},      \
    {"embeddings.token_type_embeddings.weight", "token_types.weight", NULL, false},           \
    {"embeddings.LayerNorm.*", "token_embd_norm.*", NULL, false},                             \
    {"embeddings.position_ids", NULL, NULL, false},                                           \
    {"encoder.layer.#.attention.self.query.*", "blk.#.attn_q.*", NULL, true},                 \
    {"encoder.layer.#.attention.self.key.*", "blk.#.attn_k.*", NULL, true},                   \
    {"encoder.layer.#.attention.self.value.*", "blk.#.attn_v.*", NULL, true},                 \
    {"encoder.layer.#.attention.output.dense.*", "blk.#.attn_output.*", NULL, true},          \
    {"encoder.layer.#.attention.output.LayerNorm.*", "blk.#.attn_output_norm.*", NULL, true}, \
    {"encoder.layer.#.intermediate.dense.*", "blk.#.ffn_up.*", NULL, true},                   \
    {"encoder.layer.#.output.dense.*", "blk.#.ffn_down.*", NULL, true},                       \
    {"encoder.layer.#.output.LayerNorm.*", "blk.#.layer_output_norm.*", NULL, true}
/* clang-format on */

/* Embeddings are pooled without the pooler, which was trained for another task. */
static const struct hf_rule rules[] = {
    ENCODER,
    {"pooler.dense.*", NULL, NULL, false},
    {"classifier.dense.*", "cls.*", NULL, false},
    {"classifier.out_proj.*", "cls.output.*", NULL, false},
    {"cls.predictions.bias", NULL, NULL, false},
    {"cls.predictions.decoder.*", NULL, NULL, false},
    {"cls.predictions.transform.dense.*", NULL, NULL, false},
    {"cls.predictions.transform.LayerNorm.*", NULL, NULL, false},
    {"cls.seq_relationship.*", NULL, NULL, false},
    {0},
};

/* A score is classifier(tanh(pooler(CLS))), which readers of GGUF compute from "cls" and
 * "cls.output". llama.cpp's converter leaves the pooler out. */
static const struct hf_rule rules_rank[] = {
    ENCODER,
    {"pooler.dense.*", "cls.*", NULL, false},
    {"classifier.*", "cls.output.*", NULL, false},
    {0},
};

/* Names of the scores, unless they are transformers' placeholders for two. */
static void label_keys(struct hf_keys *k)
{
    enum { MAX_LABELS = 64 };
    const json_t *labels = hf_config_get(&k->m->config, "id2label");
    struct gguf_str names[MAX_LABELS];
    size_t n = json_object_size(labels);
    if (n == 0 || n > MAX_LABELS) return;
    for (size_t i = 0; i < n; i++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        const char *text = json_string_value(json_object_get(labels, number));
        if (!text) return;
        names[i] = (struct gguf_str){text, strlen(text)};
    }
    if (n == 2 && strcmp(names[0].data, "LABEL_0") == 0) return;
    if (!k->err->code) gguf_writer_strings(k->w, "bert.classifier.output_labels", names, n);
}

static void keys(struct hf_keys *k)
{
    uint32_t skip = padding_positions(k->m), context = hf_need_u32(k, "max_position_embeddings");
    hf_key_u32(k, "block_count", k->m->n_layer);
    hf_key_u32(k, "context_length", context > skip ? context - skip : context);
    hf_key_u32(k, "embedding_length", hf_need_u32(k, "hidden_size"));
    hf_key_u32(k, "feed_forward_length", hf_need_u32(k, "intermediate_size"));
    hf_key_u32(k, "attention.head_count", k->m->n_head);
    hf_key_f32(k, "attention.layer_norm_epsilon", hf_get_f64(k, "layer_norm_eps", 1e-12));
    hf_key_bool(k, "attention.causal", false);
    if (strstr(k->m->config.class, "SequenceClassification")) {
        hf_key_u32(k, "pooling_type", 4); /* a score */
        label_keys(k);
    } else {
        hf_keys_pooling(k);
    }
}

static enum status prepare(struct hf_model *m, struct error *err)
{
    const char *kind = "absolute";
    struct error why = {0};
    hf_config_str(&m->config, "position_embedding_type", &kind, &why);
    if (strcmp(kind, "absolute") != 0)
        return error_set(err, ERR_UNSUPPORTED, "%s: BERT with '%.40s' positions", m->config.path,
                         kind);
    return OK;
}

extern const struct hf_arch hf_bert, hf_bert_rank;
const struct hf_arch hf_bert = {.name = "bert",
                                .classes = classes,
                                .rules = rules,
                                .keys = keys,
                                .prepare = prepare,
                                .encoder = true};
const struct hf_arch hf_bert_rank = {.name = "bert",
                                     .classes = classes_rank,
                                     .rules = rules_rank,
                                     .keys = keys,
                                     .prepare = prepare,
                                     .encoder = true};
