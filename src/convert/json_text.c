#include "convert/json_text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SAFE_DIGITS = 18 }; /* 10^18 - 1 fits into 63 bits */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Calls for each whole number of more digits than are safe, outside of strings: counts them, and,
 * where dst is not NULL, copies the text with ".0" behind each. Returns the count. */
static size_t lengthen(const char *text, size_t len, char *dst)
{
    size_t found = 0, run = 0;
    bool in_string = false, whole = true;
    for (size_t i = 0; i <= len; i++) {
        char c = i < len ? text[i] : 0;
        if (!in_string && is_digit(c)) {
            /* Digits behind a point or an exponent are no whole number. */
            if (run++ == 0) whole = i == 0 || !memchr(".eE+", text[i - 1], 4);
        } else {
            if (run > SAFE_DIGITS && whole && c != '.' && c != 'e' && c != 'E') {
                found++;
                if (dst) {
                    *dst++ = '.';
                    *dst++ = '0';
                }
            }
            run = 0;
        }
        if (i == len) break;
        if (c == '"') in_string = !in_string;
        if (dst) *dst++ = c;
        if (in_string && c == '\\' && i + 1 < len) {
            i++;
            if (dst) *dst++ = text[i];
        }
    }
    return found;
}

json_t *json_text_parse(const char *text, size_t len, size_t flags, json_error_t *why)
{
    size_t n = lengthen(text, len, NULL);
    if (n == 0) return json_loadb(text, len, flags, why);
    char *copy = malloc(len + 2 * n + 1);
    if (!copy) {
        memset(why, 0, sizeof *why);
        return NULL;
    }
    lengthen(text, len, copy);
    json_t *j = json_loadb(copy, len + 2 * n, flags, why);
    free(copy);
    return j;
}
