/* Describing a synthetic model's file, and filling it on all threads. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "gguf/gguf_write.h"
#include "model/synthetic_int.h"

/* ---- a file's description ---------------------------------------------------------------------
 */

enum fill { FILL_RANDOM, FILL_ONE, FILL_ZERO };

enum { CHUNK_BYTES = 1 << 20, MAX_TENSORS_PER_LAYER = 24, MAX_OTHER_TENSORS = 4 };

struct item {
    enum fill fill;
    const struct synthetic_form *form;
    double deviation;
    uint64_t n_cols, n_rows; /* n_rows: of all parts */
    uint64_t n_parts;        /* matrices in one tensor; 0 = 1 */
    uint64_t row_bytes;
    uint64_t rows_per_chunk;
    uint64_t first_chunk; /* of all tensors' */
};

struct job {
    const struct synthetic *s;
    const struct synthetic_options *opt;
    struct gguf_writer *w;
    struct item *items;
    size_t n_items;
    uint64_t n_chunks, total;
    atomic_ullong next, done; /* chunks, bytes */
    atomic_bool stop;
    pthread_mutex_t lock; /* over the next two */
    enum status st;
    struct error *err;
};

static void add_item(struct job *j, const char *name, struct item item)
{
    const struct quant_traits *q = quant_find(item.form->type);
    uint64_t parts = item.n_parts ? item.n_parts : 1;
    uint64_t ne[3] = {item.n_cols, item.n_rows / parts, item.n_parts};
    gguf_writer_tensor(j->w, name, q->id, item.n_parts ? 3 : item.n_rows > 1 ? 2 : 1, ne);
    item.row_bytes = item.n_cols / q->block_elems * q->block_bytes;
    item.rows_per_chunk = item.row_bytes < CHUNK_BYTES ? CHUNK_BYTES / item.row_bytes : 1;
    item.first_chunk = j->n_chunks;
    j->n_chunks += (item.n_rows + item.rows_per_chunk - 1) / item.rows_per_chunk;
    j->items[j->n_items++] = item;
}

static void add_plain(struct job *j, const char *name, enum fill fill, uint32_t n, uint32_t rows)
{
    add_item(
        j, name,
        (struct item){
            .fill = fill, .form = synthetic_form_find(QUANT_F32), .n_cols = n, .n_rows = rows});
}

/* "blk.7.ffn_norm.weight"; returns dst. */
static const char *layer_name(char dst[64], uint32_t layer, const char *part, const char *kind)
{
    snprintf(dst, 64, "blk.%u.%s.%s", layer, part, kind);
    return dst;
}

/* n_parts matrices of n_cols by n_rows in one tensor, or a single one where n_parts is 0; `bias`:
 * with which of the model's parts they have biases. */
static void add_matrices(struct job *j, uint32_t layer, const char *part, uint32_t n_cols,
                         uint32_t n_rows, uint32_t n_parts, unsigned bias)
{
    char name[64];
    uint32_t n = n_parts ? n_parts : 1;
    add_item(j, layer_name(name, layer, part, "weight"),
             (struct item){.fill = FILL_RANDOM,
                           .form = synthetic_form_for(j->s->form, n_cols),
                           .deviation = 1 / sqrt(n_cols),
                           .n_cols = n_cols,
                           .n_rows = (uint64_t)n_rows * n,
                           .n_parts = n_parts});
    if (j->s->shape->parts & bias)
        add_plain(j, layer_name(name, layer, part, "bias"), FILL_ZERO, n_rows, n);
}

static void add_matrix(struct job *j, uint32_t layer, const char *part, uint32_t n_cols,
                       uint32_t n_rows, unsigned bias)
{
    add_matrices(j, layer, part, n_cols, n_rows, 0, bias);
}

/* A norm's weight, and its bias where it is a layer norm. */
static void add_norm(struct job *j, const char *prefix, uint32_t n)
{
    char name[80];
    snprintf(name, sizeof name, "%s.weight", prefix);
    add_plain(j, name, FILL_ONE, n, 1);
    snprintf(name, sizeof name, "%s.bias", prefix);
    if (j->s->shape->parts & SYNTHETIC_LAYER_NORM) add_plain(j, name, FILL_ZERO, n, 1);
}

