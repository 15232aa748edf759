#include "lsp/lsp_position.h"

#include <string.h>

/* The end of the line that begins at `at`, before its line end; *next is where the next one begins,
 * or len + 1 where there is none. */
static size_t line_end(const char *text, size_t len, size_t at, size_t *next)
{
    const char *nl = at < len ? memchr(text + at, '\n', len - at) : NULL;
    size_t end = nl ? (size_t)(nl - text) : len;
    const char *cr = at < end ? memchr(text + at, '\r', end - at) : NULL;
    if (!cr) {
        *next = end + 1;
        return end;
    }
    size_t c = (size_t)(cr - text);
    *next = c + 1 < len && text[c + 1] == '\n' ? c + 2 : c + 1;
    return c;
}

static size_t char_bytes(unsigned char c)
{
    return c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

static size_t char_units(unsigned char c, enum lsp_encoding enc)
{
    if (enc == LSP_UTF8) return char_bytes(c);
    return enc == LSP_UTF16 && c >= 0xF0 ? 2 : 1;
}

size_t lsp_units_offset(const char *text, size_t len, enum lsp_encoding enc, size_t units)
{
    size_t at = 0, seen = 0;
    while (at < len) {
        unsigned char c = (unsigned char)text[at];
        size_t n = char_bytes(c), u = char_units(c, enc);
        if (seen + u > units || n > len - at) break;
        seen += u;
        at += n;
    }
    return at;
}

size_t lsp_units(const char *text, size_t len, enum lsp_encoding enc)
{
    size_t units = 0;
    for (size_t at = 0; at < len; at += char_bytes((unsigned char)text[at]))
        units += char_units((unsigned char)text[at], enc);
    return units;
}

size_t lsp_position_offset(const char *text, size_t len, enum lsp_encoding enc,
                           struct lsp_position at)
{
    size_t begin = 0, next, end = line_end(text, len, 0, &next);
    for (size_t line = 0; line < at.line; line++) {
        if (next > len) return len;
        begin = next;
        end = line_end(text, len, begin, &next);
    }
    return begin + lsp_units_offset(text + begin, end - begin, enc, at.character);
}

struct lsp_position lsp_position_of(const char *text, size_t len, enum lsp_encoding enc,
                                    size_t offset)
{
    struct lsp_position at = {0};
    size_t begin = 0, next, end = line_end(text, len, 0, &next);
    if (offset > len) offset = len;
    while (next <= len && offset >= next) {
        begin = next;
        at.line++;
        end = line_end(text, len, begin, &next);
    }
    if (offset > end) offset = end; /* between \r and \n */
    at.character = lsp_units(text + begin, offset - begin, enc);
    return at;
}

const char *lsp_encoding_name(enum lsp_encoding enc)
{
    return enc == LSP_UTF8 ? "utf-8" : enc == LSP_UTF32 ? "utf-32" : "utf-16";
}
