#include <string.h>

#include "index/context_int.h"

/* "@property def name(self) -> T" is used as a value: "name: T". */
static size_t property(const char *def, char *out, size_t cap)
{
    const char *name = def + 4, *arrow = strstr(def, ") -> ");
    size_t n = 0;
    while (name[n] && name[n] != '(' && n + 1 < cap) n++;
    memcpy(out, name, n);
    if (!arrow || n + 2 + strlen(arrow + 5) >= cap) return n;
    memcpy(out + n, ": ", 2);
    size_t type = strlen(arrow + 5);
    memcpy(out + n + 2, arrow + 5, type);
    return n + 2 + type;
}

/* The object that a method belongs to, at the head of its parameters. */
static const char *skip_self(const char *p)
{
    static const char *const words[] = {"self", "cls"};
    while (*p == ' ') p++;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if (strncmp(p, words[i], n) != 0 || (p[n] != ',' && p[n] != ')' && p[n] != ' ')) continue;
        p += n;
        if (*p == ',') p++;
        while (*p == ' ') p++;
    }
    return p;
}

/* The parameters from behind the bracket on, without their types. */
static size_t parameters(const char *p, char *out, size_t n, size_t cap)
{
    int depth = 1;
    bool type = false;
    char quote = 0;
    for (p = skip_self(p); *p && depth > 0 && n + 1 < cap; p++) {
        if (quote) {
            quote = *p == quote ? 0 : quote;
        } else if (*p == '"' || *p == '\'') {
            quote = *p;
        } else {
            if (depth == 1 && strchr(":,=)", *p)) type = *p == ':';
            depth += strchr("([{", *p) != NULL;
            depth -= strchr(")]}", *p) != NULL;
        }
        if (type) continue;
        if (!quote && depth == 1 && *p == '=')
            while (n && out[n - 1] == ' ') n--;
        if (!quote && depth == 0)
            while (n && (out[n - 1] == ' ' || out[n - 1] == ',')) n--;
        if (!quote && *p == ' ' && n && strchr("=( ", out[n - 1])) continue;
        out[n++] = *p;
    }
    return n;
}

size_t context_shorten(const char *language, const char *sig, char *out, size_t cap)
{
    const char *open = strchr(sig, '('), *def = strstr(sig, "def ");
    bool method = strcmp(language, "python") == 0 && def && (open = strchr(def, '('));
    size_t n = 0;
    if (!method) {
        while (sig[n] && n + 1 < cap) n++;
        memcpy(out, sig, n);
        return n;
    }
    if (memmem(sig, (size_t)(def - sig), ".setter", 7) ||
        memmem(sig, (size_t)(def - sig), ".deleter", 8))
        return 0;
    if (memmem(sig, (size_t)(def - sig), "property", 8)) return property(def, out, cap);
    if (def - sig >= 6 && memcmp(def - 6, "async ", 6) == 0) def -= 6;
    while (def <= open && n + 1 < cap) out[n++] = *def++;
    return parameters(open + 1, out, n, cap);
}