static void add_layer_norm(struct job *j, uint32_t layer, const char *part, uint32_t n)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "blk.%u.%s", layer, part);
    add_norm(j, prefix, n);
}

static uint32_t head_dim(const struct synthetic_shape *m)
{
    return m->head_dim ? m->head_dim : m->n_embd / m->n_head;
}

static void add_attention(struct job *j, uint32_t layer)
{
    const struct synthetic_shape *m = j->s->shape;
    uint32_t hd = head_dim(m), n_q = hd * m->n_head, n_kv = hd * m->n_head_kv;
    char name[64];
    add_matrix(j, layer, "attn_q", m->n_embd, n_q, SYNTHETIC_QKV_BIAS);
    add_matrix(j, layer, "attn_k", m->n_embd, n_kv, SYNTHETIC_QKV_BIAS);
    add_matrix(j, layer, "attn_v", m->n_embd, n_kv, SYNTHETIC_QKV_BIAS);
    if (m->parts & SYNTHETIC_HEAD_NORMS) {
        add_layer_norm(j, layer, "attn_q_norm", hd);
        add_layer_norm(j, layer, "attn_k_norm", hd);
    }
    if (m->parts & SYNTHETIC_SINKS)
        add_plain(j, layer_name(name, layer, "attn_sinks", "weight"), FILL_ZERO, m->n_head, 1);
    add_matrix(j, layer, "attn_output", n_q, m->n_embd, SYNTHETIC_ALL_BIAS);
}

static void add_latent_attention(struct job *j, uint32_t layer)
{
    const struct synthetic_shape *m = j->s->shape;
    const struct synthetic_latent *a = &m->latent;
    add_matrix(j, layer, "attn_q", m->n_embd, m->n_head * (a->n_plain + a->n_rope), 0);
    add_matrix(j, layer, "attn_kv_a_mqa", m->n_embd, a->kv_rank + a->n_rope, 0);
    add_layer_norm(j, layer, "attn_kv_a_norm", a->kv_rank);
    add_matrices(j, layer, "attn_k_b", a->n_plain, a->kv_rank, m->n_head, 0);
    add_matrices(j, layer, "attn_v_b", a->kv_rank, a->n_value, m->n_head, 0);
    add_matrix(j, layer, "attn_output", m->n_head * a->n_value, m->n_embd, 0);
}

/* A feed-forward layer, its names ending with `suffix`. */
static void add_ffn(struct job *j, uint32_t layer, const char *suffix, uint32_t n_ff,
                    uint32_t n_parts)
{
    const struct synthetic_shape *m = j->s->shape;
    const char *part[] = {"ffn_gate", "ffn_up", "ffn_down"};
    char name[32];
    for (int i = m->parts & SYNTHETIC_GATED ? 0 : 1; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", part[i], suffix);
        add_matrices(j, layer, name, i < 2 ? m->n_embd : n_ff, i < 2 ? n_ff : m->n_embd, n_parts,
                     SYNTHETIC_ALL_BIAS);
    }
}

static void add_experts(struct job *j, uint32_t layer)
{
    const struct synthetic_shape *m = j->s->shape;
    const struct synthetic_experts *e = &m->experts;
    char name[64];
    add_item(j, layer_name(name, layer, "ffn_gate_inp", "weight"),
             (struct item){.fill = FILL_RANDOM,
                           .form = synthetic_form_find(QUANT_F32),
                           .deviation = 1 / sqrt(m->n_embd),
                           .n_cols = m->n_embd,
                           .n_rows = e->n});
    if (m->parts & SYNTHETIC_ALL_BIAS)
        add_plain(j, layer_name(name, layer, "ffn_gate_inp", "bias"), FILL_ZERO, e->n, 1);
    add_ffn(j, layer, "_exps", e->n_ff, e->n);
    if (e->n_shared) add_ffn(j, layer, "_shexp", e->n_shared * e->n_ff, 0);
}

