#include "lsp/lsp_frame.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static const char length_field[] = "content-length";

/* One header line; false where it is none. Other fields than the length are passed over. */
static bool read_line(const char *line, size_t n, size_t *body, bool *found)
{
    const char *colon = memchr(line, ':', n);
    if (!colon || colon == line) return false;
    size_t name = (size_t)(colon - line), at = name + 1;
    if (name != sizeof length_field - 1 || strncasecmp(line, length_field, name) != 0) return true;
    while (at < n && (line[at] == ' ' || line[at] == '\t')) at++;
    while (n > at && (line[n - 1] == ' ' || line[n - 1] == '\t')) n--;
    if (at == n || *found) return false;
    size_t value = 0;
    for (; at < n; at++) {
        if (line[at] < '0' || line[at] > '9') return false;
        /* Far past every limit is enough to know. */
        if (value <= (size_t)LSP_MAX_BODY * 16) value = value * 10 + (size_t)(line[at] - '0');
    }
    *body = value;
    *found = true;
    return true;
}

enum lsp_frame lsp_frame_read(const char *data, size_t len, size_t *head, size_t *body)
{
    size_t at = 0, length = 0;
    bool found = false;
    *head = *body = 0;
    for (;;) {
        const char *end = at < len ? memchr(data + at, '\n', len - at) : NULL;
        if (!end) return len > LSP_MAX_HEAD ? LSP_FRAME_WRONG : LSP_FRAME_MORE;
        size_t n = (size_t)(end - data) - at;
        if (n && data[at + n - 1] == '\r') n--;
        if (at + n > LSP_MAX_HEAD) return LSP_FRAME_WRONG;
        bool empty = n == 0;
        if (!empty && !read_line(data + at, n, &length, &found)) return LSP_FRAME_WRONG;
        at = (size_t)(end - data) + 1;
        if (empty) break;
    }
    if (!found) return LSP_FRAME_WRONG;
    *head = at;
    *body = length;
    if (length > LSP_MAX_BODY) return LSP_FRAME_TOO_LONG;
    return len - at >= length ? LSP_FRAME_DONE : LSP_FRAME_MORE;
}
