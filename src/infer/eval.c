#include "infer/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "infer/eval_int.h"
#include "infer/logits_file.h"
#include "text/tokenizer.h"

#define LOGITS_BYTES ((size_t)96 << 20) /* of one model at a time */

/* One of the models that read the text. */
struct reader {
    struct session *session;
    int32_t *ids;  /* [n_ctx]: a context, BOS in its place */
    int32_t bos;   /* TOKEN_NONE where the model does without */
    float *logits; /* [rows][n_vocab] */
};

struct eval {
    const struct eval_job *job;
    const int32_t *tokens;
    size_t n_ctx, n_chunks;
    size_t per_chunk; /* tokens of a context that count */
    size_t rows;      /* of one pass with logits */
    struct reader own, against;
    struct pool *pool;
    struct logits_writer *save;
    struct eval_scores scores;
    struct eval_rows block;
};

/* ---- what to do ------------------------------------------------------------------------------- */

static enum status plan(struct eval *e, struct error *err)
{
    const struct eval_job *j = e->job;
    const struct model_info *info = engine_model_info(j->engine);
    size_t n = j->n_tokens;
    e->tokens = j->tokens;
    e->n_ctx = j->n_ctx ? j->n_ctx : EVAL_DEFAULT_CTX;
    if (j->base) {
        const struct logits_info *kept = logits_file_info(j->base);
        if (kept->n_vocab != info->n_vocab)
            return error_set(err, ERR_INVALID,
                             "the kept predictions are of another vocabulary: %zu candidates, the "
                             "model has %u",
                             kept->n_vocab, info->n_vocab);
        e->tokens = kept->tokens;
        e->n_ctx = kept->n_ctx;
        n = kept->n_ctx * kept->n_chunks;
    }
    if (e->n_ctx < EVAL_MIN_CTX)
        return error_set(err, ERR_INVALID, "a context of %zu tokens has none that count: use %d",
                         e->n_ctx, EVAL_DEFAULT_CTX);
    e->n_chunks = n / e->n_ctx;
    if (e->n_chunks == 0)
        return error_set(err, ERR_INVALID,
                         "the text has %zu tokens, but a context of %zu has to be full: use a text "
                         "of %zu tokens or more, or shorter contexts",
                         n, e->n_ctx, e->n_ctx);
    if (j->max_chunks && j->max_chunks < e->n_chunks) e->n_chunks = j->max_chunks;
    e->per_chunk = e->n_ctx - 1 - e->n_ctx / 2;
    if (j->against)
        return engine_same_vocab(j->engine, j->against, "the model to compare with", err);
    return OK;
}

/* Rows whose logits fit, passes of about the same size. */
static size_t rows_at_once(const struct eval *e, size_t n_vocab)
{
    size_t most = LOGITS_BYTES / (n_vocab * sizeof(float));
    if (most < 1) most = 1;
    if (most > INFER_CHUNK) most = INFER_CHUNK;
    size_t passes = (e->per_chunk + most - 1) / most;
    return (e->per_chunk + passes - 1) / passes;
}

/* ---- making and freeing ----------------------------------------------------------------------- */

static enum status reader_init(struct reader *r, struct engine *engine, const struct eval *e,
                               struct error *err)
{
    enum status st = session_create(engine, e->n_ctx, &r->session, err);
    if (st != OK) return st;
    const struct tokenizer *tok = engine_tokenizer(engine);
    const struct vocab_source *src = tok ? tokenizer_source(tok) : NULL;
    r->bos = src && src->add_bos ? src->bos : TOKEN_NONE;
    r->ids = calloc(e->n_ctx, sizeof *r->ids);
    r->logits = calloc(e->rows * r->session->n_vocab, sizeof *r->logits);
    if (!r->ids || !r->logits)
        return error_set(err, ERR_NOMEM, "no memory for the logits of %zu tokens", e->rows);
    return OK;
}

static void reader_fini(struct reader *r)
{
    session_destroy(r->session);
    free(r->ids);
    free(r->logits);
}

