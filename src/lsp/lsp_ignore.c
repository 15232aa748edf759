#include "lsp/lsp_ignore.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"

enum { MAX_ROOTS = 256, MAX_PATH = 4096, MAX_FILE = 1 << 20, MAX_STEPS = 100000 };

struct lsp_ignore {
    pthread_mutex_t lock;
    char *roots[MAX_ROOTS];
    size_t n;
};

struct lsp_ignore *lsp_ignore_create(void)
{
    struct lsp_ignore *g = calloc(1, sizeof *g);
    if (g) pthread_mutex_init(&g->lock, NULL);
    return g;
}

void lsp_ignore_destroy(struct lsp_ignore *g)
{
    if (!g) return;
    for (size_t i = 0; i < g->n; i++) free(g->roots[i]);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

void lsp_ignore_add_root(struct lsp_ignore *g, const char *path)
{
    pthread_mutex_lock(&g->lock);
    char *copy = g->n < MAX_ROOTS ? strdup(path) : NULL;
    if (copy) {
        size_t n = strlen(copy);
        while (n > 1 && copy[n - 1] == '/') copy[--n] = 0;
        g->roots[g->n++] = copy;
    }
    pthread_mutex_unlock(&g->lock);
}

void lsp_ignore_remove_root(struct lsp_ignore *g, const char *path)
{
    pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < g->n; i++) {
        if (strcmp(g->roots[i], path) != 0) continue;
        free(g->roots[i]);
        g->roots[i] = g->roots[--g->n];
        break;
    }
    pthread_mutex_unlock(&g->lock);
}

/* ---- patterns ----------------------------------------------------------------------------------
 */

/* One of [...]; *p behind it. False also where the class has no end: '[' is then no class. */
static bool match_class(const char **pattern, char c)
{
    const char *p = *pattern + 1;
    bool negated = *p == '!' || *p == '^', found = false;
    p += negated;
    const char *first = p;
    for (; *p && (*p != ']' || p == first); p++) {
        char low = *p == '\\' && p[1] ? *++p : *p, high = low;
        if (p[1] == '-' && p[2] && p[2] != ']') {
            p += 2;
            high = *p == '\\' && p[1] ? *++p : *p;
        }
        found |= c >= low && c <= high;
    }
    if (!*p) return false;
    *pattern = p + 1;
    return found != negated && c != '/';
}

/* `steps` bounds the work: patterns come from strangers. */
static bool match(const char *p, const char *s, int *steps)
{
    while (*p) {
        if (--*steps < 0) return false;
        if (p[0] == '*' && p[1] == '*') {
            if (p[2] == '/') { /* any number of folders, none too */
                for (const char *t = s;; t++) {
                    if ((t == s || t[-1] == '/') && match(p + 3, t, steps)) return true;
                    if (!*t || *steps < 0) return false;
                }
            }
            if (!p[2]) return *s != 0;
        }
        if (*p == '*') {
            while (*p == '*') p++;
            for (;; s++) {
                if (match(p, s, steps)) return true;
                if (!*s || *s == '/' || *steps < 0) return false;
            }
        }
        if (!*s) return false;
        if (*p == '[') {
            if (!match_class(&p, *s)) return false;
            s++;
            continue;
        }
        if (*p == '?') {
            if (*s == '/') return false;
        } else {
            if (*p == '\\' && p[1]) p++;
            if (*p != *s) return false;
        }
        p++;
        s++;
    }
    return !*s;
}

bool lsp_ignore_match(const char *pattern, const char *path)
{
    int steps = MAX_STEPS;
    if (*pattern == '/') return match(pattern + 1, path, &steps);
    if (strchr(pattern, '/')) return match(pattern, path, &steps);
    const char *name = strrchr(path, '/');
    return match(pattern, name ? name + 1 : path, &steps);
}

/* ---- files of patterns -------------------------------------------------------------------------
 */