static void add_layer(struct job *j, uint32_t layer)
{
    const struct synthetic_shape *m = j->s->shape;
    add_layer_norm(j, layer, "attn_norm", m->n_embd);
    if (m->latent.kv_rank)
        add_latent_attention(j, layer);
    else
        add_attention(j, layer);
    add_layer_norm(j, layer, m->ffn_norm ? m->ffn_norm : "ffn_norm", m->n_embd);
    if (layer < m->experts.n_dense || !m->experts.n)
        add_ffn(j, layer, "", m->n_ff, 0);
    else
        add_experts(j, layer);
}

static void add_table(struct job *j, const char *name, const struct synthetic_form *form)
{
    const struct synthetic_shape *m = j->s->shape;
    add_item(j, name,
             (struct item){.fill = FILL_RANDOM,
                           .form = synthetic_form_for(form, m->n_embd),
                           .deviation = 0.02,
                           .n_cols = m->n_embd,
                           .n_rows = m->n_vocab});
}

static void add_tensors(struct job *j)
{
    const struct synthetic_shape *m = j->s->shape;
    const struct synthetic_form *output = synthetic_form_find(j->s->form->output);
    bool tied = m->parts & SYNTHETIC_TIED;
    add_table(j, "token_embd.weight", tied ? output : j->s->form);
    for (uint32_t i = 0; i < m->n_layer; i++) add_layer(j, i);
    add_norm(j, "output_norm", m->n_embd);
    if (!tied) add_table(j, "output.weight", output);
}

static const char *arch_key(const struct job *j, const char *key, char dst[64])
{
    snprintf(dst, 64, "%s.%s", j->s->shape->arch, key);
    return dst;
}

static void add_u32(struct job *j, const char *key, uint32_t value)
{
    char full[64];
    gguf_writer_u64(j->w, arch_key(j, key, full), GGUF_U32, value);
}

static void add_f32(struct job *j, const char *key, double value)
{
    char full[64];
    gguf_writer_f64(j->w, arch_key(j, key, full), GGUF_F32, value);
}

static void add_expert_keys(struct job *j)
{
    const struct synthetic_experts *e = &j->s->shape->experts;
    char full[64];
    if (!e->n) return;
    add_u32(j, "expert_count", e->n);
    add_u32(j, "expert_used_count", e->n_used);
    add_u32(j, "expert_feed_forward_length", e->n_ff);
    if (!j->s->shape->latent.kv_rank) return;
    /* DeepSeek's */
    add_u32(j, "leading_dense_block_count", e->n_dense);
    add_u32(j, "expert_shared_count", e->n_shared);
    add_u32(j, "expert_gating_func", 1); /* softmax */
    add_f32(j, "expert_weights_scale", 1);
    gguf_writer_bool(j->w, arch_key(j, "expert_weights_norm", full), false);
}

static void add_attention_keys(struct job *j)
{
    const struct synthetic_shape *m = j->s->shape;
    const struct synthetic_latent *a = &m->latent;
    add_u32(j, "attention.head_count", m->n_head);
    add_u32(j, "attention.head_count_kv", m->n_head_kv);
    if (a->kv_rank) {
        add_u32(j, "attention.kv_lora_rank", a->kv_rank);
        add_u32(j, "attention.key_length", a->kv_rank + a->n_rope);
        add_u32(j, "attention.value_length", a->kv_rank);
        add_u32(j, "attention.key_length_mla", a->n_plain + a->n_rope);
        add_u32(j, "attention.value_length_mla", a->n_value);
    } else if (m->head_dim) {
        add_u32(j, "attention.key_length", m->head_dim);
        add_u32(j, "attention.value_length", m->head_dim);
    }
    if (m->window) add_u32(j, "attention.sliding_window", m->window);
    add_f32(j,
            m->parts & SYNTHETIC_LAYER_NORM ? "attention.layer_norm_epsilon"
                                            : "attention.layer_norm_rms_epsilon",
            m->eps);
}

static void add_rope_keys(struct job *j)
{
    const struct synthetic_shape *m = j->s->shape;
    char full[64];
    add_u32(j, "rope.dimension_count", m->latent.kv_rank ? m->latent.n_rope : head_dim(m));
    add_f32(j, "rope.freq_base", m->rope_base);
    if (m->rope_scale == 1) return;
    gguf_writer_str(j->w, arch_key(j, "rope.scaling.type", full),
                    m->yarn_context ? "yarn" : "linear");
    add_f32(j, "rope.scaling.factor", m->rope_scale);
    if (m->yarn_context) add_u32(j, "rope.scaling.original_context_length", m->yarn_context);
    if (m->yarn_multiplier > 0) add_f32(j, "rope.scaling.yarn_log_multiplier", m->yarn_multiplier);
}

