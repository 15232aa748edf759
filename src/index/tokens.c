#include "index/tokens.h"

#include <string.h>

static bool is_lower(unsigned char c) { return (c >= 'a' && c <= 'z') || c >= 128; }
static bool is_upper(unsigned char c) { return c >= 'A' && c <= 'Z'; }
static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
static bool is_word(unsigned char c) { return is_lower(c) || is_upper(c) || is_digit(c) || c == '_'; }

static size_t lower(char *to, const char *from, size_t n)
{
    if (n > TOKEN_MAX) n = TOKEN_MAX;
    for (size_t i = 0; i < n; i++) to[i] = is_upper((unsigned char)from[i]) ? (char)(from[i] + 32) : from[i];
    return n;
}

/* Not Porter's stemmer: plurals, -ing and -ed, where a stem of four letters stays. */
static size_t stem(char *w, size_t n)
{
    if (n >= 5 && w[n - 1] == 's' && w[n - 2] != 's' && w[n - 2] != 'u' && w[n - 2] != 'i') {
        n--;
        if (n >= 5 && w[n - 1] == 'e' && (w[n - 2] == 's' || w[n - 2] == 'x' || w[n - 2] == 'h')) n--;
        else if (n >= 5 && w[n - 1] == 'e' && w[n - 2] == 'i') {
            w[n - 2] = 'y';
            n--;
        }
    }
    size_t cut = 0;
    if (n >= 7 && memcmp(w + n - 3, "ing", 3) == 0) cut = 3;
    else if (n >= 6 && memcmp(w + n - 2, "ed", 2) == 0) cut = 2;
    n -= cut;
    if (cut && n >= 4 && w[n - 1] == w[n - 2] && w[n - 1] != 's' && w[n - 1] != 'l') n--; /* "mapping" */
    else if (!cut && n >= 5 && w[n - 1] == 'e') n--; /* "parse" meets "parsing" */
    return n;
}

struct emitter {
    int (*emit)(void *ctx, bool part, const char *token, size_t n, size_t begin, size_t end);
    void *ctx;
};

/* Where the part that starts at i ends: before a capital that follows a small letter, before the last
 * capital of a run that a small letter follows, at an underscore. */
static size_t part_end(const char *s, size_t i, size_t n)
{
    size_t j = i + 1;
    for (; j < n && s[j] != '_'; j++) {
        unsigned char a = (unsigned char)s[j - 1], b = (unsigned char)s[j];
        if (is_upper(b) && !is_upper(a)) break;
        if (is_upper(b) && is_upper(a) && j + 1 < n && is_lower((unsigned char)s[j + 1])) break;
    }
    return j;
}

static int emit_word(const struct emitter *e, const char *text, size_t begin, size_t end)
{
    char whole[TOKEN_MAX], part[TOKEN_MAX];
    const char *s = text + begin;
    size_t n = end - begin;
    size_t whole_len = lower(whole, s, n);
    int rc = e->emit(e->ctx, false, whole, whole_len, begin, end);
    for (size_t i = 0; i < n && rc == 0;) {
        if (s[i] == '_') {
            i++;
            continue;
        }
        size_t j = part_end(s, i, n);
        size_t len = lower(part, s + i, j - i);
        len = stem(part, len);
        if (len != whole_len || memcmp(part, whole, len) != 0)
            rc = e->emit(e->ctx, true, part, len, begin + i, begin + j);
        i = j;
    }
    return rc;
}

int tokens_of(const char *text, size_t len,
              int (*emit)(void *ctx, bool part, const char *token, size_t n, size_t begin, size_t end),
              void *ctx)
{
    struct emitter e = {emit, ctx};
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0;) {
        if (!is_word((unsigned char)text[i])) {
            i++;
            continue;
        }
        size_t j = i + 1;
        while (j < len && is_word((unsigned char)text[j])) j++;
        size_t k = i;
        while (k < j && text[k] == '_') k++;
        if (k < j) rc = emit_word(&e, text, i, j); /* underscores alone are no word */
        i = j;
    }
    return rc;
}

bool token_is_common(const char *token, size_t n)
{
    static const char *const common[] = {
        "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "have", "if", "in", "into",
        "is", "it", "its", "no", "not", "of", "on", "or", "s", "so", "than", "that", "the", "their", "them",
        "then", "there", "this", "to", "was", "were", "when", "which", "will", "with", "you", "your",
        "return", "returns", "how", "what", "where", "do", "does", "can", "i", "we", "me",
    };
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (strlen(common[i]) == n && memcmp(common[i], token, n) == 0) return true;
    return false;
}
