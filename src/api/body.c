#include "api/body.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The string that begins at text[at], a quote: the index behind its end, or len. */
static size_t string_end(const char *text, size_t len, size_t at, bool *nul)
{
    *nul = false;
    for (at++; at < len && text[at] != '"'; at++) {
        if (text[at] != '\\') continue;
        if (len - at >= 6 && memcmp(text + at, "\\u0000", 6) == 0) *nul = true;
        at++;
    }
    return at < len ? at + 1 : len;
}

/* jansson refuses NULs in members' names, which JSON allows: puts U+FFFD in their place. */
static void replace_nuls_in_names(char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        bool nul;
        if (text[at] != '"') {
            at++;
            continue;
        }
        size_t end = string_end(text, len, at, &nul), next = end;
        while (next < len && strchr(" \t\r\n", text[next])) next++;
        bool name = next < len && text[next] == ':';
        for (; nul && name && at + 6 <= end; at++) {
            if (memcmp(text + at, "\\u0000", 6) == 0) memcpy(text + at, "\\ufffd", 6);
            if (text[at] == '\\') at++;
        }
        at = end;
    }
}

json_t *body_parse(const char *text, size_t len, json_error_t *e)
{
    /* Where a number ends with it, jansson takes a NUL for white space. */
    const char *nul = memchr(text, 0, len);
    if (nul) {
        *e = (json_error_t){.line = 1, .column = (int)(nul - text), .position = (int)(nul - text)};
        return NULL;
    }
    json_t *j = json_loadb(text, len, JSON_ALLOW_NUL, e);
    if (j || json_error_code(e) != json_error_null_byte_in_key) return j;
    char *copy = malloc(len ? len : 1);
    if (!copy) return NULL;
    memcpy(copy, text, len);
    replace_nuls_in_names(copy, len);
    j = json_loadb(copy, len, JSON_ALLOW_NUL, e);
    free(copy);
    return j;
}
