#include "infer/engine.h"

#include <stdlib.h>

#include "gguf/gguf.h"
#include "infer/infer_int.h"
#include "infer/vocab_gguf.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

enum { MAX_WHOLE = 32768 };

/* To read one row of the embedding table the kernel maps many pages around it, in the end all of a
 * table that is a third of a small model, although a text needs few of its rows. Now and then they
 * are given back; those needed again are still in the page cache. */
static void trim_embedding(struct engine *e, size_t n_rows)
{
    e->rows_since_trim += n_rows;
    if (!e->embedding || e->rows_since_trim < INFER_CHUNK) return;
    gguf_tensor_release_pages(e->g, e->embedding);
    e->rows_since_trim = 0;
}

/* ---- taking turns ---------------------------------------------------------------------------- */

typedef enum status forward_fn(struct forward *f, const struct forward_row *rows, size_t n_rows,
                               float *out, const volatile int *cancel, struct error *err);

static void begin_turn(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    uint64_t ticket = e->next_ticket++;
    while (e->now_serving != ticket) pthread_cond_wait(&e->turn, &e->lock);
    pthread_mutex_unlock(&e->lock);
}

static void end_turn(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->now_serving++;
    pthread_cond_broadcast(&e->turn);
    pthread_mutex_unlock(&e->lock);
}

static enum status take_turn(struct engine *e, forward_fn *fn, const struct forward_row *rows,
                             size_t n_rows, float *out, const volatile int *cancel,
                             struct error *err)
{
    begin_turn(e);
    enum status st = fn(e->fwd, rows, n_rows, out, cancel, err);
    trim_embedding(e, n_rows);
    end_turn(e);
    return st;
}

void engine_turn(struct engine *e, void (*fn)(void *ctx), void *ctx)
{
    begin_turn(e);
    fn(ctx);
    end_turn(e);
}

void engine_observe(struct engine *e, forward_observer fn, void *ctx)
{
    forward_observe(e->fwd, fn, ctx);
}

enum status engine_forward(struct engine *e, const struct forward_row *rows, size_t n_rows,
                           float *logits, const volatile int *cancel, struct error *err)
{
    return take_turn(e, forward_run, rows, n_rows, logits, cancel, err);
}

enum status engine_hidden(struct engine *e, const struct forward_row *rows, size_t n_rows,
                          float *hidden, const volatile int *cancel, struct error *err)
{
    return take_turn(e, forward_hidden, rows, n_rows, hidden, cancel, err);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Rows of the largest batch. An encoder's text is never cut into several; memory that no batch reaches is
 * not committed. */
static size_t largest_batch(const struct model_info *info)
{
    size_t n = info->n_ctx_train < MAX_WHOLE ? info->n_ctx_train : MAX_WHOLE;
    return info->encoder && n > INFER_CHUNK ? n : INFER_CHUNK;
}

enum status engine_assemble(struct gguf *g, struct vocab *vocab, const struct tokenizer *tok,
                            struct model *m, int n_threads, struct engine **out, struct error *err)
{
    *out = NULL;
    struct engine *e = calloc(1, sizeof *e);
    enum status st;
    if (!e) {
        st = error_set(err, ERR_NOMEM, "no memory for an engine");
        goto fail;
    }
    size_t n_vocab = model_info(m)->n_vocab;
    if (tok && tokenizer_n_tokens(tok) > n_vocab) {
        st = error_set(err, ERR_FORMAT,
                       "%s: its vocabulary has %zu tokens, but its embedding only %zu rows",
                       g ? gguf_path(g) : "the model", tokenizer_n_tokens(tok), n_vocab);
        goto fail;
    }
    st = forward_create(m, n_threads, largest_batch(model_info(m)), &e->fwd, err);
    if (st != OK) goto fail;
    if (pthread_mutex_init(&e->lock, NULL) != 0) {
        st = error_set(err, ERR_NOMEM, "no memory for a lock");
        goto fail;
    }
    if (pthread_cond_init(&e->turn, NULL) != 0) {
        pthread_mutex_destroy(&e->lock);
        st = error_set(err, ERR_NOMEM, "no memory for a lock");
        goto fail;
    }
    pthread_mutex_init(&e->grammar_lock, NULL);
    e->g = g;
    if (g) e->embedding = gguf_tensor_find(g, "token_embd.weight");
    e->vocab = vocab;
    e->tok = tok;
    e->model = m;
    *out = e;
    return OK;
fail:
    if (e) forward_destroy(e->fwd);
    free(e);
    model_close(m);
    vocab_close(vocab);
    gguf_close(g);
    return st;
}

enum status engine_open(const char *path, const struct engine_options *opt, struct engine **out,
                        struct error *err)
{
    static const struct engine_options defaults;
    if (!opt) opt = &defaults;
    *out = NULL;
    struct gguf *g;
    enum status st = gguf_open(path, &g, err);
    if (st != OK) return st;

    /* The vocabulary first: where it is not understood, nothing is packed in vain. */
    struct vocab *vocab = NULL;
    struct model *m = NULL;
    struct model_options mo = {.n_threads = opt->n_threads,
                               .cache_dir = opt->cache_dir,
                               .kv_type = opt->kv_type,
                               .progress = opt->progress,
                               .progress_ctx = opt->progress_ctx};
    st = vocab_open(g, &vocab, err);
    if (st == OK) st = model_open(g, &mo, &m, err);
    if (st != OK) {
        vocab_close(vocab);
        gguf_close(g);
        return st;
    }
    st = engine_assemble(g, vocab, vocab_tokenizer(vocab), m, opt->n_threads, out, err);
    if (st == OK && opt->settle) settle_start(*out);
    return st;
}

void engine_close(struct engine *e)
{
    if (!e) return;
    settle_stop(e);
    forward_destroy(e->fwd);
    grammar_vocab_destroy(e->grammar_vocab);
    pthread_mutex_destroy(&e->grammar_lock);
    model_close(e->model);
    vocab_close(e->vocab);
    gguf_close(e->g);
    pthread_cond_destroy(&e->turn);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

const struct tokenizer *engine_tokenizer(const struct engine *e)
{
    return e->tok;
}

enum status engine_grammar_vocab(struct engine *e, const struct grammar_vocab **out,
                                 struct error *err)
{
    enum status st = OK;
    *out = NULL;
    if (!e->tok) return error_set(err, ERR_INVALID, "a grammar needs a vocabulary");
    pthread_mutex_lock(&e->grammar_lock);
    if (!e->grammar_vocab)
        st = grammar_vocab_create(e->tok, model_info(e->model)->n_vocab, &e->grammar_vocab, err);
    *out = e->grammar_vocab;
    pthread_mutex_unlock(&e->grammar_lock);
    return st;
}

const struct model_info *engine_model_info(const struct engine *e)
{
    return model_info(e->model);
}

const struct gguf *engine_gguf(const struct engine *e)
{
    return e->g;
}

int engine_n_threads(const struct engine *e)
{
    return forward_n_threads(e->fwd);
}