static bool make_scratch(struct eval *e)
{
    int n = engine_n_threads(e->job->engine);
    e->block.scratch = calloc((size_t)n, sizeof *e->block.scratch);
    for (int t = 0; t < n && e->block.scratch; t++) {
        e->block.scratch[t] = calloc(e->own.session->n_vocab, sizeof(float));
        if (!e->block.scratch[t]) return false;
    }
    return e->block.scratch != NULL;
}

static bool make_buffers(struct eval *e)
{
    size_t n = e->n_chunks * e->per_chunk, n_vocab = e->own.session->n_vocab;
    struct eval_scores *s = &e->scores;
    s->nll = calloc(n, sizeof *s->nll);
    if (!s->nll) return false;
    if (e->job->against || e->job->base) {
        s->base_nll = calloc(n, sizeof *s->base_nll);
        s->kl = calloc(n, sizeof *s->kl);
        s->same = calloc(n, sizeof *s->same);
        if (!s->base_nll || !s->kl || !s->same) return false;
    }
    if (e->job->save) {
        e->block.encoded = calloc(e->rows, sizeof(uint16_t) * logits_row_words(n_vocab));
        if (!e->block.encoded) return false;
    }
    return !e->job->base || make_scratch(e);
}

static enum status eval_init(struct eval *e, struct error *err)
{
    const struct eval_job *j = e->job;
    enum status st = plan(e, err);
    if (st != OK) return st;
    size_t n_vocab = engine_model_info(j->engine)->n_vocab, other = 0;
    if (j->against) other = engine_model_info(j->against)->n_vocab;
    e->rows = rows_at_once(e, other > n_vocab ? other : n_vocab);
    st = reader_init(&e->own, j->engine, e, err);
    if (st == OK && j->against) st = reader_init(&e->against, j->against, e, err);
    if (st == OK)
        st = session_check_tokens(e->own.session, e->tokens, e->n_chunks * e->n_ctx, err);
    if (st == OK && !make_buffers(e))
        st = error_set(err, ERR_NOMEM, "no memory for the scores of %zu tokens",
                       e->n_chunks * e->per_chunk);
    if (st == OK) st = pool_create(engine_n_threads(j->engine), &e->pool, err);
    if (st == OK && j->save) {
        struct logits_info info = {e->n_ctx, n_vocab, e->n_chunks, e->tokens};
        st = logits_writer_begin(j->save, &info, &e->save, err);
    }
    return st;
}

static void eval_fini(struct eval *e)
{
    reader_fini(&e->own);
    reader_fini(&e->against);
    for (int t = 0; e->block.scratch && t < engine_n_threads(e->job->engine); t++)
        free(e->block.scratch[t]);
    free(e->block.scratch);
    free(e->block.encoded);
    pool_destroy(e->pool);
    logits_writer_abandon(e->save);
    free(e->scores.nll);
    free(e->scores.base_nll);
    free(e->scores.kl);
    free(e->scores.same);
}

/* ---- one context ------------------------------------------------------------------------------ */

static void report(const struct eval *e, size_t chunk, size_t at)
{
    if (e->job->progress)
        e->job->progress(e->job->progress_ctx, chunk * e->n_ctx + at, e->n_chunks * e->n_ctx);
}

static bool cancelled(const struct eval *e)
{
    return e->job->cancel && __atomic_load_n(e->job->cancel, __ATOMIC_RELAXED);
}

static enum status read_on(const struct eval *e, struct reader *r, size_t at, size_t n, bool logits,
                           struct error *err)
{
    if (!r->session) return OK;
    return session_feed(r->session, r->ids + at, n, logits, false, r->logits, e->job->cancel, err);
}

