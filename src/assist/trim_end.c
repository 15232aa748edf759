#include "assist/trim_int.h"

#include <string.h>

enum {
    MAX_LINE = 4096,  /* longer lines are left alone */
    SHARED_BYTES = 3, /* less in common is chance */
};

/* Brackets without a partner in the cursor's line as it would stand in the file. */
static size_t imbalance(const struct trim_hole *h, struct span text)
{
    char joined[MAX_LINE];
    size_t n = h->line_len + text.len + h->rest_len;
    if (n > sizeof joined) return 0;
    if (h->line_len) memcpy(joined, h->line, h->line_len);
    if (text.len) memcpy(joined + h->line_len, text.data, text.len);
    memcpy(joined + h->line_len + text.len, h->rest, h->rest_len);
    struct brackets b = brackets_count(span_of(joined, n));
    return b.unmatched_close + b.unmatched_open;
}

/* A word begins at `at`, or no word character stands there. */
static bool starts_word(struct span s, size_t at)
{
    return at == 0 || at >= s.len || !is_word(s.data[at]) || !is_word(s.data[at - 1]);
}

/* The rest of the line may also stand inside the text, with more behind it: "a)  # the sum" before
 * ")". Such a place is taken where the line comes out better balanced than with `best_score`, or as
 * well with no more than punctuation lost. Returns its offset, else text.len. */
static size_t find_rest(const struct trim_hole *h, struct span text, struct span rest,
                        size_t best_score, bool line_ended)
{
    size_t best = text.len;
    for (size_t at = 0; rest.len && at + rest.len <= text.len; at++) {
        if (!span_eq(span_of(text.data + at, rest.len), rest) || !starts_word(text, at)) continue;
        struct span tail = span_of(text.data + at + rest.len, text.len - at - rest.len);
        bool little = line_ended && tail.len <= 2 && !has_words(tail, 1);
        size_t score = imbalance(h, span_of(text.data, at));
        if (score > best_score || (score == best_score && !little)) continue;
        best = at;
        best_score = score;
    }
    return best;
}

/* Where the longest piece of the rest's start stands in the text, at a word's start; else text.len.
 */
static size_t find_start(const struct trim_hole *h, struct span text, struct span rest,
                         size_t score)
{
    size_t best = text.len, longest = 0;
    for (size_t at = 0; at < text.len; at++) {
        size_t n = 0;
        while (n < rest.len && at + n < text.len && text.data[at + n] == rest.data[n]) n++;
        if (n <= longest || n < SHARED_BYTES || !has_words(span_of(rest.data, n), 1)) continue;
        if (!starts_word(text, at) || imbalance(h, span_of(text.data, at)) > score) continue;
        best = at;
        longest = n;
    }
    return best;
}

/* Where the longest end that text and rest have in common begins, at a word's start; else text.len.
 */
static size_t find_end(const struct trim_hole *h, struct span text, struct span rest, size_t score)
{
    size_t n = 0;
    while (n < rest.len && n < text.len &&
           text.data[text.len - 1 - n] == rest.data[rest.len - 1 - n])
        n++;
    for (; n >= 2; n--) {
        size_t at = text.len - n;
        if (text.data[at] == ' ' || text.data[at] == '\t') continue;
        if (!starts_word(text, at) || !starts_word(rest, rest.len - n)) continue;
        if (imbalance(h, span_of(text.data, at)) <= score) return at;
    }
    return text.len;
}

/* The model wrote a whole line of its own that says part of the rest: "is None:" before "not
 * None:". What both have tells where it leaves the hole. Returns that offset, else text.len. */
static size_t find_shared(const struct trim_hole *h, struct span text, struct span rest)
{
    size_t score = imbalance(h, text);
    size_t at = find_start(h, text, rest, score);
    return at < text.len ? at : find_end(h, text, rest, score);
}

/* Where the text's end is the rest's start; of several readings the best balanced, else text.len.
 */
static size_t find_overlap(const struct trim_hole *h, struct span text, struct span rest,
                           bool line_ended, size_t *score)
{
    struct span body = span_rstrip(text);
    size_t best = text.len;
    size_t most = rest.len < body.len ? rest.len : body.len;
    *score = imbalance(h, text);
    for (size_t k = 1; k <= most; k++) {
        if (!span_ends(body, span_of(rest.data, k)) || !starts_word(body, body.len - k)) continue;
        size_t now = imbalance(h, span_of(body.data, body.len - k));
        bool strong = line_ended || k == rest.len || has_words(span_of(rest.data, k), 3);
        if (now > *score || (now == *score && !strong)) continue;
        best = body.len - k;
        *score = now;
    }
    return best;
}

size_t trim_overlap(const struct trim_hole *h, struct span text, bool line_ended)
{
    struct span rest = span_rstrip(span_of(h->rest, h->rest_len));
    struct span body = span_rstrip(text);
    if (rest.len + body.len > MAX_LINE) return text.len;
    size_t score;
    size_t best = find_overlap(h, text, rest, line_ended, &score);
    size_t at = find_rest(h, body, span_strip(rest), score, line_ended && best == text.len);
    if (at < body.len) return at;
    if (best < text.len || !line_ended) return best;
    at = find_shared(h, body, span_strip(rest));
    if (at == body.len) return text.len;
    text.len = at;
    return find_overlap(h, text, rest, line_ended, &score);
}

size_t trim_closers(const struct trim_hole *h, struct span text)
{
    struct span below = h->below ? span_strip(span_of(h->below, h->below_len)) : span_of("", 0);
    if (!below.len || !is_closer(*below.data)) return text.len;
    char c = *below.data;
    struct span line = span_of(h->line, h->line_len);
    struct brackets b = brackets_count(line);
    size_t open = b.open_of[c == ')' ? 0 : c == ']' ? 1 : 2];
    if (open && !h->line_blank && h->below_indent == line_indent(line)) open--;
    return brackets_find_close(text, c, open);
}
