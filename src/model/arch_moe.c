/* Layers with a mixture of experts. */
#include "model/arch.h"

#define MAX_FF (1u << 20)

struct moe *arch_moe_params(struct arch_builder *b)
{
    struct moe *e = arch_status(b) ? NULL : model_alloc(b->m, sizeof *e);
    if (!e) {
        arch_fail(b, ERR_NOMEM, "out of memory");
        e = &b->moe_sink;
    }
    *e = (struct moe){.scale = 1};
    arch_u32(b, "expert_count", 1, MODEL_MAX_EXPERTS, &e->n_expert);
    arch_u32(b, "expert_used_count", 1, e->n_expert, &e->n_used);
    arch_u32_or(b, "expert_feed_forward_length", 1, MAX_FF, b->m->info.n_ff, &e->n_ff);
    if (e->n_used > b->m->max_used) b->m->max_used = e->n_used;
    return e;
}

/* Up and gate of all experts, each a tensor of its own or the gate's rows before those of up in
 * one. */
static void expert_inputs(struct arch_builder *b, uint32_t i, const struct moe *e, struct stage *s)
{
    uint64_t embd = b->m->info.n_embd, ff = e->n_ff;
    uint32_t n = e->n_expert, used = e->n_used;
    if (arch_has(b, "blk.%u.ffn_gate_up_exps.weight", i)) {
        arch_refuse(b, "blk.%u.ffn_gate_up_exps.bias", i);
        arch_stack_slice(b, &s->w[1], n, used, 0, ff, 2 * ff, embd,
                         "blk.%u.ffn_gate_up_exps.weight", i);
        arch_stack_slice(b, &s->w[0], n, used, ff, ff, 2 * ff, embd,
                         "blk.%u.ffn_gate_up_exps.weight", i);
        return;
    }
    arch_stack(b, &s->w[1], n, used, ff, embd, "blk.%u.ffn_gate_exps.weight", i);
    arch_stack(b, &s->w[0], n, used, ff, embd, "blk.%u.ffn_up_exps.weight", i);
    arch_vectors_opt(b, &s->bias[1], ff, n, "blk.%u.ffn_gate_exps.bias", i);
    arch_vectors_opt(b, &s->bias[0], ff, n, "blk.%u.ffn_up_exps.bias", i);
}

void arch_moe(struct arch_builder *b, uint32_t i, const struct arch_moe *opt)
{
    const struct moe *e = opt->moe;
    const char *norm = opt->norm ? opt->norm : "ffn_norm";
    uint64_t embd = b->m->info.n_embd;

    struct stage *s = arch_stage(b, STAGE_MOE_ROUTE, i);
    s->moe = e;
    arch_norm(b, &s->norm, embd, "blk.%u.%s", i, norm);
    arch_matrix(b, &s->w[0], e->n_expert, embd, "blk.%u.ffn_gate_inp.weight", i);
    arch_vector_opt(b, &s->bias[0], e->n_expert, "blk.%u.ffn_gate_inp.bias", i);
    arch_vector_opt(b, &s->preference, e->n_expert, "blk.%u.exp_probs_b.bias", i);
    if (opt->shared)
        arch_vector_opt(b, &s->shared_gate, embd, "blk.%u.ffn_gate_inp_shexp.weight", i);
    else
        arch_refuse(b, "blk.%u.ffn_up_shexp.weight", i);

    s = arch_stage(b, STAGE_MOE_IN, i);
    s->moe = e;
    s->act = opt->act;
    arch_norm(b, &s->norm, embd, "blk.%u.%s", i, norm);
    expert_inputs(b, i, e, s);

    bool gated = arch_has(b, "blk.%u.ffn_gate_inp_shexp.weight", i);
    if (opt->shared) {
        arch_ffn(b, i, opt->shared);
        if (!arch_status(b)) b->m->stages[b->m->n_stages - 1].by_shared_gate = gated;
    }

    s = arch_stage(b, STAGE_MOE_OUT, i);
    s->moe = e;
    if (opt->scale != 0) s->scale = opt->scale;
    arch_stack(b, &s->w[0], e->n_expert, e->n_used, embd, e->n_ff, "blk.%u.ffn_down_exps.weight",
               i);
    arch_vectors_opt(b, &s->bias[0], embd, e->n_expert, "blk.%u.ffn_down_exps.bias", i);
}
