/* The parts of layers that many architectures have in common. */
#include <math.h>
#include <stdio.h>

#include "model/arch.h"

struct stage *arch_embed(struct arch_builder *b)
{
    struct stage *s = arch_stage(b, STAGE_EMBED, 0);
    arch_table(b, &s->table, b->m->info.n_vocab, b->m->info.n_embd, "token_embd.weight");
    return s;
}

void arch_positions(struct arch_builder *b)
{
    if (arch_status(b)) return;
    arch_table(b, &b->m->stages[0].positions, b->m->info.n_ctx_train, b->m->info.n_embd,
               "position_embd.weight");
}

struct attn *arch_attn(struct arch_builder *b)
{
    struct attn *a = b->st ? NULL : model_alloc(b->m, sizeof *a);
    if (!a) {
        arch_fail(b, ERR_NOMEM, "out of memory");
        a = &b->attn_sink;
    }
    *a = (struct attn){.rope = b->m->n_ropes ? &b->m->ropes[0] : NULL};
    if (b->m->info.head_dim) a->scale = (float)(1 / sqrt((double)b->m->info.head_dim));
    return a;
}

/* Queries, keys and values, each a tensor of its own or all three the rows of one. */
static void qkv(struct arch_builder *b, uint32_t i, struct stage *s)
{
    const struct model_info *info = &b->m->info;
    const uint64_t embd = info->n_embd, rows[3] = {(uint64_t)info->n_head * info->head_dim,
                                                   (uint64_t)info->n_head_kv * info->head_dim,
                                                   (uint64_t)info->n_head_kv * info->v_dim};
    const uint64_t total = rows[0] + rows[1] + rows[2];
    static const char letter[] = "qkv";
    if (!arch_has(b, "blk.%u.attn_qkv.weight", i)) {
        for (int k = 0; k < 3; k++) {
            arch_matrix(b, &s->w[k], rows[k], embd, "blk.%u.attn_%c.weight", i, letter[k]);
            arch_vector_opt(b, &s->bias[k], rows[k], "blk.%u.attn_%c.bias", i, letter[k]);
        }
        return;
    }
    uint64_t at = 0;
    arch_vector_opt(b, &s->bias[0], total, "blk.%u.attn_qkv.bias", i);
    for (int k = 0; k < 3; k++) {
        arch_slice(b, &s->w[k], at, rows[k], total, embd, "blk.%u.attn_qkv.weight", i);
        if (k && s->bias[0]) s->bias[k] = s->bias[0] + at;
        at += rows[k];
    }
}

static void row_norm(struct arch_builder *b, struct norm *n, uint32_t i, char letter, uint64_t width)
{
    if (arch_has(b, "blk.%u.attn_%c_norm.weight", i, letter))
        arch_norm(b, n, width, "blk.%u.attn_%c_norm", i, letter);
}

void arch_attention(struct arch_builder *b, uint32_t i, const struct arch_attention *opt)
{
    const struct model_info *info = &b->m->info;
    struct stage *s = arch_stage(b, STAGE_ATTN_IN, i);
    s->attn = opt->attn;
    if (!opt->no_norm) arch_norm(b, &s->norm, info->n_embd, "blk.%u.attn_norm", i);
    qkv(b, i, s);
    if (opt->row_norms) {
        row_norm(b, &s->row_norm[0], i, 'q', (uint64_t)info->n_head * info->head_dim);
        row_norm(b, &s->row_norm[1], i, 'k', (uint64_t)info->n_head_kv * info->head_dim);
    } else if (opt->head_norms) {
        arch_norm(b, &s->head_norm[0], info->head_dim, "blk.%u.attn_q_norm", i);
        arch_norm(b, &s->head_norm[1], info->head_dim, "blk.%u.attn_k_norm", i);
    } else {
        arch_refuse(b, "blk.%u.attn_q_norm.weight", i);
        arch_refuse(b, "blk.%u.attn_k_norm.weight", i);
    }
    if (opt->sinks) arch_vector(b, &s->sinks, info->n_head, "blk.%u.attn_sinks.weight", i);

    arch_stage(b, STAGE_ATTN, i);

    s = arch_stage(b, STAGE_ATTN_OUT, i);
    if (opt->scale != 0) s->scale = opt->scale;
    arch_matrix(b, &s->w[0], info->n_embd, (uint64_t)info->n_head * info->v_dim,
                "blk.%u.attn_output.weight", i);
    arch_vector_opt(b, &s->bias[0], info->n_embd, "blk.%u.attn_output.bias", i);
    if (opt->post_norm) arch_norm(b, &s->post, info->n_embd, "blk.%u.%s", i, opt->post_norm);
}

