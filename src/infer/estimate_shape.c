/* Shapes: what a model consists of, out of its file or from what a catalogue says. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gguf/gguf.h"
#include "infer/estimate.h"
#include "quant/quant.h"

static struct estimate_part *part(struct estimate_shape *s, uint32_t type)
{
    for (size_t i = 0; i < s->n_parts; i++)
        if (s->parts[i].type == type) return &s->parts[i];
    if (s->n_parts == ESTIMATE_MAX_TYPES) return NULL;
    s->parts[s->n_parts] = (struct estimate_part){.type = type};
    return &s->parts[s->n_parts++];
}

static double type_bytes(uint32_t type, double elements)
{
    const struct quant_traits *q = quant_find(type);
    return q ? elements * q->block_bytes / q->block_elems : 0;
}

/* A layer's matrix. `used`: the share of it that one token meets. */
static void add_layer(struct estimate_shape *s, uint32_t type, double elements, double used)
{
    struct estimate_part *p = part(s, type);
    if (!p) return;
    p->stored += elements;
    p->active += elements * used;
    s->n_params += elements;
    s->file_bytes += type_bytes(type, elements);
    s->weight_bytes += type_bytes(type, elements);
    s->token_bytes += type_bytes(type, elements * used);
}

/* `own`: the file holds it beside the table of tokens. */
static void add_head(struct estimate_shape *s, uint32_t type, double elements, bool own)
{
    struct estimate_part *p = part(s, type);
    if (!p) return;
    p->head += elements;
    s->weight_bytes += type_bytes(type, elements);
    s->token_bytes += type_bytes(type, elements);
    if (!own) return;
    s->n_params += elements;
    s->file_bytes += type_bytes(type, elements);
}

/* ---- from a file ----------------------------------------------------------------------------- */

/* A number of the architecture, or the first of a list with one for each layer; 0 without. */
static uint32_t number(const struct gguf *g, const char *arch, const char *name)
{
    char key[160];
    uint32_t n;
    struct gguf_array a;
    snprintf(key, sizeof key, "%s.%s", arch, name);
    if (gguf_get_u32(g, key, &n, NULL) == OK) return n;
    if (gguf_get_array(g, key, &a, NULL) == OK && a.count > 0 && a.type != GGUF_STRING) {
        int64_t v = gguf_array_i64(&a, 0);
        if (v > 0 && v <= UINT32_MAX) return (uint32_t)v;
    }
    return 0;
}

static bool contains(struct gguf_str s, const char *word)
{
    return memmem(s.data, s.len, word, strlen(word)) != NULL;
}

static void add_tensors(struct estimate_shape *s, const struct gguf *g, double experts_used)
{
    const struct gguf_tensor *head = gguf_tensor_find(g, "output.weight");
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        double elements = (double)t->ne[0] * (double)t->ne[1] * (double)t->ne[2] * (double)t->ne[3];
        bool layer = t->name.len > 4 && memcmp(t->name.data, "blk.", 4) == 0;
        if (layer && t->n_dims >= 2) {
            add_layer(s, t->type, elements, contains(t->name, "_exps") ? experts_used : 1);
        } else if (t == head) {
            add_head(s, t->type, elements, true);
        } else {
            s->n_params += elements;
            s->file_bytes += (double)t->size;
            if (head || !gguf_str_eq(t->name, "token_embd.weight")) continue;
            add_head(s, t->type, elements, false);
        }
    }
}

enum status estimate_shape_of_file(const struct gguf *g, struct estimate_shape *s,
                                   struct error *err)
{
    struct gguf_str name;
    char arch[64];
    *s = (struct estimate_shape){0};
    if (gguf_get_str(g, "general.architecture", &name, NULL) || name.len >= sizeof arch)
        return error_set(err, ERR_FORMAT, "%s: no general.architecture key, so this is no model",
                         gguf_path(g));
    snprintf(arch, sizeof arch, "%.*s", (int)name.len, name.data);
    const struct gguf_tensor *table = gguf_tensor_find(g, "token_embd.weight");
    s->n_layer = number(g, arch, "block_count");
    s->n_embd = number(g, arch, "embedding_length");
    s->n_ff = number(g, arch, "feed_forward_length");
    s->n_head = number(g, arch, "attention.head_count");
    s->n_head_kv = number(g, arch, "attention.head_count_kv");
    s->head_dim = number(g, arch, "attention.key_length");
    if (!s->n_layer || !s->n_embd || !s->n_head || !table)
        return error_set(err, ERR_FORMAT, "%s: not a text model that doctor can judge",
                         gguf_path(g));
    if (!s->n_head_kv) s->n_head_kv = s->n_head;
    if (!s->head_dim) s->head_dim = s->n_embd / s->n_head;
    s->n_vocab = table->ne[1] > UINT32_MAX ? UINT32_MAX : (uint32_t)table->ne[1];
    double experts = number(g, arch, "expert_count"), used = number(g, arch, "expert_used_count");
    uint32_t expert_ff = number(g, arch, "expert_feed_forward_length");
    if (experts > 0 && expert_ff) s->n_ff = (uint32_t)(used * expert_ff);
    add_tensors(s, g, experts > 0 && used > 0 && used < experts ? used / experts : 1);
    return OK;
}