static void add_keys(struct job *j)
{
    const struct synthetic_shape *m = j->s->shape;
    char name[SYNTHETIC_LABEL_SIZE];
    gguf_writer_str(j->w, "general.architecture", m->arch);
    gguf_writer_str(j->w, "general.name", synthetic_label(j->s, name));
    gguf_writer_u64(j->w, "general.file_type", GGUF_U32, j->s->form->file_type);
    gguf_writer_u64(j->w, "general.quantization_version", GGUF_U32, 2);
    add_u32(j, "block_count", m->n_layer);
    add_u32(j, "context_length", m->n_ctx);
    add_u32(j, "embedding_length", m->n_embd);
    add_u32(j, "feed_forward_length", m->n_ff);
    add_attention_keys(j);
    add_u32(j, "vocab_size", m->n_vocab);
    add_rope_keys(j);
    add_expert_keys(j);
}

/* A SentencePiece vocabulary: three control tokens, the 256 bytes, and words without a meaning. */
static enum status add_tokenizer(struct job *j, struct error *err)
{
    enum { TEXT = 12, N_CONTROL = 3, N_BYTES = 256 };
    static const char control[N_CONTROL][TEXT] = {"<unk>", "<s>", "</s>"};
    size_t n = j->s->shape->n_vocab;
    struct gguf_str *tokens = calloc(n, sizeof *tokens);
    float *scores = calloc(n, sizeof *scores);
    int32_t *types = calloc(n, sizeof *types);
    char(*text)[TEXT] = calloc(n, sizeof *text);
    enum status st = OK;
    if (!tokens || !scores || !types || !text) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        bool byte = i >= N_CONTROL && i < N_CONTROL + N_BYTES;
        int len = i < N_CONTROL ? snprintf(text[i], TEXT, "%s", control[i])
                  : byte ? snprintf(text[i], TEXT, "<0x%02X>", (unsigned)(i - N_CONTROL) & 255)
                         : snprintf(text[i], TEXT, "w%u", (unsigned)i);
        tokens[i] = (struct gguf_str){text[i], (size_t)len};
        scores[i] = -(float)i;
        types[i] = i == 0          ? 2
                   : i < N_CONTROL ? 3
                   : byte          ? 6
                                   : 1; /* unknown, control, byte, normal */
    }
    gguf_writer_str(j->w, "tokenizer.ggml.model", "llama");
    gguf_writer_strings(j->w, "tokenizer.ggml.tokens", tokens, n);
    gguf_writer_array(j->w, "tokenizer.ggml.scores", GGUF_F32, n, scores);
    gguf_writer_array(j->w, "tokenizer.ggml.token_type", GGUF_I32, n, types);
    gguf_writer_u64(j->w, "tokenizer.ggml.unknown_token_id", GGUF_U32, 0);
    gguf_writer_u64(j->w, "tokenizer.ggml.bos_token_id", GGUF_U32, 1);
    gguf_writer_u64(j->w, "tokenizer.ggml.eos_token_id", GGUF_U32, 2);
out:
    free(tokens);
    free(scores);
    free(types);
    free(text);
    return st;
}

static void job_fini(struct job *j)
{
    gguf_writer_abandon(j->w);
    free(j->items);
    pthread_mutex_destroy(&j->lock);
}

static enum status job_init(struct job *j, const struct synthetic *s, const char *path,
                            struct error *err)
{
    *j = (struct job){.s = s, .err = err};
    pthread_mutex_init(&j->lock, NULL);
    j->items = calloc((size_t)s->shape->n_layer * MAX_TENSORS_PER_LAYER + MAX_OTHER_TENSORS,
                      sizeof *j->items);
    enum status st = j->items ? OK : error_set(err, ERR_NOMEM, "out of memory");
    if (!st) st = gguf_writer_begin(path, 0, &j->w, err);
    if (!st) {
        add_keys(j);
        st = add_tokenizer(j, err);
    }
    if (!st) {
        add_tensors(j);
        j->total = gguf_writer_data_bytes(j->w);
    }
    if (st) job_fini(j);
    return st;
}

