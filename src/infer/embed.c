#include "infer/embed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "infer/infer_int.h"

/* One text, or a query and a document, as tokens. */
struct item {
    size_t at, n;  /* in the list of tokens */
    size_t second; /* tokens before the second text */
    size_t index;  /* in the caller's order */
};

/* Which rows of a text have their hidden states computed. */
enum rows_wanted { ROWS_ALL, ROWS_FIRST, ROWS_LAST };

/* A call in progress. */
struct embedding {
    struct engine *e;
    const struct model_info *info;
    const struct embed_options *opt;
    struct token_list tokens;
    struct item *items; /* [n_items], sorted by length before they are evaluated */
    size_t n_items, n_truncated;
    size_t max_tokens; /* of an item */
    size_t batch;      /* tokens of a batch */
    enum rows_wanted wanted;
    struct kv_pool *pool;
    struct kv_seq **seqs; /* [batch]: of the items of a batch */
    struct forward_row *rows;
    float *hidden;
    /* Takes the hidden states of the wanted rows of an item. */
    void (*take)(struct embedding *c, const struct item *it, const float *hidden);
    struct embeddings *vectors;
    enum embed_pooling pooling;
    float *scores;
};

/* ---- tokens -----------------------------------------------------------------------------------
 */

static enum status too_long(const struct embedding *c, size_t n, struct error *err)
{
    return error_set(
        err, ERR_LIMIT,
        "a text of %zu tokens, but this model takes %zu at most: shorten it or have its "
        "end cut off",
        n, c->max_tokens);
}

/* Cuts the end of the last item's text, but not the token that ends it. */
static enum status fit(struct embedding *c, struct item *it, struct error *err)
{
    const struct vocab_source *v = tokenizer_source(c->e->tok);
    size_t tail = v->add_eos ? 1 : 0;
    if (it->n <= c->max_tokens) return OK;
    if (!c->opt->truncate || it->second + tail > c->max_tokens) return too_long(c, it->n, err);
    if (tail) c->tokens.ids[it->at + c->max_tokens - 1] = c->tokens.ids[it->at + it->n - 1];
    it->n = c->max_tokens;
    c->tokens.len = it->at + it->n;
    c->n_truncated++;
    return OK;
}

/* `prefix` tokens of a pair are the first text's. */
static enum status add_item(struct embedding *c, struct text_str first,
                            const struct text_str *second, size_t prefix, struct error *err)
{
    struct item *it = &c->items[c->n_items];
    *it = (struct item){.at = c->tokens.len, .second = prefix, .index = c->n_items};
    enum status st = tokenizer_encode_wrapped(c->e->tok, first, second, false, &c->tokens, err);
    if (st) return st;
    it->n = c->tokens.len - it->at;
    if (it->n == 0)
        return error_set(err, ERR_INVALID, "text %zu is empty, and nothing stands around texts",
                         c->n_items + 1);
    c->n_items++;
    return fit(c, it, err);
}

/* ---- batches ----------------------------------------------------------------------------------
 */

