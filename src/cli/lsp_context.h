/* What the workspace folders' indexes tell `hearth lsp` for completions. */
#ifndef HEARTH_CLI_LSP_CONTEXT_H
#define HEARTH_CLI_LSP_CONTEXT_H

#include "index/context_keep.h"
#include "lsp/lsp.h"

enum { LSP_CONTEXT_FOLDERS = 16 }; /* with context at once; the one that was opened first goes */

/* Zeroed but for `cache`, or wholly: then nothing is told. */
struct lsp_context {
    char *cache; /* owned; where indexes live */
    struct {
        char *folder;
        struct context_keep *keep;
    } list[LSP_CONTEXT_FOLDERS];
    size_t n;
};
void lsp_context_fini(struct lsp_context *c);

/* As struct lsp_options has it; ctx is a struct lsp_context. */
size_t lsp_context_take(void *ctx, const struct lsp_place *place, struct context_item *out,
                        size_t cap, const char **name);

#endif
