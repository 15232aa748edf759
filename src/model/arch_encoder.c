/* What encoders have in common, and what becomes of a text's hidden states. Names of tensors and
 * keys are llama.cpp's (src/models/bert.cpp, src/llama-graph.cpp). */
#include "model/arch.h"

#define MAX_SEGMENTS 255u
#define MAX_SCORES   65536u

void arch_encoder_params(struct arch_builder *b)
{
    b->norm_kind = NORM_LAYER;
    arch_decoder_params(b);
    arch_refuse_experts(b);
    b->m->info.encoder = true;
}

void arch_encoder_embed(struct arch_builder *b)
{
    struct model_info *info = &b->m->info;
    struct stage *s = arch_embed(b);
    const struct gguf_tensor *t = gguf_tensor_find(b->g, "token_types.weight");
    if (t && t->ne[1] >= 1 && t->ne[1] <= MAX_SEGMENTS) info->n_segments = (uint32_t)t->ne[1];
    if (t) arch_vectors_opt(b, &s->segments, info->n_embd, info->n_segments, "token_types.weight");
    s = arch_stage(b, STAGE_NORM, 0);
    arch_norm(b, &s->norm, info->n_embd, "token_embd_norm");
}

struct attn *arch_encoder_attn(struct arch_builder *b)
{
    struct attn *a = arch_attn(b);
    a->both_ways = true;
    return a;
}

struct stage *arch_encoder_norm(struct arch_builder *b, uint32_t i, const char *name)
{
    struct stage *s = arch_stage(b, STAGE_NORM, i);
    arch_norm(b, &s->norm, b->m->info.n_embd, "blk.%u.%s", i, name);
    return s;
}

void arch_encoder_head(struct arch_builder *b)
{
    arch_stage(b, STAGE_HEAD, 0);
}

/* Rows of a tensor that the file may have; 0 where it has none. */
static uint64_t rows_of(struct arch_builder *b, const char *name)
{
    const struct gguf_tensor *t = gguf_tensor_find(b->g, name);
    return t ? t->ne[1] : 0;
}

/* A dense layer and an output behind it, or an output alone, under either's name. */
static void score_head(struct arch_builder *b)
{
    struct model_info *info = &b->m->info;
    struct score_head *h = &b->m->score;
    uint64_t dense = rows_of(b, "cls.weight"), out = rows_of(b, "cls.output.weight");
    const char *name = out ? "cls.output" : "cls";
    uint64_t n = out ? out : dense;
    if (!n) return;
    if (n > MAX_SCORES) arch_fail(b, ERR_UNSUPPORTED, "tensor %s.weight has too many rows", name);
    info->n_scores = (uint32_t)n;
    if (out && dense) {
        arch_vectors_opt(b, &h->dense, info->n_embd, info->n_embd, "cls.weight");
        arch_vector_opt(b, &h->dense_bias, info->n_embd, "cls.bias");
    }
    arch_vectors_opt(b, &h->out, info->n_embd, n, "%s.weight", name);
    arch_vector_opt(b, &h->out_bias, n, "%s.bias", name);
    arch_refuse(b, "cls.norm.weight");
}

void arch_pooling(struct arch_builder *b)
{
    struct model_info *info = &b->m->info;
    bool causal;
    uint32_t pooling;
    arch_bool_or(b, "attention.causal", !info->encoder, &causal);
    if (!arch_status(b) && causal == info->encoder)
        arch_fail(b, ERR_UNSUPPORTED, "key %s.attention.causal is %s, which %s models here are not",
                  b->name, causal ? "true" : "false", b->name);
    score_head(b);
    arch_u32_or(b, "pooling_type", POOLING_NONE, POOLING_RANK,
                info->n_scores  ? POOLING_RANK
                : info->encoder ? POOLING_MEAN
                                : POOLING_LAST,
                &pooling);
    info->pooling = (enum model_pooling)pooling;
    if (pooling == POOLING_RANK && !info->n_scores)
        arch_fail(b, ERR_FORMAT, "key %s.pooling_type asks for scores, but there is no cls.weight",
                  b->name);
}
