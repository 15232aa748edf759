/* Llama 4 (Meta 2025), text: three layers of four attend within chunks of positions, their queries
 * and keys normalised after rotation; every fourth sees all positions and knows none, its queries
 * growing with their position. In a mixture of experts the one chosen expert's input is weighed by
 * the sigmoid of its score, beside a shared expert; some models have plain layers in between. */
#include "model/arch.h"

/* The published models' values, which their files do not name. */
#define CHUNK       8192u
#define TEMP_FLOOR  8192.0
#define TEMP_SCALE  0.1
#define FULL_PERIOD 4u

struct ways {
    struct attn *near, *full;
};

static struct ways ways_to_attend(struct arch_builder *b)
{
    uint32_t chunk, n_expert;
    double floor, scale;
    struct ways w = {arch_attn(b), arch_attn(b)};
    arch_u32_or(b, "attention.sliding_window", 0, INT32_MAX, CHUNK, &chunk);
    arch_f64_or(b, "attention.temperature_length", 1, 1e9, TEMP_FLOOR, &floor);
    arch_f64_or(b, "attention.temperature_scale", 0, 1e3, TEMP_SCALE, &scale);
    arch_u32(b, "expert_count", 1, UINT32_MAX, &n_expert);
    w.near->key_norm = n_expert != 128; /* Maverick goes without */
    if (!chunk) {                       /* all layers see all positions, and know them */
        w.full = w.near;
        return w;
    }
    w.near->chunk = chunk;
    w.full->rope = NULL;
    w.full->temp_scale = (float)scale;
    w.full->temp_floor = (float)floor;
    return w;
}

static enum status llama4_build(struct arch_builder *b)
{
    uint32_t step;
    arch_decoder_params(b);
    arch_u32(b, "interleave_moe_layer_step", 1, 1024, &step);
    arch_rope(b, false, "rope_freqs.weight");
    arch_embed(b);
    struct ways ways = ways_to_attend(b);
    struct moe *moe = arch_moe_params(b);
    moe->score = MOE_SIGMOID;
    moe->weigh_input = true;
    struct arch_attention attention = {0};
    struct arch_ffn plain = {.act = KERN_FN_SILU};
    struct arch_ffn shared = {.act = KERN_FN_SILU, .suffix = "_shexp", .n_ff = moe->n_ff};
    struct arch_moe experts = {.moe = moe, .act = KERN_FN_SILU, .shared = &shared};
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        attention.attn = (i + 1) % FULL_PERIOD ? ways.near : ways.full;
        arch_attention(b, i, &attention);
        if ((i + 1) % step)
            arch_ffn(b, i, &plain);
        else
            arch_moe(b, i, &experts);
    }
    arch_head(b);
    return arch_status(b);
}

const struct arch arch_llama4 = {.name = "llama4", .build = llama4_build};
