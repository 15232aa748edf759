/* JSON from a client: bounded in depth, and lenient where JavaScript's strings are. */
#ifndef HEARTH_LSP_LSP_JSON_H
#define HEARTH_LSP_LSP_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { LSP_MAX_DEPTH = 128 };

/* The value of a message, or NULL. Escaped halves of surrogate pairs, which editors send where an
 * edit splits a character, become U+FFFD (one UTF-16 unit, as they were) in `data` itself. */
json_t *lsp_json_parse(char *data, size_t len);

/* A member found by "a.b.c"; NULL where there is none. Borrowed. */
json_t *lsp_json_at(const json_t *root, const char *path);
const char *lsp_json_text(const json_t *root, const char *path); /* or NULL */
long long lsp_json_int(const json_t *root, const char *path, long long otherwise);
bool lsp_json_true(const json_t *root, const char *path);

#endif