/* Applies one line to `path`; *out changes where it matches. */
static void apply_line(char *line, size_t n, const char *path, bool is_dir, bool *out)
{
    if (n && line[n - 1] == '\r') n--;
    while (n && line[n - 1] == ' ' && !(n > 1 && line[n - 2] == '\\')) n--;
    line[n] = 0;
    if (!n || *line == '#') return;
    bool not = *line == '!';
    line += not;
    n -= not;
    bool dirs_only = n && line[n - 1] == '/';
    if (dirs_only) line[--n] = 0;
    if (n && (!dirs_only || is_dir) && lsp_ignore_match(line, path)) *out = !not;
}

static void apply_file(const char *file, const char *path, bool is_dir, bool *out)
{
    struct stat info;
    struct buf text;
    if (stat(file, &info) != 0 || !S_ISREG(info.st_mode)) return;
    buf_init(&text, MAX_FILE);
    if (file_read_all(file, &text, NULL) == OK && text.data) {
        for (char *p = text.data; *p;) {
            size_t n = strcspn(p, "\n");
            bool last = !p[n];
            apply_line(p, n, path, is_dir, out);
            p += n + !last;
        }
    }
    buf_fini(&text);
}

/* Whether an entry (a file, or a folder on the way to it) is excluded by the files of `root` and of
 * the folders between. `rel` is relative to the root. */
static bool entry_ignored(const char *root, const char *rel, bool is_dir)
{
    char file[MAX_PATH];
    bool out = false;
    if (snprintf(file, sizeof file, "%s/.git/info/exclude", root) < (int)sizeof file)
        apply_file(file, rel, is_dir, &out);
    for (const char *p = rel;;) {
        if (snprintf(file, sizeof file, "%s/%.*s.gitignore", root, (int)(p - rel), rel) <
            (int)sizeof file)
            apply_file(file, p, is_dir, &out);
        const char *slash = strchr(p, '/');
        if (!slash) return out;
        p = slash + 1;
    }
}

/* The topmost of: a root that holds the path; the nearest folder above it with .git. */
static size_t find_root(struct lsp_ignore *g, const char *path)
{
    size_t best = 0;
    pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < g->n; i++) {
        size_t n = strlen(g->roots[i]);
        if (strncmp(path, g->roots[i], n) == 0 && path[n] == '/' && (!best || n < best)) best = n;
    }
    pthread_mutex_unlock(&g->lock);
    char probe[MAX_PATH + 8];
    for (size_t n = strlen(path); n > 1;) {
        while (n > 1 && path[n - 1] != '/') n--;
        n--;
        if (!n || (best && n >= best)) {
            if (!n) break;
            continue;
        }
        struct stat info;
        snprintf(probe, sizeof probe, "%.*s/.git", (int)n, path);
        if (stat(probe, &info) == 0) return n;
    }
    return best;
}

bool lsp_ignore_root(struct lsp_ignore *g, const char *path, char *out, size_t cap)
{
    size_t best = 0;
    pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < g->n; i++) {
        size_t n = strlen(g->roots[i]);
        if (strncmp(path, g->roots[i], n) == 0 && path[n] == '/' && n > best) best = n;
    }
    pthread_mutex_unlock(&g->lock);
    if (!best || best >= cap) return false;
    memcpy(out, path, best);
    out[best] = 0;
    return true;
}

bool lsp_ignore_is(struct lsp_ignore *g, const char *path)
{
    char root[MAX_PATH], part[MAX_PATH];
    if (*path != '/' || strlen(path) >= MAX_PATH) return false;
    size_t n = find_root(g, path);
    if (!n) return false;
    memcpy(root, path, n);
    root[n] = 0;
    const char *rel = path + n + 1;
    /* A folder that is excluded takes all below with it, whatever is said further down. */
    for (const char *slash = strchr(rel, '/'); slash; slash = strchr(slash + 1, '/')) {
        memcpy(part, rel, (size_t)(slash - rel));
        part[slash - rel] = 0;
        if (entry_ignored(root, part, true)) return true;
    }
    return entry_ignored(root, rel, false);
}
