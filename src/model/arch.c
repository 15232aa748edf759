/* The list of architectures, and the helpers that they are described with. */
#include "model/arch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One entry per architecture: arch_NAME.c defines `const struct arch arch_NAME`. */
#define ARCHITECTURES(X)                                                                           \
    X(deepseek2)                                                                                   \
    X(bert)                                                                                        \
    X(gemma)                                                                                       \
    X(gemma2)                                                                                      \
    X(gemma3)                                                                                      \
    X(gpt_oss)                                                                                     \
    X(granite)                                                                                     \
    X(jina_bert_v2)                                                                                \
    X(llama)                                                                                       \
    X(llama4)                                                                                      \
    X(nomic_bert)                                                                                  \
    X(phi3)                                                                                        \
    X(qwen2)                                                                                       \
    X(qwen2moe)                                                                                    \
    X(qwen3)                                                                                       \
    X(qwen3moe)                                                                                    \
    X(starcoder)                                                                                   \
    X(starcoder2)

#define DECLARE(name) extern const struct arch arch_##name;
#define LIST(name)    &arch_##name,
ARCHITECTURES(DECLARE)
static const struct arch *const architectures[] = {ARCHITECTURES(LIST)};
#define N_ARCHITECTURES (sizeof architectures / sizeof architectures[0])

const struct arch *arch_find(struct gguf_str name)
{
    for (size_t i = 0; i < N_ARCHITECTURES; i++)
        if (gguf_str_eq(name, architectures[i]->name)) return architectures[i];
    return NULL;
}

const char *arch_names(char *dst, size_t cap)
{
    size_t at = 0;
    if (cap) dst[0] = 0;
    for (size_t i = 0; i < N_ARCHITECTURES && at < cap; i++) {
        int n = snprintf(dst + at, cap - at, "%s%s", i ? ", " : "", architectures[i]->name);
        at += n > 0 ? (size_t)n : 0;
    }
    return dst;
}

/* ---- the builder ----------------------------------------------------------------------------- */

enum status arch_builder_init(struct arch_builder *b, struct model *m, const struct gguf *g,
                              const char *name, struct error *err)
{
    *b = (struct arch_builder){.m = m, .g = g, .name = name, .err = err, .norm_kind = NORM_RMS};
    b->used = calloc(gguf_n_tensors(g) + 1, sizeof *b->used);
    if (!b->used) return b->st = error_set(err, ERR_NOMEM, "out of memory for the model");
    return OK;
}

void arch_builder_fini(struct arch_builder *b)
{
    free(b->used);
    b->used = NULL;
}

enum status arch_status(const struct arch_builder *b)
{
    return b->st;
}

void arch_fail(struct arch_builder *b, enum status code, const char *fmt, ...)
{
    if (b->st) return;
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    b->st = error_set(b->err, code, "%s: %s", gguf_path(b->g), msg);
}

static void fail_memory(struct arch_builder *b)
{
    arch_fail(b, ERR_NOMEM, "out of memory");
}

/* Bytes of packed weights that one token reads in a stage. */
static uint64_t matrix_bytes(const struct stage *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < STAGE_MATRICES; i++) {
        const struct kern_matrix *m = &s->w[i].mat;
        if (!s->w[i].src) continue;
        sum += m->n_rows * s->w[i].n_read * kern_panel_bytes(m->type, m->n_cols) / KERN_PANEL;
    }
    return sum;
}

/* Which stage describes each layer's queries and keys. */
static void index_layers(struct arch_builder *b)
{
    struct model *m = b->m;
    m->attn_in = model_alloc(m, m->info.n_layer * sizeof *m->attn_in);
    if (!m->attn_in) {
        fail_memory(b);
        return;
    }
    for (size_t i = 0; i < m->n_stages; i++)
        if (m->stages[i].kind == STAGE_ATTN_IN || m->stages[i].kind == STAGE_MLA_KV)
            m->attn_in[m->stages[i].layer] = &m->stages[i];
    for (uint32_t l = 0; l < m->info.n_layer; l++)
        if (!m->attn_in[l])
            arch_fail(b, ERR_UNSUPPORTED, "architecture %s does not describe layer %u", b->name, l);
}

enum status arch_builder_finish(struct arch_builder *b)
{
    struct model *m = b->m;
    struct model_info *info = &m->info;
    if (b->st) return b->st;
    if (m->n_stages < 2 || m->stages[0].kind != STAGE_EMBED ||
        m->stages[m->n_stages - 1].kind != STAGE_HEAD)
        arch_fail(b, ERR_UNSUPPORTED, "architecture %s does not describe a whole model", b->name);
    arch_pooling(b);
    for (size_t i = 0; i < m->n_stages; i++) info->bytes_per_token += matrix_bytes(&m->stages[i]);
    for (size_t i = 0; i < gguf_n_tensors(b->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(b->g, i);
        info->weight_bytes += t->size;
        info->n_params += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
        if (!b->used[i]) info->n_tensors_ignored++;
    }
    if (!b->st) index_layers(b);
    return b->st;
}

/* ---- stages ---------------------------------------------------------------------------------- */

struct stage *arch_stage(struct arch_builder *b, enum stage_kind kind, uint32_t layer)
{
    struct model *m = b->m;
    if (!b->st && m->n_stages == b->stages_cap) {
        size_t cap = b->stages_cap ? b->stages_cap * 2 : 128;
        struct stage *s = realloc(m->stages, cap * sizeof *s);
        if (s) {
            m->stages = s;
            b->stages_cap = cap;
        } else {
            fail_memory(b);
        }
    }
    struct stage *s = b->st ? &b->sink : &m->stages[m->n_stages++];
    *s = (struct stage){.kind = kind, .layer = layer, .scale = 1};
    return s;
}
