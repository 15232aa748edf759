/* The order of decisions, the names that stay as they are and the types that take another's place
 * are llama.cpp's: src/llama-quant.cpp. */
#include "convert/quantize_plan.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quant/quant.h"

/* ---- names ------------------------------------------------------------------------------------
 */

/* The first part found in a name tells the role. */
static const struct {
    const char *part;
    enum quantize_role role;
} roles[] = {
    {"attn_qkv.weight", ROLE_ATTN_V}, {"attn_kv_b.weight", ROLE_ATTN_V},
    {"attn_v.weight", ROLE_ATTN_V},   {"attn_k.weight", ROLE_ATTN_K},
    {"attn_q.weight", ROLE_ATTN_Q},   {"attn_output.weight", ROLE_ATTN_OUTPUT},
    {"ffn_up", ROLE_FFN_UP},          {"ffn_gate", ROLE_FFN_GATE},
    {"ffn_down", ROLE_FFN_DOWN},
};

static enum quantize_role role_of(const char *name)
{
    if (strcmp(name, "output.weight") == 0) return ROLE_OUTPUT;
    if (strcmp(name, "token_embd.weight") == 0 || strcmp(name, "per_layer_token_embd.weight") == 0)
        return ROLE_TOKEN_EMBD;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strstr(name, roles[i].part)) return roles[i].role;
    return ROLE_OTHER;
}

