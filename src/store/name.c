#include "store/name.h"

#include <stdint.h>
#include <string.h>

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Length of the family or tag at the start of `s`, 0 where there is none or it is too long. */
static size_t part_length(const char *s)
{
    if (!is_alnum(*s)) return 0;
    size_t n = 1;
    while (is_alnum(s[n]) || s[n] == '.' || s[n] == '_' || s[n] == '-') n++;
    return n < STORE_PART_SIZE ? n : 0;
}

bool store_name_valid(const char *name)
{
    size_t n = part_length(name);
    if (n == 0) return false;
    if (name[n] == 0) return true;
    if (name[n] != ':') return false;
    const char *tag = name + n + 1;
    n = part_length(tag);
    return n > 0 && tag[n] == 0;
}

bool store_digest_valid(const char *digest)
{
    size_t n = 0;
    for (; digest[n]; n++) {
        bool hex = (digest[n] >= '0' && digest[n] <= '9') || (digest[n] >= 'a' && digest[n] <= 'f');
        if (!hex || n >= 64) return false;
    }
    return n == 64;
}

enum status store_name_split(const char *name, char family[STORE_PART_SIZE],
                             char tag[STORE_PART_SIZE], struct error *err)
{
    if (!store_name_valid(name))
        return error_set(
            err, ERR_INVALID,
            "'%.80s' is no model name; one looks like family:tag, in lower-case letters, "
            "digits, '.', '_' and '-', at most 64 each",
            name);
    size_t n = part_length(name);
    memcpy(family, name, n);
    family[n] = 0;
    tag[0] = 0;
    if (name[n] == ':') memcpy(tag, name + n + 1, strlen(name + n + 1) + 1);
    return OK;
}

bool store_name_from_file(const char *path, char name[STORE_NAME_SIZE])
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t len = strcspn(base, "?#");
    if (len > 5 && strncmp(base + len - 5, ".gguf", 5) == 0) len -= 5;
    size_t n = 0;
    for (size_t i = 0; i < len && n < STORE_PART_SIZE - 1; i++) {
        char c = base[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        if (!is_alnum(c)) {
            if (n == 0) continue;
            if (c != '.' && c != '_') c = '-';
        }
        name[n++] = c;
    }
    name[n] = 0;
    return n > 0;
}

/* Edits between two strings, neighbours swapped counting as one (optimal string alignment). */
static size_t edit_distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[3][STORE_NAME_SIZE];
    for (size_t j = 0; j <= m; j++) rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *cur = rows[i % 3], *prev = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        cur[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = prev[j - 1] + (a[i - 1] != b[j - 1]);
            if (prev[j] + 1 < best) best = prev[j] + 1;
            if (cur[j - 1] + 1 < best) best = cur[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            cur[j] = best;
        }
    }
    return rows[n % 3][m];
}

size_t store_name_distance(const char *typed, const char *known)
{
    size_t n = strlen(typed), m = strlen(known);
    if (n >= STORE_NAME_SIZE || m >= STORE_NAME_SIZE) return SIZE_MAX;
    if (n >= 3 && strncmp(typed, known, n) == 0) return n == m ? 0 : 1;
    size_t d = edit_distance(typed, n, known, m);
    /* "qwen-coder:1.5b" for "qwen2.5-coder:1.5b": a third of the letters may be off. */
    size_t near = n / 3 < 2 ? 2 : n / 3;
    return d <= near && d < n ? d : SIZE_MAX;
}
