/* The list of architectures, and the helpers that they are described with. */
#include "model/arch.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

/* One entry per architecture: arch_NAME.c defines `const struct arch arch_NAME`. */
#define ARCHITECTURES(X)                                                                           \
    X(llama)                                                                                       \
    X(qwen2)

#define DECLARE(name) extern const struct arch arch_##name;
#define LIST(name)    &arch_##name,
ARCHITECTURES(DECLARE)
static const struct arch *const architectures[] = {ARCHITECTURES(LIST)};
#define N_ARCHITECTURES (sizeof architectures / sizeof architectures[0])

#define MAX_LAYERS 1024u
#define MAX_HEADS  1024u
#define MAX_WIDTH  (1u << 20) /* of the residual stream and the feed-forward layer */
#define MAX_HEAD   512u       /* kern_attn's limit */
#define MAX_VOCAB  (1u << 24)
#define MAX_NAME   96

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
    *b = (struct arch_builder){.m = m, .g = g, .name = name, .err = err};
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

static uint64_t matrix_bytes(const struct stage *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < 3; i++)
        if (s->w[i].src)
            sum += s->w[i].mat.n_rows * kern_panel_bytes(s->w[i].mat.type, s->w[i].mat.n_cols) /
                   KERN_PANEL;
    return sum;
}

