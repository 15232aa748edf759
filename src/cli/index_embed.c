#include "cli/index_embed.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "infer/embed.h"
#include "infer/engine.h"

enum { TEXT_BYTES = 1024, BATCH = 64 };

char *cli_index_cache(struct error *err)
{
    char *cache = cli_cache_dir(err), *out = NULL;
    if (cache && asprintf(&out, "%s/index", cache) < 0) out = NULL;
    if (cache && !out) error_set(err, ERR_NOMEM, "out of memory");
    free(cache);
    return out;
}

static enum status embed(void *ctx, const struct index_text *texts, size_t n, float *out, struct error *err)
{
    struct index_embed *e = ctx;
    struct text_str *list = malloc((n ? n : 1) * sizeof *list);
    struct embed_options opt = {.truncate = true, .cancel = e->cancel};
    struct embeddings v = {0};
    if (!list) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) list[i] = (struct text_str){texts[i].data, texts[i].len};
    enum status st = engine_embed(e->engine, list, n, &opt, &v, err);
    if (st == OK) memcpy(out, v.data, n * v.dim * sizeof *out);
    embeddings_fini(&v);
    free(list);
    return st;
}

enum status index_embed_open(struct index_embed *e, const char *model, int threads, struct index_embedder *out,
                             struct error *err)
{
    struct embeddings v = {0};
    struct text_str probe = {"a", 1};
    char real[PATH_MAX];
    *e = (struct index_embed){0};
    /* A file is known by its whole path, wherever the next search starts. */
    bool file = file_exists(model) && realpath(model, real);
    e->model = strdup(file ? real : model);
    enum status st = e->model ? cli_load_engine(model, threads, &e->engine, err) : error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK) st = engine_embed(e->engine, &probe, 1, NULL, &v, err);
    if (st == OK)
        *out = (struct index_embedder){.model = e->model, .dim = v.dim, .max_bytes = TEXT_BYTES, .batch = BATCH,
                                       .embed = embed, .ctx = e};
    embeddings_fini(&v);
    if (st) index_embed_close(e);
    return st;
}

void index_embed_close(struct index_embed *e)
{
    engine_close(e->engine);
    free(e->model);
    *e = (struct index_embed){0};
}
