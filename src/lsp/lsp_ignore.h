/* Which files of a workspace .gitignore excludes. Reads the files itself, runs nothing. Any thread. */
#ifndef HEARTH_LSP_LSP_IGNORE_H
#define HEARTH_LSP_LSP_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

struct lsp_ignore;

struct lsp_ignore *lsp_ignore_create(void); /* NULL without memory */
void lsp_ignore_destroy(struct lsp_ignore *g);
void lsp_ignore_add_root(struct lsp_ignore *g, const char *path);
void lsp_ignore_remove_root(struct lsp_ignore *g, const char *path);
/* The deepest root that holds the path, copied; false where none does. */
bool lsp_ignore_root(struct lsp_ignore *g, const char *path, char *out, size_t cap);
/* Looks at the .gitignore files from the root (a workspace folder, or the folder above with .git) down
 * to the file's folder, and at .git/info/exclude. */
bool lsp_ignore_is(struct lsp_ignore *g, const char *path);

/* Whether a pattern of gitignore(5), without ! and a trailing /, matches a path relative to the
 * folder of its file. Pure. */
bool lsp_ignore_match(const char *pattern, const char *path);

#endif
