/* Metadata that describes a model. */
#include <stdio.h>

#include "model/arch.h"

#define MAX_LAYERS 1024u
#define MAX_HEADS  1024u
#define MAX_WIDTH  (1u << 20) /* of the residual stream and the feed-forward layer */
#define MAX_VOCAB  (1u << 24)
#define MAX_KEY    96

static const char *full_key(const struct arch_builder *b, const char *key, char dst[MAX_KEY])
{
    snprintf(dst, MAX_KEY, "%s.%s", b->name, key);
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
    char full[MAX_KEY];
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
    char full[MAX_KEY];
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

void arch_bool_or(struct arch_builder *b, const char *key, bool fallback, bool *out)
{
    char full[MAX_KEY];
    *out = fallback;
    if (b->st) return;
    enum status st = gguf_get_bool(b->g, full_key(b, key, full), out, b->err);
    if (st == ERR_NOT_FOUND)
        *out = fallback;
    else
        b->st = st;
}

void arch_check_heads(struct arch_builder *b)
{
    const struct model_info *info = &b->m->info;
    const uint32_t dim[] = {info->head_dim, info->v_dim};
    for (int i = 0; i < 2 && !b->st; i++)
        if (dim[i] == 0 || dim[i] % 16 || dim[i] > ARCH_MAX_HEAD)
            arch_fail(
                b, ERR_UNSUPPORTED,
                "attention heads of %u numbers are not supported, only multiples of 16 up to %u",
                dim[i], ARCH_MAX_HEAD);
}

static void head_params(struct arch_builder *b)
{
    struct model_info *info = &b->m->info;
    arch_u32(b, "attention.head_count", 1, MAX_HEADS, &info->n_head);
    arch_u32_or(b, "attention.head_count_kv", 1, MAX_HEADS, info->n_head, &info->n_head_kv);
    if (b->st) return;
    if (info->n_head % info->n_head_kv)
        arch_fail(b, ERR_FORMAT, "%u attention heads cannot share %u key/value heads", info->n_head,
                  info->n_head_kv);

    arch_u32_or(b, "attention.key_length", 1, ARCH_MAX_HEAD, info->n_embd / info->n_head,
                &info->head_dim);
    arch_u32_or(b, "attention.value_length", 1, ARCH_MAX_HEAD, info->n_embd / info->n_head,
                &info->v_dim);
    arch_check_heads(b);
}

static void read_norm(struct arch_builder *b)
{
    double eps;
    arch_f64(b,
             b->norm_kind == NORM_LAYER ? "attention.layer_norm_epsilon"
                                        : "attention.layer_norm_rms_epsilon",
             1e-30, 1, &eps);
    b->norm_eps = (float)eps;
}

static void count_vocabulary(struct arch_builder *b)
{
    if (b->st) return;
    const struct gguf_tensor *t = gguf_tensor_find(b->g, "token_embd.weight");
    if (!t) {
        arch_fail(b, ERR_FORMAT, "tensor token_embd.weight is missing");
    } else if (t->ne[1] < 1 || t->ne[1] > MAX_VOCAB) {
        arch_fail(b, ERR_FORMAT, "tensor token_embd.weight has %llu rows, expected 1 to %u",
                  (unsigned long long)t->ne[1], MAX_VOCAB);
    } else {
        b->m->info.n_vocab = (uint32_t)t->ne[1];
    }
}

const bool *arch_window_layers(struct arch_builder *b, uint32_t period)
{
    char full[MAX_KEY];
    struct gguf_array a;
    uint64_t n;
    uint32_t n_layer = b->m->info.n_layer;
    full_key(b, "attention.sliding_window_pattern", full);
    bool *near = b->st ? NULL : model_alloc(b->m, n_layer * sizeof *near);
    if (!near) {
        arch_fail(b, ERR_NOMEM, "out of memory");
        return NULL;
    }
    bool listed = gguf_get_array(b->g, full, &a, NULL) == OK;
    if (listed && (a.type == GGUF_STRING || a.count < n_layer))
        arch_fail(b, ERR_FORMAT, "key %s does not tell of all %u layers", full, n_layer);
    if (!listed && gguf_get_u64(b->g, full, &n, NULL) == OK && n >= 1 && n <= MAX_LAYERS)
        period = (uint32_t)n;
    for (uint32_t i = 0; i < n_layer && !b->st; i++)
        near[i] = listed ? gguf_array_i64(&a, i) != 0 : (i + 1) % period != 0;
    return near;
}

void arch_refuse_experts(struct arch_builder *b)
{
    uint32_t n;
    arch_u32_or(b, "expert_count", 0, UINT32_MAX, 0, &n);
    if (n)
        arch_fail(b, ERR_UNSUPPORTED, "a mixture of %u experts, which %s models here do not have",
                  n, b->name);
}

void arch_decoder_params(struct arch_builder *b)
{
    struct model_info *info = &b->m->info;
    arch_u32(b, "block_count", 1, MAX_LAYERS, &info->n_layer);
    arch_u32(b, "context_length", 1, INT32_MAX, &info->n_ctx_train);
    arch_u32(b, "embedding_length", 1, MAX_WIDTH, &info->n_embd);
    arch_u32(b, "feed_forward_length", 1, MAX_WIDTH, &info->n_ff);
    head_params(b);
    read_norm(b);
    count_vocabulary(b);
}
