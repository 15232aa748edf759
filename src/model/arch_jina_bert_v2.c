/* Jina Embeddings 2 (Günther et al. 2023, arXiv:2310.19923): BERT with ALiBi in both directions
 * instead of positions, and GEGLU. Its models for code also have norms of queries and keys, and a
 * norm of the attention part's result and input added up once more. */
#include <stdio.h>

#include "model/arch.h"

/* Small models have a plain feed-forward part. */
static bool gated(const struct arch_builder *b, uint32_t i)
{
    char name[64];
    const struct gguf_tensor *up;
    snprintf(name, sizeof name, "blk.%u.ffn_up.weight", i);
    up = gguf_tensor_find(b->g, name);
    return arch_has(b, "blk.%u.ffn_gate.weight", i) || (up && up->ne[1] != b->m->info.n_ff);
}

static enum status jina_bert_v2_build(struct arch_builder *b)
{
    arch_encoder_params(b);
    arch_encoder_embed(b);
    struct attn *attn = arch_encoder_attn(b);
    attn->alibi = 8;
    struct arch_attention attention = {.attn = attn, .no_norm = true, .row_norms = true};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        struct arch_ffn ffn = {.act = KERN_FN_GELU_ERF, .plain = !gated(b, i), .no_norm = true};
        bool again = arch_has(b, "blk.%u.attn_norm_2.weight", i);
        size_t first = b->m->n_stages;
        arch_attention(b, i, &attention);
        if (!arch_status(b)) b->m->stages[first].keep = again;
        arch_encoder_norm(b, i, "attn_output_norm");
        if (again) arch_encoder_norm(b, i, "attn_norm_2")->keep = true;
        arch_ffn(b, i, &ffn);
        arch_encoder_norm(b, i, "layer_output_norm");
    }
    arch_encoder_head(b);
    return arch_status(b);
}

const struct arch arch_jina_bert_v2 = {.name = "jina-bert-v2", .build = jina_bert_v2_build};
