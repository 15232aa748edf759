/* Where in a text the cursor stands, and whether the text can be completed at all. */
#ifndef HEARTH_ASSIST_CURSOR_H
#define HEARTH_ASSIST_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define CURSOR_MARKER "<|cursor|>"

/* `name` is what messages call the text. Lines and columns count from 1; a column is a character
 * (Unicode code point), a tab is one, and one past the last character is the line's end. Lines end
 * with \n or \r\n. A byte order mark belongs to no column. */

/* ERR_FORMAT with the byte and line where the text is not UTF-8 or holds a NUL. */
enum status cursor_check_text(const char *text, size_t len, const char *name, struct error *err);

/* The byte offset of a position; ERR_INVALID, saying how many lines or characters there are, where
 * it lies outside. The text must have passed cursor_check_text. */
enum status cursor_find(const char *text, size_t len, uint64_t line, uint64_t column,
                        const char *name, size_t *offset, struct error *err);

/* The byte offset of the only CURSOR_MARKER; ERR_INVALID where there is none or more than one. */
enum status cursor_find_marker(const char *text, size_t len, const char *name, size_t *offset,
                               struct error *err);

/* Line and column of a byte offset. */
void cursor_locate(const char *text, size_t offset, uint64_t *line, uint64_t *column);

/* Files that by their name hold keys or passwords (.env, *.pem, id_rsa, ...): an assistant should
 * not read them unasked. */
bool cursor_is_secret(const char *path);

#endif
