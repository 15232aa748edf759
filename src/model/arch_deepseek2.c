/* DeepSeek-V2, V2.5 and V3, DeepSeek-Coder-V2 among them (arXiv:2405.04434, arXiv:2412.19437):
 * multi-head latent attention, and after some dense layers a mixture of many small experts beside
 * shared ones. Newer files have what absorbing keys and values into queries and outputs takes;
 * older ones have attn_kv_b, from which keys and values are made for every head. */
#include "model/arch.h"

#include <math.h>

/* Values of expert_gating_func. */
enum { GATE_SOFTMAX = 1, GATE_SIGMOID = 2 };

static const struct mla *latent_params(struct arch_builder *b)
{
    const struct model_info *info = &b->m->info;
    uint32_t key, value, rope;
    struct mla *a = arch_status(b) ? NULL : model_alloc(b->m, sizeof *a);
    if (!a) {
        arch_fail(b, ERR_NOMEM, "out of memory");
        a = &b->mla_sink;
    }
    *a = (struct mla){.absorbed = arch_has(b, "blk.0.attn_k_b.weight")};
    arch_u32(b, "attention.kv_lora_rank", 16, 1u << 16, &a->kv_rank);
    arch_u32_or(b, "attention.q_lora_rank", 0, 1u << 16, 0, &a->q_rank);
    arch_u32_or(b, "attention.key_length_mla", 1, 1u << 16, info->head_dim, &key);
    arch_u32_or(b, "attention.value_length_mla", 1, 1u << 16, info->v_dim, &value);
    arch_u32(b, "rope.dimension_count", 2, key ? key - 1 : 2, &rope);
    if (arch_status(b)) return a;
    a->n_rope = rope;
    a->n_plain = key - rope;
    a->n_value = value;
    uint32_t want_key = a->absorbed ? a->kv_rank + rope : key,
             want_value = a->absorbed ? a->kv_rank : value;
    uint32_t want_heads = a->absorbed ? 1 : info->n_head;
    if (info->head_dim != want_key || info->v_dim != want_value || info->n_head_kv != want_heads)
        arch_fail(
            b, ERR_FORMAT,
            "%u key/value heads of %u and %u numbers, expected %u of %u and %u for its latent "
            "attention",
            info->n_head_kv, info->head_dim, info->v_dim, want_heads, want_key, want_value);
    b->m->mla = a;
    return a;
}

/* YaRN's factor goes into the scores, and not into cosines and sines. */
static struct attn *latent_attention(struct arch_builder *b, const struct mla *a, struct rope *rope)
{
    double log_multiplier, factor;
    struct attn *attn = arch_attn(b);
    arch_f64_or(b, "rope.scaling.yarn_log_multiplier", 0, 1e3, 0, &log_multiplier);
    arch_f64_or(b, "rope.scaling.factor", 1e-3, 1e6, 1, &factor);
    if (arch_status(b)) return attn;
    double growth = log_multiplier > 0 && factor > 1 ? 1 + log_multiplier * log(factor) : 1;
    attn->scale = (float)(growth * growth / sqrt((double)(a->n_plain + a->n_rope)));
    if (log_multiplier > 0) rope->magnitude = 1;
    return attn;
}

static void query_stages(struct arch_builder *b, uint32_t i, const struct mla *a)
{
    uint64_t embd = b->m->info.n_embd, q = (uint64_t)b->m->info.n_head * (a->n_plain + a->n_rope);
    struct stage *s = arch_stage(b, STAGE_MLA_DOWN, i);
    s->mla = a;
    arch_norm(b, &s->norm, embd, "blk.%u.attn_norm", i);
    arch_matrix(b, &s->w[1], a->kv_rank + a->n_rope, embd, "blk.%u.attn_kv_a_mqa.weight", i);
    if (!a->q_rank) {
        arch_matrix(b, &s->w[0], q, embd, "blk.%u.attn_q.weight", i);
        return;
    }
    arch_matrix(b, &s->w[0], a->q_rank, embd, "blk.%u.attn_q_a.weight", i);
    s = arch_stage(b, STAGE_MLA_Q, i);
    s->mla = a;
    arch_norm(b, &s->norm, a->q_rank, "blk.%u.attn_q_a_norm", i);
    arch_matrix(b, &s->w[0], q, a->q_rank, "blk.%u.attn_q_b.weight", i);
}