/* Reads the part of a context that does not count, without computing logits. */
static enum status read_first_part(struct eval *e, size_t chunk, struct error *err)
{
    const int32_t *ids = e->tokens + chunk * e->n_ctx;
    struct reader *readers[2] = {&e->own, &e->against};
    for (int i = 0; i < 2; i++) {
        struct reader *r = readers[i];
        if (!r->session) continue;
        kv_seq_truncate(r->session->seq, 0);
        memcpy(r->ids, ids, e->n_ctx * sizeof *ids);
        if (r->bos != TOKEN_NONE) r->ids[0] = r->bos;
    }
    for (size_t at = 0, end = e->n_ctx / 2; at < end;) {
        size_t n = end - at < INFER_CHUNK ? end - at : INFER_CHUNK;
        enum status st = read_on(e, &e->own, at, n, false, err);
        if (st == OK) st = read_on(e, &e->against, at, n, false, err);
        if (st != OK) return st;
        at += n;
        report(e, chunk, at);
    }
    return OK;
}

static enum status check_finite(const struct eval *e, size_t chunk, size_t at, size_t n,
                                struct error *err)
{
    const struct eval_scores *s = &e->scores;
    for (size_t i = e->block.at; i < e->block.at + n; i++)
        if (!isfinite(s->nll[i]) || (s->kl && !isfinite(s->kl[i])))
            return error_set(err, ERR_FORMAT,
                             "the prediction of token %zu of the text is no number: the model%s is "
                             "damaged, or its kind is not computed right",
                             chunk * e->n_ctx + at + 1 + (i - e->block.at),
                             s->kl ? ", or what it is compared with," : "");
    return OK;
}

/* The scores of the n tokens that follow position `at` of a context. */
static enum status score_block(struct eval *e, size_t chunk, size_t at, size_t n, struct error *err)
{
    enum status st = read_on(e, &e->own, at, n, true, err);
    if (st == OK) st = read_on(e, &e->against, at, n, true, err);
    if (st != OK) return st;
    struct eval_rows *b = &e->block;
    size_t row = at - e->n_ctx / 2;
    b->n_vocab = e->own.session->n_vocab;
    b->logits = e->own.logits;
    b->base_logits = e->against.logits;
    if (e->against.session) b->base_n_vocab = e->against.session->n_vocab;
    if (e->job->base)
        b->base = logits_file_rows(e->job->base, chunk) + row * logits_row_words(b->n_vocab);
    b->following = e->tokens + chunk * e->n_ctx + at + 1;
    b->to = &e->scores;
    b->at = chunk * e->per_chunk + row;
    b->n = n;
    atomic_store(&b->next, 0);
    pool_run(e->pool, eval_score_rows, b);
    st = check_finite(e, chunk, at, n, err);
    if (st == OK && e->save) st = logits_writer_put(e->save, b->encoded, n, err);
    return st;
}

static enum status read_chunk(struct eval *e, size_t chunk, struct error *err)
{
    enum status st = read_first_part(e, chunk, err);
    /* The last token's own prediction is of a token that is not in the context. */
    for (size_t at = e->n_ctx / 2; st == OK && at + 1 < e->n_ctx;) {
        if (cancelled(e)) return error_set(err, ERR_CANCELLED, "cancelled");
        size_t left = e->n_ctx - 1 - at, n = left < e->rows ? left : e->rows;
        st = score_block(e, chunk, at, n, err);
        at += n;
        if (st == OK) report(e, chunk, at);
    }
    return st;
}

enum status eval_run(const struct eval_job *job, struct eval_result *out, struct error *err)
{
    memset(out, 0, sizeof *out);
    struct eval e = {.job = job};
    enum status st = eval_init(&e, err);
    for (size_t c = 0; st == OK && c < e.n_chunks; c++) st = read_chunk(&e, c, err);
    if (st == OK && e.save) {
        st = logits_writer_commit(e.save, err);
        e.save = NULL;
    }
    if (st == OK) {
        out->n_ctx = e.n_ctx;
        out->n_chunks = e.n_chunks;
        eval_figures(&e.scores, e.n_chunks * e.per_chunk, out);
        report(&e, e.n_chunks, 0);
    }
    eval_fini(&e);
    return st;
}