static int by_length(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static size_t wanted_of(const struct embedding *c, size_t n)
{
    return c->wanted == ROWS_ALL ? n : 1;
}

static bool is_wanted(const struct embedding *c, size_t i, size_t n)
{
    return c->wanted == ROWS_ALL || i == (c->wanted == ROWS_FIRST ? 0 : n - 1);
}

/* Rows [from, to) of an item. */
static size_t make_rows(const struct embedding *c, const struct item *it, struct kv_seq *seq,
                        size_t from, size_t to, struct forward_row *rows)
{
    for (size_t i = from; i < to; i++)
        rows[i - from] = (struct forward_row){.seq = seq,
                                              .token = c->tokens.ids[it->at + i],
                                              .logits = is_wanted(c, i, it->n),
                                              .segment = it->second && i >= it->second &&
                                                         c->info->n_segments > 1};
    return to - from;
}

/* A text longer than a batch: a decoder's goes in parts, an encoder's is a batch of its own. */
static enum status run_long(struct embedding *c, const struct item *it, struct error *err)
{
    size_t step = c->info->encoder ? it->n : c->batch, got = 0;
    enum status st = OK;
    for (size_t at = 0; at < it->n && st == OK; at += step) {
        size_t end = it->n - at < step ? it->n : at + step;
        size_t n = make_rows(c, it, c->seqs[0], at, end, c->rows);
        st =
            engine_hidden(c->e, c->rows, n, c->hidden + got * c->info->n_embd, c->opt->cancel, err);
        for (size_t i = at; i < end; i++) got += is_wanted(c, i, it->n);
    }
    if (st == OK) c->take(c, it, c->hidden);
    return st;
}

static enum status run_batch(struct embedding *c, const struct item *items, size_t n,
                             struct error *err)
{
    size_t n_rows = 0, got = 0;
    if (n == 1 && items[0].n > c->batch) return run_long(c, items, err);
    for (size_t i = 0; i < n; i++)
        n_rows += make_rows(c, &items[i], c->seqs[i], 0, items[i].n, c->rows + n_rows);
    enum status st = engine_hidden(c->e, c->rows, n_rows, c->hidden, c->opt->cancel, err);
    for (size_t i = 0; i < n && st == OK; i++) {
        c->take(c, &items[i], c->hidden + got * c->info->n_embd);
        got += wanted_of(c, items[i].n);
    }
    return st;
}

/* How many items from `first` on make a batch. */
static size_t batch_items(const struct embedding *c, size_t first)
{
    size_t n = 1, rows = c->items[first].n;
    while (first + n < c->n_items && rows + c->items[first + n].n <= c->batch)
        rows += c->items[first + n++].n;
    return n;
}

static void seqs_destroy(struct embedding *c, size_t n)
{
    for (size_t i = 0; i < n; i++) kv_seq_destroy(c->seqs[i]);
}

static enum status run_items(struct embedding *c, size_t first, size_t n, struct error *err)
{
    size_t made = 0;
    enum status st = OK;
    while (made < n && st == OK)
        if ((st = kv_seq_create(c->pool, &c->seqs[made], err)) == OK) made++;
    if (st == OK) st = run_batch(c, c->items + first, n, err);
    seqs_destroy(c, made);
    return st;
}

static enum status evaluate(struct embedding *c, struct error *err)
{
    size_t longest = 0, most_rows;
    uint64_t floats;
    enum status st = OK;
    for (size_t i = 0; i < c->n_items; i++)
        if (c->items[i].n > longest) longest = c->items[i].n;
    most_rows = longest > c->batch ? longest : c->batch;
    qsort(c->items, c->n_items, sizeof *c->items, by_length);
    c->seqs = calloc(c->batch, sizeof *c->seqs);
    c->rows = calloc(most_rows, sizeof *c->rows);
    if (checked_mul(most_rows, c->info->n_embd * sizeof(float), &floats) && floats < SIZE_MAX / 2)
        c->hidden = malloc((size_t)floats);
    if (!c->seqs || !c->rows || !c->hidden)
        return error_set(err, ERR_NOMEM, "no memory for a batch of %zu tokens", most_rows);
    /* Each text ends inside a page of its own. */
    st = kv_pool_create(c->e->model, most_rows + c->batch * 32, &c->pool, err);
    for (size_t i = 0, n; i < c->n_items && st == OK; i += n)
        st = run_items(c, i, n = batch_items(c, i), err);
    return st;
}

/* ---- a call -----------------------------------------------------------------------------------
 */

static enum status begin(struct embedding *c, struct engine *e, size_t n,
                         const struct embed_options *opt, struct error *err)
{
    static const struct embed_options defaults;
    *c = (struct embedding){.e = e, .info = model_info(e->model), .opt = opt ? opt : &defaults};
    if (!e->tok) return error_set(err, ERR_UNSUPPORTED, "the model has no vocabulary");
    size_t rows = forward_max_rows(e->fwd);
    c->max_tokens = c->info->n_ctx_train;
    if (c->info->encoder && c->max_tokens > rows) c->max_tokens = rows;
    c->batch = c->opt->batch_tokens ? c->opt->batch_tokens : INFER_CHUNK;
    if (c->batch > rows) c->batch = rows;
    c->items = calloc(n ? n : 1, sizeof *c->items);
    if (!c->items) return error_set(err, ERR_NOMEM, "no memory for %zu texts", n);
    return OK;
}

static void finish(struct embedding *c)
{
    kv_pool_destroy(c->pool);
    token_list_fini(&c->tokens);
    free(c->items);
    free(c->seqs);
    free(c->rows);
    free(c->hidden);
}

/* ---- vectors ----------------------------------------------------------------------------------
 */

static void normalise(float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)v[i] * (double)v[i];
    float scale = sum > 0 ? (float)(1 / sqrt(sum)) : 1;
    for (size_t i = 0; i < n; i++) v[i] *= scale;
}

static void take_vectors(struct embedding *c, const struct item *it, const float *hidden)
{
    struct embeddings *v = c->vectors;
    size_t dim = v->dim, n = v->first[it->index + 1] - v->first[it->index];
    float *to = v->data + v->first[it->index] * dim;
    memcpy(to, hidden, n * dim * sizeof *to);
    if (c->pooling == EMBED_POOL_MEAN) {
        for (size_t r = 1; r < it->n; r++)
            for (size_t i = 0; i < dim; i++) to[i] += hidden[r * dim + i];
        for (size_t i = 0; i < dim; i++) to[i] /= (float)it->n;
    }
    for (size_t r = 0; r < n && !c->opt->raw; r++) normalise(to + r * dim, dim);
}

