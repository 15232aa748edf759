#include "fake_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/kv_shift.h"

struct model {
    struct model_info info;
    struct fake_options opt;
    struct fake_seen seen;
    int busy;
};

struct kv_pool {
    size_t n_tokens, used;
};

struct kv_seq {
    struct kv_pool *pool;
    int32_t *tokens;
    size_t len;
};

struct forward {
    struct model *m;
    int n_threads;
    size_t max_rows;
};

struct model *fake_model_create(const struct fake_options *opt)
{
    struct model *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->opt = *opt;
    m->info = (struct model_info){
        .arch = "fake", .n_layer = 1, .n_vocab = opt->n_vocab, .n_ctx_train = opt->n_ctx_train};
    return m;
}

void fake_model_set_fail(struct model *m, size_t fail_call)
{
    m->opt.fail_call = fail_call;
}

struct fake_seen fake_model_seen(const struct model *m)
{
    return m->seen;
}

void fake_model_reset_seen(struct model *m)
{
    m->seen = (struct fake_seen){0};
}

enum status model_open(const struct gguf *g, const struct model_options *opt, struct model **out,
                       struct error *err)
{
    (void)g;
    (void)opt;
    *out = fake_model_create(&(struct fake_options){.n_vocab = 64, .n_ctx_train = 128});
    return *out ? OK : error_set(err, ERR_NOMEM, "no memory");
}

void model_close(struct model *m)
{
    free(m);
}

const struct model_info *model_info(const struct model *m)
{
    return &m->info;
}

enum status kv_pool_create(const struct model *m, size_t n_tokens, struct kv_pool **out,
                           struct error *err)
{
    (void)m;
    *out = calloc(1, sizeof **out);
    if (!*out) return error_set(err, ERR_NOMEM, "no memory");
    (*out)->n_tokens = n_tokens;
    return OK;
}

void kv_pool_set_context(struct kv_pool *p, size_t n_ctx)
{
    (void)p;
    (void)n_ctx;
}

void kv_pool_destroy(struct kv_pool *p)
{
    if (p && p->used != 0) _exit(99); /* a sequence outlived its pool */
    free(p);
}

enum status kv_seq_create(struct kv_pool *p, struct kv_seq **out, struct error *err)
{
    *out = calloc(1, sizeof **out);
    int32_t *tokens = calloc(p->n_tokens + 1, sizeof *tokens);
    if (!*out || !tokens) {
        free(*out);
        free(tokens);
        *out = NULL;
        return error_set(err, ERR_NOMEM, "no memory");
    }
    (*out)->pool = p;
    (*out)->tokens = tokens;
    return OK;
}

void kv_seq_destroy(struct kv_seq *s)
{
    if (!s) return;
    s->pool->used -= s->len;
    free(s->tokens);
    free(s);
}

size_t kv_seq_len(const struct kv_seq *s)
{
    return s->len;
}

void kv_seq_truncate(struct kv_seq *s, size_t n)
{
    if (n >= s->len) return;
    s->pool->used -= s->len - n;
    s->len = n;
}

enum status kv_seq_fork(const struct kv_seq *from, size_t n, struct kv_seq **out, struct error *err)
{
    if (from->pool->used + n > from->pool->n_tokens)
        return error_set(err, ERR_LIMIT, "the pool is full");
    enum status st = kv_seq_create(from->pool, out, err);
    if (st != OK) return st;
    memcpy((*out)->tokens, from->tokens, n * sizeof *from->tokens);
    (*out)->len = n;
    from->pool->used += n;
    return OK;
}

/* The fake's cache is its tokens; a shifted part cannot be told from an evaluated one. */
enum status kv_shift_append(const struct model *m, struct kv_seq *to, const struct kv_seq *from,
                            size_t at, size_t n, struct error *err)
{
    (void)m;
    if (to->pool->used + n > to->pool->n_tokens)
        return error_set(err, ERR_LIMIT, "the pool is full");
    memcpy(to->tokens + to->len, from->tokens + at, n * sizeof *from->tokens);
    to->len += n;
    to->pool->used += n;
    return OK;
}