/* Small matrices, and those whose values are not multiplied with activations. */
static const char *const kept_parts[] = {
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "position_embd",
    "token_types",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* Whether a tensor is a matrix that may get a type of the mix. */
static bool is_matrix(const struct quantize_tensor *t)
{
    int dims = 4;
    while (dims > 1 && t->ne[dims - 1] == 1) dims--;
    if (dims < 2 || !ends_with(t->name, "weight")) return false;
    for (size_t i = 0; i < sizeof kept_parts / sizeof *kept_parts; i++)
        if (strstr(t->name, kept_parts[i])) return false;
    return true;
}

/* ---- rules ------------------------------------------------------------------------------------
 */

struct state {
    const struct quantize_choices *c;
    const struct quantize_model *m;
    bool tied;                 /* no output matrix: the embedding serves as it */
    uint32_t n_attn_v;         /* of the model */
    uint32_t attn_v, ffn_down; /* seen so far */
    pcre2_code **patterns;     /* [n_overrides] */
    pcre2_match_data *match;
};

/* A model of experts may lack a role in some layers: there the layer's own number counts. */
static uint32_t layer_of(const char *name, uint32_t counted, const struct quantize_model *m)
{
    uint32_t layer;
    if (m->n_expert > 1 && sscanf(name, "blk.%u.", &layer) == 1) return layer;
    return counted;
}

static bool applies(enum quantize_when when, const struct state *s, const struct quantize_tensor *t,
                    enum quantize_role role)
{
    bool is_v = role == ROLE_ATTN_V;
    uint64_t n = is_v ? s->n_attn_v : s->m->n_layer;
    uint64_t i = is_v ? s->attn_v : layer_of(t->name, s->ffn_down, s->m);
    switch (when) {
    case WHEN_ALWAYS:
        return true;
    case WHEN_FIRST_2:
        return i < 2;
    case WHEN_FIRST_4:
        return i < 4;
    case WHEN_FIRST_16TH:
        return i < n / 16;
    case WHEN_FIRST_8TH:
        return i < n / 8;
    case WHEN_FIRST_8TH_UNWEIGHTED:
        return !s->c->weighted && i < n / 8;
    case WHEN_FIRST_8TH_WEIGHTED:
        return s->c->weighted && i < n / 8;
    case WHEN_SENSITIVE:
        return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
    case WHEN_SHARED_KV:
        return s->m->n_head_kv && s->m->n_head / s->m->n_head_kv >= 4;
    case WHEN_EXPERTS:
        return t->ne[2] > 1;
    case WHEN_8_EXPERTS:
        return s->m->n_expert == 8;
    case WHEN_80_LAYERS:
        return s->m->n_layer == 80 && s->m->n_head != s->m->n_head_kv;
    }
    return false;
}

/* After every mix's own: eight experts share small matrices of attention, and so do the eight heads
 * of the 70B models. */
static const struct quantize_rule after[] = {
    {ROLE_ATTN_V, WHEN_8_EXPERTS, QUANT_F32, QUANT_Q8_0},
    {ROLE_ATTN_K, WHEN_8_EXPERTS, QUANT_F32, QUANT_Q8_0},
    {ROLE_ATTN_V, WHEN_80_LAYERS, QUANT_Q3_K, QUANT_Q5_K},
    {ROLE_ATTN_V, WHEN_80_LAYERS, QUANT_Q4_K, QUANT_Q5_K},
    {0},
};

static uint32_t by_rules(const struct quantize_rule *rules, uint32_t type, const struct state *s,
                         const struct quantize_tensor *t, enum quantize_role role)
{
    for (const struct quantize_rule *r = rules; r->type != QUANT_F32; r++)
        if (r->role == role && (r->only == QUANT_F32 || r->only == type) &&
            applies(r->when, s, t, role))
            return r->type;
    return type;
}

/* ---- shapes -----------------------------------------------------------------------------------
 */

static bool fits(const struct quantize_tensor *t, uint32_t type)
{
    return t->ne[0] % quant_find(type)->block_elems == 0;
}

/* Types of about the same size with smaller blocks. */
static uint32_t fallback(const struct quantize_tensor *t, uint32_t type)
{
    static const struct {
        uint32_t type, instead;
    } smaller[] = {
        {QUANT_Q2_K, QUANT_Q4_0}, {QUANT_Q3_K, QUANT_Q4_0}, {QUANT_Q4_K, QUANT_Q5_0},
        {QUANT_Q5_K, QUANT_Q5_1}, {QUANT_Q6_K, QUANT_Q8_0}, {QUANT_IQ4_XS, QUANT_IQ4_NL},
    };
    if (fits(t, type)) return type;
    for (size_t i = 0; i < sizeof smaller / sizeof *smaller; i++)
        if (smaller[i].type == type && fits(t, smaller[i].instead)) return smaller[i].instead;
    return QUANT_F16;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static bool matches(const struct state *s, size_t i, const char *name)
{
    return pcre2_match(s->patterns[i], (PCRE2_SPTR)name, strlen(name), 0, 0, s->match, NULL) >= 0;
}

/* What the person asked for by name, or -1. */
static int64_t asked(const struct state *s, const struct quantize_tensor *t,
                     enum quantize_role role)
{
    for (size_t i = 0; i < s->c->n_overrides; i++)
        if (matches(s, i, t->name)) return s->c->overrides[i].type;
    if (role == ROLE_TOKEN_EMBD && s->c->token_embd >= 0) return s->c->token_embd;
    bool is_output = role == ROLE_OUTPUT || (role == ROLE_TOKEN_EMBD && s->tied);
    return is_output ? s->c->output : -1;
}

static uint32_t by_mix(const struct state *s, const struct quantize_tensor *t,
                       enum quantize_role role)
{
    const struct quantize_mix *mix = s->c->mix;
    if (s->c->pure || quant_find(mix->type)->block_elems == 1) return mix->type;
    if (role == ROLE_OUTPUT || (role == ROLE_TOKEN_EMBD && s->tied))
        return fits(t, mix->type) ? mix->output : QUANT_Q8_0;
    uint32_t type = by_rules(mix->rules, mix->type, s, t, role);
    return by_rules(after, type, s, t, role);
}

static void choose(struct state *s, struct quantize_tensor *t)
{
    enum quantize_role role = role_of(t->name);
    bool all = s->c->mix->type == QUANT_F32; /* takes vectors as well */
    t->to = t->wanted = t->from;
    if ((is_matrix(t) || all) && !(role == ROLE_OUTPUT && s->c->leave_output)) {
        int64_t type = asked(s, t, role);
        t->wanted = type >= 0 ? (uint32_t)type : by_mix(s, t, role);
        t->to = fallback(t, t->wanted);
    }
    s->attn_v += role == ROLE_ATTN_V;
    s->ffn_down += role == ROLE_FFN_DOWN;
}

static enum status compile(struct state *s, struct error *err)
{
    size_t n = s->c->n_overrides;
    s->patterns = calloc(n + 1, sizeof(pcre2_code *));
    s->match = pcre2_match_data_create(1, NULL);
    if (!s->patterns || !s->match) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const char *p = s->c->overrides[i].pattern;
        int code;
        size_t at;
        s->patterns[i] = pcre2_compile((PCRE2_SPTR)p, strlen(p), PCRE2_CASELESS, &code, &at, NULL);
        if (s->patterns[i]) continue;
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(code, why, sizeof why);
        return error_set(err, ERR_INVALID, "'%s' is no regular expression: %s at character %zu", p,
                         (const char *)why, at + 1);
    }
    return OK;
}

static void end(struct state *s)
{
    for (size_t i = 0; s->patterns && i < s->c->n_overrides; i++) pcre2_code_free(s->patterns[i]);
    free(s->patterns);
    pcre2_match_data_free(s->match);
}

struct place {
    uint32_t layer;
    size_t i;
};

static int by_layer(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    return x->i < y->i ? -1 : x->i > y->i;
}

enum status quantize_plan(const struct quantize_choices *c, const struct quantize_model *m,
                          struct quantize_tensor *tensors, size_t n, struct error *err)
{
    struct state s = {.c = c, .m = m, .tied = true};
    struct place *order = calloc(n + 1, sizeof *order);
    enum status st = order ? compile(&s, err) : error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; !st && i < n; i++) {
        order[i] = (struct place){0, i};
        (void)sscanf(tensors[i].name, "blk.%u.", &order[i].layer);
        enum quantize_role role = role_of(tensors[i].name);
        s.tied = s.tied && role != ROLE_OUTPUT;
        s.n_attn_v += role == ROLE_ATTN_V;
    }
    if (!st) qsort(order, n, sizeof *order, by_layer);
    for (size_t i = 0; !st && i < n; i++) choose(&s, &tensors[order[i].i]);
    end(&s);
    free(order);
    return st;
}