static enum status choose_pooling(struct embedding *c, struct error *err)
{
    static const enum embed_pooling own[] = {
        [POOLING_NONE] = EMBED_POOL_NONE,
        [POOLING_MEAN] = EMBED_POOL_MEAN,
        [POOLING_CLS] = EMBED_POOL_FIRST,
        [POOLING_LAST] = EMBED_POOL_LAST,
    };
    c->pooling = c->opt->pooling;
    if (c->pooling == EMBED_POOL_MODEL && c->info->pooling == POOLING_RANK)
        return error_set(err, ERR_UNSUPPORTED,
                         "this model scores documents against a query and makes no vectors");
    if (c->pooling == EMBED_POOL_MODEL) c->pooling = own[c->info->pooling];
    c->wanted = c->pooling == EMBED_POOL_FIRST  ? ROWS_FIRST
                : c->pooling == EMBED_POOL_LAST ? ROWS_LAST
                                                : ROWS_ALL;
    return OK;
}

static enum status make_room(struct embedding *c, struct embeddings *out, struct error *err)
{
    uint64_t bytes;
    out->dim = c->info->n_embd;
    out->n_texts = c->n_items;
    out->n_tokens = c->tokens.len;
    out->n_truncated = c->n_truncated;
    out->first = calloc(c->n_items + 1, sizeof *out->first);
    if (!out->first) return error_set(err, ERR_NOMEM, "no memory for %zu texts", c->n_items);
    for (size_t i = 0; i < c->n_items; i++)
        out->first[i + 1] = out->first[i] + (c->pooling == EMBED_POOL_NONE ? c->items[i].n : 1);
    size_t n = out->first[c->n_items];
    if (!checked_mul(n, out->dim * sizeof(float), &bytes) || bytes > SIZE_MAX / 2)
        return error_set(err, ERR_LIMIT, "%zu vectors are too many for one call", n);
    out->data = malloc(bytes ? (size_t)bytes : 1);
    return out->data ? OK : error_set(err, ERR_NOMEM, "no memory for %zu vectors", n);
}

enum status engine_embed(struct engine *e, const struct text_str *texts, size_t n,
                         const struct embed_options *opt, struct embeddings *out, struct error *err)
{
    struct embedding c;
    *out = (struct embeddings){0};
    enum status st = begin(&c, e, n, opt, err);
    if (st == OK) st = choose_pooling(&c, err);
    for (size_t i = 0; i < n && st == OK; i++) st = add_item(&c, texts[i], NULL, 0, err);
    if (st == OK) st = make_room(&c, out, err);
    c.vectors = out;
    c.take = take_vectors;
    if (st == OK && n) st = evaluate(&c, err);
    finish(&c);
    if (st) embeddings_fini(out);
    return st;
}

void embeddings_fini(struct embeddings *v)
{
    free(v->data);
    free(v->first);
    *v = (struct embeddings){0};
}

/* ---- scores -----------------------------------------------------------------------------------
 */

static void take_score(struct embedding *c, const struct item *it, const float *hidden)
{
    float *own = c->scores + c->n_items;
    model_score(c->e->model, hidden, own);
    c->scores[it->index] = own[0];
}

/* What the tokens of the query and those around it number. */
static enum status query_tokens(struct embedding *c, struct text_str query, size_t *n,
                                struct error *err)
{
    enum status st = tokenizer_encode_wrapped(c->e->tok, query, NULL, false, &c->tokens, err);
    *n = c->tokens.len;
    c->tokens.len = 0;
    return st;
}

enum status engine_rerank(struct engine *e, struct text_str query, const struct text_str *documents,
                          size_t n, const struct embed_options *opt, float *scores,
                          struct error *err)
{
    struct embedding c;
    size_t prefix = 0;
    enum status st = begin(&c, e, n, opt, err);
    /* Decoders with such heads want the pair in a prompt of their own. */
    if (st == OK && (!c.info->n_scores || !c.info->encoder))
        st = error_set(err, ERR_UNSUPPORTED, "this %s model has no head that scores pairs of texts",
                       c.info->arch);
    c.wanted = ROWS_FIRST;
    c.take = take_score;
    if (st == OK) st = query_tokens(&c, query, &prefix, err);
    for (size_t i = 0; i < n && st == OK; i++) st = add_item(&c, query, &documents[i], prefix, err);
    if (st == OK) {
        c.scores = calloc(n + c.info->n_scores, sizeof *c.scores);
        if (!c.scores) st = error_set(err, ERR_NOMEM, "no memory for %zu scores", n);
    }
    if (st == OK && n) st = evaluate(&c, err);
    if (st == OK && n) memcpy(scores, c.scores, n * sizeof *scores);
    free(c.scores);
    finish(&c);
    return st;
}
