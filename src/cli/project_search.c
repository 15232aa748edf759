#include "cli/project_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/index_store.h"

enum status project_search_init(struct project_search *ps, struct error *err)
{
    ps->cache = cli_index_cache(err);
    return ps->cache ? OK : err->code;
}

void project_search_fini(struct project_search *ps)
{
    index_embed_close(&ps->embed);
    cli_store_close(ps->store);
    index_close(ps->ix);
    free(ps->cache);
    ps->ix = NULL;
    ps->cache = NULL;
}

/* ---- updating ---- */

struct bounded {
    double until;
    const volatile int *cancel;
    volatile int stop;
};

static void watch_time(void *ctx, enum index_stage stage, uint64_t done, uint64_t total)
{
    (void)stage, (void)done, (void)total;
    struct bounded *b = ctx;
    if ((b->cancel && *b->cancel) || clock_now() > b->until) b->stop = 1;
}

enum status project_search_update(struct project_search *ps, double seconds, const volatile int *cancel,
                                  struct project_update *out, struct error *err)
{
    struct bounded b = {.until = clock_now() + seconds, .cancel = cancel};
    struct index_update_options opt = {.cache = ps->cache, .cancel = &b.stop, .progress = watch_time, .ctx = &b};
    *out = (struct project_update){0};
    enum status st = index_update(ps->root, &opt, &out->counts, err);
    out->done = st == OK;
    out->elsewhere = st == ERR_BUSY;
    if (st == ERR_CANCELLED && !(cancel && *cancel)) {
        out->late = true;
        st = OK;
    }
    if (st == ERR_BUSY) st = OK;
    if (st == OK) *err = (struct error){0};
    return st;
}

/* ---- searching ---- */

enum status project_search_open(struct project_search *ps, struct error *err)
{
    return ps->ix ? OK : index_open(ps->root, ps->cache, &ps->ix, err);
}

/* The model of the index's vectors; without it the search goes on by words, and ps->note says why. */
static void find_model(struct project_search *ps)
{
    struct index_info info;
    struct error err = {0};
    if (ps->words || ps->tried || index_info_brief(ps->ix, &info, &err) || info.vectors == 0) return;
    ps->tried = true;
    const char *model = ps->embed_model ? ps->embed_model : info.model;
    ps->by_meaning = index_embed_open(&ps->embed, model, ps->threads, &ps->embedder, &err) == OK;
    if (ps->by_meaning && ps->embedder.dim != info.dim) {
        index_embed_close(&ps->embed);
        ps->by_meaning = false;
        error_set(&err, ERR_INVALID, "%.200s makes vectors of %zu numbers, the index has %zu", model, ps->embedder.dim, info.dim);
    }
    if (ps->by_meaning && cli_store_open(ps->store_url, true, NULL, &ps->store, &err) != OK) {
        index_embed_close(&ps->embed);
        ps->by_meaning = false;
    }
    if (!ps->by_meaning) snprintf(ps->note, sizeof ps->note, "by words alone: %s", err.msg);
}

enum status project_search_find(struct project_search *ps, const struct index_query *q, struct index_hits *out,
                                struct error *err)
{
    enum status st = project_search_open(ps, err);
    if (st) return st;
    struct index_query query = *q;
    float *v = NULL;
    if (!q->literal) find_model(ps);
    if (ps->by_meaning && !q->literal && *q->text) {
        struct index_text text = {q->text, strlen(q->text)};
        v = malloc(ps->embedder.dim * sizeof *v);
        if (!v) return error_set(err, ERR_NOMEM, "out of memory");
        st = ps->embedder.embed(ps->embedder.ctx, &text, 1, v, err);
        query.vector = v;
        query.dim = ps->embedder.dim;
        query.store = ps->store;
    }
    if (st == OK) st = index_search(ps->ix, &query, out, err);
    /* Of this search alone: a server may answer the next one. */
    if (st == OK && ps->by_meaning) snprintf(ps->note, sizeof ps->note, "%s", out->note);
    free(v);
    return st;
}
