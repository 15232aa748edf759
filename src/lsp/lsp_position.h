/* Positions of LSP in UTF-8 text: a line, and code units of the agreed encoding within it. Lines end
 * with \n, \r\n or \r. Pure. */
#ifndef HEARTH_LSP_LSP_POSITION_H
#define HEARTH_LSP_LSP_POSITION_H

#include <stddef.h>

enum lsp_encoding { LSP_UTF16, LSP_UTF8, LSP_UTF32 };

struct lsp_position {
    size_t line, character;
};

/* The byte of a position. Behind a line's end: the line's end; behind the last line: the text's;
 * within a character: its beginning. */
size_t lsp_position_offset(const char *text, size_t len, enum lsp_encoding enc,
                           struct lsp_position at);
struct lsp_position lsp_position_of(const char *text, size_t len, enum lsp_encoding enc,
                                    size_t offset);
/* Units of a text: how long a client in that encoding says it is. */
size_t lsp_units(const char *text, size_t len, enum lsp_encoding enc);
/* The byte behind so many units, at most len; within a character its beginning. */
size_t lsp_units_offset(const char *text, size_t len, enum lsp_encoding enc, size_t units);
const char *lsp_encoding_name(enum lsp_encoding enc); /* "utf-16", ... */

#endif
