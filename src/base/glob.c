#include "base/glob.h"

bool glob_fits(const char *pattern, const char *text, size_t len)
{
    const char *p = pattern, *star = NULL;
    size_t i = 0, star_at = 0;
    while (i < len) {
        if (*p == '*') {
            star = p++;
            star_at = i;
        } else if (*p && (*p == '?' || *p == text[i])) {
            p++;
            i++;
        } else if (star) { /* the last star takes one character more */
            p = star + 1;
            i = ++star_at;
        } else {
            return false;
        }
    }
    while (*p == '*') p++;
    return *p == 0;
}

size_t glob_literals(const char *pattern)
{
    size_t n = 0;
    for (; *pattern; pattern++) n += *pattern != '*' && *pattern != '?';
    return n;
}