enum status arch_builder_finish(struct arch_builder *b)
{
    struct model *m = b->m;
    struct model_info *info = &m->info;
    if (b->st) return b->st;
    if (m->n_stages < 2 || m->stages[0].kind != STAGE_EMBED ||
        m->stages[m->n_stages - 1].kind != STAGE_HEAD || !m->rope.inv_freq)
        arch_fail(b, ERR_UNSUPPORTED, "architecture %s does not describe a whole model", b->name);
    for (size_t i = 0; i < m->n_stages; i++) info->bytes_per_token += matrix_bytes(&m->stages[i]);
    for (size_t i = 0; i < gguf_n_tensors(b->g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(b->g, i);
        info->weight_bytes += t->size;
        info->n_params += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
        if (!b->used[i]) info->n_tensors_ignored++;
    }
    return b->st;
}

/* ---- metadata -------------------------------------------------------------------------------- */

static const char *full_key(const struct arch_builder *b, const char *key, char dst[MAX_NAME])
{
    snprintf(dst, MAX_NAME, "%s.%s", b->name, key);
    return dst;
}

/* A number, or an array of equal numbers. OK, ERR_NOT_FOUND, or ERR_FORMAT with b->err filled. */
static enum status get_uniform(const struct arch_builder *b, const char *full, uint64_t *out)
{
    struct gguf_array a;
    enum status st = gguf_get_u64(b->g, full, out, NULL);
    if (st != ERR_FORMAT) return st;
    if (gguf_get_array(b->g, full, &a, NULL) || a.type == GGUF_STRING || a.type == GGUF_F32 ||
        a.type == GGUF_F64 || a.count == 0)
        return gguf_get_u64(b->g, full, out, b->err); /* for its message */
    int64_t first = gguf_array_i64(&a, 0);
    for (uint64_t i = 1; i < a.count; i++)
        if (gguf_array_i64(&a, i) != first)
            return error_set(b->err, ERR_UNSUPPORTED,
                             "%s: key %s differs between layers, which is not supported",
                             gguf_path(b->g), full);
    *out = first < 0 ? UINT64_MAX : (uint64_t)first;
    return OK;
}

static void get_u32(struct arch_builder *b, const char *key, uint32_t lo, uint32_t hi,
                    const uint32_t *fallback, uint32_t *out)
{
    char full[MAX_NAME];
    uint64_t v = 0;
    *out = 0;
    if (b->st) return;
    enum status st = get_uniform(b, full_key(b, key, full), &v);
    if (st == ERR_NOT_FOUND && fallback) {
        *out = *fallback;
    } else if (st == ERR_NOT_FOUND) {
        arch_fail(b, ERR_FORMAT, "key %s is missing", full);
    } else if (st) {
        b->st = st;
    } else if (v < lo || v > hi) {
        arch_fail(b, ERR_FORMAT, "key %s is %llu, expected %u to %u", full, (unsigned long long)v,
                  lo, hi);
    } else {
        *out = (uint32_t)v;
    }
}

void arch_u32(struct arch_builder *b, const char *key, uint32_t lo, uint32_t hi, uint32_t *out)
{
    get_u32(b, key, lo, hi, NULL, out);
}

void arch_u32_or(struct arch_builder *b, const char *key, uint32_t lo, uint32_t hi,
                 uint32_t fallback, uint32_t *out)
{
    get_u32(b, key, lo, hi, &fallback, out);
}

static void get_f64(struct arch_builder *b, const char *key, double lo, double hi,
                    const double *fallback, double *out)
{
    char full[MAX_NAME];
    double v = 0;
    *out = 0;
    if (b->st) return;
    enum status st = gguf_get_f64(b->g, full_key(b, key, full), &v, b->err);
    if (st == ERR_NOT_FOUND && fallback) {
        *out = *fallback;
    } else if (st == ERR_NOT_FOUND) {
        arch_fail(b, ERR_FORMAT, "key %s is missing", full);
    } else if (st) {
        b->st = st;
    } else if (!(v >= lo && v <= hi)) { /* also NaN */
        arch_fail(b, ERR_FORMAT, "key %s is %g, expected %g to %g", full, v, lo, hi);
    } else {
        *out = v;
    }
}

void arch_f64(struct arch_builder *b, const char *key, double lo, double hi, double *out)
{
    get_f64(b, key, lo, hi, NULL, out);
}

void arch_f64_or(struct arch_builder *b, const char *key, double lo, double hi, double fallback,
                 double *out)
{
    get_f64(b, key, lo, hi, &fallback, out);
}

static void head_params(struct arch_builder *b)
{
    struct model_info *info = &b->m->info;
    uint32_t value_length;
    arch_u32(b, "attention.head_count", 1, MAX_HEADS, &info->n_head);
    arch_u32_or(b, "attention.head_count_kv", 1, MAX_HEADS, info->n_head, &info->n_head_kv);
    if (b->st) return;
    if (info->n_head % info->n_head_kv)
        arch_fail(b, ERR_FORMAT, "%u attention heads cannot share %u key/value heads", info->n_head,
                  info->n_head_kv);

    arch_u32_or(b, "attention.key_length", 1, MAX_HEAD, info->n_embd / info->n_head,
                &info->head_dim);
    arch_u32_or(b, "attention.value_length", 1, MAX_HEAD, info->n_embd / info->n_head,
                &value_length);
    if (b->st) return;
    if (value_length != info->head_dim)
        arch_fail(b, ERR_UNSUPPORTED,
                  "keys of %u and values of %u numbers a head are not supported", info->head_dim,
                  value_length);
    if (info->head_dim == 0 || info->head_dim % 16 || info->head_dim > MAX_HEAD)
        arch_fail(b, ERR_UNSUPPORTED,
                  "attention heads of %u numbers are not supported, only multiples of 16 up to %u",
                  info->head_dim, MAX_HEAD);
    b->m->attn_scale = (float)(1 / sqrt((double)info->head_dim));
}

void arch_decoder_params(struct arch_builder *b)
{
    struct model_info *info = &b->m->info;
    uint32_t n_expert;
    double eps;
    arch_u32_or(b, "expert_count", 0, UINT32_MAX, 0, &n_expert);
    if (n_expert)
        arch_fail(b, ERR_UNSUPPORTED,
                  "a mixture of %u experts; such models are not supported yet, use a dense one",
                  n_expert);
    arch_u32(b, "block_count", 1, MAX_LAYERS, &info->n_layer);
    arch_u32(b, "context_length", 1, INT32_MAX, &info->n_ctx_train);
    arch_u32(b, "embedding_length", 1, MAX_WIDTH, &info->n_embd);
    arch_u32(b, "feed_forward_length", 1, MAX_WIDTH, &info->n_ff);
    head_params(b);
    arch_f64(b, "attention.layer_norm_rms_epsilon", 1e-30, 1, &eps);
    b->norm_eps = (float)eps;
    if (b->st) return;

    const struct gguf_tensor *t = gguf_tensor_find(b->g, "token_embd.weight");
    if (!t) {
        arch_fail(b, ERR_FORMAT, "tensor token_embd.weight is missing");
    } else if (t->ne[1] < 1 || t->ne[1] > MAX_VOCAB) {
        arch_fail(b, ERR_FORMAT, "tensor token_embd.weight has %llu rows, expected 1 to %u",
                  (unsigned long long)t->ne[1], MAX_VOCAB);
    } else {
        info->n_vocab = (uint32_t)t->ne[1];
    }
}

/* ---- tensors --------------------------------------------------------------------------------- */

static const struct gguf_tensor *take(struct arch_builder *b, const char *name)
{
    const struct gguf_tensor *t = gguf_tensor_find(b->g, name);
    if (t) b->used[t - gguf_tensor_at(b->g, 0)] = true;
    return t;
}

/* "896 x 64" */
static const char *shape_text(const uint64_t *ne, uint32_t n_dims, char dst[96])
{
    size_t at = 0;
    dst[0] = 0;
    for (uint32_t i = 0; i < n_dims && i < 4; i++)
        at += (size_t)snprintf(dst + at, 96 - at, "%s%llu", i ? " x " : "",
                               (unsigned long long)ne[i]);
    return dst;
}

/* Whether t is cols x rows (or just cols, where rows is 1) of a known type, its bytes all there. */
static bool check_tensor(struct arch_builder *b, const char *name, const struct gguf_tensor *t,
                         uint64_t cols, uint64_t rows, const struct quant_traits **type)
{
    uint64_t want[2] = {cols, rows}, blocks, bytes;
    char expected[96], found[96];
    if (!t) {
        arch_fail(b, ERR_FORMAT, "tensor %s is missing", name);
        return false;
    }
    if (t->ne[0] != cols || t->ne[1] != rows || t->ne[2] != 1 || t->ne[3] != 1) {
        arch_fail(b, ERR_FORMAT, "tensor %s is %s, expected %s", name,
                  shape_text(t->ne, t->n_dims, found),
                  shape_text(want, rows == 1 ? 1 : 2, expected));
        return false;
    }
    *type = quant_find(t->type);
    if (!*type) {
        arch_fail(b, ERR_UNSUPPORTED, "tensor %s has type %u, which is not supported", name,
                  t->type);
        return false;
    }
    if (cols % (*type)->block_elems ||
        !checked_mul(cols / (*type)->block_elems, (*type)->block_bytes, &blocks) ||
        !checked_mul(blocks, rows, &bytes) || bytes != t->size) {
        arch_fail(b, ERR_FORMAT, "tensor %s has %llu bytes, which %s of %s do not take", name,
                  (unsigned long long)t->size, shape_text(want, 2, expected), (*type)->name);
        return false;
    }
    return true;
}

/* "X.scale" beside "X.weight" is a factor of the whole matrix, which types with scales of eight bits
 * (NVFP4) need. Source: llama_model::load_tensors of llama.cpp. */
static void set_scale(struct arch_builder *b, struct weight *w, const char *name)
{
    static const char suffix[] = ".weight";
    char scale_name[MAX_NAME];
    const struct quant_traits *type;
    size_t n = strlen(name), stem = n - (sizeof suffix - 1);
    if (n < sizeof suffix || strcmp(name + stem, suffix) != 0) return;
    snprintf(scale_name, sizeof scale_name, "%.*s.scale", (int)stem, name);
    if (!gguf_tensor_find(b->g, scale_name)) return;
    const struct gguf_tensor *t = take(b, scale_name);
    if (!check_tensor(b, scale_name, t, 1, 1, &type)) return;
    type->decode(t->data, &w->mat.scale, 1);
    if (!isfinite(w->mat.scale) || w->mat.scale == 0)
        arch_fail(b, ERR_FORMAT, "tensor %s is no factor that a matrix can have", scale_name);
}

static void set_matrix(struct arch_builder *b, struct weight *w, uint64_t rows, uint64_t cols,
                       const char *name)
{
    const struct quant_traits *type;
    const struct gguf_tensor *t = take(b, name);
    if (!check_tensor(b, name, t, cols, rows, &type)) return;
    if (!kern_type_supported(type)) {
        arch_fail(b, ERR_UNSUPPORTED,
                  "tensor %s has type %s, which there are no kernels for; use another quantization",
                  name, type->name);
        return;
    }
    w->src = t;
    w->mat = (struct kern_matrix){.type = type, .n_rows = rows, .n_cols = cols};
    set_scale(b, w, name);
}

static void set_vector(struct arch_builder *b, const float **v, uint64_t n, const char *name)
{
    const struct quant_traits *type;
    const struct gguf_tensor *t = take(b, name);
    if (!check_tensor(b, name, t, n, 1, &type)) return;
    float *own = model_alloc(b->m, n * sizeof *own);
    if (!own) {
        fail_memory(b);
        return;
    }
    type->decode(t->data, own, n / type->block_elems);
    *v = own;
}

/* False where building has failed already. */
__attribute__((format(printf, 3, 0))) static bool
make_name(struct arch_builder *b, char dst[MAX_NAME], const char *fmt, va_list ap)
{
    if (b->st) return false;
    vsnprintf(dst, MAX_NAME, fmt, ap);
    return true;
}

void arch_matrix(struct arch_builder *b, struct weight *w, uint64_t rows, uint64_t cols,
                 const char *name_fmt, ...)
{
    char name[MAX_NAME];
    va_list ap;
    va_start(ap, name_fmt);
    if (make_name(b, name, name_fmt, ap)) set_matrix(b, w, rows, cols, name);
    va_end(ap);
}

void arch_vector(struct arch_builder *b, const float **v, uint64_t n, const char *name_fmt, ...)
{
    char name[MAX_NAME];
    va_list ap;
    va_start(ap, name_fmt);
    if (make_name(b, name, name_fmt, ap)) set_vector(b, v, n, name);
    va_end(ap);
}

void arch_vector_opt(struct arch_builder *b, const float **v, uint64_t n, const char *name_fmt, ...)
{
    char name[MAX_NAME];
    va_list ap;
    va_start(ap, name_fmt);
    if (make_name(b, name, name_fmt, ap) && gguf_tensor_find(b->g, name)) set_vector(b, v, n, name);
    va_end(ap);
}

void arch_refuse(struct arch_builder *b, const char *name_fmt, ...)
{
    char name[MAX_NAME];
    va_list ap;
    va_start(ap, name_fmt);
    if (make_name(b, name, name_fmt, ap) && gguf_tensor_find(b->g, name))
        arch_fail(b, ERR_UNSUPPORTED,
                  "tensor %s is not supported in a %s model; without it the answers would be wrong",
                  name, b->name);
    va_end(ap);
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
    *s = (struct stage){.kind = kind, .layer = layer, .eps = b->norm_eps};
    return s;
}

void arch_embed(struct arch_builder *b)
{
    const struct quant_traits *type;
    const char *name = "token_embd.weight";
    struct stage *s = arch_stage(b, STAGE_EMBED, 0);
    if (b->st) return;
    const struct gguf_tensor *t = take(b, name);
    if (check_tensor(b, name, t, b->m->info.n_embd, b->m->info.n_vocab, &type)) s->table = t;
}

static void attention_stages(struct arch_builder *b, uint32_t i)
{
    const struct model_info *info = &b->m->info;
    uint32_t embd = info->n_embd;
    uint32_t q = info->n_head * info->head_dim, kv = info->n_head_kv * info->head_dim;

    struct stage *s = arch_stage(b, STAGE_ATTN_IN, i);
    arch_vector(b, &s->norm, embd, "blk.%u.attn_norm.weight", i);
    arch_matrix(b, &s->w[0], q, embd, "blk.%u.attn_q.weight", i);
    arch_matrix(b, &s->w[1], kv, embd, "blk.%u.attn_k.weight", i);
    arch_matrix(b, &s->w[2], kv, embd, "blk.%u.attn_v.weight", i);
    arch_vector_opt(b, &s->bias[0], q, "blk.%u.attn_q.bias", i);
    arch_vector_opt(b, &s->bias[1], kv, "blk.%u.attn_k.bias", i);
    arch_vector_opt(b, &s->bias[2], kv, "blk.%u.attn_v.bias", i);

    arch_stage(b, STAGE_ATTN, i);

    s = arch_stage(b, STAGE_ATTN_OUT, i);
    arch_matrix(b, &s->w[0], embd, q, "blk.%u.attn_output.weight", i);
    arch_vector_opt(b, &s->bias[0], embd, "blk.%u.attn_output.bias", i);
}

static void gated_ffn_stages(struct arch_builder *b, uint32_t i, enum activation act)
{
    uint32_t embd = b->m->info.n_embd, ff = b->m->info.n_ff;

    struct stage *s = arch_stage(b, STAGE_FFN_IN, i);
    s->act = act;
    arch_vector(b, &s->norm, embd, "blk.%u.ffn_norm.weight", i);
    arch_matrix(b, &s->w[0], ff, embd, "blk.%u.ffn_gate.weight", i);
    arch_matrix(b, &s->w[1], ff, embd, "blk.%u.ffn_up.weight", i);
    arch_refuse(b, "blk.%u.ffn_gate.bias", i);
    arch_refuse(b, "blk.%u.ffn_up.bias", i);

    s = arch_stage(b, STAGE_FFN_OUT, i);
    arch_matrix(b, &s->w[0], embd, ff, "blk.%u.ffn_down.weight", i);
    arch_refuse(b, "blk.%u.ffn_down.bias", i);
}

void arch_gated_decoder_layers(struct arch_builder *b, enum activation act)
{
    for (uint32_t i = 0; i < b->m->info.n_layer && !arch_status(b); i++) {
        attention_stages(b, i);
        gated_ffn_stages(b, i, act);
    }
}

void arch_head(struct arch_builder *b)
{
    const struct model_info *info = &b->m->info;
    bool tied = !gguf_tensor_find(b->g, "output.weight");
    struct stage *s = arch_stage(b, STAGE_HEAD, 0);
    arch_vector(b, &s->norm, info->n_embd, "output_norm.weight");
    arch_matrix(b, &s->w[0], info->n_vocab, info->n_embd, "%s",
                tied ? "token_embd.weight" : "output.weight");
}