static void attention_stages(struct arch_builder *b, uint32_t i, const struct mla *a,
                             const struct attn *attn)
{
    uint64_t embd = b->m->info.n_embd;
    uint32_t n_head = b->m->info.n_head;
    query_stages(b, i, a);
    struct stage *s = arch_stage(b, STAGE_MLA_KV, i);
    s->mla = a;
    s->attn = attn;
    arch_norm(b, &s->post, a->kv_rank, "blk.%u.attn_kv_a_norm", i);
    if (a->absorbed)
        arch_stack(b, &s->w[0], n_head, n_head, a->kv_rank, a->n_plain, "blk.%u.attn_k_b.weight",
                   i);
    else
        arch_matrix(b, &s->w[0], (uint64_t)n_head * (a->n_plain + a->n_value), a->kv_rank,
                    "blk.%u.attn_kv_b.weight", i);
    arch_stage(b, STAGE_ATTN, i);
    if (a->absorbed) {
        s = arch_stage(b, STAGE_MLA_OUT, i);
        s->mla = a;
        arch_stack(b, &s->w[0], n_head, n_head, a->n_value, a->kv_rank, "blk.%u.attn_v_b.weight",
                   i);
    }
    s = arch_stage(b, STAGE_ATTN_OUT, i);
    if (a->absorbed) s->mla = a;
    arch_matrix(b, &s->w[0], embd, (uint64_t)n_head * a->n_value, "blk.%u.attn_output.weight", i);
}

static void expert_params(struct arch_builder *b, struct moe *e)
{
    uint32_t gate;
    double scale;
    bool normalise;
    arch_f64_or(b, "expert_weights_scale", 0, 1e6, 1, &scale);
    arch_bool_or(b, "expert_weights_norm", false, &normalise);
    arch_u32_or(b, "expert_gating_func", 0, GATE_SIGMOID, 0, &gate);
    arch_u32_or(b, "expert_group_count", 0, e->n_expert, 0, &e->n_group);
    arch_u32_or(b, "expert_group_used_count", 0, e->n_group, 0, &e->n_group_used);
    if (arch_status(b)) return;
    if (e->n_group > 1 && (e->n_expert % e->n_group || !e->n_group_used ||
                           e->n_used > e->n_expert / e->n_group * e->n_group_used))
        arch_fail(b, ERR_FORMAT, "%u experts of %u cannot be chosen from %u of %u groups",
                  e->n_used, e->n_expert, e->n_group_used, e->n_group);
    e->scale = scale > 0 ? (float)scale : 1;
    e->normalise = normalise;
    e->score = gate == GATE_SIGMOID ? MOE_SIGMOID : MOE_SOFTMAX;
}

static enum status deepseek2_build(struct arch_builder *b)
{
    uint32_t n_dense, n_shared;
    arch_decoder_params(b);
    const struct mla *mla = latent_params(b);
    struct rope *rope = arch_rope(b, false, NULL);
    arch_u32_or(b, "leading_dense_block_count", 0, UINT32_MAX, 0, &n_dense);
    arch_embed(b);
    struct attn *attn = latent_attention(b, mla, rope);
    struct moe *moe = arch_moe_params(b);
    expert_params(b, moe);
    arch_u32_or(b, "expert_shared_count", 0, 1024, 0, &n_shared);
    struct arch_ffn dense = {.act = KERN_FN_SILU};
    struct arch_ffn shared = {
        .act = KERN_FN_SILU, .suffix = "_shexp", .n_ff = n_shared * moe->n_ff};
    struct arch_moe experts = {
        .moe = moe, .act = KERN_FN_SILU, .shared = n_shared ? &shared : NULL};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        attention_stages(b, i, mla, attn);
        if (i < n_dense)
            arch_ffn(b, i, &dense);
        else
            arch_moe(b, i, &experts);
    }
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_deepseek2 = {.name = "deepseek2", .build = deepseek2_build};
