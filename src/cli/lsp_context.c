#include "cli/lsp_context.h"

#include <stdlib.h>
#include <string.h>

static const double bytes_per_token = 3.2;
enum { NEAR_BYTES = 3000 }; /* before the cursor, that are in a prompt whatever else is */

static void drop_first(struct lsp_context *c)
{
    free(c->list[0].folder);
    context_keep_destroy(c->list[0].keep);
    memmove(c->list, c->list + 1, --c->n * sizeof *c->list);
}

void lsp_context_fini(struct lsp_context *c)
{
    while (c->n) drop_first(c);
    free(c->cache);
    *c = (struct lsp_context){0};
}

static struct context_keep *keep_of(struct lsp_context *c, const char *folder)
{
    struct error err;
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->list[i].folder, folder) == 0) return c->list[i].keep;
    if (c->n == LSP_CONTEXT_FOLDERS) drop_first(c);
    char *copy = strdup(folder);
    if (!copy || context_keep_create(folder, c->cache, &c->list[c->n].keep, &err)) {
        free(copy);
        return NULL;
    }
    c->list[c->n].folder = copy;
    return c->list[c->n++].keep;
}

size_t lsp_context_take(void *ctx, const struct lsp_place *place, struct context_item *out,
                        size_t cap, const char **name)
{
    struct lsp_context *c = ctx;
    struct context_kept kept;
    size_t bytes = (size_t)((double)place->max_tokens * bytes_per_token), n = 0;
    struct context_keep *keep = c->cache && bytes ? keep_of(c, place->folder) : NULL;
    if (!keep) return 0;
    struct context_budget budget = {.near_bytes = NEAR_BYTES,
                                    .max_bytes =
                                        bytes < INDEX_CONTEXT_BYTES ? bytes : INDEX_CONTEXT_BYTES};
    context_keep_take(keep, place->path, place->text, place->len, place->offset, &budget, &kept);
    for (; n < kept.found->n && n < cap; n++) {
        const struct index_context_item *i = &kept.found->list[n];
        out[n] = (struct context_item){.path = i->path,
                                       .text = i->text,
                                       .len = i->len,
                                       .score = (double)i->score,
                                       .kind = i->declarations ? CONTEXT_SYMBOL : CONTEXT_CHUNK};
    }
    if (n) *name = kept.path;
    return n;
}
