#include "infer/importance.h"

#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "gguf/gguf.h"
#include "infer/infer_int.h"
#include "text/tokenizer.h"

/* What the context in progress adds to a tensor's entry. */
struct pending {
    struct imatrix_entry *to; /* NULL: not seen yet */
    double *sums, *counts;
};

struct collector {
    const struct importance_job *job;
    struct imatrix *m;
    size_t n_ctx, n_chunks;
    struct session *session;
    const struct gguf_tensor *tensors; /* of the model's file */
    struct pending *pending;           /* [n_tensors] */
    size_t n_tensors;
    int32_t *ids; /* [n_ctx] */
    int32_t bos;
    struct error failed; /* of the observer */
};

/* ---- what a pass shows ------------------------------------------------------------------------ */

static bool is_of_block(struct gguf_str name)
{
    return name.len > 4 && memcmp(name.data, "blk.", 4) == 0;
}

static enum status pending_init(struct collector *c, struct pending *p,
                                const struct forward_input *in, struct error *err)
{
    const struct gguf_tensor *t = in->tensor;
    size_t parts = (size_t)(t->ne[2] * t->ne[3]);
    enum status st =
        imatrix_entry(c->m, t->name.data, t->name.len, in->n_cols, parts, &p->to, err);
    if (st != OK) return st;
    p->sums = calloc(parts * in->n_cols, sizeof *p->sums);
    p->counts = calloc(parts, sizeof *p->counts);
    if (p->sums && p->counts) return OK;
    return error_set(err, ERR_NOMEM, "no memory for the importance of %s", p->to->name);
}

static void observe(void *ctx, const struct forward_input *in)
{
    struct collector *c = ctx;
    if (c->failed.code || !is_of_block(in->tensor->name)) return;
    struct pending *p = &c->pending[in->tensor - c->tensors];
    if (!p->to && pending_init(c, p, in, &c->failed) != OK) return;
    double *sums = p->sums + in->part * in->n_cols;
    for (size_t r = 0; r < in->n_rows; r++) {
        const float *x = in->x + r * in->stride;
        for (size_t i = 0; i < in->n_cols; i++) sums[i] += (double)x[i] * (double)x[i];
    }
    p->counts[in->part] += (double)in->n_rows;
}

static void add_pending(struct collector *c)
{
    for (size_t t = 0; t < c->n_tensors; t++) {
        struct pending *p = &c->pending[t];
        if (!p->to) continue;
        size_t n = p->to->n_parts * p->to->n_cols;
        for (size_t i = 0; i < n; i++) p->to->sums[i] += p->sums[i];
        for (size_t i = 0; i < p->to->n_parts; i++) p->to->counts[i] += p->counts[i];
        memset(p->sums, 0, n * sizeof *p->sums);
        memset(p->counts, 0, p->to->n_parts * sizeof *p->counts);
    }
}

/* ---- a run ------------------------------------------------------------------------------------ */

static size_t context_of(const struct importance_job *job)
{
    return job->n_ctx ? job->n_ctx : IMPORTANCE_DEFAULT_CTX;
}

enum status importance_run_id(const struct importance_job *job, char id[IMATRIX_RUN_SIZE],
                              struct error *err)
{
    const struct model_info *info = engine_model_info(job->engine);
    const struct gguf *g = engine_gguf(job->engine);
    uint64_t head[4] = {context_of(job), info->n_params, info->weight_bytes,
                        g ? gguf_file_bytes(g) : 0};
    uint8_t digest[SHA256_BYTES];
    struct sha256 s;
    enum status st = sha256_init(&s);
    if (st == OK) {
        sha256_update(&s, head, sizeof head);
        sha256_update(&s, job->tokens, job->n_tokens * sizeof *job->tokens);
        st = sha256_final(&s, digest);
    }
    if (st != OK) return error_set(err, st, "out of memory for the digest of a text");
    _Static_assert((int)SHA256_HEX_SIZE == (int)IMATRIX_RUN_SIZE, "a run's id is a digest");
    sha256_hex(digest, id);
    return OK;
}

static enum status collector_init(struct collector *c, struct error *err)
{
    const struct importance_job *j = c->job;
    const struct gguf *g = engine_gguf(j->engine);
    if (!g) return error_set(err, ERR_UNSUPPORTED, "a model without a file has no tensors' names");
    c->n_ctx = context_of(j);
    c->n_chunks = j->n_tokens / c->n_ctx;
    if (c->n_chunks == 0)
        return error_set(err, ERR_INVALID,
                         "the text has %zu tokens, but a context of %zu has to be full: use a text "
                         "of %zu tokens or more, or shorter contexts",
                         j->n_tokens, c->n_ctx, c->n_ctx);
    if (j->max_chunks && j->max_chunks < c->n_chunks) c->n_chunks = j->max_chunks;
    enum status st = session_create(j->engine, c->n_ctx, &c->session, err);
    if (st == OK) st = session_check_tokens(c->session, j->tokens, j->n_tokens, err);
    if (st != OK) return st;
    const struct tokenizer *tok = engine_tokenizer(j->engine);
    const struct vocab_source *src = tok ? tokenizer_source(tok) : NULL;
    c->bos = src && src->add_bos ? src->bos : TOKEN_NONE;
    c->n_tensors = gguf_n_tensors(g);
    c->tensors = gguf_tensor_at(g, 0);
    c->pending = calloc(c->n_tensors + 1, sizeof *c->pending);
    c->ids = calloc(c->n_ctx, sizeof *c->ids);
    if (!c->pending || !c->ids)
        return error_set(err, ERR_NOMEM, "no memory for an importance matrix");
    return OK;
}

static void collector_fini(struct collector *c)
{
    for (size_t t = 0; c->pending && t < c->n_tensors; t++) {
        free(c->pending[t].sums);
        free(c->pending[t].counts);
    }
    free(c->pending);
    free(c->ids);
    session_destroy(c->session);
}

static enum status read_chunk(struct collector *c, size_t chunk, struct error *err)
{
    memcpy(c->ids, c->job->tokens + chunk * c->n_ctx, c->n_ctx * sizeof *c->ids);
    if (c->bos != TOKEN_NONE) c->ids[0] = c->bos;
    kv_seq_truncate(c->session->seq, 0);
    for (size_t at = 0; at < c->n_ctx;) {
        size_t n = c->n_ctx - at < INFER_CHUNK ? c->n_ctx - at : INFER_CHUNK;
        enum status st =
            session_feed(c->session, c->ids + at, n, false, false, NULL, c->job->cancel, err);
        if (st == OK && c->failed.code) {
            st = c->failed.code;
            if (err) *err = c->failed;
        }
        if (st != OK) return st;
        at += n;
    }
    add_pending(c);
    return OK;
}

enum status importance_collect(const struct importance_job *job, struct imatrix *m,
                               struct error *err)
{
    struct collector c = {.job = job, .m = m};
    enum status st = collector_init(&c, err);
    if (st == OK) engine_observe(job->engine, observe, &c);
    for (size_t i = job->first_chunk; st == OK && i < c.n_chunks; i++) {
        st = read_chunk(&c, i, err);
        if (st == OK && job->on_chunk) st = job->on_chunk(job->ctx, i + 1, c.n_chunks, err);
    }
    engine_observe(job->engine, NULL, NULL);
    collector_fini(&c);
    return st;
}
