/* The language server: LSP 3.18 over two file descriptors (docs/lsp.md).
 *
 * One thread reads messages and owns all state; what takes long runs elsewhere and posts its results
 * back to it: completions on the suggester's thread, chat on one of its own, loading on one, writing
 * on one. Nothing here knows where models are stored: the caller resolves names. */
#ifndef HEARTH_LSP_LSP_H
#define HEARTH_LSP_LSP_H

#include <stdbool.h>
#include <stddef.h>

#include "assist/ring.h"
#include "base/status.h"

/* A place in a document of a workspace folder. */
struct lsp_place {
    const char *folder, *path; /* absolute */
    const char *text;
    size_t len, offset;
    size_t max_tokens; /* of what is told of other files */
};

struct lsp_options {
    const char *model, *chat_model; /* where the client's user names none; NULL = the default */
    const char *endpoint;           /* as the setting `endpoint`; NULL = "" */
    int n_threads;                  /* 0 = all physical cores */
    size_t n_ctx;                   /* 0 = 4096, or the model's own if less */
    const char *cache_dir;          /* packed weights; NULL = none */
    const char *stats_path;         /* of the acceptance statistics; NULL = none are kept */
    const char *log_path;           /* NULL = no log */
    /* A model's name (NULL = the default one) as a path, malloc'd. Any thread. */
    enum status (*resolve)(void *ctx, const char *name, char **path, struct error *err);
    /* What a completion should know of the folder's other files: at most `cap` items, borrowed until the
     * next call, and in *name the document's in the folder. Only the server's thread calls it; it must not
     * take longer than some milliseconds. May be NULL. */
    size_t (*context)(void *ctx, const struct lsp_place *place, struct context_item *out, size_t cap,
                      const char **name);
    void *ctx;
};

/* Serves until `exit` or the end of the input. *clean: `exit` came after `shutdown`. ERR_FORMAT where
 * the input is no framing of messages; ERR_IO where nobody reads the output. */
enum status lsp_serve(const struct lsp_options *opt, int in_fd, int out_fd, bool *clean,
                      struct error *err);

#endif