enum status synthetic_file_bytes(const struct synthetic *s, uint64_t *out, struct error *err)
{
    struct job j;
    *out = 0;
    enum status st = job_init(&j, s, "a synthetic model", err);
    if (st) return st;
    *out = gguf_writer_file_bytes(j.w);
    job_fini(&j);
    return *out ? OK : error_set(err, ERR_LIMIT, "the synthetic model cannot be described");
}

/* ---- its weights ------------------------------------------------------------------------------
 */

static void job_fail(struct job *j, enum status st, const struct error *why)
{
    pthread_mutex_lock(&j->lock);
    if (!j->st) j->st = error_set(j->err, st, "%s", why->msg);
    pthread_mutex_unlock(&j->lock);
    atomic_store(&j->stop, true);
}

static void fill_rows(const struct item *it, uint64_t seed, uint8_t *dst, uint64_t n_rows)
{
    uint64_t bytes = n_rows * it->row_bytes;
    if (it->fill == FILL_RANDOM) {
        const struct quant_traits *q = quant_find(it->form->type);
        synthetic_form_fill(it->form, it->deviation, seed, dst, (size_t)(bytes / q->block_bytes));
        return;
    }
    const float one = it->fill == FILL_ONE ? 1 : 0;
    for (uint64_t i = 0; i < bytes; i += sizeof one) memcpy(dst + i, &one, sizeof one);
}

/* Takes chunks until there are none; thread 0, the caller's, tells progress. */
static void work(void *ctx, int thread)
{
    struct job *j = ctx;
    struct error err = {0};
    size_t i = 0;
    uint64_t room = CHUNK_BYTES;
    for (size_t k = 0; k < j->n_items; k++)
        if (j->items[k].row_bytes > room) room = j->items[k].row_bytes;
    uint8_t *buf = malloc((size_t)room + 8);
    if (!buf) {
        job_fail(j, error_set(&err, ERR_NOMEM, "out of memory"), &err);
        return;
    }
    uint64_t c;
    while (!atomic_load(&j->stop) && (c = atomic_fetch_add(&j->next, 1)) < j->n_chunks) {
        while (i + 1 < j->n_items && j->items[i + 1].first_chunk <= c) i++;
        const struct item *it = &j->items[i];
        uint64_t row = (c - it->first_chunk) * it->rows_per_chunk;
        uint64_t n = it->n_rows - row < it->rows_per_chunk ? it->n_rows - row : it->rows_per_chunk;
        fill_rows(it, c, buf, n);
        enum status st =
            gguf_writer_put(j->w, i, row * it->row_bytes, buf, (size_t)(n * it->row_bytes), &err);
        if (st) job_fail(j, st, &err);
        uint64_t done = atomic_fetch_add(&j->done, n * it->row_bytes) + n * it->row_bytes;
        if (thread == 0 && j->opt->progress && !j->opt->progress(j->opt->ctx, done, j->total))
            job_fail(j, error_set(&err, ERR_CANCELLED, "interrupted"), &err);
    }
    free(buf);
}

enum status synthetic_write(const struct synthetic *s, const char *path,
                            const struct synthetic_options *opt, struct error *err)
{
    struct job j;
    struct pool *pool = NULL;
    enum status st = job_init(&j, s, path, err);
    if (st) return st;
    j.opt = opt;
    st = gguf_writer_start(j.w, err);
    if (!st) st = pool_create(opt->n_threads, &pool, err);
    if (!st) {
        pool_run(pool, work, &j);
        st = j.st;
    }
    pool_destroy(pool);
    /* The other threads may have left the caller's no chunk to ask after. */
    if (!st && opt->progress && !opt->progress(opt->ctx, j.total, j.total))
        st = error_set(err, ERR_CANCELLED, "interrupted");
    if (!st) {
        st = gguf_writer_commit(j.w, err);
        j.w = NULL;
    }
    job_fini(&j);
    return st;
}
