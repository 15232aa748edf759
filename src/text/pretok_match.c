#include <stdio.h>
#include <string.h>

#include "text/pretok.h"
#include "text/utf8_int.h"

/* The registry spells some things otherwise than published files do (see pretok.c), and these differ
 * among themselves: raw characters or escapes, possessive quantifiers or not. Both sides are brought
 * to one spelling before they are compared. */

enum { MAX_PATTERN = 8192 };

static const struct {
    const char *published, *ours;
} spellings[] = {
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"},
    {"(?i:[sdmt]|ll|ve|re)", "(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])"},
    {"\\s++(?:$|(*SKIP)(*FAIL))", "\\s+$"},
    {"{1}", ""},
};

struct text {
    char s[MAX_PATTERN];
    size_t n;
    bool full;
};

static void put(struct text *t, const char *s, size_t n)
{
    if (t->full || n >= sizeof t->s - t->n) {
        t->full = true;
        return;
    }
    memcpy(t->s + t->n, s, n);
    t->n += n;
    t->s[t->n] = 0;
}

static bool is_quantifier(const char *from, const char *p)
{
    bool escaped = p - from >= 1 && p[-1] == '\\';
    return !escaped && (*p == '+' || *p == '*' || *p == '?' || *p == '}');
}

/* Bytes taken from `p`, none where no spelling begins there. */
static size_t respell(const char *p, struct text *out)
{
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        size_t n = strlen(spellings[i].published);
        if (strncmp(p, spellings[i].published, n) != 0) continue;
        put(out, spellings[i].ours, strlen(spellings[i].ours));
        return n;
    }
    return 0;
}

static void put_character(const char *p, size_t n, struct text *out)
{
    char escape[16];
    if (*p == '\r' || *p == '\n' || *p == '\t')
        snprintf(escape, sizeof escape, "\\%c", *p == '\r' ? 'r' : *p == '\n' ? 'n' : 't');
    else if (n > 1)
        snprintf(escape, sizeof escape, "\\x{%X}", (unsigned)utf8_decode(p, n));
    else
        snprintf(escape, sizeof escape, "%c", *p);
    put(out, escape, strlen(escape));
}

/* False where the expression is too long, or no UTF-8. */
static bool canonical(const char *pattern, struct text *out)
{
    static const char tail[] = "|\\s+";
    out->n = 0;
    out->full = false;
    out->s[0] = 0;
    size_t len = strlen(pattern);
    for (const char *p = pattern; *p;) {
        size_t n = respell(p, out);
        if (n == 0 && *p == '\\' && p[1] && (unsigned char)p[1] < 0x80) {
            put(out, p, n = 2);
        } else if (n == 0 && *p == '+' && p > pattern && is_quantifier(pattern, p - 1)) {
            n = 1; /* possessive */
        } else if (n == 0) {
            n = utf8_sequence(p, len - (size_t)(p - pattern));
            if (n == 0) return false;
            put_character(p, n, out);
        }
        p += n;
    }
    /* What no alternative takes is a piece as well. */
    size_t t = sizeof tail - 1;
    if (!out->full && out->n > t && strcmp(out->s + out->n - t, tail) == 0) out->s[out->n -= t] = 0;
    return !out->full;
}

static bool cuts_alike(const struct pretok_family *f, const char *const *patterns, size_t n)
{
    struct text a, b;
    size_t i = 0;
    for (; i < n && f->patterns[i]; i++) {
        if (!canonical(f->patterns[i], &a) || !canonical(patterns[i], &b)) return false;
        /* DeepSeek LLM's files part digits and its vocabulary joins none, so that both are one. */
        bool digits = strcmp(a.s, "\\p{N}+") == 0 && strcmp(b.s, "\\p{N}") == 0;
        if (strcmp(a.s, b.s) != 0 && !(digits && n > 1)) return false;
    }
    return i == n && !f->patterns[i];
}

const struct pretok_family *pretok_recognise(const char *const *patterns, size_t n,
                                             bool ignore_merges, const char *preferred)
{
    const struct pretok_family *f, *found = NULL;
    if (n == 0) return NULL;
    for (size_t i = 0; (f = pretok_at(i)); i++) {
        if (!cuts_alike(f, patterns, n)) continue;
        if (preferred && strcmp(f->name, preferred) == 0) return f;
        bool better = found && found->ignore_merges != ignore_merges &&
                      f->ignore_merges == ignore_merges;
        if (!found || better) found = f;
    }
    return found;
}
