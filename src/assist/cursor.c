#include "assist/cursor.h"

#include <string.h>

#include "assist/trim.h"
#include "base/secret.h"

static size_t count_line_ends(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) n += text[i] == '\n';
    return n;
}

enum status cursor_check_text(const char *text, size_t len, const char *name, struct error *err)
{
    size_t valid = trim_utf8_prefix(text, len);
    const char *nul = valid ? memchr(text, 0, valid) : NULL;
    if (nul) {
        size_t at = (size_t)(nul - text);
        return error_set(
            err, ERR_FORMAT,
            "%s is not text: byte %zu (line %zu) is NUL; only UTF-8 text can be completed", name,
            at, count_line_ends(text, at) + 1);
    }
    if (valid < len)
        return error_set(err, ERR_FORMAT,
                         "%s is not UTF-8: byte %zu (line %zu) is 0x%02X; convert it first, for "
                         "example with iconv -t UTF-8",
                         name, valid, count_line_ends(text, valid) + 1,
                         (unsigned)(unsigned char)text[valid]);
    return OK;
}

static bool has_bom(const char *text, size_t len)
{
    return len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
}

enum status cursor_find(const char *text, size_t len, uint64_t line, uint64_t column,
                        const char *name, size_t *offset, struct error *err)
{
    size_t at = has_bom(text, len) ? 3 : 0;
    uint64_t now = 1;
    while (now < line) {
        const char *end = at < len ? memchr(text + at, '\n', len - at) : NULL;
        if (!end) break;
        at = (size_t)(end - text) + 1;
        now++;
    }
    if (now < line || line == 0) {
        /* A line end at the very end begins no line that an editor would count. */
        uint64_t lines = now > 1 && at == len ? now - 1 : now;
        return error_set(err, ERR_INVALID, "there is no line %llu in %s, which has %llu line%s",
                         (unsigned long long)line, name, (unsigned long long)lines,
                         lines == 1 ? "" : "s");
    }
    uint64_t c = 1;
    size_t i = at;
    while (c < column && i < len && text[i] != '\n' &&
           !(text[i] == '\r' && i + 1 < len && text[i + 1] == '\n')) {
        i++;
        while (i < len && ((unsigned char)text[i] & 0xC0) == 0x80) i++;
        c++;
    }
    if (c < column || column == 0)
        return error_set(
            err, ERR_INVALID,
            "there is no column %llu in line %llu of %s, which has %llu character%s (its "
            "end is column %llu)",
            (unsigned long long)column, (unsigned long long)line, name, (unsigned long long)(c - 1),
            c == 2 ? "" : "s", (unsigned long long)c);
    *offset = i;
    return OK;
}

enum status cursor_find_marker(const char *text, size_t len, const char *name, size_t *offset,
                               struct error *err)
{
    const size_t n = sizeof CURSOR_MARKER - 1;
    const char *first = len ? memmem(text, len, CURSOR_MARKER, n) : NULL;
    if (!first)
        return error_set(err, ERR_INVALID,
                         "no position in %s: give it with --at LINE:COL, or write " CURSOR_MARKER
                         " where the completion should go",
                         name);
    size_t after = (size_t)(first - text) + n;
    if (memmem(text + after, len - after, CURSOR_MARKER, n))
        return error_set(err, ERR_INVALID,
                         "more than one " CURSOR_MARKER
                         " in %s: mark one position, or give it with "
                         "--at LINE:COL",
                         name);
    *offset = (size_t)(first - text);
    return OK;
}

void cursor_locate(const char *text, size_t offset, uint64_t *line, uint64_t *column)
{
    size_t start = offset;
    while (start > 0 && text[start - 1] != '\n') start--;
    *line = count_line_ends(text, start) + 1;
    if (start == 0 && has_bom(text, offset)) start = 3;
    *column = 1;
    for (size_t i = start; i < offset; i++) *column += ((unsigned char)text[i] & 0xC0) != 0x80;
}

bool cursor_is_secret(const char *path)
{
    return secret_path(path);
}
