/* The documents that the client has open. One thread. */
#ifndef HEARTH_LSP_LSP_DOCS_H
#define HEARTH_LSP_LSP_DOCS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/status.h"
#include "lsp/lsp_position.h"

enum { LSP_MAX_DOC = 64 << 20, LSP_MAX_DOCS = 4096 };

struct lsp_doc {
    char *uri, *path; /* owned; path: of a file: URI decoded, else the URI without its scheme */
    char *language;   /* owned; as the client names it */
    struct buf text;  /* valid UTF-8 */
    long long version;
    struct lsp_doc *next;
};

struct lsp_docs {
    struct lsp_doc *first;
    size_t n;
    enum lsp_encoding encoding;
    /* An edit took place: [start, end) became `len` bytes. May be NULL. */
    void (*on_edit)(void *ctx, const struct lsp_doc *d, size_t start, size_t end, size_t len);
    void *ctx;
};

void lsp_docs_fini(struct lsp_docs *d);
struct lsp_doc *lsp_docs_find(const struct lsp_docs *d, const char *uri); /* NULL where not open */
/* Opens, or replaces what is open by that name. ERR_NOMEM, ERR_LIMIT. */
enum status lsp_docs_open(struct lsp_docs *d, const char *uri, const char *language,
                          long long version, const char *text, size_t len, struct lsp_doc **out);
void lsp_docs_close(struct lsp_docs *d, const char *uri);
/* Applies contentChanges in order; *line is where the last one was (from 0). ERR_INVALID at the first
 * that is none, those before it are applied; ERR_LIMIT, ERR_NOMEM. */
enum status lsp_docs_change(struct lsp_docs *d, struct lsp_doc *doc, const json_t *changes,
                            size_t *line);

/* {"line", "character"} and {"start", "end"} as bytes of the document; false where they are none. */
bool lsp_doc_offset(const struct lsp_docs *d, const struct lsp_doc *doc, const json_t *position,
                    size_t *offset);
bool lsp_doc_range(const struct lsp_docs *d, const struct lsp_doc *doc, const json_t *range,
                   size_t *start, size_t *end);
/* The other way round; a new reference. */
json_t *lsp_doc_range_json(const struct lsp_docs *d, const struct lsp_doc *doc, size_t start,
                           size_t end);

/* "/w/a b.c" for "file:///w/a%20b.c"; malloc'd, NULL without memory. */
char *lsp_uri_path(const char *uri);

#endif
