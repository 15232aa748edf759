/* Which type each tensor gets. */
#include <stdlib.h>
#include <string.h>

#include "convert/block_pack.h"
#include "convert/import_int.h"
#include "convert/quantize_plan.h"
#include "quant/quant.h"

/* Vectors and norms, and the few matrices that readers want in full: as llama.cpp's converter. */
static bool stays_f32(const struct import_tensor *t)
{
    static const char *const suffixes[] = {
        "_norm.weight",         "ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight",
        "position_embd.weight", "token_types.weight",
    };
    const char *name = t->name.data;
    size_t n = t->name.len;
    if (t->values || t->n_dims == 1 || n < 7 || strcmp(name + n - 7, ".weight") != 0) return true;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t k = strlen(suffixes[i]);
        if (n >= k && strcmp(name + n - k, suffixes[i]) == 0) return true;
    }
    return false;
}

/* The plain type that holds what a part's source says; FP8 with its scales is rounded to BF16. */
static uint32_t plain_type(const struct hf_view *v)
{
    if (v->src->kind == HF_FP8) return QUANT_BF16;
    if (v->src->kind != HF_PLAIN) return QUANT_F16;
    return v->src->data->type == ST_F16    ? QUANT_F16
           : v->src->data->type == ST_BF16 ? QUANT_BF16
                                           : QUANT_F32;
}

static bool all_of_kind(const struct import_tensor *t, enum hf_kind a, enum hf_kind b)
{
    for (size_t i = 0; i < t->n_parts; i++)
        if (t->parts[i].src->kind != a && t->parts[i].src->kind != b) return false;
    return t->n_parts > 0;
}

static bool contiguous_rows(const struct hf_view *v)
{
    return v->sc == 1 && v->add == 0;
}

/* As exact as the source, or as near as --exact and the block types allow. */
static void choose(struct import_tensor *t, bool exact)
{
    if (t->values) {
        t->way = IMPORT_VALUES;
        t->type = QUANT_F32;
        return;
    }
    t->way = IMPORT_ENCODE;
    t->type = plain_type(&t->parts[0]);
    for (size_t i = 1; i < t->n_parts; i++)
        if (plain_type(&t->parts[i]) != t->type) t->type = QUANT_F32;
    if (all_of_kind(t, HF_GPTQ, HF_AWQ)) {
        t->type = pack_type(t->parts, t->n_parts, exact);
        if (t->type != QUANT_F16) t->way = IMPORT_PACK;
    } else if (all_of_kind(t, HF_MXFP4, HF_MXFP4) && contiguous_rows(&t->parts[0]) &&
               t->cols % 32 == 0) {
        t->type = QUANT_MXFP4;
        t->way = IMPORT_MXFP4;
    }
    if (stays_f32(t)) {
        t->type = QUANT_F32;
        t->way = IMPORT_ENCODE;
    }
}

/* Whether rows are the source's bytes. */
static bool is_copy(const struct import_tensor *t)
{
    for (size_t i = 0; i < t->n_parts; i++) {
        const struct hf_view *v = &t->parts[i];
        if (v->src->kind != HF_PLAIN || v->src->data->type == ST_F64 || !contiguous_rows(v) ||
            plain_type(v) != t->type)
            return false;
    }
    return true;
}

/* Exact by construction: nothing to measure. */
static bool is_widened(const struct import_tensor *t)
{
    for (size_t i = 0; i < t->n_parts; i++)
        if (t->parts[i].src->kind != HF_PLAIN ||
            (plain_type(&t->parts[i]) != t->type && t->type != QUANT_F32))
            return false;
    return true;
}

/* The type that most of the weights have, as ggml's docs/gguf.md numbers files. */
static uint32_t file_type(const struct import_plan *p)
{
    static const struct {
        uint32_t type, file;
    } types[] = {
        {QUANT_F32, 0},  {QUANT_F16, 1},  {QUANT_Q4_0, 2},  {QUANT_Q4_1, 3},
        {QUANT_Q8_0, 7}, {QUANT_Q5_0, 8}, {QUANT_BF16, 32}, {QUANT_MXFP4, 38},
    };
    uint64_t most = 0;
    uint32_t best = 0;
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        uint64_t n = 0;
        for (size_t i = 0; i < p->n; i++)
            if (p->v[i].type == types[k].type && p->v[i].n_dims > 1)
                n += p->v[i].rows * p->v[i].cols;
        if (n > most) {
            most = n;
            best = types[k].file;
        }
    }
    return best;
}

/* What a person asked for: the mix's choice for each matrix, given the plain type that its numbers
 * have. MXFP4 as published stays: the models were trained in it. */
static enum status quantize(const struct hf_model *m, const struct quantize_mix *mix,
                            struct import_plan *p, struct error *err)
{
    struct quantize_choices c = {.mix = mix, .output = -1, .token_embd = -1};
    struct quantize_model qm = {m->n_layer, m->n_head, m->n_head_kv, m->n_expert};
    struct quantize_tensor *q = calloc(p->n + 1, sizeof *q);
    if (!q) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < p->n; i++) {
        const struct import_tensor *t = &p->v[i];
        bool packed = t->way == IMPORT_PACK;
        q[i] = (struct quantize_tensor){
            .name = t->name.data, .n_dims = t->n_dims, .from = packed ? QUANT_F16 : t->type};
        memcpy(q[i].ne, t->ne, sizeof q[i].ne);
    }
    enum status st = quantize_plan(&c, &qm, q, p->n, err);
    for (size_t i = 0; i < p->n && !st; i++) {
        struct import_tensor *t = &p->v[i];
        if (t->values || t->way == IMPORT_MXFP4 || stays_f32(t)) continue;
        t->type = q[i].to;
        t->way = IMPORT_ENCODE;
        if (!quant_find(t->type)->encode)
            st = error_set(err, ERR_UNSUPPORTED, "tensors cannot be written as %s",
                           quant_find(t->type)->name);
    }
    free(q);
    return st;
}

enum status import_plan_types(struct hf_model *m, const struct import_options *o,
                              struct import_plan *p, struct error *err)
{
    for (size_t i = 0; i < p->n; i++) choose(&p->v[i], o->exact);
    p->file_type = file_type(p);
    if (o->quantize) {
        const struct quantize_mix *mix = quantize_mix_find(o->quantize);
        if (!mix)
            return error_set(err, ERR_INVALID,
                             "no type or mix is called '%.40s'; 'hearth help quantize' lists "
                             "them",
                             o->quantize);
        enum status st = quantize(m, mix, p, err);
        if (st) return st;
        p->file_type = mix->file_type;
    }
    for (size_t i = 0; i < p->n; i++) {
        struct import_tensor *t = &p->v[i];
        const struct quant_traits *q = quant_find(t->type);
        if (t->way == IMPORT_ENCODE && is_copy(t)) t->way = IMPORT_COPY;
        t->measured = t->way == IMPORT_PACK || t->way == IMPORT_MXFP4 ||
                      (t->way == IMPORT_ENCODE && !is_widened(t));
        t->row_bytes = t->cols / q->block_elems * q->block_bytes;
    }
    return OK;
}