/* ---- from a catalogue -------------------------------------------------------------------------
 */

/* Which type each kind of matrix gets. `more`: that of values and of the feed-forward part's way
 * back in the layers that llama.cpp's use_more_bits() chooses. */
struct mix {
    const char *name;
    uint32_t base, more, output;
};
static const struct mix mixes[] = {
    {"F32", QUANT_F32, QUANT_F32, QUANT_F32},       {"F16", QUANT_F16, QUANT_F16, QUANT_F16},
    {"BF16", QUANT_BF16, QUANT_BF16, QUANT_BF16},   {"Q4_0", QUANT_Q4_0, QUANT_Q4_0, QUANT_Q6_K},
    {"Q4_1", QUANT_Q4_1, QUANT_Q4_1, QUANT_Q6_K},   {"Q5_0", QUANT_Q5_0, QUANT_Q5_0, QUANT_Q6_K},
    {"Q5_1", QUANT_Q5_1, QUANT_Q5_1, QUANT_Q6_K},   {"Q8_0", QUANT_Q8_0, QUANT_Q8_0, QUANT_Q8_0},
    {"Q6_K", QUANT_Q6_K, QUANT_Q6_K, QUANT_Q6_K},   {"Q4_K_M", QUANT_Q4_K, QUANT_Q6_K, QUANT_Q6_K},
    {"Q5_K_M", QUANT_Q5_K, QUANT_Q6_K, QUANT_Q6_K},
};

/* The type that rows of n_cols can have: those of 256-element blocks give way to the next larger
 * one of 32, as in llama.cpp. */
static uint32_t fitting(uint32_t type, uint32_t n_cols)
{
    if (n_cols % 256 == 0) return type;
    return type == QUANT_Q4_K   ? QUANT_Q5_0
           : type == QUANT_Q5_K ? QUANT_Q5_1
           : type == QUANT_Q6_K ? QUANT_Q8_0
                                : type;
}

/* Eighths at both ends and every third between. */
static bool more_bits(uint32_t layer, uint32_t n)
{
    return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
}

static void add_matrix(struct estimate_shape *s, uint32_t type, double rows, uint32_t cols,
                       double used)
{
    add_layer(s, fitting(type, cols), rows * cols, used);
}

static void add_mixed_layer(struct estimate_shape *s, const struct estimate_dims *d,
                            const struct mix *mix, uint32_t layer)
{
    uint32_t more = more_bits(layer, d->n_layer) ? mix->more : mix->base;
    /* The attention of a mixture of 8 experts is small: it may be exact (llama-quant.cpp). */
    bool eight = d->n_expert == 8 && mix->more != mix->base;
    double q = (double)d->n_head * d->head_dim, kv = (double)d->n_head_kv * d->head_dim;
    add_matrix(s, mix->base, q, d->n_embd, 1);
    add_matrix(s, eight ? QUANT_Q8_0 : mix->base, kv, d->n_embd, 1);
    add_matrix(s, eight ? QUANT_Q8_0 : more, kv, d->n_embd, 1);
    add_matrix(s, eight ? QUANT_Q5_K : mix->base, d->n_embd, (uint32_t)q, 1);
    double experts = d->n_expert ? d->n_expert : 1;
    double used = d->n_expert ? d->n_expert_used / experts : 1;
    uint32_t ff = d->n_expert ? d->expert_ff : d->n_ff;
    add_matrix(s, mix->base, (d->gated ? 2.0 : 1.0) * ff * experts, d->n_embd, used);
    add_matrix(s, more, (double)d->n_embd * experts, ff, used);
    if (d->n_expert) add_layer(s, QUANT_F32, (double)d->n_expert * d->n_embd, 1); /* the router */
}

enum status estimate_shape_of_mix(const struct estimate_dims *d, const char *mix_name,
                                  struct estimate_shape *s, struct error *err)
{
    const struct mix *mix = NULL;
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++)
        if (strcasecmp(mixes[i].name, mix_name) == 0) mix = &mixes[i];
    *s = (struct estimate_shape){d->n_layer,   d->n_embd,   d->n_ff,    d->n_head,
                                 d->n_head_kv, d->head_dim, d->n_vocab, .n_parts = 0};
    if (!mix)
        return error_set(err, ERR_UNSUPPORTED,
                         "which tensors are of which type in %.32s is not known", mix_name);
    if (d->n_expert) s->n_ff = d->n_expert_used * d->expert_ff;
    for (uint32_t i = 0; i < d->n_layer; i++) add_mixed_layer(s, d, mix, i);
    double table = (double)d->n_vocab * d->n_embd;
    uint32_t output = fitting(mix->output, d->n_embd);
    add_head(s, output, table, !d->tied);
    s->n_params += table;
    s->file_bytes += type_bytes(d->tied ? output : fitting(mix->base, d->n_embd), table);
    return OK;
}
