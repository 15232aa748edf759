#include "fake_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kern/kern.h"
#include "model/kv_shift.h"

struct model {
    struct model_info info;
    struct fake_options opt;
    struct fake_seen seen;
    int busy;
};

struct kv_pool {
    size_t n_pages, n_free, n_seqs;
    uint32_t *refs; /* [n_pages] */
    int32_t (*tokens)[KERN_KV_PAGE];
};

/* The fake's cache is its tokens, in pages that are shared as the real ones are. */
struct kv_seq {
    struct kv_pool *pool;
    uint32_t *pages; /* [pool->n_pages] */
    size_t n_pages, len;
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
    __atomic_store_n(&m->opt.fail_call, fail_call, __ATOMIC_RELAXED);
}

struct fake_seen fake_model_seen(const struct model *m)
{
    return m->seen;
}

size_t fake_model_calls(const struct model *m)
{
    return __atomic_load_n(&m->seen.calls, __ATOMIC_RELAXED);
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

/* ---- pages ----------------------------------------------------------------------------------- */

static size_t pages_for(size_t n_tokens)
{
    return (n_tokens + KERN_KV_PAGE - 1) / KERN_KV_PAGE;
}

enum status kv_pool_create(const struct model *m, size_t n_tokens, struct kv_pool **out,
                           struct error *err)
{
    (void)m;
    struct kv_pool *p = *out = calloc(1, sizeof *p);
    if (!p) return error_set(err, ERR_NOMEM, "no memory");
    p->n_pages = p->n_free = pages_for(n_tokens);
    p->refs = calloc(p->n_pages, sizeof *p->refs);
    p->tokens = calloc(p->n_pages, sizeof *p->tokens);
    if (p->refs && p->tokens) return OK;
    kv_pool_destroy(p);
    *out = NULL;
    return error_set(err, ERR_NOMEM, "no memory");
}

void kv_pool_set_context(struct kv_pool *p, size_t n_ctx)
{
    (void)p;
    (void)n_ctx;
}

void kv_pool_destroy(struct kv_pool *p)
{
    if (!p) return;
    if (p->n_seqs != 0) _exit(99);          /* a sequence outlived its pool */
    if (p->n_free != p->n_pages) _exit(98); /* a page was lost */
    free(p->refs);
    free(p->tokens);
    free(p);
}

size_t kv_pool_pages(const struct kv_pool *p)
{
    return p->n_pages;
}

size_t kv_pool_pages_free(const struct kv_pool *p)
{
    return p->n_free;
}

void kv_pool_trim(struct kv_pool *p)
{
    (void)p; /* its pages are no memory of their own */
}

void kv_page_ref(struct kv_pool *p, uint32_t page)
{
    if (page >= p->n_pages || p->refs[page] == 0) _exit(97); /* not held */
    p->refs[page]++;
}

void kv_page_unref(struct kv_pool *p, uint32_t page)
{
    if (page >= p->n_pages || p->refs[page] == 0) _exit(96); /* given back twice */
    if (--p->refs[page] == 0) p->n_free++;
}

uint32_t kv_page_refs(const struct kv_pool *p, uint32_t page)
{
    return p->refs[page];
}

static uint32_t page_take(struct kv_pool *p)
{
    uint32_t i = 0;
    while (p->refs[i]) i++;
    p->refs[i] = 1;
    p->n_free--;
    return i;
}

enum status kv_seq_create(struct kv_pool *p, struct kv_seq **out, struct error *err)
{
    *out = calloc(1, sizeof **out);
    uint32_t *pages = calloc(p->n_pages, sizeof *pages);
    if (!*out || !pages) {
        free(*out);
        free(pages);
        *out = NULL;
        return error_set(err, ERR_NOMEM, "no memory");
    }
    (*out)->pool = p;
    (*out)->pages = pages;
    p->n_seqs++;
    return OK;
}

void kv_seq_destroy(struct kv_seq *s)
{
    if (!s) return;
    kv_seq_truncate(s, 0);
    s->pool->n_seqs--;
    free(s->pages);
    free(s);
}

size_t kv_seq_len(const struct kv_seq *s)
{
    return s->len;
}

void kv_seq_truncate(struct kv_seq *s, size_t n)
{
    if (n < s->len) s->len = n;
    while (s->n_pages > pages_for(s->len)) kv_page_unref(s->pool, s->pages[--s->n_pages]);
}

static enum status reserve(struct kv_seq *s, size_t n, struct error *err)
{
    struct kv_pool *p = s->pool;
    size_t tail = s->len / KERN_KV_PAGE, need = pages_for(s->len + n);
    bool copy = tail < s->n_pages && p->refs[s->pages[tail]] > 1;
    if ((need > s->n_pages ? need - s->n_pages : 0) + copy > p->n_free)
        return error_set(err, ERR_LIMIT, "the pool is full");
    if (copy) {
        uint32_t own = page_take(p);
        memcpy(p->tokens[own], p->tokens[s->pages[tail]], sizeof *p->tokens);
        kv_page_unref(p, s->pages[tail]);
        s->pages[tail] = own;
    }
    while (s->n_pages < need) s->pages[s->n_pages++] = page_take(p);
    return OK;
}

static int32_t *token_of(const struct kv_seq *s, size_t i)
{
    return &s->pool->tokens[s->pages[i / KERN_KV_PAGE]][i % KERN_KV_PAGE];
}

enum status kv_seq_fork(const struct kv_seq *from, size_t n, struct kv_seq **out, struct error *err)
{
    enum status st = kv_seq_create(from->pool, out, err);
    if (st != OK) return st;
    for (size_t i = 0; i < pages_for(n); i++) {
        kv_page_ref(from->pool, from->pages[i]);
        (*out)->pages[(*out)->n_pages++] = from->pages[i];
    }
    (*out)->len = n;
    return OK;
}

uint32_t kv_seq_page(const struct kv_seq *s, size_t i)
{
    if ((i + 1) * KERN_KV_PAGE > s->len) _exit(95); /* not a whole page */
    return s->pages[i];
}

enum status kv_seq_append_page(struct kv_seq *s, uint32_t page, struct error *err)
{
    (void)err;
    if (s->len % KERN_KV_PAGE) _exit(94);
    kv_seq_truncate(s, s->len);
    kv_page_ref(s->pool, page);
    s->pages[s->n_pages++] = page;
    s->len += KERN_KV_PAGE;
    return OK;
}

void kv_seq_replace_page(struct kv_seq *s, size_t i, uint32_t page)
{
    if (memcmp(s->pool->tokens[page], s->pool->tokens[kv_seq_page(s, i)], sizeof *s->pool->tokens))
        _exit(93); /* another content */
    kv_page_ref(s->pool, page);
    kv_page_unref(s->pool, s->pages[i]);
    s->pages[i] = page;
}

/* A shifted part cannot be told from an evaluated one. */
enum status kv_shift_append(const struct model *m, struct kv_seq *to, const struct kv_seq *from,
                            size_t at, size_t n, struct error *err)
{
    (void)m;
    enum status st = reserve(to, n, err);
    if (st != OK) return st;
    for (size_t i = 0; i < n; i++) *token_of(to, to->len++) = *token_of(from, at + i);
    return OK;
}

/* ---- passes ---------------------------------------------------------------------------------- */

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
static void fill_logits(const struct model *m, const struct kv_seq *s, size_t n, float *logits)
{
    uint64_t h = 1;
    for (size_t i = 0; i < n; i++) h = mix(h, (uint64_t)*token_of(s, i));
    for (size_t i = 0; i < m->info.n_vocab; i++)
        logits[i] = m->opt.nan_logits ? NAN : (float)(mix(h, i) >> 40) * 0x1p-21f - 4.0f;
    if (n < m->opt.n_script) logits[m->opt.script[n]] = 20;
}

/* Room for all rows, or for none. */
static enum status reserve_all(const struct forward_row *rows, size_t n_rows, struct error *err)
{
    enum status st = OK;
    size_t at = 0, end;
    for (; at < n_rows && st == OK; at = end) {
        for (end = at; end < n_rows && rows[end].seq == rows[at].seq;) end++;
        st = reserve(rows[at].seq, end - at, err);
    }
    for (size_t i = 0; i < at && st != OK; i++) kv_seq_truncate(rows[i].seq, rows[i].seq->len);
    return st;
}

static enum status check_rows(const struct forward *f, const struct forward_row *rows,
                              size_t n_rows, struct error *err)
{
    if (n_rows == 0 || n_rows > f->max_rows)
        return error_set(err, ERR_INVALID, "%zu rows, at most %zu", n_rows, f->max_rows);
    for (size_t i = 0; i < n_rows; i++) {
        if (rows[i].token < 0 || rows[i].token >= (int32_t)f->m->info.n_vocab)
            return error_set(err, ERR_INVALID, "bad row %zu", i);
        for (size_t j = 0; j + 1 < i; j++)
            if (rows[j].seq == rows[i].seq && rows[i - 1].seq != rows[i].seq)
                return error_set(err, ERR_INVALID, "rows of one sequence are apart");
    }
    return OK;
}

static enum status run(struct forward *f, const struct forward_row *rows, size_t n_rows,
                       float *logits, const volatile int *cancel, struct error *err)
{
    struct model *m = f->m;
    size_t call = __atomic_add_fetch(&m->seen.calls, 1, __ATOMIC_RELAXED);
    if (call == __atomic_load_n(&m->opt.fail_call, __ATOMIC_RELAXED))
        return error_set(err, ERR_NOMEM, "made to fail");
    enum status st = check_rows(f, rows, n_rows, err);
    if (st == OK) st = reserve_all(rows, n_rows, err);
    if (st != OK) return st;
    if (m->opt.pass_us) usleep((useconds_t)m->opt.pass_us);
    size_t before = 0; /* rows of the same sequence */
    for (size_t i = 0; i < n_rows; i++) {
        struct kv_seq *s = rows[i].seq;
        before = i > 0 && rows[i - 1].seq == s ? before + 1 : 0;
        *token_of(s, s->len + before) = rows[i].token;
        if (m->opt.row_us) usleep((useconds_t)m->opt.row_us);
        if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED)) {
            for (size_t j = 0; j < n_rows; j++) kv_seq_truncate(rows[j].seq, rows[j].seq->len);
            return ERR_CANCELLED;
        }
        if (!rows[i].logits) continue;
        fill_logits(m, s, s->len + before + 1, logits);
        logits += m->info.n_vocab;
        m->seen.logit_rows++;
    }
    for (size_t i = 0; i < n_rows; i++) rows[i].seq->len++;
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

/* ---- weights that move: these have none ------------------------------------------------------ */

bool model_settle_copy(struct model *m)
{
    (void)m;
    return false;
}

bool model_settle_ready(const struct model *m)
{
    (void)m;
    return false;
}

void model_settle_use(struct model *m)
{
    (void)m;
}
