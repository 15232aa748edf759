#include "eval/cut.h"

#include <ctype.h>
#include <string.h>

static size_t keep_all(const struct eval_hole *h, const char *answer, size_t len)
{
    (void)h;
    (void)answer;
    return len;
}

/* What follows the hole on its last line. */
static const char *rest_of_line(const struct eval_hole *h, size_t *len)
{
    const char *rest = h->text + h->end, *stop = memchr(rest, '\n', h->to - h->end);
    *len = stop ? (size_t)(stop - rest) : h->to - h->end;
    while (*len && isspace((unsigned char)rest[*len - 1])) --*len;
    return rest;
}

/* By hand: what no program could know without the answer. As many lines as the hole has, and in the
 * last of them up to what follows the hole on its line. */
static size_t keep_hole(const struct eval_hole *h, const char *answer, size_t len)
{
    size_t lines = 0, n, at = 0;
    for (size_t i = h->start; i < h->end; i++) lines += h->text[i] == '\n';
    for (; lines; lines--) {
        const char *stop = memchr(answer + at, '\n', len - at);
        if (!stop) return len;
        at = (size_t)(stop - answer) + 1;
    }
    const char *rest = rest_of_line(h, &n);
    const char *stop = memchr(answer + at, '\n', len - at);
    size_t end = stop ? (size_t)(stop - answer) : len;
    const char *again = n ? memmem(answer + at, end - at, rest, n) : NULL;
    return again ? (size_t)(again - answer) : end;
}

static size_t keep_line(const struct eval_hole *h, const char *answer, size_t len)
{
    (void)h;
    const char *stop = memchr(answer, '\n', len);
    return stop ? (size_t)(stop - answer) : len;
}

/* The first line below the hole that is not blank. */
static const char *line_below(const struct eval_hole *h, size_t *len)
{
    const char *at = memchr(h->text + h->end, '\n', h->to - h->end), *end = h->text + h->to;
    *len = 0;
    while (at) {
        at++;
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);
        while (n && isspace((unsigned char)at[n - 1])) n--;
        if (n) {
            *len = n;
            return at;
        }
        at = stop;
    }
    return NULL;
}

/* Where the rest of the cursor's line, or where it has none the line below, comes again. */
static size_t keep_before_suffix(const struct eval_hole *h, const char *answer, size_t len)
{
    size_t n;
    const char *rest = rest_of_line(h, &n);
    if (n) {
        const char *again = memmem(answer, len, rest, n);
        return again ? (size_t)(again - answer) : len;
    }
    const char *below = line_below(h, &n);
    if (!below) return len;
    for (size_t at = 0; at < len;) {
        const char *stop = memchr(answer + at, '\n', len - at);
        size_t end = stop ? (size_t)(stop - answer) : len, text = end;
        while (text > at && isspace((unsigned char)answer[text - 1])) text--;
        if (text - at == n && memcmp(answer + at, below, n) == 0) return at ? at - 1 : 0;
        at = end + 1;
    }
    return len;
}

/* Where the answer's end is the suffix's beginning, the longest such; and anything from a whole
 * suffix on. */
static size_t keep_before_overlap(const struct eval_hole *h, const char *answer, size_t len)
{
    const char *suffix = h->text + h->end;
    size_t n = h->to - h->end;
    const char *whole = n ? memmem(answer, len, suffix, n) : NULL;
    if (whole) return (size_t)(whole - answer);
    for (size_t k = len < n ? len : n; k > 0; k--)
        if (memcmp(answer + len - k, suffix, k) == 0) return len - k;
    return len;
}

const struct eval_cut eval_cuts[EVAL_N_CUTS] = {
    {"none", "as it came", keep_all},
    {"hole-end", "by hand at the hole's true end", keep_hole},
    {"first-line", "after the first line", keep_line},
    {"suffix-line", "before the next line of the suffix", keep_before_suffix},
    {"suffix-overlap", "before the longest overlap with the suffix", keep_before_overlap},
};