enum status forward_create(const struct model *m, int n_threads, size_t max_rows,
                           struct forward **out, struct error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return error_set(err, ERR_NOMEM, "no memory");
    **out = (struct forward){(struct model *)m, n_threads ? n_threads : 1, max_rows};
    return OK;
}

void forward_destroy(struct forward *f)
{
    free(f);
}

int forward_n_threads(const struct forward *f)
{
    return f->n_threads;
}

size_t forward_max_rows(const struct forward *f)
{
    return f->max_rows;
}

/* The fake multiplies nothing. */
void forward_observe(struct forward *f, forward_observer fn, void *ctx)
{
    (void)f;
    (void)fn;
    (void)ctx;
}

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

/* Logits after the first n tokens of a sequence: a function of these tokens only. */
static void fill_logits(const struct model *m, const int32_t *tokens, size_t n, float *logits)
{
    uint64_t h = 1;
    for (size_t i = 0; i < n; i++) h = mix(h, (uint64_t)tokens[i]);
    for (size_t i = 0; i < m->info.n_vocab; i++)
        logits[i] = m->opt.nan_logits ? NAN : (float)(mix(h, i) >> 40) * 0x1p-21f - 4.0f;
    if (n < m->opt.n_script) logits[m->opt.script[n]] = 20;
}

static enum status run(struct forward *f, const struct forward_row *rows, size_t n_rows,
                       float *logits, const volatile int *cancel, struct error *err)
{
    struct model *m = f->m;
    m->seen.calls++;
    if (m->seen.calls == m->opt.fail_call) return error_set(err, ERR_NOMEM, "made to fail");
    if (n_rows == 0 || n_rows > f->max_rows)
        return error_set(err, ERR_INVALID, "%zu rows, at most %zu", n_rows, f->max_rows);
    struct kv_seq *s = rows[0].seq;
    for (size_t i = 0; i < n_rows; i++)
        if (rows[i].seq != s || rows[i].token < 0 || rows[i].token >= (int32_t)m->info.n_vocab)
            return error_set(err, ERR_INVALID, "bad row %zu", i);
    if (s->pool->used + n_rows > s->pool->n_tokens)
        return error_set(err, ERR_LIMIT, "the pool is full");
    if (m->opt.pass_us) usleep((useconds_t)m->opt.pass_us);
    for (size_t i = 0; i < n_rows; i++) {
        s->tokens[s->len + i] = rows[i].token;
        if (m->opt.row_us) usleep((useconds_t)m->opt.row_us);
        if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED)) return ERR_CANCELLED;
        if (!rows[i].logits) continue;
        fill_logits(m, s->tokens, s->len + i + 1, logits);
        logits += m->info.n_vocab;
        m->seen.logit_rows++;
    }
    s->len += n_rows;
    s->pool->used += n_rows;
    m->seen.rows += n_rows;
    if (n_rows > m->seen.most_rows) m->seen.most_rows = n_rows;
    return OK;
}

enum status forward_run(struct forward *f, const struct forward_row *rows, size_t n_rows,
                        float *logits, const volatile int *cancel, struct error *err)
{
    if (__atomic_exchange_n(&f->m->busy, 1, __ATOMIC_ACQUIRE)) f->m->seen.overlapped = true;
    enum status st = run(f, rows, n_rows, logits, cancel, err);
    __atomic_store_n(&f->m->busy, 0, __ATOMIC_RELEASE);
    return st;
}

/* Nobody asks a made-up model for hidden states. */
enum status forward_hidden(struct forward *f, const struct forward_row *rows, size_t n_rows,
                           float *hidden, const volatile int *cancel, struct error *err)
{
    (void)f, (void)rows, (void)n_rows, (void)hidden, (void)cancel;
    return error_set(err, ERR_UNSUPPORTED, "no hidden states");
}