/* A layer's feed-forward matrices: how wide they are and what their names end with. */
struct ffn_names {
    uint32_t layer;
    uint64_t embd, ff;
    const char *suffix;
};

static bool is_fused(const struct arch_builder *b, const struct ffn_names *n)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%u.ffn_up%s.weight", n->layer, n->suffix);
    const struct gguf_tensor *up = gguf_tensor_find(b->g, name);
    return up && up->ne[1] == 2 * n->ff &&
           !arch_has(b, "blk.%u.ffn_gate%s.weight", n->layer, n->suffix);
}

/* Up and gate, each a tensor of its own, or the gate's rows before those of up in one. */
static void up_and_gate(struct arch_builder *b, const struct ffn_names *n, struct stage *s)
{
    uint32_t i = n->layer;
    if (!is_fused(b, n)) {
        arch_matrix(b, &s->w[1], n->ff, n->embd, "blk.%u.ffn_gate%s.weight", i, n->suffix);
        arch_matrix(b, &s->w[0], n->ff, n->embd, "blk.%u.ffn_up%s.weight", i, n->suffix);
        arch_vector_opt(b, &s->bias[1], n->ff, "blk.%u.ffn_gate%s.bias", i, n->suffix);
        arch_vector_opt(b, &s->bias[0], n->ff, "blk.%u.ffn_up%s.bias", i, n->suffix);
    } else {
        arch_slice(b, &s->w[1], 0, n->ff, 2 * n->ff, n->embd, "blk.%u.ffn_up%s.weight", i,
                   n->suffix);
        arch_slice(b, &s->w[0], n->ff, n->ff, 2 * n->ff, n->embd, "blk.%u.ffn_up%s.weight", i,
                   n->suffix);
        arch_refuse(b, "blk.%u.ffn_up%s.bias", i, n->suffix);
    }
}

void arch_ffn(struct arch_builder *b, uint32_t i, const struct arch_ffn *opt)
{
    const struct ffn_names n = {i, b->m->info.n_embd, opt->n_ff ? opt->n_ff : b->m->info.n_ff,
                                opt->suffix ? opt->suffix : ""};
    struct stage *s = arch_stage(b, STAGE_FFN_IN, i);
    s->act = opt->act;
    if (!opt->no_norm)
        arch_norm(b, &s->norm, n.embd, "blk.%u.%s", i, opt->norm ? opt->norm : "ffn_norm");
    if (opt->plain) {
        arch_matrix(b, &s->w[0], n.ff, n.embd, "blk.%u.ffn_up%s.weight", i, n.suffix);
        arch_vector_opt(b, &s->bias[0], n.ff, "blk.%u.ffn_up%s.bias", i, n.suffix);
        arch_refuse(b, "blk.%u.ffn_gate%s.weight", i, n.suffix);
    } else {
        up_and_gate(b, &n, s);
    }

    s = arch_stage(b, STAGE_FFN_OUT, i);
    if (opt->scale != 0) s->scale = opt->scale;
    arch_matrix(b, &s->w[0], n.embd, n.ff, "blk.%u.ffn_down%s.weight", i, n.suffix);
    arch_vector_opt(b, &s->bias[0], n.embd, "blk.%u.ffn_down%s.bias", i, n.suffix);
    if (opt->post_norm) arch_norm(b, &s->post, n.embd, "blk.%u.%s", i, opt->post_norm);
}

void arch_gated_decoder_layers(struct arch_builder *b)
{
    struct arch_attention attention = {.attn = arch_attn(b)};
    struct arch_ffn ffn = {.act = KERN_FN_SILU};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        arch_attention(b, i, &attention);
        arch_ffn(b, i, &ffn);
    }
}

struct stage *arch_head(struct arch_builder *b)
{
    const struct model_info *info = &b->m->info;
    bool tied = !arch_has(b, "output.weight");
    struct stage *s = arch_stage(b, STAGE_HEAD, 0);
    arch_norm(b, &s->norm, info->n_embd, "output_norm");
    arch_matrix(b, &s->w[0], info->n_vocab, info->n_embd, "%s",
                tied ? "token_embd.weight" : "output.weight");
    arch_vector_opt(b, &s->bias[0], info->n_vocab, "output.bias");
    return s;
}
